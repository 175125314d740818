"""What a timing session does: contenders, calls, repetitions, and the order of the blocks."""

import random
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, NamedTuple

import msgspec
from msgspec import Meta, Struct
from msgspec.structs import replace

from gradrace.bench.data.files import write_bytes
from gradrace.bench.machine.ranges import MOST_SECONDS, Count, Repetitions, Seconds, Spec
from gradrace.bench.race.cases import Case, parse


class Contender(Struct, frozen=True):
    """One backend at one size."""

    case: Annotated[str, Meta(pattern="^[0-9]{1,16}x[0-9]{1,16}@[0-9]{1,16}$")]
    """Its `spec`, with the epochs of the case: 100x1@10000"""
    backend: Spec
    duplicate: bool = False
    """Whether it is an identical copy; the difference that it shows is the noise"""
    epochs: Count | None = None
    """Epochs per call, where a call of all epochs of the case would take too long"""
    calls: Count | None = None
    """Calls per timed block; None lets pytest-benchmark calibrate them in the first repetition"""
    repetitions: Repetitions = 10
    """Timed blocks per session"""
    block: Seconds = 0.0
    """Seconds that a block took in the trial"""
    precision: str = ""
    """What it must declare to compute in, as it did before; empty if that is not known yet"""

    @property
    def job(self) -> Case:
        """The case with the number of epochs that this one runs."""
        job = parse(self.case)
        return job if self.epochs is None else replace(job, epochs=self.epochs)

    @property
    def label(self) -> str:
        """The backend, and whether it is the duplicate."""
        return f"{self.backend} (A/A)" if self.duplicate else self.backend


class Turn(NamedTuple):
    """One timed block of a session."""

    repetition: int
    contender: Contender


def interleaved(contenders: Sequence[Contender], seed: str) -> Iterator[Turn]:
    """Yield the blocks of a session, repetition by repetition, in an order drawn from `seed`.

    In each repetition, the cases are shuffled, and so are the contenders of each case. A machine
    may change its speed many times a second, so the two contenders of a pair must run shortly after
    each other: the slow ones, which have fewer repetitions, all go first or all go last.
    """
    draw = random.Random(seed)
    most = max((one.repetitions for one in contenders), default=0)
    slots = _slots(most)
    for repetition in range(most):
        cases = list(dict.fromkeys(one.case for one in contenders))
        draw.shuffle(cases)
        for case in cases:
            field = [
                one
                for one in contenders
                if one.case == case and repetition in slots[: one.repetitions]
            ]
            draw.shuffle(field)
            field.sort(key=lambda one: one.repetitions, reverse=draw.random() < 0.5)
            yield from (Turn(repetition, one) for one in field)


def _slots(most: int) -> list[int]:
    """Return the repetitions in the order in which contenders with few repetitions use them.

    They are sorted by their reversed binary digits, so that the first few are always spread over
    all. Every contender uses the first ones, so its repetitions are a subset of those of any
    contender with more.
    """
    return sorted(range(most), key=lambda i: int(f"{i:032b}"[::-1], 2))


class Plan(Struct, frozen=True):
    """Everything that a session needs to know."""

    contenders: tuple[Contender, ...]
    seed: str
    budget: float | None = None
    """Seconds that a call may take; slower contenders run fewer epochs. None for no limit."""
    longest: float = MOST_SECONDS
    """Seconds that a call of one epoch may take; slower ones are not timed."""
    exact: str | None = None
    """A folder with the exact sums of the samples; without it, they are computed again."""

    def write(self, path: Path) -> None:
        """Write the plan as JSON."""
        write_bytes(path, msgspec.json.encode(self))

    @staticmethod
    def read(path: Path) -> "Plan":
        """Read what `write` wrote."""
        return msgspec.json.decode(path.read_bytes(), type=Plan)
