"""What is said of jobs whose samples do not fit in memory."""

import numpy as np
import psutil
import pytest
from gradrace.bench.report.advice import beyond_memory_lines

from gradrace.backends.interface import InputValueError
from gradrace.bench.race import beyond_memory


def test_it_is_needed_from_half_the_memory_on() -> None:
    total = psutil.virtual_memory().total
    assert beyond_memory.bytes_needed(1_000, 9) == 80_000
    assert not beyond_memory.is_needed(total // 40, 1)
    assert beyond_memory.is_needed(total // 16, 1)


def test_the_pass_grows_with_the_samples_and_the_epochs_do_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """With a clock that says each call takes a second."""
    clock = iter(np.arange(1e6))
    monkeypatch.setattr("time.perf_counter", lambda: next(clock))
    monkeypatch.setattr(beyond_memory, "MEASURED_VALUES", 4_000)
    monkeypatch.setattr("numba.get_num_threads", lambda: 1)
    cost = beyond_memory.cost(10**9, 3, 20_000)
    assert cost.measured == 1_000
    assert (cost.seconds_of_pass, cost.seconds_of_epochs) == (1e6, 2.0)
    lines = " ".join(beyond_memory_lines(cost))
    assert "Use dask: 1,000,000,000 × 3 takes 32 GB as float64" in lines
    assert "on 1,000 samples in memory" in lines
    assert "gradrace train FOLDER --backend dask --epochs 20000" in lines


def test_too_many_features_are_refused() -> None:
    with pytest.raises(InputValueError, match="d: must be at most 2,000, got 2,001"):
        beyond_memory.cost(10**9, 2_001, 1)
