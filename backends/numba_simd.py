"""Rung `numba-simd`: the compiled loop, but the compiler may reorder the sums; one fused pass.

IEEE 754 fixes the order of a sum, so `numba` adds one number at a time. Three of LLVM's fast-math
flags lift this restriction: `reassoc` allows adding four or eight numbers at once in vectors, and
several such sums side by side; `contract` fuses multiply and add; `nsz` ignores the sign of zero.
The other flags, which assume that inf and nan never occur, would break runs that diverge. The last
bits differ from `python`; `gradrace check` shows that they stay within the rounding bound.

A function that another one calls exists in two copies, whose sums LLVM may order differently. The
process that compiles uses one, later processes the other, so their last bits may differ. With one
feature, `forceinline` avoids this. With several, it would slow the loop beyond the last cache.

Vector instructions need terms of a sum that are neighbors in memory. With up to 16 features, these
terms are samples. `prepare` stores X by columns, and the loop takes 256 samples at a time, a strip,
which stays in the first cache while it is read twice, for ŷ and for the gradient. (If the data come
from memory, a strip has 64 samples: the shorter the pauses, the better the hardware fetches columns
in advance.) With more features, a row is long enough by itself, and there are more columns than the
hardware can fetch in advance at once. It does not fetch short rows well, either, because the loop
reads each of them twice. So if X exceeds a core's own cache, the loop fetches rows 4 kB ahead,
which is 1.3 to 1.5 times as fast. (Within the cache, it would be up to a third slower.)

A textbook loop in C, compiled by gcc with -ffast-math, keeps one vector per sum where LLVM keeps
four, so each addition waits for the one before. From the second cache on, both wait for the data.
"""

import math

import numpy as np
from numba import njit
from numpy.typing import ArrayLike

from gradrace.backends import interface
from gradrace.backends.interface import Floats, Samples, Start, Trajectory
from gradrace.backends.numba_jit import gradients, loss, predict, update
from gradrace.backends.support import instructions

__all__ = ["gradients", "loss", "predict", "prepare", "train", "update"]

ONE_CORE = True
REORDER = {"reassoc", "contract", "nsz"}
FEW = 16  # features; up to this many, columns are read as streams; with 24, it depends on the size
ROUND = 32  # samples that are added at once: four vectors of up to eight
_STRIP, _SHORT_STRIP = 256, 64  # samples; half or twice takes up to a fifth longer
_CACHED = 2**21  # numbers (16 MB) that fit in the last cache; half or twice is a few percent
_OWN = 2**18  # numbers (2 MB) that fit in a core's own cache
_LONG = 512  # features; longer rows are fetched by the hardware itself
_LEAD = 512  # numbers; twice and four times as many make no difference


def prepare(X: ArrayLike, y: ArrayLike) -> Samples:
    """Return copies of X and y as float64 arrays; X in column order if it has few features."""
    X, y = interface.check_samples(X, y)
    if X.shape[1] > FEW:
        return _aligned(X), _aligned(y)
    return _aligned(X.T).T, _aligned(y)


def _aligned(array: Floats) -> Floats:
    """Return a copy in C order that starts at a cache line, so that no vector crosses two."""
    copy = zeros(array.shape)
    copy[:] = array
    return copy


