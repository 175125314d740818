"""Train one backend on one data set, watched and interruptible, and save what it learned."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import pyarrow as pa

import backends
from backends.interface import Backend, InputError, Trajectory, check_schedule
from bench.data import Dataset
from bench.files import replacing, write_json, write_table
from bench.isolation import BackendError, as_trajectory, describe
from bench.theory import LeastSquares, least_squares
from plots import fit as fit_plot
from plots import loss as loss_plot

MODEL_SCHEMA = 1
CHUNK_SECONDS = 0.1
MOST_ROWS = 100_000


@dataclass(frozen=True)
class Fit:
    """A finished, diverged or interrupted training run."""

    data: Dataset
    backend: str
    lr: float
    trajectory: Trajectory
    """Up to the last epoch made, or up to the first whose loss is not finite."""
    interrupted: bool
    least_squares: LeastSquares

    @property
    def diverged(self) -> bool:
        """Whether the loss left the range of float64."""
        return not np.isfinite(self.trajectory.loss[-1])


def train(
    data: Dataset,
    *,
    backend: str = "numba",
    lr: float,
    epochs: int,
    on_progress: Callable[[int, float], None] = lambda _epoch, _loss: None,
) -> Fit:
    """Train from zero in chunks of about 0.1 s; the trajectory is the same as in one go.

    Every epoch is kept; of more than 100,000, every k-th, so that the history stays small.
    `on_progress` is called with (epoch, loss) after each chunk. Ctrl-C ends the training and
    returns what was made so far.

    Raises:
        InputTypeError, InputValueError: lr, epochs or the backend cannot be used.
        BackendError: a foreign backend raised or returned no trajectory.

    """
    check_schedule(data.X.shape[1], lr, epochs)
    module = backends.load(backend)
    best = least_squares(data.X, data.y)
    pieces: list[Trajectory] = []
    interrupted = False
    every = max(1, -(-epochs // MOST_ROWS))
    try:
        for piece in _pieces(module, data, float(lr), int(epochs), every):
            pieces.append(piece)
            on_progress(int(piece.epoch[-1]), float(piece.loss[-1]))
    except KeyboardInterrupt:
        interrupted = True
        if not pieces:
            raise
    except (InputError, BackendError):
        raise
    except (Exception, SystemExit) as error:  # a foreign backend may raise anything
        if not (pieces and _is_interrupt(error)):
            raise BackendError(f"backend {backend}: {describe(error)}") from error
        interrupted = True
    whole = Trajectory._make(np.concatenate(rows) for rows in zip(*pieces, strict=True))
    kept = whole.epoch % every == 0
    kept[-1] = True
    whole = Trajectory._make(rows[kept] for rows in whole)
    return Fit(data, backend, lr, whole, interrupted, best)


def _pieces(
    module: Backend, data: Dataset, lr: float, epochs: int, every: int
) -> Iterator[Trajectory]:
    """Yield the trajectory piece by piece, up to the first loss that is not finite.

    Besides every `every`-th epoch the pieces hold the epochs at which they end.
    """
    samples, d = module.prepare(data.X.copy(), data.y.copy()), data.X.shape[1]
    w, b = np.zeros(d), 0.0
    done, length = 0, 0  # the first call makes no update; it compiles, and delivers row 0
    while True:
        start = time.perf_counter()
        stride = every if length >= every else max(1, length)
        go_on = partial(module.train, samples, lr=lr, epochs=length, w0=w.copy(), b0=b)
        path = as_trajectory(go_on(every=stride), length, d, stride)
        if stride > 1 and not np.isfinite(path.loss).all():  # find the very epoch
            path = as_trajectory(go_on(), length, d)
        path = _until_not_finite(path._replace(epoch=path.epoch + done))
        yield Trajectory._make(rows[1:] for rows in path) if length else path
        done, w, b = int(path.epoch[-1]), path.w[-1], float(path.b[-1])
        if done == epochs or not np.isfinite(path.loss[-1]):
            return
        wish = _next_length(length, time.perf_counter() - start)
        to_multiple = -done % every  # where the next kept row is due, 0 if it is due now
        length = min(wish, to_multiple or (wish // every * every or wish), epochs - done)


def why_diverged(fit: Fit, limit: float) -> str:
    """Say at which epoch a run diverged, why, and which rate would do; `limit` is 2/λmax."""
    epoch = int(fit.trajectory.epoch[-1])
    if fit.lr > limit > 0:
        return (
            f"diverged: the loss overflows at epoch {epoch:,}, because α = {fit.lr:g} exceeds "
            f"2/λmax = {limit:.6g}; choose a rate below that"
        )
    return (
        f"the loss overflows at epoch {epoch:,}: the values are too large for float64; scale them"
    )


def remark(fit: Fit, limit: float) -> str:
    """Say what a run that did not diverge leaves to do, if anything; `limit` is 2/λmax."""
    reached, best = float(fit.trajectory.loss[-1]), fit.least_squares.loss
    if fit.lr > limit:
        return (
            f"this run would diverge: α = {fit.lr:g} exceeds 2/λmax = {limit:.6g}; "
            "choose a rate below that"
        )
    if reached > max(1.01 * best, 1e-24 * float(fit.trajectory.loss[0])):  # and not mere rounding
        return (
            f"not there yet: the loss is {reached:.4g}, the least possible is {best:.4g}; "
            "more epochs, or columns that are centered and of similar scale, bring it closer"
        )
    return ""


def save(fit: Fit, folder: Path) -> Iterator[Path]:
    """Write what there is of history.parquet, model.json, fit.parquet, loss.png and fit.png.

    A diverged run has no model, so only its history and loss picture are written; an interrupted
    one gets no pictures, because nobody wants to wait now. Each path is yielded once its file is
    complete.

    Raises:
        OSError: the folder cannot be written to; no file is left half-written.

    """
    history, model, points = (
        folder / name for name in ("history.parquet", "model.json", "fit.parquet")
    )
    write_table(_history(fit), history)
    yield history
    if not fit.diverged:
        write_json(model, _model(fit))
        yield model
        write_table(_points(fit), points)
        yield points
    if fit.interrupted:
        return
    with replacing(folder / "loss.png") as temporary:
        loss_plot.draw([history], temporary)
    yield folder / "loss.png"
    if not fit.diverged:
        with replacing(folder / "fit.png") as temporary:
            fit_plot.draw(points, temporary)
        yield folder / "fit.png"


def _model(fit: Fit) -> dict[str, object]:
    last = Trajectory._make(rows[-1] for rows in fit.trajectory)
    return {
        "schema": MODEL_SCHEMA,
        "features": list(fit.data.features),
        "target": fit.data.target,
        "w": last.w.tolist(),
        "b": float(last.b),
        "training": {
            "data": fit.data.name,
            "n": len(fit.data.y),
            "backend": fit.backend,
            "lr": fit.lr,
            "epochs": int(last.epoch),
            "interrupted": fit.interrupted,
            "loss": float(last.loss),
        },
        "least_squares": {
            "w": fit.least_squares.w.tolist(),
            "b": fit.least_squares.b,
            "loss": fit.least_squares.loss,
        },
    }


def _history(fit: Fit) -> pa.Table:
    """One row per epoch: epoch, loss, a column w[name] per feature, b."""
    epoch, w, b, loss = fit.trajectory
    weights = {f"w[{name}]": w[:, j] for j, name in enumerate(fit.data.features)}
    table = pa.table({"epoch": epoch, "loss": loss, **weights, "b": b})
    label = f"α = {fit.lr:g}"
    return table.replace_schema_metadata(
        {"label": label, "least_squares_loss": repr(fit.least_squares.loss)}
    )


def _points(fit: Fit) -> pa.Table:
    """One row per sample: x if d = 1, actual, predicted and the least-squares prediction."""
    X, best = fit.data.X, fit.least_squares
    predicted = X @ fit.trajectory.w[-1] + fit.trajectory.b[-1]
    columns = {"actual": fit.data.y, "predicted": predicted, "least_squares": X @ best.w + best.b}
    if X.shape[1] == 1:
        columns = {"x": X[:, 0], **columns}
    names = {"feature": fit.data.features[0], "target": fit.data.target}
    return pa.table(columns).replace_schema_metadata(names)


def _until_not_finite(path: Trajectory) -> Trajectory:
    """Cut a trajectory behind its first loss that is not finite."""
    broken = ~np.isfinite(path.loss)
    if not broken.any():
        return path
    return Trajectory._make(rows[: int(np.argmax(broken)) + 1] for rows in path)


def _is_interrupt(error: BaseException | None) -> bool:
    """Tell whether Ctrl-C is behind an error: in compiled code it surfaces as a SystemError."""
    while error is not None and not isinstance(error, KeyboardInterrupt):
        error = error.__cause__
    return error is not None


def _next_length(last: int, seconds: float) -> int:
    """Return how many epochs to make next: about CHUNK_SECONDS' worth, growing tenfold at most."""
    return max(1, int(last * min(10.0, CHUNK_SECONDS / max(seconds, 1e-9))))
