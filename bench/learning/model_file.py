"""The checks that a saved model must pass before it is used."""

from pathlib import Path
from typing import Annotated, Any, TypedDict

from msgspec import Meta

from gradrace.backends.interface import InputValueError
from gradrace.bench.data.reading import converted, repeated


class Range(TypedDict):
    """The smallest and the largest value of each feature in training."""

    low: list[float]
    high: list[float]


class ModelFile(TypedDict):
    """The part of a trained model that `predict` reads."""

    features: Annotated[list[str], Meta(min_length=1)]
    target: str
    w: list[float]
    center: list[float]
    height: float
    range: Range


def require_model(path: Path, content: Any) -> None:
    """Make sure that `content` can be used as a model.

    Raises:
        InputValueError: as `converted`, or the numbers of features and weights differ, or a
            column name is used twice.

    """
    model = converted(path, content, ModelFile)
    columns = [model["w"], model["center"], model["range"]["low"], model["range"]["high"]]
    if {len(column) for column in columns} != {len(model["features"])}:
        raise InputValueError(f"{path}: is damaged: its features and weights differ in number")
    if repeated([*model["features"], model["target"]]):
        raise InputValueError(f"{path}: is damaged: two columns have the same name")
