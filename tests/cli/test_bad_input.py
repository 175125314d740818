"""What cannot be used: what the command line and Python say of it, as bad_input.txt lists it."""

from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import polars as pl
import pytest

import gradrace as package
from gradrace import backends
from gradrace.backends.interface import InputError
from tests.cli.conftest import MODEL, TABLE
from tests.conftest import Command


class Bad(NamedTuple):
    """An input, as a command and as a call, "-" for none; and the beginning of what is said."""

    command: str
    call: str
    said: str
    in_python: str


def read() -> list[Bad]:
    text = Path(__file__).with_name("bad_input.txt").read_text("utf-8")
    found = []
    for block in text.split("\n\n"):
        lines = [line for line in block.splitlines() if not line.startswith("#")]
        found += [Bad(*[*lines, lines[2]][:4])] if lines else []
    return found


EVERY = read()
NAMES = {
    **{name: getattr(package, name) for name in package.__all__},
    **{"np": np, "pd": pd, "pl": pl, "Path": Path},
    "COLUMNS": {"size": [1.0, 2, 3], "age": [3.0, 1, 4], "price": [5.1, 8, 10.9]},
    "CATEGORIES": pl.DataFrame(
        {"a": ["u", "v"], "y": [1, 2]}, schema_overrides={"a": pl.Categorical}
    ),
    **{"X": [[1.0], [2.0], [4.0]], "Y": [1.0, 2.0, 3.0]},
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("bad")
    for name, text in {
        "houses.csv": TABLE,
        "text.csv": "x,y\n1,2\n3,low\n",
        "gap.csv": "x,y\n1,\n3,4\n",
        "none.csv": "x,y\n",
        "one.csv": "x,y\n1,2\n",
        "words.csv": "a,b,y\nu,v,1\nv,w,2\n",
        "huge.csv": "x,y\n1e200,2\n-1e200,3\n",
        "far.csv": "x,y\n1,1e200\n2,3e200\n3,7e200\n",
        "wide.csv": "\n".join([",".join(["1.5"] * 2_002)] * 3),
        "model.json": MODEL,
    }.items():
        (folder / name).write_text(text)
    np.save(folder / "t.npy", np.eye(3))
    return folder


@pytest.mark.parametrize(
    "bad", [bad for bad in EVERY if bad.command != "-"], ids=lambda bad: bad.command
)
def test_a_command_says_so_in_one_line(gradrace: Command, folder: Path, bad: Bad) -> None:
    """It ends with status 2, and writes nothing."""
    before = everything(folder)
    words = [word.replace("''", "") for word in bad.command.split()]
    done = gradrace(*words, folder=folder)
    assert done.stderr.startswith(f"gradrace: {bad.said}")
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    assert everything(folder) == before


@pytest.mark.parametrize("bad", [bad for bad in EVERY if bad.call != "-"], ids=lambda bad: bad.call)
def test_python_says_the_same_in_its_words(
    folder: Path, bad: Bad, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder)
    monkeypatch.setenv(backends.SCHEDULER, "")
    before = everything(folder)
    with pytest.raises((InputError, OSError)) as caught:
        eval(bad.call, NAMES)
    error = caught.value
    said = f"{error.filename}: {error.strerror}" if isinstance(error, OSError) else str(error)
    assert said.startswith(bad.in_python)
    assert "\n" not in said
    assert everything(folder) == before


@pytest.mark.parametrize(
    ("command", "status"), [("check --epochs 5", 1), ("rates --epochs 5", 1), ("run", 2)]
)
@pytest.mark.parametrize("statement", ["raise SystemExit(0)", "1 / 0"])
def test_a_package_that_cannot_be_imported_is_judged(
    gradrace: Command, tmp_path: Path, command: str, status: int, statement: str
) -> None:
    (tmp_path / "evil").mkdir()
    (tmp_path / "evil" / "__init__.py").write_text(statement)
    (tmp_path / "evil" / "mod.py").touch()
    done = gradrace(*command.split(), "--backend", "evil.mod")
    assert done.returncode == status, done.stdout + done.stderr
    assert "evil.mod" in done.stdout + done.stderr
    assert "cannot be imported: " in done.stdout + done.stderr
    assert "Traceback" not in done.stderr


def everything(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*")}
