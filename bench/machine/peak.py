"""How fast this machine reads, from caches and from memory, and how fast it multiplies and adds.

The loops are as simple as possible: a sum, a dot product, a polynomial. No training loop can be
faster than they are. `roofline.py` runs them in a separate process.
"""

from collections.abc import Callable
from timeit import default_timer
from typing import NamedTuple

import numpy as np
from numba import njit, prange

from gradrace.backends.interface import Floats
from gradrace.bench.machine import facts
from gradrace.bench.machine.roofline import Roofline

_SMALLEST, _LARGEST = 2**14, 2**28  # bytes of a working set
_LAST_CACHE = 2**25  # bytes, where the system does not say
_REPEATS = 5
_LONG = 0.002  # seconds of one timed call
_TERMS = 16  # multiply-adds per number, so that they take most of the time


def measure(threads: int) -> Roofline:
    """Measure on one core and on `threads`; the two best repetitions count."""
    caches = facts.machine_info().caches
    largest = min(4 * max(caches.values(), default=_LAST_CACHE), _LARGEST)
    sizes = [_SMALLEST]
    while sizes[-1] < largest:
        sizes.append(2 * sizes[-1])
    counts = sorted({1, threads})
    numbers, small = _aligned(sizes[-1] // 8, 1.0), _aligned(512, 0.5)
    read: dict[int, list[list[float]]] = {count: [[] for _ in sizes] for count in counts}
    fma: dict[int, list[float]] = {count: [] for count in counts}
    for kernel in _KERNELS:
        for count in counts:
            kernel(small, 1, count)  # compiles
    for _ in range(_REPEATS):  # in turn, because the machine may change its speed in between
        for count in counts:
            for i, size in enumerate(sizes):
                rates = [_rate(kernel, numbers[: size // 8], count) for kernel in _KERNELS[:2]]
                read[count][i].append(size * max(rates))
            per_pass = count * _TERMS * len(small)
            fma[count].append(per_pass * _rate(_KERNELS[2], small, count))
    return Roofline(
        sizes=sizes,
        read={str(count): [max(rates) for rates in found] for count, found in read.items()},
        read_again={str(count): list(map(_second, found)) for count, found in read.items()},
        fma={str(count): max(rates) for count, rates in fma.items()},
        fma_again={str(count): _second(rates) for count, rates in fma.items()},
        caches=caches,
    )


def _second(rates: list[float]) -> float:
    return sorted(rates)[-2]


def _aligned(length: int, value: float) -> Floats:
    """Return an array that starts on a cache line, so that no vector spans two."""
    buffer = np.full(length + 8, value)
    start = -(buffer.ctypes.data // 8) % 8
    return buffer[start : start + length]


def _rate(kernel: "_Kernel", x: Floats, count: int) -> float:
    """Return the passes per second of a kernel on `count` threads, from a call of a few ms."""
    passes = 1
    while True:
        start = default_timer()
        kernel(x, passes, count)
        seconds = default_timer() - start
        if seconds >= _LONG:
            return passes / seconds
        passes = max(2 * passes, int(1.2 * passes * _LONG / max(seconds, 1e-6)))


_REORDER = {"reassoc", "contract", "nsz"}


@njit(cache=True, fastmath=_REORDER)
def _sum(x: Floats, passes: int) -> float:
    """Add up x, many times."""
    total = 0.0
    for _ in range(passes):
        for i in range(len(x)):
            total += x[i]
    return total


@njit(cache=True, fastmath=_REORDER)
def _dot(x: Floats, passes: int) -> float:
    """Multiply the halves of x, many times: two streams, as X and y of one feature are."""
    half, total = len(x) // 2, 0.0
    left, right = x[:half], x[half : 2 * half]
    for _ in range(passes):
        for i in range(half):
            total += left[i] * right[i]
    return total


@njit(cache=True, fastmath={"contract"})
def _horner(x: Floats, passes: int) -> float:
    """Evaluate a polynomial of 16 terms at every xᵢ, many times; return the last value."""
    values = np.empty(len(x))
    for _ in range(passes):
        for i in range(len(x)):
            value = x[i]
            for _ in range(_TERMS):
                value = value * x[i] + 0.5
            values[i] = value
    return float(values[-1])


@njit(cache=True, parallel=True)
def _sums(x: Floats, passes: int, results: Floats) -> None:
    count, n = len(results), len(x)
    for t in prange(count):
        results[t, 0] = _sum(x[n * t // count : n * (t + 1) // count], passes)


@njit(cache=True, parallel=True)
def _dots(x: Floats, passes: int, results: Floats) -> None:
    count, n = len(results), len(x)
    for t in prange(count):
        results[t, 0] = _dot(x[n * t // count : n * (t + 1) // count], passes)


@njit(cache=True, parallel=True)
def _horners(x: Floats, passes: int, results: Floats) -> None:
    for t in prange(len(results)):
        results[t, 0] = _horner(x, passes)


class _Kernel(NamedTuple):
    """One loop for one thread, and the same for several; with one, no other threads may wait."""

    alone: Callable[[Floats, int], float]
    shared: Callable[[Floats, int, Floats], None]

    def __call__(self, x: Floats, passes: int, count: int) -> None:
        if count == 1:
            self.alone(x, passes)
        else:
            self.shared(x, passes, np.empty((count, 8)))  # a cache line each


_KERNELS = (_Kernel(_sum, _sums), _Kernel(_dot, _dots), _Kernel(_horner, _horners))
