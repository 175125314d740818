"""When does compiling pay off? The total time of training runs against their number."""

from typing import TYPE_CHECKING

import numpy as np

from gradrace.plots import style
from gradrace.plots.canvas import Axes, Figure, own_settings
from gradrace.plots.numbers import plain_seconds, seconds, si
from gradrace.plots.sources import race_origin
from gradrace.plots.svg import tell, tell_along

if TYPE_CHECKING:
    from gradrace.bench.race.verdict.result import About, CaseFindings, Entry, ResultFile

_MOST_RUNS = 10**5


def drawable(about: "About") -> bool:
    """Whether a race has anything to draw: times, and those of compiling."""
    return bool(about.compile) and any(case.entries for case in about.cases)


@own_settings()
def figure(race: "ResultFile") -> Figure:
    """Return the figure: the smallest and the largest case; dashed if code is cached."""
    about = race.gradrace
    cases = sorted((c for c in about.cases if c.entries), key=lambda case: case.n * case.d)
    cases = [cases[0], cases[-1]] if len(cases) > 1 else cases
    backends = style.looks(about)
    width = 4.4 * len(cases) + 0.8
    drawn = style.race_figure(width, 3.9, backends.values(), race_origin(race))
    panels = drawn.subplots(1, len(cases), sharey=True, squeeze=False)[0]
    for axes, case in zip(panels, cases, strict=True):
        _draw_panel(axes, case, about, backends)
    panels[0].set_ylabel("total time")
    panels[0].plot([], [], color=style.MUTED, lw=1.8, label="compiles in its first run")
    panels[0].plot([], [], color=style.MUTED, lw=1.4, ls="--", label="loads cached machine code")
    panels[0].plot([], [], "o", mfc="white", color=style.INK, label="ahead from this run on")
    style.legend(drawn, panels[0])
    return drawn


def _draw_panel(
    axes: Axes, case: "CaseFindings", about: "About", backends: dict[str, style.Look]
) -> None:
    compiled = {start.backend: start for start in about.compile}
    runs = np.unique(np.geomspace(1, _most_runs(case), 200).astype(int))
    for entry in case.entries:
        look, start = backends[entry.backend], compiled.get(entry.backend)
        first = start.cold if start else 0.0
        axes.plot(runs, first + entry.run * runs, color=look.color, lw=1.8)
        if start:
            axes.plot(runs, start.cached + entry.run * runs, color=look.color, lw=1.4, ls="--")
        decades = 10 ** np.arange(np.log10(runs[-1]) + 1e-9)
        total = first + entry.run * decades
        pairs = zip(decades, total, strict=True)
        texts = [f"{look.label}, runs: {count:,.0f}, {seconds(time)}" for count, time in pairs]
        tell_along(axes, decades, total, texts)
    for count, time in _crossings(case):
        (mark,) = axes.plot([count], [time], "o", ms=6, mfc="white", color=style.INK, zorder=5)
        tell(mark, [f"ahead from run {count:,} on, after {seconds(time)}"])
    style.log_axes(axes, si, plain_seconds)
    axes.set_xlabel("training runs")
    style.title(axes, f"n = {case.n:,}, d = {case.d:,}; {case.run_epochs:,} epochs per run")
    style.tidy(axes)


def _most_runs(case: "CaseFindings") -> int:
    """Return up to how many runs a case is drawn: ten times beyond the last crossing."""
    last = max((count for entry in case.entries for count, _ in _catches_up(entry)), default=1)
    return min(_MOST_RUNS, max(100, 10 * last))


def _crossings(case: "CaseFindings") -> list[tuple[int, float]]:
    """Return after how many runs, and how many seconds, compiled backends overtake others."""
    run = {entry.backend: entry.run for entry in case.entries}
    found = {
        (count, count * run[other])
        for entry in case.entries
        for count, other in _catches_up(entry)
        if 1 < count <= _MOST_RUNS  # ahead from the first run on: no crossing
    }
    return sorted(found)


def _catches_up(entry: "Entry") -> list[tuple[int, str]]:
    """Return after how many runs a compiled backend is ahead, of which other one."""
    return [
        (count, other)
        for other, kinds in entry.break_even.items()
        for count in (kinds.cold, kinds.cached)
        if count is not None
    ]
