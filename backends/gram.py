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
lengths is large.
"""

import math
from functools import cache
from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import ArrayLike

from backends import interface
from backends.interface import Floats, Samples, Start, Trajectory
from backends.numba_simd import REORDER, gradients, loss, predict, update

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

_BLOCK = 256  # samples that are condensed at once; more if there are many features
_PART = 1024  # samples that are multiplied at once
# columns whose sum of squares is below TINY would lose digits; they are multiplied by ENLARGED
TINY, ENLARGED = 2.0**-960, 2.0**500


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
    return Condensed(len(y), *_condense(X.T, y))


def longest_chain(n: int, _d: int) -> int:
    """Return how many additions a sample takes part in, at most: within a block, and after it."""
    return min(n, _PART) + -(-n // _PART)


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
    if isinstance(data, Condensed):
        path = _descend(*data, w, b, lr, epochs, every, len(epoch), _fuses())
    else:
        X, y = data
        path = _train(X.T, y, w, b, lr, epochs, every, len(epoch), _fuses())
    return Trajectory(epoch, *path)


@njit(cache=True, fastmath=REORDER)
def _train(
    columns: Floats,
    y: Floats,
    w: Floats,
    b: float,
    lr: float,
    epochs: int,
    every: int,
    rows: int,
    fuses: bool,
) -> tuple[Floats, Floats, Floats]:
    S, R, units = _condense(columns, y)
    return _descend(len(y), S, R, units, w, b, lr, epochs, every, rows, fuses)


@njit(cache=True, fastmath=REORDER)
def _condense(columns: Floats, y: Floats) -> tuple[Floats, Floats, Floats]:
    S, units = _products(columns, y), np.empty(len(columns))
    for j in range(len(columns)):
        units[j] = ENLARGED if S[j + 1, j + 1] < TINY else 1.0
    return S, _triangle(columns, y, units), units


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
    fuses: bool,
) -> tuple[Floats, Floats, Floats]:
    """Make the epochs, each of which needs S and R only."""
    d = len(w)
    if d == 1 and fuses:
        h_b, h_w = lr * 2.0 / n * S[0, 0], lr * 2.0 / n * S[1, 1]
        if h_b + h_w < 2.0 and min(n, _PART) * min(h_b, h_w) >= 0.5:
            return _train_line(S, R, n, w[0], b, lr, epochs, every, rows)
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


@njit(cache=True, forceinline=True, fastmath={"contract", "nsz"})
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


@njit(cache=True, forceinline=True, fastmath=REORDER)
def _products(columns: Floats, y: Floats) -> Floats:
    """Return AᵀA (d + 2, d + 2) for A = [1 X y], block by block."""
    d, n = columns.shape
    S = np.zeros((d + 2, d + 2))
    for start in range(0, n, _PART):
        targets = y[start : start + _PART]
        for j in range(d + 1):
            left = columns[j, start : start + _PART] if j < d else targets
            sum_x, sum_xy = 0.0, 0.0
            for i in range(len(targets)):
                sum_x += left[i]
                sum_xy += left[i] * targets[i]
            S[0, j + 1] += sum_x
            S[j + 1, d + 1] += sum_xy
            for k in range(j, d):
                right, dot = columns[k, start : start + _PART], 0.0
                for i in range(len(targets)):
                    dot += left[i] * right[i]
                S[j + 1, k + 1] += dot
    S[0, 0] = n
    for j in range(d + 2):
        for k in range(j):
            S[j, k] = S[k, j]
    return S


@njit(cache=True, forceinline=True, fastmath=REORDER)
def _triangle(columns: Floats, y: Floats, units: Floats) -> Floats:
    """Return R (d + 2, d + 2), triangular, with RᵀR = AᵀA for A = [1 X y]; its columns are rows.

    Block by block, modified Gram-Schmidt is applied to the R of the previous blocks with the next
    block below it. Column j of X is multiplied by units[j], because subnormal numbers have too few
    digits for unit vectors.
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
                A[k, i] = R[k, i]
        for i in range(m):
            A[0, p + i] = 1.0
            A[d + 1, p + i] = y[start + i]
        for j in range(d):
            for i in range(m):
                A[j + 1, p + i] = columns[j, start + i] * units[j]
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
                R[k, j] = dot
                for i in range(p + m):
                    column[i] -= dot * q[i]
    return R


@njit(cache=True, forceinline=True, fastmath=REORDER)
def _norm(v: Floats) -> float:
    """Return √Σ vᵢ², even if the squares overflow or underflow."""
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
