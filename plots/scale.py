"""How does the time grow? Against n, against d at the same n·d, and with the threads."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from plots.canvas import Axes, Figure, FuncFormatter, own_settings
from plots.style import (
    INK,
    MUTED,
    at_ends,
    backend_label,
    color,
    draw_limit,
    foreign,
    new_figure,
    numbers_against_seconds,
    numerous,
    save,
    tidy,
)

Cases = list[dict[str, Any]]


def draw(sources: Sequence[Path], target: Path) -> None:
    """Draw the result files of `gradrace scale`, one per number of threads, as a PNG."""
    save(figure(sources), target)


@own_settings()
def figure(sources: Sequence[Path]) -> Figure:
    """Return the figure: two panels of times on one thread, and one of speed-ups by threads."""
    abouts = [json.loads(path.read_text(encoding="utf-8"))["gradrace"] for path in sources]
    cases = abouts[0]["cases"]
    numbers = max(case["n"] * case["d"] for case in cases if case["d"] > 1)
    drawn = new_figure(12.0, 4.2)
    along_n, along_d, by_threads = drawn.subplots(1, 3)
    _draw_times(along_n, [case for case in cases if case["d"] == 1], "n")
    along_n.set_title("d = 1", fontsize=10, color=INK)
    along_n.set_xlabel("samples n")
    along_n.set_ylabel("time per epoch")
    _draw_times(along_d, [case for case in cases if case["n"] * case["d"] == numbers], "d")
    along_d.set_title(f"n · d = {numbers:,}", fontsize=10, color=INK)
    along_d.set_xlabel("features d")
    _draw_speed_ups(by_threads, abouts)
    return drawn


def _draw_times(axes: Axes, cases: Cases, along: str) -> None:
    """Draw the medians of every backend against n or d, and the limit of a pass."""
    cases = sorted((case for case in cases if case["arms"]), key=lambda case: int(case[along]))
    names = list(dict.fromkeys(row["backend"] for case in cases for row in case["arms"]))
    ends = {}
    for name in names:
        points = [
            (case[along], row["time"]["median"])
            for case in cases
            for row in case["arms"]
            if row["backend"] == name
        ]
        axes.plot(*zip(*points, strict=True), "o-", ms=4, lw=1.5, color=color(name, foreign(names)))
        ends[backend_label(name)] = points[-1]
    draw_limit(axes, cases, along)
    numbers_against_seconds(axes)
    tidy(axes)
    at_ends(axes, ends, [color(name, foreign(names)) for name in names])


def _draw_speed_ups(axes: Axes, abouts: Sequence[dict[str, Any]]) -> None:
    """Draw `numba-parallel` in units of `numba-simd`, against n, one line per thread count."""
    for about in abouts[1:]:
        points = [
            (case["n"], times["numba-simd"] / times["numba-parallel"])
            for case in sorted(about["cases"], key=lambda case: int(case["n"]))
            if case["d"] == 1
            if (times := {row["backend"]: row["time"]["median"] for row in case["arms"]})
            if {"numba-simd", "numba-parallel"} <= set(times)
        ]
        if points:
            threads = about["settings"]["threads"]
            axes.plot(*zip(*points, strict=True), "o-", ms=4, color=color("numba-parallel", []))
            axes.axhline(threads, color=MUTED, lw=1.0, ls="--")
            for at, height in ((points[0][0], threads), points[-1]):
                axes.annotate(
                    f"{threads} threads", (at, height), xytext=(0, -11), fontsize=9, color=MUTED,
                    textcoords="offset points", ha="left" if height == threads else "right",
                )  # fmt: skip
    axes.axhline(1, color=MUTED, lw=0.8)
    axes.set_xscale("log")
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: numerous(value)))
    axes.set_ylim(bottom=0)
    axes.set_xlabel("samples n")
    axes.set_title("numba-parallel, in units of numba-simd", fontsize=10, color=INK)
    tidy(axes)
