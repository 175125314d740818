"""Save the results of a training run: its history, its model and its pictures."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv

from gradrace.backends.interface import Trajectory
from gradrace.bench.data.files import arrow_table, replacing, write_json, write_table
from gradrace.bench.learning.training import Fit

FORMAT = "gradrace model"
MODEL = "model.json"
OF_A_MODEL = (MODEL, "fit.parquet", "fit.png", "residuals.png", "weights.png")
"""The files that a diverged run does not write."""
SCHEMA = 1


def save(fit: Fit, folder: Path) -> Iterator[Path]:
    """Write history.parquet, model.json, fit.parquet and the pictures, as far as they exist.

    The pictures are loss.png, fit.png, residuals.png and weights.png. A diverged run has no model,
    so only its history and the picture of its loss are written. An interrupted run gets no
    pictures, because they take the longest. Each path is yielded once its file is complete.

    Raises:
        OSError: the folder cannot be written to; no file is left half-written.

    """
    history = write_history(fit, folder)
    yield history
    if not fit.diverged:
        yield write_model(fit, folder)
        points = write_points(fit, folder)
        yield points
    if fit.interrupted:
        return
    from gradrace.plots import fit as fit_plot  # here, because importing matplotlib takes long
    from gradrace.plots import loss as loss_plot
    from gradrace.plots import residuals as residuals_plot
    from gradrace.plots import weights as weights_plot

    with replacing(folder / "loss.png") as temporary:
        loss_plot.draw([history], temporary)
    yield folder / "loss.png"
    if fit.diverged:
        return
    for name, plot, source in (
        ("fit.png", fit_plot, points),
        ("residuals.png", residuals_plot, points),
        ("weights.png", weights_plot, folder / MODEL),
    ):
        with replacing(folder / name) as temporary:
            plot.draw(source, temporary)
        yield folder / name


def write_history(fit: Fit, folder: Path) -> Path:
    """Write history.parquet, from which loss.png is drawn; return its path."""
    label = f"α = {fit.lr:g}" + (", standardized" if fit.scaling else "")
    table = history_table(fit.data.features, fit.trajectory, label, fit.least_squares.loss)
    write_table(table, folder / "history.parquet")
    return folder / "history.parquet"


def write_model(fit: Fit, folder: Path) -> Path:
    """Write model.json; return its path."""
    write_json(folder / MODEL, _content(fit))
    return folder / MODEL


def write_points(fit: Fit, folder: Path) -> Path:
    """Write fit.parquet, from which fit.png is drawn; return its path."""
    write_table(_points(fit), folder / "fit.parquet")
    return folder / "fit.parquet"


def _content(fit: Fit) -> dict[str, object]:
    low, high = fit.data.extremes
    scaling = None
    if fit.scaling is not None:
        scaling = {
            key: value.tolist() if isinstance(value, np.ndarray) else value
            for key, value in asdict(fit.scaling).items()
        }
    return {
        "format": FORMAT,
        "schema": SCHEMA,
        "features": list(fit.data.features),
        "target": fit.data.target,
        "w": fit.w.tolist(),
        "b": fit.b,
        "center": fit.center.tolist(),
        "height": fit.height,
        "range": {"low": low[:-1].tolist(), "high": high[:-1].tolist()},
        "training": {
            "data": fit.data.name,
            "n": fit.data.n,
            "backend": fit.backend,
            "precision": fit.precision,
            "lr": fit.lr,
            "epochs": int(fit.trajectory.epoch[-1]),
            "standardized": scaling,
            "stopped": fit.stopped,
            "interrupted": fit.interrupted,
            "loss": fit.loss,
        },
        "least_squares": {
            "w": fit.least_squares.w.tolist(),
            "b": fit.least_squares.b,
            "loss": fit.least_squares.loss,
        },
    }


def history_table(
    features: Sequence[str], path: Trajectory, label: str, least_loss: float
) -> pa.Table:
    """Return one row per epoch: epoch, loss, a column w[name] for each feature, b."""
    weights = {f"w[{name}]": path.w[:, j] for j, name in enumerate(features)}
    table = arrow_table({"epoch": path.epoch, "loss": path.loss, **weights, "b": path.b})
    return table.replace_schema_metadata({"label": label, "least_squares_loss": repr(least_loss)})


def _points(fit: Fit) -> pa.Table:
    """Return the samples, or some of many: x if d = 1, actual, predicted, least-squares ŷ."""
    (X, y), best = fit.data.points(), fit.least_squares
    columns = {
        "actual": y,
        "predicted": fit.predict(X),
        "least_squares": X @ best.w + best.b,
    }
    if X.shape[1] == 1:
        columns = {"x": X[:, 0], **columns}
    names = {"feature": fit.data.features[0], "target": fit.data.target}
    if len(y) < fit.data.n:
        names["shown"] = f" ({len(y):,} of {fit.data.n:,} samples, at random)"
    return arrow_table(columns).replace_schema_metadata(names)
