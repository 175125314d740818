"""What the tests of the commands share: a command line without a process, a table, a model."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from gradrace import backends
from gradrace.bench.cli.main import main
from tests.conftest import FOREIGN, Command

GOOD, WRONG = str(FOREIGN / "good.py"), str(FOREIGN / "wrong.py")
SINGLE = str(FOREIGN / "simd_float32.py")
TABLE = "size,age,price\n1,3,5.1\n2,1,8\n3,4,10.9\n4,2,14\n5,5,16.8\n"
MODEL = json.dumps(
    {
        "format": "gradrace model",
        "schema": 1,
        "features": ["size", "age"],
        "target": "price",
        "w": [3.0, -0.5],
        "center": [0, 0],
        "height": 1.0,
        "range": {"low": [1, 1], "high": [5, 5]},
    }
)


@pytest.fixture
def table(tmp_path: Path) -> str:
    (tmp_path / "houses.csv").write_text(TABLE)
    return "houses.csv"


@pytest.fixture
def gradrace(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> Command:
    """Run the command line in an empty folder, without a terminal, but in this process."""

    def run(*words: str, folder: Path = tmp_path) -> "subprocess.CompletedProcess[str]":
        monkeypatch.chdir(folder)
        monkeypatch.setenv(backends.SCHEDULER, "")  # what a command sets is gone afterwards
        capfd.readouterr()
        with pytest.raises(SystemExit) as ended:  # noqa: PT012 (0 of a command that ends by itself)
            main(words)
            sys.exit(0)
        status = ended.value.code
        assert isinstance(status, int)
        return subprocess.CompletedProcess(words, status, *capfd.readouterr())

    return run


def one_line(text: str) -> str:
    """Return a text without its line breaks, wherever they are."""
    return " ".join(text.split())


def listing(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
