"""Which backend suits a job? What the measured size that is nearest to it says."""

import math
import shlex
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from gradrace import backends
from gradrace.backends.interface import InputValueError, Setting
from gradrace.bench.machine import facts
from gradrace.bench.parts import (
    Answer,
    Caution,
    Column,
    Command,
    Note,
    Part,
    Result,
    Table,
    Time,
    counted,
    joined,
)
from gradrace.bench.race.verdict.change import has_versions
from gradrace.bench.race.verdict.race import Race
from gradrace.bench.race.verdict.record import fingerprints
from gradrace.bench.race.verdict.result import CaseFindings, Entry
from gradrace.bench.race.verdict.sentences import about_race
from gradrace.bench.race.verdict.statistics import Estimate, break_even
from gradrace.plots.numbers import seconds, short

FARTHEST = 10.0
"""How many times beyond the measured sizes a job may be."""


@dataclass(frozen=True)
class Option:
    """What a job would take with one backend, in seconds, if it had a measured size."""

    backend: str
    name: str
    """For people"""
    precision: str
    setup: float
    """Of each run, before its first epoch; 0 if it is not noticeable"""
    epoch: float
    """Per epoch"""
    steady: Estimate
    """All runs, once everything is compiled"""
    cached: float
    """What loading compiled code from the cache adds to the first run; 0 if nothing compiles"""
    cold: float
    """What compiling adds to the first run"""

    @property
    def from_cache(self) -> float:
        """All runs in a fresh process whose machine code is in the cache."""
        return self.steady.value + self.cached

    @property
    def from_scratch(self) -> float:
        """All runs if everything must be compiled first."""
        return self.steady.value + self.cold


@dataclass(frozen=True, repr=False)
class Advice(Result):
    """The options for a job, ordered by their time once everything is compiled."""

    n: int
    d: int
    epochs: int
    runs: int
    race: Race
    nearest: CaseFindings
    """The measured size from which the options are"""
    options: list[Option]
    others: list[tuple[str, Option]]
    """What other sizes that are as near say: the size, and its fastest option"""

    @property
    def best(self) -> Option:
        """The fastest once everything is compiled."""
        return self.options[0]

    @property
    def best_cold(self) -> Option:
        """The fastest if everything must be compiled first."""
        return min(self.options, key=lambda option: option.from_scratch)

    @property
    def best_cached(self) -> Option:
        """The fastest in a fresh process whose machine code is in the cache."""
        return min(self.options, key=lambda option: option.from_cache)

    @property
    def measured(self) -> bool:
        """Whether this very size was measured."""
        return (self.nearest.n, self.nearest.d) == (self.n, self.d)

    @property
    def command(self) -> str:
        """The command that races the job itself, with the same backends."""
        names = [option.backend for option in self.options]
        job = f"--n {self.n} --d {self.d} --epochs {self.epochs}"
        if self.runs > 1:
            job += f" --runs {self.runs}"
        own = f" --backends {shlex.join(names)}" if set(names) - set(backends.LADDER) else ""
        return f"gradrace advise {job} --measure{own}"

    def parts(self, *, detail: bool = False) -> Iterator[Part]:  # noqa: ARG002 (this is all)
        """Yield which backend to use, a table of the options, and which race they are from."""
        yield from map(Answer, self._lines())
        if not self.measured:
            yield Command(self.command)
        yield self._table()
        yield Note(
            "Set-up: what each run takes before its first epoch, if that is noticeable. Once "
            "compiled: the time of the whole job in a process that has already compiled, and its "
            "95 % interval. Fresh process: including the time to load what was compiled earlier. "
            "First time ever: including the time to compile. From a "
            f"{about_race(self.race.content)}."
        )
        then = self.race.about.fingerprints
        now = fingerprints([one.backend for one in self.options])
        changed = [name for name in now if now[name] != then[name]]
        if changed:
            have = "has" if len(changed) == 1 else "have"
            names = joined(list(map(short, changed)))
            yield Caution(
                f"since that race, {names} {have} changed, so the times may be other ones"
            )
        yield from map(Caution, self.race.about.warnings)

    def _table(self) -> Table:
        heads = ("set-up", "epoch", "once compiled", "range", "fresh process", "first time ever")
        rows = []
        for option in self.options:
            low, high = option.steady.low, option.steady.high
            known = f"{seconds(low)} – {seconds(high)}" if low else None
            rows.append(
                (
                    option.name,
                    Time(option.setup) if option.setup else None,
                    Time(option.epoch),
                    Time(option.steady.value),
                    known,
                    Time(option.from_cache) if option.cached else None,
                    Time(option.from_scratch) if option.cold else None,
                )
            )
        return Table([Column("backend"), *map(Column, heads)], rows)

    def _lines(self) -> Iterator[str]:
        """Say which backend to use, and when another one is faster."""
        best, cold, cached = self.best, self.best_cold, self.best_cached
        job = f"{counted(self.runs, 'run') if self.runs > 1 else 'one run'} of "
        job += f"{counted(self.epochs, 'epoch')} on {self.nearest.size}"
        take = "take" if self.runs > 1 else "takes"
        load = f", {seconds(cached.cached)} of them to load its machine code"
        where = "" if self.measured else f" At the nearest measured size, {job} {take} "
        total = f"{seconds(cached.from_cache)}{load if cached.cached else ''}."
        if self.measured:
            yield f"Use {cached.name}: {job} {take} about {total}"
        else:
            yield f"Use {cached.name}.{where}about {total}"
        yield from self._in_float64(cached)
        if cold is not cached:
            with_compiling = f", {seconds(cold.cold)} of them to compile" if cold.cold else ""
            yield (
                f"If nothing is compiled yet, {cold.name} is faster: "
                f"{seconds(cold.from_scratch)}{with_compiling}, where {cached.name} takes "
                f"{seconds(cached.from_scratch)}."
            )
        elif cold.cold:
            yield f"The very first time takes {seconds(cold.from_scratch)}, because it compiles."
        if best is not cached and best.steady.high < cached.steady.low:
            run, rival = best.steady.value / self.runs, cached.steady.value / self.runs
            count = break_even(run + best.cached, run, rival)
            if count is not None:
                yield f"With {count:,} runs or more in one process, {best.name} is faster."
        close = [
            option.name for option in self.options[1:] if option.steady.low <= best.steady.high
        ]
        if close:
            yield f"Once compiled, {joined([best.name, *close])} are too close to call."
        for size, option in self.others:
            same = "too, " if option.backend == cached.backend else ""
            yield f"At {size}, {same}{option.name} is the fastest: {seconds(option.from_cache)}."
        if not self.measured:
            yield f"{self.n:,} × {self.d:,} itself was not measured; to measure it:"

    def _in_float64(self, cached: Option) -> Iterator[str]:
        """If the answer is a backend in float32, say what keeps all digits."""
        others = [option for option in self.options if option.precision == "float64"]
        if cached.precision != "float64" and others:
            best = min(others, key=lambda option: option.from_cache)
            yield (
                "It keeps about half the digits; if you need those of float64, use "
                f"{best.name}: {seconds(best.from_cache)}."
            )


