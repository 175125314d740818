"""Read a user's table: CSV, TSV, Parquet, Feather, NPZ or NPY, from a file or standard input.

The format is recognized by the content: a file that does not begin like one of the binary formats
is text in columns. The first line of text holds the names of the columns, unless it is all numbers.
"""

import io
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.feather
import pyarrow.parquet

from gradrace.backends.interface import InputValueError
from gradrace.bench.data import text_tables
from gradrace.bench.data.samples import Dataset, unnamed
from gradrace.bench.data.sources import (
    Source,
    arrow,
    is_stream,
    kind_of_source,
    readable,
    source_of,
)
from gradrace.bench.data.table import PLAIN, Reading, Table, dataset_of, without_index

_BATCH_ROWS = 8192  # few enough to stay in the cache while columns are copied to rows


def read_table(
    path: str | Path,
    target: str | None = None,
    features: Sequence[str] = (),
    *,
    decimal: str = ".",
    encoding: str = "utf-8",
    drop_missing: bool = False,
) -> Dataset:
    """Read a table of numbers; the path `-` is standard input.

    `target` defaults to the last column, `features` to all others. One string in `features` may
    name several columns, separated by commas. `decimal`, . or a comma, and `encoding` are those of
    text; with `drop_missing`, rows with a missing value are left out.

    Raises:
        InputValueError: as `open_table` and `dataset_of`.

    """
    reading = Reading.of(decimal, encoding, drop_missing=drop_missing)
    return dataset_of(open_table(Path(path), reading), target, features)


def open_table(path: Path, reading: Reading = PLAIN) -> Table:
    """Find out the format of a file and its columns.

    CSV columns without a name are left out: they hold the names of the rows, or nothing.

    An NPZ file holds either X (n, d) and y (n,), or one array (n,) per column. The columns of X,
    of an NPY matrix and of text without names are called x1, x2, …

    Raises:
        InputValueError: the file is missing, malformed or in an unknown format, or two of its
            columns have the same name.

    """
    name, source = source_of(path)
    kind = kind_of_source(name, path.suffix, source)
    openers: dict[str, Callable[[str, Source], Table]] = {
        "CSV": partial(_open_csv, reading=reading),
        "Parquet": _open_parquet,
        "Feather": _open_feather,
        "NPZ": _open_npz,
        "NPY": _open_npy,
    }
    with readable(name, kind):
        table = replace(openers[kind](name, source), reading=reading)
    column, count = Counter(table.columns).most_common(1)[0] if table.columns else ("", 0)
    if count > 1:
        raise InputValueError(f"{name}: has more than one column {column!r}")
    return table


def _open_csv(name: str, source: Source, reading: Reading) -> Table:
    layout = text_tables.layout(name, source, reading.decimal, reading.encoding)
    parse, read = layout.parse_options(), layout.read_options()
    infer = text_tables.convert_options(reading.decimal)
    with pyarrow.csv.open_csv(arrow(source), read, parse, infer) as reader:
        inferred = reader.schema
    flags = {field.name for field in inferred if pa.types.is_boolean(field.type)}
    original = {column.strip(): column for column in inferred.names}

    def convert(columns: list[str], *, numbers: bool) -> Iterator[pa.RecordBatch]:
        kind: pa.DataType = pa.float64() if numbers else pa.string()
        kinds = dict.fromkeys((original[column] for column in columns), kind)
        if numbers:
            kinds |= {c: pa.bool_() for c in kinds if c in flags}
        options = text_tables.convert_options(reading.decimal)
        options.include_columns, options.column_types = list(kinds), kinds
        with pyarrow.csv.open_csv(arrow(source), read, parse, options) as reader:
            for batch in reader:
                yield batch.rename_columns(columns)

    def batches(columns: list[str]) -> Iterator[pa.RecordBatch]:
        try:
            yield from convert(columns, numbers=True)
        except pa.ArrowInvalid:
            text_tables.refuse_text(
                name,
                convert(columns, numbers=False),
                {c.strip() for c in flags},
                reading.decimal,
            )
            raise

    columns = tuple(column.strip() for column in inferred.names if column.strip())
    blank = len(inferred.names) - len(columns)
    left = "a column without a name" if blank == 1 else f"{blank} columns without a name"
    return Table(name, "CSV", columns, layout.headless, batches, unnamed=left * (blank > 0))


