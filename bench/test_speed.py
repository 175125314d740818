"""The timing suite: every backend on every case, verified, timed by pytest-benchmark, verified.

`gradrace run` runs it in several sessions; `pytest bench --benchmark-only` runs it once.
"""

import gc
import random
import time
from collections.abc import Callable
from functools import cache
from timeit import default_timer

import msgspec
import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from gradrace.bench.machine.surroundings import Surroundings
from gradrace.bench.proof.returns import describe
from gradrace.bench.race.contestant import LEAST_BLOCK, Contestant
from gradrace.bench.race.plan import Contender, Plan
from gradrace.bench.race.session import Block, Event
from gradrace.bench.race.verdict.result import BlockInfo

_contestant = cache(Contestant)
_surroundings = cache(Surroundings)


def _time(benchmark: BenchmarkFixture, racer: Contestant) -> None:
    """Time a block of calls, and judge the last one immediately."""
    if racer.calls is None:
        benchmark(racer.call)
        racer.judge_last()
        if benchmark.enabled:  # with --benchmark-disable, every backend is only verified
            racer.calls = benchmark.stats.iterations
        return
    start, processor = default_timer(), time.process_time()
    judgments = iter([racer.judge_last])

    def judge() -> None:  # once: pytest-benchmark makes one more call, which is not timed
        for due in judgments:
            cores = (time.process_time() - processor) / (default_timer() - start)
            benchmark.extra_info["cores"] = cores
            due()

    # One more or not, at random, so that a backend that is wrong in every other call is caught.
    calls = racer.calls + (racer.calls > 1 and random.getrandbits(1))
    benchmark.pedantic(racer.call, rounds=1, iterations=calls, teardown=judge)
    benchmark.stats.iterations = racer.calls  # the values are already per call


# A block is 8 to 20 ms of calls. If the plan does not say how many, pytest-benchmark finds out.
@pytest.mark.benchmark(
    min_time=LEAST_BLOCK, max_time=1e-6, min_rounds=1, calibration_precision=100, disable_gc=True
)
def test_train(
    benchmark: BenchmarkFixture,
    contender: Contender,
    plan: Plan,
    repetition: int,
    log: Callable[[Event], None],
) -> None:
    """Time `train` with every epoch recorded; `prepare` and compilation stay outside."""
    surroundings = _surroundings()  # of the race, before the first backend is loaded
    racer = _contestant(contender, plan.budget, plan.longest, plan.exact, log)
    racer.changed.update(surroundings.restore())
    if not (verdict := racer.verdict).agrees:
        pytest.fail(f"not timed, {verdict.reason}")
    if racer.too_slow:
        pytest.skip(f"not timed, {racer.too_slow}")

    job = racer.job
    benchmark.group = job.name
    assert racer.memory is not None  # it has made calls
    info = BlockInfo(
        backend=contender.backend,
        duplicate=contender.duplicate,
        n=job.n,
        d=job.d,
        lr=job.lr,
        epochs=job.epochs,
        agreement=racer.verdict,
        one_core=racer.one_core,
        passes_once=racer.passes_once,
        precision=racer.precision.name,
        place=plan.contenders.index(contender),
        load=racer.load,
        first=racer.first,
        compile=racer.compile,
        cores=0.0,
        growth=racer.growth,
        preparing=racer.preparing,
        setup=racer.setup,
        memory=racer.memory,
        calibrates=racer.calls is None,
        changed=[],
    )
    benchmark.extra_info.update(msgspec.to_builtins(info))
    before = racer.signatures()
    gc.collect()
    try:
        _time(benchmark, racer)
    except BaseException as error:  # a call may raise anything
        racer.judge(describe(error))
    if not racer.verdict.agrees:
        benchmark.has_error = True  # so that no time of this backend is kept
        pytest.fail(racer.verdict.reason)
    racer.changed.update(surroundings.restore())
    benchmark.extra_info["changed"] = sorted(racer.changed)
    benchmark.extra_info["signatures"] = [before, racer.signatures()]
    log(Block(job.name, contender.label, repetition))
