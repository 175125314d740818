"""What the pictures need of matplotlib, and its default settings, whatever the user's are."""

import contextlib
import io
import warnings
from collections.abc import Iterator

try:
    import matplotlib
except ValueError as error:  # MPLBACKEND names no backend, or a matplotlibrc is not a text
    raise OSError(f"matplotlib cannot be imported: {error}") from None

from matplotlib.axes import Axes
from matplotlib.figure import Figure as _Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.lines import Line2D
from matplotlib.ticker import (
    FuncFormatter,
    LogFormatterMathtext,
    LogLocator,
    MaxNLocator,
    NullFormatter,
)

__all__ = [
    "Axes",
    "ConstrainedLayoutEngine",
    "Figure",
    "FuncFormatter",
    "Line2D",
    "LogFormatterMathtext",
    "LogLocator",
    "MaxNLocator",
    "NullFormatter",
    "own_settings",
]


class Figure(_Figure):
    """A figure that a notebook shows, whichever way it uses matplotlib."""

    def _repr_png_(self) -> bytes:
        buffer = io.BytesIO()
        with own_settings():
            self.savefig(buffer, format="png", dpi=100, facecolor="white")
        return buffer.getvalue()


@contextlib.contextmanager
def own_settings() -> Iterator[None]:
    """Draw with matplotlib's default settings, and restore the user's afterwards."""
    with warnings.catch_warnings(), matplotlib.rc_context():
        warnings.filterwarnings("ignore", r"Glyph \d+")  # a name in a script that no font here has
        warnings.filterwarnings("ignore", "Attempting to set identical")  # of a single size
        warnings.filterwarnings("ignore", category=RuntimeWarning, module="matplotlib")
        matplotlib.rcdefaults()
        yield
