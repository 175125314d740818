"""Open a table, wherever it is: one way in for a file, a folder, a pattern, a pipe."""

import glob
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import takewhile
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import numpy as np
import psutil

from gradrace import backends
from gradrace.backends.interface import Floats, InputValueError, Setting
from gradrace.bench.data import arrow_files, frames, sources, text
from gradrace.bench.data.batches import samples_in
from gradrace.bench.data.blocks import Use
from gradrace.bench.data.samples import Dataset
from gradrace.bench.data.sources import PLAIN, Reading, Source
from gradrace.bench.data.table import File, Table, left_out

_NULL = "__HIVE_DEFAULT_PARTITION__"


def open_table(path: str | Path, reading: Reading = PLAIN) -> Table:
    """Find out what a path stands for, and the columns of the table that lies there.

    A folder stands for all Parquet, Feather or CSV files in it and below, in the order of their
    names, and a folder called year=2020 for a column year. The path `-` is standard input.

    Raises `InputValueError` if a file does not exist, is malformed, or is of an unknown kind, or if
    the files of a folder differ in kind.
    """
    reading, path = reading.checked(), _local(path)
    if not sources.several(path):
        source = sources.source_of(path)
        kind, only = _opened(source, reading)
        on_disk = source.content is None
        return Table(source.name, (only,), reading, (path,) if on_disk else (), kind)
    paths = sources.files_of(path)
    sources.state_of(paths)  # names a link that leads nowhere
    fixed = Path(*takewhile(lambda part: not glob.has_magic(part), path.parts))
    root = path if path.is_dir() else fixed
    opened = [
        _opened(sources.source_of(file), reading, file.relative_to(root).parent.parts)
        for file in paths
    ]
    for file, (kind, _) in zip(paths, opened, strict=True):
        if kind != opened[0][0]:
            mixed = f"{paths[0]} is {opened[0][0]}, {file} is {kind}"
            raise InputValueError(f"{path}: mixes kinds: {mixed}")
    return Table(str(path), tuple(f for _, f in opened), reading, paths, opened[0][0])


def _local(path: str | Path) -> Path:
    """Return a path that may lead somewhere on this machine."""
    if re.match(r"[a-z][a-z0-9+]+://", str(path), re.IGNORECASE):
        raise InputValueError(f"{path}: is a web address; download the table first")
    return Path(path)


def _opened(source: Source, reading: Reading, below: Sequence[str] = ()) -> tuple[str, File]:
    """Return the kind of a source, and its columns; a file is in folders `below` the table's."""
    kind = sources.kind_of(source, reading.encoding)
    openers: dict[str, Callable[[Source], File]] = {
        "text": partial(text.text_file, reading=reading),
        "Parquet": arrow_files.parquet_file,
        "Feather": arrow_files.feather_file,
        "NPZ": frames.npz_file,
        "NPY": frames.npy_file,
        "Excel": partial(_excel_file, reading=reading),
    }
    file = openers[kind](source)
    folders = [part.split("=", 1) for part in Path(source.name).parent.parts if "=" in part]
    values = ((key, None if value == _NULL else unquote(value)) for key, value in folders)
    named = tuple((key, value) for key, value in values if key)
    above = dict(named).keys() - {part.partition("=")[0] for part in below}
    return kind, replace(file, folders=named, index=(*file.index, *above))


def _excel_file(source: Source, reading: Reading) -> File:
    """Return the first sheet of an Excel table, by way of text."""
    import pandas as pd

    try:
        import openpyxl  # noqa: F401 (pandas reads with it)
    except ImportError:
        raise InputValueError(
            f"{source.name}: is an Excel table; pip install openpyxl, or save it as CSV"
        ) from None
    content = sources.seekable(source.whole())
    with sources.readable(source.name, "Excel"), pd.ExcelFile(content) as book:
        names = book.sheet_names
        cells = pd.read_excel(book, sheet_name=names[0], header=None, dtype=object)
        sheet = cells.dropna(how="all").dropna(how="all", axis=1)
    content = sheet.to_csv(header=False, index=False).encode()
    alike = Reading(header=reading.header, skip_rows=reading.skip_rows)
    file = text.text_file(Source(source.name, content=content), alike)
    if len(names) > 1:
        remark = f"Only the first of {len(names)} sheets is read: {names[0]!r}."
        return replace(file, remarks=(*file.remarks, remark))
    return file


def read_table(
    path: str | Path,
    target: str | None = None,
    features: Sequence[str] = (),
    *,
    exclude: Sequence[str] = (),
    reading: Reading = PLAIN,
) -> Dataset:
    """Read a table of numbers into memory.

    `target` defaults to the last column, `features` to all others except those in `exclude`. One
    string in `features` or `exclude` may name several columns, separated by commas. Raises
    `InputValueError` as `open_table`, `Table.use` and `Table.samples`.
    """
    table = open_table(path, reading)
    return table.samples(table.use(target, features, exclude))


