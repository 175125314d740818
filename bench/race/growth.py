"""How the time of an epoch grows: with n, with d where n·d stays the same, and with the threads.

A preset of `run`: one race per number of threads, each a result file of its own: scale-1.json,
scale-2.json, … The exponents are those of t ∝ nᵖ, fitted to the logarithms of the medians by least
squares, over the sizes at which an epoch takes at least three times as long as at the smallest.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations, pairwise
from math import exp, log
from pathlib import Path
from statistics import linear_regression

from msgspec.structs import replace

from gradrace import backends
from gradrace.bench.machine import facts
from gradrace.bench.machine.progress import Progress, silent
from gradrace.bench.parts import Answer, Column, Figure, Heading, Note, Part, Result, Table
from gradrace.bench.race import run
from gradrace.bench.race.cases import Case, make_case
from gradrace.bench.race.settings import QUICK_SETTINGS, Settings
from gradrace.bench.race.verdict import statistics
from gradrace.bench.race.verdict.race import Race
from gradrace.bench.race.verdict.result import ResultFile
from gradrace.plots.numbers import short

SIZES = tuple(10**power for power in range(8))
FEATURES = (1, 10, 100, 1_000)
NUMBERS = 1_000_000
"""n·d in the cases where d grows"""
_LEAST_GROWTH = 3.0
"""How many times as long as at the smallest n an epoch takes, at least, where n counts."""


@dataclass(frozen=True, repr=False)
class Scaling(Result):
    """Races of the same sizes with more and more threads, that of one thread first."""

    races: list[Race]

    title = "How does the time grow with the job?"

    def parts(self, *, detail: bool = False) -> Iterator[Part]:
        """Yield how the time grows with n on one thread, then what each race says."""
        one = self.races[0]
        for crossover in crossovers(one.content):
            yield Answer(
                f"{short(crossover.after)} overtakes {short(crossover.before)} at n ≈ "
                f"{float(f'{crossover.n:.2g}'):,.0f}"
            )
        yield Heading("How does the time grow?")
        yield self.picture()
        rows = [
            (one.about.named(found.backend), f"∝ n^{found.power:.2f}", found.start)
            for found in exponents(one.content)
        ]
        yield Table([Column("backend"), Column("time per epoch*"), Column("from n =")], rows)
        yield Note("* the time of a call divided by its epochs, set-up included")
        for race in self.races:
            yield Heading(f"Threads: {race.about.settings.threads}")
            yield from race.parts(detail=detail)

    def picture(self) -> Figure:
        """Return scale.png."""
        from gradrace.plots import scale

        words = "Time against samples and features, and the speed-up by threads."
        contents = [race.content for race in self.races]
        return Figure("scale", words, lambda: scale.figure(contents))


def scale(
    folder: Path,
    base: Settings = QUICK_SETTINGS,
    chosen: Sequence[Case] = (),
    on_progress: Progress = silent,
) -> list[Race]:
    """Race with one thread, then with two, four, …, as many as there are cores.

    After Ctrl-C, the last race is the one that was interrupted.

    Raises:
        InputValueError: as `Settings.resolved`.
        OSError: the folder cannot be written to.

    """
    races: list[Race] = []
    for threads in thread_counts(len(facts.affinity())):
        settings = replace(
            base,
            kind="scale",
            cases=tuple(chosen) or cases(),
            threads=threads,
            backends=single() if threads == 1 else threaded(),
        )
        races.append(run.measure(folder / f"scale-{threads}.json", settings, on_progress))
        if races[-1].interrupted:
            break
    return races


def cases(sizes: Sequence[int] = SIZES, features: Sequence[int] = FEATURES) -> tuple[Case, ...]:
    """Return one feature at every size, and n·d = 10⁶ with every number of features."""
    pairs = {(1, n) for n in sizes} | {(d, NUMBERS // d) for d in features}
    return tuple(make_case(n, d) for d, n in sorted(pairs))


def thread_counts(cores: int) -> list[int]:
    """Return 1, 2, 4, … and all cores."""
    return sorted({min(2**power, cores) for power in range(cores.bit_length() + 1)})


def threaded() -> tuple[str, ...]:
    """Return the backends that use several cores, and those that they equal on one core."""
    ladder = backends.LADDER
    alone = {rung.on_one_thread for rung in ladder.values()}
    return tuple(
        name for name in backends.installed() if not ladder[name].one_core or name in alone
    )


def single() -> tuple[str, ...]:
    """Return the backends that are raced on one thread, those for large data included."""
    ladder = backends.LADDER
    return tuple(name for name in backends.installed() if ladder[name].on_one_thread is None)


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
    for case in sorted(content.gradrace.cases, key=lambda case: case.n):
        for entry in case.entries:
            if case.d == 1:
                lines.setdefault(entry.backend, []).append((case.n, entry.time.median))
    return lines
