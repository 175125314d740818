"""The arguments that several commands share, and how they are read."""

import contextlib
import functools
import inspect
import os
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer
import typer.core

from gradrace import backends
from gradrace.bench.report.terminal import note

if TYPE_CHECKING:
    from gradrace.bench.data.reader import Files
    from gradrace.bench.data.samples import Dataset, Samples
    from gradrace.bench.data.sources import Reading
    from gradrace.bench.learning.rate_choice import Rate

Choice = TypeVar("Choice", bound=str)

Backends = Annotated[
    list[str] | None,
    typer.Option(
        "--backend",
        "--backends",
        metavar="NAME|FILE.py|MODULE …",
        help="Names of backends, your .py files, or importable modules; NAME@REV is the version at "
        "a git revision.  [default: all built-in backends]",
        show_default=False,
    ),
]

FailAbove = Annotated[
    list[str] | None,
    typer.Option(
        metavar="SHARE|NxD=SHARE …",
        help="Exit with status 1 if a backend is shown to be slower than its earlier version by "
        "more than this: 2% for all sizes, 1e5x1=5% for one.",
        show_default=False,
    ),
]

Target = Annotated[
    str | None, typer.Option(metavar="COLUMN", help="Column to predict.  [default: the last]")
]

Features = Annotated[
    list[str] | None,
    typer.Option(
        metavar="COLUMN,COLUMN,…",
        help="Columns to predict from; repeatable.  [default: all others]",
        show_default=False,
    ),
]

Exclude = Annotated[
    list[str] | None,
    typer.Option(
        metavar="COLUMN,COLUMN,…",
        help="Columns to leave out, such as text; repeatable.",
        show_default=False,
    ),
]

READING: dict[str, tuple[Any, Any]] = {
    "decimal": (
        Annotated[str, typer.Option(metavar="CHARACTER", help="Decimal point: . or a comma.")],
        ".",
    ),
    "thousands": (
        Annotated[
            str,
            typer.Option(
                metavar="CHARACTER",
                help="What separates thousands, like the comma in 1,800.00.",
                show_default=False,
            ),
        ],
        "",
    ),
    "delimiter": (
        Annotated[
            str,
            typer.Option(
                metavar="CHARACTER",
                help="What separates the columns: \\t is a tab, ' ' is any number of blanks.  "
                "[default: found from the first lines]",
                show_default=False,
            ),
        ],
        "",
    ),
    "header": (
        Annotated[
            bool | None,
            typer.Option(
                "--header/--no-header",
                help="Whether the first line holds the names.  "
                "[default: found from the first lines]",
                show_default=False,
            ),
        ],
        None,
    ),
    "skip_rows": (
        Annotated[
            int,
            typer.Option(
                metavar="N", help="Number of lines to skip above the table.", show_default=False
            ),
        ],
        0,
    ),
    "encoding": (
        Annotated[str, typer.Option(metavar="NAME", help="Encoding, such as cp1252 or utf-16.")],
        "utf-8",
    ),
    "drop_missing": (
        Annotated[
            bool,
            typer.Option(
                "--drop-missing",
                help="Leave out rows with a missing value: an empty cell, NA, None, ? or -.",
            ),
        ],
        False,
    ),
}
"""The options from which a `Reading` is made; only --drop-missing concerns every kind of table"""


RateText = Annotated[
    str | None,
    typer.Option(
        "--lr",
        metavar="α|auto",
        help="Learning rate; auto is the one that `gradrace rates` recommends.  "
        "[default: 0.005 for the reference line, auto for a table]",
    ),
]

Standardize = Annotated[
    bool,
    typer.Option(
        "--standardize",
        help="Center and scale the columns first; results are in their original units.",
    ),
]

Timeout = Annotated[
    float | None,
    typer.Option(
        metavar="SECONDS",
        min=0.1,
        help="Time limit for each backend.  [default: 120; none for a table read in parts]",
        show_default=False,
    ),
]

Scheduler = Annotated[
    str | None,
    typer.Option(
        metavar="ADDRESS",
        help="Read the table in parts on the Dask cluster with this scheduler, such as "
        "tcp://10.0.0.1:8786.  [default: $DASK_SCHEDULER_ADDRESS, or this computer]",
        show_default=False,
    ),
]

TABLE = (
    "Text in columns, Parquet, Feather, Excel, NPZ or NPY, compressed or not; - is standard input."
)
TABLES = (
    f"{TABLE}  A folder or a pattern in quotes stands for all its CSV, Parquet or Feather files."
)
REFERENCE = "the reference line, 100 points of y = 3x + 2 plus noise"

TableFile = Annotated[
    str | None,
    typer.Argument(
        metavar="FILE|FOLDER|PATTERN", help=f"{TABLES}  [default: {REFERENCE}]", show_default=False
    ),
]

TIMEOUT = 120.0  # seconds
MOST_FEATURES = 2_000  # the curvature takes O(d³): seconds up to there, an hour for 20,000


