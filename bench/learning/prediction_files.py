"""Predictions for a table, batch by batch: a file of predictions for every file of it."""

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet

from gradrace import backends
from gradrace.backends.interface import Floats, InputValueError
from gradrace.bench.data.batches import Chosen, blocks
from gradrace.bench.data.blocks import Use
from gradrace.bench.data.files import arrow_table, replacing, writable_file, writable_folder
from gradrace.bench.data.reader import open_table
from gradrace.bench.data.sources import PLAIN, Reading, several, uncompressed
from gradrace.bench.data.table import Table
from gradrace.bench.learning.prediction import Model, far_columns
from gradrace.bench.machine.progress import Progress, silent

Replacing = Callable[[Path], AbstractContextManager[Path]]


@dataclass(frozen=True)
class Predicted:
    """What was predicted for a table."""

    target: str
    rows: int
    files: tuple[Path, ...]
    """The files of predictions"""
    unused: tuple[str, ...]
    """The columns that the model does not use"""
    far: str
    """Which columns are so far from the training samples that their units may differ, in words"""
    loss: float | None
    """(1/n) Σ (ŷ − y)² if the table has a target for every row"""
    remarks: tuple[str, ...]
    """What was assumed when the table was read"""


def predict_table(
    model: Model,
    path: str | Path,
    out: Path,
    reading: Reading = PLAIN,
    *,
    cluster: bool = False,
    on_progress: Progress = silent,
) -> Predicted:
    """Predict for every row of a file, a folder or a pattern; only a batch of rows is in memory.

    The predictions are one column, `predicted`, in the order of the rows. Those for a single file
    are written to the file `out`, CSV or Parquet. Each file of a folder or a pattern gets a file of
    the same name in the folder `out`: CSV for text, otherwise Parquet. On a cluster, the workers
    write these files.

    Raises:
        InputValueError: a file cannot be read, a column is missing, a value is not a finite number,
            a prediction is beyond float64, or `out` is among what is read.
        OSError: a file cannot be written.

    """
    if not several(Path(path)):
        predictions_kind(out)
        writable_file(out)
    table = open_table(path, reading)
    use = model.use(table)
    targets = _targets(table, Path(path), out)
    each = partial(_write, replacing, model.w, model.center, model.height, use)
    rows = [sum(file.groups) if file.groups else None for file in table.files]
    absolute = [str(target.absolute()) for target in targets]  # workers are in other folders
    recipes = list(zip(absolute, range(len(targets)), rows, strict=True))
    read = partial(_with_target, use, [file.chosen(use.columns) for file in table.files])
    if len(recipes) == 1 and not cluster:
        found = each(read(*recipes[0]))
    else:
        found = _over(each, read, recipes, on_progress)
    used = {*model.features, model.target}
    unused = tuple(name for name in table.offered if name not in used)
    far = far_columns(model, found.low, found.high) if found.rows else ""
    known = use.optional and found.rows > 0 and math.isfinite(found.squares)
    loss = found.squares / found.rows if known else None
    remarks = tuple(dict.fromkeys(remark for file in table.files for remark in file.remarks))
    return Predicted(model.target, found.rows, targets, unused, far, loss, remarks)


def _over(
    each: Callable[..., Any], read: Callable[..., Any], recipes: list[Any], on_progress: Progress
) -> "_Found":
    """Write the files in parallel, here or on a cluster."""
    backend, total = backends.for_large_data(), len(recipes)
    backends.require(backend)
    large: Any = backends.load(backend)
    done = rows = 0

    def on_done(partitions: int, found: _Found) -> None:
        nonlocal done, rows
        done, rows = done + partitions, rows + found.rows
        on_progress(f"predicting: {rows:,} rows", done, total)

    on_progress("predicting", 0, total)
    data = large.Partitions(read, recipes, 1)
    try:
        result: _Found = large.over(data, each, _joined, on_done=on_done)
    except InputValueError as error:
        if not done:
            raise
        raise InputValueError(f"{error}; {done} of {total} files are written") from None
    return result


