"""Time to the same loss: gradient descent beside the regressions of scikit-learn.

`LinearRegression` solves for the least squares at once, and `SGDRegressor` takes a step after each
sample. Neither follows the trajectory of full-batch descent, so no epoch of theirs can be compared
with one of ours. But all of them can reduce the loss L = (1/n) Σ (Xw + b − y)² to

    L ≤ (1 + excess) · L_min,    L_min the loss of the least squares.

`race_to_loss` finds how many passes over the samples each needs for that, and times only these.
`python -m gradrace.bench.studies.same_loss` prints it for two data sets, on one thread.

When reading the figures, note that neither the search for the number of passes nor `prepare` is
timed, whereas the time of `fit` includes validating and copying the data, as for its users. The
loss of `SGDRegressor` rises and falls near the end; its number of passes is the first one that hits
the target, which favors it.
"""

import math
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from statistics import median
from timeit import timeit
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from gradrace.backends import load
from gradrace.backends.interface import (
    Backend,
    Floats,
    InputValueError,
    check_samples,
    check_schedule,
    finite_number,
)
from gradrace.bench.data.samples import REFERENCE_LR, Dataset, reference_line, synthetic
from gradrace.bench.learning.least_squares import least_squares

MOST_PASSES = 10_000
NO_SKLEARN = "scikit-learn: is missing: pip install 'gradrace[scikit-learn]'"

Coefficients = tuple[Floats, float]


@dataclass(frozen=True)
class Row:
    """How long one contestant takes to the target."""

    name: str
    seconds: float
    """The median of the repeats; nan if the target is not reached and so nothing is timed."""
    best: float
    """The least of the repeats, or nan."""
    loss: float
    """L at the (w, b) it returned, in float64; nan if descent is hopeless and was not run."""
    passes: int | None
    """Epochs, or `max_iter`: passes over the samples; None for a direct solution, or if no number
    up to 10,000 reaches the target."""
    reached: bool
    """Whether L ≤ (1 + excess) · L_min"""


class _Contestant(NamedTuple):
    name: str
    passes: int | None
    run: Callable[[], Coefficients] | None
    """Trains from the start; None if it cannot reach the target."""


def race_to_loss(
    X: ArrayLike,
    y: ArrayLike,
    *,
    lr: float,
    backends: Sequence[str],
    excess: float = 1e-3,
    repeats: int = 7,
) -> list[Row]:
    """Time each of our `backends` at the rate lr, and scikit-learn if installed, to the same loss.

    X is (n, d), y (n,). Every contestant makes one untimed call, whose loss is verified. Then they
    take turns, `repeats` times. Times are in seconds.

    Raises:
        InputTypeError, InputValueError: samples or lr as for a backend; a backend that cannot be
            loaded; an excess that is not greater than 0; no repeats.

    """
    X, y = check_samples(X, y)
    check_schedule(X.shape[1], lr, MOST_PASSES)
    if finite_number("excess", excess) <= 0 or repeats < 1:
        raise InputValueError("excess and repeats: must be greater than 0")
    features = tuple(f"x{j}" for j in range(1, X.shape[1] + 1))
    target = (1 + excess) * least_squares(Dataset("samples", features, "y", X, y)).loss

    contestants = [*_descents(X, y, lr, backends, target)]
    if find_spec("sklearn"):
        contestants += [_linear_regression(X, y), _sgd(X, y, target)]
    losses = [_loss(X, y, *c.run()) if c.run else math.nan for c in contestants]
    timed = [c.run for c, loss in zip(contestants, losses, strict=True) if loss <= target and c.run]
    rounds = [[timeit(run, number=1) for run in timed] for _ in range(repeats)]
    times = iter(zip(*rounds, strict=True))  # one contestant after the other
    return [
        _row(contestant, loss, next(times) if loss <= target else ())
        for contestant, loss in zip(contestants, losses, strict=True)
    ]


def _row(contestant: _Contestant, loss: float, times: Sequence[float]) -> Row:
    return Row(
        name=contestant.name,
        seconds=median(times) if times else math.nan,
        best=min(times, default=math.nan),
        loss=loss,
        passes=contestant.passes,
        reached=bool(times),
    )


