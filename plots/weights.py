"""How far has each weight come? Learned w and b as a share of the least squares."""

import json
from pathlib import Path

import numpy as np

from gradrace.plots.canvas import Figure, own_settings
from gradrace.plots.numbers import label, percent
from gradrace.plots.style import CURVES, INK, MUTED, new_figure, save, tidy
from gradrace.plots.svg import tell

MOST = 20
_WIDEST = 3.0  # shares that are drawn; what lies beyond is drawn at the edge


def draw(source: Path, target: Path) -> None:
    """Draw `model.json` (features, w, b and least_squares) as a PNG."""
    save(figure(source), target)


@own_settings()
def figure(source: Path) -> Figure:
    """Return the figure: a line from 0 to each weight's share, which is 1 when it has arrived.

    The weights with the most left to go come first; at most 20 are drawn.
    """
    model = json.loads(source.read_text(encoding="utf-8"))
    best = model["least_squares"]
    names = [*(f"w[{label(name, 25)}]" for name in model["features"]), "b"]
    learned, goal = np.array([*model["w"], model["b"]]), np.array([*best["w"], best["b"]])
    with np.errstate(divide="ignore", invalid="ignore"):
        shares = np.where(goal == 0, np.where(learned == 0, 1.0, np.inf), learned / goal)
    order = np.argsort(-np.abs(shares - 1), kind="stable")[:MOST]
    drawn = new_figure(6.4, 0.9 + 0.28 * len(order))
    axes = drawn.add_subplot()
    axes.axvline(1.0, color=INK, lw=1)
    for y, j in enumerate(order):
        share = float(np.clip(np.nan_to_num(shares[j]), -_WIDEST, _WIDEST))
        axes.plot([0, share], [y, y], color=CURVES[0], lw=2)
        (point,) = axes.plot([share], [y], "o", color=CURVES[0], ms=5)
        tell(point, [f"{names[j]}: {percent(float(shares[j]))} of the least-squares value"])
        axes.text(
            1.02,
            y,
            f"{learned[j]:.4g} of {goal[j]:.4g}",
            transform=axes.get_yaxis_transform(),
            va="center",
            fontsize=8.5,
            color=MUTED,
        )
    axes.set_yticks(range(len(order)), [names[j] for j in order])
    axes.set_ylim(len(order) - 0.5, -0.5)
    left = f"; {len(names) - MOST} more have arrived further" * (len(names) > MOST)
    axes.set_xlabel(f"learned, as a share of the least squares{left}")
    tidy(axes)
    return drawn
