"""The result file: pytest-benchmark's JSON, with what `gradrace` adds under the key "gradrace".

`benchmarks` holds one entry per arm, the data of all sessions in it, in seconds per epoch;
`extra_info` says of each value which session and which repetition it is from. Under "gradrace"
stand the settings, the sessions, what was left out and why, and `cases`: what follows from the data
by `statistics.py`. So the file alone draws every picture of a race, answers `compare` and `advise`,
and can be resumed.
"""

import reprlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from statistics import median
from typing import Any

from backends.interface import InputValueError
from bench.data.files import write_json
from bench.findings import statistics
from bench.findings.statistics import Times, plain
from bench.findings.warnings import cautions
from bench.machine import roofline

SCHEMA = 3
SHORTEST_RUN = 1_000
"""Epochs of a training run, at least, where it is asked after how many runs compiling has paid."""

_UNSURE = 1.25
"""How many times as fast as the measured limit a backend may be: the machine has good hours."""

_GROWS = 7 / 8  # of a pass: what all samples take more than an eighth of them
_VISIBLE = 0.05
"""The share of a call, at least, that going through the samples takes, to be seen to grow."""

_RESOLVED = 0.02
"""What is a smaller share of a call cannot be told from the rest of it."""

Content = dict[str, Any]
Benchmark = dict[str, Any]


def merge(benchmarks: list[Benchmark], session: int, more: Iterable[Benchmark]) -> None:
    """Add the arms that a session timed to those of the sessions before it."""
    known = {arm["fullname"]: arm for arm in benchmarks}
    for arm in more:
        info, data = arm["extra_info"], arm["stats"]["data"]
        once = {key: info.pop(key) for key in ("first", "load", "cores")}
        for key in ("calibrates", "compile", "memory", "growth", "setup"):  # the trial's
            info.pop(key, None)
        info["sessions"] = [session] * len(data)
        if arm["fullname"] not in known:
            info.update({key: [value] for key, value in once.items()})
            benchmarks.append(arm)
            continue
        pooled = known[arm["fullname"]]
        merged = pooled["extra_info"]
        for key in ("sessions", "repetitions"):
            merged[key] += info[key]
        for key, value in once.items():
            merged[key].append(value)
        if info["signatures"][1] > info["signatures"][0]:  # something was compiled
            merged["signatures"] = info["signatures"]
        pooled["stats"] = pooled_stats(pooled["stats"]["data"] + data, arm["stats"]["iterations"])
        if pooled["options"] != arm["options"]:
            pooled["options"] = {**pooled["options"], "mixed": True}
    benchmarks.sort(key=lambda arm: arm["extra_info"]["place"])


def pooled_stats(data: list[float], iterations: int) -> dict[str, Any]:
    """Return the figures of pytest-benchmark for these values, in seconds per epoch."""
    from pytest_benchmark.stats import Stats  # here, since `gradrace train` needs none of it

    stats = Stats()
    for value in data:
        stats.update(value)
    return {**stats.as_dict(), "data": data, "iterations": iterations}


def times(arm: Benchmark) -> Mapping[int, Times]:
    """Return session → repetition → seconds per epoch."""
    info = arm["extra_info"]
    found: dict[int, dict[int, float]] = {}
    for session, repetition, value in zip(
        info["sessions"], info["repetitions"], arm["stats"]["data"], strict=True
    ):
        found.setdefault(session, {})[repetition] = value
    return found


def conclude(content: Content) -> None:
    """Write what follows from the data into "gradrace": `cases` and `warnings`."""
    about, cases = content["gradrace"], []
    for case in about["settings"]["cases"]:
        arms = [arm for arm in content["benchmarks"] if arm["group"] == case["name"]]
        cases.append(_conclude_case(case, arms, about))
    about["cases"] = cases
    about["warnings"] = cautions(content)


def _conclude_case(case: Mapping[str, Any], arms: list[Benchmark], about: Content) -> Content:
    """Return the case with a row per backend and the A/A floor."""
    by_label = {(a["extra_info"]["backend"], a["extra_info"]["duplicate"]): a for a in arms}
    doubled = next((a["extra_info"]["backend"] for a in arms if a["extra_info"]["duplicate"]), None)
    twice = None
    if doubled is not None and (doubled, False) in by_label:
        pair = [times(by_label[doubled, duplicate]) for duplicate in (False, True)]
        twice = statistics.speed_up(*pair)
    noise = statistics.floor(twice)
    baseline = about["settings"]["baseline"]
    base = by_label.get((baseline, False))
    rows = [
        _row(case, arm, base, noise, about)
        for (_, duplicate), arm in by_label.items()
        if not duplicate
    ]
    if any(row["impossible"] for row in rows if row["backend"] == baseline):
        _withdraw(rows)
    steady = {row["backend"]: row["run"] for row in rows}
    for row in rows:
        row["break_even"] = _break_even(row, steady, about["compile"])
    return {
        **case,
        "baseline": baseline,
        "run_epochs": max(case["epochs"], SHORTEST_RUN),
        "doubled": doubled,
        "aa": plain(twice),
        "floor": noise,
        "arms": rows,
        "fastest": _fastest(rows, by_label, noise),
    }


def _withdraw(rows: list[Content]) -> None:
    """Judge nobody by a baseline that is faster than the machine can be."""
    for row in rows:
        row["speed_up"] = None
        row["verdict"] = row["verdict"] if row["impossible"] else statistics.UNJUDGED


