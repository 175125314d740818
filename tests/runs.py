"""Result files of races that never took place: the times are given, so the results are known."""

import random
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import TypeVar

from msgspec.structs import replace

from gradrace.bench.machine.facts import Libraries, Pool
from gradrace.bench.machine.roofline import Roofline
from gradrace.bench.machine.usage import MemoryUse
from gradrace.bench.proof.agreement import Digits, Verdict
from gradrace.bench.race.cases import parse
from gradrace.bench.race.plan import Contender
from gradrace.bench.race.settings import QUICK_SETTINGS
from gradrace.bench.race.verdict import record, result
from gradrace.bench.race.verdict.conclusions import conclude
from gradrace.bench.race.verdict.race import Race
from gradrace.bench.race.verdict.result import (
    Compile,
    Entry,
    Growth,
    Preparing,
    ResultFile,
    Session,
    Stats,
    Timed,
    TimedInfo,
    Trial,
    merge,
)

NUMBA = Compile("numba", load=0.2, cold=4.0, cached=0.2)
MEMORY = MemoryUse(added=10**6, peak=10**8)

MACHINE = Roofline(
    sizes=[1_000, 10_000, 100_000, 1_000_000],
    caches={"L1d": 1_000, "L2": 10_000},
    read={"1": [100e9, 50e9, 10e9, 10e9], "2": [200e9, 100e9, 12e9, 12e9]},
    read_again={"1": [99e9, 49e9, 10e9, 10e9], "2": [190e9, 98e9, 12e9, 11e9]},
    fma={"1": 10e9, "2": 20e9},
    fma_again={"1": 10e9, "2": 19e9},
)
"""1,000 bytes fit the first cache, 10,000 the second; then comes memory"""

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

    Every session of every contender is off by up to `spread`, up or down, so that the mean of the
    logarithms is almost exactly the given time. The fastest has a duplicate. `setups` are the
    seconds per call before the first epoch of a backend, `preparing` those of converting the
    samples, `growths` how its time grows with the samples. `once` names backends that declare that
    they pass over the samples only once per call, `one_core` those that use a single core,
    `float32` those that compute in that. `versions` maps earlier ones to today's, which then has
    the duplicate.
    """
    names = list(dict.fromkeys(name for times in seconds.values() for name in times))
    settings = replace(
        QUICK_SETTINGS,
        backends=tuple(names),
        cases=tuple(map(parse, seconds)),
        sessions=sessions,
        seed=seed,
        threads=threads,
    ).resolved()
    content = record.new_content(settings)
    about = content.gradrace
    for name, facts in about.backends.items():
        facts.passes_once = facts.passes_once or name in once
        facts.one_core = facts.one_core or name in one_core
        if name in float32:
            facts.precision, facts.digits = "float32", Digits(state=4.87, loss=6.33)
        if name in versions:
            facts.version_of, facts.commit = versions[name], "0" * 40
    about.contenders = contenders = _contenders(seconds, list(versions.values()))
    given = {parse(case).spec: times for case, times in seconds.items()}
    draw = random.Random(seed)
    for number in range(1, sessions + 1):
        session = [
            timed(one, given[one.case][one.backend] * (1 + spread * draw.uniform(-1, 1)), place)
            for place, one in enumerate(contenders)
        ]
        merge(content.benchmarks, number, session)
        about.sessions.append(calm_session(number, seed, threads))
    about.compile = [start for start in compiled if start.backend in names]
    about.trials = [
        Trial(
            one.job.name,
            one.backend,
            setups.get(one.backend, 0.0),
            growths.get(one.backend),
            MEMORY,
            preparing.get(one.backend),
        )
        for one in contenders
        if not one.duplicate
    ]
    about.roofline = roofline
    conclude(content)
    result.write(path, content)
    return Race(path).content


def _contenders(
    seconds: Mapping[str, Mapping[str, float]], twice: Sequence[str]
) -> list[Contender]:
    """Return every backend at every size, then the copies: of the fastest, or of `twice`."""
    found = [(case, name, False) for case, times in seconds.items() for name in times]
    for case, times in seconds.items():
        found += [(case, name, True) for name in twice or [min(times, key=times.__getitem__)]]
    return [Contender(parse(case).spec, name, copy) for case, name, copy in found]


def entries(content: ResultFile, name: str) -> dict[str, Entry]:
    """Return backend → what the data show about it at one size, in the order of the file."""
    (case,) = (case for case in content.gradrace.cases if case.name == name)
    return {entry.backend: entry for entry in case.entries}


def drop(content: ResultFile, backend: str, *sizes: str) -> ResultFile:
    """Take away the times of a backend, at some sizes or at all, and conclude again."""
    content.benchmarks = [
        one
        for one in content.benchmarks
        if one.backend != backend or (sizes and one.group not in sizes)
    ]
    conclude(content)
    return content


def calm_session(number: int, seed: int, threads: int) -> Session:
    """Return a session during which nothing else happened on the machine."""
    return Session(
        number=number,
        seed=f"{seed}-{number}",
        failure="",
        during="",
        libraries=Libraries("3.11", "2.0", [Pool("blas", "blas", "1.0", threads)]),
        seconds=5.0,
        load_before=0.1,
        load_after=0.5,
        others=0.0,
        stolen=0.0,
    )


def timed(
    contender: Contender, seconds: float, place: int = 0, *, signatures: tuple[int, int] = (1, 1)
) -> Timed:
    """Return an entry as a session leaves it: five equal blocks of so many seconds per epoch."""
    job = contender.job
    name = f"test_train[{job.name}-{contender.label}]"
    return Timed(
        group=job.name,
        name=name,
        fullname=f"bench/test_speed.py::{name}",
        params={"case": job.name, "backend": contender.label},
        param=f"{job.name}-{contender.label}",
        options={},
        stats=Stats([seconds] * 5, seconds, iterations=max(1, round(0.01 / seconds))),
        extra_info=TimedInfo(
            backend=contender.backend,
            duplicate=contender.duplicate,
            n=job.n,
            d=job.d,
            lr=job.lr,
            epochs=job.epochs,
            agreement=Verdict(contender.backend, agrees=True, reason=""),
            place=place,
            one_core=False,
            passes_once=False,
            precision="float64",
            load=0.1,
            first=0.2,
            compile=0.0,
            cores=1.0,
            growth=None,
            preparing=None,
            setup=0.0,
            memory=MEMORY,
            calibrates=False,
            changed=[],
            repetitions=[0, 1, 2, 3, 4],
            signatures=list(signatures),
        ),
    )
