"""Which path does descent take? Its path over the contours of the loss, one panel per rate."""

import json
from typing import Any

import numpy as np
import pyarrow as pa

from gradrace.plots.canvas import Axes, Figure, MaxNLocator, own_settings
from gradrace.plots.numbers import label
from gradrace.plots.sources import table_origin, values
from gradrace.plots.style import (
    CURVES,
    GRID,
    INK,
    MUTED,
    below,
    legend,
    new_figure,
    tidy,
    title,
)
from gradrace.plots.svg import tell

_GRID = 201
_CONTOURS = 12
_MARGIN = 1.35  # the optimum is the middle; the start lies at 1 / 1.35 of the way to the edge


@own_settings()
def figure(table: pa.Table) -> Figure:
    """Return the figure of paths in a plane; all panels show the same section of it.

    Columns lr, epoch, x, y. The metadata `plane` is JSON: labels of the axes, optimum, least_loss,
    hessian and slow (the flattest direction) in that plane, and the regime of each rate.
    """
    plane = json.loads(table.schema.metadata[b"plane"])
    rates = list(dict.fromkeys(table.column("lr").to_pylist()))
    columns = len(rates) if len(rates) <= 3 else 2 if len(rates) == 4 else 3
    rows = -(-len(rates) // columns)
    drawn = new_figure(max(3.2 * columns + 0.4, 6.4), 3.3 * rows + 0.6, table_origin(table))
    panels = drawn.subplots(rows, columns, sharex=True, sharey=True, squeeze=False)
    reach = reach_of(table, plane)
    for axes, lr in zip(panels.flat, rates, strict=False):
        mask = values(table, "lr") == lr
        path = np.column_stack([values(table, c)[mask] for c in ("x", "y")])
        epoch = values(table, "epoch")[mask]
        draw_contours(axes, plane, reach)
        _draw_path(axes, plane, reach, path, epoch)
        title(axes, f"α = {lr!r}: {plane['rates'][repr(lr)]}")
    for axes in panels.flat[len(rates) :]:
        axes.remove()
    legend(drawn, panels[0, 0])
    below(drawn, label(plane["labels"][0]))
    drawn.supylabel(label(plane["labels"][1]), fontsize=10, color=INK)
    return drawn


def reach_of(table: pa.Table, plane: dict[str, Any]) -> np.ndarray:
    """Return how far the section reaches from the optimum: beyond the start, along each axis."""
    start = np.array([table.column(c)[0].as_py() for c in ("x", "y")])
    reach = np.abs(start - plane["optimum"]) * _MARGIN
    if not reach.any():
        return np.ones(2)
    longest = float(reach.max())
    if reach.min() > longest / 3:  # nearly equal: to one scale, in which angles are right
        return np.full(2, longest)
    return np.where(reach > 0, reach, longest / 5)


def draw_contours(axes: Axes, plane: dict[str, Any], reach: np.ndarray) -> None:
    """Draw contours of L − Lmin = ½ (θ − θ*)ᵀH(θ − θ*), equally spaced in its logarithm."""
    optimum, scale = np.array(plane["optimum"]), reach / reach.max()
    H = np.array(plane["hessian"])
    H = H / np.abs(H).max() * np.outer(scale, scale)  # only the shape counts; squares may overflow
    u, v = np.meshgrid(np.linspace(-1, 1, _GRID), np.linspace(-1, 1, _GRID))
    excess = H[0, 0] * u**2 + 2 * H[0, 1] * u * v + H[1, 1] * v**2
    levels = excess.max() * np.geomspace(1e-4, 0.7, _CONTOURS)
    x, y = optimum[0] + u * reach[0], optimum[1] + v * reach[1]
    axes.contour(x, y, excess, levels, colors=MUTED, linewidths=0.5)
    slow = np.array(plane["slow"])
    ends = optimum + np.outer([-1, 1], slow * 2 * (reach / np.maximum(np.abs(slow), 1e-9)).min())
    axes.plot(*ends.T, "--", color=INK, lw=1.2, label="slowest direction")
    axes.plot(*optimum, "*", ms=12, color=INK, mec="white", lw=0, zorder=6, label="least squares")
    axes.set_xlim(optimum[0] - reach[0], optimum[0] + reach[0])
    axes.set_ylim(optimum[1] - reach[1], optimum[1] + reach[1])
    axes.xaxis.set_major_locator(MaxNLocator(5))
    axes.yaxis.set_major_locator(MaxNLocator(5))
    tidy(axes)
    axes.grid(visible=False)


def _draw_path(
    axes: Axes, plane: dict[str, Any], reach: np.ndarray, path: np.ndarray, epoch: np.ndarray
) -> None:
    """Draw the path until it leaves the section for good, and note how it ends."""
    with np.errstate(invalid="ignore"):
        outside = ~(np.abs(path - plane["optimum"]) <= reach).all(axis=1)
    last = len(path) - int(np.argmin(outside[::-1])) + 2 if outside[-1] else len(path)
    shown = path[:last]
    blue, orange = CURVES[0], CURVES[2]
    dots = 5 if len(shown) < 50 else 3
    (line,) = axes.plot(
        *shown.T, ".-", color=blue, lw=0.8, ms=dots, label="path, one dot per epoch"
    )
    texts = [f"epoch {k:,}: {x:.5g}, {y:.5g}" for k, (x, y) in zip(epoch, shown, strict=False)]
    tell(line, texts)
    axes.plot(*path[0], "o", ms=8, color=orange, mec="white", lw=0, zorder=5, label="start")
    if not outside[-1]:
        look: dict[str, Any] = {"mfc": "none", "mec": blue, "mew": 1.5}  # hides nothing
        axes.plot(*path[-1], "o", ms=13, lw=0, zorder=7, label="end", **look)
    text = f"{epoch[-1]:,} epochs"
    if outside[-1]:
        text = f"leaves for good at epoch {epoch[last - 2]:,}"
    frame = {"facecolor": "white", "edgecolor": GRID, "pad": 2}
    corner = axes.transAxes
    axes.text(0.97, 0.03, text, transform=corner, ha="right", fontsize=9, color=INK, bbox=frame)
