"""Predictions for tables that are read in parts: a file of predictions for every file."""

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
from gradrace.bench.data.files import replacing, writable_file, writable_folder
from gradrace.bench.data.folders import columns_of, files_of, open_dataset
from gradrace.bench.data.table import PLAIN, Reading
from gradrace.bench.learning.prediction import far_columns, predictions_kind, read_model
from gradrace.bench.machine.progress import Progress, silent

Replacing = Callable[[Path], AbstractContextManager[Path]]


@dataclass(frozen=True)
class Written:
    """What was predicted, file by file."""

    rows: int
    files: tuple[Path, ...]
    """The files of predictions"""
    unused: tuple[str, ...]
    """The columns that the model does not use"""
    far: str
    """Which columns are so far from the training samples that their units may differ, in words"""


def predict_files(
    model: Path,
    path: Path,
    out: Path,
    reading: Reading = PLAIN,
    *,
    on_progress: Progress = silent,
) -> Written:
    """Predict for every row of a folder, a pattern or a file; only a batch of rows is in memory.

    Each file of a folder or a pattern gets a file of the same name in the folder `out`: CSV for
    CSV, otherwise Parquet. The predictions for a single file are written to the file `out`. On a
    cluster, the workers write these files.

    Raises:
        InputValueError: the model or a file cannot be read, a column is missing, a value is not a
            finite number, a prediction is beyond float64, or `out` is among what is read.
        OSError: a file cannot be written.

    """
    trained, backend = read_model(model), backends.for_large_data()
    backends.require(backend)
    large: Any = backends.load(backend)
    paths = files_of(path)
    kind, dataset = open_dataset(path, paths, reading)
    targets = _targets(path, paths, out, kind)
    columns = columns_of(dataset)
    missing = [name for name in trained.features if name not in columns]
    if missing:
        listed = ", ".join(list(columns)[:20])
        raise InputValueError(
            f"{path}: has no column {missing[0][:100]!r}, which the model needs; it has {listed}"
        )
    *others, last = (columns[name] for name in trained.features)
    data = large.prepare(
        dataset, last, features=others, whole_files=True, encoding=reading.encoding
    )
    recipes = [(str(target), *recipe) for target, recipe in zip(targets, data.recipes, strict=True)]
    data = data._replace(read=partial(_with_target, data.read), recipes=recipes)
    each = partial(_write, replacing, trained.w, trained.center, trained.height)
    done = rows = 0

    def on_done(partitions: int, found: _Found) -> None:
        nonlocal done, rows
        done, rows = done + partitions, rows + found.rows
        on_progress(f"predicting: {rows:,} rows", done, len(paths))

    on_progress("predicting", 0, len(paths))
    try:
        found: _Found = large.over(data, each, _joined, on_done=on_done)
    except InputValueError as error:
        if not done:
            raise
        raise InputValueError(f"{error}; {done} of {len(paths)} files are written") from None
    used = {*trained.features, trained.target}
    unused = tuple(name for name in columns if name not in used)
    far = far_columns(trained, found.low, found.high) if found.rows else ""
    return Written(found.rows, targets, unused, far)


def _targets(path: Path, paths: Sequence[Path], out: Path, kind: str) -> tuple[Path, ...]:
    """Return where the predictions for each file go."""
    if paths == (path,):
        predictions_kind(out)
        targets: tuple[Path, ...] = (writable_file(out),)
    else:
        suffix = ".csv" if kind == "CSV" else ".parquet"
        if out.suffix in (".csv", ".parquet"):
            raise InputValueError(f"{out}: must be a folder, for the predictions of several files")
        root = path if path.is_dir() else _common_folder(paths)
        targets = tuple(out / file.relative_to(root).with_suffix(suffix) for file in paths)
        writable_folder(out)
    read = {file.resolve() for file in paths}
    for target in targets:
        if target.resolve() in read:
            raise InputValueError(f"{target}: would be overwritten while it is read")
    if len(set(targets)) < len(targets):
        raise InputValueError(f"{path}: two files would get the same file of predictions in {out}")
    return targets


def _common_folder(paths: Sequence[Path]) -> Path:
    """Return the deepest folder that holds all of the files."""
    return next(
        folder for folder in paths[0].parents if all(folder in path.parents for path in paths)
    )


class _Found(NamedTuple):
    rows: int
    low: Floats
    high: Floats


def _with_target(read: Callable[..., Any], target: str, *recipe: Any) -> tuple[str, Any]:
    return target, read(*recipe)


def _write(
    replace: Replacing,
    w: Floats,
    center: Floats,
    height: float,
    given: tuple[str, Iterator[tuple[Floats, Floats]]],
) -> _Found:
    """Write the predictions for the rows of a file; this runs on a worker."""
    target, batches = given
    schema = pa.schema([("predicted", pa.float64())])
    rows, low, high = 0, np.full(len(w), np.inf), np.full(len(w), -np.inf)
    with replace(Path(target)) as temporary, temporary.open("wb") as file:
        if target.endswith(".csv"):
            file.write(b"predicted\n")  # pyarrow would put it in quotes
            no_header = pyarrow.csv.WriteOptions(include_header=False)
            writer: Any = pyarrow.csv.CSVWriter(file, schema, write_options=no_header)
        else:
            writer = pyarrow.parquet.ParquetWriter(file, schema)
        with writer:
            for others, last in batches:
                X = np.column_stack([others, last])
                with np.errstate(over="ignore", invalid="ignore"):
                    values = (X - center) @ w + height
                if not np.isfinite(values).all():
                    row = rows + int(np.argmin(np.isfinite(values))) + 1
                    raise ValueError(f"{target}: row {row:,}: the prediction is beyond float64")
                writer.write_table(pa.table({"predicted": values}))
                rows += len(values)
                if len(X):
                    low, high = np.minimum(low, X.min(axis=0)), np.maximum(high, X.max(axis=0))
    return _Found(rows, low, high)


def _joined(found: Sequence[_Found]) -> _Found:
    return _Found(
        sum(part.rows for part in found),
        np.min([part.low for part in found], axis=0),
        np.max([part.high for part in found], axis=0),
    )
