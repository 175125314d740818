"""Tables in files, for tests of what reads them in parts."""

from pathlib import Path
from typing import Any

from gradrace.bench.data.reader import Files, open_samples


def open_files(path: str | Path, *columns: Any, **options: Any) -> Files:
    """Open a table to be read in parts, whatever its size."""
    files = open_samples(path, *columns, in_parts=True, **options)
    assert isinstance(files, Files)
    return files
