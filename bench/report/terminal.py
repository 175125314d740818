"""What a command prints: results on stdout, everything else on stderr."""

import io
import os
import re
import shutil
import sys
import textwrap
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING, Any, NoReturn, TextIO

from gradrace.bench.machine.progress import Progress
from gradrace.bench.report.text import visible

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, RenderableType
    from rich.progress import Progress as Bar
    from rich.segment import Segment
    from rich.table import Table
    from rich.text import Text

_BETWEEN_WORDS: Any = {"break_long_words": False, "break_on_hyphens": False}
_INSEPARABLE = re.compile(r"(?<=[0-9]) (?=[×%]|[mµn]?s\b)|(?<=[×=]) (?=\w)")
_TRAILING_BLANKS = re.compile(r" +((?:\x1b\[[0-9;]*m)*)$", re.MULTILINE)  # color codes stay


def _console(**options: Any) -> "Console":
    """Return a console that shows only the visible characters of foreign texts.

    Texts are cleaned before they are measured, so that tables stay aligned; the output of other
    objects is cleaned afterwards. Control codes of rich itself pass.
    """
    from rich.console import Console
    from rich.segment import Segment

    class CleanConsole(Console):
        def render_str(self, text: str, **options: Any) -> "Text":
            return super().render_str(visible(text), **options)

        def render(
            self, renderable: "RenderableType", options: "ConsoleOptions | None" = None
        ) -> "Iterator[Segment]":
            for segment in super().render(renderable, options):
                text = "\n".join(map(visible, segment.text.split("\n")))
                yield segment if segment.control else Segment(text, segment.style)

        def on_broken_pipe(self) -> None:
            """Leave the exit status to the command."""
            silence()

    return CleanConsole(**options)


def progress(*extra: str) -> "Bar":
    """Return a progress bar on stderr, which shows nothing if stderr is not a terminal."""
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
    )

    console = _console(stderr=True)
    console.quiet = not console.is_terminal  # Rich before 14.3 ends a disabled bar with a new line
    texts = (TextColumn(text, markup=False) for text in ("{task.description}", *extra))
    columns = (*texts, BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    return Progress(*columns, console=console, transient=True, disable=not console.is_terminal)


@contextmanager
def progress_bar() -> "Iterator[Progress]":
    """Show a progress bar on stderr for a job that reports its progress."""
    with progress() as bar:
        task = bar.add_task("", total=None)

        def on_progress(doing: str, done: int, steps: int) -> None:
            bar.update(task, description=doing, completed=done, total=steps or None)

        yield on_progress


def show(what: "str | Table") -> None:
    """Print a line or a table to stdout, as wide as the terminal, or COLUMNS, or 80 characters.

    A long line is wrapped between words. A table that is too wide is printed in parts, one below
    the other; no number or name is ever broken, so a part of two columns may be wider. Once the
    reader of a pipe has closed it, nothing more is printed, but the command continues, so that its
    results are saved.
    """
    console = _console(markup=False, emoji=False, highlight=False)
    with standard_output():
        for text in _texts(console, what):
            print(text, end="")


def plain(parts: "Iterable[str | Table]", width: int = 80) -> str:
    """Return lines and tables as `show` prints them, without colors."""
    console = _console(
        markup=False,
        emoji=False,
        highlight=False,
        file=io.StringIO(),
        width=width,
        no_color=True,
        force_jupyter=False,  # where it would show what it should only return
    )
    return "".join(text for part in parts for text in _texts(console, part))


def _texts(console: "Console", what: "str | Table") -> Iterator[str]:
    from gradrace.bench.report.tables import stacked

    parts: Sequence[str | Table] = (
        _lines(what, console.width) if isinstance(what, str) else stacked(what, console.width)
    )
    for number, part in enumerate(parts):
        with console.capture() as captured:
            _print(console, part)
        text = _TRAILING_BLANKS.sub(r"\1", captured.get())
        yield text.removeprefix("\n") if number else text


def width() -> int:
    """Return how many characters a line of the terminal has; 80 if there is no terminal."""
    return _console().width


def _lines(text: str, width: int) -> list[str]:
    """Return the lines of a text, wrapped between words."""
    return [
        wrapped
        for line in _INSEPARABLE.sub("\N{NO-BREAK SPACE}", text).split("\n")
        for wrapped in textwrap.wrap(line, width, **_BETWEEN_WORDS) or [""]
    ]


def _print(console: "Console", what: "str | Table") -> None:
    from gradrace.bench.report.tables import least_width

    if isinstance(what, str):
        console.print(what, soft_wrap=True)
    else:
        size = console.size
        width = max(size.width, least_width(what)) + 1
        console.size = size._replace(width=width)  # print(width=…) can only make it less
        console.print(what, crop=False)
        console.size = size


def show_values(lines: Iterable[str]) -> None:
    """Print lines of numbers to stdout, thousands at once."""
    with standard_output():
        print("\n".join(lines))


@contextmanager
def standard_output() -> Iterator[None]:
    """Make errors while printing name standard output, as those of a file name the file.

    Raises:
        OSError: it cannot be written to, as on a full disk.

    """
    try:
        yield
        sys.stdout.flush()
    except BrokenPipeError:  # the reader has closed the pipe
        silence()
    except OSError as error:
        _discard(sys.stdout)
        raise OSError(error.errno, error.strerror, "standard output") from error


def silenced() -> bool:
    """Return whether the reader of standard output has closed the pipe."""
    return _closed.is_set()


def silence() -> None:
    """Print nothing more to standard output."""
    _closed.set()
    _discard(sys.stdout)


def _discard(stream: TextIO) -> None:
    """Redirect a stream to the null device, so that flushing it at exit cannot fail."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


_closed = Event()


def show_saved(paths: list[Path]) -> None:
    """Name the files that were written."""
    if paths:
        show("saved " + " ".join(map(str, paths)))


def show_lines(lines: "Iterable[str | Table]") -> None:
    """Print lines and tables, one below the other."""
    for line in lines:
        show(line)


def note(message: str) -> None:
    """Print a note on stderr, if that can be written to.

    It is one line, which is wrapped between words on a terminal.
    """
    text = " ".join(visible(message).split())
    if sys.stderr.isatty():
        text = "\n".join(_lines(text, shutil.get_terminal_size().columns))
    try:
        print(text, file=sys.stderr, flush=True)
    except OSError:
        _discard(sys.stderr)


def warn(message: str) -> None:
    """Print a warning on stderr, if there is one."""
    if message:
        note(f"warning: {message}")


def end(message: str, status: int) -> NoReturn:
    """Print on stderr, in one line, why the command ends, and end it."""
    note(f"gradrace: {message}")
    sys.exit(status)
