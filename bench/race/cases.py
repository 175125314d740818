"""The problems that are raced, named by their size: 100x1 has 100 samples of one feature."""

import math
import re
from collections.abc import Iterable
from typing import Annotated

from msgspec import Meta, Struct
from msgspec.structs import force_setattr

from gradrace.backends.interface import MOST_EPOCHS, InputValueError
from gradrace.bench.data.samples import (
    REFERENCE_EPOCHS,
    REFERENCE_LR,
    Dataset,
    reference_line,
    synthetic,
)
from gradrace.bench.machine.ranges import Count
from gradrace.bench.options import number

_POINTS = 5_000_000  # n(d + 1)·epochs of one call: some milliseconds of compiled code
_FEWEST = 5  # epochs
_ENOUGH = 1_000  # least epochs, so that the setup of a call does not decide the race
_EXACT = 200_000  # (d + 2)²·epochs: a fraction of a second of exact arithmetic
_NAME = re.compile(r"([\d.e+]+)x([\d.e+]+)(?:@([\d.e+]+))?")


class Case(Struct, frozen=True):
    """One training job: `epochs` updates at the rate `lr` on n samples of d features."""

    n: Count
    d: Count
    lr: Annotated[float, Meta(gt=0)]
    epochs: Count
    name: str = ""
    """The case as test parameter and in result files: 100x1"""
    chosen: bool = False
    """Whether somebody asked for this number of epochs; then it is that of a training run"""

    def __post_init__(self) -> None:
        """Set the name."""
        force_setattr(self, "name", f"{self.n}x{self.d}")

    @property
    def size(self) -> str:
        """The size for people: 1,000 × 10."""
        return f"{self.n:,} × {self.d:,}"

    @property
    def spec(self) -> str:
        """The name with the epochs, as `parse` takes it: 100x1@10000."""
        return f"{self.name}@{self.epochs}"

    @property
    def data_bytes(self) -> int:
        """The size of X and y in float64."""
        return 8 * self.n * (self.d + 1)

    def samples(self) -> Dataset:
        """Return the reference line for 100 × 1, synthetic data otherwise."""
        if (self.n, self.d) == (REFERENCE.n, REFERENCE.d):
            return reference_line()
        return synthetic(self.n, self.d)


REFERENCE = Case(100, 1, REFERENCE_LR, REFERENCE_EPOCHS)


def make_case(n: int, d: int, epochs: int | None = None) -> Case:
    """Return the case of n samples and d features.

    100 × 1 is the reference line with α = 0.005. The others are synthetic; α is a tenth of their
    `stable_limit`, or 5/epochs of it if that is less: so descent still moves in the last epoch, and
    a backend that stops early is noticed. The default of the epochs makes n(d + 1)·epochs about
    5 · 10⁶, at most 10,000 and at least 1,000; with many features only as many as exact
    arithmetic can bear, but at least 5. Slow backends make fewer.

    Raises:
        InputValueError: n, d or epochs below 1, or more epochs than 10¹⁵.

    """
    for name, value in (("n", n), ("d", d), ("epochs", 1 if epochs is None else epochs)):
        if not 1 <= value <= MOST_EPOCHS:
            raise InputValueError(f"{name}: must be from 1 to {MOST_EPOCHS:,}, got {value}")
    chosen = epochs is not None
    if epochs is None:
        least = max(min(_ENOUGH, _EXACT // (d + 2) ** 2), _FEWEST)
        epochs = min(max(_POINTS // (n * (d + 1)), least), REFERENCE_EPOCHS)
    reference = (n, d) == (REFERENCE.n, REFERENCE.d)
    lr = min(0.1, 5 / epochs) * stable_limit(n, d)
    return Case(n, d, REFERENCE_LR if reference else lr, epochs, chosen=chosen)


def stable_limit(n: int, d: int) -> float:
    """Return about the largest stable rate on `data.synthetic`, whose λmax is 2(1 + √(d/n))²."""
    return 1 / (1 + math.sqrt(d / n)) ** 2


def parse(text: str) -> Case:
    """Return the case of a name, 100x1, or of a name with epochs, 100x1@500 or 1e5x8@2e3.

    Raises:
        InputValueError: the text does not have this form, or as `make_case`.

    """
    found = _NAME.fullmatch(text)
    parts = [number(part) for part in found.groups() if part] if found else [None]
    numbers = [part for part in parts if isinstance(part, int)]
    if len(numbers) < len(parts):
        raise InputValueError(
            f"case: needs SAMPLESxFEATURES, like 100x1 or 1e5x8@2000, got {text!r}"
        )
    return make_case(*numbers)


def grid(sizes: Iterable[int], features: Iterable[int], epochs: int | None = None) -> list[Case]:
    """Return a case for every size and number of features, in order of d, then n, each once."""
    pairs = sorted({(d, n) for n in sizes for d in features})
    return [make_case(n, d, epochs) for d, n in pairs]


QUICK = [*grid((100, 100_000), (1,)), *grid((100, 10_000), (10,))]
FULL = [
    job
    for job in grid((100, 1_000, 10_000, 100_000, 1_000_000), (1, 10, 100))
    if job.n * job.d <= 10_000_000  # values that plain Python passes over in seconds
]
