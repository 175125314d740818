"""Which backend is the fastest at which size? A map over samples and features."""

import json
from pathlib import Path
from typing import Any

from plots.canvas import Figure, Rectangle, own_settings
from plots.style import INK, MUTED, backend_label, color, foreign, new_figure, save


def drawable(about: dict[str, Any]) -> bool:
    """Whether the part "gradrace" of a result file has anything to draw."""
    return sum(case["fastest"] is not None for case in about["cases"]) > 1


def draw(source: Path, target: Path) -> None:
    """Draw a result file of `gradrace run` as a PNG."""
    save(figure(source), target)


@own_settings()
def figure(source: Path) -> Figure:
    """Return the figure: a cell per case, the fastest backend, and its lead over the second."""
    cases = json.loads(source.read_text(encoding="utf-8"))["gradrace"]["cases"]
    names = list(dict.fromkeys(row["backend"] for case in cases for row in case["arms"]))
    sizes = sorted({case["n"] for case in cases})
    levels = sorted({case["d"] for case in cases})
    drawn = new_figure(1.5 + 1.45 * len(sizes), 1.1 + 0.85 * len(levels))
    axes = drawn.subplots()
    for case in cases:
        if case["fastest"] is not None:
            x, y = sizes.index(case["n"]), levels.index(case["d"])
            hue = color(case["fastest"]["backend"], foreign(names))
            shown = case["fastest"]["verdict"] == "faster"
            axes.add_patch(
                Rectangle(
                    (x - 0.48, y - 0.46), 0.96, 0.92, lw=0, facecolor=hue,
                    alpha=0.45 if shown else 0.15,
                )
            )  # fmt: skip
            axes.text(
                x, y, _words(case["fastest"], shown), ha="center", va="center", fontsize=9,
                color=INK,
            )  # fmt: skip
    axes.set_xlim(-0.55, len(sizes) - 0.45)
    axes.set_ylim(-0.55, len(levels) - 0.45)
    axes.set_xticks(range(len(sizes)), [f"{n:,}" for n in sizes])
    axes.set_yticks(range(len(levels)), [f"{d:,}" for d in levels])
    axes.set_title("the fastest backend, and its lead over the second", fontsize=10, color=INK)
    axes.set_xlabel("samples n")
    axes.set_ylabel("features d")
    axes.spines[:].set_visible(False)
    axes.tick_params(length=0, colors=MUTED, labelsize=9)
    return drawn


def _words(fastest: dict[str, Any], shown: bool) -> str:
    first, second = backend_label(fastest["backend"]), backend_label(fastest["second"])
    if fastest["verdict"] == "not judged":
        return f"{first}?\n{fastest['speed_up']['value']:,.3g} × {second}"
    if not shown:
        return f"{first} ≈ {second}"
    return f"{first}\n{fastest['speed_up']['value']:,.3g} × {second}"
