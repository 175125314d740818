"""Read a user's table: CSV, TSV, Parquet, Feather, NPZ or NPY, from a file or standard input.

The format is recognized by the content: a file that does not begin like one of the binary formats
is text in columns. The first line of text holds the names of the columns, unless it is all numbers.
"""

import csv
import io
import re
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import psutil
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.feather
import pyarrow.parquet

from backends.interface import Floats, InputValueError
from bench.data.samples import Dataset, unnamed

STDIN = "-"

_MAGIC = {
    b"PAR1": "Parquet",
    b"ARROW1": "Feather",
    b"FEA1": "Feather",
    b"PK\x03\x04": "NPZ",
    b"\x93NUMPY": "NPY",
}
_SUFFIXES = {
    ".parquet": "Parquet",
    ".feather": "Feather",
    ".arrow": "Feather",
    ".npz": "NPZ",
    ".npy": "NPY",
}
_REFUSED = {
    b"\x1f\x8b": "is compressed; decompress it first",
    b"BZh": "is compressed; decompress it first",
    b"\x28\xb5\x2f\xfd": "is compressed; decompress it first",
    b"\xff\xfe": "is UTF-16 text; save it as UTF-8",
    b"\xfe\xff": "is UTF-16 text; save it as UTF-8",
    b"\xd0\xcf\x11\xe0": "is an old Office document; save the table as CSV",
}
MOST_BYTES = 2**30
"""The most that is read from a pipe, into memory; or a quarter of the free memory if less."""
MOST_OF_LINE = 2**26  # bytes of text
_SNIFFED = 4_096  # bytes
_CHUNK = 2**20
_SNIFFED_LINES = 10
_BATCH_ROWS = 8192  # few enough to stay in the cache while columns are copied to rows
_NUMERIC = (pa.types.is_integer, pa.types.is_floating, pa.types.is_boolean)


@dataclass(frozen=True)
class Table:
    """The columns of a file, by name; they are read on demand."""

    name: str
    kind: str
    columns: tuple[str, ...]
    headless: bool
    """Whether the columns are called x1, x2, … because the file has no names for them"""
    _batches: Callable[[list[str]], Iterator[pa.RecordBatch]]

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
        missing = set(columns).difference(self.columns)
        if missing:
            column = next(column for column in columns if column in missing)
            raise InputValueError(f"{self.name}: has no column {column!r}; it has {self.listing}")
        blocks: list[Floats] = []
        with _readable(self.name, self.kind):
            for batch in self._batches(list(columns)):
                done = sum(map(len, blocks))
                blocks.append(_numbers(self.name, batch.select(list(columns)), done))
        return blocks


def read_table(path: Path, target: str | None = None, features: Sequence[str] = ()) -> Dataset:
    """Read a table of numbers; the path `-` is standard input.

    `target` defaults to the last column, `features` to all others. One string in `features` may
    name several columns, separated by commas.

    Raises:
        InputValueError: as `open_table` and `Table.rows`, or a column is used twice, or there
            are fewer than two columns or rows.

    """
    table = open_table(path)
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
    return Dataset(table.name, tuple(chosen), target, X, y, table.headless)


def open_table(path: Path) -> Table:
    """Find out the format of a file and its columns.

    CSV columns without a name are left out: they hold the names of the rows, or nothing.

    An NPZ file holds either X (n, d) and y (n,), or one array (n,) per column. The columns of X,
    of an NPY matrix and of text without names are called x1, x2, …

    Raises:
        InputValueError: the file is missing, malformed or in an unknown format, or two of its
            columns have the same name.

    """
    name, source = _source(path)
    kind = _kind(name, path.suffix, source)
    openers = {
        "CSV": _open_csv,
        "Parquet": _open_parquet,
        "Feather": _open_feather,
        "NPZ": _open_npz,
        "NPY": _open_npy,
    }
    with _readable(name, kind):
        table = openers[kind](name, source)
    column, count = Counter(table.columns).most_common(1)[0] if table.columns else ("", 0)
    if count > 1:
        raise InputValueError(f"{name}: has more than one column {column!r}")
    return table


Source = Path | bytes


def kind_of(path: Path) -> str:
    """Return the format of a file, by its first bytes: CSV, Parquet, Feather, NPZ or NPY.

    Raises:
        InputValueError: it is missing, in an unknown format, or not in that of its suffix.

    """
    return _kind(str(path), path.suffix, path)


def _kind(name: str, suffix: str, source: Source) -> str:
    head = source[:_SNIFFED] if isinstance(source, bytes) else _first_bytes(source)
    _refuse_binary(name, head)
    kind = next((kind for magic, kind in _MAGIC.items() if head.startswith(magic)), "CSV")
    for magic, why in _REFUSED.items():
        if head.startswith(magic):
            raise InputValueError(f"{name}: {why}")
    if kind != (expected := _SUFFIXES.get(suffix.lower(), kind)):
        raise InputValueError(f"{name}: is not a readable {expected} file, by its first bytes")
    return kind


