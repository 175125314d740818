"""What changed between two versions of a backend, in words and as a table."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from typing import TYPE_CHECKING

from rich.table import Table

from gradrace.bench.race import statistics
from gradrace.bench.race.precision import precision_of
from gradrace.bench.race.versions import (
    Uncompared,
    VersionChange,
    changes,
    limit_of,
    not_compared,
    too_slow,
)
from gradrace.bench.report.summary import joined
from gradrace.bench.report.tables import NONE, empty_table, named, size
from gradrace.plots.numbers import both_ends, percent, seconds, short

if TYPE_CHECKING:
    from gradrace.bench.race.schema import About, ResultFile


def version_lines(content: "ResultFile") -> list[str]:
    """Say of each backend that raced against an earlier version how it has changed."""
    return [
        " ".join(_sentences(list(group), content["gradrace"]))
        for _, group in groupby(changes(content), key=lambda change: change.earlier)
    ]


def _sentences(found: Sequence[VersionChange], about: "About") -> Iterator[str]:
    name, revision = short(found[0].backend), found[0].revision
    now, then = (precision_of(about, version) for version in (found[0].backend, found[0].earlier))
    if now != then:
        yield f"{name} computes in {now}, and at {revision} in {then}."
    clauses: list[str] = []
    for verdict in (statistics.SLOWER, statistics.FASTER):
        amounts = [_amount(change) for change in found if change.verdict == verdict]
        than = f" than it was at {revision}" * (not clauses)
        clauses += [f"{verdict}{than}: {', '.join(amounts)}"] if amounts else []
    if clauses:
        yield f"{name} is {'; '.join(clauses)}."
    unclear = [change for change in found if change.verdict == statistics.UNDECIDED]
    if unclear:
        where = joined([size(change.case) for change in unclear])
        most = _digits(max(change.ruled_out for change in unclear))
        if clauses:
            yield f"No difference is shown on {where};"
        else:
            yield f"{name}: no difference from {revision} is shown on {where};"
        yield f"a slowdown of more than {most} % can be ruled out there."
    if any(change.verdict == statistics.UNJUDGED for change in found):
        yield f"{name} cannot be judged, because too few sessions were timed."


def _amount(change: VersionChange) -> str:
    """Write how much the time differs: 1.8 % more time (1.2 to 2.4 %) on 100 × 1."""
    ratio = change.ratio
    low, middle, high = (abs(value - 1) for value in (ratio.low, ratio.value, ratio.high))
    low, high = sorted((low, high))
    word = "more" if ratio.value > 1 else "less"
    much = f"{_digits(middle)} % {word} time ({_digits(low)} to {_digits(high)} %)"
    return f"{much} on {size(change.case)}"


def _digits(share: float) -> str:
    """Write a share in percent, without the sign: 0.62, 1.8, 12.3."""
    return f"{100 * share:.{2 if abs(share) < 0.00995 else 1}f}"


def version_parts(content: "ResultFile") -> list[str | Table]:
    """Return the table of the changes and its legend; nothing if no versions were compared."""
    found = changes(content)
    if not found:
        return []
    table = empty_table("n × d", "then", "now", "change (95 %)", "noise")
    for i, change in enumerate(found):
        if i == 0 or change.earlier != found[i - 1].earlier:
            if i:
                table.add_section()
            name = named(change.earlier, content["gradrace"])
            table.add_row(both_ends(name), *[""] * 4)
        table.add_row(
            f" {size(change.case)}",
            seconds(change.old),
            seconds(change.new),
            _change(change),
            NONE if change.noise is None else percent(change.noise),
        )
    return [
        f"{_about(content)} Time per epoch, set-up included:",
        table,
        VERSIONS_LEGEND,
        *_compiling(content),
    ]


def _compiling(content: "ResultFile") -> Iterator[str]:
    """Say how long today's and earlier versions compile."""
    about = content["gradrace"]
    cold = {entry["backend"]: entry["cold"] for entry in about["compile"]}
    for then, facts in about["backends"].items():
        now = facts.get("version_of", "")
        if then in cold and now in cold:
            yield (
                f"{short(now)} compiles in {seconds(cold[now])}, {short(then)} in "
                f"{seconds(cold[then])}."
            )


