"""What a command says: results on stdout, everything beside them on stderr."""

import os
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING, Any, NoReturn, TextIO

from bench.machine.progress import Progress
from bench.report.text import visible

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, RenderableType
    from rich.progress import Progress as Bar
    from rich.segment import Segment
    from rich.text import Text

LEAST_WIDTH = 80  # what tables are laid out for
_ENDLESS = 1_000


def _console(**options: Any) -> "Console":
    """Return a console that shows nothing of a stranger's text but what can be seen.

    Texts are cleaned before they are measured, so that tables stay straight, and all that becomes
    of other objects afterwards; rich's own control codes pass.
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
    """Return a progress bar on stderr; nothing at all where stderr is no terminal."""
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
    )

    console = _console(stderr=True)
    texts = (TextColumn(text, markup=False) for text in ("{task.description}", *extra))
    return Progress(
        *texts, BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(),
        console=console, transient=True, disable=not console.is_terminal,
    )  # fmt: skip


@contextmanager
def progress_bar() -> "Iterator[Progress]":
    """Show a progress bar on stderr for a job that tells how far it is."""
    with progress() as bar:
        task = bar.add_task("", total=None)

        def on_progress(doing: str, done: int, steps: int) -> None:
            bar.update(task, description=doing, completed=done, total=steps or None)

        yield on_progress


def show(what: "RenderableType") -> None:
    """Print a table or a line to stdout; a line is left as it is, whatever the width.

    Nor are the numbers of a table cut in a narrow terminal, which wraps the lines itself. Where
    there is no terminal, a table gets the width that it needs. Where the reader of a pipe has
    enough, nothing is printed any more, and the command goes on: what it has found is to be saved.
    """
    from rich.measure import Measurement

    console = _console(markup=False, emoji=False, highlight=False, soft_wrap=isinstance(what, str))
    natural = Measurement.get(console, console.options.update_width(_ENDLESS), what).maximum
    if not console.is_terminal:
        console.width = max(console.width, natural)
    console.width = max(console.width, min(natural, LEAST_WIDTH))
    with standard_output():
        console.print(what)


def show_values(lines: Iterable[str]) -> None:
    """Print lines of numbers to stdout, thousands at once."""
    with standard_output():
        print("\n".join(lines))


@contextmanager
def standard_output() -> Iterator[None]:
    """Let an error while something is printed name standard output, as one of a file names it.

    Raises:
        OSError: it cannot be written to, as on a full disk.

    """
    try:
        yield
        sys.stdout.flush()
    except BrokenPipeError:  # the reader has enough
        silence()
    except OSError as error:
        _discard(sys.stdout)
        raise OSError(error.errno, error.strerror, "standard output") from error


def silenced() -> bool:
    """Whether the reader of standard output has closed the pipe."""
    return _closed.is_set()


def silence() -> None:
    """Print nothing to standard output any more."""
    _closed.set()
    _discard(sys.stdout)


def _discard(stream: TextIO) -> None:
    """Lead a stream into the void, so that what it still holds is no trouble at the end."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


_closed = Event()


def show_saved(paths: list[Path]) -> None:
    """Name the files that were written."""
    if paths:
        show("saved " + " ".join(map(str, paths)))


def show_lines(lines: Iterable[str]) -> None:
    """Print lines as they are."""
    for line in lines:
        show(line)


def show_report(parts: "Iterable[str | RenderableType]") -> None:
    """Print paragraphs, wrapped between words at the width of the output, and tables."""
    from bench.report.tables import wrapped

    width = max(_console().width, LEAST_WIDTH)
    for part in parts:
        if isinstance(part, str):
            show_lines(wrapped(part, width) or [""])
        else:
            show(part)


def note(message: str) -> None:
    """Say something beside the result, on stderr, if that can be written to."""
    try:
        print(" ".join(visible(message).split()), file=sys.stderr, flush=True)
    except OSError:
        _discard(sys.stderr)


def warn(message: str) -> None:
    """Say on stderr what to beware of, if there is anything."""
    if message:
        note(f"warning: {message}")


def end(message: str, status: int) -> NoReturn:
    """Say on stderr in one line why the command ends, and end it."""
    note(f"gradrace: {message}")
    sys.exit(status)
