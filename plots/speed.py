"""How does the time of an epoch grow with the data? Time against n, one panel per d."""

from typing import TYPE_CHECKING

import numpy as np

from gradrace.plots import style
from gradrace.plots.canvas import Axes, Figure, own_settings
from gradrace.plots.numbers import plain_seconds, seconds, si
from gradrace.plots.sources import race_origin
from gradrace.plots.svg import tell

if TYPE_CHECKING:
    from gradrace.bench.race.verdict.result import About, CaseFindings, ResultFile

MOST_PANELS = 4


def drawable(about: "About") -> bool:
    """Whether a race has anything to draw: at least one time."""
    return any(case.entries for case in about.cases)


@own_settings()
def figure(race: "ResultFile") -> Figure:
    """Return the figure: medians as points, the range of the sessions as bars, logarithmic axes.

    Of more than four numbers of features, four are drawn, the least and the most among them.
    """
    cases = sorted(race.gradrace.cases, key=lambda case: case.n)
    levels = sorted({case.d for case in cases if case.entries})
    shown = np.unique(np.linspace(0, len(levels) - 1, MOST_PANELS).astype(int))
    backends = style.looks(race.gradrace)
    width = max(5.0, 3.4 * len(shown) + 0.8)
    drawn = style.race_figure(width, 3.9, backends.values(), race_origin(race))
    panels = drawn.subplots(1, len(shown), sharex=True, sharey=True, squeeze=False)[0]
    for axes, level in zip(panels, shown, strict=True):
        _draw_panel(axes, [case for case in cases if case.d == levels[level]], backends)
    panels[0].set_ylabel("time per epoch, set-up included")
    style.legend(drawn, panels[0])
    return drawn


def _draw_panel(axes: Axes, cases: "list[CaseFindings]", backends: dict[str, style.Look]) -> None:
    for name, look in backends.items():
        points = _points(cases, name)
        if not len(points):
            continue
        n, median, low, high = points.T
        bars = axes.errorbar(
            n,
            median,
            yerr=abs(np.array([low, high]) - median),
            fmt="o-",
            ms=4.5,
            lw=1.6,
            capsize=3,
            color=look.color,
        )
        texts = [f"{look.label}, n = {k:,.0f}: {seconds(time)}" for k, time in points[:, :2]]
        tell(bars.lines[0], texts)
    style.draw_limit(axes, cases, "n")
    style.log_axes(axes, si, plain_seconds)
    style.title(axes, f"d = {cases[0].d:,}")
    axes.set_xlabel("samples n")
    style.tidy(axes)


def _points(cases: "list[CaseFindings]", name: str) -> np.ndarray:
    """Return a row per case of a backend: n, median, and the range over the sessions."""
    rows = []
    for case in cases:
        for entry in case.entries:
            if entry.backend == name:
                times = [entry.time.median, *entry.time.sessions.values()]
                rows.append((case.n, entry.time.median, min(times), max(times)))
    return np.array(rows, dtype=float).reshape(-1, 4)
