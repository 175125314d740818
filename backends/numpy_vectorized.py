"""Rung `numpy`: whole-array operations; BLAS for the products, no needless temporaries.

X is an array (n, d), y an array (n,), w an array (d,). BLAS sums in a different order, so the last
bits differ from `python`; `gradrace check` shows that they stay within the rounding bound.

Every NumPy call costs about half a microsecond whatever it does, so `train` makes few calls. With
A = [y X 1 r], two products are enough. The product of θ = (−1, w, b) and the first d + 2 columns is
r. The product of r and the last d + 2 columns gives all sums at once: Xᵀr, Σ rᵢ and Σ rᵢ².

There are three loops, for three sizes. A is stored by columns, which BLAS reads fastest.

- `_train_small`: every call copies A, to append r to it.
- `_train_blocks`: above 256 kB, the copy would cost more than a third product, rᵀr, so r is a
  separate array. Above 4 MB, A is cut into blocks of that size, so that the second product still
  finds a block in the last cache.
- `_train_line`: BLAS processes columns in groups of four, which is wasteful if there are only a
  few. With one feature and many samples, six calls on x and y themselves, strip by strip, are
  faster, and A is not needed.

With half or twice the sizes below, a call has taken up to a quarter longer. With blocks of 2 MB on
two threads, it has taken 1.7 times as long.
"""

import numpy as np
from numpy.typing import ArrayLike

from gradrace.backends import interface
from gradrace.backends.interface import Floats, Start, Trajectory

_BLOCK = 2**19  # numbers, 4 MB
_COPIED = 2**15  # numbers; copying more takes longer than a few epochs save
_STRIP = 2**15  # samples; x, y and r, 768 kB, stay in a core's own cache

Data = tuple[Floats, Floats, list[Floats]]
Path = tuple[Floats, Floats, Floats]


def prepare(X: ArrayLike, y: ArrayLike) -> Data:
    """Return X, y and the blocks of [y X 1], each of shape (d + 2, at most 2¹⁹/(d + 2)).

    With one feature and many samples, there are no blocks.
    """
    X, y = interface.check_samples(X, y)
    n, d = X.shape
    if d == 1 and n > _STRIP:
        return X, y, []
    block = max(1, _BLOCK // (d + 2))
    blocks = []
    for start in range(0, n, block):
        A = np.ones((d + 2, min(block, n - start)))
        A[0] = y[start : start + block]
        A[1 : d + 1] = X[start : start + block].T
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
    data: Data, *, lr: float, epochs: int, w0: Start = None, b0: float = 0.0, every: int = 1
) -> Trajectory:
    """Make `epochs` updates from (w0, b0) at the learning rate lr; record every `every`-th state.

    Every array is allocated once, before the loop.
    """
    X, y, blocks = data
    lr, epochs, w, b, every = interface.check_schedule(X.shape[1], lr, epochs, w0, b0, every)
    epoch = interface.recorded_epochs(epochs, every)
    job = w, b, lr, epochs, every, len(epoch)
    with np.errstate(over="ignore", invalid="ignore"):  # a run may diverge; that is a result
        if not blocks:
            path = _train_line(X[:, 0], y, *job)
        elif len(blocks) == 1 and blocks[0].size <= _COPIED:
            path = _train_small(blocks[0], *job)
        else:
            path = _train_blocks(blocks, *job)
    return Trajectory(epoch, *path)


def _train_small(
    y_X_1: Floats, w: Floats, b: float, lr: float, epochs: int, every: int, rows: int
) -> Path:
    """Append r to [y X 1] (d + 2, n), so that two products are enough."""
    n, d = y_X_1.shape[1], len(w)
    path_w, path_b, path_loss = np.empty((rows, d)), np.empty(rows), np.empty(rows)
    A = np.vstack([y_X_1, np.empty(n)])
    y_X_1, X_1_r, r = A[:-1], A[1:], A[-1]
    theta, total, grad = np.array([-1.0, *w, b]), np.empty(d + 2), np.empty(d + 1)
    w, state, sums = theta[1:-1], theta[1:], total[:-1]  # views
    row = 0

    for k in range(epochs + 1):
        np.dot(theta, y_X_1, out=r)  # ŷ = Xw + b; r = ŷ − y
        np.dot(X_1_r, r, out=total)
        if k % every == 0 or k == epochs:
            path_w[row] = w
            path_b[row] = theta[-1]
            path_loss[row] = total[-1] / n  # L = (1/n) Σ rᵢ²
            row += 1
        np.multiply(sums, 2.0 / n, out=grad)  # ∂L/∂w = (2/n) Xᵀr; ∂L/∂b = (2/n) Σ rᵢ
        grad *= lr
        state -= grad  # w ← w − α ∂L/∂w; b ← b − α ∂L/∂b

    return path_w, path_b, path_loss


