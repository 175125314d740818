"""The two notebooks run from top to bottom."""

import runpy
from pathlib import Path

import pytest

from tests.conftest import ROOT

EXAMPLES = ROOT / "bench" / "api" / "examples"


def run(name: str) -> dict[str, object]:
    return runpy.run_path(str(EXAMPLES / name))


def test_every_example_is_run() -> None:
    assert {path.name for path in EXAMPLES.glob("*.py")} == {"learner.py", "engineer.py"}


def test_the_way_of_a_learner() -> None:
    found = run("learner.py")
    assert str(found["again"]).startswith("Model of price: w: size ")


@pytest.mark.slow
def test_the_way_of_an_engineer(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    found = run("engineer.py")
    assert str(found["verdicts"]).startswith("Both backends agree")
    assert "All 3 backends agree" in " ".join(str(found["race"]).split())
