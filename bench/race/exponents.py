"""How the time grows with n: the exponent of each backend, and where one overtakes another."""

from dataclasses import dataclass
from itertools import combinations, pairwise
from math import exp, log
from statistics import linear_regression

from gradrace.bench.race import statistics
from gradrace.bench.race.schema import ResultFile

_LEAST_GROWTH = 3.0
"""How many times as long as at the smallest n an epoch takes, at least, where n counts."""


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


def exponents(content: ResultFile) -> list[Exponent]:
    """Return how each backend's time grows with n, for one feature."""
    found = []
    for backend, points in _lines(content).items():
        grown = [(n, time) for n, time in points if time > _LEAST_GROWTH * points[0][1]]
        if len(grown) > 1:
            fit = linear_regression(*zip(*((log(n), log(time)) for n, time in grown), strict=True))
            found.append(Exponent(backend, fit.slope, grown[0][0]))
    return found


def crossovers(content: ResultFile) -> list[Crossover]:
    """Return where one backend overtakes another, for one feature, by straight lines in log-log."""
    found = []
    for (first, line), (second, other) in combinations(_lines(content).items(), 2):
        times = dict(other)
        gaps = [(log(n), log(time / times[n])) for n, time in line if n in times]
        for (x0, gap0), (x1, gap1) in pairwise(gaps):
            if gap0 * gap1 < 0 and max(abs(gap0), abs(gap1)) > log(1 + statistics.LEAST_EFFECT):
                before, after = (second, first) if gap0 > 0 else (first, second)
                n = exp(x0 + (x1 - x0) * gap0 / (gap0 - gap1))
                found.append(Crossover(before, after, n))
    return sorted(found, key=lambda crossover: crossover.n)


def _lines(content: ResultFile) -> dict[str, list[tuple[int, float]]]:
    """Return backend → (n, median seconds per epoch), in order of n, for one feature."""
    lines: dict[str, list[tuple[int, float]]] = {}
    for case in sorted(content["gradrace"]["cases"], key=lambda case: case["n"]):
        for row in case["arms"]:
            if case["d"] == 1:
                lines.setdefault(row["backend"], []).append((case["n"], row["time"]["median"]))
    return lines
