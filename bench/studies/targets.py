"""The performance targets, and which of them are reached here.

`python -m gradrace.bench.studies.targets` prints them.

Two races, one with one thread and one with all, and a few timings outside of races. Every ratio is
the geometric mean over the sessions of their median paired ratio, as in every race. A figure that
needs a C compiler or several cores says so where there is none.
"""

import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import median
from timeit import default_timer
from typing import Any

import numpy as np
from msgspec.structs import replace

from gradrace import backends
from gradrace.bench.data.samples import synthetic
from gradrace.bench.machine import facts
from gradrace.bench.machine.progress import Progress
from gradrace.bench.parts import Column, Table
from gradrace.bench.peers import missing, path
from gradrace.bench.race import run as race
from gradrace.bench.race.cases import grid, make_case
from gradrace.bench.race.settings import QUICK_SETTINGS, Settings
from gradrace.bench.race.verdict import statistics
from gradrace.bench.race.verdict.race import Race
from gradrace.bench.race.verdict.result import ResultFile
from gradrace.bench.show.terminal import progress_bar, show

SIMD, PARALLEL = "numba-simd", "numba-parallel"
TEXTBOOK = path("textbook")

_ALONE = [
    *grid([100, 1_000, 10_000, 100_000, 1_000_000, 10_000_000], [1]),
    *grid([100, 10_000, 1_000_000], [10]),
    *grid([100, 10_000, 100_000], [100]),
]
_TOGETHER = [
    *grid([100, 1_000, 10_000, 100_000, 1_000_000, 4_000_000, 10_000_000], [1]),
    make_case(10**6, 10),
]
_REPEATS = 9
_SHORT = 10  # epochs of a short call


@dataclass(frozen=True)
class Figure:
    """A figure to reach."""

    claim: str
    least: float
    """What it should be at least."""
    found: float | None
    """None where it cannot be measured here."""

    def cells(self) -> tuple[str, str]:
        """Write what was found, and whether that reaches the target."""
        if self.found is None:
            return "–", "–"
        return f"{self.found:.3g}", "yes" if self.found >= self.least else "no"


def measure(folder: Path, on_progress: Progress) -> list[Figure]:
    """Return every figure, in the order of the ladder; the result files stay in `folder`."""
    c = [] if missing("c") else [path("c")]
    base = replace(QUICK_SETTINGS, kind="figures")
    alone = _race(
        folder / "figures-1.json",
        replace(base, cases=tuple(_ALONE), backends=("numpy", SIMD, "gram", TEXTBOOK, *c)),
        on_progress,
    )
    threads = len(facts.affinity())
    together: ResultFile | None = None
    if threads > 1:
        together = _race(
            folder / f"figures-{threads}.json",
            replace(base, cases=tuple(_TOGETHER), backends=(SIMD, PARALLEL), threads=threads),
            on_progress,
        )
    return [
        *_numpy(alone),
        *_simd(alone),
        *_parallel(together),
        *_beside_a_busy_process(threads),
        *_gram(alone),
        *_starts(),
    ]


def _race(path: Path, settings: Settings, on_progress: Progress) -> ResultFile:
    if race.measure(path, settings, on_progress).interrupted:
        raise KeyboardInterrupt
    return Race(path).content


def _numpy(content: ResultFile) -> Iterator[Figure]:
    for name, least in (("100x1", 3), ("100x10", 3), ("1000000x1", 2), ("1000000x10", 2)):
        yield Figure(
            f"numpy over textbook NumPy on {name}", least, _ratio(content, name, TEXTBOOK, "numpy")
        )

    for n, d in ((20_000, 100), (500, 1_000)):
        claim = f"numpy over textbook NumPy on {n}x{d}, {_SHORT} epochs a call"
        yield Figure(claim, 1.3, _short_calls(n, d))


def _short_calls(n: int, d: int) -> float:
    """Return how many times as fast as the textbook form `numpy` is in calls of few epochs."""
    data = synthetic(n, d)
    loops = [backends.load(name) for name in (TEXTBOOK, "numpy")]
    samples = [loop.prepare(data.X, data.y) for loop in loops]

    def call(i: int) -> None:
        loops[i].train(samples[i], lr=1e-4, epochs=_SHORT)

    textbook, own = _best(lambda: call(0), lambda: call(1))
    return textbook / own


def _best(*calls: Callable[[], Any]) -> list[float]:
    """Return the least time of each call, in turns."""
    found = [[_seconds(call) for call in calls] for _ in range(_REPEATS)]
    return [min(times) for times in zip(*found, strict=True)]


