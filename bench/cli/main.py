"""The whole command line: `main` finds the command, runs it, and turns errors into one line.

NumPy, Numba and matplotlib are imported by the commands, so that --help answers at once.
"""

import io
import sys
import warnings
from collections.abc import Sequence
from importlib import import_module
from typing import Any, TextIO

from gradrace.bench.cli.commands import ABOUT, COMMANDS
from gradrace.bench.cli.parser import Command, arguments_of, help_of, summaries, unusable
from gradrace.bench.cli.status import PIPE_CLOSED, UNUSABLE, interrupted


def main(words: Sequence[str] | None = None) -> None:
    """Run the command line.

    Raises:
        SystemExit: the command ends with a status other than 0.

    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # a terminal without α still shows the rest
    try:
        _run(sys.argv[1:] if words is None else words)
    except KeyboardInterrupt:
        interrupted()
    except BrokenPipeError:  # the reader has closed the pipe, and there is nothing to save
        from gradrace.bench.show import terminal

        terminal.silence()
    except Exception as error:
        from gradrace.bench.show import terminal

        if not (reason := _reason(error)):
            raise  # a bug of ours
        terminal.end(UNUSABLE, *reason)
    shown = sys.modules.get("gradrace.bench.show.terminal")
    if shown is not None and shown.silenced():
        sys.exit(PIPE_CLOSED)


def _run(words: Sequence[str]) -> None:
    name, *rest = words or ["--help"]
    if name in ("-h", "--help"):
        return _show(summaries(COMMANDS, ABOUT))
    if name == "--version":
        from importlib.metadata import version

        return _show(f"gradrace {version('gradrace')}")
    command = _command(name)
    if not {"-h", "--help"}.isdisjoint(rest):
        return _show(help_of(command))
    given = arguments_of(command, rest)
    module = import_module(f"gradrace.bench.cli.{command.module}")
    with warnings.catch_warnings():
        warnings.showwarning = _note
        warnings.simplefilter("always", UserWarning)
        getattr(module, command.name)(**given)
    return None


def _command(name: str) -> Command:
    for command in COMMANDS:
        if command.name == name:
            return command
    from difflib import get_close_matches

    near = get_close_matches(name, [command.name for command in COMMANDS], 1)
    guess = f"did you mean {near[0]}?" if near else "gradrace --help lists them"
    raise unusable(f"{name}: no such command; {guess}")


def _show(text: str) -> None:
    """Print a text; what goes wrong is left to what prints results."""
    try:
        print(text, flush=True)
    except OSError:
        from gradrace.bench.show.terminal import show_lines

        show_lines([text])


def _note(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: TextIO | None = None,  # noqa: ARG001 (as `warnings` calls it)
    line: str | None = None,
) -> None:
    """Show a warning in one line."""
    from gradrace.bench.show import terminal

    if issubclass(category, UserWarning):
        terminal.warn(str(message))
    else:
        terminal.note(warnings.formatwarning(message, category, filename, lineno, line))


def _reason(error: Exception) -> Sequence[Any]:
    """Return the pieces of what to say of an error that the user caused; () if it is a bug."""
    if isinstance(error, MemoryError):
        return (f"out of memory: {error}",)
    from gradrace.backends.interface import InputError
    from gradrace.bench.proof.returns import BackendError

    if isinstance(error, InputError | BackendError):
        return error.args
    if isinstance(error, OSError):
        where = f"{error.filename}: " if error.filename else ""
        return (f"{where}{error.strerror or error}",)
    return ()
