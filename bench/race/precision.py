"""What float32 costs and buys: how many digits it keeps, and its speed next to float64."""

from dataclasses import dataclass

from gradrace.bench.proof.agreement import Digits
from gradrace.bench.race import statistics
from gradrace.bench.race.result import CaseFindings, Entry, ResultFile
from gradrace.bench.race.statistics import Estimate


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
