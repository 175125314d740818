"""A saved model, and its predictions for other tables."""

import reprlib
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv

from gradrace.backends.interface import Floats, InputTypeError, InputValueError, check_samples
from gradrace.bench.data.files import replacing, writable_file, write_table
from gradrace.bench.data.frames import columns_of, has_columns
from gradrace.bench.data.table import PLAIN, ColumnError, Reading, Table
from gradrace.bench.data.table_files import open_table
from gradrace.bench.learning.model import FORMAT, MODEL, SCHEMA

_SHOWN = 5  # weights
FAR = "far outside the training samples, so the units may differ"


@dataclass(frozen=True, repr=False, eq=False)
class Model:
    """ŷ = (X − center) w + height, the names of the columns it uses, and their range in training.

    This equals Xw + b, but avoids the rounding error of b if the columns are far from 0. The center
    of a model trained on standardized columns is their mean; otherwise it is 0.
    """

    features: tuple[str, ...]
    target: str
    w: Floats
    """(d,) in the units of the columns, standardized or not"""
    center: Floats
    """(d,)"""
    height: float
    low: Floats
    """(d,)"""
    high: Floats
    """(d,)"""

    @property
    def b(self) -> float:
        """The bias: ŷ at 0."""
        return float(self.height - self.center @ self.w)

    def predict(self, X: Any) -> Floats:
        """Return ŷ, shape (m,), for an array X (m, d), or a table with the columns of the model.

        Raises:
            InputTypeError, InputValueError: X cannot be used, or lacks a column.
            OSError: a file cannot be read.

        """
        X = columns_of(X, self.features)
        X, _ = check_samples(X, np.zeros(np.shape(X)[:1]))
        if X.shape[1] != len(self.w):
            raise InputValueError(f"X: needs {len(self.w)} columns, got {X.shape[1]}")
        if far := far_from_training(self, X):
            warnings.warn(f"{FAR}: {far}", stacklevel=3)
        return self.values(X)

    def score(self, X: Any, y: Any = None) -> float:
        """Return R² = 1 − Σ(ŷ − y)² / Σ(y − ȳ)²; without y, X has a column of targets.

        Raises:
            InputTypeError, InputValueError: X or y cannot be used.
            OSError: a file cannot be read.

        """
        samples, actual = labeled(X, y, self.features, self.target)
        return r_squared(self.predict(samples), actual)

    def values(self, X: Floats) -> Floats:
        """Return (X − center) w + height; inf or nan where float64 overflows."""
        with np.errstate(over="ignore", invalid="ignore"):
            y_hat: Floats = (X - self.center) @ self.w + self.height
        return y_hat

    def __repr__(self) -> str:
        pairs = zip(self.features[:_SHOWN], self.w.tolist(), strict=False)
        more = len(self.features) - _SHOWN
        w = ", ".join(f"{name} {value:.6g}" for name, value in pairs)
        w += f", … {more:,} more" * (more > 0)
        return f"Model of {self.target}: w: {w}; b: {self.b:.6g}"


@dataclass(frozen=True)
class Predictions:
    """What a model predicts for a table, row by row."""

    target: str
    values: Floats
    """(n,)"""
    unused: tuple[str, ...]
    """The columns that the model does not use"""
    far: str
    """Which columns are so far from the training samples that their units may differ, in words"""
    loss: float | None
    """(1/n) Σ (ŷ − y)² if the table has a usable target column"""


def labeled(X: Any, y: Any, features: Sequence[str], target: str) -> tuple[Floats, Floats]:
    """Return samples and their targets, which are y, or else a column of the table or file X.

    Raises:
        InputTypeError, InputValueError: they cannot be used.

    """
    if y is not None:
        return check_samples(columns_of(X, features), y)
    if not (isinstance(X, str | Path) or has_columns(X)):
        raise InputTypeError("y: is missing; X is not a table with a column of targets")
    both = columns_of(X, [*features, target])
    return check_samples(both[:, :-1], both[:, -1])


def r_squared(predicted: Floats, actual: Floats) -> float:
    """Return 1 − Σ(ŷ − y)² / Σ(y − ȳ)², or nan if all y are equal."""
    spread = float(np.sum((actual - actual.mean()) ** 2))
    return 1 - float(np.sum((predicted - actual) ** 2)) / spread if spread else float("nan")