def _targets(table: Table, path: Path, out: Path) -> tuple[Path, ...]:
    """Return where the predictions for each file go."""
    if not several(path):
        targets: tuple[Path, ...] = (out,)
    else:
        suffix = ".csv" if table.kind == "text" else ".parquet"
        if out.suffix in (".csv", ".parquet"):
            raise InputValueError(f"{out}: must be a folder, for the predictions of several files")
        root = path if path.is_dir() else _common_folder(table.paths)
        targets = tuple(
            out / uncompressed(file).relative_to(root).with_suffix(suffix) for file in table.paths
        )
        writable_folder(out)
    read = {file.resolve() for file in table.paths}
    for target in targets:
        if target.resolve() in read:
            raise InputValueError(
                f"{target}: would be overwritten while it is read; choose another"
            )
    if len(set(targets)) < len(targets):
        raise InputValueError(f"{path}: two files would get the same file of predictions in {out}")
    return targets


def _common_folder(paths: Sequence[Path]) -> Path:
    """Return the deepest folder that holds all of the files."""
    return next(
        folder for folder in paths[0].parents if all(folder in path.parents for path in paths)
    )


def predictions_kind(path: Path) -> str:
    """Return the suffix of the path, .csv or .parquet.

    Raises:
        InputValueError: it is neither.

    """
    kind = path.suffix.lower()
    if kind not in (".csv", ".parquet"):
        raise InputValueError(f"{path}: must end in .csv or .parquet")
    return kind


class _Found(NamedTuple):
    rows: int
    low: Floats
    high: Floats
    squares: float
    """Σ (ŷ − y)², NaN if a target is missing"""


def _with_target(
    use: Use, files: Sequence[Chosen], target: str, i: int, rows: int | None
) -> tuple[str, str, Iterator[tuple[Floats, int]]]:
    return target, files[i].name, blocks(use, files[i], None, 0, rows)


def _write(
    replace: Replacing,
    w: Floats,
    center: Floats,
    height: float,
    use: Use,
    given: tuple[str, str, Iterator[tuple[Floats, int]]],
) -> _Found:
    """Write the predictions for the rows of a file; this runs on a worker."""
    target, name, batches = given
    schema = pa.schema([("predicted", pa.float64())])
    rows, squares, low, high = 0, 0.0, np.full(len(w), np.inf), np.full(len(w), -np.inf)
    with replace(Path(target)) as temporary, temporary.open("wb") as file:
        if target.lower().endswith(".csv"):
            file.write(b"predicted\n")  # pyarrow would put it in quotes
            no_header = pyarrow.csv.WriteOptions(include_header=False)
            writer: Any = pyarrow.csv.CSVWriter(file, schema, write_options=no_header)
        else:
            writer = pyarrow.parquet.ParquetWriter(file, schema)
        with writer:
            for block, _ in batches:
                X = np.ascontiguousarray(block[:, : len(w)])  # as where it is in memory
                with np.errstate(over="ignore", invalid="ignore"):
                    values = (X - center) @ w + height
                    if use.optional:
                        squares += float(np.sum((values - block[:, -1]) ** 2))
                if not np.isfinite(values).all():
                    row = rows + int(np.argmin(np.isfinite(values))) + 1
                    raise InputValueError(f"{name}: row {row:,}: the prediction is beyond float64")
                writer.write_table(arrow_table({"predicted": values}))
                rows += len(values)
                if len(X):
                    low, high = np.minimum(low, X.min(axis=0)), np.maximum(high, X.max(axis=0))
    return _Found(rows, low, high, squares)


def _joined(found: Sequence[_Found]) -> _Found:
    return _Found(
        sum(part.rows for part in found),
        np.min([part.low for part in found], axis=0),
        np.max([part.high for part in found], axis=0),
        sum(part.squares for part in found),
    )
