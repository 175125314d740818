"""Rung `numba`: the scalar loop of `python`, compiled; the whole training is one compiled call.

`fastmath` is off: LLVM keeps the IEEE order of the sums and fuses no multiply-adds on x86-64, so w,
b and every loss are bit-identical to `python` there. X is an array (n, d), y an array (n,), w an
array (d,). The machine code is cached on disk, so only the first call ever compiles. To compile in
a third of the time, even zeros and rows are assigned number by number: `path_w[row] = w` would
compile code for every shape and overlap that two arrays can have.
"""

import numpy as np
from numba import njit
from numpy.typing import ArrayLike

from gradrace.backends import interface
from gradrace.backends.interface import Floats, Samples, Start, Trajectory

ONE_CORE = True


def prepare(X: ArrayLike, y: ArrayLike) -> Samples:
    """Return X and y as C-ordered float64 arrays."""
    return interface.check_samples(X, y)


@njit(cache=True)
def predict(X: Floats, w: Floats, b: float) -> Floats:
    """ŷ = Xw + b, shape (n,)."""
    y_hat = np.empty(len(X))
    for i in range(len(X)):
        dot = 0.0
        for j in range(len(w)):
            dot += X[i, j] * w[j]
        y_hat[i] = dot + b  # ŷ = Xw + b
    return y_hat


@njit(cache=True)
def loss(X: Floats, y: Floats, w: Floats, b: float) -> float:
    """L = (1/n) Σ rᵢ² with r = Xw + b − y."""
    n = len(y)
    y_hat = predict(X, w, b)
    squares = 0.0
    for i in range(n):
        r = y_hat[i] - y[i]  # r = ŷ − y
        squares += r * r
    return squares / n  # L = (1/n) Σ rᵢ²


@njit(cache=True)
def gradients(X: Floats, y: Floats, w: Floats, b: float) -> tuple[Floats, float]:
    """(∂L/∂w, ∂L/∂b) = ((2/n) Xᵀr, (2/n) Σ rᵢ), of shape (d,) and a scalar."""
    n, d = len(y), len(w)
    y_hat = predict(X, w, b)
    sum_rx, sum_r = np.zeros(d), 0.0
    for i in range(n):
        r = y_hat[i] - y[i]  # r = ŷ − y
        for j in range(d):
            sum_rx[j] += r * X[i, j]
        sum_r += r
    grad_w = 2.0 / n * sum_rx  # ∂L/∂w = (2/n) Xᵀr
    grad_b = 2.0 / n * sum_r  # ∂L/∂b = (2/n) Σ rᵢ
    return grad_w, grad_b


@njit(cache=True)
def update(w: Floats, b: float, grad_w: Floats, grad_b: float, lr: float) -> tuple[Floats, float]:
    """(w − α ∂L/∂w, b − α ∂L/∂b)."""
    w = w - lr * grad_w  # w ← w − α ∂L/∂w
    b = b - lr * grad_b  # b ← b − α ∂L/∂b
    return w, b


def train(
    data: Samples, *, lr: float, epochs: int, w0: Start = None, b0: float = 0.0, every: int = 1
) -> Trajectory:
    """Make `epochs` updates from (w0, b0) at the learning rate lr; record every `every`-th state.

    One pass over the samples gives the loss and both gradients at the same (w, b).
    """
    X, y = data
    lr, epochs, w, b, every = interface.check_schedule(X.shape[1], lr, epochs, w0, b0, every)
    epoch = interface.recorded_epochs(epochs, every)
    path = _train(X, y, w, b, lr, epochs, every, len(epoch))
    return Trajectory(epoch, *path)


@njit(cache=True)
def _train(
    X: Floats, y: Floats, w: Floats, b: float, lr: float, epochs: int, every: int, rows: int
) -> tuple[Floats, Floats, Floats]:
    d = X.shape[1]
    if d == 1:  # if the compiler knows d, the sums stay in registers: 3 times as fast
        return _loop(X, y, 1, w, b, lr, epochs, every, rows)
    return _loop(X, y, d, w, b, lr, epochs, every, rows)


@njit(cache=True)
def _loop(
    X: Floats, y: Floats, d: int, w: Floats, b: float, lr: float, epochs: int, every: int, rows: int
) -> tuple[Floats, Floats, Floats]:
    n = len(y)
    path_w, path_b, path_loss = np.empty((rows, d)), np.empty(rows), np.empty(rows)
    sum_rx, grad_w = np.empty(d), np.empty(d)
    row = 0

    for k in range(epochs + 1):
        squares, sum_r = 0.0, 0.0
        for j in range(d):
            sum_rx[j] = 0.0
        for i in range(n):
            dot = 0.0
            for j in range(d):
                dot += X[i, j] * w[j]
            y_hat = dot + b  # ŷ = Xw + b
            r = y_hat - y[i]  # r = ŷ − y
            squares += r * r
            for j in range(d):
                sum_rx[j] += r * X[i, j]
            sum_r += r
        if k % every == 0 or k == epochs:
            for j in range(d):
                path_w[row, j] = w[j]
            path_b[row] = b
            path_loss[row] = squares / n  # L = (1/n) Σ rᵢ²
            row += 1
        for j in range(d):
            grad_w[j] = 2.0 / n * sum_rx[j]  # ∂L/∂w = (2/n) Xᵀr
        grad_b = 2.0 / n * sum_r  # ∂L/∂b = (2/n) Σ rᵢ
        for j in range(d):
            w[j] -= lr * grad_w[j]  # w ← w − α ∂L/∂w
        b -= lr * grad_b  # b ← b − α ∂L/∂b

    return path_w, path_b, path_loss
