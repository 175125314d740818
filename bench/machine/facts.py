"""What the figures depend on besides the code: the machine and its libraries."""

import platform
import sys
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

import msgspec
import psutil
from msgspec import Struct

from gradrace.bench.machine.ranges import MOST_TEXT, Caches, Text

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


class CoreNumbers(Struct, frozen=True):
    """How many cores there are, and which of them this process may use."""

    logical: int | None
    physical: int | None
    usable: list[int]


class Machine(Struct, frozen=True, omit_defaults=True):
    """pytest-benchmark's `machine_info`, and what we add."""

    node: Text
    python_version: Text
    cpu: dict[str, Any]
    """The processor, as py-cpuinfo describes it"""
    cores: CoreNumbers
    caches: Caches
    memory: Text
    governor: Text | None
    processor: str = ""
    machine: str = ""
    system: str = ""
    release: str = ""
    python_compiler: str = ""
    python_implementation: str = ""
    python_implementation_version: str = ""
    python_build: Any = None

    @property
    def processor_name(self) -> str:
        """The brand of the processor, if it is known."""
        return str(self.cpu.get("brand_raw", ""))[:MOST_TEXT]


class Pool(Struct, frozen=True):
    """The threads of a library."""

    user_api: Text | None
    internal_api: Text | None
    version: Text | None
    num_threads: int | None


class Libraries(Struct, omit_defaults=True):
    """Versions and thread pools; the keys about Numba exist only if it was imported."""

    python: Text
    numpy: Text
    pools: list[Pool]
    numba: Text = ""
    llvmlite: Text = ""
    llvm: Text = ""
    numba_threads: int = 0
    numba_threading_layer: Text | None = None


def thread_environment(threads: int) -> dict[str, str]:
    """Return the environment that gives every library this many threads."""
    return dict.fromkeys(THREADS, str(threads))


def machine_info() -> Machine:
    """Return pytest-benchmark's `machine_info`, and cores, caches, memory, frequency governor."""
    about = {**_general_info()}
    about["cpu"] = {key: value for key, value in about["cpu"].items() if not _moves(key)}
    about["cores"] = {
        "logical": psutil.cpu_count(),
        "physical": psutil.cpu_count(logical=False),
        "usable": affinity(),
    }
    about["caches"] = _caches()
    about["memory"] = f"{psutil.virtual_memory().total / 2**30:.0f} GiB"
    about["governor"] = _text(_CPU / "cpu0/cpufreq/scaling_governor")
    as_read_back = msgspec.json.decode(msgspec.json.encode(about))
    return msgspec.convert(as_read_back, Machine, strict=False)


@cache  # it takes a sixth of a second, and never changes
def _general_info() -> dict[str, Any]:
    from pytest_benchmark.plugin import pytest_benchmark_generate_machine_info

    found: dict[str, Any] = pytest_benchmark_generate_machine_info()
    return found


def affinity() -> list[int]:
    """Return the numbers of the cores that this process may use."""
    with suppress(AttributeError):  # macOS has none
        return list(psutil.Process().cpu_affinity() or ())
    return list(range(psutil.cpu_count() or 1))


def available_memory() -> int:
    """Return how many bytes of memory a program can still allocate."""
    return int(psutil.virtual_memory().available)


def libraries() -> Libraries:
    """Return versions and thread pools of what this process has imported by now.

    Call it in the process that trains, because the pools are those of its libraries.
    """
    import numpy as np
    import threadpoolctl

    names = Pool.__struct_fields__
    pools = sorted(threadpoolctl.threadpool_info(), key=lambda pool: str(pool["filepath"]))
    found = Libraries(
        platform.python_version(),
        np.__version__,
        [Pool(**{name: pool.get(name) for name in names}) for pool in pools],
    )
    if "numba" in sys.modules:
        import llvmlite
        import llvmlite.binding
        import numba
        from numba.np.ufunc import parallel

        found.numba = numba.__version__
        found.llvmlite = llvmlite.__version__
        found.llvm = ".".join(map(str, llvmlite.binding.llvm_version_info))
        found.numba_threads = numba.get_num_threads()
        try:
            layer: Callable[[], str] = parallel.threading_layer
            found.numba_threading_layer = layer()
        except ValueError:  # Numba itself has run nothing in parallel
            found.numba_threading_layer = None
    return found


def _caches() -> Caches:
    """Return the size in bytes of each cache that the first core uses, by name: L1d, L2, L3."""
    sizes = {}
    for index in sorted(_CPU.glob("cpu0/cache/index*")):
        level, kind, size = (_text(index / name) for name in ("level", "type", "size"))
        if level and size and kind != "Instruction":
            sizes[f"L{level}{'d' if kind == 'Data' else ''}"] = 1024 * int(size.rstrip("K"))
    return sizes


def _text(path: Path) -> str | None:
    with suppress(OSError):
        return path.read_text().strip()
    return None


def _moves(key: str) -> bool:
    """Whether a fact about the processor changes from moment to moment."""
    return key.startswith(("hz_", "cpuinfo_version"))