def _about(content: "ResultFile") -> str:
    about = content["gradrace"]
    commits = {
        change.revision: about["backends"][change.earlier].get("commit", "")
        for change in changes(content)
    }
    known = [f"{revision} is commit {commit[:9]}" for revision, commit in commits.items() if commit]
    done = sum(not session["failure"] for session in about["sessions"])
    return "; ".join([f"{done} session{'s' * (done != 1)}", *known]) + "."


def _change(change: VersionChange) -> str:
    """Write a change of the time with its interval: +1.8 % (+1.2 to +2.4)."""
    middle, low, high = (
        f"{'+' * (value >= 1)}{_digits(value - 1)}" if value < float("inf") else NONE
        for value in (change.ratio.value, change.ratio.low, change.ratio.high)
    )
    sign = "~" * (change.verdict not in (statistics.SLOWER, statistics.FASTER))
    return f"{sign}{middle} %" + f" ({low} to {high})" * (change.ratio.low > 0)


VERSIONS_LEGEND = (
    "Now: the median time per epoch, set-up included. Change: how much longer (+) or shorter (-) "
    "that is than with the earlier version, with the 95 % interval over the sessions, in which "
    "both take turns. Then: the time of the earlier version, computed from now and change. "
    "Noise: how much today's version and an identical copy of it seemed to differ. ~ no difference "
    "shown: the interval contains 0, or the noise exceeds the change."
)


def gate(content: "ResultFile", limits: Mapping[str, float]) -> tuple[bool, list[str]]:
    """Return whether nothing is slower than the limits allow, and what to say of that.

    `limits` maps a size, or "" for all, to a share. Without limits, everything passes. A backend
    that did not exist at the revision passes, and so does one that was wrong or too slow then. What
    could be timed then, but not now, is a failure, and so is a single session.
    """
    if not limits:
        return True, []
    found, missing = changes(content), not_compared(content, limits)
    if not found and not missing:
        return True, ["Passed: no earlier version exists."]
    slow, lost = too_slow(found, limits), [entry for entry in missing if entry.lost]
    failed = [
        f"{_named(change)} is slower than at {change.revision} by more than "
        f"{_limit(change, limits)}."
        for change in slow
    ]
    failed += [f"{_named(entry)} is not timed any more: {entry.reason}." for entry in lost]
    if any(change.verdict == statistics.UNJUDGED for change in found):
        failed.append("too few sessions to compare versions; that takes two or more.")
    elif not found and not lost and not _timed_today(missing):
        failed.append("nothing was compared.")
    open_ = [
        f"Not compared: {short(entry.earlier)} on {size(entry.case)}: {entry.reason}."
        for entry in missing
        if not entry.lost
    ]
    open_ += [
        _not_ruled_out(change, limit)
        for change in found
        if (limit := limit_of(change, limits)) is not None
        and change not in slow
        and change.verdict != statistics.UNJUDGED
        and change.ruled_out > limit
    ]
    if failed:
        return False, [*(f"Failed: {reason}" for reason in failed), *open_]
    if open_:
        return True, ["Passed: no slowdown above the limit is shown.", *open_]
    return True, ["Passed: every slowdown above the limit is ruled out."]


def _timed_today(missing: Sequence[Uncompared]) -> bool:
    """Whether all of today's versions were timed: they cannot be slower than what failed."""
    return all(entry.backend in {row["backend"] for row in entry.case["arms"]} for entry in missing)


def slowdown(change: VersionChange, limits: Mapping[str, float]) -> str:
    """Say by how much a version is slower than its limit allows."""
    allowed = f"{_limit(change, limits)} is allowed"
    return f"is slower than at {change.revision}: {_amount(change)}; {allowed}"


def _limit(change: VersionChange, limits: Mapping[str, float]) -> str:
    return percent(limit_of(change, limits) or 0.0)


def _not_ruled_out(change: VersionChange, limit: float) -> str:
    """Say what the sessions leave open, and how many more would decide it."""
    about = (
        f"Undecided: {_named(change)} may be slower than at {change.revision} by more than "
        f"{percent(limit)}"
    )
    if limit and (needed := change.sessions_for(limit)):
        return f"{about}; about {max(needed, change.sessions + 1)} sessions would rule that out."
    return f"{about}, and more sessions are unlikely to rule that out."


def _named(change: VersionChange | Uncompared) -> str:
    return f"{short(change.backend)} on {size(change.case)}"
