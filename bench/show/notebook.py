"""A progress bar in a notebook, for what takes more than a second; it leaves nothing behind."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from html import escape
from typing import Any

from gradrace.bench.machine.progress import Progress, silent
from gradrace.bench.show.text import visible

_QUICK = 1.0
"""Seconds; what takes no longer gets no progress bar."""


@contextmanager
def progress(given: Progress | None = None) -> Iterator[Progress]:
    """Return what shows progress: what is `given`, or else a bar in a notebook, or nothing."""
    if given is not None or not is_notebook():
        yield given or silent
        return
    from IPython.display import HTML, display

    start = time.monotonic()
    handle: Any = None  # of what IPython displays

    def on_progress(doing: str, done: int, steps: int) -> None:
        nonlocal handle
        if time.monotonic() - start < _QUICK:
            return
        of = f"value='{done}' max='{steps}'" if steps else ""
        bar = HTML(f"<progress {of}></progress> {escape(visible(doing))}")
        if handle is None:
            handle = display(bar, display_id=True)
        else:
            handle.update(bar)

    try:
        yield on_progress
    finally:
        if handle is not None:
            handle.update(HTML(""))


def is_notebook() -> bool:
    """Whether this process is the kernel of a notebook."""
    shell = getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)()
    return type(shell).__name__ == "ZMQInteractiveShell"
