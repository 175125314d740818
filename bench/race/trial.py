"""The trial before the race: what each backend needs on each case, in a separate process.

For each contender (a backend at one size), it finds out whether it can be timed at all, how many
calls make a block, how many epochs fit the budget, how long the first call takes, and how much
memory it uses. From then on, these numbers are fixed for all sessions.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

from msgspec.structs import replace

from gradrace import backends
from gradrace.bench.race.cases import Case
from gradrace.bench.race.plan import Contender, Plan
from gradrace.bench.race.session import Session, time_plan
from gradrace.bench.race.verdict.result import (
    Compile,
    Declared,
    JudgedCase,
    LeftOut,
    TimedInfo,
    Trial,
)

LONG_BLOCK = 0.01
"""Seconds; a contender with longer blocks gets fewer repetitions."""
FEWEST_REPETITIONS = 4
_LEAST_COMPILING = 0.01
"""How many seconds longer, at least, the first call takes if it compiles."""
_TIMEOUT = 300.0
"""Time limit of a trial in seconds, in addition to ten of the longest calls."""


@dataclass
class Trials:
    """What the trials found."""

    contenders: list[Contender] = field(default_factory=list)
    """The contenders to race, frozen, with one duplicate per case."""
    verdicts: list[JudgedCase] = field(default_factory=list)
    """One for every contender that was judged."""
    left_out: list[LeftOut] = field(default_factory=list)
    """One for every contender that is not raced."""
    compile: list[Compile] = field(default_factory=list)
    """One for every backend that compiles."""
    declared: dict[str, Declared] = field(default_factory=dict)
    """What the module of every raced backend declares."""
    calls: list[Trial] = field(default_factory=list)
    """What `Contestant` found of every contender that is raced."""


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
            one = _frozen(found, spec, case, session, repetitions)
            if one is not None:
                found.contenders.append(one)
    found.contenders = _with_duplicates(found.contenders, cases)
    return found


def _try(
    spec: str, case: Case, conditions: Conditions, cache: Path, precision: str = ""
) -> Session:
    plan = Plan(
        (Contender(case.spec, spec, repetitions=1, precision=precision),),
        "0",
        conditions.budget,
        conditions.longest,
        str(conditions.exact),
    )
    patience = _TIMEOUT + 10 * conditions.longest
    return time_plan(plan, threads=conditions.threads, cache=cache, timeout=patience)


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
    sure = bool(_info(session).signatures[0])
    for number in range(1, colds if sure else max(2, colds)):
        cold.append(
            _try(spec, case, conditions, conditions.caches / f"{len(found.compile)}-{number}")
        )
    if not (sure or all(_compiles(trial) for trial in cold)):
        return session  # a slow moment of the machine
    for _ in range(colds):
        cached.append(_try(spec, case, conditions, conditions.cache))
    if not all(trial.results.benchmarks for trial in (*cold, *cached)):
        return cached[-1]
    found.compile.append(
        Compile(
            spec,
            load=median(_info(trial).load for trial in cached),
            cold=median(_info(trial).compile for trial in cold),
            cached=median(_info(trial).compile for trial in cached),
        )
    )
    return cached[-1]


def _compiles(session: Session) -> bool:
    if not session.results.benchmarks:
        return False
    info = _info(session)
    return bool(info.signatures[0]) or (
        info.compile
        > max(_LEAST_COMPILING, info.first / 2)  # more than the variation of a long call
    )


def _info(session: Session) -> TimedInfo:
    return session.results.benchmarks[0].extra_info


def _frozen(
    found: Trials, spec: str, case: Case, session: Session, repetitions: int
) -> Contender | None:
    """Return the contender with its calls, epochs and repetitions, or note why it is left out."""
    judged = session.verdicts[-1] if session.verdicts else None
    reason, fault = session.failure, bool(session.failure)
    if session.timed_out:  # not a fault: it has passed the check on the reference line
        reason, fault = f"too slow: {reason}", False
    if judged is not None:
        found.verdicts.append(JudgedCase(case.name, judged.verdict))
        if not judged.verdict.agrees:
            reason, fault = judged.verdict.reason, True
        elif judged.too_slow:
            reason = judged.too_slow
    if reason:
        found.left_out.append(LeftOut(case.name, spec, reason, fault))
        return None
    stats, info = session.results.benchmarks[0].stats, _info(session)
    found.declared[spec] = Declared(
        one_core=info.one_core, passes_once=info.passes_once, precision=info.precision
    )
    found.calls.append(Trial(case.name, spec, info.setup, info.growth, info.memory, info.preparing))
    block = stats.median * stats.iterations
    share = min(1.0, LONG_BLOCK / block)
    return Contender(
        case.spec,
        spec,
        epochs=info.epochs,
        calls=stats.iterations // (info.epochs + 1),
        repetitions=min(repetitions, max(FEWEST_REPETITIONS, round(repetitions * share))),
        block=block,
        precision=info.precision,
    )


def _with_duplicates(contenders: Sequence[Contender], cases: Sequence[Case]) -> list[Contender]:
    """Return the contenders case by case, each case with copies at the end.

    These are of its fastest contender, and of every backend that races against an earlier version.
    """

    def per_epoch(one: Contender) -> float:
        return one.block / ((one.calls or 1) * (one.job.epochs + 1))

    result = []
    for case in cases:
        rivals = [one for one in contenders if one.case == case.spec]
        changed = set(backends.earlier(one.backend for one in rivals).values())
        twice = [
            one for one in rivals if one.backend in changed or one is min(rivals, key=per_epoch)
        ]
        result += [*rivals, *(replace(one, duplicate=True) for one in twice)]
    return result
