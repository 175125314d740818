"""Write result files so that none is ever half-written."""

import json
import math
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet

from backends.interface import InputValueError


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside `path`; rename it to `path` at the end, delete it on failure.

    Raises:
        OSError: the folder is missing or cannot be written to, or the disk is full.

    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        yield temporary
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def write_json(path: Path, content: Any) -> None:
    """Write `content` as indented JSON, atomically; NaN and inf become null.

    Raises:
        OSError: as `replacing`.

    """
    text = json.dumps(_finite(content), indent=2, allow_nan=False, ensure_ascii=False)
    with replacing(path) as temporary:
        temporary.write_text(text + "\n", encoding="utf-8")


def _finite(content: Any) -> Any:
    if isinstance(content, dict):
        return {key: _finite(value) for key, value in content.items()}
    if isinstance(content, list | tuple):
        return [_finite(value) for value in content]
    if isinstance(content, float) and not math.isfinite(content):
        return None
    return content


def write_table(table: pa.Table, path: Path) -> None:
    """Write a table as Parquet, atomically."""
    with replacing(path) as temporary:
        pyarrow.parquet.write_table(table, temporary)


def writable_folder(folder: Path) -> Path:
    """Create `folder` if need be, and try to write to it, before any work is spent.

    Raises:
        InputValueError: it is a file, or cannot be created or written to.

    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise InputValueError(f"{folder}: cannot write here: {error.strerror}") from None
    return folder


def writable_file(path: Path) -> Path:
    """Make sure that `path` can be written: its folder as in `writable_folder`, and no folder.

    Raises:
        InputValueError: it is a folder, or its folder cannot be created or written to.

    """
    if path.is_dir():
        raise InputValueError(f"{path}: cannot write here: is a folder")
    writable_folder(path.parent)
    return path
