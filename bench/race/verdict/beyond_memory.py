"""What a job costs whose samples are too many for the memory: one pass, then the epochs."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numba
import numpy as np
import psutil

from gradrace import backends
from gradrace.backends.interface import InputValueError
from gradrace.bench.parts import Answer, Command, Note, Part, Result, counted
from gradrace.plots.numbers import seconds, short, three_digits

MEASURED_VALUES = 2**21  # X and y per thread on which the pass is measured, 16 MB
_PARTS = 4  # per thread
MOST_FEATURES = 2_000
_CALLS = 3


@dataclass(frozen=True, repr=False)
class BeyondMemory(Result):
    """The cost of a job that has to read its samples in parts; times were measured just now."""

    n: int
    d: int
    epochs: int
    backend: str
    """The one that reads samples in parts"""
    needed: int
    """Bytes of X and y as float64"""
    memory: int
    """Bytes of memory that this computer has"""
    threads: int
    measured: int
    """The samples on which the pass was measured, in memory"""
    seconds_of_pass: float
    """For n samples, without reading them"""
    seconds_of_epochs: float

    def parts(self, *, detail: bool = False) -> Iterator[Part]:  # noqa: ARG002 (this is all)
        """Yield which backend to use for these samples, and what that takes."""
        needed, memory = (three_digits(size / 1e9) for size in (self.needed, self.memory))
        name = short(self.backend)
        yield Answer(
            f"Use {name}: {self.n:,} × {self.d:,} takes {needed} GB as float64, and this computer "
            f"has {memory} GB of memory. {name} passes over the samples once, in parts, which "
            f"takes about {seconds(self.seconds_of_pass)} on {counted(self.threads, 'thread')}, "
            f"or as long as reading {needed} GB if that is longer. "
            f"{counted(self.epochs, 'epoch')} then take {seconds(self.seconds_of_epochs)}."
        )
        yield Note(
            f"The time of the pass was measured just now, on {self.measured:,} samples in memory."
        )
        yield Command(f"gradrace train FOLDER --backend {self.backend} --epochs {self.epochs}")


def bytes_needed(n: int, d: int) -> int:
    """Return how many bytes X and y take as float64."""
    return 8 * n * (d + 1)


def is_needed(n: int, d: int) -> bool:
    """Whether n samples of d features take more than half the memory of this computer."""
    return bytes_needed(n, d) > psutil.virtual_memory().total // 2


def cost(n: int, d: int, epochs: int) -> BeyondMemory:
    """Measure a pass over some samples in memory, and the epochs, and scale the pass to n samples.

    Raises:
        InputValueError: there are too many features, or the backend is not installed.

    """
    name = backends.for_large_data()
    backends.require(name)
    if d > MOST_FEATURES:
        raise InputValueError(f"d: must be at most {MOST_FEATURES:,}, got {d:,}")
    large: Any = backends.load(name)
    threads, rng = numba.get_num_threads(), np.random.default_rng(0)
    rows = max(threads * MEASURED_VALUES // (d + 1), 4 * d)
    X, y = rng.standard_normal((rows, d)), rng.standard_normal(rows)
    data = large.prepare(X, y, partitions=_PARTS * threads)
    sums = large.condense(data)
    large.train(sums, lr=1e-3, epochs=1)  # compiles
    return BeyondMemory(
        n,
        d,
        epochs,
        name,
        bytes_needed(n, d),
        psutil.virtual_memory().total,
        threads,
        rows,
        _seconds(lambda: large.condense(data)) / rows * n,
        _seconds(lambda: large.train(sums, lr=1e-3, epochs=min(epochs, 10_000), every=1_000))
        * max(1.0, epochs / 10_000),
    )


def _seconds(call: Callable[[], object]) -> float:
    best = float("inf")
    for _ in range(_CALLS):
        start = time.perf_counter()
        call()
        best = min(best, time.perf_counter() - start)
    return best
