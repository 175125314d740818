"""Read a user's table: CSV, TSV, Parquet, Feather, NPZ or NPY, from a file or standard input.

The format is recognized by the content: a file that does not begin like one of the binary formats
is text in columns. The first line of text holds the names of the columns, unless it is all numbers.
"""

import io
import re
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.feather
import pyarrow.parquet
from numpy.typing import NDArray

from backends.interface import Floats, InputValueError
from bench.data import text_tables
from bench.data.samples import Dataset, unnamed
from bench.data.sources import Source, arrow, is_stream, kind_of_source, readable, source_of

_BATCH_ROWS = 8192  # few enough to stay in the cache while columns are copied to rows
_NUMERIC = (pa.types.is_integer, pa.types.is_floating, pa.types.is_boolean)


class Reading(NamedTuple):
    """How a table is read, as far as it cannot say itself."""

    decimal: str = "."
    """The decimal point of text"""
    encoding: str = "utf-8"
    """The encoding of text"""
    drop_missing: bool = False
    """Whether rows with a missing value are left out"""


PLAIN = Reading()


@dataclass(frozen=True)
class Table:
    """The columns of a file, by name; they are read on demand."""

    name: str
    kind: str
    columns: tuple[str, ...]
    headless: bool
    """Whether the columns are called x1, x2, … because the file has no names for them"""
    _batches: Callable[[list[str]], Iterator[pa.RecordBatch]]
    reading: Reading = PLAIN
    unnamed: str = ""
    """What is not among the columns, because it only numbers or names the rows; empty if nothing"""

    @property
    def listing(self) -> str:
        """The names of the columns, at most the first twenty."""
        return _listed(self.columns)

    def rows(self, columns: Sequence[str]) -> list[Floats]:
        """Return these columns as float64, in consecutive blocks (rows, len(columns)).

        Raises:
            InputValueError: there is no such column, or it holds anything but finite
                numbers; the message names the column and, where it can, the row.

        """
        require_columns(self.name, self.columns, columns)
        blocks: list[Floats] = []
        done = 0
        with readable(self.name, self.kind):
            for batch in self._batches(list(columns)):
                chosen = batch.select(list(columns))
                _require_numbers(self.name, chosen)
                missing = _missing(chosen)
                if missing.any() and not self.reading.drop_missing:
                    raise InputValueError(self._what_is_missing(columns))
                kept = chosen.filter(pa.array(~missing)) if missing.any() else chosen
                blocks.append(_numbers(self.name, kept, done))
                done += batch.num_rows
        return blocks

    def count(self, columns: Sequence[str]) -> int:
        """Return how many rows these columns have, with those that miss a value."""
        return sum(batch.num_rows for batch in self._batches(list(columns)))

    def _what_is_missing(self, columns: Sequence[str]) -> str:
        """Name the first missing value, and count the rows and columns that miss something."""
        first, rows, gaps, incomplete = "", 0, 0, set[str]()
        for batch in self._batches(list(columns)):
            chosen = batch.select(list(columns))
            flags = {name: _is_missing(chosen.column(name)) for name in columns}
            places = {name: int(np.argmax(found)) for name, found in flags.items() if found.any()}
            if places and not first:
                name = min(places, key=places.__getitem__)
                first = f"column {name!r}, row {rows + places[name] + 1}: a value is missing"
            incomplete |= places.keys()
            gaps += int(_missing(chosen).sum())
            rows += batch.num_rows
        if gaps == 1:
            return f"{self.name}: {first} (--drop-missing leaves the row out)"
        names = _listed([repr(name) for name in columns if name in incomplete])
        return (
            f"{self.name}: {first}; {gaps:,} of {rows:,} rows miss something, in {names} "
            "(--drop-missing leaves them out)"
        )


def _missing(batch: pa.RecordBatch) -> NDArray[np.bool_]:
    """Return which rows miss a value."""
    found: NDArray[np.bool_] = np.zeros(batch.num_rows, dtype=bool)
    for values in batch.columns:
        found |= _is_missing(values)
    return found


def _is_missing(values: Any) -> NDArray[np.bool_]:
    found: NDArray[np.bool_] = pc.is_null(values, nan_is_null=True).to_numpy(zero_copy_only=False)
    return found


def read_table(
    path: Path,
    target: str | None = None,
    features: Sequence[str] = (),
    reading: Reading = PLAIN,
) -> Dataset:
    """Read a table of numbers; the path `-` is standard input.

    `target` defaults to the last column, `features` to all others. One string in `features` may
    name several columns, separated by commas.

    Raises:
        InputValueError: as `open_table` and `Table.rows`, or a column is used twice, or there
            are fewer than two columns or rows.

    """
    return dataset_of(open_table(path, reading), target, features)


