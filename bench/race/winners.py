"""The fastest backend at each size, among all backends or some of them."""

from collections.abc import Collection
from dataclasses import dataclass

from gradrace.bench.race import statistics
from gradrace.bench.race.merging import times
from gradrace.bench.race.schema import CaseFindings, ResultFile, Row


@dataclass(frozen=True)
class Winner:
    """The fastest backend at one size, and how sure that is."""

    case: CaseFindings
    row: Row
    """The row of the fastest, by its median."""
    rivals: tuple[str, ...]
    """The backends that are not shown to be slower, in order of their medians."""
    judged: bool
    """Whether there are the two sessions that a verdict needs."""

    @property
    def backend(self) -> str:
        """The name of the fastest."""
        return self.row["backend"]

    @property
    def tied(self) -> frozenset[str]:
        """The fastest and its rivals."""
        return frozenset((self.backend, *self.rivals))


def winners(content: ResultFile, leave_out: Collection[str] = ()) -> list[Winner]:
    """Return the fastest backend of every size at which two or more were timed.

    Impossibly fast backends and those in `leave_out` are ignored. A backend counts as slower, and
    not as a rival, if its times, paired with those of the fastest, show that by the rule of
    `statistics.verdict`.
    """
    found = []
    for case in content["gradrace"]["cases"]:
        rows = [
            row
            for row in sorted(case["arms"], key=lambda row: row["time"]["median"])
            if not row["impossible"] and row["backend"] not in leave_out
        ]
        if len(rows) > 1:
            found.append(_winner(content, case, rows))
    return found


def _winner(content: ResultFile, case: CaseFindings, rows: list[Row]) -> Winner:
    arms = {
        arm["extra_info"]["backend"]: times(arm)
        for arm in content["benchmarks"]
        if arm["group"] == case["name"] and not arm["extra_info"]["duplicate"]
    }
    fastest, *others = rows
    verdicts = {
        row["backend"]: statistics.verdict(
            statistics.speed_up(arms[row["backend"]], arms[fastest["backend"]]), case["floor"]
        )
        for row in others
    }
    return Winner(
        case,
        fastest,
        tuple(name for name, verdict in verdicts.items() if verdict != statistics.FASTER),
        judged=statistics.UNJUDGED not in verdicts.values(),
    )
