"""What float32 costs and buys: how many digits it keeps, and its speed next to float64."""

from dataclasses import dataclass

from gradrace.bench.race import statistics
from gradrace.bench.race.merging import times
from gradrace.bench.race.schema import About, CaseFindings, Digits, ResultFile, Row
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


def precision_of(about: About, backend: str) -> str:
    """Return what a backend declares to compute in: float64 or float32."""
    facts = about["backends"].get(backend)
    return facts.get("precision", "float64") if facts else "float64"


def trades(content: ResultFile) -> list[Trade]:
    """Return what each backend in float32 keeps and gains.

    Its rivals are those that, like itself, read the samples in every epoch, or only once per call.
    """
    about = content["gradrace"]
    wrong = {entry["backend"] for entry in about["left_out"] if entry["fault"]}
    return [
        Trade(
            backend,
            about["backends"][backend].get("digits"),
            [gain for case in about["cases"] if (gain := _gain(content, case, backend))],
        )
        for backend in about["settings"]["backends"]
        if precision_of(about, backend) == "float32" and backend not in wrong
    ]


def _gain(content: ResultFile, case: CaseFindings, backend: str) -> Gain | None:
    rows = {row["backend"]: row for row in case["arms"] if not row["impossible"]}
    own = rows.get(backend)
    rivals = [row for row in rows.values() if own and _rivals(own, row)]
    if own is None or not rivals:
        return None
    rival = min(rivals, key=lambda row: row["time"]["median"])["backend"]
    arms = {
        arm["extra_info"]["backend"]: arm
        for arm in content["benchmarks"]
        if arm["group"] == case["name"] and not arm["extra_info"]["duplicate"]
    }
    ratio = statistics.speed_up(times(arms[rival]), times(arms[backend]))
    if ratio is None:
        return None
    verdict = statistics.verdict(ratio, case["floor"])
    return Gain(case, rival, ratio, verdict in (statistics.FASTER, statistics.SLOWER))


def _rivals(own: Row, other: Row) -> bool:
    return other["precision"] == "float64" and other["passes_once"] == own["passes_once"]