def zeros(shape: tuple[int, ...]) -> Floats:
    """Return zeros in C order that start at a cache line."""
    size, line = math.prod(shape), 64 // 8
    buffer = np.zeros(size + line)
    start = -(buffer.ctypes.data // 8) % line
    return buffer[start : start + size].reshape(shape)


def train(
    data: Samples, *, lr: float, epochs: int, w0: Start = None, b0: float = 0.0, every: int = 1
) -> Trajectory:
    """Make `epochs` updates from (w0, b0) at the learning rate lr; record every `every`-th state.

    One pass over the samples gives the loss and both gradients at the same (w, b).
    """
    X, y = data
    lr, epochs, w, b, every = interface.check_schedule(X.shape[1], lr, epochs, w0, b0, every)
    epoch = interface.recorded_epochs(epochs, every)
    rows = len(epoch)
    if len(w) == 1:
        path_w, path_b, path_loss = _train_line(X[:, 0], y, w[0], b, lr, epochs, every, rows)
        return Trajectory(epoch, path_w.reshape(rows, 1), path_b, path_loss)
    oriented = X if len(w) > FEW else X.T
    path = _train(oriented, y, w, b, lr, epochs, every, rows, *strip_and_lead(X.size, len(w)))
    return Trajectory(epoch, *path)


@njit(cache=True, forceinline=True, fastmath=REORDER)
def sums_of_line(x: Floats, y: Floats, w: float, b: float) -> tuple[float, float, float]:
    """Σ rᵢ², Σ rᵢxᵢ and Σ rᵢ for one feature."""
    squares, sum_rx, sum_r = 0.0, 0.0, 0.0
    for i in range(len(y)):
        y_hat = x[i] * w + b  # ŷ = Xw + b
        r = y_hat - y[i]  # r = ŷ − y
        squares += r * r
        sum_rx += r * x[i]
        sum_r += r
    return squares, sum_rx, sum_r


@njit(cache=True, fastmath=REORDER)
def _train_line(
    x: Floats, y: Floats, w: float, b: float, lr: float, epochs: int, every: int, rows: int
) -> tuple[Floats, Floats, Floats]:
    """One feature: everything but the samples stays in registers.

    The samples left over from whole rounds of vectors are added separately, so that the others do
    not wait for them.
    """
    n = len(y)
    rest = n - n % ROUND
    path_w, path_b, path_loss = np.empty(rows), np.empty(rows), np.empty(rows)
    row = 0

    for k in range(epochs + 1):
        squares, sum_rx, sum_r = sums_of_line(x[:rest], y[:rest], w, b)
        more_squares, more_rx, more_r = sums_of_line(x[rest:], y[rest:], w, b)
        squares, sum_rx, sum_r = squares + more_squares, sum_rx + more_rx, sum_r + more_r
        if k % every == 0 or k == epochs:
            path_w[row] = w
            path_b[row] = b
            path_loss[row] = squares / n  # L = (1/n) Σ rᵢ²
            row += 1
        grad_w = 2.0 / n * sum_rx  # ∂L/∂w = (2/n) Xᵀr
        grad_b = 2.0 / n * sum_r  # ∂L/∂b = (2/n) Σ rᵢ
        w -= lr * grad_w  # w ← w − α ∂L/∂w
        b -= lr * grad_b  # b ← b − α ∂L/∂b

    return path_w, path_b, path_loss


def strip_and_lead(numbers: int, d: int) -> tuple[int, int]:
    """Return the number of samples in a strip, and how many numbers ahead rows are fetched, or 0.

    `numbers` is how much of X a thread reads. Beyond the last cache, strips are shorter. Beyond a
    core's own cache, rows of up to _LONG numbers are fetched ahead.
    """
    strip = _STRIP if numbers < _CACHED else _SHORT_STRIP
    return strip, _LEAD if numbers > _OWN and d <= _LONG else 0


@njit(cache=True, fastmath=REORDER)
def _train(
    X: Floats,
    y: Floats,
    w: Floats,
    b: float,
    lr: float,
    epochs: int,
    every: int,
    rows: int,
    samples: int,
    lead: int,
) -> tuple[Floats, Floats, Floats]:
    """Several features: X is (d, n) if there are few of them, otherwise (n, d).

    A strip has `samples` samples; rows are fetched `lead` numbers ahead if it is not 0.
    """
    n, d = len(y), len(w)
    path_w, path_b, path_loss = np.empty((rows, d)), np.empty(rows), np.empty(rows)
    sum_rx, grad_w = np.empty(d), np.empty(d)
    strip = np.empty(samples)
    row = 0

    for k in range(epochs + 1):
        if d > FEW:
            squares, sum_r = sums_of_rows(X, y, w, b, sum_rx, lead)
        else:
            squares, sum_r = sums_of_columns(X, 0, y, w, b, sum_rx, strip)
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


@njit(cache=True, fastmath=REORDER)
def sums_of_columns(
    columns: Floats, first: int, y: Floats, w: Floats, b: float, sum_rx: Floats, strip: Floats
) -> tuple[float, float]:
    """Return Σ rᵢ² and Σ rᵢ, and put Σ rᵢxᵢ into `sum_rx`; row j of `columns` is column j of X.

    It takes two of them at a time, so that r is read and written half as often. Sample i has the
    target y[i] and the features columns[:, first + i]. There are at least two features.
    """
    d, squares, sum_r = len(w), 0.0, 0.0
    for j in range(d):
        sum_rx[j] = 0.0
    for start in range(0, len(y), len(strip)):
        targets = y[start : start + len(strip)]
        m, at = len(targets), first + start
        r, u, v = strip[:m], columns[0, at : at + m], columns[1, at : at + m]
        for i in range(m):
            r[i] = b - targets[i] + u[i] * w[0] + v[i] * w[1]  # ŷ = Xw + b; r = ŷ − y
        for j in range(2, d, 2):
            k = min(j + 1, d - 1)  # the last column, if it is left over, is its own partner
            w_k = w[k] if k > j else 0.0
            p, q = columns[j, at : at + m], columns[k, at : at + m]
            for i in range(m):
                r[i] += p[i] * w[j] + q[i] * w_k
        ru, rv = 0.0, 0.0
        for i in range(m):
            squares += r[i] * r[i]
            sum_r += r[i]
            ru += r[i] * u[i]
            rv += r[i] * v[i]
        sum_rx[0] += ru
        sum_rx[1] += rv
        for j in range(2, d, 2):
            k = min(j + 1, d - 1)
            p, q = columns[j, at : at + m], columns[k, at : at + m]
            rp, rq = 0.0, 0.0
            for i in range(m):
                rp += r[i] * p[i]
                rq += r[i] * q[i]
            sum_rx[j] += rp
            if k > j:
                sum_rx[k] += rq
    return squares, sum_r


@njit(cache=True, fastmath=REORDER)
def sums_of_rows(
    X: Floats, y: Floats, w: Floats, b: float, sum_rx: Floats, lead: int
) -> tuple[float, float]:
    """Return Σ rᵢ² and Σ rᵢ, and put Σ rᵢxᵢ into `sum_rx`, taking two rows of X (n, d) at a time.

    Rows are fetched `lead` numbers ahead, unless `lead` is 0.
    """
    n, d = X.shape
    squares, sum_r = 0.0, 0.0
    soon = 2 * d if lead > 0 else 0
    for j in range(len(sum_rx)):
        sum_rx[j] = 0.0
    for i in range(0, n - 1, 2):
        for j in range(0, soon, 8):  # a cache line has 8 numbers
            instructions.fetch(X, i * d + lead + j)
        y_hat, next_y_hat = b, b
        for j in range(d):
            y_hat += X[i, j] * w[j]  # ŷ = Xw + b
            next_y_hat += X[i + 1, j] * w[j]
        r, next_r = y_hat - y[i], next_y_hat - y[i + 1]  # r = ŷ − y
        squares += r * r + next_r * next_r
        for j in range(d):
            sum_rx[j] += r * X[i, j] + next_r * X[i + 1, j]
        sum_r += r + next_r
    if n % 2 == 1:
        r = b - y[n - 1]
        for j in range(d):
            r += X[n - 1, j] * w[j]
        squares += r * r
        for j in range(d):
            sum_rx[j] += r * X[n - 1, j]
        sum_r += r
    return squares, sum_r
