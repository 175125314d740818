"""Train one backend on one data set; what comes out, shows itself, predicts and is saved."""

import warnings
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from gradrace import backends
from gradrace.backends.interface import (
    Floats,
    InputError,
    InputTypeError,
    InputValueError,
    Setting,
    Trajectory,
    check_schedule,
)
from gradrace.bench.data.files import arrow_table, writable_folder, write_json, write_table
from gradrace.bench.data.samples import Samples
from gradrace.bench.learning.curvature import (
    Hessian,
    close_enough,
    directions,
    epochs_needed,
    regime,
)
from gradrace.bench.learning.descent import (
    STALLED,
    Stopping,
    descend,
    described,
    history,
    kept,
    thinned,
    until_not_finite,
)
from gradrace.bench.learning.landscape import Landscape, Rate, best_rate, plane
from gradrace.bench.learning.least_squares import LeastSquares, Scaling
from gradrace.bench.learning.prediction import (
    FAR,
    FORMAT,
    MODEL,
    SCHEMA,
    Model,
    labeled,
    parameters,
    r_squared,
)
from gradrace.bench.learning.training_parts import fit_table, training_parts, unfinished
from gradrace.bench.machine import interrupts
from gradrace.bench.parts import Figure, Part, Report, Result, Sentence, counted
from gradrace.bench.proof.returns import BackendError, describe, precision_of

if TYPE_CHECKING:
    from gradrace.plots.canvas import Figure as Drawing

HISTORY, POINTS = "history.parquet", "fit.parquet"
OF_A_MODEL = (MODEL, POINTS, "fit.png", "residuals.png")
"""The files that a diverged run does not write."""


