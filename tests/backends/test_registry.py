"""Finding backends, and importing nothing before it is needed."""

import py_compile
import re
import subprocess
import sys
from importlib.machinery import EXTENSION_SUFFIXES
from pathlib import Path

import pytest

from gradrace import backends
from gradrace.backends.interface import InputError, InputValueError
from tests.conftest import ROOT

FILE = """
import numpy as np
def prepare(X, y): return X, y
def train(data, **job): return np.arange(1), np.zeros((1, 1)), np.zeros(1), np.zeros(1)
"""


def imported_by(name: str) -> set[str]:
    """The packages that the files of a rung import."""
    texts = [path.read_text("utf-8") for path in backends.sources(name)]
    return {found for text in texts for found in re.findall(r"^(?:from|import) (\w+)", text, re.M)}


def imported_after(code: str) -> set[str]:
    """The modules that a fresh interpreter has imported after `code`."""
    script = f"{code}\nimport sys; print(*sys.modules, sep='\\n')"
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True
    )
    return set(done.stdout.split())


LAZY = """
import sys
def lacks(*names): assert not set(names) & sys.modules.keys(), sys.modules.keys()
import gradrace.bench.cli.main
from gradrace import backends
backends.names()
lacks("numpy", "numba", "matplotlib", "pyarrow", "pytest")
backends.require("numba")
for name in ("python", "numpy"):
    backends.load(name)
import gradrace.bench.proof.oracle
lacks("numba", "matplotlib", "pyarrow")
"""


@pytest.mark.parametrize(
    ("code", "absent"),
    [
        (LAZY, "numba"),
        (
            "from gradrace.plots import fit, loss, speed, agreement",
            "gradrace.backends, gradrace.bench",
        ),
    ],
)
def test_nothing_is_imported_before_it_is_needed(code: str, absent: str) -> None:
    assert not imported_after(code) & {*absent.split(", ")}


@pytest.mark.parametrize("name", backends.names())
def test_the_ladder_says_of_a_rung_what_its_module_says(name: str) -> None:
    module, rung = backends.load(name), backends.LADDER[name]
    assert getattr(module, "ONE_CORE", False) is rung.one_core
    assert getattr(module, "PASSES_ONCE", False) is rung.passes_once


def test_every_rung_has_a_color_of_its_own() -> None:
    colors = [*(rung.color for rung in backends.LADDER.values()), *backends.OTHER_COLORS]
    assert len(set(colors)) == len(colors)


SOURCES = {
    "python": "pure_python interface",
    "numpy": "numpy_vectorized interface",
    "numba-parallel": "numba_parallel numba_simd numba_jit interface instructions threads",
    "gram": "gram numba_simd numba_jit interface gram_passes instructions",
    "dask": "dask_partitions gram numba_simd numba_jit interface "
    "dask_reading dask_tasks gram_passes instructions",
}


@pytest.mark.parametrize("name", SOURCES)
def test_its_sources_are_those_of_all_it_imports_from_here(name: str) -> None:
    assert {path.stem for path in backends.sources(name)} == {*SOURCES[name].split()}


def test_the_sources_of_a_foreign_file(tmp_path: Path) -> None:
    mine = tmp_path / "mine.py"
    mine.write_text("import os\nimport gradrace.backends.numba_jit\n")
    stems = [path.stem for path in backends.sources(str(mine))]
    assert stems == ["mine", "numba_jit", "interface"]
    mine.write_text("def prepare(:")
    assert backends.sources(str(mine)) == [mine]
    assert backends.sources(str(tmp_path / "nowhere.py")) == []


@pytest.mark.parametrize("name", backends.names())
def test_load_by_name(name: str) -> None:
    assert backends.load(name) is backends.load(f"gradrace.backends.{backends.LADDER[name].module}")


def test_load_by_path_or_module_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mine = tmp_path / "package_of_mine" / "mine.py"
    mine.parent.mkdir()
    mine.with_name("__init__.py").touch()
    mine.write_text(FILE)
    monkeypatch.syspath_prepend(tmp_path)
    for spec in (str(mine), "package_of_mine.mine"):
        assert backends.load(spec).prepare(1, 2) == (1, 2)


NOWHERE = ["", "nope", "nope.sub", ".", ".json", "json.", "nope.py", "os.path.x", "__main__"]


