"""What a command says: results on stdout, everything beside them on stderr."""

import os
import sys
from collections.abc import Iterable
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING, NoReturn

import typer

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.progress import Progress

LEAST_WIDTH = 80  # what tables are laid out for
_ENDLESS = 1_000


def progress(*extra: str) -> "Progress":
    """Return a progress bar on stderr; nothing at all where stderr is no terminal."""
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
    )

    console = Console(stderr=True)
    texts = (TextColumn(text, markup=False) for text in ("{task.description}", *extra))
    return Progress(
        *texts, BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(),
        console=console, transient=True, disable=not console.is_terminal,
    )  # fmt: skip


def show(what: "RenderableType") -> None:
    """Print a table or a line to stdout; a line is left as it is, whatever the width.

    Nor are the numbers of a table cut in a narrow terminal, which wraps the lines itself. Where
    there is no terminal, a table gets the width that it needs. Where the reader of a pipe has
    enough, nothing is printed any more, and the command goes on: what it has found is to be saved.
    """
    from rich.console import Console as RichConsole
    from rich.measure import Measurement

    class Console(RichConsole):
        def on_broken_pipe(self) -> None:
            """Leave the exit status to the command."""
            silence()

    if isinstance(what, str):
        what = printable(what)
    console = Console(markup=False, emoji=False, highlight=False, soft_wrap=isinstance(what, str))
    natural = Measurement.get(console, console.options.update_width(_ENDLESS), what).maximum
    if not console.is_terminal:
        console.width = max(console.width, natural)
    console.width = max(console.width, min(natural, LEAST_WIDTH))
    console.print(what)


def silenced() -> bool:
    """Whether the reader of standard output has closed the pipe."""
    return _closed.is_set()


def silence() -> None:
    """Print nothing to standard output any more."""
    _closed.set()
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


_closed = Event()


def show_saved(paths: list[Path]) -> None:
    """Name the files that were written."""
    if paths:
        show("saved " + " ".join(map(str, paths)))


def show_lines(lines: Iterable[str]) -> None:
    """Print lines as they are."""
    for line in lines:
        show(line)


def note(message: str) -> None:
    """Say something beside the result, on stderr."""
    print(printable(message), file=sys.stderr)


def warn(message: str) -> None:
    """Say on stderr what to beware of, if there is anything."""
    if message:
        note(f"warning: {message}")


def end(message: str, status: int) -> NoReturn:
    """Say on stderr in one line why the command ends, and end it."""
    print(f"gradrace: {printable(message)}", file=sys.stderr)
    raise typer.Exit(status)


def printable(text: str) -> str:
    """Return a text on one line, without the control codes that a stranger's text may hold."""
    return "".join(c if c.isprintable() else "?" for c in " ".join(text.split()))
