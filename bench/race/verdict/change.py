"""What changed between two versions of a backend, and whether that passes a limit.

Between two races, a machine changes by more than most commits change a program. Two versions in the
same race take turns, block by block, so what slows the machine down slows both. There, a difference
is shown if the 95 % interval of the speed-up excludes 1 and the difference exceeds the noise;
between two races, it must also exceed 5 %.
"""

import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from gradrace.backends import ABSENT, name_of
from gradrace.backends.interface import InputValueError, Setting
from gradrace.bench import options
from gradrace.bench.parts import (
    Answer,
    Column,
    Note,
    Part,
    Share,
    Table,
    Time,
    joined,
)
from gradrace.bench.race.cases import parse
from gradrace.bench.race.verdict import statistics
from gradrace.bench.race.verdict.result import CaseFindings, ResultFile
from gradrace.bench.race.verdict.statistics import FASTER, SLOWER, UNDECIDED, UNJUDGED, Estimate
from gradrace.plots.numbers import percent, short

BEFORE = "before"
_MOST_NAMED = 3

Limits = Mapping[str, float]
"""Size, or "" for all → the slowdown that is allowed, a share such as 0.02."""


@dataclass(frozen=True)
class Change:
    """How a backend compares with an earlier version of itself at one size."""

    case: CaseFindings
    backend: str
    named: str
    """The backend for people"""
    earlier: str
    """The revision of the earlier version; `BEFORE` in an earlier race"""
    old: float
    """Seconds of a call, divided by its epochs, as it follows from `new` and the speed-up: the
    median of other moments might contradict it"""
    new: float
    """Median seconds of a call, divided by its epochs"""
    speed_up: Estimate
    """How many times as fast as the earlier version a call is"""
    noise: float | None
    verdict: str
    sessions: int

    def exceeds(self, limit: float) -> bool:
        """Whether the whole interval shows a slowdown above `limit`."""
        return self.verdict == SLOWER and self.slowdown.low > 1 + limit

    @property
    def slowdown(self) -> Estimate:
        """How many times as long as the earlier version a call takes."""
        value, low, high = self.speed_up.value, self.speed_up.low, self.speed_up.high
        return Estimate(1 / value, 1 / high, 1 / low if low else math.inf)

    @property
    def ruled_out(self) -> float:
        """The slowdown, as a share, above which none is left: by the interval and by the noise."""
        return max(self.slowdown.high - 1, math.inf if self.noise is None else self.noise)

    def sessions_for(self, limit: float) -> int | None:
        """Return about how many sessions would rule out more than `limit`; None if none would."""
        needed = statistics.sessions_below(self.slowdown, self.sessions, 1 + limit)
        if needed is None or self.noise is None or not limit:
            return None
        most = max(needed, math.ceil(self.sessions * (self.noise / limit) ** 2))
        return max(most, self.sessions + 1)

    @property
    def where(self) -> str:
        """The backend and the size, for people."""
        return f"{short(self.backend)} on {self.case.size}"


# Two versions in one race


def changes(content: ResultFile) -> list[Change]:
    """Return the changes between all versions of a race, backend by backend."""
    return [change for found in _by_version(content).values() for change in found]


def _by_version(content: ResultFile) -> dict[str, list[Change]]:
    """Return earlier version → how today's compares with it, size by size."""
    return {
        earlier: [
            change
            for case in content.gradrace.cases
            if (change := _within(content, case, facts.version_of, earlier))
        ]
        for earlier, facts in content.gradrace.backends.items()
        if facts.version_of
    }


def _within(content: ResultFile, case: CaseFindings, today: str, earlier: str) -> Change | None:
    timed = content.timed(case)
    if today not in timed or earlier not in timed:
        return None
    new, old = timed[today].times(), timed[earlier].times()
    speed_up, noise = statistics.speed_up(old, new), None
    if speed_up is None:
        return None
    if copy := content.copies(case).get(today):
        noise = statistics.noise(statistics.speed_up(new, copy.times()))
    now = next(entry.time.median for entry in case.entries if entry.backend == today)
    return Change(
        case,
        today,
        content.gradrace.named(today),
        earlier.removeprefix(f"{name_of(today)}@"),
        now * speed_up.value,
        now,
        speed_up,
        noise,
        statistics.verdict(speed_up, noise, least=0.0),
        len(new.keys() & old.keys()),
    )


