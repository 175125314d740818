"""What follows from the data of a result file: a row per case and backend, and the warnings."""

from collections.abc import Mapping, Sequence
from statistics import median

from gradrace.bench.machine import roofline
from gradrace.bench.machine.roofline import Limit
from gradrace.bench.race import statistics
from gradrace.bench.race.merging import times
from gradrace.bench.race.precision import precision_of
from gradrace.bench.race.schema import (
    About,
    Benchmark,
    BreakEven,
    Case,
    CaseFindings,
    Compile,
    Fastest,
    LimitShare,
    PooledInfo,
    ResultFile,
    Row,
    Trial,
)
from gradrace.bench.race.schema import Times as RowTimes
from gradrace.bench.race.statistics import Estimate, plain
from gradrace.bench.race.warnings import warnings_about

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
"""The share of a call below which its passes cannot be distinguished from its setup."""

_MORE_THAN_CONVERTING, _LEAST_PREPARING = 3.0, 0.001
"""How many times as long as converting and copying the samples `prepare` must take, and how many
seconds longer, to count as set-up: it then does some of the work."""

Arms = Mapping[tuple[str, bool], Benchmark]
"""Backend, and whether it is the duplicate → its times."""


def conclude(content: ResultFile) -> None:
    """Write what follows from the data into "gradrace": `cases` and `warnings`."""
    about = content["gradrace"]
    about["cases"] = [
        _case_findings(
            case, [arm for arm in content["benchmarks"] if arm["group"] == case["name"]], about
        )
        for case in about["settings"]["cases"]
    ]
    about["warnings"] = warnings_about(content)


def _case_findings(case: Case, benchmarks: Sequence[Benchmark], about: About) -> CaseFindings:
    """Return the case with a row per backend and the A/A floor."""
    arms = {
        (arm["extra_info"]["backend"], arm["extra_info"]["duplicate"]): _with_preparing(
            case, arm, about
        )
        for arm in benchmarks
    }
    doubled, aa, floor = _noise(arms)
    baseline = about["settings"]["baseline"]
    base = arms.get((baseline, False))
    rows = [
        _row(case, arm, base, floor, about) for (_, duplicate), arm in arms.items() if not duplicate
    ]
    if any(row["impossible"] for row in rows if row["backend"] == baseline):
        _withdraw(rows)
    _add_break_even(rows, about["compile"])
    return {
        **case,
        "baseline": baseline,
        "run_epochs": _run_epochs(case),
        "doubled": doubled,
        "aa": plain(aa),
        "floor": floor,
        "arms": rows,
        "fastest": _fastest(rows, arms, floor),
    }


def _with_preparing(case: Case, arm: Benchmark, about: About) -> Benchmark:
    """Return an arm whose calls include `prepare`, if that counts as set-up."""
    if not (more := _counted(_trial(about, case, arm["extra_info"]))):
        return arm
    more /= arm["extra_info"]["epochs"] + 1
    stats = arm["stats"]
    data = [value + more for value in stats["data"]]
    return {**arm, "stats": {**stats, "data": data, "median": stats["median"] + more}}


def _counted(trial: Trial | None) -> float:
    """Return the seconds of `prepare` if it clearly does more than convert the samples, or 0."""
    found = trial.get("preparing") if trial else None
    if not found:
        return 0.0
    most = _MORE_THAN_CONVERTING * found["copying"] + _LEAST_PREPARING
    return found["seconds"] if found["seconds"] > most else 0.0


def _run_epochs(case: Case) -> int:
    """Return the epochs of a training run: those asked for, or not too few."""
    return case["epochs"] if case.get("chosen") else max(case["epochs"], LEAST_RUN_EPOCHS)


def _noise(arms: Arms) -> tuple[str | None, Estimate | None, float | None]:
    """Return which backend seems to differ most from its duplicate, its ratio, and the A/A floor.

    Where versions are compared, several backends have a duplicate.
    """
    ratios = {
        backend: statistics.speed_up(times(arms[backend, False]), times(arm))
        for (backend, duplicate), arm in arms.items()
        if duplicate and (backend, False) in arms
    }
    if not ratios:
        return next((backend for backend, duplicate in arms if duplicate), None), None, None
    doubled = max(ratios, key=lambda backend: statistics.floor(ratios[backend]) or 0.0)
    return doubled, ratios[doubled], statistics.floor(ratios[doubled])


def _withdraw(rows: Sequence[Row]) -> None:
    """Compare no backend with a baseline that is impossibly fast."""
    for row in rows:
        row["speed_up"] = None
        row["verdict"] = row["verdict"] if row["impossible"] else statistics.UNJUDGED


def _fastest(rows: Sequence[Row], arms: Arms, floor: float | None) -> Fastest | None:
    """Return the fastest backend, and how it compares with the second; None if fewer than two."""
    rows = [row for row in rows if not row["impossible"]]
    if len(rows) < 2:
        return None
    first, second = sorted(rows, key=lambda row: row["time"]["median"])[:2]
    ratio = statistics.speed_up(*(times(arms[r["backend"], False]) for r in (second, first)))
    return {
        "backend": first["backend"],
        "second": second["backend"],
        "speed_up": plain(ratio),
        "verdict": statistics.verdict(ratio, floor),
    }


