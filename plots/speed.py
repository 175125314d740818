"""How does the time of an epoch grow with the data? Time against n, one panel per d."""

import json
from pathlib import Path
from typing import Any

import numpy as np

from plots.canvas import Axes, Figure, own_settings
from plots.style import (
    INK,
    at_ends,
    backend_label,
    color,
    draw_limit,
    foreign,
    new_figure,
    numbers_against_seconds,
    save,
    tidy,
)

MOST_PANELS = 4


def drawable(about: dict[str, Any]) -> bool:
    """Whether the part "gradrace" of a result file has anything to draw."""
    return any(case["arms"] for case in about["cases"])


def draw(source: Path, target: Path) -> None:
    """Draw a result file of `gradrace run` as a PNG."""
    save(figure(source), target)


@own_settings()
def figure(source: Path) -> Figure:
    """Return the figure: medians as points, the range of the sessions as bars, logarithmic axes."""
    cases = json.loads(source.read_text(encoding="utf-8"))["gradrace"]["cases"]
    names = list(dict.fromkeys(row["backend"] for case in cases for row in case["arms"]))
    levels = sorted({case["d"] for case in cases if case["arms"]})
    levels = [
        levels[i] for i in np.unique(np.linspace(0, len(levels) - 1, MOST_PANELS).astype(int))
    ]
    drawn = new_figure(max(5.0, 3.4 * len(levels) + 1.2), 3.9)
    panels = drawn.subplots(1, len(levels), sharex=True, sharey=True, squeeze=False)[0]
    for axes, d in zip(panels, levels, strict=True):
        _draw_panel(axes, [case for case in cases if case["d"] == d], names)
        axes.set_title(f"d = {d:,}", fontsize=10, color=INK)
        axes.set_xlabel("samples n")
    panels[0].set_ylabel("time per epoch")
    unlabeled = names
    for axes, d in zip(panels[::-1], levels[::-1], strict=True):
        level = [case for case in cases if case["d"] == d]
        here = [name for name in unlabeled if len(_points(level, name))]
        _label_lines(axes, level, here, foreign(names))
        unlabeled = [name for name in unlabeled if name not in here]
    return drawn


def _draw_panel(axes: Axes, cases: list[dict[str, Any]], names: list[str]) -> None:
    for name in names:
        points = _points(cases, name)
        if not len(points):
            continue
        n, median, low, high = points.T
        axes.errorbar(
            n, median, yerr=[median - low, high - median], fmt="o-", ms=4.5, lw=1.6, capsize=3,
            color=color(name, foreign(names)), label=backend_label(name).lstrip("_"),
        )  # fmt: skip
    draw_limit(axes, sorted(cases, key=lambda case: int(case["n"])), "n")
    numbers_against_seconds(axes)
    tidy(axes)


def _points(cases: list[dict[str, Any]], name: str) -> np.ndarray:
    """Return a row per case that the backend ran: n, median, and the range of the sessions."""
    rows = [
        (
            case["n"],
            row["time"]["median"],
            min(row["time"]["median"], *row["time"]["sessions"].values()),
            max(row["time"]["median"], *row["time"]["sessions"].values()),
        )
        for case in sorted(cases, key=lambda case: case["n"])
        for row in case["arms"]
        if row["backend"] == name
    ]
    return np.array(rows, dtype=float).reshape(-1, 4)


def _label_lines(
    axes: Axes, cases: list[dict[str, Any]], names: list[str], others: list[str]
) -> None:
    """Write each backend's name at the right end of its line."""
    ends = {backend_label(name): tuple(_points(cases, name)[-1, :2]) for name in names}
    at_ends(axes, ends, [color(name, others) for name in names])
