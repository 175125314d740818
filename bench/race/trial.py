"""The trial before the race: what each backend needs on each case, in a separate process.

For each arm (a backend on a case), it finds out whether it can be timed at all, how many calls make
a block, how many epochs fit the budget, how long the first call takes, and how much memory it uses.
From then on, these numbers are fixed for all sessions.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from statistics import median

from gradrace import backends
from gradrace.bench.race import schema
from gradrace.bench.race.cases import Case
from gradrace.bench.race.plan import Arm, Plan
from gradrace.bench.race.session import Session, time_arms

LONG_BLOCK = 0.01
"""Seconds; an arm with longer blocks gets fewer repetitions."""
FEWEST_REPETITIONS = 4
_LEAST_COMPILING = 0.01
"""How many seconds longer, at least, the first call takes if it compiles."""
_TIMEOUT = 300.0
"""Time limit of a trial in seconds, in addition to ten of the longest calls."""


@dataclass
class Trials:
    """What the trials found."""

    arms: list[Arm] = field(default_factory=list)
    """The arms to race, frozen, with one duplicate per case."""
    verdicts: list[schema.JudgedCase] = field(default_factory=list)
    """One for every arm that was judged."""
    left_out: list[schema.LeftOut] = field(default_factory=list)
    """One for every arm that is not raced."""
    compile: list[schema.Compile] = field(default_factory=list)
    """One for every backend that compiles."""
    declared: dict[str, schema.Declared] = field(default_factory=dict)
    """What the module of every raced backend declares."""
    calls: list[schema.Trial] = field(default_factory=list)
    """What `Contestant` found of every arm that is raced."""


@dataclass(frozen=True)
class Conditions:
    """Where and how trials and sessions run."""

    exact: Path
    """The folder of the exact sums."""
    caches: Path
    """A folder for Numba's caches, empty at first: no machine code is older than the run."""
    threads: int
    budget: float
    longest: float
    """As in `plan.Plan`, in seconds."""

    @property
    def cache(self) -> Path:
        """The cache that all processes share, except those that measure a cold start."""
        return self.caches / "shared"


def try_out(
    specs: Sequence[str],
    cases: Sequence[Case],
    conditions: Conditions,
    *,
    precisions: Mapping[str, str],
    repetitions: int,
    colds: int,
    on_trial: Callable[[str], None],
) -> Trials:
    """Try every backend on every case, with `colds` cold starts; `on_trial` gets what is next.

    `precisions` are those that backends declared when they were checked.
    """
    found = Trials()
    smallest = min(cases, key=lambda case: case.data_bytes)
    for spec in specs:
        for case in sorted(cases, key=lambda case: case is not smallest):
            on_trial(f"trying {spec} on {case.name}")
            session = _try(spec, case, conditions, conditions.cache, precisions.get(spec, ""))
            if case is smallest:
                session = _measure_compiling(
                    found, spec, case, conditions, session, colds, on_trial
                )
            arm = _frozen(found, spec, case, session, repetitions)
            if arm is not None:
                found.arms.append(arm)
    found.arms = _with_duplicates(found.arms, cases)
    return found


def _try(
    spec: str, case: Case, conditions: Conditions, cache: Path, precision: str = ""
) -> Session:
    plan = Plan(
        (Arm(case.spec, spec, repetitions=1, precision=precision),),
        "0",
        conditions.budget,
        conditions.longest,
        str(conditions.exact),
    )
    patience = _TIMEOUT + 10 * conditions.longest
    return time_arms(plan, threads=conditions.threads, cache=cache, timeout=patience)


def _measure_compiling(
    found: Trials,
    spec: str,
    case: Case,
    conditions: Conditions,
    session: Session,
    colds: int,
    on_trial: Callable[[str], None],
) -> Session:
    """Measure cold and cached starts if they differ; return a trial that starts cached.

    `session` was the first trial of this backend in the run, so its cache was cold.
    """
    if not _compiles(session):
        return session
    cold, cached = [session], []
    on_trial(f"measuring how long {spec} compiles")
    sure = bool(_info(session)["signatures"][0])
    for number in range(1, colds if sure else max(2, colds)):
        cold.append(
            _try(spec, case, conditions, conditions.caches / f"{len(found.compile)}-{number}")
        )
    if not (sure or all(_compiles(trial) for trial in cold)):
        return session  # a slow moment of the machine
    for _ in range(colds):
        cached.append(_try(spec, case, conditions, conditions.cache))
    if not all(trial.results["benchmarks"] for trial in (*cold, *cached)):
        return cached[-1]
    found.compile.append(
        {
            "backend": spec,
            "load": median(_info(trial)["load"] for trial in cached),
            "cold": median(_info(trial)["compile"] for trial in cold),
            "cached": median(_info(trial)["compile"] for trial in cached),
        }
    )
    return cached[-1]


def _compiles(session: Session) -> bool:
    if not session.results["benchmarks"]:
        return False
    info = _info(session)
    return bool(info["signatures"][0]) or (
        info["compile"]
        > max(_LEAST_COMPILING, info["first"] / 2)  # more than the variation of a long call
    )


def _info(session: Session) -> schema.TimedInfo:
    return session.results["benchmarks"][0]["extra_info"]


def _frozen(found: Trials, spec: str, case: Case, session: Session, repetitions: int) -> Arm | None:
    """Return the arm with its calls, epochs and repetitions, or note why it is left out."""
    event = session.verdicts[-1] if session.verdicts else None
    reason, fault = session.failure, bool(session.failure)
    if session.timed_out:  # not a fault: it has passed the check on the reference line
        reason, fault = f"too slow: {reason}", False
    if event is not None:
        found.verdicts.append({"case": case.name, "verdict": event["verdict"]})
        if not event["verdict"]["agrees"]:
            reason, fault = event["verdict"]["reason"], True
        elif event["too_slow"]:
            reason = event["too_slow"]
    if reason:
        found.left_out.append(
            {"case": case.name, "backend": spec, "reason": reason, "fault": fault}
        )
        return None
    stats, info = session.results["benchmarks"][0]["stats"], _info(session)
    found.declared[spec] = schema.Declared(
        one_core=info["one_core"],
        passes_once=info["passes_once"],
        precision=info.get("precision", "float64"),
    )
    found.calls.append(
        {
            "case": case.name,
            "backend": spec,
            "memory": info["memory"],
            "preparing": info["preparing"],
            "setup": info["setup"],
            "growth": info["growth"],
        }
    )
    block = stats["median"] * stats["iterations"]
    share = min(1.0, LONG_BLOCK / block)
    return Arm(
        case.spec,
        spec,
        epochs=info["epochs"],
        calls=stats["iterations"] // (info["epochs"] + 1),
        repetitions=min(repetitions, max(FEWEST_REPETITIONS, round(repetitions * share))),
        block=block,
        precision=found.declared[spec].get("precision", ""),
    )


def _with_duplicates(arms: Sequence[Arm], cases: Sequence[Case]) -> list[Arm]:
    """Return the arms case by case, each case with copies at the end.

    These are of its fastest arm, and of every backend that races against an earlier version.
    """

    def per_epoch(arm: Arm) -> float:
        return arm.block / ((arm.calls or 1) * (arm.job.epochs + 1))

    result = []
    for case in cases:
        rivals = [arm for arm in arms if arm.case == case.spec]
        changed = set(backends.earlier(arm.backend for arm in rivals).values())
        twice = [
            arm for arm in rivals if arm.backend in changed or arm is min(rivals, key=per_epoch)
        ]
        result += [*rivals, *(replace(arm, duplicate=True) for arm in twice)]
    return result
