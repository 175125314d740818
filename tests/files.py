"""Tables in files, for tests of what reads them in parts, and predictions for them."""

from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from gradrace.backends.interface import Floats
from gradrace.bench.data.reader import Files, open_samples
from gradrace.bench.learning.prediction import Model
from gradrace.bench.learning.prediction_files import Predicted, predict_table


def open_files(path: str | Path, *columns: Any, **options: Any) -> Files:
    """Open a table to be read in parts, whatever its size."""
    files = open_samples(path, *columns, in_parts=True, **options)
    assert isinstance(files, Files)
    return files


def predicted(model: Model, path: Path) -> tuple[Predicted, Floats]:
    """Return what a model predicts for a file, and what was written."""
    out = path.with_name("predicted.parquet")
    found = predict_table(model, path, out)
    return found, pq.read_table(out).column("predicted").to_numpy()
