"""Rung `gram`: change the algorithm; one pass over the data, then every epoch costs O(d²).

The samples enter an epoch only through sums of products, the Gram matrix AᵀA of A = [1 X y]. So a
data set of d + 2 samples that has the same Gram matrix has the same loss and the same gradients
everywhere. The triangular factor of A = QR is such a data set: AᵀA = RᵀR. `_condense` finds it,
once; then the loop is that of the other rungs, on d + 2 samples instead of n, divided by n.

Why R and not AᵀA itself? A product squares the condition number, and the loss would be a small
difference of large sums. R errs by no more than a rounding of the samples (Higham, *Accuracy and
Stability of Numerical Algorithms*, 2nd ed., §19.3 and §19.8), and the loss stays a sum of squares.
"""

import math

import numpy as np
from numba import njit
from numpy.typing import ArrayLike

from backends.interface import (
    Floats,
    Trajectory,
    check_samples,
    check_schedule,
    recorded_epochs,
)

_REORDER = {"reassoc", "contract", "nsz"}
_BLOCK = 256  # samples that are condensed at once, at least


def prepare(X: ArrayLike, y: ArrayLike) -> tuple[Floats, Floats]:
    """Return X and y as float64 arrays, X in column order."""
    X, y = check_samples(X, y)
    return np.asfortranarray(X), y


@njit(cache=True, fastmath=_REORDER)
def predict(X: Floats, w: Floats, b: float) -> Floats:
    """ŷ = Xw + b, shape (n,)."""
    y_hat = np.empty(len(X))
    for i in range(len(X)):
        dot = 0.0
        for j in range(len(w)):
            dot += X[i, j] * w[j]
        y_hat[i] = dot + b  # ŷ = Xw + b
    return y_hat


@njit(cache=True, fastmath=_REORDER)
def loss(X: Floats, y: Floats, w: Floats, b: float) -> float:
    """L = (1/n) Σ rᵢ² with r = Xw + b − y."""
    n = len(y)
    y_hat = predict(X, w, b)
    squares = 0.0
    for i in range(n):
        r = y_hat[i] - y[i]  # r = ŷ − y
        squares += r * r
    return squares / n  # L = (1/n) Σ rᵢ²


@njit(cache=True, fastmath=_REORDER)
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


