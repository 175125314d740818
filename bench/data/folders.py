"""Tables in files that are read in parts: a folder, a pattern such as data/*.parquet, or a file."""

import glob
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pyarrow as pa
import pyarrow.csv

from gradrace import backends
from gradrace.backends.interface import Floats, InputValueError
from gradrace.bench.data import sources, text_tables
from gradrace.bench.data.samples import Dataset
from gradrace.bench.data.table import (
    LEAVE_OUT,
    PLAIN,
    ColumnError,
    Reading,
    choose,
    dataset_of,
    left_out,
    remedied,
    require_columns,
    without_index,
)
from gradrace.bench.data.table_files import open_table

KINDS = ("Parquet", "Feather", "CSV")
_SUFFIXES = {".parquet", ".pq", ".feather", ".arrow", ".csv", ".tsv"}
_COMPRESSED = {".gz", ".bz2", ".zst", ".xz"}
_MOST_COMPRESSION = 20  # float64 values may take a twentieth of their size on disk
_FIRST_BYTES = 2**16  # by which the rows of a text file are estimated


@dataclass(frozen=True)
class Files:
    """Samples that lie in files, which are read in parts."""

    name: str
    """As the user calls them"""
    paths: tuple[Path, ...]
    kind: str
    features: tuple[str, ...]
    target: str
    partitions: Any
    """The recipes by which the backend for large data reads them"""
    backend: str
    """Its name"""
    state: tuple[tuple[str, int, int], ...]
    """Path, size in bytes and time of the last change, in ns, of every file"""
    reading: Reading = PLAIN

    @property
    def bytes(self) -> int:
        """How many bytes the files take on disk."""
        return sum(size for _, size, _ in self.state)

    @property
    def memory(self) -> int:
        """About how many bytes the columns used would take as float64."""
        rows = self.rows_on_disk or _rows_of_text(self.paths, self.bytes)
        return rows * (len(self.features) + 1) * 8

    @property
    def rows_on_disk(self) -> int | None:
        """How many rows the files have, with those that miss a value; None if they are text."""
        known = [recipe[2] for recipe in self.partitions.recipes]
        return None if None in known else int(sum(known))

    def remarks(self, n: int) -> tuple[str, ...]:
        """Say what is left out, where there are n samples."""
        if not self.reading.drop_missing:
            return ()
        if self.rows_on_disk is None:
            return ("Rows with a missing value are left out.",)
        return left_out(self.rows_on_disk - n)

    @property
    def fit_in_memory(self) -> bool:
        """Whether they take at most half of the memory that is free."""
        return self.memory <= _free_memory() // 2

    @property
    def too_large(self) -> str:
        """Say that they do not fit in memory."""
        needed, free = _gigabytes(self.memory), _gigabytes(_free_memory())
        return (
            f"{self.name}: the columns take {needed} as float64, more than half of the free "
            f"memory, {free}"
        )

    def require_unchanged(self) -> None:
        """Make sure that the files are still those that were opened.

        Raises:
            InputValueError: one has changed or vanished.

        """
        for path, then, now in zip(self.paths, self.state, state_of(self.paths), strict=True):
            if then != now:
                raise InputValueError(f"{path}: has changed while it was read")

    def read(self) -> Dataset:
        """Read all samples into memory.

        Raises:
            InputValueError: a file cannot be read, or holds anything but finite numbers.

        """
        blocks = [
            np.column_stack(batch)
            for recipe in self.partitions.recipes
            for batch in _batches(self.partitions, recipe)
        ]
        n = sum(map(len, blocks))
        if n < 2:
            raise InputValueError(f"{self.name}: needs at least two rows, has {n}")
        X, y = np.empty((n, len(self.features))), np.empty(n)
        while blocks:  # each is freed once it is copied
            block = blocks.pop()
            X[n - len(block) : n], y[n - len(block) : n] = block[:, :-1], block[:, -1]
            n -= len(block)
        return Dataset(
            self.name,
            self.features,
            self.target,
            X,
            y,
            remarks=self.remarks(len(y)),
            options=self.reading.options,
        )

    def scaled(self, mean: Floats, deviation: Floats) -> "Files":
        """Return the same samples, whose columns, when read, become (x − mean)/deviation."""
        large: Any = backends.load(self.backend)
        return replace(self, partitions=large.scaled(self.partitions, mean, deviation))