@dataclass(frozen=True, eq=False, repr=False)
class Fit(Result):
    """A trained model ŷ = Xw + b, with all that is known of its training.

    `w` (d,) and `b` are in the units of the data, standardized or not; `loss` is the mean of the
    squared errors on the training data, `trajectory` has w, b and the loss of every epoch, and
    `least_squares` is the solution to which training converges. It may have diverged, or ended
    before its last epoch.
    """

    landscape: Landscape
    """The data, and what was known about their loss before training"""
    backend: str
    lr: float
    trajectory: Trajectory
    """Up to the last epoch, or up to the first one with a loss that is not finite"""
    interrupted: bool
    stopped: str
    """Why `tol` ended the training early; empty if it did not"""
    tol: float | None
    height: float
    """ŷ at `center`: b, or, if standardized, a value that keeps its digits far away from 0"""
    precision: str
    """What the backend declares to compute in: float64 or float32"""
    planned: int
    """The epochs that were asked for; it may have ended earlier"""
    auto: bool = False
    """Whether the rate was chosen automatically"""

    @property
    def data(self) -> Samples:
        """The data used for training, in their own units."""
        return self.landscape.data

    @property
    def features(self) -> tuple[str, ...]:
        """The names of the d features."""
        return self.data.features

    @property
    def target(self) -> str:
        """The name of the target."""
        return self.data.target

    @property
    def scaling(self) -> Scaling | None:
        """Set if the columns were standardized."""
        return self.landscape.scaling

    @property
    def hessian(self) -> Hessian:
        """The Hessian of the loss on the training columns, standardized or not."""
        return self.landscape.hessian

    @property
    def least_squares(self) -> LeastSquares:
        """The solution to which training converges; inf or nan where float64 overflows."""
        known = self.landscape
        return known.least_squares if self.scaling is None else known.original_least_squares

    @property
    def epochs(self) -> int:
        """The number of updates that were made."""
        return int(self.trajectory.epoch[-1])

    @property
    def w(self) -> Floats:
        """The weights (d,) after the last epoch."""
        w: Floats = self.trajectory.w[-1]
        return w

    @property
    def b(self) -> float:
        """The bias after the last epoch."""
        return float(self.trajectory.b[-1])

    @property
    def loss(self) -> float:
        """L = (1/n) Σ rᵢ² after the last epoch."""
        return float(self.trajectory.loss[-1])

    @property
    def center(self) -> Floats:
        """The point (d,) from which `predict` measures: the mean of X if standardized, else 0."""
        return np.zeros(len(self.w)) if self.scaling is None else self.scaling.mean

    @property
    def near(self) -> float:
        """How far above the least loss counts as having arrived: 1 %, or rounding errors."""
        return close_enough(self.least_squares.loss, float(self.trajectory.loss[0]))

    @property
    def is_there(self) -> bool:
        """Whether the loss is within 1 % of the least one."""
        return self.loss <= self.least_squares.loss + self.near

    def epochs_missing(self) -> int | None:
        """Predict how many more epochs bring the loss within 1 % of the least; None if none do."""
        best, unit = self.least_squares, 1.0
        error = np.append(self.w - best.w, self.b - best.b)
        if self.scaling is not None:
            error = self.scaling.scaled_difference(error[:-1], float(error[-1]))
            unit = self.scaling.target_deviation**2
        return epochs_needed(directions(self.hessian, error), self.lr, self.near / unit)

    @property
    def failure(self) -> Sentence | None:
        """When and why the run diverged; None if it did not."""
        limit, first = self.hessian.limit, float(self.trajectory.loss[0])
        if not np.isfinite(self.loss):
            what = f"the loss overflows at epoch {self.epochs:,}"
        elif self.lr >= limit and self.loss > first:
            what = f"the loss grows from {first:.4g} to {self.loss:.4g} in {self.epochs:,} epochs"
        elif self.lr >= limit and self.stopped.startswith(STALLED):
            what = f"the loss no longer falls at epoch {self.epochs:,}"
        else:
            return None
        if not self.lr >= limit > 0:
            return Sentence(f"{what}: the values are too large for {self.precision}; scale them")
        because = f"because α = {self.lr:g} exceeds 2/λmax = {limit:.6g}"
        auto = Setting("lr", "auto")
        return Sentence(f"diverged: {what}, {because}; choose a rate below that, or ", auto)

    @property
    def diverged(self) -> bool:
        """Whether the loss left the range of float64, or grew because the rate is too large."""
        return self.failure is not None

    @property
    def unfinished(self) -> Sentence | None:
        """How much of the way to the least loss is left, and what helps; None if it is there."""
        return unfinished(self)

    @property
    def model(self) -> Model:
        """What predicts, without the training."""
        low, high = self.data.extremes
        where = self.center, self.height
        return Model(self.features, self.target, self.w, *where, low[:-1], high[:-1])

    def predict(self, X: Any) -> Floats:
        """Return ŷ = Xw + b, shape (m,), for samples X (m, d) in the units of the training data.

        Of a table or a file, the columns that the model was trained on are used, in any order.

        Raises:
            InputTypeError, InputValueError: X cannot be used or lacks a column, or the training
                diverged.
            OSError: a file cannot be read.

        """
        if self.diverged:
            raise InputValueError("the training diverged, so there is no model to predict with")
        predicted, far = self.model.predicted(X)
        if far:
            warnings.warn(f"{FAR}: {far}", stacklevel=2)
        return predicted

    def score(self, X: Any = None, y: Any = None) -> float:
        """Return R² = 1 − Σ(ŷ − y)² / Σ(y − ȳ)², on the training data by default.

        1 is a perfect fit, 0 is as good as predicting the mean, and less is worse; if all y are
        equal, it is 1 where ŷ = y and else 0, as in scikit-learn. Without y, the targets are a
        column of the table or file X.

        Raises:
            InputTypeError, InputValueError: X or y cannot be used.
            OSError: a file cannot be read.

        """
        if X is None:
            if y is not None:
                raise InputTypeError("score: needs X, too")
            low, high = (values[-1] for values in self.data.extremes)
            if low == high:
                return 0.0 if self.loss else 1.0
            return 1 - self.loss / float(self.data.moments()[1][-1]) ** 2
        samples, actual = labeled(X, y, self.features, self.target)
        return r_squared(self.predict(samples), actual)

    @property
    def title(self) -> str:
        """What its page is called."""
        return f"A fit of {self.target}"

    def parts(self, *, detail: bool = False) -> Iterator[Part]:
        """Yield what was trained and found; with `detail`, also pictures, and how to repeat it."""
        return training_parts(self, detail=detail)

    def summary(self) -> Report:
        """Return the course of the training, and w, b and loss beside the least squares."""
        return Report(self.parts())

    def plot(self) -> "Drawing":
        """Return a picture of the fit: the line, or, of several features, predicted and actual.

        Raises:
            InputValueError: the training diverged.

        """
        from gradrace.plots import fit

        return fit.figure(self.points())

    def residual_plot(self) -> "Drawing":
        """Return a picture of actual minus predicted, against the prediction.

        Raises:
            InputValueError: the training diverged.

        """
        from gradrace.plots import residuals

        return residuals.figure(self.points())

    def loss_plot(self) -> "Drawing":
        """Return a picture of the loss against the epoch."""
        from gradrace.plots import loss

        return loss.figure([self.history()])

    def path_plot(self) -> "Drawing":
        """Return a picture of the path that descent takes over the contours of the loss.

        Raises:
            InputValueError: descent moves along a straight line.

        """
        from gradrace.plots import path

        taken = (self.lr, regime(self.hessian, self.lr), self._on_training_columns())
        return path.figure(plane(self.landscape, [taken]))

    def _on_training_columns(self) -> Trajectory:
        """Return the trajectory as the backend saw it: on standardized columns, if they were."""
        if self.scaling is None:
            return self.trajectory
        best, scaled, path = self.least_squares, self.landscape.least_squares, self.trajectory
        errors = [
            self.scaling.scaled_difference(w - best.w, b - best.b)
            for w, b in zip(path.w, path.b, strict=True)
        ]
        theta = np.append(scaled.w, scaled.b) + errors
        return path._replace(w=theta[:, :-1], b=theta[:, -1])

    def history(self) -> pa.Table:
        """Return one row per epoch: epoch, loss, a column w[name] for each feature, b."""
        label = f"α = {self.lr:g}" + (", standardized" if self.scaling else "")
        return history(self.features, self.trajectory, label, self.least_squares.loss)

    def points(self) -> pa.Table:
        """Return the samples, or some of many: x if d = 1, actual, predicted, least-squares ŷ.

        Raises:
            InputValueError: the training diverged.

        """
        if self.failure is not None:
            raise InputValueError("cannot plot the model: ", *self.failure.pieces)
        (X, y), best = self.data.points(), self.least_squares
        columns = {"x": X[:, 0]} if X.shape[1] == 1 else {}
        columns |= {"actual": y, "predicted": self.model.values(X)}
        columns |= {"least_squares": X @ best.w + best.b}
        about = {"feature": self.features[0], "target": self.target}
        if len(y) < self.data.n:
            about["shown"] = f" ({len(y):,} of {self.data.n:,} samples, at random)"
        return described(arrow_table(columns), **about)

    def save(self, folder: str | Path) -> list[Path]:
        """Write what `gradrace train` writes: the model, pictures, a page; return the paths.

        The folder is made if it does not exist. A diverged run has no model.

        Raises:
            OSError: the folder cannot be written to; no file is left half-written.

        """
        place = writable_folder(Path(folder))
        old = [name for name in OF_A_MODEL if self.diverged and (place / name).exists()]
        if old:
            warnings.warn(f"from an earlier model: {', '.join(old)}", stacklevel=2)
        return list(self.files(place))

    def files(self, folder: Path) -> Iterator[Path]:
        """Write the same, and yield each path once its file is complete.

        An interrupted run gets no pictures and no page, because they take the longest.
        """
        write_table(self.history(), folder / HISTORY)
        yield folder / HISTORY
        if not self.diverged:
            write_json(folder / MODEL, self._content())
            yield folder / MODEL
            write_table(self.points(), folder / POINTS)
            yield folder / POINTS
        if not self.interrupted:
            yield from Result.as_files(self.title, self.parts(detail=True), folder)

    def _content(self) -> dict[str, object]:
        low, high = self.data.extremes
        scaling = None
        if self.scaling is not None:
            scaling = {
                key: value.tolist() if isinstance(value, np.ndarray) else value
                for key, value in asdict(self.scaling).items()
            }
        best = self.least_squares
        return {
            "format": FORMAT,
            "schema": SCHEMA,
            "features": list(self.features),
            "target": self.target,
            "w": self.w.tolist(),
            "b": self.b,
            "center": self.center.tolist(),
            "height": self.height,
            "range": {"low": low[:-1].tolist(), "high": high[:-1].tolist()},
            "training": {
                "data": self.data.name,
                "n": self.data.n,
                "backend": self.backend,
                "precision": self.precision,
                "lr": self.lr,
                "epochs": self.epochs,
                "standardized": scaling,
                "stopped": self.stopped,
                "interrupted": self.interrupted,
                "loss": self.loss,
            },
            "least_squares": {"w": best.w.tolist(), "b": best.b, "loss": best.loss},
        }

    def __repr__(self) -> str:
        return "\n".join(self._lines())

    __str__ = __repr__

    def _lines(self) -> list[str]:
        features = self.features[0] if len(self.w) == 1 else f"{len(self.w):,} features"
        made = counted(self.epochs, "epoch")
        return [
            f"Fit of {self.target} by {features}: {made} at α = {self.lr:.4g}, {self.backend}",
            parameters(self.features, self.w, self.b),
            f"loss: {self.loss:.6g}; the least possible is {self.least_squares.loss:.6g}; "
            f"R² = {self.score():.4g}",
        ]

    def _repr_html_(self) -> str:
        head, _, last = self._lines()
        words = f"The loss is {self.loss:.4g} after {self.epochs:,} epochs."
        table = [] if self.diverged else [fit_table(self)]
        picture = Figure("loss", words, self.loss_plot)
        return Result.as_html([Sentence(head), *table, Sentence(last), picture])


