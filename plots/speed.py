"""How does the time of an epoch grow with the data? Time against n, one panel per d."""

from typing import TYPE_CHECKING

import numpy as np

from gradrace.plots.canvas import Axes, Figure, own_settings
from gradrace.plots.numbers import plain_seconds, seconds, si
from gradrace.plots.placing import Label, label_ends
from gradrace.plots.sources import race_origin
from gradrace.plots.style import (
    colors,
    draw_limit,
    labels,
    legend,
    log_axes,
    new_figure,
    text_width,
    tidy,
    title,
)
from gradrace.plots.svg import tell

if TYPE_CHECKING:
    from gradrace.bench.race.result import About, CaseFindings, ResultFile

MOST_PANELS = 4


def drawable(about: "About") -> bool:
    """Whether the part "gradrace" of a result file has anything to draw."""
    return any(case.entries for case in about.cases)


@own_settings()
def figure(race: "ResultFile") -> Figure:
    """Return the figure: medians as points, the range of the sessions as bars, logarithmic axes."""
    cases = sorted(race.gradrace.cases, key=lambda case: case.n)
    raced = dict.fromkeys(entry.backend for case in cases for entry in case.entries)
    hues = {name: colors(race.gradrace)[name] for name in raced}
    levels = sorted({case.d for case in cases if case.entries})
    chosen = np.unique(np.linspace(0, len(levels) - 1, MOST_PANELS).astype(int))
    panels = [[case for case in cases if case.d == levels[i]] for i in chosen]
    names = labels(race.gradrace)
    width = 3.4 * len(panels) + 0.8 + text_width(names[name] for name in hues)
    drawn = new_figure(max(5.0, width), 3.9, race_origin(race))
    grid = drawn.subplots(1, len(panels), sharex=True, sharey=True, squeeze=False)[0]
    for axes, level in zip(grid, panels, strict=True):
        _draw_panel(axes, level, hues)
    grid[0].set_ylabel("time per epoch, set-up included")
    legend(drawn, grid[0])
    label_ends(*zip(grid, _ends_of(panels, hues, names), strict=True))
    return drawn


def _draw_panel(axes: Axes, cases: "list[CaseFindings]", hues: dict[str, str]) -> None:
    for name, hue in hues.items():
        points = _points(cases, name)
        if not len(points):
            continue
        n, median, low, high = points.T
        drawn = axes.errorbar(
            n,
            median,
            yerr=abs(np.array([low, high]) - median),
            fmt="o-",
            ms=4.5,
            lw=1.6,
            capsize=3,
            color=hue,
        )
        drawn.set_label("_" + name)  # its name is at the end of the line
        tell(
            drawn.lines[0], [f"{name}, n = {k:,.0f}: {seconds(time)}" for k, time in points[:, :2]]
        )
    draw_limit(axes, cases, "n")
    log_axes(axes, si, plain_seconds)
    title(axes, f"d = {cases[0].d:,}")
    axes.set_xlabel("samples n")
    tidy(axes)


def _points(cases: "list[CaseFindings]", name: str) -> np.ndarray:
    """Return a entry per case of a backend: n, median, and the range over the sessions."""
    rows = [
        (
            case.n,
            entry.time.median,
            min(entry.time.median, *entry.time.sessions.values()),
            max(entry.time.median, *entry.time.sessions.values()),
        )
        for case in cases
        for entry in case.entries
        if entry.backend == name
    ]
    return np.array(rows, dtype=float).reshape(-1, 4)


def _ends_of(
    panels: "list[list[CaseFindings]]", hues: dict[str, str], names: dict[str, str]
) -> list[list[Label]]:
    """Return the line ends to label, per panel: each backend once, in its rightmost panel."""
    found: list[list[Label]] = []
    unlabeled = list(hues)
    for cases in panels[::-1]:
        points = {name: _points(cases, name) for name in unlabeled}
        ends = {
            name: Label(names[name], (rows[-1, 0], rows[-1, 1]), hues[name])
            for name, rows in points.items()
            if len(rows)
        }
        found.insert(0, list(ends.values()))
        unlabeled = [name for name in unlabeled if name not in ends]
    return found
