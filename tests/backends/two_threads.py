"""Trains with `numba-parallel` where two threads are allowed, for its tests; imports little."""

import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import numba
import numpy as np

from gradrace import backends
from gradrace.backends.interface import Trajectory
from gradrace.bench.data.samples import synthetic

SIZES = [(40_001, 1), (9_001, 9), (3_001, 30)]


def train(n: int, d: int, name: str = "numba-parallel", every: int = 1) -> Trajectory:
    data, module = synthetic(n, d), backends.load(name)
    return module.train(module.prepare(data.X, data.y), lr=0.1, epochs=30, every=every)


def run(call: str) -> str:
    """What a function below prints in a process of two threads, whatever the machine has."""
    done = subprocess.run(
        [sys.executable, "-c", f"from {__name__} import *; {call}"],
        cwd=Path(__file__).parents[2],
        check=True,
        env={**os.environ, "NUMBA_NUM_THREADS": "2"},
        capture_output=True,
        text=True,
    )
    return done.stdout


def save(file: str) -> None:
    """Save the trajectories of all sizes, one array for each of their fields."""
    paths = {size: train(*size) for size in SIZES}
    assert numba.get_num_threads() == 2
    arrays: dict[str, Any] = {
        f"{n}x{d}.{i}": rows for (n, d), path in paths.items() for i, rows in enumerate(path)
    }
    np.savez(file, **arrays)


def fork() -> None:
    """Train before and after a fork; print how many threads the child has."""
    here = train(9_001, 9)
    if os.fork() == 0:
        np.testing.assert_array_equal(train(9_001, 9).loss, here.loss)
        os._exit(threading.active_count())
    print(os.waitstatus_to_exitcode(os.wait()[1]))
