"""matplotlib, whatever a person's own settings are.

They come from MPLBACKEND and from a file `matplotlibrc`, which may lie in any folder in which one
works. Some make importing or drawing fail, others change every picture. So what a picture needs of
matplotlib is imported here, and drawn within `own_settings`.
"""

import contextlib
import importlib.util
import logging
import os
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Silence what matplotlib says of settings and folders that it cannot use."""
    log = logging.getLogger("matplotlib")
    level = log.level
    log.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        log.setLevel(level)


def _import() -> None:
    """Import matplotlib with the settings that it comes with; then let it have a person's own.

    One that cannot be read, or names no backend, would make the import itself fail.
    """
    if "matplotlib" in sys.modules:
        return
    found = importlib.util.find_spec("matplotlib")
    assert found is not None
    assert found.origin is not None
    backend = os.environ.pop("MPLBACKEND", None)
    try:
        # of all the files it is the one in the current folder that counts
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

import matplotlib  # noqa: E402
from matplotlib.axes import Axes  # noqa: E402
from matplotlib.figure import Figure  # noqa: E402
from matplotlib.patches import Rectangle  # noqa: E402
from matplotlib.patheffects import withStroke  # noqa: E402
from matplotlib.ticker import (  # noqa: E402
    FuncFormatter,
    LogLocator,
    MaxNLocator,
    NullFormatter,
)

__all__ = [
    "Axes",
    "Figure",
    "FuncFormatter",
    "LogLocator",
    "MaxNLocator",
    "NullFormatter",
    "Rectangle",
    "own_settings",
    "withStroke",
]


@contextlib.contextmanager
def own_settings() -> Iterator[None]:
    """Draw with the settings that matplotlib comes with; a person's own are back afterwards."""
    with _quiet(), warnings.catch_warnings(), matplotlib.rc_context():
        warnings.filterwarnings("ignore", r"Glyph \d+")  # a name in a script that no font here has
        warnings.filterwarnings("ignore", "Attempting to set identical")  # of a single size
        warnings.filterwarnings("ignore", category=RuntimeWarning, module="matplotlib")
        matplotlib.rcParams.update(
            {key: value for key, value in matplotlib.rcParamsDefault.items() if key != "backend"}
        )
        yield
