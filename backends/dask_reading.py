"""Where the partitions of the rung `dask` come from: arrays, Dask arrays, and files.

A partition is a recipe, the arguments of a function that yields its samples batch by batch. The
functions that read run on workers, which may have NumPy and pyarrow but not this package, so they
are sent there, and use nothing else from here.
"""

from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from functools import partial
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np

from backends.interface import Floats, InputValueError, Samples

Batches = Iterator[Samples]
"""Consecutive samples, X (m, d) and y (m,), m ≥ 0."""

_PARTITION = 2**21  # values of X and y in a partition of arrays, 16 MB
_FILE_PART = 2**24  # values of the columns used in a partition of a file, 128 MB; more if there
_TEXT_PART = 2**25  # bytes of a partition of a text file
_LINE = 2**16  # bytes that are searched for the end of a line
_MOST_PARTS = 2**16  # would be more partitions than this


class Partitions(NamedTuple):
    """Samples as recipes."""

    read: Callable[..., Batches]
    """Returns the samples of a partition; it gets the values of one of the `recipes`."""
    recipes: Sequence[tuple[Hashable, ...]]
    """One per partition; a key of `graph` stands for its result."""
    d: int
    graph: Mapping[Hashable, Any] | None = None
    """What computes the blocks of a Dask array"""
    here: bool = False
    """Whether only this process can read them"""


