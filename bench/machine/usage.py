"""How the machine is used: our memory, and other processes while ours work."""

import os
from contextlib import suppress
from pathlib import Path
from timeit import default_timer
from typing import Any, cast

import psutil
from msgspec import Struct

from gradrace.bench.machine.ranges import Cores, Number, Seconds

_PROCESS = Path("/proc/self")


class MemoryUse(Struct, frozen=True):
    """The most bytes that some work added to its process, and the peak of the whole process."""

    added: Number
    peak: Number


class Usage(Struct, kw_only=True):
    """What happened on the machine during a measurement.

    `load_before` and `load_after` are averages of the last minute, `others` is how many cores other
    processes kept busy on average, `stolen` how many cores' worth of time the host of a virtual
    machine took away.
    """

    seconds: Seconds
    load_before: Cores
    load_after: Cores
    others: Cores
    stolen: Cores


class Memory:
    """Watches how much memory this process uses from now on."""

    def __init__(self) -> None:
        """Forget the peak so far, where the system lets us (Linux)."""
        with suppress(OSError):
            (_PROCESS / "clear_refs").write_text("5")
        self._before = psutil.Process().memory_info().rss

    def growth(self) -> MemoryUse:
        """Return how much was added since the start."""
        peak = _peak()
        return MemoryUse(added=max(0, peak - self._before), peak=peak)


class Meter:
    """Watches what other processes use while our child processes work."""

    def __init__(self) -> None:
        """Begin."""
        self._start = default_timer()
        self._load = psutil.getloadavg()[0]
        self._all, self._own = psutil.cpu_times(), _own_seconds()

    def read(self) -> Usage:
        """Return what happened since the beginning."""
        seconds = max(default_timer() - self._start, 1e-9)
        now = psutil.cpu_times()
        busy = _busy(now) - _busy(self._all) - (_own_seconds() - self._own)
        stolen = getattr(now, "steal", 0.0) - getattr(self._all, "steal", 0.0)
        return Usage(
            seconds=seconds,
            load_before=self._load,
            load_after=psutil.getloadavg()[0],
            others=max(0.0, busy / seconds),
            stolen=max(0.0, stolen / seconds),
        )


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
