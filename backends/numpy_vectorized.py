"""Rung `numpy`: whole-array operations; BLAS for the products, no needless temporaries.

X is an array (n, d), y an array (n,), w an array (d,). BLAS sums in an order of its own, so the
last bits differ from `python`; `gradrace check` shows that they stay within the rounding bound.
"""

import numpy as np
from numpy.typing import ArrayLike

from backends.interface import (
    Floats,
    Trajectory,
    check_samples,
    check_schedule,
    recorded_epochs,
)


def prepare(X: ArrayLike, y: ArrayLike) -> tuple[Floats, Floats]:
    """Return X and y as C-ordered float64 arrays."""
    return check_samples(X, y)


def predict(X: Floats, w: Floats, b: float) -> Floats:
    """ŷ = Xw + b, shape (n,)."""
    y_hat: Floats = np.dot(X, w)
    y_hat += b  # ŷ = Xw + b
    return y_hat


def loss(X: Floats, y: Floats, w: Floats, b: float) -> float:
    """L = (1/n) Σ rᵢ² with r = Xw + b − y."""
    r = predict(X, w, b)
    r -= y  # r = ŷ − y
    return float(np.dot(r, r)) / len(y)  # L = (1/n) Σ rᵢ²


def gradients(X: Floats, y: Floats, w: Floats, b: float) -> tuple[Floats, float]:
    """(∂L/∂w, ∂L/∂b) = ((2/n) Xᵀr, (2/n) Σ rᵢ), of shape (d,) and a scalar."""
    n = len(y)
    r = predict(X, w, b)
    r -= y  # r = ŷ − y
    grad_w: Floats = 2.0 / n * np.dot(r, X)  # ∂L/∂w = (2/n) Xᵀr
    grad_b = 2.0 / n * float(r.sum())  # ∂L/∂b = (2/n) Σ rᵢ
    return grad_w, grad_b


def update(w: Floats, b: float, grad_w: Floats, grad_b: float, lr: float) -> tuple[Floats, float]:
    """(w − α ∂L/∂w, b − α ∂L/∂b)."""
    w = w - lr * grad_w  # w ← w − α ∂L/∂w
    b = b - lr * grad_b  # b ← b − α ∂L/∂b
    return w, b


def train(
    data: tuple[Floats, Floats],
    *,
    lr: float,
    epochs: int,
    w0: ArrayLike | None = None,
    b0: float = 0.0,
    every: int = 1,
) -> Trajectory:
    """Make `epochs` updates from (w0, b0) at the learning rate lr; record every `every`-th state.

    Every array of length n is allocated once, before the loop; so are the arrays of length d.
    `w0` is of shape (d,), zeros if None.

    Raises:
        InputTypeError, InputValueError: see `interface.check_schedule`.

    """
    X, y = data
    n, d = X.shape
    lr, epochs, w, b, every = check_schedule(d, lr, epochs, w0, b0, every)
    epoch = recorded_epochs(epochs, every)
    rows = len(epoch)
    path_w, path_b, path_loss = np.empty((rows, d)), np.empty(rows), np.empty(rows)
    r, grad_w, ones = np.empty(n), np.empty(d), np.ones(n)
    row = 0

    with np.errstate(over="ignore", invalid="ignore"):  # a run may diverge; that is a result
        for k in range(epochs + 1):
            np.dot(X, w, out=r)
            r += b  # ŷ = Xw + b
            r -= y  # r = ŷ − y
            if k % every == 0 or k == epochs:
                path_w[row] = w
                path_b[row] = b
                path_loss[row] = np.dot(r, r) / n  # L = (1/n) Σ rᵢ²
                row += 1
            np.dot(r, X, out=grad_w)
            grad_w *= 2.0 / n  # ∂L/∂w = (2/n) Xᵀr
            grad_b = 2.0 / n * float(np.dot(r, ones))  # ∂L/∂b = (2/n) Σ rᵢ
            grad_w *= lr
            w -= grad_w  # w ← w − α ∂L/∂w
            b = b - lr * grad_b  # b ← b − α ∂L/∂b

    return Trajectory(epoch, path_w, path_b, path_loss)
