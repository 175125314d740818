"""The wheel, installed beside other people's code: nothing there collides with gradrace."""

import os
import subprocess
import sys
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
COMMANDS = (
    "--version",
    "backends",
    "run --sizes 30 --features 1 --epochs 5 --sessions 1 --backends numba mine.py --out race",
    "show race --details",
    "compare race race/benchmark.json",
    "plot race/benchmark.json --format svg",
    "report race",
    "advise race/benchmark.json --n 30 --d 1 --epochs 5",
    "check --backend numpy mine.py --epochs 5",
    "rates --epochs 5",
    "train table.csv --out model",
    "predict model/model.json table.csv",
    "scale --help",  # its smallest job takes minutes
)


@pytest.mark.slow
def test_the_wheel_works_beside_other_peoples_code(tmp_path: Path) -> None:
    """One test, because building and installing takes half a minute."""
    run(ROOT, sys.executable, "-m", "build", "--outdir", str(tmp_path / "packages"))
    (wheel,), (sdist,) = (tmp_path.glob(f"packages/*.{kind}") for kind in ("whl", "tar.gz"))
    assert_only_the_package(wheel, sdist)
    venv.create(tmp_path / "new", with_pip=True)
    python, pytest = (str(tmp_path / "new" / "bin" / name) for name in ("python", "pytest"))
    run(tmp_path, python, "-m", "pip", "install", "-q", str(wheel), "pytest-xdist")
    for kind in ("bench.py", "bench/__init__.py"):
        project = their_project(tmp_path / kind.replace("/", "-"), kind)
        run(project, python, "-c", "import gradrace; gradrace.fit, gradrace.backends.load('numpy')")
        for program in ((pytest,), (python, "-m", "pytest")):
            assert "1 passed" in run(project, *program)
    for words in COMMANDS:
        assert run(project, python, "-m", "gradrace", *words.split())
    assert (project / "race/speed.svg").is_file()
    assert "gradrace" in run(project, str(tmp_path / "new/bin/gradrace"), "--version")
    for workers in ("0", "2"):
        found = run(project, pytest, "--gradrace-backend", "mine.py", "-n", workers)
        assert "14 passed, 1 skipped" in found


def assert_only_the_package(wheel: Path, sdist: Path) -> None:
    with ZipFile(wheel) as archive:
        names = archive.namelist()
    assert {name.partition("/")[0].partition("-")[0] for name in names} == {"gradrace"}
    assert {"gradrace/py.typed", "gradrace/bench/report/page.js"} <= {*names}
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
    outside = {key: value for key, value in os.environ.items() if not key.startswith("PYTEST_")}
    done = subprocess.run(
        command, cwd=folder, env=outside, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, (command, done.stdout, done.stderr)
    return done.stdout
