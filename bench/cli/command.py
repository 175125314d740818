"""Turn a function into a command: its help, its errors, its exit status.

NumPy, Numba and matplotlib are imported inside the commands, so that --help answers at once.
"""

import functools
from collections.abc import Callable
from typing import Annotated, Any, NoReturn, ParamSpec

import typer
import typer.core

from gradrace import backends
from gradrace.bench.machine import interrupts
from gradrace.bench.report.terminal import end, silence, silenced

# exit statuses
DISAGREES = 1
UNUSABLE = 2
PIPE_CLOSED = 141  # what a shell reports for a program that wrote to a closed pipe

app = typer.Typer(
    help="One gradient-descent loop in Python, NumPy and Numba: proved equal, then timed.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


LEAST_MEMORY = 10**9  # bytes of address space; with less, libraries end the process or wait forever

P = ParamSpec("P")


def _version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        typer.echo(f"gradrace {version('gradrace')}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool,
        typer.Option("--version", help="Show the version and exit.", callback=_version),
    ] = False,
) -> None:
    """One gradient-descent loop in Python, NumPy and Numba: proved equal, then timed."""


class _Command(typer.core.TyperCommand):
    """A command whose repeatable options take several words: --lr 0.1 0.2 is --lr 0.1 --lr 0.2."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Repeat the option in front of every further word that belongs to it.

        A word may also be a FILE, where the command takes one. While a FILE is missing, a word
        belongs to the option before it if it is a number or a backend, or if there are more words
        than missing FILEs.
        """
        options = {name: option for option in self.params for name in option.opts}
        several = {name for name, option in options.items() if getattr(option, "multiple", False)}
        valued = {name for name, option in options.items() if not getattr(option, "is_flag", False)}
        missing = sum(option.param_type_name == "argument" for option in self.params)
        races = not several.isdisjoint(_BACKENDS)

        def is_known(word: str) -> bool:
            return _is_number(word) or (races and _is_backend(word))

        waiting = sum(
            not (word.startswith("-") or before in valued or is_known(word))
            for before, word in zip(["", *args], args, strict=False)
        )
        words: list[str] = []
        current = ""  # the repeatable option that further words may belong to
        for word in args:
            before = words[-1] if words else ""
            if word.startswith("--"):
                name, _, value = word.partition("=")
                current = name if name in several and value else ""
            elif before in valued and "=" not in before:
                current = before if before in several else ""
            elif word.startswith("-") and not _is_number(word):
                current = ""
            else:
                known = _is_number(word) or (current in _BACKENDS and _is_backend(word))
                if current and (known or missing <= 0 or waiting > missing):
                    words.append(current)
                else:
                    missing -= 1
                    current = ""
                waiting -= not is_known(word)
            words.append(word)
        return super().parse_args(ctx, words)


_BACKENDS = ("--backend", "--backends")


def _is_number(word: str) -> bool:
    """Whether a word is a rate, or a share, maybe of a size: 0.1, auto, 2%, 100x1=2%."""
    if word.startswith("--"):
        return False
    try:
        for text in word.replace("auto", "1").split(","):
            float(text.rpartition("=")[2].removesuffix("%"))
    except ValueError:
        return False
    return True


def _is_backend(word: str) -> bool:
    name = backends.name_of(word)
    return name in backends.LADDER or name.endswith(".py")


def command(function: Callable[P, None]) -> Callable[P, None]:
    """Register a command; user errors end in one line on stderr and exit status 2."""

    @functools.wraps(function)
    def guarded(*args: P.args, **kwargs: P.kwargs) -> None:
        try:
            if (limit := _memory_limit()) is not None and limit < LEAST_MEMORY:
                raise MemoryError(_allowed(limit) + f"; {LEAST_MEMORY // 10**6} MB are needed")
            function(*args, **kwargs)
        except KeyboardInterrupt:
            end_interrupted()
        except BrokenPipeError:  # the reader has closed the pipe, and there is nothing to save
            silence()
        except Exception as error:
            if reason := _reason(error):
                end(reason, UNUSABLE)
            raise
        if silenced():
            raise typer.Exit(PIPE_CLOSED)

    return app.command(function.__name__.removeprefix("list_"), cls=_Command)(guarded)


def _reason(error: Exception) -> str:
    """Describe in one line an error that the user caused; empty if it is a bug of ours.

    Where memory is limited, every library fails in its own way, so no error counts as a bug.
    """
    limit = _memory_limit()
    if isinstance(error, MemoryError):
        return f"out of memory: {error}"
    from gradrace.backends.interface import InputError
    from gradrace.bench.proof.returns import BackendError

    if isinstance(error, InputError | BackendError):
        return str(error)
    if isinstance(error, OSError):
        where = f"{error.filename}: " if error.filename else ""
        return f"{where}{error.strerror or error}"
    if limit is not None:
        return f"probably out of memory: {_allowed(limit)} ({type(error).__name__}: {error})"
    return ""


def _memory_limit() -> int | None:
    """Return how many bytes of address space a process may have; None if there is no limit."""
    try:
        import resource
    except ImportError:  # not on Windows
        return None
    soft, _ = resource.getrlimit(resource.RLIMIT_AS)
    return None if soft == resource.RLIM_INFINITY else soft


def _allowed(limit: int) -> str:
    return f"ulimit -v allows {limit / 10**6:,.0f} MB"


def end_interrupted(kept: str = "") -> NoReturn:
    """End an interrupted command, and say what is saved."""
    end("interrupted" + kept, interrupts.status())