def reads_tables(*without: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Replace the parameter `reading` of a command by the options from which it is made.

    Raises:
        InputValueError: as `Reading.checked`.

    """

    def replaced(function: Callable[..., None]) -> Callable[..., None]:
        options = {name: found for name, found in READING.items() if name not in without}

        @functools.wraps(function)
        def called(**given: Any) -> None:
            from gradrace.bench.data.sources import Reading

            chosen = {name: given.pop(name) for name in options}
            function(**given, reading=Reading(**chosen).checked())

        parameters = dict(inspect.signature(function).parameters)
        shown = []
        for name, parameter in parameters.items():
            if name != "reading":
                shown.append(parameter)
                continue
            for option, (kind, default) in options.items():
                shown.append(parameter.replace(name=option, annotation=kind, default=default))
        # which Typer reads; mypy knows no such attribute of a function
        called.__signature__ = inspect.Signature(shown)  # type: ignore[attr-defined]
        called.__annotations__ = {parameter.name: parameter.annotation for parameter in shown}
        return called

    return replaced


def usable(specs: Sequence[str]) -> None:
    """Make sure that there are such backends, and a place for what Numba compiles.

    Raises:
        InputValueError: as `backends.require`.

    """
    for spec in specs:
        if news := backends.ensure_cache(spec):
            note(news)
        backends.require(spec)


def samples_of(
    file: str | None,
    target: str | None,
    features: list[str] | None,
    exclude: list[str] | None,
    specs: Sequence[str] | None,
    scheduler: str | None,
    reading: "Reading",
) -> "tuple[Dataset | Files, list[str]]":
    """Return the samples of a table, or the reference line, and the backends to use for them.

    These are the `specs`, or, if there are none, the one that reads large tables in parts, or [] if
    the table fits in memory.

    Raises:
        InputValueError: as `open_samples`, or there are too many features, or no file to take
            columns from, or the named backends cannot use a scheduler.
        OSError: it cannot be read.

    """
    from gradrace.backends.interface import InputValueError
    from gradrace.bench.data.reader import Files, open_samples, too_large
    from gradrace.bench.data.samples import reference_line
    from gradrace.bench.data.sources import PLAIN

    large = backends.for_large_data()
    if scheduler is not None:
        os.environ[backends.SCHEDULER] = scheduler
        if file is None:
            raise InputValueError("--scheduler: needs a table")
        if specs and list(specs) != [large]:
            raise InputValueError(f"--scheduler: needs --backend {large}, got {', '.join(specs)}")
    if file is not None:
        named = list(specs or [])
        in_parts = named == [large] if named else (True if scheduler else None)
        samples = open_samples(
            file, target, features or (), exclude or (), in_parts=in_parts, reading=reading
        )
        if scheduler is not None and not isinstance(samples, Files):
            raise InputValueError(f"--scheduler: {samples.name} is not read in parts")
        if isinstance(samples, Files) and in_parts is None:
            note(f"{too_large(samples.table, samples.use)}; {large} reads them in parts")
        if (d := len(samples.features)) > MOST_FEATURES:
            raise InputValueError(
                f"{samples.name}: has {d:,} features; the limit is {MOST_FEATURES:,}; "
                "choose some with --features"
            )
        return samples, named or ([large] if isinstance(samples, Files) else [])
    if target is not None or features or exclude:
        raise InputValueError("--target, --features and --exclude need a FILE")
    if reading != PLAIN:
        raise InputValueError(f"{reading.options[0]}: needs a FILE")
    return reference_line(), list(specs or [])


def limit_of(timeout: float | None, samples: "Samples") -> float | None:
    """Return the time limit for each backend: 120 s by default, none where samples are in files."""
    from gradrace.bench.data.samples import Dataset

    return TIMEOUT if timeout is None and isinstance(samples, Dataset) else timeout


def rate_of(text: str | None, file: str | None) -> "Rate":
    """Return the given rate, or the default one: automatic for a table."""
    from gradrace.backends.interface import InputValueError
    from gradrace.bench.data.samples import REFERENCE_LR

    if text is None:
        return REFERENCE_LR if file is None else "auto"
    if text == "auto":
        return "auto"
    try:
        return float(text)
    except ValueError:
        raise InputValueError(f"--lr: needs a number or auto, got {text!r}") from None


def whole_number(option: str, text: str) -> int:
    """Return a whole number, 1 or more, that may be written 1e4."""
    from gradrace.backends.interface import InputValueError

    with contextlib.suppress(ValueError, OverflowError):
        number = float(text)
        if number == int(number) >= 1:
            return int(number)
    raise InputValueError(f"{option}: needs a whole number of at least 1, got {text!r}")


def whole(text: str) -> int:
    """Return a whole number that may be written 1e5, for an option of typer's."""
    with contextlib.suppress(ValueError, OverflowError):
        if float(text) == int(float(text)):
            return int(text) if str(text).lstrip("-").isdecimal() else int(float(text))
    raise typer.BadParameter(f"needs a whole number, got {text!r}")


def one_of(option: str, text: str, *allowed: Choice) -> Choice:
    """Return a text that must be one of those allowed."""
    from gradrace.backends.interface import InputValueError

    for choice in allowed:
        if choice == text:
            return choice
    *others, last = allowed
    raise InputValueError(f"{option}: must be {', '.join(others)} or {last}, got {text!r}")


def limits_of(texts: Sequence[str]) -> dict[str, float]:
    """Return size → limit of --fail-above: 100x1=2% for one size; 10% for all, under ""."""
    from gradrace.bench.race.cases import parse

    limits = {}
    for text in texts:
        size, found, share = text.rpartition("=")
        limits[parse(size).name if found else ""] = share_of("--fail-above", share)
    return limits


def share_of(option: str, text: str) -> float:
    """Return a share that may be written in percent."""
    from gradrace.backends.interface import InputValueError

    with contextlib.suppress(ValueError):
        value = float(text.removesuffix("%")) / (100 if text.endswith("%") else 1)
        if 0 <= value < (float("inf") if text.endswith("%") else 1):
            return value
    raise InputValueError(f"{option}: needs a share like 10% or 0.1, got {text!r}")