def _train_blocks(
    blocks: list[Floats], w: Floats, b: float, lr: float, epochs: int, every: int, rows: int
) -> Path:
    """Keep r apart from the blocks of [y X 1], and add the sums of all blocks."""
    n, d = sum(A.shape[1] for A in blocks), len(w)
    path_w, path_b, path_loss = np.empty((rows, d)), np.empty(rows), np.empty(rows)
    residuals, totals = np.empty(blocks[0].shape[1]), np.empty((len(blocks), d + 2))
    parts = [
        (A, A[1:], residuals[: A.shape[1]], total, total[:-1])
        for A, total in zip(blocks, totals, strict=True)
    ]
    theta, grad = np.array([-1.0, *w, b]), np.empty(d + 1)
    w, state = theta[1:-1], theta[1:]  # views
    row = 0

    for k in range(epochs + 1):
        for y_X_1, X_1, r, total, sums in parts:
            np.dot(theta, y_X_1, out=r)  # ŷ = Xw + b; r = ŷ − y
            np.dot(X_1, r, out=sums)
            total[-1] = np.dot(r, r)
        if len(parts) > 1:
            total = np.add.reduce(totals)
        if k % every == 0 or k == epochs:
            path_w[row] = w
            path_b[row] = theta[-1]
            path_loss[row] = total[-1] / n  # L = (1/n) Σ rᵢ²
            row += 1
        np.multiply(total[:-1], 2.0 / n, out=grad)  # ∂L/∂w = (2/n) Xᵀr; ∂L/∂b = (2/n) Σ rᵢ
        grad *= lr
        state -= grad  # w ← w − α ∂L/∂w; b ← b − α ∂L/∂b

    return path_w, path_b, path_loss


def _train_line(
    x: Floats, y: Floats, start: Floats, b: float, lr: float, epochs: int, every: int, rows: int
) -> Path:
    """Go through x and y strip by strip; w and b are numbers."""
    n, w = len(y), float(start[0])
    path_w, path_b, path_loss = np.empty(rows), np.empty(rows), np.empty(rows)
    residuals, totals = np.empty(_STRIP), np.empty((-(-n // _STRIP), 3))
    strips = []
    for total, first in zip(totals, range(0, n, _STRIP), strict=True):
        targets = y[first : first + _STRIP]
        strips.append((x[first : first + _STRIP], targets, residuals[: len(targets)], total))
    row = 0

    for k in range(epochs + 1):
        for some_x, some_y, r, total in strips:
            np.multiply(some_x, w, out=r)
            r += b  # ŷ = Xw + b
            r -= some_y  # r = ŷ − y
            total[:] = np.dot(r, some_x), np.add.reduce(r), np.dot(r, r)
        sum_rx, sum_r, squares = np.add.reduce(totals).tolist()
        if k % every == 0 or k == epochs:
            path_w[row] = w
            path_b[row] = b
            path_loss[row] = squares / n  # L = (1/n) Σ rᵢ²
            row += 1
        grad_w = 2.0 / n * sum_rx  # ∂L/∂w = (2/n) Xᵀr
        grad_b = 2.0 / n * sum_r  # ∂L/∂b = (2/n) Σ rᵢ
        w -= lr * grad_w  # w ← w − α ∂L/∂w
        b -= lr * grad_b  # b ← b − α ∂L/∂b

    return path_w.reshape(rows, 1), path_b, path_loss
