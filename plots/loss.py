"""How fast does the loss fall? Loss against epoch, both logarithmic, one curve per history."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow.parquet
from matplotlib.figure import Figure

from plots.style import CURVES, INK, LARGEST_DRAWN, new_figure, save, thousands, tidy

_HEADROOM = 1e3  # where some runs converge, one that diverges is drawn up to this × the first loss


def draw(sources: Sequence[Path], target: Path) -> None:
    """Draw one or more `history.parquet` (columns epoch and loss) as a PNG."""
    save(figure(sources), target)


def figure(sources: Sequence[Path]) -> Figure:
    """Return the figure; epoch 0 stands at the left edge of a logarithmic axis of epoch + 1.

    A run that diverges is drawn up to a loss of 1e250; a cross ends one that overflows.
    """
    drawn = new_figure(6.4, 4.2)
    axes = drawn.add_subplot()
    lowest, highest = np.inf, 0.0
    for number, source in enumerate(sources):
        table = pyarrow.parquet.read_table(source, columns=["epoch", "loss"])
        about = {k.decode(): v.decode() for k, v in (table.schema.metadata or {}).items()}
        epoch, loss = table.column("epoch").to_numpy(), table.column("loss").to_numpy()
        if np.isfinite(loss[-1]) and loss[-1] <= loss[0]:
            lowest, highest = min(lowest, loss.min() / 3), max(highest, _HEADROOM * loss[0])
        drawable = (loss > 0) & (loss < LARGEST_DRAWN)  # neither inf nor nan
        x, y, hue = epoch[drawable] + 1, loss[drawable], CURVES[number % len(CURVES)]
        name = about.get("label", source.stem)
        if not len(x):
            axes.plot([1], [1], alpha=0, label=f"{name}: nothing to draw")
            continue
        if not np.isfinite(loss).all():
            name += f", inf at epoch {epoch[~np.isfinite(loss)][0]:,}"
            axes.plot(x[-1:], y[-1:], "x", color=hue, ms=9, mew=2)
        axes.plot(x, y, "o-" if len(x) == 1 else "-", color=hue, lw=2, label=name)
        best = float(about.get("least_squares_loss", "0"))
        if number == 0 and 0 < best < LARGEST_DRAWN:
            axes.axhline(best, ls="--", lw=1, color=INK, label=f"least squares, {best:.4g}")
    axes.set_xscale("log")
    axes.set_yscale("log")
    if 0 < highest < axes.get_ylim()[1]:
        axes.set_ylim(lowest or None, highest)
    axes.xaxis.set_major_formatter(thousands())
    axes.set_xlabel("epoch + 1")
    axes.set_ylabel("loss  (1/n) Σ r²")
    axes.legend(frameon=False, fontsize=9)
    tidy(axes)
    return drawn
