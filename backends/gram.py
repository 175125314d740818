"""Rung `gram`: change the algorithm; two passes over the data, then every epoch costs O(d²).

The samples enter an epoch only through sums of products, S = AᵀA with A = [1 X y]. With
θ = (b, w, −1), the sums in the gradients, (Σ rᵢ, Xᵀr), are the first d + 1 entries of Sθ. The
rounding errors of S are those of any sum of n terms, so these gradients are as accurate as those of
the other rungs.

Computing the loss as θᵀSθ/n would be inaccurate: it is a small difference of large sums. So a
second pass condenses the samples to d + 2 that have the same S, the rows of the triangular factor R
of A = QR. From these, the loss is a sum of squares as in the other rungs, L = ‖Rθ‖²/n. The error of
R is a rounding error relative to the length of each column (Higham, *Accuracy and Stability of
Numerical Algorithms*, 2nd ed., §19.3 and §19.8). This is small enough for the loss, but not for the
gradients: where an outlier in x meets a zero in y, the product of the two is 0, but that of the
lengths is large. Both passes are in `gram_passes.py`.
"""

from functools import cache
from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import ArrayLike

from gradrace.backends import interface
from gradrace.backends.interface import Floats, Samples, Start, Trajectory
from gradrace.backends.numba_simd import REORDER, gradients, loss, predict, update
from gradrace.backends.support import gram_passes
from gradrace.backends.support.gram_passes import PART

__all__ = [
    "condense",
    "gradients",
    "longest_chain",
    "loss",
    "predict",
    "prepare",
    "train",
    "update",
]

ONE_CORE = True
PASSES_ONCE = True


class Condensed(NamedTuple):
    """What an epoch needs from the samples."""

    n: int
    S: Floats
    """(d + 2, d + 2) AᵀA"""
    R: Floats
    """(d + 2, d + 2) Rᵀ, so row k is column k of R, multiplied by its unit"""
    units: Floats
    """(d,) what the columns of X are multiplied by in R"""


def prepare(X: ArrayLike, y: ArrayLike) -> Samples:
    """Return X and y as float64 arrays, X in column order."""
    X, y = interface.check_samples(X, y)
    return np.asfortranarray(X), y


def condense(data: Samples) -> Condensed:
    """Make the two passes over the samples: one computes S, the other R."""
    X, y = data
    if X.shape[1] > gram_passes.MANY:
        return Condensed(len(y), *gram_passes.by_lapack(X, y))
    S, units = gram_passes.products(X.T, y)
    if X.shape[1] == 1 and gram_passes.is_safe(S):
        return Condensed(len(y), S, gram_passes.triangle_of_line(X[:, 0], y), units)
    return Condensed(len(y), S, gram_passes.triangle(X.T, y, units), units)


