"""A backend with a known slow-down, for `sensitivity`: it repeats part of every pass.

The repeated part is real work on real samples, and its result is needed, as far as the compiler
knows. `SHARE` is replaced by the study.
"""

from typing import Any

import numpy as np
from numba import njit

from gradrace.backends.interface import (
    Floats,
    Trajectory,
    check_samples,
    check_schedule,
    recorded_epochs,
)

SHARE = 0.0
ONE_CORE = True

prepare = check_samples


@njit(cache=True)
def _add_samples(
    X: Floats, y: Floats, w: Floats, b: float, stop: int, grad: Floats
) -> tuple[float, float]:
    """Add the first `stop` samples to the gradient; return their Σ r² and Σ r."""
    squares, total = 0.0, 0.0
    for i in range(stop):
        r = b - y[i]
        for j in range(len(w)):
            r += X[i, j] * w[j]
        for j in range(len(w)):
            grad[j] += r * X[i, j]
        squares += r * r
        total += r
    return squares, total


@njit(cache=True)
def _train(
    X: Floats, y: Floats, lr: float, epochs: int, w: Floats, b: float, every: int, path: Floats
) -> None:
    n, d = X.shape
    grad, again, row = np.zeros(d), np.zeros(d), 0
    for k in range(epochs + 1):
        grad[:] = 0.0
        squares, total = _add_samples(X, y, w, b, n, grad)
        extra = int((k + 1) * SHARE * n) - int(k * SHARE * n)
        if _add_samples(X, y, w, b, extra, again)[0] == -1.0:  # never
            b = again[0]
        if k % every == 0 or k == epochs:
            path[row, :d] = w
            path[row, d], path[row, d + 1] = b, squares / n
            row += 1
        for j in range(d):
            w[j] -= lr * (2.0 / n * grad[j])
        b -= lr * (2.0 / n * total)


def train(data: tuple[Floats, Floats], *, lr: float, epochs: int, **start: Any) -> Trajectory:
    """Train as every backend does, see `gradrace.backends.interface`."""
    X, y = data
    d = X.shape[1]
    rate, count, w, b, every = check_schedule(d, lr, epochs, **start)
    epoch = recorded_epochs(count, every)
    path = np.empty((len(epoch), d + 2))
    _train(X, y, rate, count, w, b, every, path)
    return Trajectory(epoch, path[:, :d], path[:, d], path[:, d + 1])
