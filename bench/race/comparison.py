"""Compare two result files: which backends became faster or slower, by the rule of one race.

An arm is one backend on one case. The A/A floor is the noise of a run: how much two identical
arms seem to differ in it.
"""

from dataclasses import dataclass
from pathlib import Path
from statistics import median

from gradrace.backends.interface import InputValueError
from gradrace.bench.race import results, statistics
from gradrace.bench.race.precision import precision_of
from gradrace.bench.race.schema import CaseFindings, ResultFile, Row
from gradrace.bench.race.statistics import FASTER, SLOWER, UNJUDGED, Estimate

_LEAST_DRIFT = (
    0.05  # a change that all arms share comes from the machine, unless all arms were changed
)


@dataclass(frozen=True)
class Change:
    """How one backend changed on one case."""

    case: str
    n: int
    d: int
    backend: str
    precision: str
    """In the new run."""
    old: float
    """Median seconds per epoch."""
    new: float
    speed_up: Estimate
    """How many times as fast as the old run the new one is."""
    floor: float | None
    """The larger A/A floor of the two runs."""
    verdict: str


@dataclass(frozen=True)
class Comparison:
    """Two runs side by side."""

    changes: list[Change]
    differences: list[str]
    """What else differs: machine, threads, versions, cases. Any of them can be the cause."""
    comparable: bool
    """Whether both used the same kind of machine and the same number of threads."""
    drift: float
    """The median speed-up of all arms."""
    gone: list[str]
    """What the new run lacks: backend on case."""

    def regressions(self, limit: float) -> list[Change]:
        """Return what is shown to be slower by more than `limit`, a share such as 0.1 for 10 %."""
        return [
            change
            for change in self.changes
            if change.verdict == SLOWER and 1 / change.speed_up.value - 1 > limit
        ]

    @property
    def judged(self) -> bool:
        """Whether both runs have the two sessions that an interval needs, for every arm."""
        return all(change.verdict != UNJUDGED for change in self.changes)

    def unseen(self, limit: float) -> list[Change]:
        """Return what may be slower by more than `limit`, although that is not shown."""
        return [
            change
            for change in self.changes
            if change not in self.regressions(limit)
            and change.verdict != FASTER
            and (change.speed_up.low < 1 / (1 + limit) or (change.floor or 0) > limit)
        ]


def compare(old: Path, new: Path) -> Comparison:
    """Compare the run in `new` with the run in `old`, case by case.

    The runs share no sessions, so this is Welch's interval (`statistics.change`), and a difference
    is shown by the rule of `statistics.verdict` with the larger A/A floor of the two.

    Raises:
        InputValueError: one is not a result file, or they have no backend on a case in common.
        OSError: one cannot be read.

    """
    contents = [results.read(path) for path in (old, new)]
    before, after = (_arms(content) for content in contents)
    changes = []
    for key in before:
        if key in after and _comparable(before[key], after[key]):
            changes.append(_change(before[key], after[key]))
    if not changes:
        raise InputValueError(f"{old} and {new}: have no backend and size in common")
    unlike = _machines(*contents)
    return Comparison(
        changes,
        [
            *unlike,
            *_hosts(*contents),
            *_versions(*contents),
            *_cases(before, after),
            *_precisions(*contents),
            *_partial(contents, (old, new)),
        ],
        comparable=not unlike,
        drift=median(change.speed_up.value for change in changes),
        gone=[f"{backend} on {case}" for case, backend in before if (case, backend) not in after],
    )


def slowdowns(comparison: Comparison, limit: float) -> list[str]:
    """Return why the new run falls short: what is slower by more than `limit`, or is missing.

    `limit` is a share: 0.1 for 10 %.

    Raises:
        InputValueError: the runs used different machines, or have too few sessions.

    """
    if not comparison.comparable:
        raise InputValueError(
            "--fail-above: the runs used different machines or numbers of threads, so their times "
            "say nothing about the code"
        )
    if not comparison.judged:
        raise InputValueError("--fail-above: needs two or more sessions in both runs")
    slower = [f"{change.backend} on {change.case}" for change in comparison.regressions(limit)]
    faults = [f"slower by more than {100 * limit:g} %: {', '.join(slower)}"] if slower else []
    return faults + [f"missing from the new run: {', '.join(comparison.gone)}"] * bool(
        comparison.gone
    )


def unseen_warning(comparison: Comparison, limit: float) -> str:
    """Return a warning if a slowdown of `limit` could go unnoticed, or an empty text."""
    unseen = comparison.unseen(limit)
    if not unseen:
        return ""
    return (
        f"for {len(unseen)} of {len(comparison.changes)} times, a slowdown of {100 * limit:g} % "
        "cannot be ruled out; more --sessions narrow the intervals"
    )


def drift_warning(comparison: Comparison) -> str:
    """Return a warning if everything became slower or faster together, or an empty text."""
    share = max(comparison.drift, 1 / comparison.drift) - 1
    if len(comparison.changes) < 3 or share <= _LEAST_DRIFT:
        return ""
    word = "faster" if comparison.drift > 1 else "slower"
    return (
        f"half of all times are {100 * share:.0f} % or more {word}: unless every backend was "
        "changed, the cause is the machine; the speed-ups within each run are not affected"
    )


