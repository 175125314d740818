"""Rung `python`: lists and loops; the definition of the loop that every other rung must match.

X is a list of n rows of d floats, y a list of n floats, w a list of d floats. The files of the
other rungs have the same functions in the same order. The comment at the end of a line names the
formula of `interface.py` that the line computes.

`train` goes through X column by column, because a comprehension over n floats is up to twice as
fast as a loop over indices. Every sum is added in the same order as in `numba`, so all bits are the
same. (The built-in `sum` is not used: since Python 3.12 it compensates for rounding errors.)
"""

import numpy as np
from numpy.typing import ArrayLike

from gradrace.backends import interface
from gradrace.backends.interface import Start, Trajectory

ONE_CORE = True
Vector = list[float]
Matrix = list[Vector]
Data = tuple[Matrix, Vector, Matrix]


def prepare(X: ArrayLike, y: ArrayLike) -> Data:
    """Return X, y and the columns of X as lists of Python floats."""
    X, y = interface.check_samples(X, y)
    rows: Matrix = X.tolist()
    return rows, y.tolist(), [[row[j] for row in rows] for j in range(X.shape[1])]


def predict(X: Matrix, w: Vector, b: float) -> Vector:
    """ŷ = Xw + b, shape (n,)."""
    predictions = []
    for row in X:
        dot = 0.0
        for j in range(len(w)):
            dot += row[j] * w[j]
        predictions.append(dot + b)  # ŷ = Xw + b
    return predictions


def loss(X: Matrix, y: Vector, w: Vector, b: float) -> float:
    """L = (1/n) Σ rᵢ² with r = Xw + b − y."""
    n = len(y)
    y_hat = predict(X, w, b)
    squares = 0.0
    for i in range(n):
        r = y_hat[i] - y[i]  # r = ŷ − y
        squares += r * r  # not r ** 2, which raises OverflowError where r * r gives inf
    return squares / n  # L = (1/n) Σ rᵢ²


def gradients(X: Matrix, y: Vector, w: Vector, b: float) -> tuple[Vector, float]:
    """(∂L/∂w, ∂L/∂b) = ((2/n) Xᵀr, (2/n) Σ rᵢ), of shape (d,) and a scalar."""
    n, d = len(y), len(w)
    y_hat = predict(X, w, b)
    sum_rx, sum_r = [0.0] * d, 0.0
    for i in range(n):
        r = y_hat[i] - y[i]  # r = ŷ − y
        for j in range(d):
            sum_rx[j] += r * X[i][j]
        sum_r += r
    grad_w = [2.0 / n * s for s in sum_rx]  # ∂L/∂w = (2/n) Xᵀr
    grad_b = 2.0 / n * sum_r  # ∂L/∂b = (2/n) Σ rᵢ
    return grad_w, grad_b


def update(w: Vector, b: float, grad_w: Vector, grad_b: float, lr: float) -> tuple[Vector, float]:
    """(w − α ∂L/∂w, b − α ∂L/∂b)."""
    w = [w[j] - lr * grad_w[j] for j in range(len(w))]  # w ← w − α ∂L/∂w
    b = b - lr * grad_b  # b ← b − α ∂L/∂b
    return w, b


def train(
    data: Data, *, lr: float, epochs: int, w0: Start = None, b0: float = 0.0, every: int = 1
) -> Trajectory:
    """Make `epochs` updates from (w0, b0) at the learning rate lr; record every `every`-th state.

    The residuals r give the loss and both gradients at the same (w, b).
    """
    _, y, columns = data
    n, d = len(y), len(columns)
    lr, epochs, start, b, every = interface.check_schedule(d, lr, epochs, w0, b0, every)
    epoch, w = interface.recorded_epochs(epochs, every), start.tolist()
    path_w, path_b, path_loss = [], [], []

    for k in range(epochs + 1):
        dots = [0.0] * n
        for x, w_j in zip(columns, w, strict=True):
            dots = [dot + x_i * w_j for dot, x_i in zip(dots, x, strict=True)]
        y_hat = [dot + b for dot in dots]  # ŷ = Xw + b
        r = [y_hat_i - y_i for y_hat_i, y_i in zip(y_hat, y, strict=True)]  # r = ŷ − y
        squares, sum_rx, sum_r = 0.0, [], 0.0
        for r_i in r:
            squares += r_i * r_i
            sum_r += r_i
        for x in columns:
            dot = 0.0
            for r_i, x_i in zip(r, x, strict=True):
                dot += r_i * x_i
            sum_rx.append(dot)
        if k % every == 0 or k == epochs:
            path_w.append(w)
            path_b.append(b)
            path_loss.append(squares / n)  # L = (1/n) Σ rᵢ²
        grad_w = [2.0 / n * s for s in sum_rx]  # ∂L/∂w = (2/n) Xᵀr
        grad_b = 2.0 / n * sum_r  # ∂L/∂b = (2/n) Σ rᵢ
        w = [w[j] - lr * grad_w[j] for j in range(d)]  # w ← w − α ∂L/∂w
        b = b - lr * grad_b  # b ← b − α ∂L/∂b

    return Trajectory(epoch, np.array(path_w), np.array(path_b), np.array(path_loss))
