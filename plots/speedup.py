"""How much faster is each backend, and how certain is that? Speed-ups with 95 % intervals."""

from typing import TYPE_CHECKING

from gradrace.plots import style
from gradrace.plots.canvas import Axes, Figure, FuncFormatter, NullFormatter, own_settings
from gradrace.plots.numbers import label, ratio
from gradrace.plots.sources import race_origin
from gradrace.plots.svg import tell

if TYPE_CHECKING:
    from gradrace.bench.race.verdict.result import About, CaseFindings, Entry, ResultFile
    from gradrace.bench.race.verdict.statistics import Estimate

_TALLEST = 6  # panels in one column
_PLAIN = 1e6
"""Numbers on the axis have powers of ten from here on."""


def drawable(about: "About") -> bool:
    """Whether a race has anything to draw: at least one speed-up."""
    return any(entry.speed_up for case in about.cases for entry in case.entries)


@own_settings()
def figure(race: "ResultFile") -> Figure:
    """Return the figure: a panel per case, a row per backend; gray if close to 1."""
    backends = style.looks(race.gradrace)
    cases = [case for case in race.gradrace.cases if _compared(case)]
    columns = 1 if len(cases) <= _TALLEST else 2
    panels = -(-len(cases) // columns)
    rows = [entry for case in cases for entry in _compared(case)]
    sides = style.text_width(look.label for look in backends.values())
    sides += style.text_width(map(_words, rows), 8.5)
    tallest = max(len(_compared(case)) for case in cases)
    height = 0.8 + panels * (0.3 * tallest + 0.38)
    drawn = style.new_figure(columns * (4.2 + sides), height, race_origin(race))
    grid = drawn.subplots(panels, columns, sharex=True, squeeze=False)
    for axes, case in zip(grid.T.flat, cases, strict=False):
        _draw_panel(axes, case, backends)
    for axes in grid.T.flat[len(cases) :]:
        axes.set_axis_off()
    _scale(grid[0, 0], rows)
    baseline = backends[cases[0].baseline].label
    note = "with 95 % intervals; gray: too close to 1 to tell"
    style.below(drawn, f"times as fast as {baseline}, {note}", 9)
    return drawn


def _compared(case: "CaseFindings") -> "list[Entry]":
    return [entry for entry in case.entries if entry.speed_up]


def _scale(axes: Axes, rows: "list[Entry]") -> None:
    """Set the limits of the shared axis: from 1 to all speed-ups, and a little beyond."""
    values = [entry.speed_up.value for entry in rows if entry.speed_up]
    low, high = min([0.7, *[value / 1.5 for value in values]]), max([1.5, *values]) * 1.5
    axes.set_xlim(low, high)
    axes.xaxis.set_major_locator(style.log_locator(low, high, 8))
    if high < _PLAIN:
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.15g}"))
    axes.xaxis.set_minor_formatter(NullFormatter())


def _draw_panel(axes: Axes, case: "CaseFindings", backends: dict[str, style.Look]) -> None:
    """Draw the speed-ups of a case, and write them to the right of the plot."""
    margin = 1 + max(0.05, case.noise or 0.0)
    axes.axvspan(1 / margin, margin, color=style.MUTED, alpha=0.2, lw=0)
    rows = _compared(case)
    for y, entry in enumerate(rows):
        (name, hue), speed_up = backends[entry.backend], entry.speed_up
        assert speed_up is not None
        (dot,) = axes.plot([speed_up.value], [y], "o", ms=6, color=hue)
        tell(dot, [f"{name}: {_times(speed_up)}"])
        if speed_up.low:
            axes.plot([speed_up.low, speed_up.high], [y, y], "-", lw=2.5, color=hue, alpha=0.6)
        axes.text(
            1.02,
            y,
            _words(entry),
            transform=axes.get_yaxis_transform(),
            va="center",
            fontsize=8.5,
            color=style.INK,
        )
    axes.set_yticks(range(len(rows)), [backends[entry.backend].label for entry in rows])
    axes.set_ylim(len(rows) - 0.5, -0.5)
    axes.set_xscale("log")
    style.title(axes, f"n = {case.n:,}, d = {case.d:,}", "left")
    style.tidy(axes)


def _words(entry: "Entry") -> str:
    """Write a speed-up, and its verdict unless it is faster."""
    assert entry.speed_up is not None
    verdict = "" if entry.verdict == "faster" else f"  {entry.verdict}"
    return label(_times(entry.speed_up), 40) + verdict


def _times(speed_up: "Estimate") -> str:
    return ratio(speed_up.value, speed_up.low, speed_up.high, " ×")
