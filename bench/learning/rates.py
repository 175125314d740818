"""The learning-rate study: what theory says of each rate, and what a verified run shows."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from backends.interface import Trajectory, check_schedule
from bench.data.files import replacing, write_json, write_table
from bench.data.samples import REFERENCE_EPOCHS, Dataset
from bench.learning.model import history_table
from bench.learning.standardizing import Scaling
from bench.learning.stopping import step_lengths
from bench.learning.theory import (
    NEAR,
    Direction,
    Hessian,
    LeastSquares,
    Rate,
    chosen_rate,
    close_enough,
    directions,
    epochs_needed,
    hessian,
    least_squares,
    quickest_rate,
    regime,
    restored,
)
from bench.machine.progress import Progress, silent
from bench.proof.agreement import Verdict, check_backends
from bench.proof.oracle import ExactTrajectory, Sums, exact_trajectory

SCHEMA = 1
MOST_POINTS = 300  # of a path: so many first epochs, and as many later ones
REFERENCE_RATES = (0.001, 0.005, 0.1)
NOISE = 1e3 * float(np.finfo(np.float64).eps)  # steps below this share of θ show rounding


@dataclass(frozen=True)
class Run:
    """One rate, one backend: predicted, measured and verified."""

    lr: float
    backend: str
    regime: str
    """slow, stable, oscillating or diverges"""
    contraction: float
    """ρ = max|1 − αλᵢ|"""
    measured_contraction: float | None
    """What the steps at the end of the run shrink or grow by; None if rounding hides it"""
    epochs: int | None
    """Predicted number to come within 1 % of the least-squares loss; None if it never does"""
    measured_epochs: int | None
    """None if the run ended before"""
    verdict: Verdict
    trajectory: Trajectory | None
    """On the columns that were trained on, scaled or not; None if the backend delivered none"""


@dataclass
class Study:
    """What a study has found so far; it grows while `study` works."""

    data: Dataset
    samples: Dataset
    """What was trained on: the data, or their scaled columns"""
    scaling: Scaling | None
    hessian: Hessian
    least_squares: LeastSquares
    """Of `samples`"""
    directions: list[Direction]
    """Steepest first"""
    epochs: int
    rates: list[float]
    goal: float
    """By how much a loss may exceed the least one to count as there: 1 %, or mere rounding"""
    quickest: float | None
    """The rate that is predicted to get there first; None if none does"""
    runs: list[Run] = field(default_factory=list)
    interrupted: bool = False

    def epochs_needed(self, lr: float) -> int | None:
        """Return the predicted number of epochs to the goal; None if it is not reached."""
        return epochs_needed(self.directions, lr, self.goal)

    def original(self, path: Trajectory) -> Trajectory:
        """Return a trajectory of a run in the units of the data."""
        return path if self.scaling is None else self.scaling.restore(path)

    def overflow(self, run: Run) -> tuple[int | None, int | None]:
        """Return the epochs of the first loss that is inf and nan in the units of the data."""
        assert run.trajectory is not None
        loss = self.original(run.trajectory).loss
        inf, nan = (np.flatnonzero(flags) for flags in (np.isinf(loss), np.isnan(loss)))
        return int(inf[0]) if len(inf) else None, int(nan[0]) if len(nan) else None

    @property
    def original_least_squares(self) -> LeastSquares:
        """The least squares in the units of the data."""
        return restored(self.data, self.scaling, self.least_squares)


def study(
    data: Dataset,
    rates: Sequence[Rate] = (),
    *,
    backends: Sequence[str] = ("numba",),
    epochs: int | None = None,
    standardize: bool = False,
    timeout: float = 60.0,
    on_progress: Progress = silent,
) -> Study:
    """Train at each rate from zero, verify each run, and lay the theory beside it.

    Without `rates`, four that show all regimes. Without `epochs`, 10,000, or fewer, 50 at least, if
    the table is large. Ctrl-C keeps the runs that are finished and sets `interrupted`.

    Raises:
        InputTypeError, InputValueError: a rate, the epochs or the data cannot be used.

    """
    scaling = Scaling.of(data) if standardize else None
    samples = data if scaling is None else scaling.apply(data)
    best = least_squares(samples)
    H = hessian(samples.X, best.null)
    epochs = _affordable_epochs(samples, backends) if epochs is None else epochs
    auto = chosen_rate("auto", data, H, epochs)
    restored(data, scaling, best)  # refuses what float64 cannot hold in the units of the data
    along = directions(H, -np.append(best.w, best.b))
    with np.errstate(over="ignore"):
        goal = close_enough(best.loss, float(np.mean(samples.y**2)))
    quickest = quickest_rate(H, along, goal)
    chosen = [auto if lr == "auto" else lr for lr in rates] or _telling_rates(H, quickest or auto)
    for lr in chosen:
        check_schedule(samples.X.shape[1], lr, epochs)
    found = Study(
        data, samples, scaling, H, best, along, int(epochs), sorted(set(map(float, chosen))),
        goal, quickest,
    )  # fmt: skip
    backends = list(dict.fromkeys(backends))
    steps = len(found.rates) * len(backends)
    sums: Sums | None = None
    try:
        for lr in found.rates:
            on_progress(f"α = {lr:g}", len(found.runs), steps)
            exact = exact_trajectory(samples.X, samples.y, lr=lr, epochs=found.epochs, sums=sums)
            sums = exact.sums
            for run in _runs(found, lr, backends, exact, timeout):
                found.runs.append(run)
                on_progress(f"α = {lr:g}", len(found.runs), steps)
    except KeyboardInterrupt:
        found.interrupted = True
    return found


def _runs(
    found: Study, lr: float, backends: Sequence[str], exact: ExactTrajectory, timeout: float
) -> Iterator[Run]:
    X, y, best = found.samples.X, found.samples.y, found.least_squares
    for checked in check_backends(
        backends, X, y, lr=lr, epochs=found.epochs, exact=exact, timeout=timeout
    ):
        path = checked.trajectory
        yield Run(
            lr,
            checked.verdict.backend,
            regime(found.hessian, lr),
            found.hessian.contraction(lr),
            None if path is None else measured_contraction(path),
            found.epochs_needed(lr),
            None if path is None else measured_epochs(path, best.loss + found.goal),
            checked.verdict,
            path,
        )


def _affordable_epochs(samples: Dataset, backends: Sequence[str]) -> int:
    """Return how many epochs, from 50 to 10,000, take a few seconds per rate, if so few can."""
    n, d = samples.X.shape
    backend = 10**8 if "python" in backends else 5 * 10**9
    oracle = 2 * 10**6 // (20 + d**2)
    return int(np.clip(min(backend // (n * (d + 1)), oracle), 50, REFERENCE_EPOCHS))


def _telling_rates(H: Hessian, good: float) -> list[float]:
    """Return a slow, a stable, a good and a diverging rate, with few digits."""
    return [*(float(f"{lr:.1e}") for lr in (good / 20, 0.45 * H.limit, 1.1 * H.limit)), good]


def measured_epochs(path: Trajectory, goal: float) -> int | None:
    """Return the first epoch whose loss is at most `goal`, None if there is none."""
    near = path.loss <= goal
    return int(path.epoch[np.argmax(near)]) if near.any() else None


def measured_contraction(path: Trajectory) -> float | None:
    """Return the ratio of a step's length to that of the one before, over the last tenth of a run.

    The run ends, for this, where steps become so small that rounding shows, or leave float64.
    """
    theta = np.column_stack([path.w, path.b])
    with np.errstate(over="ignore", invalid="ignore"):
        steps = step_lengths(theta)
        clear = np.isfinite(steps) & (steps > NOISE * np.abs(theta[1:]).max(axis=1))
    last = (len(steps) if clear.all() else int(np.argmin(clear))) - 1
    first = last - max(1, last // 10)
    if first < 0:
        return None
    return float(np.exp((np.log(steps[last]) - np.log(steps[first])) / (last - first)))


def arrival(path: Trajectory, best: LeastSquares) -> tuple[int | None, int | None]:
    """Return the epochs from which on w and b stay within 1 % of their way to the optimum."""
    with np.errstate(over="ignore", invalid="ignore"):
        w_way, b_way = NEAR * float(np.linalg.norm(best.w)), NEAR * abs(best.b)
        w_error = np.linalg.norm(path.w - best.w, axis=1)
    return _settled(path, w_error <= w_way), _settled(path, np.abs(path.b - best.b) <= b_way)


def _settled(path: Trajectory, near: NDArray[np.bool_]) -> int | None:
    """Return the first epoch from which on all rows are near, None if the last is not."""
    away = np.flatnonzero(~near)
    row = int(away[-1]) + 1 if len(away) else 0
    return int(path.epoch[row]) if row < len(near) else None


def save(found: Study, folder: Path) -> Iterator[Path]:
    """Write rates.json, history.parquet, path.parquet, and, in peace, loss.png and path.png.

    A study in which descent moves along one direction only has no path to draw. Each path is
    yielded once its file is complete.

    Raises:
        OSError: the folder cannot be written to; no file is left half-written.

    """
    shown = shown_runs(found)
    history, paths = folder / "history.parquet", folder / "path.parquet"
    write_json(folder / "rates.json", _content(found))
    yield folder / "rates.json"
    if not shown:
        return
    write_table(_histories(found, shown), history)
    yield history
    plane = len(found.directions) > 1
    if plane:
        write_table(_plane(found, shown), paths)
        yield paths
    if found.interrupted:
        return
    from plots import loss as loss_plot  # here, since matplotlib takes its time to be imported
    from plots import path as path_plot

    with replacing(folder / "loss.png") as temporary:
        loss_plot.draw([history], temporary)
    yield folder / "loss.png"
    if plane:
        with replacing(folder / "path.png") as temporary:
            path_plot.draw(paths, temporary)
        yield folder / "path.png"


def _histories(found: Study, shown: Sequence[Run]) -> pa.Table:
    """Return the columns of a history in the units of the data, and in front the rate, lr."""
    tables, least = [], found.original_least_squares.loss
    for run in shown:
        assert run.trajectory is not None
        path = _until_overflow(found.original(run.trajectory))
        table = history_table(found.data.features, path, "", least)
        tables.append(table.add_column(0, "lr", pa.array(np.full(len(path.epoch), run.lr))))
    return pa.concat_tables(tables)


def shown_runs(found: Study) -> list[Run]:
    """Return one run per rate: of the first backend that agrees, or else that delivered one."""
    best = dict[float, Run]()
    for run in found.runs:
        if run.trajectory is not None and not (run.lr in best and best[run.lr].verdict.agrees):
            best[run.lr] = run
    return list(best.values())


def _until_overflow(path: Trajectory) -> Trajectory:
    """Cut a trajectory behind its first loss that is not finite."""
    rows = int(np.argmin(np.append(np.isfinite(path.loss), False))) + 1
    return Trajectory._make(values[:rows] for values in path)


def _content(found: Study) -> dict[str, Any]:
    n, d = found.data.X.shape
    return {
        "format": "gradrace rates",
        "schema": SCHEMA,
        "data": found.data.name,
        "n": n,
        "d": d,
        "features": list(found.data.features),
        "target": found.data.target,
        "standardized": found.scaling is not None,
        "epochs": found.epochs,
        "interrupted": found.interrupted,
        "limit": found.hessian.limit,
        "fastest": found.hessian.fastest,
        "quickest": found.quickest,
        "condition": found.hessian.condition,
        "least_squares_loss": found.original_least_squares.loss,
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
        "verdict": asdict(run.verdict),
    }
    if run.trajectory is not None:
        _, w, b, loss = found.original(run.trajectory)
        content |= {"w": w[-1].tolist(), "b": float(b[-1]), "loss": float(loss[-1])}
    return content


def _plane(found: Study, shown: Sequence[Run]) -> pa.Table:
    """Return the paths in a plane: (w, b) if d = 1, else the steepest and the flattest direction.

    One row per rate and epoch, later epochs thinned: lr, epoch, x, y. The metadata say what the
    axes are, and the loss in the plane: the least one, where, the Hessian, and the slow axis.
    """
    steep, flat = found.directions[0], found.directions[-1]
    theta = np.append(found.least_squares.w, found.least_squares.b)
    if len(theta) == 2:
        basis, origin = np.eye(2), np.zeros(2)
        scaled = ", scaled" if found.scaling else ""
        labels = [f"w[{found.data.features[0]}]{scaled}", f"b{scaled}"]
    else:
        basis, origin = np.column_stack([steep.vector, flat.vector]), theta
        labels = ["along the steepest direction", "along the flattest direction"]
    H = sum(v.curvature * np.outer(v.vector, v.vector) for v in found.directions)
    about = {
        "labels": labels,
        "optimum": (basis.T @ (theta - origin)).tolist(),
        "least_loss": found.least_squares.loss,
        "hessian": (basis.T @ H @ basis).tolist(),
        "slow": (basis.T @ flat.vector).tolist(),
        "rates": {f"{run.lr!r}": run.regime for run in shown},
    }
    tables = []
    for run in shown:
        assert run.trajectory is not None
        epoch, w, b, _ = run.trajectory
        late = np.geomspace(1, len(epoch), MOST_POINTS).astype(int) - 1
        rows = np.union1d(np.arange(min(len(epoch), MOST_POINTS)), late)
        with np.errstate(over="ignore", invalid="ignore"):
            x, y = ((np.column_stack([w, b])[rows] - origin) @ basis).T
        tables.append(
            pa.table({"lr": np.full(len(rows), run.lr), "epoch": epoch[rows], "x": x, "y": y})
        )
    return pa.concat_tables(tables).replace_schema_metadata({"plane": json.dumps(about)})
