"""Partitions of the rung `dask` in files: row groups of Parquet, Feather files, lines of text.

What reads them runs on workers, which may have NumPy and pyarrow but not this package; so these
functions are sent there, and use nothing else from here.
"""

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import pairwise
from typing import Any

import numpy as np

from gradrace.backends.dask_reading import Batches, Partitions
from gradrace.backends.interface import Floats, InputValueError

_FILE_PART = 2**24  # values of the columns used in a partition of a file, 128 MB; more if there
_TEXT_PART = 2**25  # bytes of a partition of a text file
_LINE = 2**16  # bytes that are searched for the end of a line
_MOST_PARTS = 2**16  # would be more partitions than this
_PARSED_BY = (
    "delimiter",
    "quote_char",
    "double_quote",
    "escape_char",
    "newlines_in_values",
    "ignore_empty_lines",
)
_READ_BY = ("column_names", "skip_rows", "block_size")


def of_dataset(
    dataset: Any,
    target: str,
    features: Sequence[str] | None,
    *,
    whole_files: bool = False,
    drop_missing: bool = False,
    encoding: str = "utf8",
) -> Partitions:
    """Return parts of the files of a `pyarrow.dataset.Dataset` as partitions.

    A part is a file, some row groups of a Parquet file, or some lines of a text file: about 128 MB
    as float64, or more if there would be over 65,000 parts of Parquet; 32 MB of text.
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
        if not _holds_numbers(kind):
            raise InputValueError(f"column {name!r} holds {kind}, not numbers")
    recipes = [
        (pickle.dumps(part), skipped, rows)
        for part, skipped, rows in _parts(dataset, len(columns), whole_files=whole_files)
    ]
    if not recipes:
        raise InputValueError("the table has no files")
    flags = {name for name in columns if pa.types.is_boolean(schema.field(name).type)}
    read = partial(_file_rows, tuple(columns), flags, drop_missing, encoding)
    return Partitions(read, recipes, len(columns) - 1)


def _holds_numbers(kind: Any) -> bool:
    """Whether a column of this type holds numbers, or true and false, or nothing at all."""
    import pyarrow as pa

    kinds = pa.types
    if kinds.is_dictionary(kind):
        return _holds_numbers(kind.value_type)
    numeric: tuple[Callable[[Any], bool], ...] = (
        kinds.is_integer,
        kinds.is_floating,
        kinds.is_boolean,
        kinds.is_decimal,
        kinds.is_null,
    )
    return any(is_kind(kind) for is_kind in numeric)


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


def _file_rows(
    columns: Sequence[str],
    flags: set[str],
    drop_missing: bool,
    encoding: str,
    pickled: bytes,
    skipped: int | tuple[int, int],
    rows: int | None,
) -> Batches:
    """Yield the samples of a part of a file; `skipped` rows come before it, and it has `rows`.

    Of a large text file, a part is the lines that begin at bytes from one to another, `skipped`.

    The columns of text are read as numbers, or, those among `flags`, as true and false. With
    `drop_missing`, rows with a missing value are left out.

    Raises:
        ValueError: the file cannot be read, a value is missing or not finite, or the number of rows
            is not that of its metadata; the message names file, column and row.

    """
    import pickle

    import pyarrow as pa
    from pyarrow.dataset import ParquetFileFragment, ParquetFragmentScanOptions

    fragment = file = _mended(pickle.loads(pickled), encoding)
    before = partial(_rows_before, file, skipped)
    options: dict[str, Any] = {}
    if isinstance(fragment, ParquetFileFragment):  # with the defaults, it is read as a whole
        options["fragment_scan_options"] = ParquetFragmentScanOptions(
            use_buffered_stream=True, pre_buffer=False
        )
    done = 0
    try:
        kinds = _kinds(file, columns, flags)
        if isinstance(skipped, tuple):
            fragment = _lines(file, encoding, *skipped)
            if fragment is None:
                return
        for batch in fragment.to_batches(
            columns=list(columns),
            schema=pa.schema(list(kinds.items())),
            batch_size=max(1, 2**17 // len(columns)),
            batch_readahead=1,
            use_threads=False,
            **options,
        ):
            block = np.empty((batch.num_rows, len(columns)), order="F")  # as the columns come
            for j, values in enumerate(batch.columns):
                block[:, j] = _floats(values)
            with np.errstate(over="ignore", invalid="ignore"):
                odd = not np.isfinite(block.sum()) and not np.isfinite(block).all()
            done += len(block)
            if odd:
                start = done - len(block)
                block = _whole(file, columns, block, start, before, drop_missing=drop_missing)
            yield block[:, :-1], block[:, -1]
    except (pa.ArrowException, OSError) as error:
        if found := _first_text(fragment, columns, flags):
            name, row, text = found
            place = f"column {name!r}, row {before() + row:,}"
            raise ValueError(f"{file.path}: {place}: {text!r} is not a number") from None
        reason = " ".join(str(error).split())
        where = f"after row {rows_before:,}: " if (rows_before := before()) else ""
        raise ValueError(f"{file.path}: cannot be read: {where}{reason}") from None
    if rows is not None and done != rows:
        raise ValueError(f"{file.path}: has {done:,} rows where its metadata say {rows:,}")


def _whole(
    file: Any,
    columns: Sequence[str],
    block: Floats,
    start: int,
    before: Callable[[], int],
    *,
    drop_missing: bool,
) -> Floats:
    """Return the rows of a block without those that miss a value, if these may be left out.

    Row `start` of a part of a file is the first one of the block; `before` counts those before the
    part.

    Raises:
        ValueError: as `_file_rows`.

    """
    for name in columns:
        if name not in file.physical_schema.names:
            raise ValueError(f"{file.path}: column {name!r}: this file has no such column")
    incomplete = np.isnan(block).any(axis=1)
    kept = np.logical_not(incomplete) | (not drop_missing)
    odd = np.argwhere(~np.isfinite(block) & kept[:, None])
    if len(odd):
        i, j = (int(k) for k in odd[0])
        what = "a value is missing" if np.isnan(block[i, j]) else f"{block[i, j]} is not finite"
        place = f"column {columns[j]!r}, row {before() + start + i + 1:,}"
        raise ValueError(f"{file.path}: {place}: {what}")
    return np.asfortranarray(block[kept])


def _mended(file: Any, encoding: str) -> Any:
    """Return a text file with what pickling has lost of its format."""
    from pyarrow.dataset import CsvFileFormat

    if not isinstance(file.format, CsvFileFormat):
        return file
    return _text_format(file, encoding).make_fragment(file.path, filesystem=file.filesystem)


def _text_format(file: Any, encoding: str, comments: int | None = None) -> Any:
    """Return the format of a text file, with new options, maybe for another number of comments.

    Pickled ones call a handler of bad rows that is None, and a file does not tell its encoding.
    """
    from pyarrow.csv import ParseOptions, ReadOptions
    from pyarrow.dataset import CsvFileFormat

    options, reads = ParseOptions(), ReadOptions(encoding=encoding)
    like: Any = file.format.default_fragment_scan_options
    for name in _PARSED_BY:
        setattr(options, name, getattr(file.format.parse_options, name))
    for name in _READ_BY:
        setattr(reads, name, getattr(like.read_options, name))
    if comments is not None:
        reads.skip_rows = comments
    return CsvFileFormat(
        parse_options=options, convert_options=like.convert_options, read_options=reads
    )


def _kinds(file: Any, columns: Sequence[str], flags: set[str]) -> dict[str, Any]:
    """Return the types in which the columns of a file are read.

    Those of text are only guessed, from the first file. All others are read as they are, because
    pyarrow would convert "7" to 7, and 7 to true, and refuse integers beyond 2⁵³.
    """
    import pyarrow as pa
    from pyarrow.dataset import CsvFileFormat

    if isinstance(file.format, CsvFileFormat):
        return {name: pa.bool_() if name in flags else pa.float64() for name in columns}
    own = {field.name: field.type for field in file.physical_schema}
    for name in columns:
        if name in own and not _holds_numbers(own[name]):
            raise ValueError(f"{file.path}: column {name!r} holds {own[name]}, not numbers")
    return {name: own.get(name, pa.float64()) for name in columns}


def _first_text(
    fragment: Any, columns: Sequence[str], flags: set[str]
) -> tuple[str, int, str] | None:
    """Return column, row and content of the first cell of a text file that is not a number, if any.

    Columns among `flags` hold true and false.
    """
    import pyarrow as pa
    from pyarrow.dataset import CsvFileFormat

    if not isinstance(getattr(fragment, "format", None), CsvFileFormat):
        return None
    schema = pa.schema([(name, pa.string()) for name in columns if name not in flags])
    reads = fragment.format.default_fragment_scan_options.convert_options
    done = 0
    try:
        for batch in fragment.to_batches(columns=schema.names, schema=schema, use_threads=False):
            cells = zip(*(column.to_pylist() for column in batch.columns), strict=True)
            for row, texts in enumerate(cells, done + 1):
                for name, text in zip(schema.names, texts, strict=True):
                    known = text is None or text in reads.null_values
                    if not known and not _is_number(text.replace(reads.decimal_point, ".")):
                        return name, row, text
            done += batch.num_rows
    except (pa.ArrowException, OSError):  # it is something else
        return None
    return None


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return "_" not in text


def _floats(values: Any) -> Floats:
    """Return a column as float64; what is missing becomes NaN."""
    import pyarrow as pa

    kinds = pa.types
    if not (kinds.is_integer(values.type) or kinds.is_floating(values.type)):
        values = values.cast(pa.float64())
    return np.asarray(values.to_numpy(zero_copy_only=False), np.float64)


def _lines(fragment: Any, encoding: str, start: int, end: int) -> Any:
    """Return the lines of a text file that begin after bytes from `start` to `end`, if any.

    They come as a file, below the names of the columns.

    Raises:
        ValueError: there is a line break in quotes, so a line may not be a row.

    """
    import pyarrow as pa

    with fragment.filesystem.open_input_file(fragment.path) as file:
        begin, stop = _next_line(file, start), _next_line(file, end)
        head = file.read_at(_end_of_names(file), 0) if begin and not _is_named(fragment) else b""
        lines = file.read_at(stop - begin, begin)
    text, quote = np.frombuffer(lines, np.uint8), fragment.format.parse_options.quote_char
    if quote and quote.encode() in lines:
        quotes, ends = (np.flatnonzero(text == ord(mark)) for mark in (quote, "\n"))
        inside = np.append(np.searchsorted(quotes, ends), len(quotes)) % 2
        if inside.any():
            raise ValueError(
                f"{fragment.path}: has a line break in quotes, so it cannot be read in parts; "
                "save it as Parquet"
            )
    if not lines:
        return None
    comments = None if begin == 0 else 0
    return _text_format(fragment, encoding, comments).make_fragment(pa.py_buffer(head + lines))


def _rows_before(fragment: Any, skipped: int | tuple[int, int]) -> int:
    """Return how many rows come before a part of a file; of text, its lines are counted now."""
    if not isinstance(skipped, tuple):
        return skipped
    rows, blanks = 0, fragment.format.parse_options.ignore_empty_lines
    comments = fragment.format.default_fragment_scan_options.read_options.skip_rows
    with fragment.filesystem.open_input_file(fragment.path) as file:
        begin = _next_line(file, skipped[0])
        at = 0 if _is_named(fragment) else _end_of_names(file)
        while at < begin:
            end = _line_end(file, min(at + _TEXT_PART, begin - 1))
            lines = file.read_at(end - at, at).splitlines()
            rows, at = rows + sum(1 for line in lines if line or not blanks), end
    return rows - comments if begin else 0


def _next_line(file: Any, start: int) -> int:
    """Return where the first line after byte `start` begins, or 0 if that is 0."""
    return _line_end(file, start) if start else 0


def _line_end(file: Any, at: int) -> int:
    """Return where the line of byte `at` ends."""
    while at < file.size():
        block = file.read_at(_LINE, at)
        if (end := block.find(b"\n")) >= 0:
            return int(at + end + 1)
        at += len(block)
    return int(file.size())


def _end_of_names(file: Any) -> int:
    """Return where the first line that is not empty ends: it holds the names of the columns."""
    begin, end = 0, _line_end(file, 0)
    while end < file.size() and not file.read_at(end - begin, begin).strip(b"\r\n"):
        begin, end = end, _line_end(file, end)
    return end


def _is_named(fragment: Any) -> bool:
    """Whether the columns of a text file are named by its format, not by its first line."""
    return bool(fragment.format.default_fragment_scan_options.read_options.column_names)
