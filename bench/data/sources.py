"""Where a table is read from: a file or a pipe, and which kind its first bytes say that it is."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, cast

import psutil
import pyarrow as pa

from gradrace.backends.interface import InputError, InputValueError

STDIN = "-"

_MAGIC = {
    b"PAR1": "Parquet",
    b"ARROW1": "Feather",
    b"FEA1": "Feather",
    b"\xff\xff\xff\xff": "Feather",  # a stream
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
_COMPRESSED = {b"\x1f\x8b": "gzip", b"BZh": "bz2", b"\x28\xb5\x2f\xfd": "zstd"}
_REFUSED = {
    **dict.fromkeys(_COMPRESSED, "is compressed; decompress it first"),
    b"\xff\xfe": "is UTF-16 text; save it as UTF-8",
    b"\xfe\xff": "is UTF-16 text; save it as UTF-8",
    b"\xd0\xcf\x11\xe0": "is an old Office document; save the table as CSV",
}
MOST_BYTES = 2**30
"""The most that is read from a pipe, into memory; or a quarter of the free memory if less."""
_SNIFFED = 4_096  # bytes
_CHUNK = 2**20

Source = Path | bytes


def kind_of(path: Path) -> str:
    """Return the format of a file, by its first bytes: CSV, Parquet, Feather, NPZ or NPY.

    Raises:
        InputValueError: it is missing, in an unknown format, or not in that of its suffix.

    """
    return kind_of_source(str(path), path.suffix, path)


def is_other_feather(path: Path) -> bool:
    """Whether a file is Feather of version 1 or a stream, which are not read in parts."""
    return _first_bytes(path).startswith((b"FEA1", b"\xff\xff\xff\xff"))


def kind_of_source(name: str, suffix: str, source: Source) -> str:
    """Return the format of a file or of the content of a pipe, as `kind_of`."""
    head = source[:_SNIFFED] if isinstance(source, bytes) else _first_bytes(source)
    _refuse_binary(name, head)
    kind = next((kind for magic, kind in _MAGIC.items() if head.startswith(magic)), "CSV")
    for magic, why in _REFUSED.items():
        if head.startswith(magic):
            raise InputValueError(f"{name}: {why}")
    if suffix.lower() in (".xlsx", ".xlsm"):
        raise InputValueError(f"{name}: is an Excel table; save it as CSV")
    if kind != (expected := _SUFFIXES.get(suffix.lower(), kind)):
        raise InputValueError(f"{name}: is not a readable {expected} file, by its first bytes")
    return kind


def source_of(path: Path) -> tuple[str, Source]:
    """Return the name of a file for messages, and the file, or the whole content of a pipe.

    Of a compressed file, it is the decompressed content.

    Raises:
        InputValueError: the file does not exist or is compressed and damaged, or a pipe contains
            no table or too much data.

    """
    if str(path) == STDIN:
        return "standard input", _all_of("standard input", sys.stdin.buffer)
    if not path.exists():
        raise InputValueError(f"{path}: no such file")
    if path.is_dir():
        raise InputValueError(f"{path}: is a folder")
    if path.is_file():
        return str(path), _decompressed(path)
    with path.open("rb") as pipe:
        return str(path), _all_of(str(path), pipe)


def _decompressed(path: Path) -> Source:
    """Return a file as it is, or the content of a compressed one."""
    start = _first_bytes(path)
    kind = next((kind for magic, kind in _COMPRESSED.items() if start.startswith(magic)), "")
    if not kind:
        return path
    try:
        opened: Any = pa.input_stream(str(path), compression=cast(Any, kind))
        with opened as stream:
            return _all_of(str(path), stream)
    except (pa.ArrowInvalid, OSError) as error:
        reason = " ".join(str(error).split())
        raise InputValueError(f"{path}: is not a readable {kind} file: {reason}") from None


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


def is_stream(source: Source) -> bool:
    """Whether a Feather table is a stream, without a directory at its end."""
    start = source[:4] if isinstance(source, bytes) else _first_bytes(source)[:4]
    return start == b"\xff\xff\xff\xff"


@contextmanager
def readable(name: str, kind: str) -> Iterator[None]:
    """Turn any error that a library raises on a malformed file into one line."""
    try:
        yield
    except (InputError, MemoryError):
        raise
    except Exception as error:  # every library raises its own types
        if isinstance(error, OSError) and error.errno is not None:
            raise
        reason = " ".join(str(error).split())
        if "invalid UTF8" in reason:
            reason = "it is not UTF-8; try --encoding cp1252"
        raise InputValueError(f"{name}: is not a readable {kind} file: {reason}") from None


def arrow(source: Source) -> Any:
    """Return what pyarrow reads."""
    return pa.BufferReader(source) if isinstance(source, bytes) else source
