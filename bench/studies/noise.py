"""How much do the times of identical code differ? Default pytest-benchmark, and our sessions.

`python -m gradrace.bench.studies.noise` races a backend against an identical copy again and again,
alternating between two methods, with a second of timed calls for each of the two:

(a) two equal tests in one file, under pytest-benchmark with its defaults;
(b) `race.measure` with three sessions, which also time a copy of the fastest backend.

It prints how much the ratio of the two copies (the A/A ratio) varies in each, and how often two
runs of (b), minutes apart, agree on the speed-up of `numba` over `numpy`, at four sizes.
"""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from math import exp, inf, log
from pathlib import Path
from statistics import stdev
from typing import Annotated, Literal, TypedDict

import typer
from gradrace.bench.race.schema import CaseFindings, Interval

from gradrace.bench.data.files import write_json
from gradrace.bench.machine.facts import thread_environment
from gradrace.bench.race import results
from gradrace.bench.race import run as race
from gradrace.bench.race.cases import REFERENCE
from gradrace.bench.race.settings import choose

APART = 4
"""How many runs apart two compared runs are: about two minutes."""

Figure = Literal["min", "mean", "median"]
FIGURES: tuple[Figure, ...] = ("min", "mean", "median")
"""What pytest-benchmark compares arms by; `min` is what its table is sorted by."""


class PlainRun(TypedDict):
    """One run of (a): the ratio of the two equal tests, by each figure."""

    min: float
    mean: float
    median: float


class SessionRun(TypedDict):
    """One run of (b), by size: the ratio of the two copies, and the speed-up."""

    aa: dict[str, Interval]
    speed_up: dict[str, Interval]


class Run(PlainRun, SessionRun):
    """One run of each."""


def measure(folder: Path) -> Run:
    """Return the A/A ratios of one run of (a) and one of (b), and the speed-up that (b) found."""
    return {**_plain_run(folder), **_session_run(folder)}


def _plain_run(folder: Path) -> PlainRun:
    """Race two equal tests under pytest-benchmark with its defaults."""
    test, saved = Path(__file__).with_name("equal_arms.py"), folder / "plain.json"
    root = Path(__file__).resolve().parents[2]
    subprocess.run(
        [
            sys.executable,
            "-m",
            "pytest",
            str(test),
            "--benchmark-only",
            "-q",
            "--noconftest",
            "-p",
            "no:cacheprovider",
            f"--benchmark-json={saved}",
        ],
        cwd=root,
        check=True,
        capture_output=True,
        env={**os.environ, **thread_environment(1)},
    )
    a, b = (arm["stats"] for arm in json.loads(saved.read_text())["benchmarks"])
    return {
        "min": a["min"] / b["min"],
        "mean": a["mean"] / b["mean"],
        "median": a["median"] / b["median"],
    }


def _session_run(folder: Path) -> SessionRun:
    """Race `numba`, its copy and `numpy`, in as many sessions as with --quick."""
    chosen = choose(sizes=[100, 10_000], features=[1, 10], backends=["numpy", "numba"])
    path = folder / "sessions.json"
    if race.measure(path, replace(chosen, repetitions=40)).interrupted:
        raise KeyboardInterrupt
    cases = results.read(path)["gradrace"]["cases"]
    return {
        "aa": {c["name"]: c["aa"] for c in cases if c["aa"]},
        "speed_up": {c["name"]: _numba(c) for c in cases},
    }


def _numba(case: CaseFindings) -> Interval:
    return next(
        row["speed_up"] for row in case["arms"] if row["backend"] == "numba" and row["speed_up"]
    )


def table(runs: Sequence[Run]) -> list[str]:
    """Return the lines of a Markdown table: the ratio of identical code with every method."""
    columns = {f"pytest-benchmark, {figure}": [run[figure] for run in runs] for figure in FIGURES}
    columns["sessions"] = [run["aa"][REFERENCE.name]["value"] for run in runs]
    lines = [
        "| identical code | runs | lowest | highest | highest / lowest | standard deviation |",
        "|---|---|---|---|---|---|",
    ]
    for name, values in columns.items():
        deviation = exp(stdev(map(log, values))) - 1
        lines.append(
            f"| {name} | {len(values)} | {min(values):.3f} | {max(values):.3f} | "
            f"+{100 * (max(values) / min(values) - 1):.1f} % | {100 * deviation:.2f} % |"
        )
    return lines


def agreement(runs: Sequence[Run]) -> list[str]:
    """Return how well pairs of runs that are minutes apart agree on the speed-up."""
    sizes = list(runs[0]["speed_up"])
    pairs = [
        (a["speed_up"][size], b["speed_up"][size])
        for a, b in zip(runs, runs[APART:], strict=False)
        for size in sizes
    ]
    mutual = sum(_holds(a, b["value"]) and _holds(b, a["value"]) for a, b in pairs)
    overlap = sum(_overlap(_bounds(a), _bounds(b)) for a, b in pairs)
    covered = sum(_holds(run["aa"][size], 1.0) for run in runs for size in sizes)
    return [
        f"Of {len(pairs)} pairs of speed-ups, each lies within the other's 95 % interval in "
        f"{mutual}; the intervals overlap in {overlap}.",
        f"The 95 % interval for identical code contains 1 in {covered} of "
        f"{len(runs) * len(sizes)} cases.",
    ]


def _bounds(estimate: Interval) -> tuple[float, float]:
    low, high = estimate["low"], estimate["high"]
    return (0.0, inf) if low is None or high is None else (low, high)


def _overlap(a: tuple[float, float], b: tuple[float, float]) -> bool:
    return a[0] <= b[1] and b[0] <= a[1]


def _holds(estimate: Interval, value: float) -> bool:
    low, high = _bounds(estimate)
    return low <= value <= high


def main(
    runs: Annotated[int, typer.Option(help="How many runs of each kind; half a minute each.")] = 24,
    out: Annotated[Path, typer.Option(metavar="FILE", help="Keeps the runs.")] = Path("noise.json"),
) -> None:
    """Measure how far identical code differs from itself, and print a Markdown table of it."""
    done: list[Run] = json.loads(out.read_text()) if out.exists() else []
    with tempfile.TemporaryDirectory(prefix="gradrace-") as name:
        while len(done) < runs:
            done.append(measure(Path(name)))
            write_json(out, done)
            print(f"run {len(done)} of {runs}", file=sys.stderr)
    print("\n".join([*table(done), "", *agreement(done)]))


if __name__ == "__main__":
    typer.run(main)
