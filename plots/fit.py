"""Does the model fit the data? Points and lines for one feature, else predicted against actual."""

import numpy as np
import pyarrow as pa

from gradrace.plots.canvas import Axes, Figure, own_settings
from gradrace.plots.numbers import label
from gradrace.plots.sources import metadata, table_origin, values
from gradrace.plots.style import CURVES, INK, MUTED, legend, new_figure, tidy
from gradrace.plots.svg import MOST_TOLD, tell

MOST_POINTS = 5_000


@own_settings()
def figure(table: pa.Table) -> Figure:
    """Return the figure of columns actual, predicted, least_squares, and x if d = 1.

    Of more than 5,000 samples, only every k-th is drawn.
    """
    names = metadata(table)
    step = -(-table.num_rows // MOST_POINTS)
    columns = {name: values(table, name)[::step] for name in table.column_names}
    drawn = new_figure(6.4, 4.2, table_origin(table))
    axes = drawn.add_subplot()
    if "x" in columns:
        _draw_line(axes, columns)
        axes.set_xlabel(label(names["feature"]) + names.get("shown", ""))
        axes.set_ylabel(label(names["target"], 40))
    else:
        _draw_predictions(axes, columns)
        axes.set_xlabel(f"actual {label(names['target'], 40)}{names.get('shown', '')}")
        axes.set_ylabel(f"predicted {label(names['target'], 30)}")
    legend(drawn, axes)
    tidy(axes)
    return drawn


def _values(columns: dict[str, np.ndarray], i: int) -> str:
    actual, predicted = columns["actual"][i], columns["predicted"][i]
    return f"actual {actual:.5g}, predicted {predicted:.5g}"


def _draw_line(axes: Axes, columns: dict[str, np.ndarray]) -> None:
    x = columns["x"]
    ends = [int(np.argmin(x)), int(np.argmax(x))]
    samples = axes.scatter(
        x, columns["actual"], s=14, color=MUTED, alpha=0.6, lw=0, label="samples"
    )
    if len(x) <= MOST_TOLD:
        tell(samples, [_values(columns, i) for i in range(len(x))])
    axes.plot(x[ends], columns["predicted"][ends], color=CURVES[0], lw=2, label="learned")
    axes.plot(x[ends], columns["least_squares"][ends], "--", color=INK, lw=1, label="least squares")


def _draw_predictions(axes: Axes, columns: dict[str, np.ndarray]) -> None:
    actual, best = columns["actual"], columns["least_squares"]
    hollow = axes.scatter(actual, best, s=16, lw=0.6, label="least squares")
    hollow.set(facecolor="none", edgecolor=MUTED)
    learned = axes.scatter(
        actual, columns["predicted"], s=9, color=CURVES[0], lw=0, label="learned"
    )
    if len(actual) <= MOST_TOLD:
        tell(learned, [_values(columns, i) for i in range(len(actual))])
    ends = [actual.min(), actual.max()]
    axes.plot(ends, ends, color=INK, lw=1, label="predicted = actual")
