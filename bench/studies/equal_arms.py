"""Two equal tests of the same code, as usual with pytest-benchmark; run by `noise`."""

from typing import Any

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from gradrace import backends
from gradrace.bench.data.samples import REFERENCE_EPOCHS, REFERENCE_LR, reference_line

numba = backends.load("numba")


@pytest.fixture
def data() -> Any:
    """Return the reference line as prepared for `numba`, after compiling."""
    line = reference_line()
    data = numba.prepare(line.X.copy(), line.y.copy())
    numba.train(data, lr=REFERENCE_LR, epochs=1)
    return data


def test_a(benchmark: BenchmarkFixture, data: Any) -> None:
    """Time a training run."""
    benchmark(numba.train, data, lr=REFERENCE_LR, epochs=REFERENCE_EPOCHS)


def test_b(benchmark: BenchmarkFixture, data: Any) -> None:
    """Time the same."""
    benchmark(numba.train, data, lr=REFERENCE_LR, epochs=REFERENCE_EPOCHS)