def _simd(content: ResultFile) -> Iterator[Figure]:
    for case in _ALONE:
        if case.n <= 100_000:
            least = 1.3 if case.d == 1 else 1.0
            found = _ratio(content, case.name, path("c"), SIMD)
            yield Figure(f"{SIMD} over the C loop on {case.name}", least, found)
    for name in ("10000x10", "100x100"):  # in a core's own caches
        yield Figure(f"{SIMD}, share of the limit on {name}", 0.7, _share(content, name, SIMD))
    for name in _beyond_the_caches(content):
        yield Figure(f"{SIMD}, share of the limit on {name}", 0.9, _share(content, name, SIMD))


def _parallel(content: ResultFile | None) -> Iterator[Figure]:
    for case in _TOGETHER:
        small = case.n < 100_000
        if small or case.n >= 1_000_000:
            found = None if content is None else _ratio(content, case.name, SIMD, PARALLEL)
            least = 0.95 if small else 0.97 if case.n == 4_000_000 else 1.8
            yield Figure(f"{PARALLEL} over {SIMD} on {case.name}", least, found)
    if content is not None:
        for name in _beyond_the_caches(content):
            found = _share(content, name, PARALLEL)
            yield Figure(f"{PARALLEL}, share of the limit on {name}", 0.9, found)


def _gram(content: ResultFile) -> Iterator[Figure]:
    yield Figure(f"gram over {SIMD} on 100x1", 8, _ratio(content, "100x1", SIMD, "gram"))
    yield Figure(
        "gram: time of another 1,000 epochs on 100x1 / on 1000000x1",
        0.9,
        _second_thousand(),
    )
    for case in _ALONE:
        if case.d <= 10 and case.n >= 10_000 and case.n <= 1_000_000:
            passes = 6 if case.d == 1 else 8
            claim = f"{passes} passes of {SIMD} over the set-up of gram on {case.name}"
            yield Figure(claim, 1.0, _passes(content, case.name, passes))
    for n, d in ((100_000, 100), (1_000, 1_000)):
        claim = f"BLAS's product and LAPACK's R over the set-up of gram on {n}x{d}"
        yield Figure(claim, 1.0, _libraries_over_setup(n, d))


def _passes(content: ResultFile, name: str, passes: int) -> float | None:
    """Return how long `passes` passes of `numba-simd` take, in units of the set-up of `gram`."""
    rows = {
        row.backend: row
        for case in content.gradrace.cases
        if case.name == name
        for row in case.entries
    }
    if not {SIMD, "gram"} <= rows.keys() or not rows["gram"].setup:
        return None
    return passes * rows[SIMD].per_pass / rows["gram"].setup


def _libraries_over_setup(n: int, d: int) -> float:
    """Return the time of AᵀA and of R by NumPy, A = [1 X y], divided by the set-up of `gram`."""
    data = synthetic(n, d)
    gram: Any = backends.load("gram")  # which has `condense`, unlike other backends
    A, samples = np.column_stack([np.ones(n), data.X, data.y]), gram.prepare(data.X, data.y)
    gram.condense(samples)
    product, triangle, own = _best(
        lambda: A.T @ A, lambda: np.linalg.qr(A, mode="r"), lambda: gram.condense(samples)
    )
    return (product + triangle) / own


def _beside_a_busy_process(threads: int) -> Iterator[Figure]:
    """Compare the typical call, and the slowest one, while another process keeps a core busy."""
    claim = f"{PARALLEL} over {SIMD} on 20000x10 beside a busy process"
    found = _calls_beside_a_busy_process() if threads > 1 else None
    for what, of in (("median", median), ("slowest", max)):
        ratio = None if found is None else float(of(found[0]) / of(found[1]))
        yield Figure(f"{claim}, {what} of {20 * _REPEATS} calls", 1 / 1.3, ratio)


def _calls_beside_a_busy_process() -> list[list[float]]:
    """Return the times of `numba-simd` and of `numba-parallel`, in seconds, measured in turns."""
    data = synthetic(20_000, 10)
    loops = [backends.load(name) for name in (SIMD, PARALLEL)]
    samples = [loop.prepare(data.X, data.y) for loop in loops]
    for loop, prepared in zip(loops, samples, strict=True):
        loop.train(prepared, lr=0.01, epochs=60)
    spin = "while True: pass"
    with subprocess.Popen([sys.executable, "-c", spin]) as busy:
        try:
            found: list[list[float]] = [[], []]
            for _ in range(_REPEATS):
                for times, loop, prepared in zip(found, loops, samples, strict=True):
                    times += [_seconds(loop.train, prepared, lr=0.01, epochs=60) for _ in range(20)]
        finally:
            busy.kill()
    return found


