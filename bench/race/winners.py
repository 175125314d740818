"""The fastest backend at each size, among all backends or some of them."""

from collections.abc import Collection
from dataclasses import dataclass

from gradrace.bench.race import statistics
from gradrace.bench.race.result import CaseFindings, Entry, ResultFile


@dataclass(frozen=True)
class Winner:
    """The fastest backend at one size, and how sure that is."""

    case: CaseFindings
    entry: Entry
    """What the data show about the fastest, by its median."""
    rivals: tuple[str, ...]
    """The backends that are not shown to be slower, in order of their medians."""
    judged: bool
    """Whether there are the two sessions that a verdict needs."""

    @property
    def backend(self) -> str:
        """The name of the fastest."""
        return self.entry.backend

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
    for case in content.gradrace.cases:
        entries = [
            entry
            for entry in sorted(case.entries, key=lambda entry: entry.time.median)
            if not entry.impossible and entry.backend not in leave_out
        ]
        if len(entries) > 1:
            found.append(_winner(content, case, entries))
    return found


def _winner(content: ResultFile, case: CaseFindings, entries: list[Entry]) -> Winner:
    timed = {backend: one.times() for backend, one in content.timed(case).items()}
    fastest, *others = entries
    verdicts = {
        entry.backend: statistics.verdict(
            statistics.speed_up(timed[entry.backend], timed[fastest.backend]), case.noise
        )
        for entry in others
    }
    return Winner(
        case,
        fastest,
        tuple(name for name, verdict in verdicts.items() if verdict != statistics.FASTER),
        judged=statistics.UNJUDGED not in verdicts.values(),
    )
