"""Small problems made to expose mistakes.

A single easy problem hides them. A loop that forgets the samples after the last whole block is
right if there are none; a loop with a hard-coded rate is right if that happens to be the rate asked
for. On the problems of the `suite`, such loops fail. They take a backend about a second.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import numpy as np

from gradrace.backends.interface import Floats
from gradrace.bench.data.samples import synthetic


@dataclass(frozen=True, eq=False)
class Problem:
    """A training job: `epochs` updates at the rate lr from (w0, b0), recording every `every`-th."""

    name: str
    """What a verdict calls it; empty for the job that a verdict is about."""
    X: Floats = field(repr=False)
    y: Floats = field(repr=False)
    lr: float
    epochs: int
    w0: Floats | None = None
    """None for zeros; then b0 and every are not passed to `train` either."""
    b0: float = 0.0
    every: int = 1
    pieces: bool = False
    """Whether predict, loss, gradients and update are also checked at (w0, b0)."""
    prepared: Any = None
    """What `prepare` would return, if the samples are not in memory; then X and y have no rows."""
    size: int = 0
    """How many samples these are."""

    @property
    def n(self) -> int:
        """The number of samples."""
        return self.size or len(self.y)


_TAILS = {1: range(1, 41), 2: (1, 2, 3, 5, 8, 13, 19, 31), 3: (2, 4, 7, 11, 17, 23, 37)}
"""Features: numbers of samples that do not fill blocks of up to 32."""
_BLOCKS = {
    1: [2**k + more for k in range(6, 12) for more in (-1, 0, 3)],
    2: [63, 64, 129, 257, 515, 1_027, 4_099, 65_539],
    13: [127, 256, 1_027, 8_209],
}
"""Features: numbers of samples just below, at and just above the sizes of blocks."""
_LARGE_BLOCKS = [2**k + 3 for k in range(12, 19)]  # 65,539 and 262,147 are prime
_WIDE = (4, 5, 7, 8, 9, 12, 16, 17, 24, 31, 33, 47, 65, 71, 100, 127, 131, 257)
"""Numbers of features around the sizes of register blocks, and beyond."""
_THINNED = [(0, 1), (0, 3), (1, 1), (1, 2), (2, 2), (6, 3), (7, 3), (5, 9), (12, 1), (300, 7)]
"""Pairs of epochs and `every`, which is 1, a divisor of the epochs, or neither."""
_CALLS = 40


@cache
def properties() -> dict[str, tuple[Problem, ...]]:
    """Return what every backend must get right → the problems that show whether it does."""
    return {
        "sizes that do not fill blocks": (*_tails(), *_blocks()),
        "many features": tuple(_wide()),
        "a given start, and only some epochs": tuple(_thinned()),
        "columns of unlike size, zeros, large rates": tuple(_odd()),
        "divergence": tuple(_diverging()),
        "data at both ends of float64": tuple(_ends()),
        "many calls": tuple(_again()),
    }


@cache
def suite() -> tuple[Problem, ...]:
    """Return the problems that every backend must solve before it may race."""
    return tuple(problem for group in properties().values() for problem in group)


def _tails() -> Iterator[Problem]:
    for d, sizes in _TAILS.items():
        for n in sizes:
            yield _problem(n, d, epochs=2, pieces=n % 8 == 3)


def _blocks() -> Iterator[Problem]:
    for d, sizes in _BLOCKS.items():
        for n in sizes:
            yield _problem(n, d, epochs=1)
    for n in _LARGE_BLOCKS:
        yield _problem(n, 1, epochs=1)
    yield _problem(65_539, 10, epochs=3, every=2)


def _wide() -> Iterator[Problem]:
    for d in _WIDE:
        yield _problem(d + 6, d, epochs=1, pieces=d in (17, 131))
        if d < 50:
            yield _problem(1 + d // 2, d, epochs=2)  # more features than samples


def _thinned() -> Iterator[Problem]:
    for epochs, every in _THINNED:
        yield _problem(23, 2, epochs, every)
    yield _problem(131, 3, epochs=40, every=7)
    yield _problem(3, 1, epochs=10_007, every=1_000)


def _odd() -> Iterator[Problem]:
    """Yield problems that are special in something other than size or schedule."""
    few = _problem(19, 3, epochs=9)
    scaled = few.X * np.array([1e-6, 1e3, 1.0])
    yield _of(few, "with columns of unlike size", scaled, few.y, lr=1e-7)
    blank = few.X * np.array([1.0, 0.0, 1.0])
    yield _of(few, "with a column of zeros", blank, few.y, lr=few.lr)
    yield _of(few, "with targets of 0", few.X, np.zeros(19), lr=few.lr)
    many = _problem(1_201, 2, epochs=9)
    yield _of(many, "at a large rate", many.X, many.y, lr=0.87654321)
    yield Problem("on 19 × 3 from zero", few.X, few.y, few.lr, 9)


def _diverging() -> Iterator[Problem]:
    few = _problem(19, 3, epochs=9)
    yield _of(few, "that diverges", few.X, few.y, lr=40.0, epochs=200)


def _ends() -> Iterator[Problem]:
    """Yield samples whose squares are close to the largest and to the smallest float64."""
    few = _problem(19, 3, epochs=9)
    for words, scale in (("of about 10¹⁵⁰", 2.0**500), ("of about 10⁻¹⁵⁰", 2.0**-500)):
        lr = few.lr / scale / scale
        yield _of(few, words, few.X * scale, few.y * scale, lr=lr)


def _again() -> Iterator[Problem]:
    """Yield many starts and rates, alternating between two data sets, in case calls keep state."""
    first, second = _problem(29, 2, epochs=3), _problem(29, 3, epochs=3)
    for call in range(1, _CALLS + 1):
        like = first if call % 2 else second
        w0, b0 = np.linspace(-1, 1, like.X.shape[1]) + call / 64, like.b0 - call / 64
        lr = like.lr * (1 + call / 4096)
        yield Problem(f"{like.name}, call {call}", like.X, like.y, lr, 3, w0, b0)


def _problem(n: int, d: int, epochs: int, every: int = 1, *, pieces: bool = False) -> Problem:
    """Return n samples of d features, with a start and a rate that no loop hard-codes."""
    rng = np.random.default_rng([n, d, epochs, every])
    data = synthetic(n, d, seed=n + d)
    lr = float(rng.uniform(0.02, 0.04)) / (1 + d / n)
    w0, b0 = rng.uniform(-1, 1, d), float(rng.uniform(-1, 1))
    name = f"on {n:,} × {d:,}, {epochs:,} epoch{'s' * (epochs != 1)}" + (
        f", every = {every:,}" if every > 1 else ""
    )
    return Problem(name, data.X, data.y, lr, epochs, w0, b0, every, pieces)


def _of(like: Problem, what: str, X: Floats, y: Floats, lr: float, epochs: int = 9) -> Problem:
    n, d = X.shape
    return Problem(f"on {n:,} × {d:,} {what}", X, y, lr, epochs, like.w0, like.b0)