def columns_of(data: Any, names: Sequence[str]) -> Any:
    """Return these columns of a table or a file (n, len(names)), or an array as it is.

    Raises `InputTypeError` or `InputValueError` if it has no such columns of numbers.
    """
    if isinstance(data, str | Path):
        table: Table = open_table(data)
    elif frames.has_columns(data):
        table = frames.table_of(data)
    else:
        frames.require_no_series(data)
        return frames.dense(data)  # its caller checks what this is
    blocks = [block for block, _ in table.blocks(table.needed(names, "the model"))]
    return np.ascontiguousarray(np.concatenate(blocks or [np.empty((0, len(names)))]))


@dataclass(frozen=True)
class Files:
    """Samples that lie in files, which are read in parts."""

    table: Table
    use: Use
    partitions: Any
    """The recipes by which the backend for large data reads them"""
    backend: str
    """Its name"""
    state: tuple[tuple[str, int, int], ...]
    """Path, size in bytes and time of the last change, in ns, of every file"""

    @property
    def name(self) -> str:
        """As the user calls them."""
        return self.table.name

    @property
    def features(self) -> tuple[str, ...]:
        """The names of the d features."""
        return self.use.columns[:-1]

    @property
    def target(self) -> str:
        """The name of the target."""
        return self.use.target

    @property
    def bytes(self) -> int:
        """How many bytes the files take on disk."""
        return sum(size for _, size, _ in self.state)

    def remarks(self, n: int) -> tuple[str, ...]:
        """Say what was assumed and left out, where there are n samples."""
        said = self.table.remarks(self.use)
        if not self.use.drop_missing:
            return said
        if self.table.rows is None:
            return (*said, "Rows with a missing value are left out.")
        return (*said, *left_out(self.table.rows - n))

    def require_unchanged(self) -> None:
        """Raise `InputValueError` unless the files are still those that were opened."""
        now = sources.state_of(self.table.paths)
        for path, before, after in zip(self.table.paths, self.state, now, strict=True):
            if before != after:
                raise InputValueError(f"{path}: has changed while it was read")

    def scaled(self, mean: Floats, deviation: Floats) -> "Files":
        """Return the same samples, whose columns, when read, become (x − mean)/deviation."""
        large: Any = backends.load(self.backend)
        return replace(self, partitions=large.scaled(self.partitions, mean, deviation))


def open_samples(
    path: str | Path,
    target: str | None = None,
    features: Sequence[str] = (),
    exclude: Sequence[str] = (),
    *,
    in_parts: bool | None = None,
    reading: Reading = PLAIN,
) -> Dataset | Files:
    """Read a table into memory, or in parts if it takes more than half of the free memory.

    `in_parts` decides that in advance. A table from a pipe, or in an NPZ, NPY or Excel file, is
    always read into memory. Raises `InputValueError` as `read_table`, or if it is too large and
    `in_parts` false, or the package that reads in parts is not installed.
    """
    path = _local(path)
    state = sources.state_of(sources.files_of(path)) if sources.several(path) else ()
    table = open_table(path, reading)
    use = table.use(target, features, exclude)
    if not table.in_parts or (in_parts is not True and fits(table, use)):
        return table.samples(use)
    backend = backends.for_large_data()
    if in_parts is False:
        other = Setting("backend", backend)
        raise InputValueError(f"{too_large(table, use)}; ", other, " reads them in parts")
    backends.require(backend)
    next(table.blocks(use._replace(drop_missing=True)), None)  # is it of numbers?
    large: Any = backends.load(backend)
    read = partial(samples_in, use, [file.chosen(use.columns) for file in table.files])
    partitions = large.Partitions(read, table.parts(use), len(use.columns) - 1)
    return Files(table, use, partitions, backend, state or sources.state_of(table.paths))


def fits(table: Table, use: Use) -> bool:
    """Whether the columns used take at most half of the memory that is free."""
    return table.memory(use) <= free_memory() // 2


def too_large(table: Table, use: Use) -> str:
    """Say that the columns used do not fit in memory."""
    needed, free = (
        f"{size / 1e9:,.0f} GB" if size >= 1e11 else f"{size / 1e9:.3g} GB"
        for size in (table.memory(use), free_memory())
    )
    return (
        f"{table.name}: the columns take {needed} as float64, more than half of the free memory, "
        f"{free}"
    )


def free_memory() -> int:
    """Return how many bytes of memory a program can still allocate."""
    return int(psutil.virtual_memory().available)