def has_versions(content: ResultFile) -> bool:
    """Whether a race has compared versions of a backend."""
    about = content.gradrace
    return bool(about.unchanged_since) or any(one.version_of for one in about.backends.values())


def limits_of(given: Any) -> dict[str, float]:
    """Return size → share: 100x1=2% for one size; 10% for all, under "".

    `given` is one of these, a number, several of them, or a mapping.

    Raises:
        InputTypeError, InputValueError: one cannot be read.

    """
    if isinstance(given, Mapping):
        pairs = [(parse(size).name if size else "", limit) for size, limit in given.items()]
    else:
        pairs = []
        for one in options.listed("fail_above", given):
            size, found, limit = one.rpartition("=") if isinstance(one, str) else ("", "", one)
            pairs.append((parse(size).name if found else "", limit))
    return {size: options.share("fail_above", limit) for size, limit in pairs}


def require_limits(limits: Limits, sizes: Collection[str], *, versions: bool) -> None:
    """Make sure that a race of these sizes can be held to limits; `versions`: it compares some.

    Raises:
        InputValueError: there is nothing to limit, or no such size.

    """
    name = Setting("fail_above")
    if limits and not versions:
        raise InputValueError(
            name, ": needs an earlier version; add ", Setting("against"), " or NAME@REV"
        )
    if unknown := sorted(limits.keys() - {"", *sizes}):
        raise InputValueError(name, f": the size {unknown[0]} is not in the race")


def sentences(content: ResultFile) -> Iterator[Answer]:
    """Say of each backend that raced against an earlier version how it has changed."""
    for earlier, found in _by_version(content).items():
        if found:
            versions = (found[0].backend, earlier)
            yield Answer(" ".join(_sentences(found, *map(content.gradrace.precision_of, versions))))


def _sentences(found: Sequence[Change], now: str, then: str) -> Iterator[str]:
    name, revision = short(found[0].backend), found[0].earlier
    if now != then:
        yield f"{name} computes in {now}, and at {revision} in {then}."
    clauses: list[str] = []
    for verdict in (SLOWER, FASTER):
        amounts = [_amount(change) for change in found if change.verdict == verdict]
        than = "" if clauses else f" than it was at {revision}"
        clauses += [f"{verdict}{than}: {', '.join(amounts)}"] if amounts else []
    if clauses:
        yield f"{name} is {'; '.join(clauses)}."
    unclear = [change for change in found if change.verdict == UNDECIDED]
    if unclear:
        where = joined([change.case.size for change in unclear])
        most = _digits(max(change.ruled_out for change in unclear))
        if clauses:
            yield f"No difference is shown on {where};"
        else:
            yield f"{name}: no difference from {revision} is shown on {where};"
        yield f"a slowdown of more than {most} % can be ruled out there."
    if any(change.verdict == UNJUDGED for change in found):
        yield f"{name} cannot be judged, because too few sessions were timed."


def _amount(change: Change) -> str:
    """Write how much the time differs: 1.8 % more time (1.2 to 2.4 %) on 100 × 1."""
    ratio = change.slowdown
    low, high = sorted((abs(ratio.low - 1), abs(ratio.high - 1)))
    word = "more" if ratio.value > 1 else "less"
    much = f"{_digits(abs(ratio.value - 1))} % {word} time ({_digits(low)} to {_digits(high)} %)"
    return f"{much} on {change.case.size}"


def _digits(share: float) -> str:
    """Write a share in percent, without the sign: 0.62, 1.8, 12.3."""
    return f"{100 * share:.{2 if abs(share) < 0.00995 else 1}f}"


def table(found: Sequence[Change]) -> Iterator[Part]:
    """Yield a table of changes, and what its columns mean."""
    yield Table(
        [
            Column("backend", "backend"),
            Column("n × d", "size"),
            Column("times as fast (95 %)", "speed_up", "interval"),
            Column("verdict", "verdict"),
            Column("then", "then_seconds_per_epoch"),
            Column("now", "now_seconds_per_epoch"),
            Column("noise", "noise_share"),
        ],
        [
            (
                change.named if change.earlier == BEFORE else f"{change.named} @{change.earlier}",
                change.case.size,
                change.speed_up.ratio,
                change.verdict.removesuffix(" shown"),
                Time(change.old),
                Time(change.new),
                None if change.noise is None else Share(change.noise),
            )
            for change in found
        ],
        keys=2,
    )
    yield Note(
        "Times as fast: the speed of a call relative to the earlier version, with the 95 % "
        "interval over the sessions. Now: the median time of a call divided by its epochs, set-up "
        "included. Then: the time of the earlier version, computed from these two. Noise: how much "
        "a backend and an identical copy of it seemed to differ. Faster or slower: the interval "
        "excludes 1, and the difference exceeds the noise and, between two races, 5 %."
    )


