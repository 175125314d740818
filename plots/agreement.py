"""Do the backends compute the same thing? Their |error| per epoch, under the rounding bound."""

import json
from pathlib import Path

import numpy as np
import pyarrow.parquet

from gradrace.plots.canvas import Axes, Figure, own_settings
from gradrace.plots.numbers import backend_label
from gradrace.plots.sources import metadata, table_origin
from gradrace.plots.style import (
    INK,
    LARGEST_DRAWN,
    MUTED,
    legend,
    log_axes,
    new_figure,
    save,
    tidy,
    title,
)
from gradrace.plots.svg import tell_along

QUANTITIES = ("w", "b", "loss")
_BINS = 60


def draw(source: Path, target: Path) -> None:
    """Draw `agreement.parquet` as a PNG.

    Columns: backend, epoch, and for q in w, b, loss the |error| `q_error` and the bound `q_bound`.
    The metadata have the colors of the backends and what they compute in.
    """
    save(figure(source), target)


@own_settings()
def figure(source: Path) -> Figure:
    """Return the figure, one panel per quantity; each point is the largest error of its epochs."""
    table = pyarrow.parquet.ParquetFile(source).read()
    columns = {name: table.column(name).to_numpy() for name in table.column_names}
    colors = json.loads(metadata(table)["colors"])
    precisions = json.loads(metadata(table).get("precisions", "{}"))
    backends = {name: colors[name] for name in dict.fromkeys(columns["backend"].tolist())}
    drawn = new_figure(9.6, 3.9, table_origin(table))
    panels = drawn.subplots(1, len(QUANTITIES))
    for axes, quantity in zip(panels, QUANTITIES, strict=True):
        _draw_panel(axes, columns, backends, precisions, quantity)
    panels[0].set_ylabel("error, |value − exact value|")
    legend(drawn, panels[0])
    return drawn


def _draw_panel(
    axes: Axes,
    columns: dict[str, np.ndarray],
    backends: dict[str, str],
    precisions: dict[str, str],
    quantity: str,
) -> None:
    """Draw the errors of one quantity; `backends` have their colors."""
    bounds: dict[str, tuple[np.ndarray, np.ndarray]] = {}
    for place, (backend, color) in enumerate(backends.items()):
        precision = precisions.get(backend, "float64")
        rows = (columns["backend"] == backend) & (columns[f"{quantity}_bound"] < LARGEST_DRAWN)
        epoch = columns["epoch"][rows]
        if precision not in bounds:
            bounds[precision] = _largest(epoch, columns[f"{quantity}_bound"][rows])
            several = f" of {precision}" * (len(set(precisions.values())) > 1)
            style = "-" if precision == "float64" else ":"
            axes.plot(
                *bounds[precision], style, color=INK, lw=1.5, label=f"rounding bound{several}"
            )
        x, error = _largest(epoch, columns[f"{quantity}_error"][rows])
        name = backend_label(backend, precision)
        texts = [f"{name}, epoch {k:,.0f}: error {e:.2g}" for k, e in zip(x, error, strict=True)]
        tell_along(axes, x, error, texts)
        axes.plot(
            x,
            error,
            color=color,
            lw=4.5
            if place == 0
            else 1.8,  # the first curve is the widest, so that equal curves stay visible
            alpha=0.55 if place == 0 else 1.0,
            ls="--" if place == len(backends) - 1 and place else "-",
            label=name.lstrip("_"),  # "_": not in a legend
        )
    axes.margins(x=0.02)
    log_axes(axes, None, None)
    _shade(axes, *max(bounds.values(), key=lambda bound: bound[1].max(initial=0.0)))
    title(axes, quantity)
    axes.set_xlabel("epoch")
    tidy(axes)


def _shade(axes: Axes, x: np.ndarray, bound: np.ndarray) -> None:
    """Shade what lies above the bound, up to the top of the plot."""
    if not len(bound):
        return
    low, high = axes.get_ylim()
    top = max(high, bound.max() * 100)
    axes.fill_between(x, bound, top, color=MUTED, alpha=0.15, lw=0)
    axes.set_ylim(low, top)
    middle = axes.get_yaxis_transform()
    y = bound.max() * 5
    text = "no correct backend gets here"
    axes.text(0.5, y, text, transform=middle, ha="center", fontsize=8.5, color=MUTED)


def _largest(epoch: np.ndarray, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the largest value of each bin of epochs, logarithmically spaced from 1 on."""
    edges = np.unique(np.geomspace(1, max(epoch.max(initial=1), 1) + 1, _BINS + 1).astype(int))
    place = np.digitize(epoch, edges)
    bins = [i for i in np.unique(place[epoch >= 1]) if (values[place == i] > 0).any()]
    x = np.array([np.exp(np.log(epoch[place == i]).mean()) for i in bins])
    return x, np.array([values[place == i].max() for i in bins])