def _batches(partitions: Any, recipe: Any) -> Any:
    try:
        yield from partitions.read(*recipe)
    except ValueError as error:  # names the file, the column and the row
        raise InputValueError(str(error)) from None


def open_samples(
    path: Path,
    target: str | None = None,
    features: Sequence[str] = (),
    *,
    in_parts: bool | None = None,
    reading: Reading = PLAIN,
) -> Dataset | Files:
    """Read a table into memory, or open it to be read in parts if it takes over half the free one.

    `in_parts` decides that in advance. A table from standard input, or in an NPZ or NPY file, is
    always read into memory.

    Raises:
        InputValueError: as `read_table` or `open_files`; or it is too large and `in_parts` false.

    """
    if not (in_parts or may_be_large(path)) or not can_be_read_in_parts(path):
        return dataset_of(open_table(path, reading), target, features)
    files = open_files(path, target, features, reading)
    if in_parts or (in_parts is None and not files.fit_in_memory):
        return files
    if not files.fit_in_memory:
        raise InputValueError(f"{files.too_large}; --backend {files.backend} reads them in parts")
    return (
        files.read() if several(path) else dataset_of(open_table(path, reading), target, features)
    )


def several(path: Path) -> bool:
    """Whether a path is a folder or a pattern, rather than a single file."""
    return path.is_dir() or (not path.exists() and glob.has_magic(str(path)))


def can_be_read_in_parts(path: Path) -> bool:
    """Whether a path is a folder, a pattern or a file of a kind that is read in parts."""
    return several(path) or (path.is_file() and sources.kind_of(path) in KINDS)


def read_in_parts(path: Path) -> bool:
    """Whether a table whose columns are found by name, as for predictions, is read in parts."""
    return may_be_large(path) and can_be_read_in_parts(path)


def may_be_large(path: Path) -> bool:
    """Whether a path is more than a file, or a file whose values may take half the free memory."""
    if several(path) or not path.is_file():
        return several(path)
    return path.stat().st_size * _MOST_COMPRESSION > _free_memory() // 2


def open_files(
    path: Path,
    target: str | None = None,
    features: Sequence[str] = (),
    reading: Reading = PLAIN,
) -> Files:
    """Find the files of a table, its columns, and how to read them in parts.

    A folder stands for all Parquet, Feather or CSV files in it and below, in the order of their
    names. `target` defaults to the last column, `features` to all others.

    Raises:
        InputValueError: there are no such files; they differ in kind, or cannot be read; a column
            is missing, or does not hold numbers; or the package that reads them is not installed.

    """
    backend = backends.for_large_data()
    backends.require(backend)
    paths = files_of(path)
    state = state_of(paths)  # before anything is read
    kind, dataset = open_dataset(path, paths, reading)
    columns = columns_of(dataset)
    *chosen, target = choose(str(path), tuple(columns), target, tuple(features))
    require_columns(str(path), columns, [*chosen, target])
    large: Any = backends.load(backend)
    try:
        names = [columns[name] for name in chosen]
        partitions = large.prepare(
            dataset,
            columns[target],
            features=names,
            drop_missing=reading.drop_missing,
            encoding=reading.encoding,
        )
    except InputValueError as error:
        if kind == "CSV":  # whose text is found there, with its row
            try:
                open_table(paths[0], reading).rows([*chosen, target])
            except ColumnError as found:
                raise InputValueError(remedied(found, target)) from None
        names_file = str(error).startswith(tuple(str(file.absolute()) for file in paths))
        if names_file:
            raise
        hint = f" ({LEAVE_OUT})" * str(error).endswith("not numbers")
        raise InputValueError(f"{path}: {error}{hint}") from None
    columns_used = tuple(chosen)
    return Files(str(path), paths, kind, columns_used, target, partitions, backend, state, reading)


def columns_of(dataset: Any) -> dict[str, str]:
    """Return the names of the columns of a `pyarrow.dataset.Dataset`, and what its files call them.

    They are those that a single file would have: without blanks around them, and without what
    pandas adds.
    """
    names = without_index(dataset.schema.names)
    return {name.strip(): name for name in names if name.strip()}