def of_arrays(X: Floats, y: Floats, pieces: int | None = None) -> Partitions:
    """Return consecutive slices of arrays as partitions, by default of about 16 MB."""
    n, d = X.shape
    pieces = max(1, n * (d + 1) // _PARTITION) if pieces is None else pieces
    ends = [n * i // pieces for i in range(pieces + 1)]
    return Partitions(partial(_rows, X, y), list(pairwise(ends)), d, here=True)


def _rows(X: Floats, y: Floats, start: int, end: int) -> Batches:
    yield X[start:end], y[start:end]


def _block(X: Any, y: Any) -> Batches:
    """Return one block of Dask arrays; it is checked here, where it exists for the first time."""
    X, y = np.asarray(X, np.float64), np.asarray(y, np.float64)
    if len(X) != len(y):
        raise ValueError(f"y: needs one value per row of X, {len(X)}, got {len(y)} in a block")
    for name, values in (("X", X), ("y", y)):
        if not np.isfinite(values).all():
            raise ValueError(f"{name}: must be finite, got nan or inf in a block")
    yield X, y


def _file_rows(
    columns: Sequence[str],
    flags: set[str],
    pickled: bytes,
    skipped: int | tuple[int, int],
    rows: int | None,
) -> Batches:
    """Yield the samples of a part of a file; `skipped` rows come before it, and it has `rows`.

    Of a large text file, a part is the lines that begin at bytes from one to another, `skipped`.

    The columns are read as numbers, or, those among `flags`, as true and false.

    Raises:
        ValueError: the file cannot be read, a value is missing or not finite, or the number of rows
            is not that of its metadata; the message names file, column and row.

    """
    import pickle

    import pyarrow as pa
    from pyarrow.dataset import ParquetFileFragment, ParquetFragmentScanOptions

    fragment = file = _mended(pickle.loads(pickled))
    before = partial(_rows_before, file, skipped)
    options: dict[str, Any] = {}
    if isinstance(fragment, ParquetFileFragment):  # with the defaults, it is read as a whole
        options["fragment_scan_options"] = ParquetFragmentScanOptions(
            use_buffered_stream=True, pre_buffer=False
        )
    done = 0
    try:
        if rows is not None:  # not text, whose types are only guessed
            _refuse_text(file, columns)
        if isinstance(skipped, tuple):
            fragment = _lines(file, *skipped)
            if fragment is None:
                return
        for batch in fragment.to_batches(
            columns=list(columns),
            schema=pa.schema([(c, pa.bool_() if c in flags else pa.float64()) for c in columns]),
            batch_size=max(1, 2**17 // len(columns)),
            batch_readahead=1,
            use_threads=False,
            **options,
        ):
            block = np.empty((batch.num_rows, len(columns)), order="F")  # as the columns come
            for j, values in enumerate(batch.columns):
                numbers = values.cast(pa.float64())
                block[:, j] = numbers.to_numpy(zero_copy_only=False)  # what is missing becomes NaN
            with np.errstate(over="ignore", invalid="ignore"):
                odd = not np.isfinite(block.sum()) and not np.isfinite(block).all()
            if odd:
                i, j = (int(k) for k in np.argwhere(~np.isfinite(block))[0])
                where = f"{file.path}: column {columns[j]!r}"
                if columns[j] not in file.physical_schema.names:
                    raise ValueError(f"{where}: this file has no such column")
                value = block[i, j]
                what = "a value is missing" if np.isnan(value) else f"{value} is not finite"
                raise ValueError(f"{where}, row {before() + done + i + 1:,}: {what}")
            done += len(block)
            yield block[:, :-1], block[:, -1]
    except (pa.ArrowException, OSError) as error:
        reason = " ".join(str(error).split())
        where = f"after row {rows_before:,}: " if (rows_before := before()) else ""
        raise ValueError(f"{file.path}: cannot be read: {where}{reason}") from None
    if rows is not None and done != rows:
        raise ValueError(f"{file.path}: has {done:,} rows where its metadata say {rows:,}")


def _mended(file: Any) -> Any:
    """Return a text file with new options: pickled ones call a handler of bad rows that is None."""
    from pyarrow.csv import ParseOptions
    from pyarrow.dataset import CsvFileFormat

    if not isinstance(file.format, CsvFileFormat):
        return file
    options = ParseOptions()
    for name in ("delimiter", "quote_char", "double_quote", "escape_char", "ignore_empty_lines"):
        setattr(options, name, getattr(file.format.parse_options, name))
    like: Any = file.format.default_fragment_scan_options
    text = CsvFileFormat(parse_options=options, default_fragment_scan_options=like)
    return text.make_fragment(file.path, filesystem=file.filesystem)


def _refuse_text(file: Any, columns: Sequence[str]) -> None:
    """Refuse a column that holds something else in this file: pyarrow would read "7" as 7."""
    import pyarrow as pa

    for field in file.physical_schema:
        if field.name in columns and not any(is_kind(field.type) for is_kind in _numeric(pa)):
            raise ValueError(f"{file.path}: column {field.name!r} holds {field.type}, not numbers")


def _lines(fragment: Any, start: int, end: int) -> Any:
    """Return the lines of a text file that begin at bytes from `start` to `end`, as a file, if any.

    Every line break ends a row, also in quotes, as wherever pyarrow reads a dataset.
    """
    import pyarrow as pa

    with fragment.filesystem.open_input_file(fragment.path) as file:
        begin, stop = _next_line(file, start), _next_line(file, end)
        head = b"" if _is_named(fragment) or not begin else file.read_at(_next_line(file, 1), 0)
        lines = file.read_at(stop - begin, begin)
    return fragment.format.make_fragment(pa.py_buffer(head + lines)) if lines else None


def _rows_before(fragment: Any, skipped: int | tuple[int, int]) -> int:
    """Return how many rows come before a part of a file; of text, its lines are counted now."""
    if not isinstance(skipped, tuple):
        return skipped
    start, _ = skipped
    with fragment.filesystem.open_input_file(fragment.path) as file:
        begin, rows = _next_line(file, start), 0
        for at in range(0, begin, _TEXT_PART):
            rows += file.read_at(min(_TEXT_PART, begin - at), at).count(b"\n")
    return rows if _is_named(fragment) or not begin else rows - 1


def _next_line(file: Any, start: int) -> int:
    """Return where the first line after byte `start` begins, or 0 if that is 0."""
    at = start
    while start and at < file.size():
        block = file.read_at(_LINE, at)
        if (end := block.find(b"\n")) >= 0:
            return int(at + end + 1)
        at += len(block)
    return int(file.size()) if start else 0


def _is_named(fragment: Any) -> bool:
    """Whether the columns of a text file are named by its format, not by its first line."""
    return bool(fragment.format.default_fragment_scan_options.read_options.column_names)


def of_dask_arrays(X: Any, y: Any) -> Partitions:
    """Return the blocks of Dask arrays X (n, d) and y (n,), along the rows, as partitions."""
    import dask

    if X.ndim != 2 or y.ndim != 1:
        raise InputValueError(f"X, y: need shapes (n, d) and (n,), got {X.shape} and {y.shape}")
    X = X.rechunk({1: -1})
    if not np.isnan(X.chunks[0]).any():
        if X.shape[0] != y.shape[0]:
            raise InputValueError(f"y: needs one value per row of X, {len(X)}, got {len(y)}")
        y = y.rechunk((X.chunks[0],))
    elif X.numblocks[0] != y.numblocks[0]:
        raise InputValueError("X, y: blocks of unknown length must correspond")
    X, y = dask.optimize(X, y)
    graph = {**X.__dask_graph__(), **y.__dask_graph__()}
    recipes = [((X.name, i, 0), (y.name, i)) for i in range(X.numblocks[0])]
    return Partitions(_block, recipes, int(X.shape[1]), graph)


def of_dataset(
    dataset: Any, target: str, features: Sequence[str] | None, *, whole_files: bool = False
) -> Partitions:
    """Return parts of the files of a `pyarrow.dataset.Dataset` as partitions.

    A part is a file, or some row groups of a Parquet file: about 128 MB as float64, or more if
    there would be over 65,000 parts.
    """
    import pickle

    import pyarrow as pa

    schema = dataset.schema
    if features is None:
        features = [name for name in schema.names if name != target]
    columns = [*features, target]
    if len(set(columns)) < len(columns):
        raise InputValueError(f"a column is used twice: {', '.join(columns)}")
    for name in columns:
        if name not in schema.names:
            listed = ", ".join(schema.names[:20])
            raise InputValueError(f"the table has no column {name!r}; it has {listed}")
        kind = schema.field(name).type
        if not any(is_kind(kind) for is_kind in _numeric(pa)):
            raise InputValueError(f"column {name!r} holds {kind}, not numbers")
    recipes = [
        (pickle.dumps(part), skipped, rows)
        for part, skipped, rows in _parts(dataset, len(columns), whole_files=whole_files)
    ]
    if not recipes:
        raise InputValueError("the table has no files")
    flags = {name for name in columns if pa.types.is_boolean(schema.field(name).type)}
    return Partitions(partial(_file_rows, tuple(columns), flags), recipes, len(columns) - 1)


def _numeric(pa: Any) -> tuple[Callable[[Any], bool], ...]:
    kinds = pa.types
    return kinds.is_integer, kinds.is_floating, kinds.is_boolean, kinds.is_decimal


def _parts(
    dataset: Any, columns: int, *, whole_files: bool
) -> Iterator[tuple[Any, int | tuple[int, int], int | None]]:
    """Yield the parts of all files: (file, what of it, rows, if known); see `_file_rows`."""
    fragments = [(fragment, *_footer(fragment)) for fragment in dataset.get_fragments()]
    total = sum(rows or 0 for _, _, rows in fragments)
    most = max(_FILE_PART // columns, total // _MOST_PARTS)
    for fragment, groups, rows in fragments:
        if whole_files:
            yield fragment, 0, rows
        elif groups:
            yield from _row_groups(fragment, groups, most)
        elif rows is None:
            size = fragment.filesystem.get_file_info(fragment.path).size
            parts = -(-size // _TEXT_PART)
            ends = [size * i // parts for i in range(parts + 1)] if parts > 1 else []
            yield from ((fragment, between, None) for between in pairwise(ends))
            if not ends:
                yield fragment, 0, None
        else:
            yield fragment, 0, rows


def _footer(fragment: Any) -> tuple[Sequence[Any], int | None]:
    """Return the row groups of a file, if it is Parquet, and its rows, unless it is text."""
    import pyarrow as pa
    from pyarrow.dataset import CsvFileFormat

    try:
        rows = None if isinstance(fragment.format, CsvFileFormat) else fragment.count_rows()
        return getattr(fragment, "row_groups", ()), rows
    except (pa.ArrowException, OSError) as error:
        reason = " ".join(str(error).split())
        raise InputValueError(f"{fragment.path}: cannot be read: {reason}") from None


def _row_groups(fragment: Any, groups: Sequence[Any], most: int) -> Iterator[tuple[Any, int, int]]:
    """Yield consecutive row groups of a Parquet file, about `most` rows at a time."""
    ids: list[int] = []
    before = rows = 0
    for group in groups:
        ids.append(group.id)
        rows += group.num_rows
        if rows >= most:
            yield fragment.subset(row_group_ids=ids), before, rows
            ids, before, rows = [], before + rows, 0
    if ids or not before:
        yield fragment.subset(row_group_ids=ids), before, rows
