"""matplotlib, independent of the user's settings.

They come from MPLBACKEND and from a file `matplotlibrc`, for example in the current folder. Some
make importing or drawing fail; others change every picture. So everything that pictures need of
matplotlib is imported here, and they are drawn within `own_settings`.
"""

import contextlib
import importlib.util
import io
import logging
import os
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Silence messages of matplotlib about settings and folders that it cannot use."""
    log = logging.getLogger("matplotlib")
    level = log.level
    log.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        log.setLevel(level)


def _import() -> None:
    """Import matplotlib with its default settings; then apply the user's.

    A setting that cannot be read, or that names no backend, would make the import itself fail.
    """
    if "matplotlib" in sys.modules:
        return
    found = importlib.util.find_spec("matplotlib")
    assert found is not None
    assert found.origin is not None
    backend = os.environ.pop("MPLBACKEND", None)
    try:
        # of all `matplotlibrc` files, the one in the current folder counts
        with contextlib.chdir(Path(found.origin).parent / "mpl-data"):
            import matplotlib
    finally:
        if backend is not None:
            os.environ["MPLBACKEND"] = backend
    with contextlib.suppress(OSError, ValueError):
        matplotlib.rcParams.update(matplotlib.rc_params())
        if backend:
            matplotlib.rcParams["backend"] = backend


with _quiet():
    _import()

# E402: these must follow `_import`, which keeps a person's settings out of the import.
import matplotlib  # noqa: E402
from matplotlib.axes import Axes  # noqa: E402
from matplotlib.figure import Figure as _Figure  # noqa: E402
from matplotlib.layout_engine import ConstrainedLayoutEngine  # noqa: E402
from matplotlib.patches import Rectangle  # noqa: E402
from matplotlib.text import Annotation  # noqa: E402
from matplotlib.ticker import (  # noqa: E402
    FuncFormatter,
    LogFormatterMathtext,
    LogLocator,
    MaxNLocator,
    NullFormatter,
)

__all__ = [
    "Annotation",
    "Axes",
    "ConstrainedLayoutEngine",
    "Figure",
    "FuncFormatter",
    "LogFormatterMathtext",
    "LogLocator",
    "MaxNLocator",
    "NullFormatter",
    "Rectangle",
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
    with _quiet(), warnings.catch_warnings(), matplotlib.rc_context():
        warnings.filterwarnings("ignore", r"Glyph \d+")  # a name in a script that no font here has
        warnings.filterwarnings("ignore", "Attempting to set identical")  # of a single size
        warnings.filterwarnings("ignore", category=RuntimeWarning, module="matplotlib")
        matplotlib.rcParams.update(
            {key: value for key, value in matplotlib.rcParamsDefault.items() if key != "backend"}
        )
        yield
