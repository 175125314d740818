"""Peer `textbook`: NumPy as in textbooks, one expression per formula.

The backend `numpy` is compared with it. Every operation makes a new array. X is (n, d), y (n,).
"""

import numpy as np
from numpy.typing import ArrayLike

from gradrace.backends.interface import (
    Floats,
    Trajectory,
    check_samples,
    check_schedule,
    recorded_epochs,
)


def prepare(X: ArrayLike, y: ArrayLike) -> tuple[Floats, Floats]:
    """Return X and y as arrays; if there is one feature, X has the shape (n,)."""
    X, y = check_samples(X, y)
    return (X[:, 0].copy() if X.shape[1] == 1 else X), y


def train(
    data: tuple[Floats, Floats],
    *,
    lr: float,
    epochs: int,
    w0: ArrayLike | None = None,
    b0: float = 0.0,
    every: int = 1,
) -> Trajectory:
    """Make `epochs` updates and record every `every`-th state, the first and the last.

    Raises:
        InputTypeError, InputValueError: see `interface.check_schedule`.

    """
    X, y = data
    line, n = X.ndim == 1, len(y)
    lr, epochs, w, b, every = check_schedule(1 if line else X.shape[1], lr, epochs, w0, b0, every)
    epoch = recorded_epochs(epochs, every)
    path_w, path_b, path_loss = [], [], []
    with np.errstate(over="ignore", invalid="ignore"):
        for k in range(epochs + 1):
            r = (w[0] * X if line else X @ w) + b - y
            if k % every == 0 or k == epochs:
                path_w.append(w)
                path_b.append(b)
                path_loss.append(np.mean(r**2))
            grad_w = np.array([2 * np.mean(r * X)]) if line else 2 / n * (X.T @ r)
            grad_b = 2 * np.mean(r)
            w = w - lr * grad_w
            b = b - lr * float(grad_b)
    return Trajectory(epoch, np.array(path_w), np.array(path_b), np.array(path_loss))
