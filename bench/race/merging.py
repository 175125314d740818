"""Merge the times of several sessions: one `Benchmark` per arm (a backend on a case)."""

from collections.abc import Iterable, Mapping
from typing import Any

from gradrace.bench.race.schema import Benchmark, PooledInfo, Stats, Timed, TimedInfo
from gradrace.bench.race.statistics import Times


def merge(benchmarks: list[Benchmark], session: int, more: Iterable[Timed]) -> None:
    """Add the arms that a session timed to those of the sessions before it."""
    known = {arm["fullname"]: arm for arm in benchmarks}
    for arm in more:
        if arm["fullname"] in known:
            _add(known[arm["fullname"]], session, arm)
        else:
            benchmarks.append(_first(session, arm))
    benchmarks.sort(key=lambda arm: arm["extra_info"]["place"])


def _first(session: int, arm: Timed) -> Benchmark:
    """Return an arm with the times of its first session."""
    return {
        "group": arm["group"],
        "name": arm["name"],
        "fullname": arm["fullname"],
        "params": arm["params"],
        "param": arm["param"],
        "extra_info": _first_info(session, arm["extra_info"]),
        "options": arm["options"],
        "stats": arm["stats"],
    }


def _first_info(session: int, info: TimedInfo) -> PooledInfo:
    return {
        "backend": info["backend"],
        "duplicate": info["duplicate"],
        "n": info["n"],
        "d": info["d"],
        "lr": info["lr"],
        "epochs": info["epochs"],
        "agreement": info["agreement"],
        "place": info["place"],
        "repetitions": info["repetitions"],
        "sessions": [session] * len(info["repetitions"]),
        "signatures": info["signatures"],
        "load": [info["load"]],
        "first": [info["first"]],
        "cores": [info["cores"]],
        "changed": info["changed"],
    }


def _add(pooled: Benchmark, session: int, arm: Timed) -> None:
    """Add the times of a further session."""
    merged, info = pooled["extra_info"], arm["extra_info"]
    merged["repetitions"] += info["repetitions"]
    merged["sessions"] += [session] * len(info["repetitions"])
    merged["load"].append(info["load"])
    merged["first"].append(info["first"])
    merged["cores"].append(info["cores"])
    merged["changed"] = sorted({*merged.get("changed", []), *info["changed"]})
    if info["signatures"][1] > info["signatures"][0]:  # something was compiled
        merged["signatures"] = info["signatures"]
    data = pooled["stats"]["data"] + arm["stats"]["data"]
    pooled["stats"] = pooled_stats(data, arm["stats"]["iterations"])
    if pooled["options"] != arm["options"]:
        pooled["options"] = {**pooled["options"], "mixed": True}


def pooled_stats(data: list[float], iterations: int) -> Stats:
    """Return the figures of pytest-benchmark for these values, in seconds per epoch."""
    from pytest_benchmark import stats  # imported here, because reading a file does not need it

    found = stats.Stats()
    for value in data:
        found.update(value)
    figures: Any = found.as_dict()  # `median`, and others that we do not read
    pooled: Stats = figures | {"data": data, "iterations": iterations}
    return pooled


def times(arm: Benchmark) -> Mapping[int, Times]:
    """Return session → repetition → seconds per epoch."""
    info = arm["extra_info"]
    found: dict[int, dict[int, float]] = {}
    for session, repetition, value in zip(
        info["sessions"], info["repetitions"], arm["stats"]["data"], strict=True
    ):
        found.setdefault(session, {})[repetition] = value
    return found
