"""Do the backends compute the same thing? Their |error| per epoch, under the rounding bound."""

import json

import numpy as np
import pyarrow as pa

from gradrace.plots import style
from gradrace.plots.canvas import Axes, Figure, own_settings
from gradrace.plots.numbers import backend_label
from gradrace.plots.sources import metadata, table_origin
from gradrace.plots.svg import tell_along

QUANTITIES = ("w", "b", "loss")
_BINS = 60


@own_settings()
def figure(errors: pa.Table) -> Figure:
    """Return the figure, one panel per quantity; each point is the largest error of its epochs.

    Columns: backend, epoch, and for q in w, b, loss the |error| `q_error` and the bound `q_bound`.
    The metadata have the colors of the backends and what they compute in.
    """
    columns = {name: errors.column(name).to_numpy() for name in errors.column_names}
    colors = json.loads(metadata(errors)["colors"])
    precisions = json.loads(metadata(errors).get("precisions", "{}"))
    backends = {name: colors[name] for name in dict.fromkeys(columns["backend"].tolist())}
    drawn = style.new_figure(9.6, 3.9, table_origin(errors))
    panels = drawn.subplots(1, len(QUANTITIES))
    for axes, quantity in zip(panels, QUANTITIES, strict=True):
        _draw_panel(axes, columns, backends, precisions, quantity)
    panels[0].set_ylabel("error, |value − exact value|")
    style.legend(drawn, panels[0])
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
        drawable = columns[f"{quantity}_bound"] < style.LARGEST_DRAWN
        rows = (columns["backend"] == backend) & drawable
        epoch = columns["epoch"][rows]
        if precision not in bounds:
            bounds[precision] = _largest(epoch, columns[f"{quantity}_bound"][rows])
            which = f" of {precision}" if len(set(precisions.values())) > 1 else ""
            stroke = "-" if precision == "float64" else ":"
            axes.plot(
                *bounds[precision], stroke, color=style.INK, lw=1.5, label=f"rounding bound{which}"
            )
        x, error = _largest(epoch, columns[f"{quantity}_error"][rows])
        name = backend_label(backend, precision)
        texts = [f"{name}, epoch {k:,.0f}: error {e:.2g}" for k, e in zip(x, error, strict=True)]
        tell_along(axes, x, error, texts)
        stroke = "--" if 0 < place == len(backends) - 1 else "-"
        # the first curve is the widest, so that equal curves stay visible
        wide, opaque = (4.5, 0.55) if place == 0 else (1.8, 1.0)
        shown = f" {name}" if name.startswith("_") else name  # "_": not in a legend
        axes.plot(x, error, stroke, color=color, lw=wide, alpha=opaque, label=shown)
    axes.margins(x=0.02)
    style.log_axes(axes, None, None)
    _shade(axes, *max(bounds.values(), key=lambda bound: bound[1].max(initial=0.0)))
    style.title(axes, quantity)
    axes.set_xlabel("epoch")
    style.tidy(axes)


def _shade(axes: Axes, x: np.ndarray, bound: np.ndarray) -> None:
    """Shade what lies above the bound, up to the top of the plot."""
    if not len(bound):
        return
    low, high = axes.get_ylim()
    top = max(high, bound.max() * 100)
    axes.fill_between(x, bound, top, color=style.MUTED, alpha=0.15, lw=0)
    axes.set_ylim(low, top)
    middle = axes.get_yaxis_transform()
    y = bound.max() * 5
    text = "no correct backend gets here"
    axes.text(0.5, y, text, transform=middle, ha="center", fontsize=8.5, color=style.MUTED)


def _largest(epoch: np.ndarray, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the largest value of each bin of epochs, logarithmically spaced from 1 on."""
    edges = np.unique(np.geomspace(1, max(epoch.max(initial=1), 1) + 1, _BINS + 1).astype(int))
    place = np.digitize(epoch, edges)
    bins = [i for i in np.unique(place[epoch >= 1]) if (values[place == i] > 0).any()]
    x = np.array([np.exp(np.log(epoch[place == i]).mean()) for i in bins])
    return x, np.array([values[place == i].max() for i in bins])
