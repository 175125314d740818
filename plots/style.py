"""The common style of all pictures: a color per backend, a footer, one way to write a PNG."""

from collections.abc import Callable, Collection, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NamedTuple

from gradrace.plots.numbers import backend_label

if TYPE_CHECKING:
    from gradrace.bench.race.verdict.result import About, CaseFindings
    from gradrace.plots.canvas import Axes, Figure, LogLocator

Write = Callable[[float], str]
"""How a number on an axis is written."""

# Okabe and Ito, "Color Universal Design" (2008): distinguishable for color-blind readers
CURVES = ("#0072B2", "#009E73", "#E69F00", "#CC79A7", "#56B4E9", "#D55E00", "#8C6D1F")
"""The color of anything but backends."""
INK, MUTED, GRID = "#222222", "#666666", "#DDDDDD"

_FOOTER_SIZE = 6.5  # points
_FOOTER_LINE = 0.12  # inches
_MARGIN = 0.06  # inches

SMALLEST_DRAWN = 1e-100
LARGEST_DRAWN = 1e200  # matplotlib's margins and ticks overflow near the largest float64


class Look(NamedTuple):
    """What a backend is called in a picture, and its color, the same in all pictures."""

    label: str
    color: str


def looks(about: "About") -> dict[str, Look]:
    """Return how each backend that was timed is drawn, the slowest first, as lines lie in plots."""
    time: dict[str, float] = {}
    for case in sorted(about.cases, key=lambda case: case.n * case.d):
        time |= {entry.backend: entry.time.median / (case.n * case.d) for entry in case.entries}
    return {
        name: Look(backend_label(name, about.precision_of(name)), about.backends[name].color)
        for name in sorted(time, key=lambda name: -time[name])
    }


def new_figure(width: float, height: float, origin: Sequence[str] = ()) -> "Figure":
    """Return an empty figure with a footer, width and height (without the footer) in inches."""
    from gradrace.plots.canvas import ConstrainedLayoutEngine, Figure

    lines = _lines(origin, width)
    room = _FOOTER_LINE * len(lines) + (_MARGIN if lines else 0.0)
    bottom = room / (height + room)
    layout = ConstrainedLayoutEngine(rect=(0, bottom, 1, 1 - bottom))
    drawn = Figure(figsize=(width, height + room), layout=layout)
    if lines:
        drawn.text(
            1 - _MARGIN / width,
            _MARGIN / (height + room),
            "\n".join(lines),
            ha="right",
            va="bottom",
            fontsize=_FOOTER_SIZE,
            linespacing=1.2,
            color=MUTED,
            gid="footer",
        )
    return drawn


def race_figure(
    width: float, height: float, looks: Collection[Look], origin: Sequence[str]
) -> "Figure":
    """Return an empty figure with a footer, and with the backends listed on its right.

    Width and height are those without the list and the footer, in inches.
    """
    from gradrace.plots.canvas import Line2D

    names = [look.label for look in looks]
    room = text_width(names) + 0.5
    drawn = new_figure(width + room, max(height, 0.2 * len(names) + 0.9), origin)
    lines = [Line2D([], [], color=look.color, lw=2) for look in looks]
    drawn.legend(lines, names, loc="outside right center", frameon=False, fontsize=9)
    return drawn


def _lines(parts: Sequence[str], width: float) -> list[str]:
    """Join parts into lines of at most this width in inches."""
    lines: list[str] = []
    for part in parts:
        longer = f"{lines[-1]} · {part}" if lines else part
        if lines and text_width([longer], _FOOTER_SIZE) <= width - 2 * _MARGIN:
            lines[-1] = longer
        else:
            lines.append(part)
    return lines


def text_width(texts: Iterable[str], size: float = 9) -> float:
    """Return the approximate width in inches of the longest text, in a font of `size` points."""
    return max((len(text) for text in texts), default=0) * 0.6 * size / 72


