"""What does the model miss? The residual of every sample against its prediction."""

import numpy as np
import pyarrow as pa

from gradrace.plots.canvas import Figure, own_settings
from gradrace.plots.fit import MOST_POINTS
from gradrace.plots.numbers import label, three_digits
from gradrace.plots.sources import metadata, table_origin, values
from gradrace.plots.style import CURVES, INK, MUTED, legend, new_figure, tidy
from gradrace.plots.svg import MOST_TOLD, tell


@own_settings()
def figure(table: pa.Table) -> Figure:
    """Return the figure of columns actual and predicted.

    The band holds residuals up to their root mean square. A bend or a funnel shows that a straight
    line, or one size of noise, is not the whole story.
    """
    names = metadata(table)
    step = -(-table.num_rows // MOST_POINTS)
    actual, predicted = (values(table, name) for name in ("actual", "predicted"))
    residuals = actual - predicted
    typical = float(np.sqrt(np.mean(residuals**2)))
    drawn = new_figure(6.4, 4.2, table_origin(table))
    axes = drawn.add_subplot()
    axes.axhspan(
        -typical,
        typical,
        color=MUTED,
        alpha=0.15,
        lw=0,
        label=f"root mean square, {three_digits(typical)}",
    )
    axes.axhline(0.0, color=INK, lw=1)
    shown = predicted[::step], residuals[::step]
    samples = axes.scatter(*shown, s=12, color=CURVES[0], lw=0, label="samples")
    if len(shown[0]) <= MOST_TOLD:
        pairs = zip(*shown, strict=True)
        tell(samples, [f"predicted {value:.5g}, residual {left:+.3g}" for value, left in pairs])
    axes.set_xlabel(f"predicted {label(names['target'], 40)}{names.get('shown', '')}")
    axes.set_ylabel("actual − predicted")
    legend(drawn, axes)
    tidy(axes)
    return drawn