def advise(race: Race, *, n: int, d: int, epochs: int, runs: int = 1) -> Advice:
    """Return what `runs` trainings of `epochs` epochs on n samples of d features would take.

    Raises:
        InputValueError: the race has no times, a number is below 1, or a size is more than ten
            times beyond what was measured.

    """
    for name, value in (("n", n), ("d", d), ("epochs", epochs), ("runs", runs)):
        if value < 1:
            raise InputValueError(Setting(name), f": must be at least 1, got {value}")
    cases = [case for case in race.about.cases if case.entries]
    if not cases:
        raise InputValueError(f"{race.file}: nothing was timed in that run")
    for name, sizes, value in (
        ("n", [case.n for case in cases], n),
        ("d", [case.d for case in cases], d),
    ):
        low, high = min(sizes), max(sizes)
        if not low / FARTHEST <= value <= high * FARTHEST:
            raise InputValueError(
                f"{name} = {value:,}: too far from what {race.file} measured, {low:,} to {high:,}"
            )

    def distance(case: CaseFindings) -> float:
        return math.hypot(math.log(case.n / n), math.log((case.d + 1) / (d + 1)))

    nearest, *rest = sorted(cases, key=distance)
    around = [
        case for case in rest if distance(nearest) > 0 and distance(case) < math.log(FARTHEST)
    ]
    found = [_options(race, case, epochs, runs) for case in (nearest, *around[:2])]
    others = [
        (case.size, min(options, key=lambda option: option.from_cache))
        for case, options in zip(around, found[1:], strict=False)
    ]
    return Advice(n, d, epochs, runs, race, nearest, found[0], others)


def _options(race: Race, case: CaseFindings, epochs: int, runs: int) -> list[Option]:
    options = [_option(race, entry, epochs, runs) for entry in case.entries]
    return sorted(options, key=lambda option: option.steady.value)


def _option(race: Race, entry: Entry, epochs: int, runs: int) -> Option:
    start = next((one for one in race.about.compile if one.backend == entry.backend), None)
    total = runs * (entry.setup + (epochs + 1) * entry.per_pass)
    interval = entry.time.interval
    return Option(
        entry.backend,
        race.about.named(entry.backend),
        entry.precision,
        entry.setup,
        entry.per_pass,
        Estimate(
            total, total * interval.low / interval.value, total * interval.high / interval.value
        ),
        start.cached if start else 0.0,
        start.cold if start else 0.0,
    )


def advise_from(folder: Path, *, n: int, d: int, epochs: int, runs: int = 1) -> Advice:
    """Return the advice from the newest race in a folder or below that covers the job.

    Only races on this machine count.

    Raises:
        InputValueError: there is none.

    """
    reasons: list[InputValueError] = []
    for race in of_this_machine(folder):
        try:
            return advise(race, n=n, d=d, epochs=epochs, runs=runs)
        except InputValueError as error:
            reasons.append(error)
    none = [*reasons, InputValueError(f"{folder}: holds no result of a race on this machine")]
    raise InputValueError(*none[0].args, "; ", Setting("measure", True), " races your job")


def of_this_machine(folder: Path) -> Iterator[Race]:
    """Yield the races of this machine in a folder and below, the newest first.

    Those without times are left out, and so are comparisons of versions.
    """
    here = facts.machine_info()
    for path in newest(folder):
        with suppress(InputValueError, OSError):
            race = Race(path)
            there = race.content.machine_info
            same = (there.cpu, there.cores) == (here.cpu, here.cores)
            if same and race.content.benchmarks and not has_versions(race.content):
                yield race


def newest(folder: Path) -> Sequence[Path]:
    """Return the JSON files in a folder and below, the newest first."""

    def age(path: Path) -> float:
        with suppress(OSError):  # it has just been removed
            return -path.stat().st_mtime
        return 0.0

    return sorted(folder.rglob("*.json"), key=age)
