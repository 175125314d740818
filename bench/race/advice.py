"""Which backend suits a job? Times of a result file, carried over to another size.

Between measured sizes, the time of an epoch is interpolated linearly in n for every d, and then
linearly in d, because a pass over the data costs a + bn + cd + e·nd. The range also covers linear
interpolation of the logarithms, and the 95 % intervals of the surrounding measurements. Beyond the
largest size, it covers everything from growth as between the last two sizes to growth in proportion
to the size; below the smallest size, everything from a time in proportion to the same time.

Real machines are less smooth: data outgrow a cache, and vector units suit some numbers of features
better than others. So at a size that was not measured, the range is a quarter wider, or wider by
the median error of predicting each measured size from the others, whichever is more.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import exp, log
from pathlib import Path
from statistics import median
from typing import Literal

from gradrace.backends.interface import InputValueError
from gradrace.bench.race import results
from gradrace.bench.race.precision import precision_of
from gradrace.bench.race.schema import CaseFindings
from gradrace.bench.race.statistics import Estimate, break_even

FARTHEST = 10.0
"""How many times beyond the measured sizes a job may be."""


_LEAST_SLACK = 1.25
_SETUP_ERROR = 0.2  # relative uncertainty of the setup time, which is measured once
LEAST_TIME = 1e-12
"""Seconds; a setup of less counts as none."""


@dataclass(frozen=True)
class Option:
    """What a job would take with one backend, in seconds."""

    backend: str
    precision: str
    setup: float
    """Of each run, before its first epoch; 0 if it is not noticeable."""
    epoch: Estimate
    """Per epoch."""
    steady: Estimate
    """All runs, once everything is compiled."""
    cached: float
    """What loading compiled code from the cache adds to the first run; 0 if nothing compiles."""
    cold: float
    """What compiling adds to the first run."""


@dataclass(frozen=True)
class Advice:
    """The options for a job, ordered by their time once everything is compiled."""

    n: int
    d: int
    epochs: int
    runs: int
    options: list[Option]
    extrapolated: str
    """What lies outside the measured sizes; empty if nothing does."""
    measured: bool
    """Whether this very size was measured."""

    @property
    def best(self) -> Option:
        """The fastest once everything is compiled."""
        return self.options[0]

    @property
    def best_cold(self) -> Option:
        """The fastest if everything must be compiled first."""
        return min(self.options, key=lambda option: option.steady.value + option.cold)

    @property
    def best_cached(self) -> Option:
        """The fastest in a fresh process whose machine code is in the cache."""
        return min(self.options, key=lambda option: option.steady.value + option.cached)

    def overtakes(self, option: Option, other: Option, extra: float) -> int | None:
        """Return after how many runs `option`, which starts `extra` seconds late, is ahead."""
        run, rival = option.steady.value / self.runs, other.steady.value / self.runs
        return break_even(run + extra, run, rival)


def advise(path: Path, *, n: int, d: int, epochs: int, runs: int = 1) -> Advice:
    """Return what `runs` trainings of `epochs` epochs on n samples of d features would take.

    Raises:
        InputValueError: the file is not a result file or has no times, a number is below 1, or a
            size is more than ten times beyond what was measured.
        OSError: the file cannot be read.

    """
    for name, value in (("n", n), ("d", d), ("epochs", epochs), ("runs", runs)):
        if value < 1:
            raise InputValueError(f"{name}: must be at least 1, got {value}")
    about = results.read(path)["gradrace"]
    cases = [case for case in about["cases"] if case["arms"]]
    if not cases:
        raise InputValueError(f"{path}: nothing was timed in that run")
    outside = _outside(path, cases, n, d)
    extra = {entry["backend"]: entry for entry in about["compile"]}
    options = []
    for name in dict.fromkeys(row["backend"] for case in cases for row in case["arms"]):
        points = _points(cases, name)
        epoch = _at(points, n, d)
        if epoch is None:
            continue
        setup = _setup(cases, name, n, d)
        if n not in dict(points.get(d, ())):
            slack = max(_LEAST_SLACK, _surprise(points))
            epoch, setup = _widened(epoch, slack), _widened(setup, slack)
        passes = epochs + 1
        steady = Estimate(
            runs * (setup.value + passes * epoch.value),
            runs * (setup.low + passes * epoch.low),
            runs * (setup.high + passes * epoch.high),
        )
        compiles = extra.get(name)
        cached, cold = (compiles["cached"], compiles["cold"]) if compiles else (0.0, 0.0)
        precision = precision_of(about, name)
        options.append(Option(name, precision, setup.value, epoch, steady, cached, cold))
    options.sort(key=lambda option: option.steady.value)
    measured = any((case["n"], case["d"]) == (n, d) for case in cases)
    return Advice(n, d, epochs, runs, options, outside, measured)


def advise_from(folder: Path, *, n: int, d: int, epochs: int, runs: int = 1) -> tuple[Path, Advice]:
    """Return the newest result in a folder or below that covers the job, and the advice from it.

    Only results of this machine count.

    Raises:
        InputValueError: there is none.

    """
    reasons = []
    for path in results.of_this_machine(folder):
        try:
            return path, advise(path, n=n, d=d, epochs=epochs, runs=runs)
        except InputValueError as error:
            reasons.append(str(error))
    none = f"{folder}: holds no result of a race on this machine"
    raise InputValueError(f"{[*reasons, none][0]}; --measure races your job")


def _outside(path: Path, cases: list[CaseFindings], n: int, d: int) -> str:
    """Return in words what is outside the measured sizes; raise if it is far outside."""
    found = []
    measured = {"n": [case["n"] for case in cases], "d": [case["d"] for case in cases]}
    for (name, sizes), value in zip(measured.items(), (n, d), strict=True):
        low, high = min(sizes), max(sizes)
        if not low / FARTHEST <= value <= high * FARTHEST:
            raise InputValueError(
                f"{name} = {value:,}: too far from what {path} measured, {low:,} to {high:,}"
            )
        if not low <= value <= high:
            found.append(f"{name} = {value:,} is outside the measured range, {low:,} to {high:,}")
    return "; ".join(found)


_Point = tuple[int, Estimate]


def _setup(cases: list[CaseFindings], backend: str, n: int, d: int) -> Estimate:
    """Return the seconds that a call takes before its first epoch."""
    if not any(row["setup"] for case in cases for row in case["arms"] if row["backend"] == backend):
        return Estimate(0.0, 0.0, 0.0)
    return _at(_points(cases, backend, "setup"), n, d) or Estimate(0.0, 0.0, 0.0)


def _widened(estimate: Estimate, slack: float) -> Estimate:
    return Estimate(estimate.value, estimate.low / slack, estimate.high * slack)


def _points(
    cases: list[CaseFindings], backend: str, what: Literal["setup", "per_pass"] = "per_pass"
) -> dict[int, list[_Point]]:
    """Return d → (n, seconds per epoch, or of the `setup` of a call), in order of n."""
    found: dict[int, list[_Point]] = {}
    for case in sorted(cases, key=lambda case: (case["d"], case["n"])):
        for row in case["arms"]:
            if row["backend"] == backend:
                interval, center = row["time"]["interval"], row["time"]["median"]
                time = max(row[what], LEAST_TIME)
                low = time * (interval["low"] or center / _LEAST_SLACK) / center
                high = time * (interval["high"] or center * _LEAST_SLACK) / center
                if (
                    what == "per_pass"
                ):  # the small difference of two times if a call spends most of its time setting up
                    unsure = _SETUP_ERROR * row["setup"] / (row["epochs"] + 1)
                    low, high = max(low - unsure, LEAST_TIME), high + unsure
                found.setdefault(case["d"], []).append(
                    (case["n"], Estimate(time, min(low, time), max(high, time)))
                )
    return found


def _at(levels: dict[int, list[_Point]], n: int, d: int) -> Estimate | None:
    """Return the seconds per epoch at (n, d); None where a backend was measured far from there."""
    near = [
        (level, _along(points, n))
        for level, points in levels.items()
        if points[0][0] / FARTHEST <= n <= points[-1][0] * FARTHEST
    ]
    if not near or not near[0][0] / FARTHEST <= d <= near[-1][0] * FARTHEST:
        return None
    return _along(near, d)


def _surprise(levels: dict[int, list[_Point]]) -> float:
    """Return the median factor by which a size differs from what those around it predict."""
    found = []
    for points in levels.values():
        for i in range(1, len(points) - 1):
            n, time = points[i]
            found.append(_along(points[:i] + points[i + 1 :], n).value / time.value)
    for d in sorted(levels)[1:-1]:
        others = {level: points for level, points in levels.items() if level != d}
        for n, time in levels[d]:
            guess = _at(others, n, d)
            if guess is not None:
                found.append(guess.value / time.value)
    return median(max(ratio, 1 / ratio) for ratio in found) if found else 1.0


def _along(points: Sequence[_Point], x: int) -> Estimate:
    """Return the time at x from the times at other places, in increasing order."""
    (first, start), (last, end) = points[0], points[-1]
    if x <= first:  # between proportional and constant
        share = x / first
        value = share * start.value
        if len(points) > 1:
            value = max(value, _line(points[0], points[1], x))
        return Estimate(min(value, start.value), share * start.low, start.high)
    if x >= last:
        share = x / last
        value, slope = share * end.value, 0.0
        if len(points) > 1:
            value = min(value, max(end.value, _line(points[-2], points[-1], x)))
            slope = log(end.value / points[-2][1].value) / log(last / points[-2][0])
        return Estimate(value, end.low * share ** min(max(slope, 0.0), 1.0), share * end.high)
    left, right = next(pair for pair in pairwise(points) if pair[0][0] <= x <= pair[1][0])
    value, other = _line(left, right, x), _power(left, right, x)
    low = min(side[1].low / side[1].value for side in (left, right))
    high = max(side[1].high / side[1].value for side in (left, right))
    return Estimate(value, min(value, other) * low, max(value, other) * high)


def _line(left: _Point, right: _Point, x: int) -> float:
    """Return the straight line through two points."""
    share = (x - left[0]) / (right[0] - left[0])
    return left[1].value + share * (right[1].value - left[1].value)


def _power(left: _Point, right: _Point, x: int) -> float:
    """Return the straight line through the logarithms of two points."""
    share = log(x / left[0]) / log(right[0] / left[0])
    return left[1].value * exp(share * log(right[1].value / left[1].value))
