"""The two notebooks run from top to bottom; as scripts, they say and save what they find.

The engineer's is also the test of a real race from Python.
"""

import runpy
from pathlib import Path

import pytest

from tests.conftest import ROOT

EXAMPLES = ROOT / "bench" / "api" / "examples"
SAID = {
    "learner": ["Fit of y by x1: ", "the least possible is", "Use α = ", "Model of price: w: size"],
    "engineer": ["Both backends agree", "backends agree with", "Least time: ", "Use "],
}
SAVED = {
    "learner": {"fit.png", "loss.png", "path.png", "houses"},
    "engineer": {"mine.py", "benchmark.json", "speed.png"},
}


@pytest.mark.slow
@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.py")), ids=lambda path: path.stem)
def test_a_notebook_as_a_script(
    path: Path,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    runpy.run_path(str(path))
    said = " ".join(capsys.readouterr().out.split())
    assert [words for words in SAID[path.stem] if words not in said] == []
    saved = {file.name for file in (tmp_path / "results" / path.stem).iterdir()}
    assert saved >= SAVED[path.stem]
