"""How close does a backend come to what the machine can do? Bytes a second against the data.

A pass reads every number once and uses it in two multiply-adds, whatever n and d are. So the axis
of the roofline that shows operations per byte would be a single point; what tells the sizes apart
is where their data lie. The roof is what a core reads from there, and what it multiplies and adds.
"""

import json
from pathlib import Path
from typing import Any

from plots.canvas import Axes, Figure, FuncFormatter, own_settings
from plots.style import (
    INK,
    MUTED,
    backend_label,
    color,
    foreign,
    legend,
    new_figure,
    numerous,
    save,
    tidy,
)

_MARKS = "osD^vP*X"


def drawable(about: dict[str, Any]) -> bool:
    """Whether the part "gradrace" of a result file has a roof, and anything below it."""
    return bool(about.get("roofline")) and any(_rows(case) for case in about["cases"])


def draw(source: Path, target: Path) -> None:
    """Draw a result file of `gradrace run` as a PNG."""
    save(figure(source), target)


@own_settings()
def figure(source: Path) -> Figure:
    """Return the figure: each backend's best on each size as a point, the roofs as lines."""
    about = json.loads(source.read_text(encoding="utf-8"))["gradrace"]
    roofline, cases = about["roofline"], about["cases"]
    levels = sorted({case["d"] for case in cases if case["arms"]})
    names = list(dict.fromkeys(row["backend"] for case in cases for row in _rows(case)))
    drawn = new_figure(7.6, 4.6)
    axes = drawn.subplots()
    _draw_roofs(axes, roofline, levels)
    for name in names:
        for d, mark in zip(levels, _MARKS, strict=False):
            points = [
                (size, size / row["time"]["minimum"])
                for case in cases
                for row in _rows(case)
                for size in [8 * case["n"] * (case["d"] + 1)]
                if row["backend"] == name and case["d"] == d
            ]
            label = backend_label(name).lstrip("_") if d == levels[0] else "_"
            axes.plot(
                *zip(*points, strict=True) if points else ((), ()), mark + "-", ms=5, lw=0.8,
                color=color(name, foreign(names)), label=label,
            )  # fmt: skip
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{numerous(value)}B"))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{numerous(value)}B/s"))
    axes.set_xlabel("X and y in memory")
    axes.set_ylabel("X and y, read once per epoch")
    shapes = ", ".join(f"{_NAMES[mark]} d = {d:,}" for d, mark in zip(levels, _MARKS, strict=False))
    axes.set_title(shapes, fontsize=9, color=MUTED, loc="left")
    legend(drawn, axes)
    tidy(axes)
    return drawn


_NAMES = dict(zip(_MARKS, ("●", "■", "◆", "▲", "▼", "✚", "★", "✖"), strict=True))


def _rows(case: dict[str, Any]) -> list[dict[str, Any]]:
    """Return what passes over the samples in every epoch; no such roof holds for the others."""
    return [row for row in case["arms"] if not row["passes_once"]]


def _draw_roofs(axes: Axes, roofline: dict[str, Any], levels: list[int]) -> None:
    """Draw what is read a second, and the multiply-adds in bytes, per number of threads."""
    sizes = roofline["sizes"]
    for count, rates in roofline["read"].items():
        text = "one core" if count == "1" else f"{count} cores"
        axes.plot(sizes, rates, color=INK, lw=1.4, label="_")
        axes.annotate(
            f"read, {text}", (sizes[-1], rates[-1]), xytext=(0, -12), textcoords="offset points",
            ha="right", fontsize=8, color=INK,
        )  # fmt: skip
        roofs = [roofline["fma"][count] * 8 * (d + 1) / (2 * d + 1) for d in levels]
        axes.axhspan(min(roofs), max(roofs), color=MUTED, alpha=0.25, lw=0.8)
        axes.annotate(
            f"multiply-adds, {text}", (sizes[-1], max(roofs)), xytext=(0, 3),
            textcoords="offset points", ha="right", fontsize=8, color=MUTED,
        )  # fmt: skip
    for name, size in roofline["caches"].items():
        axes.axvline(size, color=MUTED, lw=0.7, ls=":")
        axes.annotate(
            name, (size, 0.0), xycoords=("data", "axes fraction"), xytext=(-3, 4),
            textcoords="offset points", ha="right", fontsize=8, color=MUTED,
        )  # fmt: skip