def read_model(path: Path) -> Model:
    """Read the `model.json` that `gradrace train` writes, or that of a folder.

    Raises:
        InputValueError: it does not exist, is cut off, damaged, not a model, or of another version.
        OSError: it cannot be read.

    """
    from gradrace.bench.data import reading
    from gradrace.bench.learning import model_file

    if path.is_dir() and not (path / MODEL).exists():
        raise InputValueError(f"{path}: has no {MODEL}")
    if not path.exists():
        raise InputValueError(f"{path}: no such file or folder")
    path = path / MODEL if path.is_dir() else path
    if path.suffix != ".json":
        raise InputValueError(f"{path}: is not a model; `gradrace train` writes one as {MODEL}")
    content = reading.decoded(path)
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise InputValueError(f"{path}: is not a model; `gradrace train` writes one as model.json")
    if content.get("schema") != SCHEMA:
        raise InputValueError(
            f"{path}: has schema {reprlib.repr(content.get('schema'))}, "
            f"this version of gradrace reads {SCHEMA}"
        )
    model_file.require_model(path, content)
    columns = (content["w"], content["center"], content["range"]["low"], content["range"]["high"])
    w, center, low, high = (np.array(column, dtype=np.float64) for column in columns)
    height = float(content["height"])
    return Model(tuple(content["features"]), content["target"], w, center, height, low, high)


def predict_table(
    model: Path, table: Path, out: Path | None = None, reading: Reading = PLAIN
) -> Predictions:
    """Return what a saved model predicts for a table; write it to `out`, if given.

    Raises:
        InputValueError: as `read_model`, `predict` and `write_predictions`, or `out` is also one of
            the input files.
        OSError: a file cannot be read or written.

    """
    trained = read_model(model)
    if out is not None:
        predictions_kind(out)
        writable_file(out)
        if out.exists() and any(path.exists() and out.samefile(path) for path in (table, model)):
            raise InputValueError(f"{out}: would be overwritten while it is read; choose another")
    found = predict(trained, table, reading)
    if out is not None:
        write_predictions(found, out)
    return found


def predict(model: Model, path: Path, reading: Reading = PLAIN) -> Predictions:
    """Return ŷ for every row of a table, whose columns are found by name.

    Raises:
        InputValueError: the table cannot be read, lacks a column, or a prediction is beyond
            float64.

    """
    table = open_table(path, reading)
    missing = [name for name in model.features if name not in table.columns]
    if missing:
        raise InputValueError(
            f"{table.name}: has no column {missing[0][:100]!r}, which the model needs; "
            f"it has {table.listing}"
        )
    try:
        X = np.concatenate(table.rows(model.features) or [np.empty((0, len(model.features)))])
    except ColumnError as error:
        raise InputValueError(f"{error}; the model needs it") from None
    values = model.values(X)
    if not np.isfinite(values).all():
        row = int(np.argmin(np.isfinite(values))) + 1
        raise InputValueError(f"{table.name}: row {row}: the prediction is beyond float64")
    used = {*model.features, model.target}
    unused = tuple(name for name in table.columns if name not in used)
    far = far_columns(model, X.min(axis=0), X.max(axis=0)) if len(X) else ""
    return Predictions(model.target, values, unused, far, _loss(model, table, values))


def far_from_training(model: Model, X: Any) -> str:
    """Name the columns of X (m, d) that are far outside the training samples, as `far_columns`."""
    values = np.asarray(X, dtype=np.float64)
    return far_columns(model, values.min(axis=0), values.max(axis=0))


def far_columns(model: Model, low: Floats, high: Floats) -> str:
    """Name the columns that are outside the training range by more than ten times its width.

    `low` and `high` (d,) are the smallest and the largest values for which it predicts.

    A column that was positive in training is also far if all its values are at most a tenth of the
    smallest one in training.
    """
    with np.errstate(over="ignore"):
        margin = 10 * (model.high - model.low)
        far = (low < model.low - margin) | (high > model.high + margin)
        far |= (model.low > 0) & (high <= model.low / 10)
    return "; ".join(
        f"{model.features[j]!r} is {low[j]:.4g} … {high[j]:.4g}, "
        f"in training {model.low[j]:.4g} … {model.high[j]:.4g}"
        for j in np.flatnonzero(far)
    )


def _loss(model: Model, table: Table, values: Floats) -> float | None:
    if model.target not in table.columns or not len(values):
        return None
    try:
        y = np.concatenate(table.rows([model.target]))[:, 0]
    except InputValueError:  # empty or incomplete: the user wants to predict it
        return None
    with np.errstate(over="ignore"):
        return float(np.mean((values - y) ** 2))


def write_predictions(predictions: Predictions, path: Path) -> None:
    """Write one column, `predicted`, in the order of the table, atomically.

    Raises:
        InputValueError: the path ends in neither .csv nor .parquet.
        OSError: the file cannot be written.

    """
    kind = predictions_kind(path)
    table = pa.table({"predicted": predictions.values})
    if kind == ".parquet":
        write_table(table, path)
        return
    with replacing(path) as temporary, temporary.open("wb") as file:
        file.write(b"predicted\n")  # pyarrow would put it in quotes
        pyarrow.csv.write_csv(table, file, pyarrow.csv.WriteOptions(include_header=False))


def predictions_kind(path: Path) -> str:
    """Return the suffix of the path, .csv or .parquet.

    Raises:
        InputValueError: it is neither.

    """
    kind = path.suffix.lower()
    if kind not in (".csv", ".parquet"):
        raise InputValueError(f"{path}: must end in .csv or .parquet")
    return kind