def _arms(content: ResultFile) -> dict[tuple[str, str], tuple[CaseFindings, Row]]:
    """Return case and row of every arm."""
    return {
        (case["name"], row["backend"]): (case, row)
        for case in content["gradrace"]["cases"]
        for row in case["arms"]
    }


def _comparable(before: tuple[CaseFindings, Row], after: tuple[CaseFindings, Row]) -> bool:
    """Whether a time per epoch means the same: a set-up is spread over the epochs of a call."""
    same = before[0]["epochs"] == after[0]["epochs"]
    return same or not after[1]["passes_once"]


def _change(before: tuple[CaseFindings, Row], after: tuple[CaseFindings, Row]) -> Change:
    case, row = after
    sessions = [list(r["time"]["sessions"].values()) for _, r in (after, before)]
    ratio = statistics.change(*sessions)
    assert ratio is not None  # a row has at least one session
    floors = [before[0]["floor"], case["floor"]]
    known = [floor for floor in floors if floor is not None]
    noise = max(known) if known == floors else None
    return Change(
        case["name"],
        case["n"],
        case["d"],
        row["backend"],
        row["precision"],
        before[1]["time"]["median"],
        row["time"]["median"],
        ratio,
        noise,
        statistics.verdict(ratio, noise),
    )


def _machines(old: ResultFile, new: ResultFile) -> list[str]:
    """Return what makes a comparison of times unfair."""
    facts = [_facts(content) for content in (old, new)]
    return [
        f"{label}: {_short(before)} → {_short(after)}"
        for (label, before), after in zip(facts[0].items(), facts[1].values(), strict=True)
        if before != after
    ]


def _facts(content: ResultFile) -> dict[str, object]:
    machine = content["machine_info"]
    return {
        "processor": machine["cpu"].get("brand_raw"),
        "usable cores": len(machine["cores"]["usable"]),
        "caches": machine["caches"],
        "memory": machine["memory"],
        "threads": content["gradrace"]["settings"]["threads"],
    }


def _hosts(old: ResultFile, new: ResultFile) -> list[str]:
    """Return a difference between the names of the hosts; the machines may still be equal."""
    names = [content["machine_info"]["node"] for content in (old, new)]
    return [] if names[0] == names[1] else [f"host: {names[0]} → {names[1]}"]


def _versions(old: ResultFile, new: ResultFile) -> list[str]:
    """Return what has another version than before, which is often the reason to compare."""
    found = []
    libraries = [_libraries(content) for content in (old, new)]
    for name in sorted(libraries[0].keys() | libraries[1].keys()):
        values = [side.get(name) for side in libraries]
        if values[0] != values[1]:
            found.append(f"{name}: {_short(values[0])} → {_short(values[1])}")
    prints = [content["gradrace"]["fingerprints"] for content in (old, new)]
    found += [
        f"{name}: its file or library has changed"
        for name in prints[0]
        if prints[1].get(name, prints[0][name]) != prints[0][name]
    ]
    return found


def _libraries(content: ResultFile) -> dict[str, object]:
    sessions = content["gradrace"]["sessions"]
    for session in sessions:
        if session["libraries"]:
            return {key: value for key, value in session["libraries"].items() if key != "pools"}
    return {}


def _precisions(old: ResultFile, new: ResultFile) -> list[str]:
    names = old["gradrace"]["backends"].keys() & new["gradrace"]["backends"].keys()
    pairs = {name: [precision_of(run["gradrace"], name) for run in (old, new)] for name in names}
    return [
        f"precision of {name}: {before} → {after}"
        for name, (before, after) in sorted(pairs.items())
        if before != after
    ]


def _cases(
    before: dict[tuple[str, str], tuple[CaseFindings, Row]],
    after: dict[tuple[str, str], tuple[CaseFindings, Row]],
) -> list[str]:
    found = []
    for words, one, other in (
        ("only in the old run", before, after),
        ("only in the new run", after, before),
    ):
        missing = [f"{backend} on {case}" for case, backend in one if (case, backend) not in other]
        if missing:
            more = f" and {len(missing) - 3} more" if len(missing) > 3 else ""
            found.append(f"{words}: {', '.join(missing[:3])}{more}")
    jobs = {
        key[0]
        for key in before.keys() & after.keys()
        if any(before[key][0][part] != after[key][0][part] for part in ("lr", "epochs"))
    }
    if jobs:
        found.append(f"different epochs or learning rates: {', '.join(sorted(jobs))}")
    left = sorted(
        {key[1] for key in before.keys() & after.keys() if not _comparable(before[key], after[key])}
    )
    if left:
        found.append(f"not compared, because the set-up counts: {', '.join(left)}")
    return found


def _partial(contents: list[ResultFile], paths: tuple[Path, Path]) -> list[str]:
    return [
        f"{path}: partial, {sum(not s['failure'] for s in about['sessions'])} of "
        f"{about['settings']['sessions']} sessions"
        for about, path in zip((c["gradrace"] for c in contents), paths, strict=True)
        if about["interrupted"]
    ]


def _short(value: object) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{key} {item}" for key, item in value.items())
    return "none" if value is None else str(value)
