"""The wheel, installed beside other people's code: nothing there collides with gradrace."""

import os
import subprocess
import sys
import sysconfig
import tarfile
import venv
from pathlib import Path
from zipfile import ZipFile

import pytest

from tests.conftest import FOREIGN, ROOT

NEVER_IMPORTED = 'raise SystemExit("someone else\'s code was imported")\n'
THEIR_TESTS = """
import bench
from backends import fast

def test_their_own_modules_are_found():
    assert (bench.main(), fast.ANSWER) == ("theirs", 42)
"""
IMPORT_ALL = """
import importlib, pathlib, pkgutil, gradrace

assert pathlib.Path(gradrace.__file__).is_relative_to({new!r})
for module in pkgutil.walk_packages(gradrace.__path__, "gradrace."):
    if "peers." not in module.name:  # these need their libraries
        importlib.import_module(module.name)
"""
COMMANDS = (
    "run --sizes 30 --features 1 --epochs 5 --sessions 1 --backends numpy mine.py --out race",
    "report race",
    "check --backend mine.py --epochs 5",
    "train table.csv --out model",
    "predict model/model.json table.csv",
)


@pytest.mark.slow
def test_the_wheel_works_beside_other_peoples_code(tmp_path: Path) -> None:
    """One test, because building and installing takes a while."""
    run(ROOT, sys.executable, "-m", "build", "--outdir", str(tmp_path / "packages"))
    (wheel,), (sdist,) = (tmp_path.glob(f"packages/*.{kind}") for kind in ("whl", "tar.gz"))
    assert_only_the_package(wheel, sdist)
    programs = installed(wheel, tmp_path / "new")
    python, gradrace = str(programs / "python"), str(programs / "gradrace")
    for kind in ("bench.py", "bench/__init__.py"):
        project = their_project(tmp_path / kind.replace("/", "-"), kind)
        run(project, python, "-c", IMPORT_ALL.format(new=str(tmp_path / "new")))
        assert "1 passed" in run(project, python, "-m", "pytest")
    for words in COMMANDS:
        assert run(project, python, "-m", "gradrace", *words.split())
    assert "gradrace" in run(project, gradrace, "--version")
    options = ("--gradrace-backend", "mine.py", "-n", "2")
    assert "14 passed, 1 skipped" in run(project, python, "-m", "pytest", *options)


def installed(wheel: Path, folder: Path) -> Path:
    """Install a wheel without what it needs, which is here already; return where programs are."""
    venv.create(folder)
    programs = folder / "bin"
    pip = (sys.executable, "-m", "pip", "--python", str(programs / "python"))
    run(folder, *pip, "install", "-q", "--no-deps", "--no-index", str(wheel))
    (packages,) = folder.glob("lib/*/site-packages")
    (packages / "here.pth").write_text(sysconfig.get_path("purelib"))
    return programs


def assert_only_the_package(wheel: Path, sdist: Path) -> None:
    with ZipFile(wheel) as archive:
        names = archive.namelist()
    assert {name.partition("/")[0].partition("-")[0] for name in names} == {"gradrace"}
    assert "gradrace/py.typed" in names
    assert {"page.html", "page.js"} <= {name.rpartition("/")[2] for name in names}
    assert not {"studies", "examples"} & {part for name in names for part in name.split("/")}
    with tarfile.open(sdist) as files:
        assert not [name for name in files.getnames() if "tests" in name.split("/")]


def their_project(folder: Path, bench: str) -> Path:
    """A project with the names of our folders and files; `bench` is the file of its own `bench`."""
    files = {
        bench: "def main(): return 'theirs'\n",
        "backends/__init__.py": "",
        "backends/fast.py": "ANSWER = 42\n",
        "plots/__init__.py": "",
        "numpy_vectorized.py": NEVER_IMPORTED,
        "conftest.py": "import plots\n",
        "test_theirs.py": THEIR_TESTS,
        "mine.py": (FOREIGN / "good.py").read_text(),
        "table.csv": "size,price\n1,5\n2,8\n3,11\n4,15\n",
    }
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    return folder


def run(folder: Path, *command: str) -> str:
    """Run a command in a folder, as if no test had started it; return what it prints."""
    ours = ("PYTEST_", "PYTHONPATH")
    outside = {key: value for key, value in os.environ.items() if not key.startswith(ours)}
    done = subprocess.run(
        command, cwd=folder, env=outside, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, (command, done.stdout, done.stderr)
    return done.stdout
