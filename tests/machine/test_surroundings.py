"""What one backend changes for all is set back, and said."""

import os
import subprocess
import sys

import pytest

CHANGES = {
    "nothing": ("pass", []),
    "NumPy's errors": ("np.seterr(all='ignore')", ["NumPy's error state"]),
    "a variable": (
        "os.environ['OMP_NUM_THREADS'] = '7'",
        ["the environment variable OMP_NUM_THREADS"],
    ),
    "BLAS": ("threadpoolctl.threadpool_limits(1)", ["the threads of openblas (2 → 1)"]),
    "Numba, before it has begun": (
        "import numba; import numba.np.ufunc.parallel; numba.config.NUMBA_NUM_THREADS = 1",
        ["Numba's threads (2 → 1)"],
    ),
    "Numba": ("import numba; numba.set_num_threads(1)", ["Numba's threads (2 → 1)"]),
    "cores": (
        "os.sched_setaffinity(0, [min(os.sched_getaffinity(0))])",
        ["the cores it may use (2 → 1)"],
    ),
}
PROGRAM = """
import os
import numpy as np
import threadpoolctl
from gradrace.bench.machine.surroundings import Surroundings
surroundings = Surroundings()
assert surroundings.restore() == []
{}
print(surroundings.restore())
print(surroundings.restore())
"""


@pytest.mark.parametrize("name", CHANGES)
def test_changes_are_set_back_and_named(name: str) -> None:
    change, said = CHANGES[name]
    cores = sorted(os.sched_getaffinity(0))[:2] if hasattr(os, "sched_getaffinity") else []
    if len(cores) < 2:
        pytest.skip("needs two cores, and to know which")
    begin = f"import os; os.sched_setaffinity(0, {cores})\n"
    two = dict.fromkeys(("NUMBA_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "2")
    environment = {**os.environ, **two}
    done = subprocess.run(
        [sys.executable, "-c", begin + PROGRAM.format(change)],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stderr == ""
    assert done.stdout.splitlines() == [str(said), "[]"]
