"""How fast does the loss fall? Loss against epoch, both logarithmic, one curve per history."""

from collections.abc import Iterator, Sequence

import numpy as np
import pyarrow as pa

from gradrace.plots.canvas import Axes, Figure, own_settings
from gradrace.plots.numbers import three_digits
from gradrace.plots.sources import metadata, table_origin, values
from gradrace.plots.style import (
    CURVES,
    INK,
    LARGEST_DRAWN,
    SMALLEST_DRAWN,
    legend,
    log_axes,
    new_figure,
    tidy,
)
from gradrace.plots.svg import tell_along

_HEADROOM = 1e3  # beside runs that converge, a diverging one is drawn up to this × the first loss
_TOLD = 60  # points of a curve whose values are shown when hovering
_PLAIN = (1e-5, 1e7)
"""If the limits of the loss axis lie between these, neither axis has powers of ten."""


@own_settings()
def figure(tables: Sequence[pa.Table]) -> Figure:
    """Return the figure of histories: columns epoch and loss; also lr if one has several runs.

    Epoch 0 stands at the left edge of a logarithmic axis of epoch + 1. A run that diverges is drawn
    up to a loss of 1e200, with a cross at the end if it overflows. Beside runs that converge, it is
    cut at 1,000 times the first loss.
    """
    drawn = new_figure(6.4, 4.2, table_origin(tables[0]))
    axes = drawn.add_subplot()
    lowest, highest, best = np.inf, 0.0, 0.0
    for number, (name, epoch, loss, least) in enumerate(_runs(tables)):
        if np.isfinite(loss[-1]) and loss[-1] <= loss[0]:
            lowest, highest = min(lowest, loss.min() / 3), max(highest, _HEADROOM * loss[0])
        hue, style = CURVES[number % len(CURVES)], "-" if number < len(CURVES) else ":"
        _draw_run(axes, name, epoch, loss, hue, style)
        best = best or least
    if 0 < best < LARGEST_DRAWN:
        axes.axhline(best, ls="--", lw=1, color=INK, label=f"least squares, {best:.4g}")
    axes.set_xscale("log")
    axes.set_yscale("log")
    if lowest > SMALLEST_DRAWN and 0 < highest < axes.get_ylim()[1]:
        axes.set_ylim(lowest, highest)
    low, high = axes.get_ylim()
    write = three_digits if low > _PLAIN[0] and high < _PLAIN[1] else None
    log_axes(axes, write, write)
    axes.set_xlabel("epoch + 1")
    axes.set_ylabel("loss, (1/n) Σ r²")
    tidy(axes)
    legend(drawn, axes)
    return drawn


def _runs(tables: Sequence[pa.Table]) -> Iterator[tuple[str, np.ndarray, np.ndarray, float]]:
    """Yield label, epochs, losses and the least-squares loss of every run."""
    for table in tables:
        about = metadata(table)
        epoch, loss = values(table, "epoch"), values(table, "loss")
        least = float(about.get("least_squares_loss", "0"))
        if "lr" not in table.column_names:
            yield about.get("label", "loss"), epoch, loss, least
            continue
        rates = values(table, "lr")
        for lr in dict.fromkeys(rates.tolist()):
            yield f"α = {lr!r}", epoch[rates == lr], loss[rates == lr], least


def _draw_run(
    axes: Axes, name: str, epoch: np.ndarray, loss: np.ndarray, hue: str, style: str
) -> None:
    drawable = (loss > SMALLEST_DRAWN) & (loss < LARGEST_DRAWN)  # neither 0, inf nor nan
    x, y = epoch[drawable] + 1, loss[drawable]
    if not len(x):
        axes.plot([1], [1], alpha=0, label=f"{name}: nothing to draw")
        return
    if not np.isfinite(loss).all():
        name += f", overflows at epoch {epoch[~np.isfinite(loss)][0]:,}"
        axes.plot(x[-1:], y[-1:], "x", color=hue, ms=9, mew=2)
    axes.plot(x, y, "o-" if len(x) == 1 else style, color=hue, lw=2, label=name)
    places = np.unique(np.geomspace(1, len(x), _TOLD).astype(int)) - 1
    texts = [
        f"{name}, epoch {k - 1:,.0f}: loss {loss:.5g}"
        for k, loss in zip(x[places], y[places], strict=True)
    ]
    tell_along(axes, x[places], y[places], texts)