def longest_chain(n: int, _d: int) -> int:
    """Return how many additions a sample takes part in, at most: within a block, and after it."""
    return min(n, PART) + -(-n // PART)


def train(
    data: Samples | Condensed,
    *,
    lr: float,
    epochs: int,
    w0: Start = None,
    b0: float = 0.0,
    every: int = 1,
) -> Trajectory:
    """Make `epochs` updates from (w0, b0) at the learning rate lr; record every `every`-th state.

    The samples are condensed first, unless `data` is what `condense` returned.
    """
    d = len(data.units) if isinstance(data, Condensed) else data[0].shape[1]
    lr, epochs, w, b, every = interface.check_schedule(d, lr, epochs, w0, b0, every)
    epoch = interface.recorded_epochs(epochs, every)
    sums = data if isinstance(data, Condensed) else condense(data)
    if d == 1 and _fuses() and _fits_a_line(sums, lr):
        path = _train_line(sums.S, sums.R, sums.n, w[0], b, lr, epochs, every, len(epoch))
    else:
        path = _descend(*sums, w, b, lr, epochs, every, len(epoch))
    return Trajectory(epoch, *path)


def _fits_a_line(sums: Condensed, lr: float) -> bool:
    """Whether `_train_line` may be used: see there."""
    step = lr * 2.0 / sums.n
    h_b, h_w = step * sums.n, step * float(sums.S[1, 1])
    return h_b + h_w < 2.0 and min(sums.n, PART) * min(h_b, h_w) >= 0.5


@njit(cache=True, fastmath=REORDER)
def _descend(
    n: int,
    S: Floats,
    R: Floats,
    units: Floats,
    w: Floats,
    b: float,
    lr: float,
    epochs: int,
    every: int,
    rows: int,
) -> tuple[Floats, Floats, Floats]:
    """Make the epochs, each of which needs S and R only."""
    d = len(w)
    path_w, path_b, path_loss = np.empty((rows, d)), np.empty(rows), np.empty(rows)
    residuals, sums, grad_w = np.empty(d + 2), np.empty(d + 1), np.empty(d)
    row = 0

    for k in range(epochs + 1):
        for i in range(d + 2):  # R's columns (1, X and y) are stored as rows; they are 0 for i > j
            residuals[i] = -R[d + 1, i]
        residuals[0] += R[0, 0] * b
        for j in range(d):
            w_j = w[j] / units[j]
            for i in range(j + 2):
                residuals[i] += R[j + 1, i] * w_j  # ŷ = Xw + b; r = ŷ − y
        squares = 0.0
        for i in range(d + 2):
            squares += residuals[i] * residuals[i]
        if k % every == 0 or k == epochs:
            for j in range(d):
                path_w[row, j] = w[j]
            path_b[row] = b
            path_loss[row] = squares / n  # L = (1/n) Σ rᵢ²
            row += 1
        for i in range(d + 1):
            sums[i] = S[0, i] * b - S[d + 1, i]
        for j in range(d):
            for i in range(d + 1):
                sums[i] += S[j + 1, i] * w[j]
        for j in range(d):
            grad_w[j] = 2.0 / n * sums[j + 1]  # ∂L/∂w = (2/n) Xᵀr
        grad_b = 2.0 / n * sums[0]  # ∂L/∂b = (2/n) Σ rᵢ
        for j in range(d):
            w[j] -= lr * grad_w[j]  # w ← w − α ∂L/∂w
        b -= lr * grad_b  # b ← b − α ∂L/∂b

    return path_w, path_b, path_loss


@njit(cache=True, fastmath={"contract", "nsz"})
def _train_line(
    S: Floats, R: Floats, n: int, w: float, b: float, lr: float, epochs: int, every: int, rows: int
) -> tuple[Floats, Floats, Floats]:
    """One feature: with the sums inserted, the update is (w, b) ← M(w, b) + c with M = I − αH.

    An epoch waits for two multiply-adds in a row, from w to b or from b to w: 8 cycles, or 2.2 ns
    on an AMD Zen 4. If M were not computed beforehand, it would wait for a third one.

    This is only for runs that converge, αλmax < 2, because the others must overflow where every
    backend does. And it is only for runs in which rounding M, an error of half a unit in the last
    place of w and b, does no more than rounding may do to a chain of m additions: mαH ≥ ½. For the
    same reason, the flags here do not allow reordering.
    """
    path_w, path_b, path_loss = np.empty(rows), np.empty(rows), np.empty(rows)
    one, (x0, x1), (y0, y1, rest) = R[0, 0], R[1, :2], R[2]
    step = lr * (2.0 / n)
    m_bb, m_wb, m_ww = 1.0 - step * S[0, 0], -step * S[0, 1], 1.0 - step * S[1, 1]
    c_b, c_w = step * S[0, 2], step * S[1, 2]
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


@cache
def _fuses() -> bool:
    """Whether a multiply-add rounds once here: if so, (1 + ε)(1 − ε) − 1 is −ε², otherwise 0."""
    return bool(_multiply_add(1.0 + 2.0**-30, 1.0 - 2.0**-30, -1.0) != 0.0)


@njit(cache=True, fastmath={"contract", "nsz"})
def _multiply_add(a: float, b: float, c: float) -> float:
    return a * b + c
