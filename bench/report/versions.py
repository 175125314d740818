"""What changed between two versions of a backend, in words and as a table."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from typing import TYPE_CHECKING

from rich.table import Table

from bench.findings import statistics
from bench.findings.versions import VersionChange, changes, limit_of, not_compared, too_slow
from bench.report.summary import joined
from bench.report.tables import NONE, empty_table, size
from plots.numbers import both_ends, percent, seconds, short

if TYPE_CHECKING:
    from bench.findings.schema import ResultFile


def version_lines(content: "ResultFile") -> list[str]:
    """Say of each backend that raced against an earlier version how it has changed."""
    return [
        " ".join(_sentences(list(group)))
        for _, group in groupby(changes(content), key=lambda change: change.earlier)
    ]


def _sentences(found: Sequence[VersionChange]) -> Iterator[str]:
    name, revision = short(found[0].backend), found[0].revision
    shown = False
    for verdict in (statistics.SLOWER, statistics.FASTER):
        group = [change for change in found if change.verdict == verdict]
        if group:
            than = f" than at {revision}" * (not shown)
            clauses = [f"{_amount(change)} on {size(change.case)}" for change in group]
            who = "It" if shown else name
            yield f"{who} is {verdict}{than}: {', '.join(clauses)}."
            shown = True
    unclear = [change for change in found if change.verdict == statistics.UNDECIDED]
    if unclear:
        who = "" if shown else f"{name}: "
        most = max(change.ruled_out for change in unclear)
        where = joined([size(change.case) for change in unclear])
        no = "No" if shown else f"no difference from {revision} is"
        no = f"{no} difference is" if shown else no
        out = f"a slowdown of more than {_digits(most)} % can be ruled out"
        yield f"{who}{no} shown on {where}; {out}{' there' * shown}."
    if any(change.verdict == statistics.UNJUDGED for change in found):
        who = "The rest" if shown or unclear else name
        yield f"{who} cannot be judged, because too few sessions were timed."


def _amount(change: VersionChange) -> str:
    """Write how much more or less time a version takes: 1.8 % more time (1.2 to 2.4 %)."""
    ratio = change.ratio
    low, middle, high = (abs(value - 1) for value in (ratio.low, ratio.value, ratio.high))
    low, high = sorted((low, high))
    word = "more" if ratio.value > 1 else "less"
    return f"{_digits(middle)} % {word} time ({_digits(low)} to {_digits(high)} %)"


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
            table.add_row(both_ends(short(change.earlier)), *[""] * 4)
        table.add_row(
            f" {size(change.case)}",
            seconds(change.old),
            seconds(change.new),
            _change(change),
            NONE if change.noise is None else percent(change.noise),
        )
    return [
        f"{_about(content)} Time of a call per epoch:",
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
                f"Compiling takes {short(now)} {seconds(cold[now])}; {short(then)} took "
                f"{seconds(cold[then])}."
            )


def _about(content: "ResultFile") -> str:
    about = content["gradrace"]
    commits = {
        f"{name.partition('@')[2]} is commit {facts['commit'][:9]}"
        for name, facts in about["backends"].items()
        if "commit" in facts and "version_of" in facts
    }
    done = sum(not session["failure"] for session in about["sessions"])
    return f"{done} session{'s' * (done != 1)}; {'; '.join(sorted(commits))}."


def _change(change: VersionChange) -> str:
    """Write a change of the time with its interval: +1.8 % (+1.2 to +2.4)."""
    middle, low, high = (
        f"{'+' * (value >= 1)}{_digits(value - 1)}" if value < float("inf") else NONE
        for value in (change.ratio.value, change.ratio.low, change.ratio.high)
    )
    sign = "~" * (change.verdict not in (statistics.SLOWER, statistics.FASTER))
    return f"{sign}{middle} %" + f" ({low} to {high})" * (change.ratio.low > 0)


VERSIONS_LEGEND = (
    "Then, now: the median time of a call divided by its epochs, set-up included. Change: how much "
    "longer (+) or shorter (-) it is now, with the 95 % interval over the sessions, in which both "
    "versions take turns. Noise: how much today's version and an identical copy of it seemed to "
    "differ. ~ no difference shown: the interval contains 0, or the noise exceeds the change."
)


def gate(content: "ResultFile", limits: Mapping[str, float]) -> tuple[bool, list[str]]:
    """Return whether nothing is slower than the limits allow, and what to say of that.

    `limits` maps a size, or "" for all, to a share. Without limits, everything passes.
    """
    if not limits:
        return True, []
    found, missing = changes(content), not_compared(content)
    slow, lines = too_slow(found, limits), []
    for change in slow:
        allowed = percent(limit_of(change, limits) or 0.0)
        lines.append(f"Failed: {_named(change)} is slower by more than {allowed}.")
    if missing and not found:
        lines.append("Failed: nothing could be compared.")
    for change in found:
        limit = limit_of(change, limits)
        if limit is not None and change not in slow and change.ruled_out > limit:
            lines.append(_not_ruled_out(change, limit))
    if not found and not missing:
        return True, ["Passed: there is no earlier version to compare with."]
    passed = not slow and bool(found)
    return passed, lines or ["Passed: every slowdown above the limit is ruled out."]


def _not_ruled_out(change: VersionChange, limit: float) -> str:
    """Say what the sessions leave open, and how many more would decide it."""
    about = f"{_named(change)}: a slowdown of more than {percent(limit)} cannot be ruled out"
    if limit and (needed := change.sessions_for(limit)):
        return f"{about}; it takes about {max(needed, change.sessions + 1)} sessions."
    return f"{about}, and more sessions are not likely to."


def _named(change: VersionChange) -> str:
    return f"{short(change.backend)} on {size(change.case)}"
