"""The conformance suite as tests of pytest: what fails says why, and nothing happens unasked."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import FOREIGN

PROPERTIES = [
    "the reference line, every epoch",
    "predict, loss, gradients and update",
    "sizes that do not fill blocks",
    "sizes that fill blocks",
    "many features",
    "any start, and only some epochs",
    "many epochs",
    "samples anywhere in memory",
    "columns of unlike size, zeros, large rates",
    "samples that invite shortcuts",
    "divergence",
    "data at both ends of float64",
    "many calls, on data sets in turn",
    "the arguments stay as they are",
]


def run(folder: Path, *words: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-p", "no:xdist", *words],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize("file", ["good.py", "simd_float32.py"])
def test_a_right_backend_passes(tmp_path: Path, file: str) -> None:
    done = run(tmp_path, "--gradrace-backend", str(FOREIGN / file), "-v")
    assert done.returncode == 0, done.stdout
    for name in PROPERTIES:
        result = "SKIPPED" if name.startswith("predict") else "PASSED"
        assert f"{file}::{name} {result}" in done.stdout


def test_silent_unless_asked(tmp_path: Path) -> None:
    (tmp_path / "test_a.py").write_text(
        "import sys\ndef test_a():\n"
        "    assert not {'gradrace.backends', 'gradrace.bench.data', 'numba'} & {*sys.modules}\n"
    )
    done = run(tmp_path, "-q")
    assert "1 passed" in done.stdout


BROKEN = {
    "lr = 0.005": ("any start", r"w\[0\] at epoch 1: got .*, exact .* × the bound"),
    "X[0, 0] += 1": ("the arguments stay", "it changed the samples passed to prepare"),
    "raise OSError('no disk')": ("divergence", "raised OSError: no disk (mine.py, line"),
    "every = 1": ("any start", "shape"),
}


@pytest.mark.parametrize("line", BROKEN)
def test_a_failure_says_what_was_got(tmp_path: Path, line: str) -> None:
    name, words = BROKEN[line]
    source = (FOREIGN / "good.py").read_text()
    (tmp_path / "mine.py").write_text(
        source.replace("    X, y = data\n", f"    X, y = data\n    {line}\n")
    )
    done = run(tmp_path, "--gradrace-backend", "mine.py", "-q", "-k", name.split()[-1])
    assert done.returncode == 1
    assert f"mine.py::{name}" in done.stdout
    assert words.split(": got")[0].replace("\\", "") in done.stdout


def test_the_functions_of_a_backend_are_tested_apart(tmp_path: Path) -> None:
    source = (FOREIGN / "good.py").read_text() + "\ndef loss(X, y, w, b):\n    return 0.0\n"
    (tmp_path / "mine.py").write_text(source)
    words = ("-k", "predict or reference or arguments")
    done = run(tmp_path, "--gradrace-backend", "mine.py", "-q", *words)
    assert "loss(): got 0.0, exact" in done.stdout
    assert "1 failed, 2 passed" in done.stdout


def test_a_backend_that_cannot_be_imported_fails_every_test(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text("import not_installed_here\n")
    done = run(tmp_path, "--gradrace-backend", "mine.py", "-q", "-k", "arguments or predict")
    assert "2 failed" in done.stdout
    assert "mine.py: cannot be imported: ModuleNotFoundError: No module named" in done.stdout


def test_no_such_backend(tmp_path: Path) -> None:
    done = run(tmp_path, "--gradrace-backend", "no.py")
    assert done.returncode == 4
    assert "ERROR: backend no.py: no such file" in done.stderr
