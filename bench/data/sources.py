"""Where tables are read from: files, folders, archives and pipes; what their first bytes say."""

import bz2
import codecs
import glob
import gzip
import io
import lzma
import os
import re
import sys
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple, cast

import psutil

from gradrace.backends.interface import InputError, InputValueError, Setting

STDIN = "-"
MOST_BYTES = 2**30
"""The most that is read from a pipe, into memory; or a quarter of the free memory if less."""

_MAGIC = {
    b"PAR1": "Parquet",
    b"ARROW1": "Feather",
    b"FEA1": "Feather",
    b"\xff\xff\xff\xff": "Feather",  # a stream
    b"\x93NUMPY": "NPY",
}
_SUFFIXES = {
    ".parquet": "Parquet",
    ".pq": "Parquet",
    ".feather": "Feather",
    ".arrow": "Feather",
    ".npz": "NPZ",
    ".npy": "NPY",
    ".xlsx": "Excel",
}
_PACKED = {b"\x1f\x8b": "gzip", b"BZh": "bz2", b"\xfd7zXZ": "xz", b"\x28\xb5\x2f\xfd": "zstd"}
_ZIP = b"PK\x03\x04"
_UTF16 = (b"\xff\xfe", b"\xfe\xff")
_IN_FOLDERS = {".parquet", ".pq", ".feather", ".arrow", ".csv", ".tsv"}
_OF_TEXT = {".txt", ".data", ".dat", ".tab"}  # which may also be notes
_PACKED_SUFFIXES = {".gz", ".bz2", ".xz", ".zst"}
_SNIFFED = 4_096  # bytes
_CHUNK = 2**20


class Reading(NamedTuple):
    """How a table is read, as far as the file itself does not say."""

    decimal: str = "."
    """The decimal point of text"""
    encoding: str = "utf-8"
    """The encoding of text"""
    drop_missing: bool = False
    """Whether rows with a missing value are left out"""
    thousands: str = ""
    """What separates the thousands of a number in text"""
    delimiter: str = ""
    """What separates the columns of text; empty if the first lines decide"""
    header: bool | None = None
    """Whether the first line of text holds the names; None if the first lines decide"""
    skip_rows: int = 0
    """How many lines above the table are skipped"""

    def checked(self) -> "Reading":
        """Return these options, with the tab and the blank that a shell makes hard to type.

        Raises `InputValueError` if one is not what it must be.
        """
        if self.decimal not in (".", ","):
            said = f": must be . or a comma, got {self.decimal!r}"
            raise InputValueError(Setting("decimal"), said)
        if len(self.thousands) > 1 or self.thousands in (self.decimal, "+", "-", *"0123456789"):
            what = f"one character, not a digit, a sign or the decimal point {self.decimal!r}"
            said = f": must be {what}, got {self.thousands!r}"
            raise InputValueError(Setting("thousands"), said)
        delimiter = {"\\t": "\t", "tab": "\t", " ": r"\s+"}.get(self.delimiter, self.delimiter)
        if delimiter != r"\s+" and (len(delimiter.encode()) > 1 or delimiter in ('"', "\n")):
            what = 'one ASCII character other than ", or \\t for a tab'
            said = f": must be {what}, got {self.delimiter!r}"
            raise InputValueError(Setting("delimiter"), said)
        try:
            codecs.lookup(self.encoding)
        except LookupError:
            said = f": there is no {self.encoding!r}; try cp1252"
            raise InputValueError(Setting("encoding"), said) from None
        if self.skip_rows < 0:
            said = f": must be at least 0, got {self.skip_rows}"
            raise InputValueError(Setting("skip_rows"), said)
        return self._replace(delimiter=delimiter)

    @property
    def options(self) -> tuple[str, ...]:
        """The options of a command that reads the same way."""
        return (
            *(("--decimal", self.decimal) if self.decimal != "." else ()),
            *(("--encoding", self.encoding) if self.encoding != "utf-8" else ()),
            *(("--thousands", self.thousands) if self.thousands else ()),
            *(("--delimiter", self.delimiter.replace(r"\s+", " ")) if self.delimiter else ()),
            *(("--header" if self.header else "--no-header",) if self.header is not None else ()),
            *(("--skip-rows", str(self.skip_rows)) if self.skip_rows else ()),
            *(("--drop-missing",) if self.drop_missing else ()),
        )


