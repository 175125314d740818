"""What all pictures share: one color per backend, one look, one way to write a PNG."""

from collections.abc import Sequence
from pathlib import Path
from statistics import geometric_mean
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # the tables in the terminal use the names below, and need no matplotlib
    from bench.findings.schema import Interval
    from plots.canvas import Axes, Figure, FuncFormatter

# Okabe and Ito, "Color Universal Design" (2008): told apart by color-blind readers
COLORS = {
    "python": "#E69F00",
    "numpy": "#0072B2",
    "numba": "#009E73",
    "numba-simd": "#56B4E9",
    "numba-parallel": "#D55E00",
    "gram": "#CC79A7",
}
_OTHERS = ("#8C6D1F", "#333333", "#7F6BB3", "#A3A500")
CURVES = ("#0072B2", "#009E73", "#E69F00", "#CC79A7", "#56B4E9", "#D55E00", "#8C6D1F")
"""For anything but backends."""
INK, MUTED, GRID = "#222222", "#666666", "#DDDDDD"

SMALLEST_DRAWN = 1e-100
LARGEST_DRAWN = 1e200  # matplotlib's margins and ticks overflow near the largest float64


def color(backend: str, others: list[str]) -> str:
    """Return the color of a backend; foreign ones, `others`, take theirs in order."""
    return COLORS.get(backend) or _OTHERS[others.index(backend) % len(_OTHERS)]


def foreign(backends: list[str]) -> list[str]:
    """Return the backends that have no color of their own, in order, each once."""
    return [name for name in dict.fromkeys(backends) if name not in COLORS]


def short(backend: str) -> str:
    """Return a backend's name; of a path, the file's name."""
    return Path(backend).name if backend.endswith(".py") else backend


def label(name: str, most: int = 50) -> str:
    """Return a name as text to draw: no mathematics in it, and not endless."""
    text = name if len(name) <= most else name[: most - 1] + "…"
    return text.replace("$", r"\$")


def backend_label(backend: str) -> str:
    """Return a backend's name as text to draw."""
    return label(short(backend))


def legend(drawn: "Figure", axes: "Axes") -> None:
    """Put one legend for all plots above them, five entries a row."""
    handles, labels = axes.get_legend_handles_labels()
    columns = min(len(labels), 5)
    drawn.legend(
        handles, labels, loc="outside upper center", ncols=columns, frameon=False, fontsize=9
    )


def new_figure(width: float, height: float) -> "Figure":
    """Return an empty figure, width and height in inches."""
    from plots.canvas import Figure

    return Figure(figsize=(width, height), layout="constrained")


def tidy(axes: "Axes") -> None:
    """Remove what carries no information from a plot's frame."""
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(MUTED)
    axes.tick_params(colors=INK, labelsize=9)
    axes.grid(visible=True, color=GRID, linewidth=0.6)
    axes.set_axisbelow(True)


def seconds(value: float) -> str:
    """Write a time with three significant digits and an SI prefix: 1.23 ms."""
    if value >= 7200:
        return f"{_three_digits(value / 3600)} h"
    for factor, unit in ((1.0, "s"), (1e-3, "ms"), (1e-6, "µs")):
        if value >= 0.9995 * factor:
            return f"{_three_digits(value / factor)} {unit}"
    return f"{_three_digits(value / 1e-9)} ns"


def _three_digits(value: float) -> str:
    digits = 2 if value < 9.995 else 1 if value < 99.95 else 0
    return f"{value:,.{digits}f}"


def plain_seconds(value: float) -> str:
    """Write a time on an axis: 10 µs; decades of seconds have no round hours."""
    if value >= 1:
        return f"{value:,g} s"
    return seconds(value).replace(".00", "").replace(".0", "")


def numerous(value: float) -> str:
    """Write a number on a logarithmic axis: 100, 10 k, 1 M."""
    for factor, unit in ((1e9, " G"), (1e6, " M"), (1e3, " k")):
        if value >= factor:
            return f"{value / factor:g}{unit}"
    return f"{value:g}"


def times(ratio: "Interval") -> str:
    """Write a ratio with its interval, if it has one: 4.71 × (4.65–4.77)."""
    value, low, high = ratio["value"], ratio["low"], ratio["high"]
    text = f"{three_digits(value)} ×"
    if low is None or high is None:
        return text
    return f"{text} ({three_digits(low)}–{three_digits(high)})"


def three_digits(value: float) -> str:
    """Write a number with three significant digits and no exponent: 12,300."""
    return f"{float(f'{value:.3g}'):,.15g}"


def at_ends(
    axes: "Axes", ends: "dict[str, tuple[float, float]]", colors: "list[str]", least: float = 11.0
) -> None:
    """Write a label at the right end of each line, at least so many points apart."""
    if not ends:
        return
    axes.figure.canvas.draw()  # only then the axes know where a value lies
    scale = 72 / axes.figure.dpi
    heights = {name: axes.transData.transform(end)[1] * scale for name, end in ends.items()}
    previous = -float("inf")
    for name in sorted(ends, key=lambda name: heights[name]):
        place = max(heights[name], previous + least)
        previous = place
        axes.annotate(
            name, ends[name], xytext=(7, place - heights[name]), textcoords="offset points",
            va="center", fontsize=9, annotation_clip=False,
            color=colors[list(ends).index(name)],
        )  # fmt: skip


def numbers_against_seconds(axes: "Axes") -> None:
    """Make both axes logarithmic: whole numbers below, seconds on the left."""
    from plots.canvas import FuncFormatter, LogLocator, NullFormatter

    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: numerous(value)))
    axes.yaxis.set_major_locator(LogLocator(numticks=12))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: plain_seconds(value)))
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_minor_formatter(NullFormatter())


def draw_limit(axes: "Axes", cases: Sequence[dict[str, Any]], along: str) -> None:
    """Draw the least time of a pass over the samples, dashed, against `along` of the cases."""
    from plots.canvas import withStroke

    limits = [
        (case[along], min(row["limit"]["seconds"] for row in rows))
        for case in cases
        if (rows := [row for row in case["arms"] if row.get("limit") and not row["passes_once"]])
    ]
    if limits:
        axes.plot(*zip(*limits, strict=True), color=MUTED, lw=1.2, ls="--", zorder=1)
        n, seconds = (geometric_mean(values) for values in zip(*limits[:2], strict=True))
        axes.annotate(
            "limit of a pass", (n, seconds), xytext=(5, -10), textcoords="offset points",
            fontsize=8, color=MUTED,
            path_effects=[withStroke(linewidth=2.5, foreground="white")],
        )  # fmt: skip


def thousands() -> "FuncFormatter":
    """Return an axis formatter that writes 10,000."""
    from plots.canvas import FuncFormatter

    return FuncFormatter(lambda value, _: f"{value:,.0f}" if value >= 1 else f"{value:g}")


def save(figure: "Figure", target: Path) -> None:
    """Write the figure as a PNG, 150 dots per inch."""
    from plots.canvas import own_settings

    with own_settings():
        figure.savefig(target, format="png", dpi=150, facecolor="white")
