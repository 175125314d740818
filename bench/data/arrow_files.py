"""Parquet and Feather files, batch by batch, and what pandas noted about their columns."""

from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gradrace.bench.data.batches import Columns
from gradrace.bench.data.sources import Source, readable, seekable
from gradrace.bench.data.table import File

if TYPE_CHECKING:
    import pyarrow as pa

_BATCH = 2**17  # values that are read at once, so that they stay in the second-level cache
_BUFFER = 2**17  # bytes


def parquet_file(source: Source) -> File:
    """Return a Parquet file, whose groups are its row groups, or say that it is damaged."""
    import pyarrow.parquet as pq

    content = source.whole()
    with readable(source.name, "Parquet"), pq.ParquetFile(seekable(content)) as file:
        schema, about = file.schema_arrow, file.metadata
        rows = tuple(about.row_group(i).num_rows for i in range(about.num_row_groups))
    read = partial(_parquet_columns, source.name, content, schema.names)
    return _file(source, schema, rows or (0,), read)


def feather_file(source: Source) -> File:
    """Return a Feather file as a single group, or say that it is damaged.

    A stream or a file of version 1 is read into memory.
    """
    import pyarrow as pa
    import pyarrow.feather

    content = source.whole()
    with readable(source.name, "Feather"), _opened(content) as file:
        start = file.read(6)
        file.seek(0)
        if start == b"ARROW1":
            schema = pa.ipc.open_file(file).schema
            first = pa.ipc.open_file(file, options=pa.ipc.IpcReadOptions(included_fields=[0]))
            rows = sum(first.get_batch(i).num_rows for i in range(first.num_record_batches))
            return _file(source, schema, (rows,), partial(_feather_columns, source.name, content))
        old = start.startswith(b"FEA1")
        table = pyarrow.feather.read_table(file) if old else pa.ipc.open_stream(file).read_all()
    return _file(source, table.schema, (table.num_rows,), partial(table_columns, table))


def _file(source: Source, schema: "pa.Schema", rows: tuple[int, ...], read: Columns) -> File:
    return File(source.name, stripped(schema.names), read, rows, index=index_of(schema))


def stripped(names: Sequence[str]) -> tuple[str, ...]:
    """Return names without blanks around them."""
    return tuple(name.strip() for name in names)


def index_of(schema: "pa.Schema") -> tuple[str, ...]:
    """Return the names of the columns in which pandas has saved an index.

    They are listed in the metadata "pandas" of the schema (pandas documentation, "Storing pandas
    DataFrame objects in Apache Parquet format"); a range takes no column, but a dictionary.
    """
    noted = (schema.pandas_metadata or {}).get("index_columns", ())
    return stripped([name for name in noted if isinstance(name, str)])


def _batch_rows(columns: int) -> int:
    """Return how many rows are read at once: about 1 MB, or of many columns a thousand rows."""
    return max(1, _BATCH // columns, min(1_000, 16 * _BATCH // columns))


def _parquet_columns(
    name: str,
    content: Path | bytes,
    names: Sequence[str],
    groups: Sequence[int] | None,
    places: Sequence[int],
) -> Iterator[list[Any]]:
    """Yield the columns at these places of some row groups.

    With its defaults, pyarrow reads the file as a whole before it yields the first batch.
    """
    import pyarrow.parquet as pq

    chosen, size = [names[place] for place in places], _batch_rows(len(places))
    with (
        readable(name, "Parquet"),
        pq.ParquetFile(seekable(content), buffer_size=_BUFFER, pre_buffer=False) as file,
    ):
        groups = range(file.num_row_groups) if groups is None else groups
        for batch in file.iter_batches(size, list(groups), chosen, use_threads=False):
            yield [batch.column(column) for column in chosen]


def _feather_columns(
    name: str, content: Path | bytes, groups: Sequence[int] | None, places: Sequence[int]
) -> Iterator[list[Any]]:
    """Yield the columns at these places."""
    import pyarrow as pa

    order = sorted(places)
    options = pa.ipc.IpcReadOptions(included_fields=order)
    here = [order.index(place) for place in places]
    with readable(name, "Feather"), _opened(content) as file:
        reader = pa.ipc.open_file(file, options=options)
        for i in range(reader.num_record_batches):
            yield from table_columns(pa.Table.from_batches([reader.get_batch(i)]), groups, here)


def table_columns(
    table: Any, _groups: Sequence[int] | None, places: Sequence[int]
) -> Iterator[list[Any]]:
    """Yield the columns of a table in memory at these places."""
    for batch in table.select(list(places)).to_batches(_batch_rows(len(places))):
        yield batch.columns


def _opened(content: Path | bytes) -> Any:
    import pyarrow as pa

    return pa.BufferReader(content) if isinstance(content, bytes) else pa.OSFile(str(content), "rb")