def _source(path: Path) -> tuple[str, Source]:
    """Return the name of a file for messages, and the file, or the whole content of a pipe.

    Raises:
        InputValueError: there is no such file, or a pipe contains no table or too much data.

    """
    if str(path) == STDIN:
        return "standard input", _all_of("standard input", sys.stdin.buffer)
    if not path.exists():
        raise InputValueError(f"{path}: no such file")
    if path.is_dir():
        raise InputValueError(f"{path}: is a folder")
    if path.is_file():
        return str(path), path
    with path.open("rb") as pipe:
        return str(path), _all_of(str(path), pipe)


def _all_of(name: str, pipe: BinaryIO) -> bytes:
    """Read a pipe to its end, as long as the data can be a table and fit in memory."""
    limit = min(MOST_BYTES, psutil.virtual_memory().available // 4)
    try:
        content = bytearray(pipe.read(_SNIFFED))
        _refuse_binary(name, content)
        while chunk := pipe.read(min(_CHUNK, limit + 1 - len(content))):
            content += chunk
            if len(content) > limit:
                raise InputValueError(
                    f"{name}: is longer than {limit / 2**20:,.0f} MiB, the most that is read "
                    "from a pipe; save the table to a file"
                )
    except OSError as error:
        raise OSError(error.errno, error.strerror, name) from error
    return bytes(content)


def _refuse_binary(name: str, start: bytes | bytearray) -> None:
    """Reject data that begins neither as text nor as a known kind of binary table."""
    if b"\0" in start and not start.startswith(tuple(_MAGIC | _REFUSED)):
        raise InputValueError(f"{name}: is neither text nor a known kind of binary table")


def _first_bytes(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(_SNIFFED)


@contextmanager
def _readable(name: str, kind: str) -> Iterator[None]:
    """Turn any error that a library raises on a malformed file into one line."""
    try:
        yield
    except (InputValueError, MemoryError):
        raise
    except Exception as error:  # every library raises its own types
        if isinstance(error, OSError) and error.errno is not None:
            raise
        reason = " ".join(str(error).split())
        raise InputValueError(f"{name}: is not a readable {kind} file: {reason}") from None


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
        for text in features
        for name in ([text] if text in names else map(str.strip, text.split(",")))
    ]


def _numbers(name: str, batch: pa.RecordBatch, done: int) -> Floats:
    """Return a batch as one array of finite numbers; `done` rows precede it in the file."""
    columns = [_plain(values) for values in batch.columns]
    for column, values in zip(batch.schema.names, columns, strict=True):
        if not any(is_kind(values.type) for is_kind in _NUMERIC):
            raise InputValueError(
                f"{name}: column {column!r} holds {values.type}, not numbers "
                "(--features can leave the column out)"
            )
        if values.null_count:
            row = done + pc.index(values.is_null(), pa.scalar(value=True)).as_py() + 1
            raise InputValueError(f"{name}: column {column!r}, row {row}: a value is missing")
    rows = np.empty((batch.num_rows, batch.num_columns))
    for j, values in enumerate(columns):
        rows[:, j] = values.to_numpy(zero_copy_only=False)
    if not np.isfinite(rows).all():
        i, j = (int(k) for k in np.argwhere(~np.isfinite(rows))[0])
        what = "a value is missing" if np.isnan(rows[i, j]) else f"{rows[i, j]} is not finite"
        column = batch.schema.names[j]
        raise InputValueError(f"{name}: column {column!r}, row {done + i + 1}: {what}")
    return rows


def _plain(values: Any) -> Any:
    """Return decimals as floats, and dictionary-encoded values as plain ones."""
    if pa.types.is_dictionary(values.type):
        values = values.dictionary_decode()
    return values.cast(pa.float64()) if pa.types.is_decimal(values.type) else values


# ---------------------------------------------------------------------------------------- text


def _open_csv(name: str, source: Source) -> Table:
    lines = _first_lines(name, source)
    delimiter, cells, headless = _layout(name, lines)
    parse = pyarrow.csv.ParseOptions(
        delimiter=delimiter,
        newlines_in_values=any(b'"' in line for line in lines),
        ignore_empty_lines=len(cells) > 1,  # in a single column, an empty line is a value
    )
    read = pyarrow.csv.ReadOptions(
        block_size=max(2**20, 8 * max(map(len, lines))),
        column_names=list(unnamed(len(cells))) if headless else None,
    )
    with pyarrow.csv.open_csv(_arrow(source), read, parse) as reader:
        inferred = reader.schema
    flags = {field.name for field in inferred if pa.types.is_boolean(field.type)}
    original = {column.strip(): column for column in inferred.names}

    def convert(columns: list[str], *, numbers: bool) -> Iterator[pa.RecordBatch]:
        kind: pa.DataType = pa.float64() if numbers else pa.string()
        kinds = dict.fromkeys((original[column] for column in columns), kind)
        if numbers:
            kinds |= {c: pa.bool_() for c in kinds if c in flags}
        options = pyarrow.csv.ConvertOptions(
            include_columns=list(kinds), column_types=kinds, strings_can_be_null=True
        )
        with pyarrow.csv.open_csv(_arrow(source), read, parse, options) as reader:
            for batch in reader:
                yield batch.rename_columns(columns)

    def batches(columns: list[str]) -> Iterator[pa.RecordBatch]:
        try:
            yield from convert(columns, numbers=True)
        except pa.ArrowInvalid:
            _refuse_text(name, convert(columns, numbers=False), {c.strip() for c in flags})
            raise

    columns = tuple(column.strip() for column in inferred.names if column.strip())
    return Table(name, "CSV", columns, headless, batches)


def layout(path: Path) -> tuple[str, list[str] | None]:
    """Return the delimiter of a text file, and names for its columns if it has none.

    Raises:
        InputValueError: it is empty, or a line is too long.

    """
    delimiter, cells, headless = _layout(str(path), _first_lines(str(path), path))
    return delimiter, list(unnamed(len(cells))) if headless else None


def _layout(name: str, lines: list[bytes]) -> tuple[str, list[str], bool]:
    """Return the delimiter, the cells of the first line, and whether they are no names."""
    if not lines:
        raise InputValueError(f"{name}: is empty")
    delimiter = _delimiter(lines)
    cells = next(csv.reader([lines[0].decode("utf-8-sig")], delimiter=delimiter))
    return delimiter, cells, all(map(_is_value, cells))


def _arrow(source: Source) -> Any:
    return pa.BufferReader(source) if isinstance(source, bytes) else source


def _first_lines(name: str, source: Source) -> list[bytes]:
    """Return the first lines that are not empty, and reject one that is too long."""
    lines: list[bytes] = []
    with io.BytesIO(source) if isinstance(source, bytes) else source.open("rb") as file:
        while len(lines) < _SNIFFED_LINES and (line := file.readline(MOST_OF_LINE + 1)):
            if len(line) > MOST_OF_LINE:
                most = f"{MOST_OF_LINE / 2**20:,.0f} MiB"
                raise InputValueError(f"{name}: is not a table: a line is longer than {most}")
            if line.strip():
                lines.append(line.rstrip(b"\r\n"))
    return lines


def _delimiter(lines: list[bytes]) -> str:
    """Return the delimiter: the character that occurs equally often in all of the first lines."""
    for delimiter in "\t;,":
        counts = {re.sub(rb'"[^"]*"', b"", line).count(delimiter.encode()) for line in lines}
        if len(counts) == 1 and counts != {0}:
            return delimiter
    return max(",;\t", key=lambda delimiter: lines[0].count(delimiter.encode()) if lines else 0)


def _is_value(text: str) -> bool:
    return not text or text.lower() in ("true", "false") or _is_number(text)


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return "_" not in text


def _refuse_text(name: str, batches: Iterator[pa.RecordBatch], flags: set[str]) -> None:
    """Report the first entry that is not a number or, in the columns `flags`, not a boolean."""
    done = 0
    for batch in batches:
        for column, values in zip(batch.schema.names, batch.columns, strict=True):
            row, text = _first_odd(values, _is_flag if column in flags else _is_number)
            if text is not None:
                why = "is neither true nor false" if column in flags else _why_no_number(text)
                raise InputValueError(
                    f"{name}: column {column!r}, row {done + row}: {text!r} {why}"
                )
        done += batch.num_rows


def _first_odd(values: Any, is_fine: Callable[[str], bool]) -> tuple[int, str | None]:
    """Return the row, counted from 1, and the text of the first value that is not fine."""
    odd = [text for text in pc.unique(values).to_pylist() if text is not None and not is_fine(text)]
    return min(((pc.index(values, text).as_py() + 1, text) for text in odd), default=(0, None))


def _is_flag(text: str) -> bool:
    return text.strip().lower() in ("true", "false", "0", "1")


def _why_no_number(text: str) -> str:
    if re.fullmatch(r"\s*[+-]?[\d.]*,\d+\s*", text):
        return "has a comma; write one and a half as 1.5, and thousands without commas"
    if re.match(r"\s*\d{1,4}[-/.]\d{1,2}[-/.]\d{1,4}", text):
        return "is a date, not a number (--features can leave the column out)"
    return "is not a number (--features can leave the column out)"


# -------------------------------------------------------------------------------------- binary


def _open_parquet(name: str, source: Source) -> Table:
    with pyarrow.parquet.ParquetFile(_arrow(source)) as file:
        names = _without_index(file.schema_arrow.names)

    def batches(columns: list[str]) -> Iterator[pa.RecordBatch]:
        with pyarrow.parquet.ParquetFile(_arrow(source)) as file:
            yield from file.iter_batches(_BATCH_ROWS, columns=columns)

    return Table(name, "Parquet", names, headless=False, _batches=batches)


def _open_feather(name: str, source: Source) -> Table:
    table = pyarrow.feather.read_table(_arrow(source), memory_map=False)

    def batches(columns: list[str]) -> Iterator[pa.RecordBatch]:
        yield from table.select(columns).to_batches(_BATCH_ROWS)

    return Table(
        name, "Feather", _without_index(table.column_names), headless=False, _batches=batches
    )


def _without_index(names: Sequence[str]) -> tuple[str, ...]:
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