def _starts() -> Iterator[Figure]:
    yield Figure(
        f"time of import numba / of gradrace train to its first line, {SIMD}", 1 / 1.5, _start()
    )
    load = "from gradrace import backends; backends.load('gram'); print()"
    bare, own = _best(
        *(partial(_first_line, [sys.executable, "-c", code]) for code in (_NUMBA, load))
    )
    yield Figure("time of import numba / of backends.load('gram')", 1 / 1.3, bare / own)
    for name, most in (("gram", 1.2), (SIMD, 0.8)):
        claim = f"{most} s over the first compilation of {name}, two features"
        yield Figure(claim, 1.0, most / _compilation(name))


def _compilation(name: str) -> float:
    """Return the seconds of a first call in an empty cache, without the second one."""
    code = (
        "import numpy as np; from gradrace import backends\n"
        "from timeit import default_timer as now\n"
        f"loop = backends.load({name!r}); X = np.random.default_rng(0).normal(size=(100, 2))\n"
        "data, at = loop.prepare(X, X[:, 0]), []\n"
        "for _ in range(3): at.append(now()); loop.train(data, lr=0.1, epochs=1)\n"
        "print(at[1] - at[0] - (at[2] - at[1]))"
    )
    with tempfile.TemporaryDirectory() as cache:
        done = subprocess.run(
            [sys.executable, "-c", code],
            env={**os.environ, "NUMBA_CACHE_DIR": cache},
            capture_output=True,
            text=True,
            check=True,
        )
    return float(done.stdout)


def _ratio(content: ResultFile, case: str, slow: str, fast: str) -> float | None:
    """Return how many times as fast `fast` is."""
    timed = {
        one.backend: one.times()
        for one in content.benchmarks
        if one.group == case and not one.extra_info.duplicate
    }
    if not {slow, fast} <= timed.keys():
        return None
    estimate = statistics.speed_up(timed[slow], timed[fast])
    return None if estimate is None else estimate.value


def _share(content: ResultFile, case: str, backend: str) -> float | None:
    """Return the limit of a pass divided by a backend's best time."""
    shares = [
        row.limit.share
        for found in content.gradrace.cases
        for row in found.entries
        if found.name == case and row.backend == backend and row.limit
    ]
    return shares[0] if shares else None


def _beyond_the_caches(content: ResultFile) -> list[str]:
    roofline = content.gradrace.roofline
    last = max(roofline.caches.values() if roofline else (), default=2**25)
    return [case.name for case in content.gradrace.cases if case.data_bytes > 2 * last]


def _second_thousand() -> Any:
    """Return the time of 1,000 more epochs with n = 100, divided by that with n = 10⁶."""
    module = backends.load("gram")
    ends = [module.prepare(data.X, data.y) for data in (synthetic(100, 1), synthetic(10**6, 1))]
    extra: list[list[float]] = [[], []]
    for data in ends:
        module.train(data, lr=0.1, epochs=1)
    for _ in range(_REPEATS):
        for data, found in zip(ends, extra, strict=True):
            short, long = (
                _seconds(module.train, data, lr=0.1, epochs=epochs) for epochs in (1_000, 101_000)
            )
            found.append((long - short) / 100)
    return median(a / b for a, b in zip(*extra, strict=True))


def _start() -> float:
    """Return the time of `import numba` divided by that of `gradrace train` to its first line."""
    with tempfile.TemporaryDirectory() as folder:
        bare = [sys.executable, "-c", _NUMBA]
        words = ["train", "--backend", SIMD, "--out", folder]
        train = [sys.executable, "-m", "gradrace", *words]
        ratios = [
            _seconds(_first_line, bare) / _seconds(_first_line, train) for _ in range(_REPEATS)
        ]
    return median(ratios)


def _first_line(command: list[str]) -> None:
    """Start a program, and return after its first line."""
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env={**os.environ, **_AT_ONCE}
    ) as child:
        assert child.stdout is not None
        if not child.stdout.readline():
            raise RuntimeError(f"{' '.join(command)} prints nothing")
        child.kill()


_AT_ONCE = {"PYTHONUNBUFFERED": "1"}
_NUMBA = "import numba; print()"


def _seconds(function: Callable[..., Any], *args: Any, **kwargs: Any) -> float:
    start = default_timer()
    function(*args, **kwargs)
    return default_timer() - start


def main() -> None:
    """Print which figures are reached on this machine; the races stay in results/."""
    folder = Path("results")
    folder.mkdir(exist_ok=True)
    rows: list[list[str]] = []
    with progress_bar() as on_progress:
        for figure in measure(folder, on_progress):
            rows.append([figure.claim, f"{figure.least:.3g}", *figure.cells()])
    heads = [Column("target", kind="prose"), *map(Column, ("at least", "found", "reached"))]
    show(Table(heads, rows))


if __name__ == "__main__":
    main()
