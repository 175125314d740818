"""What follows from the data of a result file: an entry per size and backend."""

from collections.abc import Mapping, Sequence
from statistics import median

from msgspec.structs import asdict, replace

from gradrace.bench.machine import roofline
from gradrace.bench.race.cases import Case
from gradrace.bench.race.verdict import statistics
from gradrace.bench.race.verdict.result import (
    About,
    Benchmark,
    BreakEven,
    CaseFindings,
    Compile,
    Entry,
    LimitShare,
    Measured,
    MeasuredFile,
    PooledInfo,
    ResultFile,
    Times,
    Trial,
)
from gradrace.bench.race.verdict.warnings import warnings_about

LEAST_RUN_EPOCHS = 1_000
"""The least epochs of a training run, unless others are asked for."""

_LIMIT_ERROR = 1.25
"""How many times as fast as the measured limit a backend may be, because machine speed varies."""

_LEAST_GROWTH = 7 / 8
"""How much longer a call on all samples must take than one on an eighth of them, at least, in
multiples of the time to read all samples once."""

_CLEAR_GROWTH = 0.5
"""The share of a call by which one on an eighth of the samples is so much shorter that it certainly
goes through them, however fast the machine was at that moment."""

_VISIBLE_READING = 0.05
"""The least share of a call that reading the samples must take for that growth to be visible."""

_VISIBLE_PASSES = 0.02
"""The share of a call below which its passes cannot be distinguished from its set-up."""

_MORE_THAN_CONVERTING, _LEAST_PREPARING = 3.0, 0.001
"""How many times as long as converting and copying the samples `prepare` must take, and how many
seconds longer, to count as set-up: it then does some of the work."""

Timed = Mapping[tuple[str, bool], Benchmark]
"""Backend, and whether it is the duplicate → its times."""


def concluded(measured: MeasuredFile) -> ResultFile:
    """Return the file of a race with what follows from its data."""
    file = asdict(measured)
    about: Measured = file.pop("gradrace")
    known = {name: getattr(about, name) for name in Measured.__struct_fields__}
    result = ResultFile(**file, gradrace=About(**known))
    conclude(result)
    return result


def conclude(content: ResultFile) -> None:
    """Write what follows from the data into the file: `cases` and `warnings`."""
    about = content.gradrace
    about.cases = [
        _case_findings(case, [one for one in content.benchmarks if one.group == case.name], about)
        for case in about.settings.cases
    ]
    about.warnings = warnings_about(content)


def _case_findings(case: Case, benchmarks: Sequence[Benchmark], about: About) -> CaseFindings:
    """Return the case with an entry per backend and the noise."""
    timed = {
        (one.backend, one.extra_info.duplicate): _with_preparing(case, one, about)
        for one in benchmarks
    }
    doubled, noise = _noise(timed)
    baseline = about.settings.baseline
    base = timed.get((baseline, False))
    entries = [
        _entry(case, one, base, noise, about)
        for (_, duplicate), one in timed.items()
        if not duplicate
    ]
    if any(entry.impossible for entry in entries if entry.backend == baseline):
        _withdraw(entries)
    _add_break_even(entries, about.compile)
    return CaseFindings(
        **asdict(case),
        baseline=baseline,
        run_epochs=_run_epochs(case),
        doubled=doubled,
        noise=noise,
        entries=entries,
    )


def _with_preparing(case: Case, one: Benchmark, about: About) -> Benchmark:
    """Return an entry whose calls include `prepare`, if that counts as set-up."""
    if not (more := _counted(_trial(about, case, one.extra_info))):
        return one
    more /= one.extra_info.epochs + 1
    data = [value + more for value in one.stats.data]
    return replace(one, stats=replace(one.stats, data=data, median=one.stats.median + more))


def _counted(trial: Trial | None) -> float:
    """Return the seconds of `prepare` if it clearly does more than convert the samples, or 0."""
    if trial is None or trial.preparing is None:
        return 0.0
    most = _MORE_THAN_CONVERTING * trial.preparing.copying + _LEAST_PREPARING
    return trial.preparing.seconds if trial.preparing.seconds > most else 0.0


def _run_epochs(case: Case) -> int:
    """Return the epochs of a training run: those asked for, or not too few."""
    return case.epochs if case.chosen else max(case.epochs, LEAST_RUN_EPOCHS)


def _noise(timed: Timed) -> tuple[str | None, float | None]:
    """Return which backend seems to differ most from its identical copy, and by how much.

    Where versions are compared, several backends have a copy.
    """
    ratios = {
        backend: statistics.speed_up(timed[backend, False].times(), one.times())
        for (backend, duplicate), one in timed.items()
        if duplicate and (backend, False) in timed
    }
    if not ratios:
        return next((backend for backend, duplicate in timed if duplicate), None), None
    doubled = max(ratios, key=lambda backend: statistics.noise(ratios[backend]) or 0.0)
    return doubled, statistics.noise(ratios[doubled])