def _fastest(
    rows: list[Content], arms: Mapping[tuple[str, bool], Benchmark], noise: float | None
) -> Content | None:
    """Return the fastest backend, and how it compares with the second; None of fewer than two."""
    rows = [row for row in rows if not row["impossible"]]
    if len(rows) < 2:
        return None
    first, second = sorted(rows, key=lambda row: row["time"]["median"])[:2]
    ratio = statistics.speed_up(*(times(arms[r["backend"], False]) for r in (second, first)))
    return {
        "backend": first["backend"],
        "second": second["backend"],
        "speed_up": plain(ratio),
        "verdict": statistics.verdict(ratio, noise),
    }


def _row(
    case: Mapping[str, Any], arm: Benchmark, base: Benchmark | None, noise: float | None, about: Any
) -> Content:
    """Return what the data say about one backend on one case; times in seconds per epoch."""
    info, measured = arm["extra_info"], times(arm)
    pooled = [value for session in measured.values() for value in session.values()]
    sessions = {session: median(values.values()) for session, values in measured.items()}
    trial = _trial(about, case["name"], info["backend"])
    setup, passes = trial.get("setup", 0.0), info["epochs"] + 1
    per_pass = max(median(pooled) - setup / passes, _RESOLVED * median(pooled))
    limit = _limit(case, info, about)
    row: Content = {
        "backend": info["backend"],
        "epochs": info["epochs"],
        "passes_once": info["passes_once"],
        "impossible": _impossible(case, info, limit, sessions, about),
        "time": {
            "median": median(pooled),
            "minimum": min(pooled),
            "interval": plain(statistics.geometric_mean(list(sessions.values()))),
            "sessions": sessions,
        },
        "rate": case["n"] / median(pooled),
        "limit": limit and {**limit, "share": limit["seconds"] / min(pooled)},
        "setup": setup,
        "pass": per_pass,
        "run": setup + per_pass * (max(case["epochs"], SHORTEST_RUN) + 1),
        "speed_up": None,
        "verdict": "",
        "memory": trial.get("memory"),
    }
    if row["impossible"]:
        row["verdict"] = statistics.IMPOSSIBLE
    elif base is arm:
        row["verdict"] = "baseline"
    elif base is not None:
        ratio = statistics.speed_up(times(base), measured)
        shortest = min(value for session in times(base).values() for value in session.values())
        row["speed_up"] = plain(ratio)
        if row["speed_up"]:
            row["speed_up"]["minima"] = shortest / min(pooled)
        row["verdict"] = statistics.verdict(ratio, noise)
    return row


def _limit(case: Mapping[str, Any], info: Content, about: Content) -> Content | None:
    """Return the least `seconds` per epoch and what sets them, `by`; None if it is not known."""
    machine = about.get("roofline")
    if not machine:
        return None
    size = (case["n"], case["d"], info["epochs"], about["settings"]["threads"])
    return roofline.limit(machine, info["backend"], *size, once=info["passes_once"])


def _impossible(
    case: Mapping[str, Any],
    info: Content,
    limit: Content | None,
    sessions: Mapping[int, float],
    about: Content,
) -> str:
    """Say why no code can be as fast as this one was in every session; empty if some can."""
    slowest = max(sessions.values())
    if limit is not None and slowest < limit["seconds"] / _UNSURE:
        times = limit["seconds"] / slowest
        return (
            f"{times:.3g} times as fast as this machine can go through the samples"
            + "; a backend that does so once per call sets PASSES_ONCE" * (not info["passes_once"])
        )
    growth = _trial(about, case["name"], info["backend"]).get("growth")
    if limit is not None and growth:
        size = (case["n"], case["d"], about["settings"]["threads"])
        least = roofline.least_pass(about["roofline"], info["backend"], *size)
        if least > _VISIBLE * growth["whole"] and growth["more"] < _GROWS * least / _UNSURE:
            return "its time hardly grows with the samples: it does not go through them in `train`"
    return ""


def _trial(about: Content, case: str, backend: str) -> Content:
    """Return what the trial found about a backend on a case; empty if there was none."""
    own = (e for e in about["trials"] if (e["case"], e["backend"]) == (case, backend))
    return next(own, {})


def _break_even(row: Content, steady: Mapping[str, float], compiled: list[Content]) -> Content:
    """Return, per backend that does not compile, after how many runs this one has caught up."""
    found: Content = {}
    for entry in compiled:
        if entry["backend"] == row["backend"]:
            for other in steady:
                if other not in {rival["backend"] for rival in compiled}:
                    found[other] = {
                        kind: statistics.break_even(
                            row["run"] + entry[kind], row["run"], steady[other]
                        )
                        for kind in ("cold", "cached")
                    }
    return found


def write(path: Path, content: Content) -> None:
    """Write the file atomically.

    Raises:
        OSError: the folder cannot be written to.

    """
    write_json(path, content)


def read(path: Path) -> Content:
    """Read a file that `gradrace run` wrote; what follows from its data is computed anew.

    Raises:
        InputValueError: it is not a result file, is cut off or damaged, or has another schema.
        OSError: it cannot be read.

    """
    from bench.data import reading
    from bench.findings import schema  # here, since `gradrace train` needs none of it

    content: Content = reading.decoded(path)
    about = content.get("gradrace") if isinstance(content, dict) else None
    if not isinstance(about, dict) or "benchmarks" not in content:
        hint = " (a model; see gradrace predict)" if _is_model(content) else ""
        raise InputValueError(f"{path}: is no result file of gradrace run{hint}")
    found = about.get("schema")
    if found != SCHEMA:
        age = "a newer" if isinstance(found, int) and found > SCHEMA else "an older"
        raise InputValueError(
            f"{path}: has {age} schema, {reprlib.repr(found)}; this version reads {SCHEMA}"
        )
    schema.require_result(path, content)
    conclude(content)
    return content


def _is_model(content: Any) -> bool:
    return isinstance(content, dict) and str(content.get("format", "")).startswith("gradrace model")
