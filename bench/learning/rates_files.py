"""Save the results of a study of rates: its numbers, histories, paths and pictures."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa

from gradrace.backends.interface import Trajectory
from gradrace.bench.data.files import arrow_table, replacing, write_json, write_table
from gradrace.bench.learning.landscape import Landscape
from gradrace.bench.learning.model import history_table
from gradrace.bench.learning.rates import Run, Study
from gradrace.bench.learning.trajectories import until_not_finite

SCHEMA = 1
RATES, HISTORY, PATHS = "rates.json", "history.parquet", "path.parquet"

FILM = "descent.gif"

MOST_POINTS = 300  # of a path: this many of the first epochs, and as many later ones


def save(found: Study, folder: Path, *, animate: bool = False) -> Iterator[Path]:
    """Write rates.json, history.parquet, path.parquet, loss.png and path.png.

    With `animate`, also write samples.parquet and descent.gif, the fit and its path as they move.

    An interrupted study gets no pictures, and one in which descent moves in only one direction has
    no path to draw. Each file's path is yielded once the file is complete.

    Raises:
        OSError: the folder cannot be written to; no file is left half-written.

    """
    write_json(folder / RATES, _content(found))
    yield folder / RATES
    written = []
    for path in save_tables(found, folder):
        written.append(path)
        yield path
    if found.interrupted or not written:
        return
    from gradrace.plots import loss as loss_plot  # here, because importing matplotlib takes long
    from gradrace.plots import path as path_plot

    with replacing(folder / "loss.png") as temporary:
        loss_plot.draw([folder / HISTORY], temporary)
    yield folder / "loss.png"
    if folder / PATHS in written:
        with replacing(folder / "path.png") as temporary:
            path_plot.draw(folder / PATHS, temporary)
        yield folder / "path.png"
    if animate:
        from gradrace.plots import animation

        write_table(_samples(found), folder / animation.SAMPLES)
        yield folder / animation.SAMPLES
        with replacing(folder / FILM) as temporary:
            animation.draw(folder, temporary)
        yield folder / FILM


def save_tables(found: Study, folder: Path) -> Iterator[Path]:
    """Write history.parquet and path.parquet, from which the pictures are drawn, if there is any.

    Raises:
        OSError: as `save`.

    """
    shown = found.shown()
    if not shown:
        return
    write_table(_histories(found, shown), folder / HISTORY)
    yield folder / HISTORY
    if len(found.directions) > 1:
        taken = [(run.lr, run.regime, run.trajectory) for run in shown if run.trajectory]
        write_table(plane_table(found.landscape, taken), folder / PATHS)
        yield folder / PATHS


def _histories(found: Study, shown: Sequence[Run]) -> pa.Table:
    """Return the rate, lr, and the columns of a history, in the units of the data."""
    tables, least = [], found.landscape.original_least_squares.loss
    for run in shown:
        assert run.trajectory is not None
        path = until_not_finite(found.original(run.trajectory))
        table = history_table(found.data.features, path, "", least)
        lr = arrow_table({"lr": np.full(len(path.epoch), run.lr)}).column(0)
        tables.append(table.add_column(0, "lr", lr))
    return pa.concat_tables(tables)


def _samples(found: Study) -> pa.Table:
    """Return some samples, at most 500 of them, evenly spaced."""
    from gradrace.plots.animation import MOST_POINTS as MOST

    X, y = found.data.points()
    step = -(-len(y) // MOST)
    names = [*found.data.features, found.data.target]
    columns = [*X[::step].T, y[::step]]
    table = arrow_table({str(j): values for j, values in enumerate(columns)})
    return table.replace_schema_metadata({"names": json.dumps(names)})


def _content(found: Study) -> dict[str, Any]:
    n, d = found.data.n, len(found.data.features)
    known, H = found.landscape, found.landscape.hessian
    return {
        "format": "gradrace rates",
        "schema": SCHEMA,
        "data": found.data.name,
        "n": n,
        "d": d,
        "features": list(found.data.features),
        "target": found.data.target,
        "standardized": known.scaling is not None,
        "epochs": found.epochs,
        "interrupted": found.interrupted,
        "limit": H.limit,
        "fastest": H.fastest,
        "recommended": found.recommended,
        "condition": H.condition,
        "least_squares_loss": found.landscape.original_least_squares.loss,
        "directions": [
            asdict(direction) | {"vector": direction.vector.tolist()}
            for direction in found.directions
        ],
        "runs": [_run_content(found, run) for run in found.runs],
    }


def _run_content(found: Study, run: Run) -> dict[str, Any]:
    content: dict[str, Any] = {
        "lr": run.lr,
        "backend": run.backend,
        "regime": run.regime,
        "contraction": {"predicted": run.contraction, "measured": run.measured_contraction},
        "epochs_to_1_percent": {"predicted": run.epochs, "measured": run.measured_epochs},
        "verdict": msgspec.to_builtins(run.verdict),
    }
    if run.trajectory is not None:
        _, w, b, loss = found.original(run.trajectory)
        content |= {"w": w[-1].tolist(), "b": float(b[-1]), "loss": float(loss[-1])}
    return content


def plane_table(known: Landscape, paths: Sequence[tuple[float, str, Trajectory]]) -> pa.Table:
    """Return paths in a plane: (w, b) if d = 1, else the steepest and the flattest direction.

    `paths` have a rate, its regime and a trajectory on the training columns, scaled or not. There
    is one row per rate and epoch, with some later epochs left out: lr, epoch, x, y. The metadata
    describe the axes and the loss in the plane: its minimum, Hessian and flat direction.
    """
    steep, flat = known.directions[0], known.directions[-1]
    theta = np.append(known.least_squares.w, known.least_squares.b)
    if len(theta) == 2:
        basis, origin = np.eye(2), np.zeros(2)
        scaled = ", standardized" if known.scaling else ""
        labels = [f"w[{known.data.features[0]}]{scaled}", f"b{scaled}"]
    else:
        basis, origin = np.column_stack([steep.vector, flat.vector]), theta
        labels = ["along the steepest direction", "along the flattest direction"]
    H = sum(v.curvature * np.outer(v.vector, v.vector) for v in known.directions)
    about = {
        "labels": labels,
        "optimum": (basis.T @ (theta - origin)).tolist(),
        "least_loss": known.least_squares.loss,
        "hessian": (basis.T @ H @ basis).tolist(),
        "slow": (basis.T @ flat.vector).tolist(),
        "rates": {f"{lr!r}": regime for lr, regime, _ in paths},
    }
    tables = []
    for lr, _, (epoch, w, b, _loss) in paths:
        late = np.geomspace(1, len(epoch), MOST_POINTS).astype(int) - 1
        rows = np.union1d(np.arange(min(len(epoch), MOST_POINTS)), late)
        with np.errstate(over="ignore", invalid="ignore"):
            x, y = ((np.column_stack([w, b])[rows] - origin) @ basis).T
        tables.append(
            arrow_table({"lr": np.full(len(rows), lr), "epoch": epoch[rows], "x": x, "y": y})
        )
    return pa.concat_tables(tables).replace_schema_metadata({"plane": json.dumps(about)})