def _open_parquet(name: str, source: Source) -> Table:
    with pyarrow.parquet.ParquetFile(arrow(source)) as file:
        every = file.schema_arrow.names
    names = without_index(every)

    def batches(columns: list[str]) -> Iterator[pa.RecordBatch]:
        with pyarrow.parquet.ParquetFile(arrow(source)) as file:
            yield from file.iter_batches(_BATCH_ROWS, columns=columns)

    index = _INDEX * (len(names) < len(every))
    return Table(name, "Parquet", names, headless=False, _batches=batches, unnamed=index)


def _open_feather(name: str, source: Source) -> Table:
    if is_stream(source):
        with pa.ipc.open_stream(arrow(source)) as reader:
            table = reader.read_all()
    else:
        table = pyarrow.feather.read_table(arrow(source), memory_map=False)

    def batches(columns: list[str]) -> Iterator[pa.RecordBatch]:
        yield from table.select(columns).to_batches(_BATCH_ROWS)

    names = without_index(table.column_names)
    index = _INDEX * (len(names) < table.num_columns)
    return Table(name, "Feather", names, headless=False, _batches=batches, unnamed=index)


_INDEX = "the row names that pandas added"


def _open_npz(name: str, source: Source) -> Table:
    def arrays() -> Any:
        return np.load(io.BytesIO(source) if isinstance(source, bytes) else source)

    with arrays() as file:
        names = list(file.files)
        if any("/" in column for column in names):
            raise InputValueError(f"{name}: is not an NPZ file; save an Excel table as CSV")
        if set(names) <= {"X", "y"} and "X" in names and (X := file["X"]).ndim == 2:
            matrix = dict(zip(unnamed(X.shape[1]), X.T, strict=True))
            others = {"y": file["y"]} if "y" in names else {}
            return _of_arrays(name, matrix | others, headless=True)

    def batches(columns: list[str]) -> Iterator[pa.RecordBatch]:
        with arrays() as file:
            yield from _array_batches(name, {column: file[column] for column in columns})

    return Table(name, "NPZ", tuple(names), headless=False, _batches=batches)


def _open_npy(name: str, source: Source) -> Table:
    array = np.load(io.BytesIO(source) if isinstance(source, bytes) else source)
    if array.dtype.names:
        return _of_arrays(name, {column: array[column] for column in array.dtype.names})
    if array.ndim != 2:
        raise InputValueError(f"{name}: needs shape (n, columns), got {array.shape}")
    columns = dict(zip(unnamed(array.shape[1]), array.T, strict=True))
    return _of_arrays(name, columns, headless=True)


def _of_arrays(name: str, arrays: dict[str, Any], *, headless: bool = False) -> Table:
    def batches(columns: list[str]) -> Iterator[pa.RecordBatch]:
        return _array_batches(name, {column: arrays[column] for column in columns})

    return Table(name, "NumPy", tuple(arrays), headless, batches)


def _array_batches(name: str, arrays: dict[str, Any]) -> Iterator[pa.RecordBatch]:
    for column, values in arrays.items():
        if not isinstance(values, np.ndarray):
            raise InputValueError(f"{name}: {column!r} is not an array")
        if values.ndim != 1 or values.dtype.kind not in "biuf":
            kind = f"{values.dtype} of shape {values.shape}"
            raise InputValueError(f"{name}: {column!r} holds {kind}, not numbers of shape (n,)")
    lengths = {column: len(values) for column, values in arrays.items()}
    if len(set(lengths.values())) > 1:
        counts = ", ".join(f"{column!r} {length:,}" for column, length in lengths.items())
        raise InputValueError(f"{name}: the columns have unequal numbers of rows: {counts}")
    for start in range(0, max(lengths.values()), _BATCH_ROWS):
        rows = slice(start, start + _BATCH_ROWS)
        yield pa.record_batch({c: values[rows].astype(np.float64) for c, values in arrays.items()})
