"""How the time of an epoch grows: with n, with d where n·d stays the same, and with the threads.

One race per number of threads, each a result file of its own: scale-1.json, scale-2.json, … The
exponents are those of t ∝ nᵖ, fitted to the logarithms of the medians by least squares, over the
sizes at which an epoch takes at least three times as long as at the smallest size.
"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from gradrace import backends
from gradrace.bench.machine import facts
from gradrace.bench.machine.progress import Progress, silent
from gradrace.bench.race import run as race
from gradrace.bench.race.cases import Case, make_case
from gradrace.bench.race.settings import QUICK_SETTINGS, Settings
from gradrace.bench.race.state import Race

SIZES = tuple(10**power for power in range(8))
FEATURES = (1, 10, 100, 1_000)
NUMBERS = 1_000_000
"""n·d in the cases where d grows."""


def threaded() -> tuple[str, ...]:
    """Return the backends that use several cores, and those that they equal on one core."""
    ladder = backends.LADDER
    alone = {rung.on_one_thread for rung in ladder.values()}
    return tuple(
        name for name in backends.installed() if not ladder[name].one_core or name in alone
    )


def single() -> tuple[str, ...]:
    """Return the backends that are raced on one thread: here, those for large data are included."""
    ladder = backends.LADDER
    return tuple(name for name in backends.installed() if ladder[name].on_one_thread is None)


def cases(sizes: Sequence[int] = SIZES, features: Sequence[int] = FEATURES) -> tuple[Case, ...]:
    """Return one feature at every size, and n·d = 10⁶ with every number of features."""
    pairs = {(1, n) for n in sizes} | {(d, NUMBERS // d) for d in features}
    return tuple(make_case(n, d) for d, n in sorted(pairs))


def scale(
    folder: Path,
    base: Settings = QUICK_SETTINGS,
    chosen: Sequence[Case] | None = None,
    on_progress: Progress = silent,
) -> list[Race]:
    """Race with one thread, then with two, four, …, as many as there are cores.

    After Ctrl-C, the last race is the one that was interrupted.

    Raises:
        InputValueError: as `Settings.resolved`.
        OSError: the folder cannot be written to.

    """
    races: list[Race] = []
    chosen = tuple(cases() if chosen is None else chosen)
    for threads in thread_counts(len(facts.affinity())):
        settings = replace(
            base,
            kind="scale",
            cases=chosen,
            threads=threads,
            backends=single() if threads == 1 else threaded(),
        )
        races.append(race.measure(folder / f"scale-{threads}.json", settings, on_progress))
        if races[-1].interrupted:
            break
    return races


def thread_counts(cores: int) -> list[int]:
    """Return 1, 2, 4, … and all cores."""
    return sorted({min(2**power, cores) for power in range(cores.bit_length() + 1)})