def _loss(X: Floats, y: Floats, w: Floats, b: float) -> float:
    """L = (1/n) Σ rᵢ² with r = Xw + b − y."""
    with np.errstate(over="ignore", invalid="ignore"):
        r = X @ w + b - y
        return float(r @ r) / len(y)


def _descents(
    X: Floats, y: Floats, lr: float, backends: Sequence[str], target: float
) -> Iterator[_Contestant]:
    """Yield our backends; all make the same number of epochs, and record the first and the last."""
    epochs = _epochs_needed(X, y, lr, target)
    for spec in backends:
        module = load(spec)
        name = Path(spec).stem if spec.endswith(".py") else spec
        run = (
            None if epochs is None else partial(_descend, module, module.prepare(X, y), lr, epochs)
        )
        yield _Contestant(name, epochs, run)


def _descend(module: Backend, data: Any, lr: float, epochs: int) -> Coefficients:
    path = module.train(data, lr=lr, epochs=epochs, every=max(epochs, 1))
    return path.w[-1], path.b[-1]


def _epochs_needed(X: Floats, y: Floats, lr: float, target: float) -> int | None:
    """Return the first epoch with L ≤ target, on `numba`; None if no epoch up to 10,000 has it."""
    numba = load("numba")
    data, epochs = numba.prepare(X, y), 64
    while True:
        hits = np.flatnonzero(numba.train(data, lr=lr, epochs=epochs).loss <= target)
        if hits.size:
            return int(hits[0])
        if epochs == MOST_PASSES:
            return None
        epochs = min(4 * epochs, MOST_PASSES)


def _linear_regression(X: Floats, y: Floats) -> _Contestant:
    from sklearn.linear_model import LinearRegression

    def run() -> Coefficients:
        model = LinearRegression().fit(X, y)
        return model.coef_, model.intercept_

    return _Contestant("LinearRegression", None, run)


def _sgd(X: Floats, y: Floats, target: float) -> _Contestant:
    """Return `SGDRegressor` with the fewest passes that reach the target.

    Every number up to 100 is tried, beyond that in steps of one or two percent. It uses its
    default learning rates, η = 0.01/t^¼ after t samples.
    """
    passes = 1
    while passes <= MOST_PASSES:
        run = partial(_fit_sgd, X, y, passes)
        if _loss(X, y, *run()) <= target:
            return _Contestant("SGDRegressor", passes, run)
        passes += max(1, passes // 50)
    return _Contestant("SGDRegressor", None, partial(_fit_sgd, X, y, MOST_PASSES))


def _fit_sgd(X: Floats, y: Floats, passes: int) -> Coefficients:
    from sklearn.linear_model import SGDRegressor

    model = SGDRegressor(
        loss="squared_error", penalty=None, max_iter=passes, tol=None, random_state=0
    )
    try:
        model.fit(X, y)
    except ValueError:  # its coefficients have overflowed: its rates are too large for these data
        return np.full(X.shape[1], math.nan), math.nan
    return model.coef_, float(model.intercept_[0])


def main() -> None:
    """Print the time to the same loss on the reference line and on 10,000 × 10 samples."""
    from threadpoolctl import threadpool_limits

    from gradrace.bench.machine.facts import thread_environment
    from gradrace.bench.race.settings import default_backends
    from gradrace.bench.report.tables import NONE, count, empty_table
    from gradrace.bench.report.terminal import note, show
    from gradrace.plots.numbers import seconds

    if not find_spec("sklearn"):
        note(NO_SKLEARN)
    os.environ.update(
        thread_environment(1)
    )  # for libraries imported from here on; NumPy is imported already
    for data, lr in ((reference_line(), REFERENCE_LR), (synthetic(10_000, 10), 0.1)):
        with threadpool_limits(1):
            rows = race_to_loss(data.X, data.y, lr=lr, backends=default_backends(2))
        show(f"{data.name}, α = {lr:g}, to a loss of at most 1.001 times the least")
        table = empty_table("", "median", "best", "passes", "loss")
        for row in rows:
            times = map(seconds, (row.seconds, row.best)) if row.reached else ("not reached", NONE)
            table.add_row(row.name, *times, count(row.passes), f"{row.loss:.6f}")
        show(table)


if __name__ == "__main__":
    main()
