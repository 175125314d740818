"""Result files of races that never took place: the times are given, so the results are known."""

import random
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from types import MappingProxyType
from typing import TypeVar, cast

from gradrace.bench.race.merging import merge, pooled_stats
from gradrace.bench.race.schema import (
    BackendVerdict,
    Compile,
    Growth,
    Preparing,
    ResultFile,
    Session,
    Timed,
)

from gradrace.bench.data.files import write_json
from gradrace.bench.machine.roofline import Roofline
from gradrace.bench.proof.agreement import Verdict
from gradrace.bench.race import record, results, schema
from gradrace.bench.race.cases import parse
from gradrace.bench.race.conclusions import conclude
from gradrace.bench.race.plan import Arm
from gradrace.bench.race.settings import QUICK_SETTINGS

NUMBA: Compile = {"backend": "numba", "load": 0.2, "cold": 4.0, "cached": 0.2}


T = TypeVar("T")


def known(value: T | None) -> T:
    """Return a value that is not None in this run, but could be in another."""
    assert value is not None
    return value


def write_run(
    path: Path,
    seconds: Mapping[str, Mapping[str, float]],
    *,
    sessions: int = 3,
    spread: float = 0.01,
    compiled: Sequence[Compile] = (NUMBA,),
    seed: int = 0,
    threads: int = 1,
    roofline: Roofline | None = None,
    setups: Mapping[str, float] = MappingProxyType({}),
    preparing: Mapping[str, Preparing] = MappingProxyType({}),
    once: Sequence[str] = (),
    one_core: Sequence[str] = (),
    float32: Sequence[str] = (),
    growths: Mapping[str, Growth] = MappingProxyType({}),
    versions: Mapping[str, str] = MappingProxyType({}),
) -> ResultFile:
    """Write a file with these seconds per epoch, case → backend → time; return what it holds.

    Every session of every arm is off by up to `spread`, alternately up and down, so that the mean
    of the logarithms is almost exactly the given time. The fastest arm has a duplicate. `setups`
    are the seconds per call before the first epoch of a backend, `preparing` those of converting
    the samples, `growths` how its time grows with
    the samples. `once` names backends that declare that they pass over the samples only once per
    call, `one_core` those that use a single core, `float32` those that compute in that. `versions`
    maps earlier ones to today's, which then has the duplicate.
    """
    names = list(dict.fromkeys(name for arms in seconds.values() for name in arms))
    settings = replace(
        QUICK_SETTINGS,
        backends=tuple(names),
        cases=tuple(map(parse, seconds)),
        sessions=sessions,
        seed=seed,
        threads=threads,
    ).resolved()
    content = record.new_content(settings)
    about = content["gradrace"]
    for name in once:
        about["backends"][name]["passes_once"] = True
    for name in one_core:
        about["backends"][name]["one_core"] = True
    for name in float32:
        about["backends"][name] |= {
            "precision": "float32",
            "digits": {"state": 4.87, "loss": 6.33},
        }
    arms = [(case, name, False) for case, times in seconds.items() for name in times]
    for earlier, today in versions.items():
        about["backends"][earlier] |= {"version_of": today, "commit": "0" * 40}
    arms += [
        (case, name, True)
        for case, times in seconds.items()
        for name in versions.values() or [min(times, key=times.__getitem__)]
    ]
    draw = random.Random(seed)
    for number in range(1, sessions + 1):
        session = [
            benchmark(
                case,
                name,
                duplicate,
                seconds[case][name] * _factor(draw, spread),
                place,
            )
            for place, (case, name, duplicate) in enumerate(arms)
        ]
        merge(content["benchmarks"], number, session)
        about["sessions"].append(calm_session(number, seed, threads))
    plans = [Arm(parse(case).spec, name, duplicate) for case, name, duplicate in arms]
    about["arms"] = [cast(schema.Arm, asdict(arm)) for arm in plans]
    about["compile"] = [entry for entry in compiled if entry["backend"] in names]
    about["trials"] = [
        {
            "case": parse(case).name,
            "backend": name,
            "preparing": preparing.get(name),
            "setup": setups.get(name, 0.0),
            "growth": growths.get(name),
            "memory": {"added": 10**6, "peak": 10**8},
        }
        for case, name, duplicate in arms
        if not duplicate
    ]
    about["roofline"] = roofline
    conclude(content)
    write_json(path, content)
    return results.read(path)


def _factor(draw: random.Random, spread: float) -> float:
    return 1 + spread * draw.uniform(-1, 1)


def calm_session(number: int, seed: int, threads: int) -> Session:
    return {
        "number": number,
        "seed": f"{seed}-{number}",
        "failure": "",
        "during": "",
        "libraries": {
            "python": "3.11",
            "numpy": "2.0",
            "pools": [
                {
                    "user_api": "blas",
                    "internal_api": "blas",
                    "version": "1.0",
                    "num_threads": threads,
                }
            ],
        },
        "seconds": 5.0,
        "load_before": 0.1,
        "load_after": 0.5,
        "others": 0.0,
        "stolen": 0.0,
    }


def benchmark(
    case: str,
    backend: str,
    duplicate: bool,
    seconds: float,
    place: int,
    *,
    signatures: tuple[int, int] = (1, 1),
) -> Timed:
    """Return an arm as a session leaves it: five equal blocks of so many seconds per epoch."""
    job = parse(case)
    label = f"{backend} (A/A)" if duplicate else backend
    name = f"test_train[{job.name}-{label}]"
    return {
        "group": job.name,
        "name": name,
        "fullname": f"bench/test_speed.py::{name}",
        "params": {"case": job.name, "backend": label},
        "param": f"{job.name}-{label}",
        "extra_info": {
            "backend": backend,
            "duplicate": duplicate,
            "n": job.n,
            "d": job.d,
            "lr": job.lr,
            "epochs": job.epochs,
            "agreement": cast(BackendVerdict, asdict(Verdict(backend, agrees=True, reason=""))),
            "one_core": False,
            "passes_once": False,
            "place": place,
            "load": 0.1,
            "first": 0.2,
            "compile": 0.0,
            "cores": 1.0,
            "growth": None,
            "setup": 0.0,
            "memory": {"added": 10**6, "peak": 10**8},
            "preparing": None,
            "calibrates": False,
            "changed": [],
            "repetitions": [0, 1, 2, 3, 4],
            "signatures": list(signatures),
        },
        "options": {},
        "stats": pooled_stats([seconds] * 5, iterations=max(1, round(0.01 / seconds))),
    }
