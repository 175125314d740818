"""Tables in memory: frames of pandas, Polars and pyarrow, dictionaries, arrays; NPZ and NPY."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import psutil

from gradrace.backends.interface import InputTypeError, InputValueError, check_samples
from gradrace.bench.data.arrow_files import index_of, stripped, table_columns
from gradrace.bench.data.batches import Columns
from gradrace.bench.data.blocks import oddity
from gradrace.bench.data.samples import Dataset, unnamed
from gradrace.bench.data.sources import PLAIN, Reading, Source, readable, seekable
from gradrace.bench.data.table import File, Table

_ROWS = 2**16  # that are converted at once


def has_columns(data: Any) -> bool:
    """Whether something is a table with named columns."""
    if isinstance(data, dict) or (isinstance(data, np.ndarray) and data.dtype.names):
        return True
    return hasattr(data, "__arrow_c_stream__") and (
        hasattr(data, "columns") or hasattr(data, "schema")
    )


def samples_of(
    X: Any,
    y: Any = None,
    target: Any = None,
    features: Sequence[Any] = (),
    exclude: Sequence[Any] = (),
    reading: Reading = PLAIN,
) -> Dataset:
    """Return samples with the names of their columns, as far as they have any.

    X (n, d) and y (n,) are arrays, or X is a table, and y a column of another. Without y, `target`
    names the column of the table to predict, by default the last one, and `features` those to
    predict it from, by default all others except those in `exclude`. An `InputTypeError` or an
    `InputValueError` says why they are not samples.
    """
    if isinstance(y, str):
        raise InputTypeError(f"y: needs one value per row; target={y!r} names a column of a table")
    if not has_columns(X):
        require_no_series(X)
        if y is None:
            raise InputTypeError(
                f"y: is missing; X is of type {type(X).__name__}, not a table of pandas, Polars or "
                "pyarrow"
            )
        if target is not None or features or exclude:
            raise InputValueError("target, features and exclude: name columns, but X is an array")
        X = dense(X)
        if reading.drop_missing and np.ndim(X) == 2 and np.ndim(y) == 1:
            matrix = _matrix("the samples", np.ma.asanyarray(X))
            beside = _beside(Table(matrix.name, (matrix,), reading), "y", y)
            return beside.samples(beside.use("y"))
        X, y = check_samples(X, y)
        return Dataset("the samples", unnamed(X.shape[1]), "y", X, y, headless=True)
    table = table_of(X, reading)
    names, left = (tuple(map(str, words)) for words in (features, exclude))
    if isinstance(target, list | np.ndarray) or hasattr(target, "to_frame"):
        raise InputTypeError("target: needs the name of a column; its values can be given as y")
    if y is None:
        target = None if target is None else str(target)
        return table.samples(table.use(target, names, left))
    if target is not None:
        raise InputValueError("target: names a column of X, but y is given, too")
    require_same_index(X, y)
    own = getattr(y, "name", None) or [*getattr(y, "columns", ()), "y"][0]
    candidates = (str(own).strip(), "y", "target", "the target")
    name = next(name for name in candidates if name not in table.offered)
    beside = _beside(table, name, y)
    return beside.samples(beside.use(name, names, left))


def require_no_series(X: Any) -> None:
    """Say how to make a table of what nearly is one."""
    kind = type(X).__name__
    if hasattr(X, "to_frame"):
        raise InputTypeError(f"X: is a {kind}, not a table; X.to_frame() turns it into one")
    if hasattr(X, "collect_schema"):
        raise InputTypeError(f"X: is a {kind}; X.collect() turns it into a table")


def require_same_index(X: Any, y: Any) -> None:
    """Make sure that X and y, if both are of pandas, have the same labels in the same order."""
    here: Any = getattr(X, "index", None)
    there: Any = getattr(y, "index", None)
    if not hasattr(here, "equals") or not hasattr(there, "equals"):
        return
    if len(here) != len(there) or here.equals(there):
        return
    for row, (a, b) in enumerate(zip(here, there, strict=True), 1):
        if a != b:
            raise InputValueError(
                f"X and y: their indexes differ: row {row:,} is {a!r} in X and {b!r} in y; "
                "y.loc[X.index] puts y in the order of X, y.to_numpy() ignores labels"
            )


def dense(X: Any) -> Any:
    """Return a sparse matrix or frame as a dense one; anything else as it is.

    Raises `InputValueError` if it would take more than half of the free memory.
    """
    is_matrix = hasattr(X, "toarray") and hasattr(X, "nnz")
    if not is_matrix and not any(hasattr(kind, "fill_value") for kind in getattr(X, "dtypes", ())):
        return X
    needed, free = 8 * np.prod(X.shape, dtype=float), psutil.virtual_memory().available
    if needed > free / 2:
        raise InputValueError(
            f"X: is sparse; dense, it takes {needed / 1e9:,.3g} GB, more than half of the free "
            f"memory, {free / 1e9:,.3g} GB"
        )
    return X.toarray() if is_matrix else X


def table_of(data: Any, reading: Reading = PLAIN) -> Table:
    """Return a table whose columns can be found by name; those that are used are converted.

    Raises `InputTypeError` or `InputValueError` if its columns are not columns.
    """
    name = "the table"
    if isinstance(data, dict) and any(hasattr(values, "iloc") for values in data.values()):
        import pandas as pd

        try:
            data = pd.DataFrame(data)  # rows belong together by their labels
        except ValueError as error:
            raise InputValueError(f"{name}: {error}") from None
    if isinstance(data, dict):
        for column, values in data.items():
            if np.isscalar(values):
                raise InputTypeError(f"{name}: column {column!r} needs a list, got {values!r}")
        file = in_memory(name, {str(column): _array(v) for column, v in data.items()})
    elif isinstance(data, np.ndarray):
        file = in_memory(name, {field: data[field] for field in data.dtype.names or ()})
    elif hasattr(data, "iloc"):  # pandas
        dense(data)
        labels = stripped(list(map(str, data.columns)))
        columns = partial(_slices, name, labels, lambda place: data.iloc[:, place])
        file = File(name, labels, columns, (len(data),))
    else:
        import pyarrow as pa

        try:
            table = pa.table(data)
        except pa.ArrowException:  # of a type that only the library of the frame knows
            return table_of(data.to_dict(as_series=False), reading)
        index, columns = index_of(table.schema), partial(table_columns, table)
        file = File(name, stripped(table.column_names), columns, (table.num_rows,), index=index)
    return Table(name, (file,), reading)


def _array(values: Any) -> Any:
    """Return a column of a dictionary as something that has a type."""
    if hasattr(values, "to_arrow"):  # of Polars
        import pyarrow as pa

        try:
            return values.to_arrow()
        except pa.ArrowException:  # of a type that only Polars knows
            return np.array(values.to_list(), dtype=object)
    if isinstance(values, np.ndarray) or hasattr(values, "iloc") or hasattr(values, "slice"):
        return values
    if hasattr(values, "dtype"):  # an array of pandas
        import pandas as pd

        return pd.Series(values)
    try:
        return np.asarray(values)
    except ValueError:  # of unequal length
        return np.asarray(values, dtype=object)


def in_memory(name: str, columns: dict[str, Any], *, headless: bool = False) -> File:
    """Return a table of arrays, or of columns of other kinds."""
    labels, values = stripped(list(columns)), tuple(columns.values())
    rows = len(values[0]) if values and np.ndim(values[0]) else 0
    return File(name, labels, partial(_slices, name, labels, values.__getitem__), (rows,), headless)


def _slices(
    name: str,
    names: Sequence[str],
    get: Callable[[int], Any],
    _groups: Sequence[int] | None,
    places: Sequence[int],
) -> Iterator[list[Any]]:
    """Yield columns in memory, some rows at a time."""
    found = {names[place]: get(place) for place in places}
    shapes = {name: np.shape(values) for name, values in found.items()}
    for column, shape in shapes.items():
        if len(shape) != 1:
            raise InputValueError(
                f"{name}: column {column!r} has shape {shape}, not one value per row"
            )
    if len(set(shapes.values())) > 1:
        counts = ", ".join(f"{column!r} {shape[0]:,}" for column, shape in shapes.items())
        raise InputValueError(f"{name}: columns have unequal numbers of rows: {counts}")
    for start in range(0, next(iter(shapes.values()))[0], _ROWS):
        rows = slice(start, start + _ROWS)
        yield [v.iloc[rows] if hasattr(v, "iloc") else v[rows] for v in found.values()]


def _matrix(name: str, array: Any, **others: Any) -> File:
    """Return the columns of a matrix (n, d), called x1, x2, …, and others."""
    columns = dict(zip(unnamed(array.shape[1]), array.T, strict=True))
    return in_memory(name, columns | others, headless=True)


def _beside(table: Table, name: str, y: Any) -> Table:
    """Return a table with one more column."""
    (file,) = table.files
    if hasattr(y, "iloc") and np.shape(y) == (len(y), 1):
        y = y.iloc[:, 0]
    y = _array(y)
    if np.ndim(y) != 1:
        check_samples([[0.0]], np.zeros(np.shape(y)))  # says what is wrong
    if odd := oddity(y):
        raise InputTypeError(f"y: needs real numbers, got {odd}")
    if len(y) != sum(file.groups):
        raise InputValueError(
            f"y: needs one value per row of X, {sum(file.groups):,}, got {len(y):,}"
        )
    columns: Columns = partial(_with_column, file.columns, len(file.names), y)
    both = replace(file, names=(*file.names, name), columns=columns)
    return Table(table.name, (both,), table.reading)


def _with_column(
    columns: Columns, last: int, y: Any, groups: Sequence[int] | None, places: Sequence[int]
) -> Iterator[list[Any]]:
    """Yield columns of a table, and, as the last one, y."""
    done = 0
    for found in columns(groups, [place for place in places if place != last]):
        rows = slice(done, done + len(found[0]))
        beside = y.iloc[rows] if hasattr(y, "iloc") else y[rows]
        yield [*found, beside] if last in places else found
        done = rows.stop


def npy_file(source: Source) -> File:
    """Return a matrix, whose columns are called x1, x2, …, or an array of records."""
    content = source.whole()
    with readable(source.name, "NPY"):
        array = np.load(seekable(content), mmap_mode=None if isinstance(content, bytes) else "r")
    if array.dtype.names:
        return in_memory(source.name, {name: array[name] for name in array.dtype.names})
    if array.ndim != 2:
        raise InputValueError(f"{source.name}: needs shape (n, columns), got {array.shape}")
    return _matrix(source.name, array)


def npz_file(source: Source) -> File:
    """Return X (n, d), whose columns are called x1, x2, …, and y (n,), or one array per column."""
    content = source.whole()
    with readable(source.name, "NPZ"), np.load(seekable(content)) as file:
        names = list(file.files)
        if set(names) <= {"X", "y"} and "X" in names and (X := file["X"]).ndim == 2:
            return _matrix(source.name, X, **({"y": file["y"]} if "y" in names else {}))
        shapes = {name: _shape(file, name) for name in names}
    known = {shape for shape in shapes.values() if shape is not None}
    if len(known) > 1 or any(len(shape) != 1 for shape in known):
        held = ", ".join(f"{name} of shape {shape}" for name, shape in shapes.items())
        raise InputValueError(
            f"{source.name}: holds {held}; it needs X of shape (n, d) and y of shape (n,), or an "
            "array of shape (n,) for each column"
        )
    rows = next((shape[0] for shape in shapes.values() if shape), 0)
    columns = partial(_npz_columns, source.name, content, tuple(names))
    return File(source.name, stripped(names), columns, (rows,))


def _shape(file: Any, name: str) -> tuple[int, ...] | None:
    """Return the shape of an array in an NPZ file; None if it cannot be loaded."""
    try:
        return tuple(np.shape(file[name]))
    except ValueError:  # objects
        return None


def _npz_columns(
    name: str,
    content: Path | bytes,
    names: Sequence[str],
    groups: Sequence[int] | None,
    places: Sequence[int],
) -> Iterator[list[Any]]:
    with readable(name, "NPZ"), np.load(seekable(content)) as file:
        yield from _slices(name, names, lambda place: file[names[place]], groups, places)
