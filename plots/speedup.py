"""How much faster is each backend, and how sure is that? Speed-ups with their 95 % intervals."""

import json
from pathlib import Path
from typing import Any

from plots.canvas import Axes, Figure, FuncFormatter, LogLocator, NullFormatter, own_settings
from plots.style import INK, MUTED, backend_label, color, foreign, new_figure, save, tidy, times

_TALLEST = 6  # panels in one column
_ROOM = 3.0  # times the largest speed-up: there the last label still fits the panel


def drawable(about: dict[str, Any]) -> bool:
    """Whether the part "gradrace" of a result file has anything to draw."""
    return any(row["speed_up"] for case in about["cases"] for row in case["arms"])


def draw(source: Path, target: Path) -> None:
    """Draw a result file of `gradrace run` as a PNG."""
    save(figure(source), target)


@own_settings()
def figure(source: Path) -> Figure:
    """Return the figure: a panel per case, a row per backend; gray is what this run cannot tell."""
    cases = json.loads(source.read_text(encoding="utf-8"))["gradrace"]["cases"]
    names = list(dict.fromkeys(row["backend"] for case in cases for row in case["arms"]))
    cases = [case for case in cases if any(row["speed_up"] for row in case["arms"])]
    compared = [[row for row in case["arms"] if row["speed_up"]] for case in cases]
    columns = 1 if len(cases) <= _TALLEST else 2
    rows = -(-len(cases) // columns)
    tallest = max(map(len, compared))
    drawn = new_figure(4.0 + 4.0 * columns, 0.9 + rows * (0.3 * tallest + 0.38))
    grid = drawn.subplots(rows, columns, sharex=True, squeeze=False)
    panels = grid.T.flat[: len(cases)]
    values = [row["speed_up"]["value"] for rows_ in compared for row in rows_]
    for axes, case, compared_rows in zip(panels, cases, compared, strict=True):
        _draw_panel(axes, case, compared_rows, foreign(names), _ROOM * max([1.0, *values]))
    for axes in grid.T.flat[len(cases) :]:
        axes.set_axis_off()
    first = panels[0]
    first.set_xlim(min([0.7, *[value / 1.5 for value in values]]), max([1.5, *values]) * 15)
    first.xaxis.set_major_locator(LogLocator(numticks=12))
    first.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.15g}"))
    first.xaxis.set_minor_formatter(NullFormatter())
    drawn.supxlabel(
        f"times as fast as {backend_label(cases[0]['baseline'])} (logarithmic); "
        "gray: what this run cannot tell from 1",
        fontsize=10,
    )
    return drawn


def _draw_panel(
    axes: Axes, case: dict[str, Any], rows: list[dict[str, Any]], others: list[str], last: float
) -> None:
    """Draw the speed-ups of a case; no label begins to the right of `last`."""
    margin = 1 + max(0.05, case["floor"] or 0.0)
    axes.axvspan(1 / margin, margin, color=MUTED, alpha=0.2, lw=0)
    for y, row in enumerate(rows):
        ratio = row["speed_up"]
        hue = color(row["backend"], others)
        axes.plot([ratio["value"]], [y], "o", ms=6, color=hue)
        label = times(ratio)
        if ratio["low"] is not None:
            axes.plot([ratio["low"], ratio["high"]], [y, y], "-", lw=2.5, color=hue, alpha=0.6)
        if row["verdict"] != "faster":
            label += f"  {row['verdict']}"
        right = min(max(ratio["value"], ratio["high"] or 0.0), last)
        axes.annotate(
            label, (right, y), xytext=(9, 0), textcoords="offset points", va="center",
            fontsize=8.5, color=INK, annotation_clip=False,
            bbox={"facecolor": "white", "alpha": 0.8, "lw": 0, "pad": 1},
        )  # fmt: skip
    axes.set_yticks(range(len(rows)), [backend_label(row["backend"]) for row in rows])
    axes.set_ylim(len(rows) - 0.5, -0.5)
    axes.set_xscale("log")
    axes.set_title(
        f"n = {case['n']:,}, d = {case['d']:,}", fontsize=9, loc="left", color=INK, pad=3
    )
    tidy(axes)
