"""The loop of training, piece by piece: which epochs are kept, and when it may end early."""

import json
import time
from collections.abc import Iterator, Sequence
from functools import partial

import numpy as np
import pyarrow as pa

from gradrace.backends.interface import (
    Backend,
    Floats,
    InputValueError,
    Trajectory,
    finite_number,
)
from gradrace.bench.data.files import arrow_table
from gradrace.bench.data.origin import origin
from gradrace.bench.data.samples import Samples
from gradrace.bench.proof.returns import as_trajectory, precision_of

CHUNK_SECONDS = 0.1
MOST_ROWS = 100_000
MOST_VALUES = 10_000_000  # values of w, b and the loss that a trajectory keeps
MILESTONES = 12
PATIENCE = 1000
STALLED = "neither the loss nor the gradient has fallen any further"


class Stopping:
    """Decides, piece by piece of a trajectory, whether training should end.

    It ends after the first step with ‖θₖ₊₁ − θₖ‖ ≤ tol · ‖θ₁ − θ₀‖, θ = (w, b): since
    θₖ₊₁ − θₖ = −α∇L(θₖ), the norm of the gradient has then fallen to tol times its first value. It
    also ends when neither the loss nor the gradient has fallen for a tenth of the run so far, and
    for at least 1,000 epochs. The loss alone is not enough: it is flat near its minimum, where
    rounding hides its progress long before w and b have all their digits.

    Raises:
        InputTypeError, InputValueError: tol is not a number, or not 0 ≤ tol < 1.

    """

    def __init__(self, tol: float, start: Floats) -> None:
        """Watch a run from `start`, θ₀ (d + 1,)."""
        if not 0 <= finite_number("tol", tol) < 1:
            raise InputValueError(f"tol: must be at least 0 and less than 1, got {tol!r}")
        self.checkpoint = PATIENCE
        """The epoch at which the next piece must end at the latest."""
        self._tol = float(tol)
        self._last = start
        self._first_step: float | None = None
        self._window = PATIENCE
        self._best = self._recent = (np.inf, np.inf)  # loss, step

    def end(self, piece: Trajectory) -> tuple[int, str] | None:
        """Return how many rows of this piece to keep and why training ends there, or None.

        Together, the pieces must hold every epoch from the first on.
        """
        theta = np.column_stack([piece.w, piece.b])
        steps = step_lengths(np.vstack([self._last, theta]))
        if self._first_step is None:
            self._first_step = float(steps[0])
        small = steps <= self._tol * self._first_step
        if small.any():
            row = int(np.argmax(small))
            if steps[row] == 0:
                return row + 1, "the steps no longer change w and b"
            ratio = steps[row] / self._first_step
            return row + 1, f"the norm of the gradient has fallen to {ratio:.2g} of its first value"
        self._last = theta[-1]
        self._recent = _least(self._recent, (piece.loss.min(), steps.min()))
        if piece.epoch[-1] < self.checkpoint:
            return None
        if self._recent[0] >= self._best[0] and self._recent[1] >= self._best[1]:
            return len(steps), f"{STALLED} in the last {self._window:,} epochs"
        self._best, self._recent = _least(self._best, self._recent), (np.inf, np.inf)
        self._window = max(PATIENCE, self.checkpoint // 10)
        self.checkpoint += self._window
        return None


def descend(
    module: Backend,
    samples: Samples,
    lr: float,
    epochs: int,
    stopping: Stopping | None = None,
) -> Iterator[tuple[Trajectory, str]]:
    """Train from zero; yield the trajectory in pieces of about 0.1 s, and why it ended early.

    It ends at the first loss that is not finite, or when `stopping` says so; the reason is empty
    until then. Besides the epochs to keep, see `kept`, the pieces hold those at which they end.
    """
    data, d, every = samples.for_training(module), len(samples.features), kept(samples, epochs)
    precision = precision_of(module)
    w, b = np.zeros(d), 0.0

    def next_stop(done: int, ahead: int) -> int:
        """Return the epoch at which the next call ends, at most so many epochs ahead."""
        if stopping is not None:
            return min(done + min(ahead, MOST_VALUES // (d + 2)), stopping.checkpoint, epochs)
        stop, to_keep = done + ahead, done - done % every + every
        if stop > to_keep:  # from an epoch to keep, a call may skip those between
            stop = to_keep if done % every else stop - stop % every
        return min(stop, epochs)

    done = stop = 0  # the first call makes no update; it compiles, and returns row 0
    while True:
        began, length = time.perf_counter(), stop - done
        stride = 1 if stopping is not None else max(1, min(every, length))  # it needs every step
        go_on = partial(module.train, data, lr=lr, epochs=length, w0=w.copy(), b0=b)
        path = as_trajectory(go_on(every=stride), length, d, stride, precision)
        if stride > 1 and not np.isfinite(path.loss).all():  # find the exact epoch
            path = as_trajectory(go_on(), length, d, precision=precision)
        path = until_not_finite(path._replace(epoch=path.epoch + done))
        path = Trajectory._make(rows[1:] for rows in path) if length else path
        end = stopping.end(path) if stopping is not None and length else None
        if end is not None:
            path = Trajectory._make(rows[: end[0]] for rows in path)
        yield thinned(path, every), end[1] if end is not None else ""
        if end is not None or stop == epochs or not np.isfinite(path.loss[-1]):
            return
        faster = CHUNK_SECONDS / max(time.perf_counter() - began, 1e-9)
        done, w, b = stop, path.w[-1], float(path.b[-1])
        stop = next_stop(done, max(1, int(length * min(10.0, faster))))


def kept(samples: Samples, epochs: int) -> int:
    """Return k if every k-th epoch is kept, so that a long history stays small."""
    most = min(MOST_ROWS, MOST_VALUES // (len(samples.features) + 2))
    return max(1, -(-epochs // most))


def until_not_finite(path: Trajectory) -> Trajectory:
    """Return the rows up to and including the first loss that is not finite."""
    broken = ~np.isfinite(path.loss)
    end = int(np.argmax(broken)) + 1 if broken.any() else len(broken)
    return Trajectory._make(rows[:end] for rows in path)


def thinned(path: Trajectory, every: int) -> Trajectory:
    """Return every `every`-th epoch and the last one."""
    chosen = path.epoch % every == 0
    chosen[-1] = True
    return Trajectory._make(rows[chosen] for rows in path)


def milestones(path: Trajectory, count: int = MILESTONES) -> Trajectory:
    """Return the first row, the last one, and about `count` − 2 between them.

    Their epochs are round numbers, 1, 2, 5, 10, 20, 50, …; some are left out if there are too many.
    If the trajectory does not hold such an epoch, the next one that it holds is taken.
    """
    last = int(path.epoch[-1])
    powers = range(len(str(last)))
    rounds = [k for k in (m * 10**p for p in powers for m in (1, 2, 5)) if k < last]
    keep = np.unique(np.linspace(0, len(rounds) - 1, min(count - 2, len(rounds))).round())
    wanted = np.array([0, *(rounds[int(i)] for i in keep), last])
    rows = np.unique(np.searchsorted(path.epoch, wanted))
    return Trajectory._make(values[rows] for values in path)


def history(features: Sequence[str], path: Trajectory, label: str, least_loss: float) -> pa.Table:
    """Return one row per epoch: epoch, loss, a column w[name] for each feature, b."""
    weights = {f"w[{name}]": path.w[:, j] for j, name in enumerate(features)}
    table = arrow_table({"epoch": path.epoch, "loss": path.loss, **weights, "b": path.b})
    return described(table, label=label, least_squares_loss=repr(least_loss))


def described(table: pa.Table, **about: str) -> pa.Table:
    """Return a table with metadata, its origin among them, for the footers of pictures."""
    return table.replace_schema_metadata({"origin": json.dumps(origin()), **about})


def step_lengths(theta: Floats) -> Floats:
    """Return ‖θₖ₊₁ − θₖ‖ (m − 1,) of states (m, d + 1), without squares that leave float64."""
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        steps = np.diff(theta, axis=0)
        largest = np.abs(steps).max(axis=1)
        lengths = largest * np.linalg.norm(steps / largest[:, None], axis=1)
    return np.where(largest > 0, lengths, 0.0)


def _least(a: tuple[float, float], b: tuple[float, float]) -> tuple[float, float]:
    return min(a[0], b[0]), min(a[1], b[1])
