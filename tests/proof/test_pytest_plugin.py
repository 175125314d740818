"""The conformance suite as tests of pytest: what fails says why, and nothing happens unasked."""

import re
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


def test_there_is_a_test_per_property(tmp_path: Path) -> None:
    done = run(tmp_path, "--gradrace-backend", "numpy", "--collect-only", "-q")
    assert done.stdout.splitlines()[: len(PROPERTIES)] == [f"numpy::{name}" for name in PROPERTIES]


def test_a_right_backend_passes(tmp_path: Path) -> None:
    some = ("-k", "reference or predict or divergence or arguments")
    done = run(tmp_path, "--gradrace-backend", str(FOREIGN / "good.py"), "-v", *some)
    assert done.returncode == 0, done.stdout
    assert "3 passed, 1 skipped" in done.stdout
    assert "good.py::predict, loss, gradients and update SKIPPED" in done.stdout


def test_silent_unless_asked(tmp_path: Path) -> None:
    (tmp_path / "test_a.py").write_text(
        "import sys\ndef test_a():\n"
        "    assert not {'gradrace.backends', 'gradrace.bench.data', 'numba'} & {*sys.modules}\n"
    )
    done = run(tmp_path, "-q")
    assert "1 passed" in done.stdout


IN_TRAIN = "    X, y = data\n"
BROKEN = {
    "rate.py": (IN_TRAIN, f"{IN_TRAIN}    lr = 0.005\n"),
    "changes.py": (IN_TRAIN, f"{IN_TRAIN}    X[0, 0] += 1\n"),
    "loss.py": ("def train", "def loss(X, y, w, b):\n    return 0.0\n\n\ndef train"),
    "import.py": ("import numpy", "import not_installed_here"),
}
FUNCTIONS, START, PURITY = "predict, loss", "any start, and", "the arguments stay"
FAILED = {
    "rate.py": {START: "w[0] at epoch 1: got "},
    "changes.py": {
        FUNCTIONS: "it changed the samples passed to prepare",
        START: "",
        PURITY: "it changed the samples passed to prepare",
    },
    "loss.py": {FUNCTIONS: "loss(): got 0.0, exact "},
    "import.py": dict.fromkeys(
        (FUNCTIONS, START, PURITY), "cannot be imported: ModuleNotFoundError: No module named"
    ),
}


def test_a_failure_says_what_was_got(tmp_path: Path) -> None:
    source = (FOREIGN / "good.py").read_text()
    words = ["-q", "-k", "predict or arguments or start"]
    for name, (before, after) in BROKEN.items():
        (tmp_path / name).write_text(source.replace(before, after))
        words += ["--gradrace-backend", name]
    done = run(tmp_path, *words)
    assert done.returncode == 1
    said = [line for line in done.stdout.splitlines() if line.startswith("FAILED ")]
    assert len(said) == sum(map(len, FAILED.values())), done.stdout
    for name, failures in FAILED.items():
        for what, message in failures.items():
            assert any(f"{name}::{what}" in line for line in said), (name, what)
            assert re.search(f"{name}: .*{re.escape(message)}", done.stdout), (name, what)


@pytest.mark.parametrize(
    ("files", "message"),
    [
        (["no.py"], "backend no.py: no such file"),
        (["a.py", "b.py"], "b.py: if this is a backend, too, write --gradrace-backend a.py --grad"),
    ],
)
def test_what_cannot_be_tested_is_refused(tmp_path: Path, files: list[str], message: str) -> None:
    done = run(tmp_path, "--gradrace-backend", *files)
    assert (done.returncode, done.stderr.splitlines()[0][: len(message) + 7]) == (
        4,
        f"ERROR: {message}",
    )
