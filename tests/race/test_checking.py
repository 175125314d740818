"""Checking backends on any samples."""

from pathlib import Path

import pytest
from gradrace.bench.report.verdicts import check_report

from gradrace.bench.data.samples import Dataset
from gradrace.bench.proof.problems import number, suite
from gradrace.bench.race.checking import Check, check
from tests.conftest import FOREIGN

WRONG = str(FOREIGN / "wrong.py")


@pytest.fixture(scope="module")
def steps() -> list[tuple[str, int, int]]:
    return []


@pytest.mark.slow
class TestCheck:
    @pytest.fixture(scope="class")
    @staticmethod
    def found(line: Dataset, steps: list[tuple[str, int, int]]) -> Check:
        return check(
            line, ["numpy", WRONG, "numpy"], epochs=20, on_progress=lambda *step: steps.append(step)
        )

    def test_every_backend_is_judged_once(self, found: Check) -> None:
        assert [(v.backend, v.agrees) for v in found.verdicts] == [("numpy", True), (WRONG, False)]
        assert (found.agree, found.interrupted) == (False, False)
        assert found.problems == number(suite())

    def test_the_rate_is_the_automatic_one(self, found: Check) -> None:
        assert 0 < found.lr < 0.02635

    def test_progress_is_told(self, found: Check, steps: list[tuple[str, int, int]]) -> None:
        assert found.verdicts
        assert [step[1:] for step in steps] == [(0, 2), (0, 2), (1, 2), (2, 2)]

    def test_the_report_begins_with_the_answer(self, found: Check) -> None:
        first, second, *_ = check_report(found)
        assert str(first).startswith("1 of 2 backends agrees with the exact trajectory on ")
        assert str(second).startswith(f"{WRONG}: ")


LARGE = """
import good
prepare = good.prepare

def train(data, **job):
    X, y = data
    return good.train((X[:300_000], y[:300_000]), **job)
"""


@pytest.mark.slow
def test_a_mistake_of_large_sizes_shows_where_it_is_asked_for(
    line: Dataset, tmp_path: Path
) -> None:
    (tmp_path / "large.py").write_text(LARGE)
    (tmp_path / "good.py").write_text((FOREIGN / "good.py").read_text())
    large = str(tmp_path / "large.py")
    assert check(line, [large], epochs=5).agree
    found = check(line, [large, "numpy"], epochs=5, cases=["300001x1", "300x2"])
    wrong, right = found.verdicts
    assert right.agrees
    assert wrong.reason.startswith("on 300,001 × 1, from zero: ")
    assert " problems that expose mistakes, and at 300,001 × 1 and 300 × 2." in str(
        check_report(found)[0]
    )
    assert found.content()["cases"] == ["300001x1", "300x2"]


def test_an_interrupt_keeps_what_there_is(line: Dataset) -> None:
    def interrupt(doing: str, _done: int, _all: int) -> None:
        if doing.startswith("checking"):
            raise KeyboardInterrupt

    found = check(line, ["numpy"], lr=0.005, epochs=5, on_progress=interrupt)
    assert (found.interrupted, found.verdicts) == (True, [])
    assert check_report(found) == ["reference line: n = 100, d = 1, α = 0.005, 5 epochs"]
