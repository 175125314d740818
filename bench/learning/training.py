"""Train one backend on one data set, report progress, and stop on Ctrl-C."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import ArrayLike

from gradrace import backends
from gradrace.backends.interface import (
    Backend,
    Floats,
    InputError,
    InputValueError,
    Trajectory,
    check_samples,
    check_schedule,
)
from gradrace.bench.data.samples import Samples
from gradrace.bench.learning.convergence import close_enough, directions, epochs_needed
from gradrace.bench.learning.curvature import Hessian
from gradrace.bench.learning.landscape import Landscape
from gradrace.bench.learning.least_squares import LeastSquares
from gradrace.bench.learning.rate_choice import Rate, chosen_rate
from gradrace.bench.learning.standardizing import Scaling
from gradrace.bench.learning.stopping import STALLED, Stopping
from gradrace.bench.learning.trajectories import thinned, until_not_finite
from gradrace.bench.machine import interrupts
from gradrace.bench.proof.returns import BackendError, as_trajectory, describe, precision_of

CHUNK_SECONDS = 0.1
MOST_ROWS = 100_000
MOST_VALUES = 10_000_000  # values of w, b and the loss that a trajectory keeps


@dataclass(frozen=True, eq=False)
class Fit:
    """A finished, diverged or interrupted training run, with numbers in the units of the data."""

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

    @property
    def data(self) -> Samples:
        """The data used for training, in their own units."""
        return self.landscape.data

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
    def failure(self) -> str:
        """Say when and why the run diverged; empty if it did not."""
        epoch, limit = int(self.trajectory.epoch[-1]), self.hessian.limit
        first = float(self.trajectory.loss[0])
        if not np.isfinite(self.loss):
            what = f"the loss overflows at epoch {epoch:,}"
        elif self.lr >= limit and self.loss > first:
            what = f"the loss grows from {first:.4g} to {self.loss:.4g} in {epoch:,} epochs"
        elif self.lr >= limit and self.stopped.startswith(STALLED):
            what = f"the loss no longer falls at epoch {epoch:,}"
        else:
            return ""
        if not self.lr >= limit > 0:
            return f"{what}: the values are too large for {self.precision}; scale them"
        return (
            f"diverged: {what}, because α = {self.lr:g} exceeds 2/λmax = {limit:.6g}; "
            "choose a rate below that, or --lr auto"
        )

    @property
    def diverged(self) -> bool:
        """Whether the loss left the range of float64, or grew because the rate is too large."""
        return bool(self.failure)

    def predict(self, X: ArrayLike) -> Floats:
        """Return ŷ = Xw + b, shape (m,), for samples X (m, d) in the units of the training data.

        Raises:
            InputTypeError, InputValueError: X cannot be used, or the training diverged.

        """
        if self.diverged:
            raise InputValueError("the training diverged, so there is no model to predict with")
        rows = np.shape(X)[:1]
        X, _ = check_samples(X, np.zeros(rows))
        if X.shape[1] != len(self.w):
            raise InputValueError(f"X: needs {len(self.w)} columns, got {X.shape[1]}")
        with np.errstate(over="ignore", invalid="ignore"):
            y_hat: Floats = (X - self.center) @ self.w + self.height
        if not np.isfinite(y_hat).all():
            raise InputValueError("X: a prediction is beyond float64")
        return y_hat


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

    `lr="auto"` means `rate_choice.best_rate`. With `standardize`, the backend gets centered and
    scaled columns, including the target, so training starts at w = 0 and b = the mean of y. With
    `tol`, it may end earlier; see `Stopping`. Every epoch is kept, or every k-th one of more than
    100,000, so that the history stays small. `on_start` is called when the arguments have been
    checked, before a built-in backend is imported, and `on_progress` with (epoch, loss) after each
    chunk. Ctrl-C ends the training and returns the result so far.

    Raises:
        InputTypeError, InputValueError: an argument or the backend cannot be used.
        BackendError: a foreign backend raised or returned no trajectory.

    """
    d = len(data.features)
    check_schedule(d, 1.0 if lr == "auto" else lr, epochs)
    stopping = None if tol is None else Stopping(tol, np.zeros(d + 1))
    backends.require(backend)
    built_in = backend in backends.names()
    module = None if built_in else backends.load(backend)  # it may be broken: known first
    known = Landscape.of(data, standardize=standardize)
    scaling, samples = known.scaling, known.samples
    rate = chosen_rate(lr, known, int(epochs))
    if scaling is not None:
        _ = known.original_least_squares  # rejects values beyond float64 in these units
    unit = 1.0 if scaling is None else scaling.target_deviation**2
    on_start()
    if module is None:
        module = backends.load(backend)
    pieces: list[Trajectory] = []
    every = max(1, -(-int(epochs) // min(MOST_ROWS, MOST_VALUES // (d + 2))))
    interrupted, stopped = False, ""
    try:
        for piece, reason in _pieces(module, samples, rate, int(epochs), every, stopping):
            pieces.append(piece)
            stopped = reason
            on_progress(int(piece.epoch[-1]), float(piece.loss[-1]) * unit)
            if interrupts.came():
                raise KeyboardInterrupt
    except KeyboardInterrupt:
        if not pieces:
            raise
        interrupted = True
    except (InputError, BackendError):
        raise
    except (Exception, SystemExit) as error:  # a foreign backend may raise anything
        if not (_is_interrupt(error) or interrupts.came()):
            raise BackendError(f"backend {backend}: {describe(error)}") from error
        if not pieces:
            raise KeyboardInterrupt from error
        interrupted = True
    whole = Trajectory._make(np.concatenate(rows) for rows in zip(*pieces, strict=True))
    whole = thinned(whole, every)
    height = float(whole.b[-1])
    if scaling is not None:
        with np.errstate(over="ignore", invalid="ignore"):
            height = scaling.target_mean + scaling.target_deviation * height
        whole = until_not_finite(scaling.restore(whole))
    precision = precision_of(module).name
    return Fit(
        known, backend, rate, whole, interrupted, stopped, tol, height, precision, int(epochs)
    )


def _pieces(
    module: Backend,
    data: Samples,
    lr: float,
    epochs: int,
    every: int,
    stopping: Stopping | None,
) -> Iterator[tuple[Trajectory, str]]:
    """Yield the trajectory piece by piece, until a loss is not finite or `stopping` ends it.

    Besides every `every`-th epoch, the pieces hold the epochs at which they end. The second value
    is empty, except that the last one is the reason why `stopping` ended the training, if it did.
    """
    samples, d = data.for_training(module), len(data.features)
    w, b = np.zeros(d), 0.0
    precision = precision_of(module)
    done, length = 0, 0  # the first call makes no update; it compiles, and returns row 0
    while True:
        start = time.perf_counter()
        stride = every if length >= every else max(1, length)
        stride = stride if stopping is None else 1  # it needs every step
        go_on = partial(module.train, samples, lr=lr, epochs=length, w0=w.copy(), b0=b)
        path = as_trajectory(go_on(every=stride), length, d, stride, precision)
        if stride > 1 and not np.isfinite(path.loss).all():  # find the exact epoch
            path = as_trajectory(go_on(), length, d, precision=precision)
        path = until_not_finite(path._replace(epoch=path.epoch + done))
        path = Trajectory._make(rows[1:] for rows in path) if length else path
        end = stopping.end(path) if stopping is not None and length else None
        if end is not None:
            path = Trajectory._make(rows[: end[0]] for rows in path)
        yield thinned(path, every), end[1] if end is not None else ""
        done, w, b = int(path.epoch[-1]), path.w[-1], float(path.b[-1])
        if end is not None or done == epochs or not np.isfinite(path.loss[-1]):
            return
        wish = _next_length(length, time.perf_counter() - start)
        to_multiple = -done % every  # epochs until the next row to keep, 0 if it is this one
        length = min(wish, to_multiple or (wish // every * every or wish), epochs - done)
        if stopping is not None:
            length = min(wish, MOST_VALUES // (d + 2), stopping.checkpoint - done, epochs - done)


def _is_interrupt(error: BaseException | None) -> bool:
    """Whether Ctrl-C caused an error: in compiled code it surfaces as a SystemError."""
    while error is not None and not isinstance(error, KeyboardInterrupt):
        error = error.__cause__ or error.__context__
    return error is not None


def _next_length(last: int, seconds: float) -> int:
    """Return how many epochs to run next: about CHUNK_SECONDS' worth, at most ten times `last`."""
    return max(1, int(last * min(10.0, CHUNK_SECONDS / max(seconds, 1e-9))))
