"""One study of the reference line and one of a standardized table, which many tests read."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import pytest

from gradrace import backends
from gradrace.bench.data.samples import Dataset, reference_line, synthetic
from gradrace.bench.learning.rates import REFERENCE_RATES, Rates, study
from gradrace.bench.proof import agreement
from gradrace.bench.proof.isolation import Outcome, outcome_here
from gradrace.bench.proof.problems import Problem

NAMES = ("count [/cm3]", "[red]x[/red]", "<script>alert(1)</script>")
"""What a renderer could take for its own language"""


class Here:
    """In the place of a child process: a backend that is trained in this one."""

    def __init__(self, spec: str, problems: Sequence[Problem]) -> None:
        self._spec, self._problems = spec, problems

    def outcome(self) -> Outcome:
        return outcome_here(backends.load(self._spec), self._problems)


@contextmanager
def in_this_process() -> Iterator[None]:
    """Verify here, which saves a second or two, where no process matters."""

    def one_by_one(
        specs: Sequence[str], problems: Sequence[Problem], *_: object
    ) -> Iterator[tuple[str, Here]]:
        yield from ((spec, Here(spec, problems)) for spec in specs)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(agreement, "side_by_side", one_by_one)
        yield


@pytest.fixture
def here() -> Iterator[None]:
    with in_this_process():
        yield


@pytest.fixture(scope="session")
def reference() -> Rates:
    """Long enough for the slow rate to arrive, and verified in a process."""
    return study(reference_line(), REFERENCE_RATES, epochs=5_200)


@pytest.fixture(scope="session")
def standardized() -> Rates:
    """Of columns far from 0, with names from outside."""
    plain = synthetic(60, 3)
    data = Dataset("t.csv", NAMES, "<b>y</b>", plain.X * 100 + 1000, plain.y * 10)
    with in_this_process():
        return study(data, [0.01, 0.1], epochs=300, standardize=True)
