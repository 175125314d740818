"""What `fit`, `rates` and `check` take: arrays, tables, and whatever a command reads."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypedDict, Unpack

import numpy as np

from gradrace import backends as registry
from gradrace.backends.interface import InputTypeError, InputValueError
from gradrace.bench.api.wording import in_python
from gradrace.bench.data.frames import samples_of
from gradrace.bench.data.samples import Dataset, Samples
from gradrace.bench.data.sources import PLAIN, Reading

Source = Any
"""An array (n, d); a table of pandas, Polars or pyarrow; a Dataset; or a path."""


def samples_from(
    source: Source,
    y: Any = None,
    target: Any = None,
    features: Sequence[Any] = (),
    exclude: Sequence[Any] = (),
    reading: Reading = PLAIN,
) -> tuple[Samples, str]:
    """Return samples, and the backend that reads them in parts, or "" if they are in memory.

    Raises:
        InputTypeError, InputValueError: as `frames.samples_of` and `reader.open_samples`.
        OSError: a file cannot be read.

    """
    features, exclude = listed("features", features), listed("exclude", exclude)
    if isinstance(source, Dataset):
        return source, ""
    if not isinstance(source, str | Path):
        if reading._replace(drop_missing=False) != PLAIN:
            options = ", ".join(name for name in PLAIN._fields if name != "drop_missing")
            raise InputValueError(f"{options}: apply only to files, but X is in memory")
        return samples_of(source, y, target, features, exclude, reading), ""
    if y is not None:
        raise InputTypeError("y: cannot be given with a file; target names one of its columns")
    if not str(source).strip():
        raise InputValueError("X: needs the name of a file, got an empty string")
    from gradrace.bench.data.reader import Files, open_samples
    from gradrace.bench.learning.summary import summarize

    names, left = (list(map(str, words)) for words in (features, exclude))
    column = None if target is None else str(target)
    table = open_samples(source, column, names, left, reading=reading)
    if isinstance(table, Files):
        return summarize(table), registry.for_large_data()
    return table, ""


class ReadingOptions(TypedDict, total=False):
    """How a table is read, as far as the file itself does not say; explained at `fit`."""

    drop_missing: bool
    decimal: str
    thousands: str
    delimiter: str
    header: bool | None
    skip_rows: int
    encoding: str


def reading_of(given: ReadingOptions) -> Reading:
    """Return how a table is read.

    Raises:
        InputTypeError, InputValueError: an argument is unknown, or not what it must be.

    """
    for name, value in given.items():
        if name not in PLAIN._fields:
            raise InputTypeError(f"{name}: is not an argument")
        if isinstance(getattr(PLAIN, name), str) and not isinstance(value, str):
            raise InputTypeError(f"{name}: needs a string, got {value!r}")
        if name == "drop_missing" or (name == "header" and value is not None):
            require_flags(**{name: value})
    if "skip_rows" in given:
        (given["skip_rows"],) = wholes("skip_rows", given["skip_rows"])
    return PLAIN._replace(**given).checked()


def whole(value: Any) -> Any:
    """Return 1e5 as 100000; anything else is returned unchanged, and checked where it is used."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


def listed(name: str, values: Any) -> list[Any]:
    """Return a list of several values, of a single one, or of none.

    Raises:
        InputTypeError: the argument of this name is none of these.

    """
    if values is None:
        return []
    if isinstance(values, str | int | float | np.generic):
        return [values]
    try:
        return list(values)
    except TypeError:
        raise InputTypeError(f"{name}: needs a list, got {type(values).__name__}") from None


def wholes(name: str, values: Any) -> list[int]:
    """Return a list of whole numbers, which may be written 1e5.

    Raises:
        InputTypeError: one is something else.

    """
    found = [whole(value) for value in listed(name, values)]
    for value in found:
        if isinstance(value, bool) or not isinstance(value, int | np.integer):
            raise InputTypeError(f"{name}: needs a whole number, got {value!r}")
    return found


def named(backends: Any) -> list[str]:
    """Return a list of the names of backends, all of which exist.

    Raises:
        InputTypeError: a name is not a string.
        InputValueError: there is no backend of that name.

    """
    specs = listed("backends", backends)
    for spec in specs:
        if not isinstance(spec, str):
            raise InputTypeError(f"backends: needs names, got {type(spec).__name__}")
        registry.require(spec)
    return specs


def rate(lr: Any) -> Any:
    """Return a learning rate as it was given.

    Raises:
        InputTypeError: it is neither a number nor "auto".

    """
    if isinstance(lr, str) and lr != "auto":
        raise InputTypeError(f'lr: needs a number or "auto", got {lr!r}')
    if np.ndim(lr):
        raise InputTypeError("lr: needs one number; gradrace.rates compares several")
    return lr


def require_flags(**flags: Any) -> None:
    """Make sure that arguments are True or False.

    Raises:
        InputTypeError: one is something else, such as "no", which Python takes for true.

    """
    for name, flag in flags.items():
        if not isinstance(flag, bool | np.bool_):
            raise InputTypeError(f"{name}: needs True or False, got {flag!r}")


@in_python
def read_table(
    path: str | Path,
    target: Any = None,
    features: Sequence[Any] = (),
    *,
    exclude: Sequence[Any] = (),
    **reading: Unpack[ReadingOptions],
) -> Dataset:
    """Read a table of numbers into memory.

    `target` defaults to the last column, `features` to all others except those in `exclude`. The
    other arguments are those of `fit`.

    Raises:
        InputTypeError, InputValueError: an argument cannot be used, or the table cannot be read.

    """
    from gradrace.bench.data import reader

    names, left = (list(map(str, listed("", words))) for words in (features, exclude))
    column = None if target is None else str(target)
    return reader.read_table(path, column, names, exclude=left, reading=reading_of(reading))
