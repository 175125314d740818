"""What changed between two versions of a backend that raced in the same sessions.

Between two runs, a machine changes by more than most commits change a program. Two versions in the
same race take turns, block by block, so what slows the machine down slows both. A difference is
shown if the 95 % interval of the ratio excludes 1 and the difference exceeds the A/A floor: how
much today's version and an identical copy of it seemed to differ in the same sessions.
"""

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from gradrace.backends import ABSENT, name_of
from gradrace.backends.interface import InputValueError
from gradrace.bench.race import statistics
from gradrace.bench.race.merging import times
from gradrace.bench.race.schema import CaseFindings, ResultFile, SpeedVerdict
from gradrace.bench.race.statistics import Estimate


@dataclass(frozen=True)
class VersionChange:
    """How today's version of a backend compares with an earlier one on a case."""

    case: CaseFindings
    backend: str
    earlier: str
    """The earlier version: the name with its revision."""
    new: float
    """Median seconds of a call, divided by its epochs."""
    ratio: Estimate
    """How many times as long as the earlier version today's takes."""
    noise: float | None
    """The A/A floor."""
    verdict: SpeedVerdict
    sessions: int

    @property
    def old(self) -> float:
        """The same of the earlier version, as it follows from the ratio.

        Its own median is of other moments, so it may contradict the ratio on a busy machine.
        """
        return self.new / self.ratio.value

    @property
    def revision(self) -> str:
        """The revision of the earlier version."""
        return self.earlier.removeprefix(f"{name_of(self.backend)}@")

    def exceeds(self, limit: float) -> bool:
        """Whether the whole interval shows a slowdown above `limit`, a share such as 0.02."""
        return self.ratio.low > 1 + limit

    @property
    def ruled_out(self) -> float:
        """The slowdown, as a share, above which none is left: by the interval and by the noise."""
        return max(self.ratio.high - 1, math.inf if self.noise is None else self.noise)

    def sessions_for(self, limit: float) -> int | None:
        """Return about how many sessions would rule out more than `limit`; None if none would."""
        needed = statistics.sessions_below(self.ratio, self.sessions, 1 + limit)
        if needed is None or self.noise is None:
            return None
        return max(needed, math.ceil(self.sessions * (self.noise / limit) ** 2))


def changes(content: ResultFile) -> list[VersionChange]:
    """Return the changes between all versions of a race, backend by backend."""
    found = []
    for earlier, facts in content["gradrace"]["backends"].items():
        if today := facts.get("version_of"):
            for case in content["gradrace"]["cases"]:
                change = _change(content, case, today, earlier)
                found += [change] if change else []
    return found


def _change(
    content: ResultFile, case: CaseFindings, today: str, earlier: str
) -> VersionChange | None:
    arms = {
        (arm["extra_info"]["backend"], arm["extra_info"]["duplicate"]): arm
        for arm in content["benchmarks"]
        if arm["group"] == case["name"]
    }
    if (today, False) not in arms or (earlier, False) not in arms:
        return None
    new, old = times(arms[today, False]), times(arms[earlier, False])
    ratio, noise = statistics.speed_up(new, old), None
    if ratio is None:
        return None
    if (today, True) in arms:
        noise = statistics.floor(statistics.speed_up(new, times(arms[today, True])))
    medians = {row["backend"]: row["time"]["median"] for row in case["arms"]}
    speed = Estimate(1 / ratio.value, 1 / ratio.high, 1 / ratio.low if ratio.low else float("inf"))
    return VersionChange(
        case,
        today,
        earlier,
        medians[today],
        ratio,
        noise,
        statistics.verdict(speed, noise, least=0.0),
        len(new.keys() & old.keys()),
    )


def has_versions(content: ResultFile) -> bool:
    """Whether a race has compared versions of a backend."""
    return any("version_of" in facts for facts in content["gradrace"]["backends"].values())


def require_limits(limits: Mapping[str, float], sizes: Collection[str], *, versions: bool) -> None:
    """Make sure that a race of these sizes can be held to limits; `versions`: it compares some.

    Raises:
        InputValueError: there is nothing to limit, or no such size.

    """
    if limits and not versions:
        raise InputValueError("--fail-above: needs an earlier version; add --against or NAME@REV")
    if unknown := sorted(limits.keys() - {"", *sizes}):
        raise InputValueError(f"--fail-above: the size {unknown[0]} is not in the race")


def limit_of(change: VersionChange, limits: Mapping[str, float]) -> float | None:
    """Return the limit for a case: its own, or the one under "" for all."""
    return limits.get(change.case["name"], limits.get(""))


def too_slow(found: Sequence[VersionChange], limits: Mapping[str, float]) -> list[VersionChange]:
    """Return what is slower than the limit of its case allows, with its whole interval."""
    return [
        change
        for change in found
        if (limit := limit_of(change, limits)) is not None and change.exceeds(limit)
    ]


@dataclass(frozen=True)
class Uncompared:
    """Two versions of a backend of which one was not timed on a case, although it exists."""

    case: CaseFindings
    backend: str
    earlier: str
    missing: str
    """The one that was not timed; the earlier one if neither was."""
    reason: str

    @property
    def lost(self) -> bool:
        """Whether only today's is missing: what could be timed then cannot be timed now."""
        return self.missing == self.backend


def not_compared(content: ResultFile, limits: Mapping[str, float]) -> list[Uncompared]:
    """Return what cannot be held to limits, because one of two versions was not timed."""
    about = content["gradrace"]
    done = {(change.earlier, change.case["name"]) for change in changes(content)}
    absent = {e["backend"] for e in about["left_out"] if e["reason"].startswith(ABSENT)}
    return [
        _uncompared(content, case, facts["version_of"], earlier)
        for earlier, facts in about["backends"].items()
        if "version_of" in facts and earlier not in absent
        for case in about["cases"]
        if (earlier, case["name"]) not in done
        and limits.get(case["name"], limits.get("")) is not None
    ]


def _uncompared(content: ResultFile, case: CaseFindings, today: str, earlier: str) -> Uncompared:
    timed = {row["backend"] for row in case["arms"]}
    missing = today if earlier in timed and today not in timed else earlier
    reasons = (
        entry["reason"].removeprefix("too slow: ")
        for entry in content["gradrace"]["left_out"]
        if entry["backend"] == missing and entry["case"] in (case["name"], "every case")
    )
    return Uncompared(case, today, earlier, missing, next(reasons, "they share no session"))