def files_of(path: Path) -> tuple[Path, ...]:
    """Return the files that a folder, a pattern or a path stands for, sorted.

    Raises:
        InputValueError: there are none.

    """
    if path.is_dir():
        found = [file for file in _below(path, set()) if _is_table(file)]
        if not found:
            raise InputValueError(f"{path}: has no Parquet, Feather or CSV files")
    elif path.exists():
        found = [path]
    else:
        found = [Path(name) for name in glob.glob(str(path), recursive=True)]
        if not found:
            what = "no file matches" if glob.has_magic(str(path)) else "no such file"
            raise InputValueError(f"{path}: {what}")
    files = tuple(sorted(file for file in found if not file.is_dir()))
    if not files or not all(file.is_file() or file.is_symlink() for file in files):
        raise InputValueError(f"{path}: is not a file")
    return files


def state_of(paths: Sequence[Path]) -> tuple[tuple[str, int, int], ...]:
    """Return path, size and time of the last change of every file.

    Raises:
        InputValueError: one has vanished.

    """
    found = []
    for path in paths:
        try:
            about = path.stat()
        except OSError as error:
            raise InputValueError(f"{path}: {error.strerror}") from None
        found.append((str(path), about.st_size, about.st_mtime_ns))
    return tuple(found)


def _free_memory() -> int:
    """Return how many bytes of memory a program can still allocate."""
    return int(psutil.virtual_memory().available)


def _gigabytes(size: int) -> str:
    return f"{size / 1e9:,.0f} GB" if size >= 1e11 else f"{size / 1e9:.3g} GB"


def _below(folder: Path, seen: set[Path]) -> Iterator[Path]:
    """Yield the files in a folder and below that are not hidden; Spark marks its own with _."""
    if folder.resolve() in seen:  # a link leads back
        return
    seen.add(folder.resolve())
    for path in folder.iterdir():
        if not path.name.startswith((".", "_")):
            yield from _below(path, seen) if path.is_dir() else [path]


def _is_table(path: Path) -> bool:
    """Whether a file is meant to be a table, perhaps a compressed one, which is refused."""
    *_, last = ["", *path.suffixes]
    inner = path.with_suffix("").suffix if last.lower() in _COMPRESSED else last
    return inner.lower() in _SUFFIXES


def open_dataset(path: Path, paths: Sequence[Path], reading: Reading = PLAIN) -> tuple[str, Any]:
    """Return the kind of the files of a table, and the `pyarrow.dataset.Dataset`.

    Raises:
        InputValueError: they are of different kinds, or cannot be read.

    """
    from pyarrow import dataset  # here: it imports pandas, if that is installed

    kinds = {file: sources.kind_of(file) for file in paths}
    if any(sources.is_other_feather(file) for file, kind in kinds.items() if kind == "Feather"):
        raise InputValueError(f"{path}: is a Feather stream or of version 1; save it as Parquet")
    first, kind = next(iter(kinds.items()))
    if kind not in KINDS:
        raise InputValueError(f"{path}: a {kind} file is not read in parts; save it as Parquet")
    for file, other in kinds.items():
        if other != kind:
            raise InputValueError(f"{path}: mixes kinds: {first} is {kind}, {file} is {other}")
    with sources.readable(str(first), kind):
        reads: Any = kind.lower() if kind != "CSV" else _text_format(first, reading)
        return kind, dataset.dataset([str(file.absolute()) for file in paths], format=reads)


def _text_format(path: Path, reading: Reading) -> Any:
    """Return how text files are read: as the first one looks."""
    from pyarrow.dataset import CsvFileFormat

    layout = text_tables.layout(str(path), path, reading.decimal, reading.encoding)
    if layout.comments and not layout.headless:
        raise InputValueError(
            f"{path}: has comments above the names, so it cannot be read in parts; remove them, or "
            "save it as Parquet"
        )
    return CsvFileFormat(
        parse_options=layout.parse_options(),
        convert_options=text_tables.convert_options(reading.decimal),
        read_options=pa.csv.ReadOptions(
            column_names=layout.names, skip_rows=layout.comments, encoding=layout.encoding
        ),
    )


def _rows_of_text(paths: Sequence[Path], size: int) -> int:
    """Estimate how many rows text files have, from the lines at the beginning of the first one."""
    with paths[0].open("rb") as file:
        start = file.read(_FIRST_BYTES)
    return size * max(1, start.count(b"\n")) // max(1, len(start))
