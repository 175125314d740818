"""What the figures depend on besides the code: the machine, its libraries, and who else uses it."""

import json
import os
import platform
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from timeit import default_timer
from typing import Any, cast

import psutil

THREADS = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "BLIS_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
    "NUMBA_NUM_THREADS",
)
"""The variables that libraries read, once, when they are imported."""

_CPU = Path("/sys/devices/system/cpu")
_PROCESS = Path("/proc/self")


def thread_environment(threads: int) -> dict[str, str]:
    """Return the environment that gives every library so many threads."""
    return dict.fromkeys(THREADS, str(threads))


def facts() -> dict[str, Any]:
    """Return pytest-benchmark's `machine_info`, and cores, caches, memory, frequency governor."""
    from pytest_benchmark.plugin import pytest_benchmark_generate_machine_info

    about: dict[str, Any] = pytest_benchmark_generate_machine_info()
    about["cpu"] = {key: value for key, value in about["cpu"].items() if not _moves(key)}
    about["cores"] = {
        "logical": psutil.cpu_count(),
        "physical": psutil.cpu_count(logical=False),
        "usable": affinity(),
    }
    about["caches"] = _caches()
    about["memory"] = f"{psutil.virtual_memory().total / 2**30:.0f} GiB"
    about["governor"] = _text(_CPU / "cpu0/cpufreq/scaling_governor")
    plain: dict[str, Any] = json.loads(json.dumps(about))  # as a file gives it back
    return plain


def affinity() -> list[int]:
    """Return the numbers of the cores that this process may use."""
    with suppress(AttributeError):  # macOS has none
        return list(psutil.Process().cpu_affinity() or ())
    return list(range(psutil.cpu_count() or 1))


def available_memory() -> int:
    """Return how many bytes of memory a program can still take."""
    return int(psutil.virtual_memory().available)


def libraries() -> dict[str, Any]:
    """Return versions and thread pools of what this process has imported by now.

    To be asked in the process that trains: the pools are those of its libraries.
    """
    import numpy as np
    import threadpoolctl

    pools = [
        {key: pool.get(key) for key in ("user_api", "internal_api", "version", "num_threads")}
        for pool in sorted(threadpoolctl.threadpool_info(), key=lambda pool: str(pool["filepath"]))
    ]
    found: dict[str, Any] = {"python": platform.python_version(), "numpy": np.__version__}
    if "numba" in sys.modules:
        import llvmlite
        import llvmlite.binding
        import numba
        from numba.np.ufunc import parallel

        found["numba"] = numba.__version__
        found["llvmlite"] = llvmlite.__version__
        found["llvm"] = ".".join(map(str, llvmlite.binding.llvm_version_info))
        found["numba_threads"] = numba.get_num_threads()
        try:
            layer: Callable[[], str] = parallel.threading_layer
            found["numba_threading_layer"] = layer()
        except ValueError:  # nothing has run in parallel
            found["numba_threading_layer"] = None
    return {**found, "pools": pools}


class Memory:
    """Watches how much memory this process takes from now on."""

    def __init__(self) -> None:
        """Forget the peak so far, where the system lets us (Linux)."""
        with suppress(OSError):
            (_PROCESS / "clear_refs").write_text("5")
        self._before = psutil.Process().memory_info().rss

    def growth(self) -> dict[str, int]:
        """Return in bytes the `peak` of the process, and what was `added` at most since then."""
        peak = _peak()
        return {"added": max(0, peak - self._before), "peak": peak}


class Meter:
    """Watches who else uses the machine while our child processes work."""

    def __init__(self) -> None:
        """Begin."""
        self._start = default_timer()
        self._load = psutil.getloadavg()[0]
        self._all, self._own = psutil.cpu_times(), _own_seconds()

    def read(self) -> dict[str, float]:
        """Return what happened since the beginning.

        `seconds`; `load_before` and `load_after`, averages of the last minute; `others`, how many
        cores other processes kept busy on average; `stolen`, how many cores' worth of time the host
        of a virtual machine took away.
        """
        seconds = max(default_timer() - self._start, 1e-9)
        now = psutil.cpu_times()
        busy = _busy(now) - _busy(self._all) - (_own_seconds() - self._own)
        stolen = getattr(now, "steal", 0.0) - getattr(self._all, "steal", 0.0)
        return {
            "seconds": seconds,
            "load_before": self._load,
            "load_after": psutil.getloadavg()[0],
            "others": max(0.0, busy / seconds),
            "stolen": max(0.0, stolen / seconds),
        }


def _busy(times: Any) -> float:
    names = ("user", "nice", "system", "irq", "softirq")
    return sum(getattr(times, name, 0.0) for name in names)


def _own_seconds() -> float:
    """Return the processor time of this process and of its children that have ended."""
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


def _peak() -> int:
    """Return the largest resident memory of this process, in bytes."""
    with suppress(OSError, StopIteration):
        lines = (_PROCESS / "status").read_text().splitlines()
        return 1024 * int(next(line for line in lines if line.startswith("VmHWM")).split()[1])
    info = psutil.Process().memory_info()
    return cast(int, getattr(info, "peak_wset", info.rss))


def _caches() -> dict[str, int]:
    """Return the size in bytes of each cache that the first core uses, by name: L1d, L2, L3."""
    sizes = {}
    for cache in sorted(_CPU.glob("cpu0/cache/index*")):
        level, kind, size = (_text(cache / name) for name in ("level", "type", "size"))
        if level and size and kind != "Instruction":
            sizes[f"L{level}{'d' if kind == 'Data' else ''}"] = 1024 * int(size.rstrip("K"))
    return sizes


def _text(path: Path) -> str | None:
    with suppress(OSError):
        return path.read_text().strip()
    return None


def _moves(key: str) -> bool:
    """Whether a fact about the processor is another one at every look."""
    return key.startswith(("hz_", "cpuinfo_version"))
