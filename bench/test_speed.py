"""The timing suite: every backend on every case, verified first, then timed by pytest-benchmark.

`gradrace run` runs it; so does `pytest bench --benchmark-only`.
"""

from collections.abc import Callable
from dataclasses import asdict
from functools import cache

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

import backends
from bench.agreement import Verdict, judge
from bench.cases import CASES
from bench.data import Dataset
from bench.isolation import as_trajectory, describe
from bench.oracle import YARDSTICK, ExactTrajectory, exact_trajectory


@cache
def _problem(case: str) -> tuple[Dataset, ExactTrajectory]:
    job = CASES[case]
    data = job.samples()
    return data, exact_trajectory(data.X, data.y, lr=job.lr, epochs=job.epochs)


def test_train(
    benchmark: BenchmarkFixture,
    case: str,
    backend: str,
    report_verdict: Callable[[str, Verdict], None],
) -> None:
    """Time `train` with every epoch recorded; `prepare` and compilation stay outside."""
    job = CASES[case]
    data, exact = _problem(case)
    try:
        module = backends.load(backend)
        samples = module.prepare(data.X.copy(), data.y.copy())
        result = module.train(samples, lr=job.lr, epochs=job.epochs)
        verdict = judge(backend, as_trajectory(result, job.epochs, job.d), exact)
    except (Exception, SystemExit) as error:  # a foreign backend may raise anything
        verdict = Verdict(backend, agrees=False, reason=describe(error))
    report_verdict(case, verdict)
    if not verdict.agrees:
        pytest.fail(f"not timed, {verdict.reason}")

    benchmark.group = case
    benchmark.extra_info.update(
        backend=backend, n=job.n, d=job.d, lr=job.lr, epochs=job.epochs,
        yardstick=YARDSTICK, agreement=asdict(verdict),
    )  # fmt: skip
    benchmark(module.train, samples, lr=job.lr, epochs=job.epochs)