def train(
    data: Samples,
    *,
    backend: str = backends.DEFAULT,
    lr: Rate = "auto",
    epochs: int = 10_000,
    standardize: bool = False,
    tol: float | None = None,
    on_start: Callable[[], None] = lambda: None,
    on_progress: Callable[[int, float], None] = lambda _epoch, _loss: None,
) -> Fit:
    """Train from zero in chunks of about 0.1 s; the trajectory is the same as in a single call.

    `lr="auto"` means `best_rate`. With `standardize`, the backend gets centered and scaled columns,
    including the target, so training starts at w = 0 and b = the mean of y. With `tol`, it may end
    earlier; see `Stopping`. Every epoch is kept, or every k-th one of more than 100,000, so that
    the history stays small. `on_start` is called when the arguments have been checked, before a
    built-in backend is imported, and `on_progress` with (epoch, loss) after each chunk. Ctrl-C ends
    the training and returns the result so far.

    Raises:
        InputTypeError, InputValueError: an argument or the backend cannot be used.
        BackendError: a foreign backend raised or returned no trajectory.

    """
    d, auto = len(data.features), lr == "auto"
    check_schedule(d, 1.0 if lr == "auto" else lr, epochs)
    epochs = int(epochs)
    stopping = None if tol is None else Stopping(tol, np.zeros(d + 1))
    backends.require(backend)
    foreign = None if backend in backends.names() else backends.load(backend)  # it may be broken
    known = Landscape.of(data, standardize=standardize)
    scaling, unit = known.scaling, 1.0
    rate = best_rate(known, epochs) if lr == "auto" else float(lr)
    if scaling is not None:
        _ = known.original_least_squares  # rejects values beyond float64 in these units
        unit = scaling.target_deviation**2
    on_start()
    module = foreign or backends.load(backend)
    pieces = descend(module, known.samples, rate, epochs, stopping)
    path, stopped, interrupted = _followed(
        pieces, backend, lambda epoch, loss: on_progress(epoch, loss * unit)
    )
    path = thinned(path, kept(data, epochs))
    height = float(path.b[-1])
    if scaling is not None:
        with np.errstate(over="ignore", invalid="ignore"):
            height = scaling.target_mean + scaling.target_deviation * height
        path = until_not_finite(scaling.restore(path))
    ended, precision = (interrupted, stopped, tol, height), precision_of(module).name
    return Fit(known, backend, rate, path, *ended, precision, epochs, auto)