@njit(cache=True, fastmath=_REORDER)
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

    One pass over the samples condenses them; `w0` is of shape (d,), zeros if None.

    Raises:
        InputTypeError, InputValueError: see `interface.check_schedule`.

    """
    X, y = data
    lr, epochs, w, b, every = check_schedule(X.shape[1], lr, epochs, w0, b0, every)
    epoch = recorded_epochs(epochs, every)
    return Trajectory(epoch, *_train(X.T, y, w, b, lr, epochs, every, len(epoch)))


@njit(cache=True, fastmath=_REORDER)
def _train(
    columns: Floats, y: Floats, w: Floats, b: float, lr: float, epochs: int, every: int, rows: int
) -> tuple[Floats, Floats, Floats]:
    n, d = len(y), len(w)
    R = _condense(columns, y)
    if d == 1:
        h_b, h_w = lr * 2.0 / n * R[0, 0] ** 2, lr * 2.0 / n * (R[0, 1] ** 2 + R[1, 1] ** 2)
        if h_b + h_w < 2.0 and n * min(h_b, h_w) >= 0.5:
            return _train_line(R, n, w[0], b, lr, epochs, every, rows)
    path_w, path_b, path_loss = np.empty((rows, d)), np.empty(rows), np.empty(rows)
    sum_rx, grad_w = np.empty(d), np.empty(d)
    one, rest = R[0, 0], R[d + 1, d + 1]
    row = 0

    for k in range(epochs + 1):
        squares, sum_r = rest * rest, 0.0
        for j in range(d):
            sum_rx[j] = 0.0
        for i in range(d + 1):  # the columns of R are 1, X and y, and 0 left of the diagonal
            first = max(i - 1, 0)
            x, weights, sums = R[i, first + 1 : d + 1], w[first:], sum_rx[first:]
            y_hat = one * b if i == 0 else 0.0  # not 0 · b, which may be nan
            for j in range(len(x)):
                y_hat += x[j] * weights[j]  # ŷ = Xw + b
            r = y_hat - R[i, d + 1]  # r = ŷ − y
            squares += r * r
            for j in range(len(x)):
                sums[j] += r * x[j]
            if i == 0:
                sum_r = one * r
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


@njit(cache=True, fastmath={"contract", "nsz"})
def _train_line(
    R: Floats, n: int, w: float, b: float, lr: float, epochs: int, every: int, rows: int
) -> tuple[Floats, Floats, Floats]:
    """One feature: the three samples are (one, x0, y0), (0, x1, y1) and (0, 0, rest).

    With the residuals put into it, the update is (w, b) ← M(w, b) + c with M = I − αH. An epoch
    waits for two multiply-adds one after the other, from w to b or from b to w: 8 cycles, 2.2 ns on
    an AMD Zen 4. With the residuals in between it would wait for three.

    This is for runs that converge, αλmax < 2, since the others must overflow where they do in every
    backend. And for those in which a rounding of M, half a unit in the last place of w and b, is no
    more than what rounding may do to the sum of n terms, nαH ≥ ½; so the flags here keep the order.
    """
    path_w, path_b, path_loss = np.empty(rows), np.empty(rows), np.empty(rows)
    (one, x0, y0), (x1, y1), rest = R[0], R[1, 1:], R[2, 2]
    step = lr * (2.0 / n)
    step_one, step_x0, step_x1 = step * one, step * x0, step * x1
    m_ww, m_wb, m_bb = 1.0 - (step_x0 * x0 + step_x1 * x1), -step_one * x0, 1.0 - step_one * one
    c_w, c_b = step_x0 * y0 + step_x1 * y1, step_one * y0
    row = 0

    for k in range(epochs + 1):
        if every == 1 or k % every == 0 or k == epochs:
            r0 = x0 * w + (one * b - y0)  # r = ŷ − y
            r1 = x1 * w - y1
            path_w[row] = w
            path_b[row] = b
            path_loss[row] = (r0 * r0 + r1 * r1 + rest * rest) / n  # L = (1/n) Σ rᵢ²
            row += 1
        next_w = m_ww * w + (m_wb * b + c_w)  # w ← w − α ∂L/∂w
        b = m_bb * b + (m_wb * w + c_b)  # b ← b − α ∂L/∂b
        w = next_w

    return path_w.reshape((rows, 1)), path_b, path_loss


@njit(cache=True, fastmath=_REORDER)
def _condense(columns: Floats, y: Floats) -> Floats:
    """Return R (d + 2, d + 2), upper triangular, with RᵀR = AᵀA for A = [1 X y].

    Block by block, modified Gram-Schmidt on the block below the R of the blocks before it.
    """
    d, n = columns.shape
    p = d + 2
    R = np.zeros((p, p))
    block = max(_BLOCK, 4 * p)
    A = np.empty((p, p + block))  # columns
    for start in range(0, n, block):
        m = min(block, n - start)
        for k in range(p):
            for i in range(p):
                A[k, i] = R[i, k]
        for i in range(m):
            A[0, p + i] = 1.0
            A[d + 1, p + i] = y[start + i]
        for j in range(d):
            for i in range(m):
                A[j + 1, p + i] = columns[j, start + i]
        for j in range(p):
            q = A[j, : p + m]
            R[j, j] = norm = _norm(q)
            if norm > 0.0:
                for i in range(p + m):
                    q[i] /= norm
            for k in range(j + 1, p):
                column = A[k, : p + m]
                dot = 0.0
                for i in range(p + m):
                    dot += q[i] * column[i]
                R[j, k] = dot
                for i in range(p + m):
                    column[i] -= dot * q[i]
    return R


@njit(cache=True, fastmath=_REORDER)
def _norm(v: Floats) -> float:
    """√Σ vᵢ², also where the squares overflow or underflow."""
    squares = 0.0
    for i in range(len(v)):
        squares += v[i] * v[i]
    if 1e-280 < squares < 1e300:
        return math.sqrt(squares)
    largest = 0.0
    for i in range(len(v)):
        largest = max(largest, abs(v[i]))
    if largest == 0.0:
        return 0.0
    squares = 0.0
    for i in range(len(v)):
        squares += (v[i] / largest) ** 2
    return largest * math.sqrt(squares)