def _row(
    case: Case, arm: Benchmark, base: Benchmark | None, floor: float | None, about: About
) -> Row:
    """Return what the data show about one backend on one case; times are in seconds per epoch."""
    info, time = arm["extra_info"], _times(arm)
    trial = _trial(about, case, info)
    preparing, passes = trial.get("preparing") if trial else None, info["epochs"] + 1
    counted = _counted(trial)
    setup = (trial["setup"] if trial else 0.0) + counted
    slowest = max(time["sessions"].values()) - counted / passes  # of a call alone
    per_pass = max(time["median"] - setup / passes, _VISIBLE_PASSES * time["median"])
    limit = _limit(case, info, about)
    row: Row = {
        "backend": info["backend"],
        "epochs": info["epochs"],
        "passes_once": about["backends"][info["backend"]]["passes_once"],
        "precision": precision_of(about, info["backend"]),
        "impossible": _impossible(case, info, limit, slowest, about),
        "time": time,
        "rate": case["n"] / time["median"],
        "limit": _share(limit, time),
        "prepare": preparing["seconds"] if preparing else None,
        "setup": setup,
        "per_pass": per_pass,
        "run": setup + per_pass * (_run_epochs(case) + 1),
        "speed_up": None,
        "verdict": "",
        "memory": trial["memory"] if trial else None,
        "break_even": {},
    }
    if row["impossible"]:
        row["verdict"] = "impossible"
    elif base is arm:
        row["verdict"] = "baseline"
    elif base is not None:
        _judge(row, base, arm, floor)
    return row


def _times(arm: Benchmark) -> RowTimes:
    sessions = {session: median(found.values()) for session, found in times(arm).items()}
    interval = statistics.geometric_mean(list(sessions.values()))
    assert interval is not None  # an arm has at least one session
    data = arm["stats"]["data"]
    return {
        "median": median(data),
        "minimum": min(data),
        "interval": plain(interval),
        "sessions": sessions,
    }


def _judge(row: Row, base: Benchmark, arm: Benchmark, floor: float | None) -> None:
    """Compare an arm with the baseline."""
    ratio = statistics.speed_up(times(base), times(arm))
    row["verdict"] = statistics.verdict(ratio, floor)
    if ratio is not None:
        minima = min(base["stats"]["data"]) / min(arm["stats"]["data"])
        row["speed_up"] = {**plain(ratio), "minima": minima}


def _limit(case: Case, info: PooledInfo, about: About) -> Limit | None:
    """Return the least time per epoch, and what sets it; None if it is not known."""
    machine = about["roofline"]
    if not machine:
        return None
    once, threads = about["backends"][info["backend"]]["passes_once"], _threads(info, about)
    return roofline.limit(
        machine,
        case["n"],
        case["d"],
        info["epochs"],
        threads,
        once=once,
        number=_bytes_of_number(about, info),
    )


def _bytes_of_number(about: About, info: PooledInfo) -> int:
    return 4 if precision_of(about, info["backend"]) == "float32" else 8


def _threads(info: PooledInfo, about: About) -> int:
    """Return how many threads a backend uses."""
    one_core = about["backends"][info["backend"]]["one_core"]
    return 1 if one_core else about["settings"]["threads"]


def _share(limit: Limit | None, time: RowTimes) -> LimitShare | None:
    return {**limit, "share": limit["seconds"] / time["minimum"]} if limit else None


def _impossible(
    case: Case, info: PooledInfo, limit: Limit | None, slowest: float, about: About
) -> str:
    """Say why no code can be as fast as this one was in every session; empty if some can."""
    if limit is None or about["roofline"] is None:
        return ""
    if slowest < limit["seconds"] / _LIMIT_ERROR:
        return (
            f"{limit['seconds'] / slowest:.3g} times as fast as this machine can go through the "
            "samples"
            + "; a backend that does so only once per call must set PASSES_ONCE"
            * (not about["backends"][info["backend"]]["passes_once"])
        )
    trial = _trial(about, case, info)
    if trial and (growth := trial["growth"]):
        size = (case["n"], case["d"], _threads(info, about))
        least = roofline.least_pass(about["roofline"], *size, _bytes_of_number(about, info))
        visible = least > _VISIBLE_READING * growth["whole"]
        little = min(_LEAST_GROWTH * least / _LIMIT_ERROR, _CLEAR_GROWTH * growth["whole"])
        if visible and growth["more"] < little:
            return "its time hardly grows with the samples: it does not go through them in `train`"
    return ""


def _trial(about: About, case: Case, info: PooledInfo) -> Trial | None:
    """Return what the trial found about a backend on a case, if there was one."""
    for trial in about["trials"]:
        if (trial["case"], trial["backend"]) == (case["name"], info["backend"]):
            return trial
    return None


def _add_break_even(rows: Sequence[Row], compiled: Sequence[Compile]) -> None:
    """Add after how many runs each backend that compiles catches up with those that do not."""
    starts = {entry["backend"]: entry for entry in compiled}
    others = [row for row in rows if row["backend"] not in starts]
    for row in rows:
        if start := starts.get(row["backend"]):
            row["break_even"] = {
                other["backend"]: _break_even(row["run"], start, other["run"]) for other in others
            }


def _break_even(run: float, start: Compile, other: float) -> BreakEven:
    return {
        "cold": statistics.break_even(run + start["cold"], run, other),
        "cached": statistics.break_even(run + start["cached"], run, other),
    }