def _followed(
    pieces: Iterator[tuple[Trajectory, str]],
    backend: str,
    on_progress: Callable[[int, float], None],
) -> tuple[Trajectory, str, bool]:
    """Return the trajectory, why it ended early, and whether Ctrl-C ended it."""
    found, stopped, interrupted = list[Trajectory](), "", False
    try:
        for piece, reason in pieces:
            found.append(piece)
            stopped = reason
            on_progress(int(piece.epoch[-1]), float(piece.loss[-1]))
            if interrupts.came():
                raise KeyboardInterrupt
    except KeyboardInterrupt:
        interrupted = True
    except (InputError, BackendError):
        raise
    except (Exception, SystemExit) as error:  # a foreign backend may raise anything
        if not (_is_interrupt(error) or interrupts.came()):
            raise BackendError(f"backend {backend}: {describe(error)}") from error
        interrupted = True
    if not found:
        raise KeyboardInterrupt
    whole = Trajectory._make(np.concatenate(rows) for rows in zip(*found, strict=True))
    return whole, stopped, interrupted


def _is_interrupt(error: BaseException | None) -> bool:
    """Whether Ctrl-C caused an error: in compiled code it surfaces as a SystemError."""
    while error is not None and not isinstance(error, KeyboardInterrupt):
        error = error.__cause__ or error.__context__
    return error is not None
