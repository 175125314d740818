"""Samples that are in Python already: arrays, and tables of pandas, Polars, pyarrow and others."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from backends.interface import Floats, InputTypeError, InputValueError, check_samples
from bench.data.samples import Dataset, unnamed
from bench.data.tables import Table, dataset_of, require_columns, without_index


def has_columns(data: Any) -> bool:
    """Whether something is a table with named columns."""
    return isinstance(data, dict) or (
        hasattr(data, "__arrow_c_stream__") and hasattr(data, "columns")
    )


def samples_of(
    X: Any, y: Any = None, target: str | None = None, features: Sequence[str] = ()
) -> Dataset:
    """Return samples with the names of their columns, as far as they have any.

    X (n, d) and y (n,) are arrays, or X is a table, and y a column of another. Without y, `target`
    names the column of the table to predict, by default the last one, and `features` those to
    predict it from, by default all others.

    Raises:
        InputTypeError, InputValueError: they are not samples; the message says why.

    """
    if not has_columns(X):
        if y is None:
            raise InputTypeError(
                "y: is missing; X is not a table of pandas, Polars or pyarrow with named columns"
            )
        X, y = check_samples(X, np.asarray(y))
        return Dataset("the samples", unnamed(X.shape[1]), "y", X, y, headless=True)
    table = table_of(X)
    if y is None:
        return dataset_of(table, target, _names(features))
    if target is not None:
        raise InputValueError("target: names a column of X, but y is given, too")
    names = _names(features) or table.columns
    candidates = (str(getattr(y, "name", None) or "y"), "y", "target", "the target")
    name = next(name for name in candidates if name not in names)
    X, y = check_samples(columns_of(X, names), np.asarray(y, dtype=np.float64))
    return Dataset(table.name, names, name, X, y)


def _names(features: Sequence[str]) -> tuple[str, ...]:
    return (features,) if isinstance(features, str) else tuple(map(str, features))


def table_of(data: Any) -> Table:
    """Return a table whose columns can be read by name.

    Raises:
        InputTypeError: pyarrow cannot read it.

    """
    try:
        if type(data).__module__.startswith("pandas"):
            found = pa.Table.from_pandas(data, preserve_index=False)  # it only names the rows
        else:
            found = pa.table(data)
    except (pa.ArrowInvalid, pa.ArrowTypeError, TypeError, ValueError) as error:
        raise InputTypeError(f"X: cannot be read as a table: {error}") from None
    return Table(
        "the table",
        "table",
        without_index(found.column_names),
        headless=False,
        _batches=lambda columns: iter(found.select(columns).combine_chunks().to_batches()),
    )


def columns_of(data: Any, names: Sequence[str]) -> Floats:
    """Return these columns of a table (n, len(names)), or an array as it is.

    Raises:
        InputTypeError, InputValueError: it is not a table, or has no such columns of numbers.

    """
    if not has_columns(data):
        return data  # type: ignore[no-any-return]  # its caller checks what this is
    table = table_of(data)
    require_columns(table.name, table.columns, names)
    return np.concatenate(table.rows(names) or [np.empty((0, len(names)))])