# The gate


@dataclass(frozen=True)
class Missing:
    """Two versions of a backend of which one was not timed at a size, although it exists."""

    where: str
    reason: str
    lost: bool
    """Whether only today's is missing: what could be timed then cannot be timed now"""
    timed_today: bool = True


def missing(content: ResultFile, limits: Limits) -> list[Missing]:
    """Return what cannot be held to limits, because one of two versions was not timed."""
    about = content.gradrace
    done = {
        (earlier, change.case.name)
        for earlier, found in _by_version(content).items()
        for change in found
    }
    absent = {one.backend for one in about.left_out if one.reason.startswith(ABSENT)}
    return [
        _missing(content, case, facts.version_of, earlier)
        for earlier, facts in about.backends.items()
        if facts.version_of and earlier not in absent
        for case in about.cases
        if (earlier, case.name) not in done and limits.get(case.name, limits.get("")) is not None
    ]


def _missing(content: ResultFile, case: CaseFindings, today: str, earlier: str) -> Missing:
    timed = {entry.backend for entry in case.entries}
    lost = earlier in timed and today not in timed
    reason = content.gradrace.reason(case.name, today if lost else earlier)
    return Missing(
        f"{short(today if lost else earlier)} on {case.size}",
        reason.removeprefix("too slow: ") or "they share no session",
        lost,
        today in timed,
    )


def held(content: ResultFile, limits: Limits) -> tuple[bool, list[str]]:
    """Hold a race to limits, as `gate`."""
    if limits and content.gradrace.unchanged_since:
        return True, ["Passed: no backend has changed."]
    return gate(changes(content), limits, missing(content, limits))


def gate(
    found: Sequence[Change], limits: Limits, absent: Sequence[Missing] = ()
) -> tuple[bool, list[str]]:
    """Return whether nothing is slower than the limits allow, and what to say of that.

    Without limits, everything passes. A backend that did not exist at the revision passes, and so
    does one that was wrong or too slow then. What could be timed then, but not now, is a failure,
    and so is a single session.
    """
    if not limits:
        return True, []
    if not found and not absent:
        return True, ["Passed: no earlier version exists."]
    held = [
        (change, limit)
        for change in found
        if (limit := limits.get(change.case.name, limits.get(""))) is not None
    ]
    failed = [
        f"{change.where} is slower than {_then(change)} by more than {percent(limit)}."
        for change, limit in held
        if change.exceeds(limit)
    ]
    failed += [f"{one.where} is not timed any more: {one.reason}." for one in absent if one.lost]
    if any(change.verdict == UNJUDGED for change in found):
        failed.append("too few sessions to compare versions; that takes two or more.")
    elif not found and not failed and not all(one.timed_today for one in absent):
        failed.append("nothing was compared.")
    open_ = [
        (change, limit)
        for change, limit in held
        if change.ruled_out > limit and change.verdict != UNJUDGED and not change.exceeds(limit)
    ]
    undecided = [_undecided(*one) for one in open_[:_MOST_NAMED]]
    if len(open_) > _MOST_NAMED:
        undecided.append(f"Undecided, too: {len(open_) - _MOST_NAMED} more of {len(held)} times.")
    left = [f"Not compared: {one.where}: {one.reason}." for one in absent if not one.lost]
    if failed:
        return False, [*(f"Failed: {reason}" for reason in failed), *undecided, *left]
    if undecided or left:
        return True, [*undecided, *left, "No slowdown above the limit is shown."]
    return True, ["Passed: every slowdown above the limit is ruled out."]


def _then(change: Change) -> str:
    return "before" if change.earlier == BEFORE else f"at {change.earlier}"


def _undecided(change: Change, limit: float) -> str:
    """Say what the sessions leave open, and how many more would decide it."""
    about = (
        f"Undecided: {change.where} may be slower than {_then(change)} by more than "
        f"{percent(limit)}"
    )
    if needed := change.sessions_for(limit):
        return f"{about}; about {needed} sessions would rule that out."
    return f"{about}, and more sessions are unlikely to rule that out."