PLAIN = Reading()


class Source(NamedTuple):
    """A file, the only table of an archive, or the content of a pipe."""

    name: str
    """As it is called in messages"""
    path: Path | None = None
    packed: str = ""
    """gzip, bz2, xz, zstd, or the name of the table in a zip archive"""
    content: bytes | None = None
    """Of a pipe"""

    def open(self) -> BinaryIO:
        """Return what is in it, decompressed."""
        if self.content is not None:
            return io.BytesIO(self.content)
        assert self.path is not None
        if self.packed == "zstd":
            import pyarrow as pa

            return cast(BinaryIO, pa.input_stream(str(self.path), compression=cast(Any, "zstd")))
        openers: dict[str, Any] = {"gzip": gzip.open, "bz2": bz2.open, "xz": lzma.open}
        if self.packed in openers:
            return cast(BinaryIO, openers[self.packed](self.path))
        if self.packed:
            return cast(BinaryIO, zipfile.ZipFile(self.path).open(self.packed))
        return self.path.open("rb")

    def whole(self) -> Path | bytes:
        """Return what libraries need that do not read from front to back: a path, or all of it."""
        if self.path is not None and not self.packed:
            return self.path
        with self.open() as stream:
            return _all_of(self.name, stream)


def source_of(path: Path) -> Source:
    """Return what a path stands for: a file, the table in an archive, or the content of a pipe.

    Raises `InputValueError` if the file does not exist, an archive holds no or several tables, or a
    pipe contains no table or too much data.
    """
    if str(path) == STDIN:
        return Source("standard input", content=_all_of("standard input", sys.stdin.buffer))
    if not path.exists():
        raise InputValueError(f"{path}: no such file")
    if path.is_dir():
        raise InputValueError(f"{path}: is a folder")
    if not path.is_file():
        with path.open("rb") as pipe:
            return Source(str(path), content=_all_of(str(path), pipe))
    with path.open("rb") as file:
        start = file.read(_SNIFFED)
    packed = next((kind for magic, kind in _PACKED.items() if start.startswith(magic)), "")
    if start.startswith(_ZIP):
        packed = _table_in(path)
    return Source(str(path), path.absolute(), packed)  # a worker may be in another folder


def _table_in(path: Path) -> str:
    """Return the name of the only table in a zip archive; "" if the archive itself is a table."""
    with readable(str(path), "zip"), zipfile.ZipFile(path) as archive:
        names = archive.namelist()
    if "[Content_Types].xml" in names or all(name.endswith(".npy") for name in names):
        return ""  # Excel and NPZ
    tables = [
        name
        for name in names
        if not name.endswith("/") and not re.search(r"(^|/)(\.|__MACOSX/)", name)
    ]
    if len(tables) != 1:
        listed = ", ".join(tables[:5]) + ", …" * (len(tables) > 5)
        what = f"{len(tables)} files, {listed}" if tables else "no files"
        raise InputValueError(f"{path}: is an archive of {what}; it must hold one, the table")
    return tables[0]


def kind_of(source: Source, encoding: str = "utf-8") -> str:
    """Return what a source is by its first bytes: text, Parquet, Feather, NPZ, NPY or Excel.

    Raises `InputValueError` if it is something else, or not what its suffix says.
    """
    with readable(source.name, source.packed or "table"), source.open() as file:
        head = file.read(_SNIFFED)
    kind = next((kind for magic, kind in _MAGIC.items() if head.startswith(magic)), "text")
    if head.startswith(_ZIP):
        with zipfile.ZipFile(seekable(source.whole())) as archive:
            kind = "NPZ" if all(name.endswith(".npy") for name in archive.namelist()) else "Excel"
    if head.startswith(b"\xd0\xcf\x11\xe0"):
        raise InputValueError(f"{source.name}: is an old Office document; save the table as CSV")
    wide = re.match("utf-?(16|32)", encoding, re.IGNORECASE)
    if kind == "text" and not wide:
        if head.startswith(_UTF16):
            utf16 = Setting("encoding", "utf-16")
            raise InputValueError(f"{source.name}: is UTF-16 text; ", utf16, " reads it")
        _refuse_binary(source.name, head)
    suffix = Path(source.packed if "." in source.packed else source.name).suffix.lower()
    if kind != (expected := _SUFFIXES.get(suffix, kind)):
        raise InputValueError(
            f"{source.name}: is not a readable {expected} file, by its first bytes"
        )
    return kind


