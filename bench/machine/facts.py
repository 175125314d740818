"""What the figures depend on besides the code: the machine, its libraries, and who else uses it."""

import json
import platform
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

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


def thread_environment(threads: int) -> dict[str, str]:
    """Return the environment that gives every library so many threads."""
    return dict.fromkeys(THREADS, str(threads))


def machine_info() -> dict[str, Any]:
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
