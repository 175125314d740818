"""Who is ahead: the fastest backend at each size, and what float32 costs and buys."""

from collections.abc import Collection
from dataclasses import dataclass

from gradrace.bench.proof.agreement import Digits
from gradrace.bench.race.verdict import statistics
from gradrace.bench.race.verdict.result import CaseFindings, Entry, ResultFile
from gradrace.bench.race.verdict.statistics import Estimate


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


@dataclass(frozen=True)
class Gain:
    """How a backend in float32 compares at one size with the fastest of its kind in float64."""

    case: CaseFindings
    rival: str
    ratio: Estimate
    """How many times as fast it is."""
    shown: bool
    """Whether that differs from 1, by the rule of `statistics.verdict`"""


@dataclass(frozen=True)
class Trade:
    """The digits that a backend in float32 keeps, and the speed that it gains."""

    backend: str
    digits: Digits | None
    gains: list[Gain]


def trades(content: ResultFile) -> list[Trade]:
    """Return what each backend in float32 keeps and gains.

    Its rivals are those that, like itself, read the samples in every epoch, or only once per call.
    """
    about = content.gradrace
    wrong = {entry.backend for entry in about.left_out if entry.fault}
    return [
        Trade(
            backend,
            about.backends[backend].digits or None,
            [gain for case in about.cases if (gain := _gain(content, case, backend))],
        )
        for backend in about.settings.backends
        if about.precision_of(backend) == "float32" and backend not in wrong
    ]


def _gain(content: ResultFile, case: CaseFindings, backend: str) -> Gain | None:
    entries = {entry.backend: entry for entry in case.entries if not entry.impossible}
    own = entries.get(backend)
    rivals = [entry for entry in entries.values() if own and _rivals(own, entry)]
    if own is None or not rivals:
        return None
    rival = min(rivals, key=lambda entry: entry.time.median).backend
    timed = content.timed(case)
    ratio = statistics.speed_up(timed[rival].times(), timed[backend].times())
    if ratio is None:
        return None
    verdict = statistics.verdict(ratio, case.noise)
    return Gain(case, rival, ratio, verdict in (statistics.FASTER, statistics.SLOWER))


def _rivals(own: Entry, other: Entry) -> bool:
    return other.precision == "float64" and other.passes_once == own.passes_once
