"""What a timing session does: the arms, their calls and repetitions, and the order of blocks."""

import json
import random
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import NamedTuple

from gradrace.bench.data.files import write_bytes
from gradrace.bench.race.cases import Case, parse


@dataclass(frozen=True)
class Arm:
    """One backend on one case."""

    case: str
    """Its `spec`, with the epochs of the case: 100x1@10000."""
    backend: str
    duplicate: bool = False
    """Whether it is an identical copy; the difference that it shows is the noise, the A/A floor."""
    epochs: int | None = None
    """Epochs per call, where a call of all epochs of the case would take too long."""
    calls: int | None = None
    """Calls per timed block; None lets pytest-benchmark calibrate them in the first repetition."""
    repetitions: int = 10
    """Timed blocks per session."""
    block: float = 0.0
    """Seconds that a block took in the trial."""
    precision: str = ""
    """What it must declare to compute in, as it did before; empty if that is not known yet."""

    @property
    def job(self) -> Case:
        """The case with the number of epochs that this arm runs."""
        job = parse(self.case)
        return job if self.epochs is None else replace(job, epochs=self.epochs)

    @property
    def label(self) -> str:
        """The backend, and whether it is the duplicate."""
        return f"{self.backend} (A/A)" if self.duplicate else self.backend


class Block(NamedTuple):
    """One timed block of a session."""

    repetition: int
    arm: Arm


def interleaved(arms: Sequence[Arm], seed: str) -> Iterator[Block]:
    """Yield the blocks of a session, repetition by repetition, in an order drawn from `seed`.

    In each repetition, the cases are shuffled, and so are the arms of each case. A machine may
    change its speed many times a second, so the two arms of a pair must run shortly after each
    other: the slow arms, which have fewer repetitions, all go first or all go last.
    """
    draw = random.Random(seed)
    most = max((arm.repetitions for arm in arms), default=0)
    slots = _slots(most)
    for repetition in range(most):
        cases = list(dict.fromkeys(arm.case for arm in arms))
        draw.shuffle(cases)
        for case in cases:
            field = [
                arm for arm in arms if arm.case == case and repetition in slots[: arm.repetitions]
            ]
            draw.shuffle(field)
            field.sort(key=lambda arm: arm.repetitions, reverse=draw.random() < 0.5)
            yield from (Block(repetition, arm) for arm in field)


def _slots(most: int) -> list[int]:
    """Return the repetitions in the order in which arms with few repetitions use them.

    They are sorted by their reversed binary digits, so that the first few are always spread over
    all. Every arm uses the first ones, so the repetitions of an arm are a subset of those of any
    arm with more.
    """
    return sorted(range(most), key=lambda i: int(f"{i:032b}"[::-1], 2))


@dataclass(frozen=True)
class Plan:
    """Everything that a session needs to know."""

    arms: tuple[Arm, ...]
    seed: str
    budget: float | None = None
    """Seconds that a call may take; slower arms run fewer epochs. None for no limit."""
    longest: float = float("inf")
    """Seconds that a call of one epoch may take; slower arms are not timed."""
    exact: str | None = None
    """A folder with the exact sums of the samples; without it, they are computed again."""

    def write(self, path: Path) -> None:
        """Write the plan as JSON."""
        write_bytes(path, json.dumps(asdict(self)).encode())

    @staticmethod
    def read(path: Path) -> "Plan":
        """Read what `write` wrote."""
        content = json.loads(path.read_text(encoding="utf-8"))
        return Plan(**{**content, "arms": tuple(Arm(**arm) for arm in content["arms"])})
