"""How the time of an epoch grows: with n, with d where n·d stays the same, and with the threads.

One race per number of threads, each a result file of its own: scale-1.json, scale-2.json, … The
exponents are those of t ∝ nᵖ, fitted to the logarithms of the medians by least squares, over the
sizes at which an epoch takes at least three times as long as at the smallest.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import combinations, pairwise
from math import exp, log
from pathlib import Path
from statistics import linear_regression

from bench import inference, machine, race
from bench.cases import Case, make_case
from bench.race import Race
from bench.results import Content
from bench.settings import QUICK_SETTINGS, Settings

SIZES = tuple(10**power for power in range(8))
FEATURES = (1, 10, 100, 1_000)
NUMBERS = 1_000_000
"""n·d where d grows."""
THREADED = ("numpy", "numba-simd", "numba-parallel")
"""What is raced on more than one thread; `numba-simd` for comparison."""

_GROWN = 3.0

Progress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class Exponent:
    """t ∝ nᵖ for one backend."""

    backend: str
    power: float
    start: int
    """The smallest n that was used."""


@dataclass(frozen=True)
class Crossover:
    """Below `n` samples `before` is the faster one, above it `after` is."""

    before: str
    after: str
    n: float


def cases(sizes: Sequence[int] = SIZES, features: Sequence[int] = FEATURES) -> tuple[Case, ...]:
    """Return one feature at every size, and n·d = 10⁶ with every number of features."""
    pairs = {(1, n) for n in sizes} | {(d, NUMBERS // d) for d in features}
    return tuple(make_case(n, d) for d, n in sorted(pairs))


def study(
    folder: Path,
    base: Settings = QUICK_SETTINGS,
    chosen: Sequence[Case] | None = None,
    on_progress: Progress = lambda _doing, _done, _all: None,
) -> list[Race]:
    """Race with one thread, then with two, four, …, as many as there are cores.

    After Ctrl-C the last race is the one that it interrupted.

    Raises:
        InputValueError: as `Settings.resolved`.
        OSError: the folder cannot be written to.

    """
    races: list[Race] = []
    chosen = tuple(cases() if chosen is None else chosen)
    for threads in thread_counts(len(machine.affinity())):
        settings = replace(
            base, kind="scale", cases=chosen, threads=threads,
            backends=() if threads == 1 else THREADED,
        )  # fmt: skip
        races.append(race.measure(folder / f"scale-{threads}.json", settings, on_progress))
        if races[-1].interrupted:
            break
    return races


def thread_counts(cores: int) -> list[int]:
    """Return 1, 2, 4, … and all cores."""
    return sorted({min(2**power, cores) for power in range(cores.bit_length() + 1)})


def exponents(content: Content) -> list[Exponent]:
    """Return how each backend's time grows with n, for one feature."""
    found = []
    for backend, points in _lines(content).items():
        grown = [(n, time) for n, time in points if time > _GROWN * points[0][1]]
        if len(grown) > 1:
            fit = linear_regression(*zip(*((log(n), log(time)) for n, time in grown), strict=True))
            found.append(Exponent(backend, fit.slope, grown[0][0]))
    return found


def crossovers(content: Content) -> list[Crossover]:
    """Return where one backend overtakes another, for one feature, by straight lines in log-log."""
    found = []
    for (first, line), (second, other) in combinations(_lines(content).items(), 2):
        times = dict(other)
        gaps = [(log(n), log(time / times[n])) for n, time in line if n in times]
        for (x0, gap0), (x1, gap1) in pairwise(gaps):
            if gap0 * gap1 < 0 and max(abs(gap0), abs(gap1)) > log(1 + inference.LEAST_EFFECT):
                before, after = (second, first) if gap0 > 0 else (first, second)
                n = exp(x0 + (x1 - x0) * gap0 / (gap0 - gap1))
                found.append(Crossover(before, after, n))
    return sorted(found, key=lambda crossover: crossover.n)


def _lines(content: Content) -> dict[str, list[tuple[int, float]]]:
    """Return backend → (n, median seconds per epoch), in order of n, for one feature."""
    lines: dict[str, list[tuple[int, float]]] = {}
    for case in sorted(content["gradrace"]["cases"], key=lambda case: case["n"]):
        for row in case["arms"]:
            if case["d"] == 1:
                lines.setdefault(row["backend"], []).append((case["n"], row["time"]["median"]))
    return lines
