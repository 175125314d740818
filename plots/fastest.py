"""Which backend is the fastest at which size? A map over samples and features."""

from pathlib import Path
from typing import TYPE_CHECKING

from gradrace.plots.canvas import Axes, Figure, Rectangle, own_settings
from gradrace.plots.numbers import three_digits
from gradrace.plots.sources import race_origin, read_race
from gradrace.plots.style import INK, MUTED, colors, labels, new_figure, save, text_width, title
from gradrace.plots.svg import tell

if TYPE_CHECKING:
    from gradrace.bench.race.schema import About, Fastest

_LEAST_WIDTH = 4.6  # inches, for the title


def drawable(about: "About") -> bool:
    """Whether the part "gradrace" of a result file has anything to draw."""
    return sum(case["fastest"] is not None for case in about["cases"]) > 1


def draw(source: Path, target: Path) -> None:
    """Draw a result file of `gradrace run` as a PNG."""
    save(figure(source), target)


@own_settings()
def figure(source: Path) -> Figure:
    """Return the figure: a cell per case, the fastest backend, and its lead over the second."""
    race = read_race(source)
    cases, hues = race["gradrace"]["cases"], colors(race["gradrace"])
    names = labels(race["gradrace"])
    sizes = sorted({case["n"] for case in cases})
    levels = sorted({case["d"] for case in cases})
    leads = {
        (sizes.index(case["n"]), levels.index(case["d"])): case["fastest"]
        for case in cases
        if case["fastest"] is not None
    }
    lines = [line for fastest in leads.values() for line in _words(fastest, names).split("\n")]
    width = max(1.45, text_width(lines) + 0.2) * len(sizes) + 1.0
    height = 0.85 * len(levels) + 1.2
    drawn = new_figure(max(_LEAST_WIDTH, width), height, race_origin(race))
    axes = drawn.subplots()
    for place, fastest in leads.items():
        _draw_cell(axes, place, _words(fastest, names), fastest, hues[fastest["backend"]])
    axes.set_xlim(-0.55, len(sizes) - 0.45)
    axes.set_ylim(-0.55, len(levels) - 0.45)
    axes.set_xticks(range(len(sizes)), [f"{n:,}" for n in sizes])
    axes.set_yticks(range(len(levels)), [f"{d:,}" for d in levels])
    title(axes, "the fastest backend, and its speed relative to the second")
    axes.set_xlabel("samples n")
    axes.set_ylabel("features d")
    axes.spines[:].set_visible(False)
    axes.tick_params(length=0, colors=MUTED, labelsize=9)
    return drawn


def _draw_cell(
    axes: Axes, place: tuple[int, int], words: str, fastest: "Fastest", hue: str
) -> None:
    x, y = place
    alpha = 0.45 if fastest["verdict"] == "faster" else 0.15
    corner = (x - 0.48, y - 0.46)
    cell = axes.add_patch(Rectangle(corner, 0.96, 0.92, lw=0, facecolor=hue, alpha=alpha))
    tell(cell, [_interval(words, fastest)])
    axes.text(x, y, words, ha="center", va="center", fontsize=9, color=INK)


def _interval(words: str, fastest: "Fastest") -> str:
    text, ratio = words.replace("\n", ", "), fastest["speed_up"]
    if ratio is None or ratio["low"] is None or ratio["high"] is None:
        return text
    return f"{text}; 95 % interval {three_digits(ratio['low'])} to {three_digits(ratio['high'])}"


def _words(fastest: "Fastest", names: dict[str, str]) -> str:
    first, second = names[fastest["backend"]], names[fastest["second"]]
    if fastest["verdict"] not in ("faster", "not judged"):
        return f"{first}\n≈ {second}"
    unsure = "" if fastest["verdict"] == "faster" else " (not judged)"
    ratio = fastest["speed_up"]
    lead = f"{three_digits(ratio['value'])} × {second}" if ratio else f"before {second}"
    return f"{first}{unsure}\n{lead}"
