"""When does compiling pay off? The total time of training runs against their number."""

from typing import TYPE_CHECKING

import numpy as np

from gradrace.plots.canvas import Axes, Figure, own_settings
from gradrace.plots.numbers import plain_seconds, seconds, si
from gradrace.plots.placing import Label, label_ends, label_marks
from gradrace.plots.sources import race_origin
from gradrace.plots.style import (
    INK,
    MUTED,
    colors,
    labels,
    legend,
    log_axes,
    new_figure,
    text_width,
    tidy,
    title,
)
from gradrace.plots.svg import tell, tell_along

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gradrace.bench.race.result import About, CaseFindings, Entry, ResultFile

_MOST_RUNS = 10**5


def drawable(about: "About") -> bool:
    """Whether the part "gradrace" of a result file has anything to draw."""
    return bool(about.compile) and any(case.entries for case in about.cases)


@own_settings()
def figure(race: "ResultFile") -> Figure:
    """Return the figure: the smallest and the largest case; dashed if code is cached."""
    about = race.gradrace
    cases = sorted((c for c in about.cases if c.entries), key=lambda case: case.n * case.d)
    cases = [cases[0], cases[-1]] if len(cases) > 1 else cases
    names = list(dict.fromkeys(entry.backend for case in about.cases for entry in case.entries))
    room = text_width(labels(about)[name] for name in names) + 0.5
    drawn = new_figure((4.0 + room) * len(cases) + 0.8, 3.9, race_origin(race))
    panels = drawn.subplots(1, len(cases), sharey=True, squeeze=False)[0]
    for axes, case in zip(panels, cases, strict=True):
        _draw_lines(axes, case, about)
    panels[0].set_ylabel("total time")
    panels[0].plot([], [], color=MUTED, lw=1.8, label="compiles in its first run")
    panels[0].plot([], [], color=MUTED, lw=1.4, ls="--", label="loads cached machine code")
    panels[0].plot([], [], "o", mfc="white", color=INK, label="ahead from this run on")
    legend(drawn, panels[0])
    ends = [_ends(case, about) for case in cases]
    label_ends(*zip(panels, ends, strict=True))
    label_marks(*zip(panels, [_marks(case.entries) for case in cases], strict=True))
    return drawn


def _draw_lines(axes: Axes, case: "CaseFindings", about: "About") -> None:
    extra, hues = {entry.backend: entry for entry in about.compile}, colors(about)
    names = labels(about)
    runs = np.unique(np.geomspace(1, _most_runs(case), 200).astype(int))
    for entry in case.entries:
        hue, start = hues[entry.backend], extra.get(entry.backend)
        axes.plot(runs, (start.cold if start else 0.0) + entry.run * runs, color=hue, lw=1.8)
        if start:
            axes.plot(runs, start.cached + entry.run * runs, color=hue, lw=1.4, ls="--")
        round_numbers = 10 ** np.arange(np.log10(runs[-1]) + 1e-9)
        total = (start.cold if start else 0.0) + entry.run * round_numbers
        texts = [
            f"{names[entry.backend]}, {count:,.0f} run{'s' * bool(count > 1)}: {seconds(time)}"
            for count, time in zip(round_numbers, total, strict=True)
        ]
        tell_along(axes, round_numbers, total, texts)
    for text, point, _ in _marks(case.entries):
        (mark,) = axes.plot(*zip(point, strict=True), "o", ms=6, mfc="white", color=INK, zorder=5)
        tell(mark, [f"{text} runs: {seconds(point[1])}"])
    log_axes(axes, si, plain_seconds)
    axes.set_xlabel("training runs")
    title(axes, f"n = {case.n:,}, d = {case.d:,}; {case.run_epochs:,} epochs per run")
    tidy(axes)


def _most_runs(case: "CaseFindings") -> int:
    """Return up to how many runs a case is drawn: ten times beyond the last crossing."""
    counts = (
        count or 1
        for entry in case.entries
        for kinds in entry.break_even.values()
        for count in (kinds.cold, kinds.cached)
    )
    return min(_MOST_RUNS, max(100, 10 * max(counts, default=1)))


def _ends(case: "CaseFindings", about: "About") -> list[Label]:
    """Return where the solid lines end."""
    cold, hues = {entry.backend: entry.cold for entry in about.compile}, colors(about)
    runs, names = _most_runs(case), labels(about)
    return [
        Label(
            names[entry.backend],
            (runs, cold.get(entry.backend, 0.0) + entry.run * runs),
            hues[entry.backend],
        )
        for entry in case.entries
    ]


def _marks(rows: "Sequence[Entry]") -> list[Label]:
    """Return where compiled backends catch up with others, and after how many runs as text."""
    crossings = {
        (count, count * other.run)
        for other in rows
        for entry in rows
        if (kinds := entry.break_even.get(other.backend))
        for count in (kinds.cold, kinds.cached)
        if count is not None and 1 < count <= _MOST_RUNS  # ahead from the first run on: no crossing
    }
    return [Label(f"{count:,}", (count, time)) for count, time in sorted(crossings)]