def _withdraw(entries: Sequence[Entry]) -> None:
    """Compare no backend with a baseline that is impossibly fast."""
    for entry in entries:
        entry.speed_up = entry.speed_up_of_bests = None
        entry.verdict = entry.verdict if entry.impossible else statistics.UNJUDGED


def _entry(
    case: Case, one: Benchmark, base: Benchmark | None, noise: float | None, about: About
) -> Entry:
    """Return what the data show about a backend at one size; times are in seconds per epoch."""
    info, time = one.extra_info, _times(one)
    trial = _trial(about, case, info)
    preparing = trial.preparing if trial else None
    counted, passes = _counted(trial), info.epochs + 1
    setup = (trial.setup if trial else 0.0) + counted
    slowest = max(time.sessions.values()) - counted / passes  # of a call alone
    per_pass = max(time.median - setup / passes, _VISIBLE_PASSES * time.median)
    limit = _limit(case, info, about)
    entry = Entry(
        backend=info.backend,
        epochs=info.epochs,
        passes_once=about.backends[info.backend].passes_once,
        precision=about.precision_of(info.backend),
        impossible=_impossible(case, info, limit, slowest, about),
        time=time,
        rate=case.n / time.median,
        limit=_share(limit, time),
        prepare=preparing.seconds if preparing else None,
        setup=setup,
        per_pass=per_pass,
        run=setup + per_pass * (_run_epochs(case) + 1),
        memory=trial.memory if trial else None,
    )
    if entry.impossible:
        entry.verdict = "impossible"
    elif base is one:
        entry.verdict = "baseline"
    elif base is not None:
        _judge(entry, base, one, noise)
    return entry


def _times(one: Benchmark) -> Times:
    sessions = {session: median(found.values()) for session, found in one.times().items()}
    interval = statistics.geometric_mean(list(sessions.values()))
    assert interval is not None  # an entry has at least one session
    return Times(median(one.stats.data), min(one.stats.data), interval, sessions)


def _judge(entry: Entry, base: Benchmark, one: Benchmark, noise: float | None) -> None:
    """Compare a backend with the baseline."""
    ratio = statistics.speed_up(base.times(), one.times())
    entry.verdict = statistics.verdict(ratio, noise)
    if ratio is not None:
        entry.speed_up = ratio
        entry.speed_up_of_bests = min(base.stats.data) / min(one.stats.data)


def _limit(case: Case, info: PooledInfo, about: About) -> roofline.Limit | None:
    """Return the least time per epoch, and what sets it; None if it is not known."""
    if not about.roofline:
        return None
    return roofline.limit(
        about.roofline,
        case.n,
        case.d,
        info.epochs,
        _threads(info, about),
        once=about.backends[info.backend].passes_once,
        number=_bytes_of_number(about, info),
    )


def _share(limit: roofline.Limit | None, time: Times) -> LimitShare | None:
    if limit is None:
        return None
    return LimitShare(limit.seconds, limit.by, limit.seconds / time.minimum)


def _bytes_of_number(about: About, info: PooledInfo) -> int:
    return 4 if about.precision_of(info.backend) == "float32" else 8


def _threads(info: PooledInfo, about: About) -> int:
    """Return how many threads a backend uses."""
    return 1 if about.backends[info.backend].one_core else about.settings.threads


def _impossible(
    case: Case, info: PooledInfo, limit: roofline.Limit | None, slowest: float, about: About
) -> str:
    """Say why no code can be as fast as this one was in every session; empty if some can."""
    if limit is None or about.roofline is None:
        return ""
    if slowest < limit.seconds / _LIMIT_ERROR:
        text = (
            f"{limit.seconds / slowest:.3g} times as fast as this machine can go through the "
            "samples"
        )
        if about.backends[info.backend].passes_once:
            return text
        return f"{text}; a backend that does so only once per call must set PASSES_ONCE"
    trial = _trial(about, case, info)
    if trial and (growth := trial.growth):
        size = (case.n, case.d, _threads(info, about))
        least = roofline.least_pass(about.roofline, *size, _bytes_of_number(about, info))
        visible = least > _VISIBLE_READING * growth.whole
        little = min(_LEAST_GROWTH * least / _LIMIT_ERROR, _CLEAR_GROWTH * growth.whole)
        if visible and growth.more < little:
            return "its time hardly grows with the samples: it does not go through them in `train`"
    return ""


def _trial(about: About, case: Case, info: PooledInfo) -> Trial | None:
    """Return what the trial found about a backend at one size, if there was one."""
    for trial in about.trials:
        if (trial.case, trial.backend) == (case.name, info.backend):
            return trial
    return None


def _add_break_even(entries: Sequence[Entry], compiled: Sequence[Compile]) -> None:
    """Add after how many runs each backend that compiles catches up with those that do not."""
    starts = {start.backend: start for start in compiled}
    others = [entry for entry in entries if entry.backend not in starts]
    for entry in entries:
        if start := starts.get(entry.backend):
            entry.break_even = {
                other.backend: BreakEven(
                    statistics.break_even(entry.run + start.cold, entry.run, other.run),
                    statistics.break_even(entry.run + start.cached, entry.run, other.run),
                )
                for other in others
            }
