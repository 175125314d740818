"""What one backend changes for all is set back, and said."""

import json
import os
import subprocess
import sys

import pytest

CHANGES = {
    "pass": [],
    "np.seterr(all='ignore')": ["NumPy's error state"],
    "os.environ['OMP_NUM_THREADS'] = '7'": ["the environment variable OMP_NUM_THREADS"],
    "threadpoolctl.threadpool_limits(1)": ["the threads of openblas (2 → 1)"],
    # before Numba has begun, then afterwards
    "import numba.np.ufunc.parallel; numba.config.NUMBA_NUM_THREADS = 1": [
        "Numba's threads (2 → 1)"
    ],
    "numba.set_num_threads(1)": ["Numba's threads (2 → 1)"],
    "os.sched_setaffinity(0, [min(os.sched_getaffinity(0))])": ["the cores it may use (2 → 1)"],
}
"""In this order."""
PROGRAM = """
import json, os, sys
os.sched_setaffinity(0, {cores})
import numpy as np
import threadpoolctl
from gradrace.bench.machine.surroundings import Surroundings
surroundings = Surroundings()
assert surroundings.restore() == []
for change in {changes}:
    exec(change)
    print(json.dumps([surroundings.restore(), surroundings.restore()]))
"""


def test_changes_are_set_back_and_named() -> None:
    cores = sorted(os.sched_getaffinity(0))[:2] if hasattr(os, "sched_getaffinity") else []
    if len(cores) < 2:
        pytest.skip("needs two cores, and to know which")
    two = dict.fromkeys(("NUMBA_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "2")
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM.format(cores=cores, changes=list(CHANGES))],
        env={**os.environ, **two},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stderr == ""
    said = [json.loads(line) for line in done.stdout.splitlines()]
    assert said == [[words, []] for words in CHANGES.values()]