def legend(drawn: "Figure", *plots: "Axes") -> None:
    """Put one legend of these plots above all, in as few rows as possible."""
    found = [axes.get_legend_handles_labels() for axes in plots]
    handles = [handle for handles, _ in found for handle in handles]
    labels = [label for _, labels in found for label in labels]
    for rows in range(1, len(labels) + 1):
        columns = -(-len(labels) // rows)
        box = drawn.legend(
            handles, labels, loc="outside upper center", ncols=columns, frameon=False, fontsize=9
        )
        if columns == 1 or box.get_window_extent().width < drawn.bbox.width:
            return
        box.remove()


def below(drawn: "Figure", text: str, size: float = 10) -> None:
    """Write one label for the x axes of all plots below them, above the footer."""
    from gradrace.plots.canvas import ConstrainedLayoutEngine

    layout = drawn.get_layout_engine()
    assert isinstance(layout, ConstrainedLayoutEngine)
    _, bottom, _, _ = layout.get()["rect"]
    inch = 1 / drawn.get_size_inches()[1]
    drawn.text(0.5, bottom + _MARGIN * inch, text, ha="center", fontsize=size, color=INK)
    bottom += (1.3 * size / 72 + _MARGIN) * inch
    layout.set(rect=(0, bottom, 1, 1 - bottom))


def tidy(axes: "Axes") -> None:
    """Remove what carries no information from a plot's frame."""
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(MUTED)
    axes.tick_params(colors=INK, labelsize=9)
    axes.grid(visible=True, color=GRID, linewidth=0.6)
    axes.set_axisbelow(True)


def title(axes: "Axes", text: str, loc: "Literal['left', 'center']" = "center") -> None:
    """Write the title of a plot."""
    axes.set_title(text, fontsize=10, color=INK, loc=loc, pad=4)


def log_axes(axes: "Axes", write_x: Write | None, write_y: Write | None) -> None:
    """Make both axes logarithmic; numbers are written by these functions, or as powers of ten.

    Call it after everything is drawn. Where an axis covers less than two decades, it also has
    numbers between the powers of ten.
    """
    from gradrace.plots.canvas import FuncFormatter, LogFormatterMathtext, NullFormatter

    axes.set_xscale("log")
    axes.set_yscale("log")
    for axis, write in ((axes.xaxis, write_x), (axes.yaxis, write_y)):
        low, high = sorted(axis.get_view_interval())
        axis.set_major_locator(log_locator(low, high))
        axis.set_major_formatter(
            FuncFormatter(lambda value, _, write=write: write(value))
            if write
            else LogFormatterMathtext()
        )
        axis.set_minor_formatter(NullFormatter())


def log_locator(low: float, high: float, most: int = 12) -> "LogLocator":
    """Return where a logarithmic axis has numbers, at most this many."""
    from gradrace.plots.canvas import LogLocator

    subs = [1.0]
    if high < 5 * low:
        subs = [1.0, 1.5, 2.0, 3.0, 5.0, 7.0]
    elif high < 50 * low:
        subs = [1.0, 2.0, 5.0]
    return LogLocator(subs=subs, numticks=most)


def draw_limit(axes: "Axes", cases: Sequence["CaseFindings"], along: Literal["n", "d"]) -> None:
    """Draw the least time of a pass over the samples, dashed, against `along` of the cases."""
    limits = []
    for case in cases:
        rows = [entry for entry in case.entries if not entry.passes_once]
        known = [entry.limit for entry in rows if entry.precision == "float64"]
        if least := min((limit.seconds for limit in known if limit), default=None):
            limits.append((getattr(case, along), least))
    if limits:
        mark = "_" if len(limits) == 1 else ""  # a line of one point cannot be seen
        axes.plot(
            *zip(*limits, strict=True),
            color=MUTED,
            lw=1.2,
            ls="--",
            marker=mark,
            ms=14,
            zorder=1,
            label="machine limit: one pass over the samples per epoch",
        )


def save(figure: "Figure", target: Path, kind: str = "png") -> None:
    """Write the figure as a PNG of 150 dots per inch, or as SVG or PDF."""
    from gradrace.plots.canvas import own_settings
    from gradrace.plots.svg import document

    if kind == "svg":
        target.write_bytes(document(figure))
        return
    with own_settings():
        figure.savefig(target, format=kind, dpi=150, facecolor="white")


def save_book(figures: "Iterable[Figure]", target: Path) -> None:
    """Write figures as the pages of one PDF."""
    from matplotlib.backends.backend_pdf import PdfPages

    from gradrace.plots.canvas import own_settings

    with own_settings(), PdfPages(target) as pages:
        for figure in figures:
            pages.savefig(figure)