@pytest.mark.parametrize("spec", NOWHERE)
def test_what_is_not_there(spec: str) -> None:
    with pytest.raises(
        InputValueError, match=rf"backend {re.escape(spec)}: (is not python|no such file)"
    ):
        backends.require(spec)
    with pytest.raises(InputError):
        backends.load(spec)


@pytest.mark.parametrize("spec", ["mine_in_a_package.fast", "other/mine.py"])
def test_folders_are_on_the_path_only_while_a_foreign_backend_is_imported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, spec: str
) -> None:
    for name in ("mine_in_a_package/fast.py", "other/mine.py"):
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).write_text(f"import sys\nPATH = list(sys.path)\n{FILE}")
    monkeypatch.chdir(tmp_path)
    before = list(sys.path)
    backends.require(spec)
    found = backends.load(spec)
    beside = [str(tmp_path / "other")] if spec.endswith(".py") else []
    assert vars(found)["PATH"] == [*before, *beside, str(tmp_path)]
    assert sys.path == before


@pytest.mark.parametrize("name", ["evil.mod", "evil.inner.mod", "space.evil.mod", "space.deep.mod"])
@pytest.mark.parametrize("statement", ["raise SystemExit(0)", "1 / 0", "raise GeneratorExit"])
def test_nothing_of_a_module_runs_before_it_is_loaded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, statement: str
) -> None:
    """Nor of the packages that it is in, which may be namespaces: folders without __init__.py."""
    file = tmp_path.joinpath(*name.split(".")).with_suffix(".py")
    file.parent.mkdir(parents=True)
    file.write_text(statement)
    for folder in file.parents:
        if folder.name in ("evil", "inner"):
            (folder / "__init__.py").write_text(statement)
    monkeypatch.syspath_prepend(tmp_path)
    backends.require(name)
    assert backends.sources(name)[0] == file
    with pytest.raises(InputValueError, match=rf"backend {name}: cannot be imported: .*(Ex|Zero)"):
        backends.load(name)


def test_modules_without_source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "mine.py").write_text(FILE)
    compiled = tmp_path / "compiled_by_me.pyc"
    py_compile.compile(str(tmp_path / "mine.py"), str(compiled))
    library = tmp_path / f"linked_by_me{EXTENSION_SUFFIXES[0]}"
    library.touch()
    monkeypatch.syspath_prepend(tmp_path)
    assert backends.load("compiled_by_me").prepare(1, 2) == (1, 2)
    assert backends.sources("compiled_by_me") == [compiled]
    assert backends.sources("linked_by_me") == [library]
    with pytest.raises(InputValueError, match="linked_by_me: cannot be imported: ImportError"):
        backends.load("linked_by_me")
    assert backends.sources("time") == []  # part of the interpreter
    with pytest.raises(InputValueError, match=r"time: has no function prepare\(\)"):
        backends.load("time")


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("def prepare(:", "cannot be imported: SyntaxError"),
        ("import not_installed_here", "cannot be imported: ModuleNotFoundError.*not_installed"),
        ("1 / 0", "cannot be imported: ZeroDivisionError"),
        ("def train(): ...", r"has no function prepare\(\)"),
        ("def prepare(): ...\ntrain = 3", r"has no function train\(\)"),
        ("raise SystemExit(0)", "cannot be imported: SystemExit: 0"),
        ("raise type('Mine', (BaseException,), {})", "cannot be imported: Mine:"),
        ("def __getattr__(name): raise SystemExit(0)", "cannot be imported: SystemExit: 0"),
    ],
)
def test_a_file_that_is_no_backend(tmp_path: Path, source: str, reason: str) -> None:
    (tmp_path / "broken.py").write_text(source)
    with pytest.raises(InputValueError, match=reason):
        backends.load(str(tmp_path / "broken.py"))


@pytest.mark.parametrize("name", backends.names())
def test_what_compiles_needs_the_compiler(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    compiles = "numba" in imported_by(name)
    monkeypatch.setenv("NUMBA_DISABLE_JIT", "0")
    backends.require(name)
    monkeypatch.setenv("NUMBA_DISABLE_JIT", "1")
    if compiles:
        with pytest.raises(InputValueError, match=f"{name}: needs .* NUMBA_DISABLE_JIT"):
            backends.require(name)
    else:
        backends.require(name)


def test_a_missing_library_is_one_line_with_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(backends.LADDER, "gpu", backends.Rung("gpu", "no-such-library"))
    assert backends.package_version("gpu") is None
    with pytest.raises(InputValueError, match=r"pip install no-such-library$"):
        backends.load("gpu")
