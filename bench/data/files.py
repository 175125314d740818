"""Write result files so that none is ever left half-written."""

import json
import math
import os
import secrets
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet
from numpy.typing import NDArray

from gradrace.backends.interface import InputValueError
from gradrace.bench.data.origin import origin

_SMALL = 65_536  # bytes


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a new, empty file beside `path`; rename it to `path` at the end, delete it on failure.

    Its name is random, so nobody can place a link there in advance. It has the usual permissions of
    a new file. The folder is created if necessary.

    Raises:
        OSError: the folder cannot be created or written to, or the disk is full; the error names
            `path`.

    """
    temporary = path.with_name(f".{secrets.token_hex(8)}.tmp")
    with _naming(path, temporary):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            temporary.touch(exist_ok=False)
            yield temporary
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)


@contextmanager
def _naming(path: Path, temporary: Path | None = None) -> Iterator[None]:
    """Make an error that names no file, or the temporary one, name `path`."""
    try:
        yield
    except OSError as error:
        if error.errno is None or error.filename not in (None, str(temporary)):
            raise
        raise OSError(error.errno, os.strerror(error.errno), str(path)) from error


def write_json(path: Path, content: Any) -> None:
    """Write `content` as indented JSON, atomically; NaN becomes null; errors as `replacing`."""
    text = json.dumps(_finite(content), indent=2, allow_nan=False, ensure_ascii=False)
    with replacing(path) as temporary:
        # a lone surrogate, as in a file name that is not valid UTF-8, is written as its escape
        temporary.write_text(text + "\n", encoding="utf-8", errors="backslashreplace")


def _finite(content: Any) -> Any:
    if isinstance(content, dict):
        return {key: _finite(value) for key, value in content.items()}
    if isinstance(content, list | tuple):
        return [_finite(value) for value in content]
    if isinstance(content, float) and not math.isfinite(content):
        return None
    return content


def write_bytes(path: Path, content: bytes) -> None:
    """Write a file, atomically; errors as `replacing`."""
    with replacing(path) as temporary:
        temporary.write_bytes(content)


def arrow_table(columns: Mapping[str, NDArray[Any]]) -> pa.Table:
    """Return a table of arrays (n,) of float64 or int64, as `pyarrow.table` without pandas.

    That would import pandas, to see whether the arrays are from there, which takes 0.3 s.
    """
    kinds: dict[str, Any] = {"f": pa.float64(), "i": pa.int64()}
    arrays = []
    for values in columns.values():
        buffer: Any = np.ascontiguousarray(values)
        kind = kinds[values.dtype.kind]
        arrays.append(pa.Array.from_buffers(kind, len(values), [None, pa.py_buffer(buffer)]))
    return pa.Table.from_arrays(arrays, list(columns))


def write_table(table: pa.Table, path: Path) -> None:
    """Write a table as Parquet, atomically, with its origin in the metadata."""
    known = table.schema.metadata or {}
    table = table.replace_schema_metadata({**known, b"origin": json.dumps(origin()).encode()})
    with replacing(path) as temporary:
        pyarrow.parquet.write_table(table, temporary)


def writable_folder(folder: Path) -> Path:
    """Make sure, before any work is done, that `folder` can be written to or created.

    It is created with the first file only, so rejected arguments leave nothing behind.

    Raises:
        InputValueError: it is a file, or cannot be created or written to.

    """
    if folder.exists() and not folder.is_dir():
        raise InputValueError(f"{folder}: cannot write here: it is a file, not a folder")
    try:
        places = (folder, *folder.absolute().parents)
        with tempfile.TemporaryFile(dir=next(place for place in places if place.exists())):
            pass
    except OSError as error:
        raise InputValueError(f"{folder}: cannot write here: {error.strerror}") from None
    return folder


def writable_file(path: Path) -> Path:
    """Make sure that `path` can be written: it is not a folder, and its own folder is writable.

    Raises:
        InputValueError: it is a folder or a device, or its folder cannot be created or written to.

    """
    if path.exists() and not path.is_file():  # a device would be replaced
        what = "a folder" if path.is_dir() else "not an ordinary file"
        raise InputValueError(f"{path}: cannot write here: is {what}")
    writable_folder(path.parent)
    return path


def check_space(folder: Path) -> None:
    """Check that a small file can be written to a folder.

    Raises:
        OSError: it cannot, for instance on a full disk; the error names the folder.

    """
    with _naming(folder), tempfile.TemporaryFile(dir=folder) as file:
        file.write(bytes(_SMALL))
        file.flush()
        os.fsync(file.fileno())  # some file systems notice only now
