"""When has compiling paid? Cumulative time against the number of training runs."""

import json
from pathlib import Path
from typing import Any

import numpy as np

from plots.canvas import Axes, Figure, own_settings
from plots.style import (
    INK,
    MUTED,
    at_ends,
    backend_label,
    color,
    foreign,
    new_figure,
    numbers_against_seconds,
    save,
    tidy,
)

_MOST_RUNS = 10**5
_NEAR = 1.5  # times as many runs


def drawable(about: dict[str, Any]) -> bool:
    """Whether the part "gradrace" of a result file has anything to draw."""
    return bool(about["compile"]) and any(case["arms"] for case in about["cases"])


def draw(source: Path, target: Path) -> None:
    """Draw a result file of `gradrace run` as a PNG."""
    save(figure(source), target)


@own_settings()
def figure(source: Path) -> Figure:
    """Return the figure: the smallest and the largest case; dashed with the machine code cached."""
    about = json.loads(source.read_text(encoding="utf-8"))["gradrace"]
    cases = sorted((c for c in about["cases"] if c["arms"]), key=lambda case: case["n"] * case["d"])
    cases = [cases[0], cases[-1]] if len(cases) > 1 else cases
    names = list(dict.fromkeys(row["backend"] for case in about["cases"] for row in case["arms"]))
    drawn = new_figure(4.6 * len(cases) + 0.8, 3.9)
    panels = drawn.subplots(1, len(cases), sharey=True, squeeze=False)[0]
    for axes, case in zip(panels, cases, strict=True):
        _draw_panel(axes, case, about["compile"], foreign(names))
    panels[0].set_ylabel("time of all runs together")
    panels[0].text(
        0.02, 0.98, "solid: compiles first\ndashed: machine code cached", va="top", fontsize=8.5,
        color=MUTED, transform=panels[0].transAxes,
    )  # fmt: skip
    return drawn


def _draw_panel(
    axes: Axes, case: dict[str, Any], compiled: list[dict[str, Any]], others: list[str]
) -> None:
    extra = {entry["backend"]: entry for entry in compiled}
    crossings = [
        count
        for row in case["arms"]
        for kinds in row["break_even"].values()
        for count in kinds.values()
        if count is not None
    ]
    most = min(_MOST_RUNS, max(100, 10 * max(crossings, default=1)))
    runs = np.unique(np.geomspace(1, most, 200).astype(int))
    ends, hues = {}, []
    for row in case["arms"]:
        name, hue = row["backend"], color(row["backend"], others)
        first = extra.get(name, {"cold": 0.0, "cached": 0.0})
        axes.plot(runs, first["cold"] + row["run"] * runs, color=hue, lw=1.8)
        if name in extra:
            axes.plot(runs, first["cached"] + row["run"] * runs, color=hue, lw=1.4, ls="--")
        ends[backend_label(name)] = (float(runs[-1]), float(first["cold"] + row["run"] * runs[-1]))
        hues.append(hue)
    for row in case["arms"]:
        _mark(axes, case["arms"], row, most)
    numbers_against_seconds(axes)
    axes.set_xlabel("training runs")
    title = f"n = {case['n']:,}, d = {case['d']:,}, {case['run_epochs']:,} epochs a run"
    axes.set_title(title, fontsize=10, color=INK)
    tidy(axes)
    at_ends(axes, ends, hues)


def _mark(axes: Axes, rows: list[dict[str, Any]], other: dict[str, Any], most: int) -> None:
    """Mark where compiled backends have caught up with `other`; neighbors share a label."""
    counts = sorted(
        {
            count
            for row in rows
            for count in row["break_even"].get(other["backend"], {}).values()
            if count is not None and 1 < count <= most  # from the first run on: no crossing
        }
    )
    groups: list[list[int]] = []
    for count in counts:
        axes.plot([count], [count * other["run"]], "o", ms=6, mfc="white", color=INK, zorder=5)
        if groups and count < _NEAR * groups[-1][-1]:
            groups[-1].append(count)
        else:
            groups.append([count])
    for group in groups:
        axes.annotate(
            ", ".join(f"{count:,}" for count in group), (group[0], group[0] * other["run"]),
            xytext=(-4, 6), textcoords="offset points", ha="right", fontsize=9, color=INK,
        )  # fmt: skip
