"""How much faster is each backend, and how certain is that? Speed-ups with 95 % intervals."""

from typing import TYPE_CHECKING

from gradrace.plots.canvas import Axes, Figure, FuncFormatter, NullFormatter, own_settings
from gradrace.plots.numbers import label, times
from gradrace.plots.sources import race_origin
from gradrace.plots.style import (
    INK,
    MUTED,
    below,
    colors,
    labels,
    log_locator,
    new_figure,
    text_width,
    tidy,
    title,
)
from gradrace.plots.svg import tell

if TYPE_CHECKING:
    from gradrace.bench.race.result import About, CaseFindings, Entry, ResultFile

_TALLEST = 6  # panels in one column
_PLAIN = 1e6
"""Numbers on the axis have powers of ten from here on."""


def drawable(about: "About") -> bool:
    """Whether the part "gradrace" of a result file has anything to draw."""
    return any(entry.speed_up for case in about.cases for entry in case.entries)


@own_settings()
def figure(race: "ResultFile") -> Figure:
    """Return the figure: a panel per case, a entry per backend; gray if close to 1."""
    hues, names = colors(race.gradrace), labels(race.gradrace)
    cases = [case for case in race.gradrace.cases if _compared(case)]
    columns = 1 if len(cases) <= _TALLEST else 2
    panels = -(-len(cases) // columns)
    rows = [entry for case in cases for entry in _compared(case)]
    sides = text_width((names[entry.backend] for entry in rows), 9) + text_width(
        map(_words, rows), 8.5
    )
    tallest = max(len(_compared(case)) for case in cases)
    height = 0.8 + panels * (0.3 * tallest + 0.38)
    drawn = new_figure(columns * (4.2 + sides), height, race_origin(race))
    grid = drawn.subplots(panels, columns, sharex=True, squeeze=False)
    for axes, case in zip(grid.T.flat, cases, strict=False):
        _draw_panel(axes, case, hues, names)
    for axes in grid.T.flat[len(cases) :]:
        axes.set_axis_off()
    _scale(grid[0, 0], rows)
    baseline = names[cases[0].baseline]
    note = "with 95 % intervals; gray: too close to 1 to tell"
    below(drawn, f"times as fast as {baseline}, {note}", 9)
    return drawn


def _compared(case: "CaseFindings") -> "list[Entry]":
    return [entry for entry in case.entries if entry.speed_up]


def _scale(axes: Axes, rows: "list[Entry]") -> None:
    """Set the limits of the shared axis: from 1 to all speed-ups, and a little beyond."""
    values = [entry.speed_up.value for entry in rows if entry.speed_up]
    low, high = min([0.7, *[value / 1.5 for value in values]]), max([1.5, *values]) * 1.5
    axes.set_xlim(low, high)
    axes.xaxis.set_major_locator(log_locator(low, high, 8))
    if high < _PLAIN:
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.15g}"))
    axes.xaxis.set_minor_formatter(NullFormatter())


def _draw_panel(
    axes: Axes, case: "CaseFindings", hues: dict[str, str], names: dict[str, str]
) -> None:
    """Draw the speed-ups of a case, and write them to the right of the plot."""
    margin = 1 + max(0.05, case.noise or 0.0)
    axes.axvspan(1 / margin, margin, color=MUTED, alpha=0.2, lw=0)
    rows = _compared(case)
    for y, entry in enumerate(rows):
        ratio, hue = entry.speed_up, hues[entry.backend]
        assert ratio is not None
        (dot,) = axes.plot([ratio.value], [y], "o", ms=6, color=hue)
        tell(dot, [f"{entry.backend}: {times(ratio)}"])
        low, high = ratio.low, ratio.high
        if low:
            axes.plot([low, high], [y, y], "-", lw=2.5, color=hue, alpha=0.6)
        axes.text(
            1.02,
            y,
            _words(entry),
            transform=axes.get_yaxis_transform(),
            va="center",
            fontsize=8.5,
            color=INK,
        )
    axes.set_yticks(range(len(rows)), [names[entry.backend] for entry in rows])
    axes.set_ylim(len(rows) - 0.5, -0.5)
    axes.set_xscale("log")
    title(axes, f"n = {case.n:,}, d = {case.d:,}", "left")
    tidy(axes)


def _words(entry: "Entry") -> str:
    """Write a speed-up, and its verdict unless it is faster."""
    assert entry.speed_up is not None
    verdict = "" if entry.verdict == "faster" else f"  {entry.verdict}"
    return label(times(entry.speed_up), 40) + verdict
