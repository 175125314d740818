"""Settings that all code in a process shares, and that one library can change for the rest."""

import os
import sys
from typing import Any

import numpy as np
import threadpoolctl

from gradrace.bench.machine.facts import THREADS, affinity


def flushes_to_zero() -> bool:
    """Whether the processor replaces numbers too small for all their digits with 0."""
    return sys.float_info.min / 2 == 0


class Surroundings:
    """Thread counts, NumPy's error state and the cores of the process, as they should be.

    The number of threads is the one that the environment asks for. If it asks for none, a library
    keeps the number that it has when first seen, and Numba uses all usable cores.
    """

    def __init__(self) -> None:
        """Record the present state."""
        self._environment = {name: os.environ.get(name) for name in THREADS}
        asked = self._environment["NUMBA_NUM_THREADS"]
        self._asked = None if asked is None else int(asked)
        self._errors, self._cores = np.geterr(), affinity()
        self._pools: dict[str, int] = {}
        self._modules, self._libraries = 0, threadpoolctl.ThreadpoolController()

    def restore(self) -> list[str]:
        """Set everything back; return what had been changed, in words."""
        return [
            *self._restore_environment(),
            *self._restore_errors(),
            *self._restore_cores(),
            *self._restore_numba(),
            *self._restore_pools(),
            *self._changed_for_good(),
        ]

    def _restore_environment(self) -> list[str]:
        changed = [
            name for name, value in self._environment.items() if os.environ.get(name) != value
        ]
        for name in changed:
            value = self._environment[name]
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
        return [f"the environment variable {name}" for name in changed]

    def _restore_errors(self) -> list[str]:
        before: Any = self._errors
        if np.geterr() == before:
            return []
        np.seterr(**before)
        return ["NumPy's error state"]

    def _restore_cores(self) -> list[str]:
        now = affinity()
        if now == self._cores or not hasattr(os, "sched_setaffinity"):
            return []
        os.sched_setaffinity(0, self._cores)
        return [f"the cores it may use ({len(self._cores)} → {len(now)})"]

    def _restore_numba(self) -> list[str]:
        numba: Any = sys.modules.get("numba")
        parallel: Any = sys.modules.get("numba.np.ufunc.parallel")
        if numba is None or parallel is None:
            return []
        launched = parallel._is_initialized
        wanted = self._asked or len(self._cores)
        now = numba.get_num_threads() if launched else numba.config.NUMBA_NUM_THREADS
        if now == wanted:
            return []
        if not launched:
            numba.config.NUMBA_NUM_THREADS = wanted
        elif wanted <= numba.config.NUMBA_NUM_THREADS:
            numba.set_num_threads(wanted)
        else:
            return [f"Numba's threads ({wanted} → {now}, for good)"]
        return [f"Numba's threads ({wanted} → {now})"]

    def _restore_pools(self) -> list[str]:
        if len(sys.modules) != self._modules:  # looking for libraries takes a millisecond
            self._modules, self._libraries = len(sys.modules), threadpoolctl.ThreadpoolController()
        found = []
        for library in self._libraries.lib_controllers:
            now = library.num_threads
            least = min(self._asked, len(self._cores)) if self._asked else now
            wanted = self._pools.setdefault(library.filepath, least)
            if now != wanted:
                library.set_num_threads(wanted)
                found.append(f"the threads of {library.internal_api} ({wanted} → {now})")
        return found

    def _changed_for_good(self) -> list[str]:
        if flushes_to_zero():
            return ["the handling of numbers below 2.2e-308 (now 0, for good)"]
        return []
