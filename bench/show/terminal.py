"""What a command prints: results on stdout, everything else on stderr."""

import os
import shutil
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING, NoReturn, TextIO

from gradrace.backends.interface import Setting
from gradrace.bench.machine.progress import Progress
from gradrace.bench.parts import Part
from gradrace.bench.show.plain import lines, wrapped
from gradrace.bench.show.text import as_option, visible, worded

if TYPE_CHECKING:
    from rich.progress import Progress as Bar


def show(*parts: Part) -> None:
    """Print parts, as wide as the terminal, or COLUMNS, or 80 characters.

    Once the reader of a pipe has closed it, nothing more is printed, but the command continues, so
    that its results are saved.
    """
    show_lines(lines(parts, shutil.get_terminal_size().columns, as_option))


def show_lines(texts: Iterable[str]) -> None:
    """Print lines as they are, all at once."""
    with _standard_output():
        for text in texts:
            print(text)


def show_saved(paths: Iterable[Path]) -> None:
    """Name the files that were written, folder by folder."""
    folders: dict[Path, list[str]] = {}
    for path in paths:
        folders.setdefault(path.parent, []).append(path.name)
    width = shutil.get_terminal_size().columns
    for folder, names in folders.items():
        show_lines(wrapped(visible(f"Saved in {folder}: {', '.join(names)}."), width))


def note(*pieces: str | Setting) -> None:
    """Print a note on stderr, if that can be written to.

    It is one line, which is wrapped between words on a terminal.
    """
    text = " ".join(worded(pieces, as_option).split())
    if sys.stderr.isatty():
        text = "\n".join(wrapped(text, shutil.get_terminal_size().columns))
    try:
        print(text, file=sys.stderr, flush=True)
    except OSError:
        _discard(sys.stderr)


def warn(*pieces: str | Setting) -> None:
    """Print a warning on stderr, if there is one."""
    if any(pieces):
        note("warning: ", *pieces)


def end(status: int, *pieces: str | Setting) -> NoReturn:
    """Print on stderr, in one line, why the command ends, and end it."""
    note("gradrace: ", *pieces)
    sys.exit(status)


def progress(*extra: str) -> "Bar":
    """Return a progress bar on stderr, which shows nothing if stderr is not a terminal."""
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
    )

    console = Console(stderr=True)
    console.quiet = not console.is_terminal  # Rich before 14.3 ends a disabled bar with a new line
    texts = (TextColumn(text, markup=False) for text in ("{task.description}", *extra))
    columns = (*texts, BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    return Progress(*columns, console=console, transient=True, disable=not console.is_terminal)


@contextmanager
def progress_bar() -> Iterator[Progress]:
    """Show a progress bar on stderr for a job that reports its progress."""
    with progress() as bar:
        task = bar.add_task("", total=None)

        def on_progress(doing: str, done: int, steps: int) -> None:
            bar.update(task, description=visible(doing), completed=done, total=steps or None)

        yield on_progress


@contextmanager
def _standard_output() -> Iterator[None]:
    """Make errors while printing name standard output, as those of a file name the file."""
    try:
        yield
        sys.stdout.flush()
    except BrokenPipeError:  # the reader has closed the pipe
        silence()
    except OSError as error:
        _discard(sys.stdout)
        raise OSError(error.errno, error.strerror, "standard output") from error


def silenced() -> bool:
    """Whether the reader of standard output has closed the pipe."""
    return _closed.is_set()


def silence() -> None:
    """Print nothing more to standard output."""
    _closed.set()
    _discard(sys.stdout)


def _discard(stream: TextIO) -> None:
    """Redirect a stream to the null device, so that flushing it at exit cannot fail."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


_closed = Event()
