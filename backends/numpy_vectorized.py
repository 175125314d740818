"""Rung `numpy`: whole-array operations; BLAS for the products, no needless temporaries.

X is an array (n, d), y an array (n,), w an array (d,). BLAS sums in an order of its own, so the
last bits differ from `python`; `gradrace check` shows that they stay within the rounding bound.

A call of NumPy costs about half a microsecond whatever it does, so `train` makes few: with A =
[X 1 y] and θ = (w, b, −1) one product gives r = Aθ, one Σ rᵢ², and one all gradients. A is
stored by columns, which BLAS reads fastest, and in blocks of 4 MB: a block is still in the last
cache when the third product reads it again. With one feature and many samples three passes without
BLAS are faster than its product; six passes over arrays in the cache are what is left then, and a
textbook's eight take 1.7 times as long.
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

_BLOCK = 2**19  # numbers, 4 MB
_MANY = 4096  # samples

Data = tuple[Floats, Floats, list[Floats]]


def prepare(X: ArrayLike, y: ArrayLike) -> Data:
    """Return X, y and the blocks of [X 1 y], each of shape (d + 2, at most 2¹⁹/(d + 2))."""
    X, y = check_samples(X, y)
    n, d = X.shape
    block = max(1, _BLOCK // (d + 2))
    blocks = []
    for start in range(0, n, block):
        A = np.ones((d + 2, min(block, n - start)))
        A[:d] = X[start : start + block].T
        A[d + 1] = y[start : start + block]
        blocks.append(A)
    return X, y, blocks


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
    data: Data,
    *,
    lr: float,
    epochs: int,
    w0: ArrayLike | None = None,
    b0: float = 0.0,
    every: int = 1,
) -> Trajectory:
    """Make `epochs` updates from (w0, b0) at the learning rate lr; record every `every`-th state.

    Every array is allocated once, before the loop. `w0` is of shape (d,), zeros if None.

    Raises:
        InputTypeError, InputValueError: see `interface.check_schedule`.

    """
    X, _, blocks = data
    n, d = X.shape
    lr, epochs, w0, b, every = check_schedule(d, lr, epochs, w0, b0, every)
    epoch = recorded_epochs(epochs, every)
    rows = len(epoch)
    path_w, path_b, path_loss = np.empty((rows, d)), np.empty(rows), np.empty(rows)
    theta = np.array([*w0, b, -1.0])
    state, w = theta[: d + 1], theta[:d]  # views of (w, b) and of w
    sums, grad = np.empty((len(blocks), d + 1)), np.empty(d + 1)
    residuals = np.empty(blocks[0].shape[1])
    parts = [
        (A, A[: d + 1], residuals[: A.shape[1]], total)
        for A, total in zip(blocks, sums, strict=True)
    ]
    row = 0

    with np.errstate(over="ignore", invalid="ignore"):  # a run may diverge; that is a result
        for k in range(epochs + 1):
            squares = 0.0
            for A, X1, r, total in parts:
                if d == 1 and len(r) > _MANY:  # three passes are faster than BLAS on three rows
                    np.multiply(A[0], theta[0], out=r)
                    r += theta[1]  # ŷ = Xw + b
                    r -= A[2]  # r = ŷ − y
                else:
                    np.dot(theta, A, out=r)  # ŷ = Xw + b; r = ŷ − y
                squares += np.dot(r, r)
                np.dot(X1, r, out=total)
            if k % every == 0 or k == epochs:
                path_w[row] = w
                path_b[row] = theta[d]
                path_loss[row] = squares / n  # L = (1/n) Σ rᵢ²
                row += 1
            if len(parts) > 1:
                total = np.add.reduce(sums)
            np.multiply(total, 2.0 / n, out=grad)  # ∂L/∂w = (2/n) Xᵀr; ∂L/∂b = (2/n) Σ rᵢ
            grad *= lr
            state -= grad  # w ← w − α ∂L/∂w; b ← b − α ∂L/∂b

    return Trajectory(epoch, path_w, path_b, path_loss)
