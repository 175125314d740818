"""Samples that are in Python already: arrays, and tables of pandas, Polars, pyarrow and others."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from gradrace.backends.interface import Floats, InputTypeError, InputValueError, check_samples
from gradrace.bench.data.samples import Dataset, unnamed
from gradrace.bench.data.table import (
    PLAIN,
    ColumnError,
    Reading,
    Table,
    dataset_of,
    is_numeric,
    require_columns,
    without_index,
)

_UNREADABLE = (pa.ArrowException, TypeError, ValueError, OverflowError)
"""What pyarrow raises on objects that it cannot convert"""


def has_columns(data: Any) -> bool:
    """Whether something is a table with named columns."""
    return isinstance(data, dict) or (
        hasattr(data, "__arrow_c_stream__") and hasattr(data, "columns")
    )


def samples_of(
    X: Any,
    y: Any = None,
    target: Any = None,
    features: Sequence[Any] = (),
    reading: Reading = PLAIN,
) -> Dataset:
    """Return samples with the names of their columns, as far as they have any.

    X (n, d) and y (n,) are arrays, or X is a table, and y a column of another. Without y, `target`
    names the column of the table to predict, by default the last one, and `features` those to
    predict it from, by default all others.

    Raises:
        InputTypeError, InputValueError: they are not samples; the message says why.

    """
    if isinstance(y, str):
        raise InputTypeError(f"y: needs one value per row; target={y!r} names a column of a table")
    if not has_columns(X):
        _require_no_series(X)
        if y is None:
            raise InputTypeError(
                f"y: is missing; X is of type {type(X).__name__}, not a table of pandas, Polars or "
                "pyarrow"
            )
        if target is not None or features:
            raise InputValueError("target and features: name columns, but X is an array")
        X, y = check_samples(*(_complete(X, y) if reading.drop_missing else (X, y)))
        return Dataset("the samples", unnamed(X.shape[1]), "y", X, y, headless=True)
    table = table_of(X, reading)
    names = tuple(map(str, features))
    if isinstance(target, list | np.ndarray) or hasattr(target, "to_frame"):
        raise InputTypeError("target: needs the name of a column; its values can be given as y")
    if y is None:
        return dataset_of(table, None if target is None else str(target), names)
    if target is not None:
        raise InputValueError("target: names a column of X, but y is given, too")
    names = names or table.columns
    candidates = (str(getattr(y, "name", None) or "y"), "y", "target", "the target")
    name = next(name for name in candidates if name not in names)
    return dataset_of(_beside(table, name, y), name, names)


def _require_no_series(X: Any) -> None:
    """Say how to make a table of what nearly is one."""
    kind = type(X).__name__
    if hasattr(X, "to_frame"):
        raise InputTypeError(f"X: is a {kind}, not a table; X.to_frame() turns it into one")
    if hasattr(X, "collect_schema"):
        raise InputTypeError(f"X: is a {kind}; X.collect() turns it into a table")


def _complete(X: Any, y: Any) -> tuple[Any, Any]:
    """Return the rows of X (n, d) and y (n,) without NaN; unusable arrays are left for a check."""
    X, y = _unmasked(X), _unmasked(y)
    if X.ndim != 2 or y.shape != (len(X),) or not {X.dtype.kind, y.dtype.kind} <= set("biuf"):
        return X, y
    whole = ~(np.isnan(X).any(axis=1) | np.isnan(y))
    return X[whole], y[whole]


def _unmasked(values: Any) -> Any:
    """Return an array, in which what was masked is NaN."""
    if isinstance(values, np.ma.MaskedArray):
        return np.ma.filled(values.astype(np.float64), np.nan)
    return np.asarray(values)


def table_of(data: Any, reading: Reading = PLAIN) -> Table:
    """Return a table whose columns can be read by name; it converts those that are used.

    Raises:
        InputTypeError: it has no columns with names.

    """
    names = _names_of(data)

    def batches(columns: list[str]) -> Iterator[pa.RecordBatch]:
        found = {name: _column(data, names, name) for name in columns}
        if len({len(column) for column in found.values()}) > 1:
            counts = ", ".join(f"{name!r} {len(column):,}" for name, column in found.items())
            raise InputValueError(f"the table: columns have unequal numbers of rows: {counts}")
        yield from pa.table(found).combine_chunks().to_batches()

    used = without_index(names)
    return Table("the table", "table", used, headless=False, _batches=batches, reading=reading)


def _beside(table: Table, name: str, y: Any) -> Table:
    """Return a table with one more column."""
    column = _column_of(y)

    def batches(columns: list[str]) -> Iterator[pa.RecordBatch]:
        others = [other for other in columns if other != name]
        parts = list(table._batches(others))
        if not parts:
            return
        found = pa.Table.from_batches(parts)
        if len(column) != found.num_rows:
            raise InputValueError(
                f"y: needs one value per row of X, {found.num_rows:,}, got {len(column):,}"
            )
        every = found.append_column(name, column).select(columns)
        yield from every.combine_chunks().to_batches()

    return replace(table, columns=(*table.columns, name), _batches=batches)


def _column_of(y: Any) -> "pa.ChunkedArray[Any]":
    """Return targets as a column of numbers, some of which may be missing."""
    if np.ndim(y) != 1:
        check_samples([[0.0]], np.zeros(np.shape(y)))  # says what is wrong
    try:
        found = pa.table({"y": y if hasattr(y, "__arrow_c_stream__") else pa.array(y)}).column("y")
    except _UNREADABLE:
        raise InputTypeError(f"y: needs real numbers, got {np.asarray(y).dtype}") from None
    if not is_numeric(found.type):
        raise InputTypeError(f"y: needs real numbers, got {found.type}")
    return found


def _names_of(data: Any) -> tuple[str, ...]:
    if isinstance(data, dict):
        return tuple(map(str, data))
    if isinstance(data, pa.Table | pa.RecordBatch):
        return tuple(data.column_names)
    return tuple(map(str, data.columns))


def _column(data: Any, names: Sequence[str], name: str) -> "pa.ChunkedArray[Any]":
    """Return a column of a table; pandas may call it by anything.

    Raises:
        InputTypeError: pyarrow cannot convert it.
        InputValueError: there are several of this name.

    """
    if names.count(name) > 1:
        raise InputValueError(f"the table: has more than one column {name!r}")
    place = names.index(name)
    kind = type(data).__module__.partition(".")[0]
    if isinstance(data, dict) and np.isscalar(list(data.values())[place]):
        value = list(data.values())[place]
        raise InputTypeError(f"the table: column {name!r} needs a list, got {value!r}")
    try:
        if isinstance(data, dict):
            return pa.chunked_array([pa.array(list(data.values())[place])])
        if kind == "pandas":
            one = data.iloc[:, [place]].set_axis(["x"], axis=1)
            return pa.Table.from_pandas(one, preserve_index=False).column(0)
        if kind in ("polars", "pyarrow"):
            return pa.table(data.select([name])).column(0)
        return pa.table(data).column(place)
    except _UNREADABLE as error:
        reason = error.args[0] if error.args else error
        raise InputTypeError(
            f"the table: column {name!r} cannot be read as numbers: {reason}"
        ) from None


def columns_of(data: Any, names: Sequence[str]) -> Floats:
    """Return these columns of a table or a file (n, len(names)), or an array as it is.

    Raises:
        InputTypeError, InputValueError: it is not a table, or has no such columns of numbers.

    """
    if not has_columns(data):
        _require_no_series(data)
    if isinstance(data, str | Path):
        from gradrace.bench.data.table_files import open_table

        table = open_table(Path(data))
    elif has_columns(data):
        table = table_of(data)
    else:
        return data  # type: ignore[no-any-return]  # its caller checks what this is
    require_columns(table.name, table.columns, names)
    try:
        return np.concatenate(table.rows(names) or [np.empty((0, len(names)))])
    except ColumnError as error:
        raise InputValueError(f"{error}; the model needs it") from None