def dataset_of(table: Table, target: str | None = None, features: Sequence[str] = ()) -> Dataset:
    """Return the samples that some columns of a table hold.

    Raises:
        InputValueError: as `read_table`.

    """
    *chosen, target = choose(table.name, table.columns, target, tuple(features))
    blocks = table.rows([*chosen, target])
    n = sum(map(len, blocks))
    if n < 2:
        raise InputValueError(f"{table.name}: needs at least two rows, has {n}")
    y = np.concatenate([block[:, -1] for block in blocks])
    X = np.empty((n, len(chosen)))
    while blocks:  # each is freed once it is copied, so large tables are not held twice
        block = blocks.pop()
        X[n - len(block) : n] = block[:, :-1]
        n -= len(block)
    dropped = table.count([*chosen, target]) - len(y) if table.reading.drop_missing else 0
    rows = f"{dropped:,} row{'s' * (dropped != 1)}"
    remarks = [
        *([f"Not used: {table.unnamed}."] if table.unnamed else []),
        *([f"Left out: {rows} with a missing value."] if dropped else []),
    ]
    return Dataset(table.name, tuple(chosen), target, X, y, table.headless, remarks=tuple(remarks))


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


def require_columns(table: str, names: Collection[str], wanted: Sequence[str]) -> None:
    """Make sure that a table, which has columns of these names, has those that are wanted.

    Raises:
        InputValueError: one is missing.

    """
    missing = [name for name in wanted if name not in names]
    if missing:
        listed = _listed(tuple(names))
        raise InputValueError(f"{table}: has no column {missing[0]!r}; it has {listed}")


def choose(
    table: str, names: Sequence[str], target: str | None, features: tuple[str, ...]
) -> list[str]:
    """Return the names of the columns to use, with the target last; the table has these `names`.

    Raises:
        InputValueError: there are fewer than two columns, or one is used twice.

    """
    if len(names) < 2:
        raise InputValueError(
            f"{table}: needs a feature and a target, has {', '.join(map(repr, names))} alone"
        )
    target = names[-1] if target is None else target
    chosen = [*(_split(names, features) or [name for name in names if name != target]), target]
    if len(set(chosen)) < len(chosen):
        raise InputValueError(f"{table}: a column is used twice: {_listed(chosen)}")
    return chosen


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names[:20]) + (", …" if len(names) > 20 else "")


def _split(names: Sequence[str], features: tuple[str, ...]) -> list[str]:
    """Split at commas whatever is not a column name, since one string may hold several names."""
    return [
        name
        for words in features
        for name in ([words] if words in names else map(str.strip, words.split(",")))
    ]


def _require_numbers(name: str, batch: pa.RecordBatch) -> None:
    """Make sure that all columns of a batch hold numbers."""
    for column, values in zip(batch.schema.names, batch.columns, strict=True):
        kind = _plain(values).type
        if not any(is_kind(kind) for is_kind in _NUMERIC):
            raise InputValueError(
                f"{name}: column {column!r} holds {kind}, not numbers "
                "(--features can leave the column out)"
            )


def _numbers(name: str, batch: pa.RecordBatch, done: int) -> Floats:
    """Return a batch as one array of finite numbers; `done` rows precede it in the file."""
    rows = np.empty((batch.num_rows, batch.num_columns))
    for j, values in enumerate(batch.columns):
        rows[:, j] = _plain(values).to_numpy(zero_copy_only=False)
    if not np.isfinite(rows).all():
        i, j = (int(k) for k in np.argwhere(~np.isfinite(rows))[0])
        place = f"column {batch.schema.names[j]!r}, row {done + i + 1}"
        raise InputValueError(f"{name}: {place}: {rows[i, j]} is not finite")
    return rows


def _plain(values: Any) -> Any:
    """Return decimals as floats, and dictionary-encoded values as plain ones."""
    if pa.types.is_dictionary(values.type):
        values = values.dictionary_decode()
    return values.cast(pa.float64()) if pa.types.is_decimal(values.type) else values


def _open_csv(name: str, source: Source, reading: Reading) -> Table:
    layout = text_tables.layout(name, source, reading.decimal, reading.encoding)
    parse, read = layout.parse_options(), layout.read_options()
    with pyarrow.csv.open_csv(arrow(source), read, parse) as reader:
        inferred = reader.schema
    flags = {field.name for field in inferred if pa.types.is_boolean(field.type)}
    original = {column.strip(): column for column in inferred.names}

    def convert(columns: list[str], *, numbers: bool) -> Iterator[pa.RecordBatch]:
        kind: pa.DataType = pa.float64() if numbers else pa.string()
        kinds = dict.fromkeys((original[column] for column in columns), kind)
        if numbers:
            kinds |= {c: pa.bool_() for c in kinds if c in flags}
        options = pyarrow.csv.ConvertOptions(
            include_columns=list(kinds),
            column_types=kinds,
            strings_can_be_null=True,
            decimal_point=reading.decimal,
        )
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


def without_index(names: Sequence[str]) -> tuple[str, ...]:
    """Leave out the row names that pandas adds; they are not columns of the user's table."""
    return tuple(name for name in names if not re.fullmatch(r"__index_level_\d+__", name))


def _open_npz(name: str, source: Source) -> Table:
    def arrays() -> Any:
        return np.load(io.BytesIO(source) if isinstance(source, bytes) else source)

    with arrays() as file:
        names = list(file.files)
        if any("/" in column for column in names):
            raise InputValueError(f"{name}: is no NPZ file; save an Excel table as CSV")
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
