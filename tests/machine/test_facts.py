"""What is recorded about the machine."""

import json
import os
import subprocess
import sys
from collections import namedtuple

import msgspec
import numpy as np
import psutil
import pytest

from gradrace.bench.machine import facts, usage
from tests.conftest import ROOT


def test_the_facts_are_plain_and_stay_the_same() -> None:
    info = facts.machine_info()
    assert msgspec.json.decode(msgspec.json.encode(info), type=facts.Machine) == info
    assert info == facts.machine_info()
    assert info.cores.usable == facts.affinity()
    assert info.memory.endswith(" GiB")
    assert info.cores.logical


def test_the_threads_are_those_that_libraries_use() -> None:
    code = (
        "import msgspec, numba\nfrom gradrace.bench.machine.facts import libraries\n"
        "import numpy as np; np.ones((9, 9)) @ np.ones(9)\n"
        "print(msgspec.json.encode(libraries()).decode())"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        text=True,
        capture_output=True,
        check=True,
        env={**os.environ, **facts.thread_environment(1)},
    )
    found = json.loads(done.stdout)
    assert found["numba_threads"] == 1
    assert {pool["num_threads"] for pool in found["pools"]} <= {1}
    assert {"python", "numpy", "numba", "llvm", "llvmlite"} <= set(found)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux forgets the peak of the past")
def test_memory_counts_from_its_beginning() -> None:
    del_me = np.ones(10_000_000)
    del del_me
    memory = usage.Memory()
    data = np.ones(5_000_000)
    growth = memory.growth()
    assert 0.95 * data.nbytes < growth.added < 1.5 * data.nbytes
    assert growth.peak > growth.added


def test_the_meter_leaves_our_own_work_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ten seconds in which all cores worked for 12, we for 9, and the host took away 2."""
    clock = iter([100.0, 110.0])
    Times = namedtuple("Times", "user system idle steal")
    times = iter([Times(50.0, 10.0, 7.0, 1.0), Times(60.0, 12.0, 9.0, 3.0)])
    own = iter([5.0, 14.0])
    monkeypatch.setattr(usage, "default_timer", lambda: next(clock))
    monkeypatch.setattr(psutil, "cpu_times", lambda: next(times))
    monkeypatch.setattr(usage, "_own_seconds", lambda: next(own))
    found = usage.Meter().read()
    assert found.seconds == pytest.approx(10.0)
    assert found.others == pytest.approx(0.3)
    assert found.stolen == pytest.approx(0.2)
