"""How far do the figures of identical code differ? pytest-benchmark as it comes, and our sessions.

`python -m bench.noise` races a backend against itself, again and again, in both ways by turns:

(a) two equal tests in one file, under pytest-benchmark with its defaults;
(b) `race.measure` with the sessions of `gradrace run --full`, whose duplicate arm is the same.

It prints how far the ratio of the two equal arms strays in each, and how often two runs of (b) that
lie minutes apart agree on the speed-up of `numba` over `numpy`.
"""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from math import exp, log
from pathlib import Path
from statistics import fmean, stdev
from typing import Annotated, Any

import typer

from bench import race, results
from bench.files import write_json
from bench.machine import thread_environment
from bench.settings import choose

_TEST = """\
import backends
from bench.data import REFERENCE_EPOCHS, REFERENCE_LR, reference_line

numba, data = backends.load("numba"), reference_line()
samples = numba.prepare(data.X, data.y)
numba.train(samples, lr=REFERENCE_LR, epochs=1)


def test_a(benchmark):
    benchmark(numba.train, samples, lr=REFERENCE_LR, epochs=REFERENCE_EPOCHS)


def test_b(benchmark):
    benchmark(numba.train, samples, lr=REFERENCE_LR, epochs=REFERENCE_EPOCHS)
"""
APART = 4
"""Two runs that are compared lie so many runs apart: about two minutes."""

FIGURES = ("min", "mean", "median")
"""What pytest-benchmark compares arms by; `min` is what its table is sorted by."""

Run = dict[str, Any]


def measure(folder: Path) -> Run:
    """Return the A/A ratios of one run of (a) and one of (b), and the speed-up that (b) found."""
    return {**_plain_run(folder), **_session_run(folder)}


def _plain_run(folder: Path) -> Run:
    """Race two equal tests under pytest-benchmark with its defaults."""
    test, saved = folder / "test_equal.py", folder / "plain.json"
    test.write_text(_TEST)
    root = Path(__file__).resolve().parent.parent
    subprocess.run(
        [sys.executable, "-m", "pytest", str(test), "--benchmark-only", "-q",
         "-p", "no:cacheprovider", f"--benchmark-json={saved}"],
        cwd=root, check=True, capture_output=True,
        env={**os.environ, **thread_environment(1)},
    )  # fmt: skip
    a, b = (arm["stats"] for arm in json.loads(saved.read_text())["benchmarks"])
    return {figure: a[figure] / b[figure] for figure in FIGURES}


def _session_run(folder: Path) -> Run:
    """Race `numba`, its duplicate and `numpy` on the reference line, as --full would."""
    settings = choose(
        full=True, sizes=[100], features=[1], backends=["numpy", "numba"], baseline="numpy"
    )
    path = folder / "sessions.json"
    race.measure(path, settings)
    (case,) = results.read(path)["gradrace"]["cases"]
    numba = next(row for row in case["arms"] if row["backend"] == "numba")
    return {"aa": case["aa"], "speed_up": numba["speed_up"]}


def table(runs: Sequence[Run]) -> list[str]:
    """Return the lines of a Markdown table: the A/A ratio of every method over all runs."""
    columns = {f"pytest-benchmark, {figure}": [run[figure] for run in runs] for figure in FIGURES}
    columns["sessions"] = [run["aa"]["value"] for run in runs]
    lines = [
        "| A/A ratio, truly 1 | runs | lowest | highest | highest / lowest | standard deviation |",
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
    """Return what pairs of runs that lie minutes apart say of the speed-up."""
    pairs = [(a["speed_up"], b["speed_up"]) for a, b in zip(runs, runs[APART:], strict=False)]
    mutual = sum(_holds(a, b["value"]) and _holds(b, a["value"]) for a, b in pairs)
    overlap = sum(a["low"] <= b["high"] and b["low"] <= a["high"] for a, b in pairs)
    covered = sum(_holds(run["aa"], 1.0) for run in runs)
    values = [run["speed_up"]["value"] for run in runs]
    return [
        f"The speed-up of numba over numpy is {exp(fmean(map(log, values))):.3g}, from "
        f"{min(values):.3g} to {max(values):.3g}.",
        f"Of {len(pairs)} pairs of runs, each lies within the other's 95 % interval in {mutual}; "
        f"the intervals overlap in {overlap}.",
        f"The 95 % interval of A/A holds 1 in {covered} of {len(runs)} runs.",
    ]


def _holds(estimate: Run, value: float) -> bool:
    return bool(estimate["low"] <= value <= estimate["high"])


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
