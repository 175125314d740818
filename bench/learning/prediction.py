"""A saved model, and its predictions for other samples."""

import reprlib
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, TypedDict

import numpy as np
from msgspec import Meta

from gradrace.backends.interface import Floats, InputTypeError, InputValueError, check_samples
from gradrace.bench.data.blocks import Use
from gradrace.bench.data.frames import has_columns, require_same_index
from gradrace.bench.data.reader import columns_of
from gradrace.bench.data.reading import converted, decoded, repeated
from gradrace.bench.data.table import Table

FORMAT, SCHEMA = "gradrace model", 1
MODEL = "model.json"
FAR = "far outside the training samples, so the units may differ"
_SHOWN = 5  # weights


class Range(TypedDict):
    """The smallest and the largest value of each feature in training."""

    low: list[float]
    high: list[float]


class ModelFile(TypedDict):
    """The part of a model file that predictions need."""

    features: Annotated[list[str], Meta(min_length=1)]
    target: str
    w: list[float]
    center: list[float]
    height: float
    range: Range


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
        predicted, far = self.predicted(X)
        if far:
            warnings.warn(f"{FAR}: {far}", stacklevel=2)
        return predicted

    def predicted(self, X: Any) -> tuple[Floats, str]:
        """Return ŷ as `predict`, and which columns are far from the training samples, in words."""
        X = columns_of(X, self.features)
        X, _ = check_samples(X, np.zeros(np.shape(X)[:1]))
        if X.shape[1] != len(self.w):
            raise InputValueError(f"X: needs {len(self.w)} columns, got {X.shape[1]}")
        y_hat = self.values(X)
        if not np.isfinite(y_hat).all():
            raise InputValueError("X: a prediction is beyond float64")
        return y_hat, far_columns(self, X.min(axis=0), X.max(axis=0))

    def score(self, X: Any, y: Any = None) -> float:
        """Return R² = 1 − Σ(ŷ − y)² / Σ(y − ȳ)²; without y, X has a column of targets.

        Raises:
            InputTypeError, InputValueError: X or y cannot be used.
            OSError: a file cannot be read.

        """
        samples, actual = labeled(X, y, self.features, self.target)
        return r_squared(self.predict(samples), actual)

    def use(self, table: Table) -> Use:
        """Return the columns to predict from, and the target, if the table has it.

        Raises:
            InputValueError: a column is missing.

        """
        use = table.needed(self.features, "the model")
        has_target = all(self.target in file.names for file in table.files)
        return (
            use._replace(columns=(*self.features, self.target), optional=True)
            if has_target
            else use
        )

    def values(self, X: Floats) -> Floats:
        """Return (X − center) w + height; inf or nan where float64 overflows."""
        with np.errstate(over="ignore", invalid="ignore"):
            y_hat: Floats = (X - self.center) @ self.w + self.height
        return y_hat

    def __repr__(self) -> str:
        return f"Model of {self.target}: {parameters(self.features, self.w, self.b)}"


def parameters(features: Sequence[str], w: Floats, b: float) -> str:
    """Write the first weights, with their names, and b: w: size 2.8, age −1; b: 10.1."""
    pairs = list(zip(features, w.tolist(), strict=True))
    shown = [f"{name} {value:.6g}" for name, value in pairs[:_SHOWN]]
    if len(pairs) > _SHOWN:
        shown.append(f"… {len(pairs) - _SHOWN:,} more")
    return f"w: {', '.join(shown)}; b: {b:.6g}"


def labeled(X: Any, y: Any, features: Sequence[str], target: str) -> tuple[Floats, Floats]:
    """Return samples and their targets, which are y, or else a column of the table or file X.

    Raises:
        InputTypeError, InputValueError: they cannot be used.

    """
    if y is not None:
        require_same_index(X, y)
        return check_samples(columns_of(X, features), y)
    if not (isinstance(X, str | Path) or has_columns(X)):
        raise InputTypeError("y: is missing; X is not a table with a column of targets")
    both = columns_of(X, [*features, target])
    return check_samples(both[:, :-1], both[:, -1])


def r_squared(predicted: Floats, actual: Floats) -> float:
    """Return R² = 1 − Σ(ŷ − y)² / Σ(y − ȳ)²; if all y are equal, 1 where ŷ = y and else 0.

    This is how scikit-learn's `r2_score` treats a constant target.
    """
    errors = float(np.sum((predicted - actual) ** 2))
    if actual.min() == actual.max():
        return 0.0 if errors else 1.0
    return 1 - errors / float(np.sum((actual - actual.mean()) ** 2))


def read_model(path: Path) -> Model:
    """Read the `model.json` that `gradrace train` writes, or that of a folder.

    Raises:
        InputValueError: it does not exist, is cut off, damaged, not a model, or of another version.
        OSError: it cannot be read.

    """
    if path.is_dir() and not (path / MODEL).exists():
        raise InputValueError(f"{path}: has no {MODEL}")
    if not path.exists():
        raise InputValueError(f"{path}: no such file or folder")
    path = path / MODEL if path.is_dir() else path
    if path.suffix != ".json":
        raise InputValueError(f"{path}: is not a model; `gradrace train` writes one as {MODEL}")
    content = decoded(path)
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise InputValueError(f"{path}: is not a model; `gradrace train` writes one as model.json")
    if content.get("schema") != SCHEMA:
        raise InputValueError(
            f"{path}: has schema {reprlib.repr(content.get('schema'))}, "
            f"this version of gradrace reads {SCHEMA}"
        )
    _require_model(path, content)
    columns = (content["w"], content["center"], content["range"]["low"], content["range"]["high"])
    w, center, low, high = (np.array(column, dtype=np.float64) for column in columns)
    height = float(content["height"])
    return Model(tuple(content["features"]), content["target"], w, center, height, low, high)


def _require_model(path: Path, content: Any) -> None:
    model = converted(path, content, ModelFile)
    columns = [model["w"], model["center"], model["range"]["low"], model["range"]["high"]]
    if {len(column) for column in columns} != {len(model["features"])}:
        raise InputValueError(f"{path}: is damaged: its features and weights differ in number")
    if repeated([*model["features"], model["target"]]):
        raise InputValueError(f"{path}: is damaged: two columns have the same name")


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
