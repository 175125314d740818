"""What `fit`, `rates` and `check` take as samples: arrays, tables, and whatever a command reads."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import backends
from backends.interface import InputTypeError
from bench.data.frames import samples_of
from bench.data.samples import Dataset, Samples

Source = Any
"""An array (n, d); a table of pandas, Polars or pyarrow; a Dataset; or a path."""


def samples_from(
    source: Source, y: Any = None, target: str | None = None, features: Sequence[str] = ()
) -> tuple[Samples, str]:
    """Return samples, and the backend that reads them in parts, or "" if they are in memory.

    Raises:
        InputTypeError, InputValueError: as `frames.samples_of` and `folders.open_samples`.
        OSError: a file cannot be read.

    """
    if isinstance(source, Dataset):
        return source, ""
    if not isinstance(source, str | Path):
        return samples_of(source, y, target, features), ""
    if y is not None:
        raise InputTypeError("y: cannot be given with a file; target names one of its columns")
    from bench.data.folders import Files, open_samples
    from bench.learning.summary import summarize

    table = open_samples(Path(source), target, features)
    if isinstance(table, Files):
        return summarize(table), backends.for_large_data()
    return table, ""
