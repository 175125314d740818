"""Rung `numpy`: whole-array operations; BLAS for the products, no needless temporaries.

X is an array (n, d), y an array (n,), w an array (d,). BLAS sums in a different order, so the last
bits differ from `python`; `gradrace check` shows that they stay within the rounding bound.

Every NumPy call costs about half a microsecond whatever it does, so `train` makes few calls. With
A = [y X 1 r], two products are enough. The product of θ = (−1, w, b) and the first d + 2 columns is
r. The product of r and the last d + 2 columns gives all sums at once: Xᵀr, Σ rᵢ and Σ rᵢ².

A is stored by columns, which BLAS reads fastest. Every call copies a small A, to append r to it.
If A is larger than 256 kB, the copy would cost more than a third product, rᵀr, so r is a separate
array. If A is larger than 4 MB, it is cut into blocks of that size, so that the second product
still finds a block in the last cache.

BLAS processes columns in groups of four, which is wasteful if there are only a few. With one
feature and many samples, six calls on x and y themselves, strip by strip, are faster, and A is not
needed.

With half or twice the sizes below, a call has taken up to a quarter longer. With blocks of 2 MB on
two threads, it has taken 1.7 times as long.
"""

from collections.abc import Iterator

import numpy as np
from numpy.typing import ArrayLike

from gradrace.backends import interface
from gradrace.backends.interface import Floats, Start, Trajectory

_BLOCK = 2**19  # numbers, 4 MB
_COPIED = 2**15  # numbers; copying more takes longer than a few epochs save
_STRIP = 2**15  # samples; x, y and r, 768 kB, stay in a core's own cache

Data = tuple[Floats, Floats, list[Floats]]


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
    n, d = X.shape
    lr, epochs, w0, b, every = interface.check_schedule(d, lr, epochs, w0, b0, every)
    epoch = interface.recorded_epochs(epochs, every)
    rows = len(epoch)
    path_w, path_b, path_loss = np.empty((rows, d)), np.empty(rows), np.empty(rows)
    theta = np.array([-1.0, *w0, b])
    state, w = theta[1:], theta[1 : d + 1]  # views of (w, b) and of w
    sums, grad = np.empty((len(blocks) or -(-n // _STRIP), d + 2)), np.empty(d + 1)
    products = list(_products(blocks, sums)) if blocks else []
    strips = list(_strips(X[:, 0], y, sums)) if not blocks else []
    row = 0

    with np.errstate(over="ignore", invalid="ignore"):  # a run may diverge; that is a result
        for k in range(epochs + 1):
            for y_X_1, r, factors, some, total in products:
                np.dot(theta, y_X_1, out=r)  # ŷ = Xw + b; r = ŷ − y
                np.dot(factors, r, out=some)
                if some is not total:
                    total[d + 1] = np.dot(r, r)
            for x, targets, r, total in strips:
                np.multiply(x, theta[1], out=r)
                r += theta[2]  # ŷ = Xw + b
                r -= targets  # r = ŷ − y
                total[:] = np.dot(r, x), np.add.reduce(r), np.dot(r, r)
            if len(sums) > 1:
                total = np.add.reduce(sums)
            if k % every == 0 or k == epochs:
                path_w[row] = w
                path_b[row] = theta[d + 1]
                path_loss[row] = total[d + 1] / n  # L = (1/n) Σ rᵢ²
                row += 1
            np.multiply(total[: d + 1], 2.0 / n, out=grad)  # ∂L/∂w = (2/n) Xᵀr; ∂L/∂b = (2/n) Σ rᵢ
            grad *= lr
            state -= grad  # w ← w − α ∂L/∂w; b ← b − α ∂L/∂b

    return Trajectory(epoch, path_w, path_b, path_loss)


def _products(blocks: list[Floats], sums: Floats) -> Iterator[tuple[Floats, ...]]:
    """Yield each block's [y X 1] and r, what r is multiplied by, the sums this gives, all sums."""
    if len(blocks) == 1 and blocks[0].size <= _COPIED:
        A, row = np.vstack([blocks[0], np.empty(blocks[0].shape[1])]), sums[0]
        yield A[:-1], A[-1], A[1:], row, row
        return
    residuals = np.empty(blocks[0].shape[1])
    for A, row in zip(blocks, sums, strict=True):
        yield A, residuals[: A.shape[1]], A[1:], row[:-1], row


def _strips(x: Floats, y: Floats, sums: Floats) -> Iterator[tuple[Floats, ...]]:
    """Yield strips of x and y, an array for their residuals, and a row of `sums`."""
    residuals = np.empty(min(len(y), _STRIP))
    for row, start in enumerate(range(0, len(y), _STRIP)):
        targets = y[start : start + _STRIP]
        yield x[start : start + _STRIP], targets, residuals[: len(targets)], sums[row]