def seekable(content: Path | bytes) -> Any:
    """Return what `Source.whole` has returned as a path or a file at its beginning."""
    return io.BytesIO(content) if isinstance(content, bytes) else content


def _all_of(name: str, pipe: BinaryIO) -> bytes:
    """Read a pipe to its end, as long as the data can be a table and fit in memory."""
    limit = min(MOST_BYTES, psutil.virtual_memory().available // 4)
    with readable(name, "table"):
        content = bytearray(pipe.read(_SNIFFED))
        if not content.startswith(_UTF16):
            _refuse_binary(name, content)
        while chunk := pipe.read(min(_CHUNK, limit + 1 - len(content))):
            content += chunk
            if len(content) > limit:
                raise InputValueError(
                    f"{name}: is longer than {limit / 2**20:,.0f} MiB, the most that is read "
                    "from a pipe; save the table to a file"
                )
    return bytes(content)


def _refuse_binary(name: str, start: bytes | bytearray) -> None:
    """Reject data that begins neither as text nor as a known kind of binary table."""
    if b"\0" in start and not start.startswith((*_MAGIC, *_PACKED, _ZIP)):
        raise InputValueError(f"{name}: is neither text nor a known kind of binary table")


@contextmanager
def readable(name: str, kind: str) -> Iterator[None]:
    """Turn any error that a library raises on a malformed file into one line."""
    try:
        yield
    except (InputError, MemoryError):
        raise
    except Exception as error:  # every library raises its own types
        if isinstance(error, OSError) and error.errno is not None:
            raise InputValueError(f"{name}: {os.strerror(error.errno)}") from None
        reason = " ".join(str(error).split()) or type(error).__name__
        raise InputValueError(f"{name}: is not a readable {kind} file: {reason}") from None


def several(path: Path) -> bool:
    """Whether a path is a folder or a pattern, rather than a single file."""
    return path.is_dir() or (not path.exists() and glob.has_magic(str(path)))


def files_of(path: Path) -> tuple[Path, ...]:
    """Return the files that a folder or a pattern stands for, sorted; none is an error."""
    if path.is_dir():
        every = list(_below(path, set()))
        found = [file for file in every if uncompressed(file).suffix.lower() in _IN_FOLDERS]
        found = found or [file for file in every if uncompressed(file).suffix.lower() in _OF_TEXT]
        if not found:
            raise InputValueError(
                f"{path}: has no Parquet, Feather or CSV files; for others, use a pattern"
            )
        return tuple(sorted(found))
    matching = map(Path, glob.glob(str(path), recursive=True))
    if not (found := [file for file in matching if not file.is_dir()]):
        raise InputValueError(f"{path}: no file matches")
    return tuple(sorted(found))


def _below(folder: Path, seen: set[Path]) -> Iterator[Path]:
    """Yield the files in a folder and below that are not hidden; Spark marks its own with _."""
    if folder.resolve() in seen:  # a link leads back
        return
    seen.add(folder.resolve())
    for path in folder.iterdir():
        if not path.name.startswith((".", "_")):
            yield from _below(path, seen) if path.is_dir() else [path]


def uncompressed(file: Path) -> Path:
    """Return the path of a file without the suffix of its compression."""
    return file.with_suffix("") if file.suffix.lower() in _PACKED_SUFFIXES else file


def state_of(paths: Sequence[Path]) -> tuple[tuple[str, int, int], ...]:
    """Return path, size in bytes and time of the last change, in ns, of every file.

    Raises `InputValueError` if one has vanished.
    """
    found = []
    for path in paths:
        try:
            about = path.stat()
        except OSError as error:
            raise InputValueError(f"{path}: {error.strerror}") from None
        found.append((str(path), about.st_size, about.st_mtime_ns))
    return tuple(found)
