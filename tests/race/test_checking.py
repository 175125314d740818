"""Checking backends on any samples."""

from pathlib import Path

import pytest

from gradrace.bench.data.samples import Dataset
from gradrace.bench.parts import Answer, Table
from gradrace.bench.proof.problems import number, suite
from gradrace.bench.race.checking import Check, check
from tests.conftest import FOREIGN

WRONG = str(FOREIGN / "wrong.py")
LARGE = """
import good
prepare = good.prepare

def train(data, **job):
    X, y = data
    return good.train((X[:300_000], y[:300_000]), **job)
"""


@pytest.mark.slow
class TestCheck:
    """A right one, a wrong one, and one that is wrong where there are many samples."""

    @pytest.fixture(scope="class")
    @staticmethod
    def steps() -> list[tuple[str, int, int]]:
        return []

    @pytest.fixture(scope="class")
    @staticmethod
    def found(
        line: Dataset,
        tmp_path_factory: pytest.TempPathFactory,
        steps: list[tuple[str, int, int]],
    ) -> Check:
        folder = tmp_path_factory.mktemp("check")
        (folder / "large.py").write_text(LARGE)
        (folder / "good.py").write_text((FOREIGN / "good.py").read_text())
        names = ["numpy", WRONG, str(folder / "large.py"), "numpy"]
        sizes = ["300001x1", "300x2"]
        told = lambda *step: steps.append(step)  # noqa: E731
        return check(line, names, epochs=20, cases=sizes, on_progress=told)

    def test_every_backend_is_judged_once(self, found: Check) -> None:
        assert [Path(one.backend).stem for one in found.verdicts] == ["numpy", "wrong", "large"]
        assert [one.agrees for one in found.verdicts] == [True, False, False]
        assert (found.agree, found.interrupted) == (False, False)
        assert found.problems == number(suite())

    def test_a_mistake_of_large_sizes_shows_where_it_is_asked_for(self, found: Check) -> None:
        assert found.verdicts[-1].reason.startswith("on 300,001 × 1, from zero: ")
        assert found.content()["cases"] == ["300001x1", "300x2"]

    def test_the_rate_is_the_automatic_one(self, found: Check) -> None:
        assert 0 < found.lr < 0.02635

    def test_progress_is_told(self, found: Check, steps: list[tuple[str, int, int]]) -> None:
        assert found.verdicts
        counts = list(dict.fromkeys(step[1:] for step in steps))
        assert counts == [(0, 3), (1, 3), (2, 3), (3, 3)]

    def test_the_report_begins_with_the_answer(self, found: Check) -> None:
        first, *others = (str(part) for part in found.parts() if isinstance(part, Answer))
        assert first == (
            "1 of 3 backends agrees with the exact trajectory on this data and on "
            f"{found.problems} small problems that expose mistakes, and at 300,001 × 1 and "
            "300 × 2."
        )
        assert [line.partition(": ")[0] for line in others] == [
            one.backend for one in found.verdicts[1:]
        ]
        (table,) = (part for part in found.parts() if isinstance(part, Table))
        assert [row[1] for row in table.rows] == ["yes", "NO", "NO"]


def test_an_interrupt_keeps_what_there_is(line: Dataset) -> None:
    def interrupt(doing: str, _done: int, _all: int) -> None:
        if doing.startswith("checking"):
            raise KeyboardInterrupt

    found = check(line, ["numpy"], lr=0.005, epochs=5, on_progress=interrupt)
    assert (found.interrupted, found.verdicts) == (True, [])
    assert list(map(str, found.parts())) == ["reference line: n = 100, d = 1, α = 0.005, 5 epochs"]
