"""Rung `numba-parallel`: the fused pass of `numba-simd`, shared out over all cores.

Every thread passes over a share of its own and leaves its sums in a row of its own, a cache line
or more from the next. The rows are then added in order: for a fixed number of threads the same
bits come out every time, whichever thread is done first.

An epoch ends only when all threads have met, and starting them again takes about 1.3 μs (OpenMP,
2 cores). One core passes over 5,000 to 25,000 numbers in that time. So a thread must get at least
32,768 numbers; a problem below twice that stays on one thread, where this rung is `numba-simd`. And
no more threads are started than get so much. Numba's own layer, `workqueue`, takes 80 μs; there a
thread must get 2²⁰ numbers.

Beyond the last cache all cores share one memory. On a virtual machine whose single core gets 31 to
37 GB/s, two got 36 to 62, by the hour: so 1.1 to 1.8 times as fast is all there is.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache

import numpy as np
from numba import get_num_threads, njit, prange, set_num_threads
from numba.np.ufunc.parallel import threading_layer
from numpy.typing import ArrayLike

from backends.interface import (
    Floats,
    Trajectory,
    check_samples,
    check_schedule,
    recorded_epochs,
)

_REORDER = {"reassoc", "contract", "nsz"}
_ROUND = 32  # samples that the vectors of one round hold: four of eight
_FEW = 11  # features whose columns are read as one stream each
_STRIP, _SHORT_STRIP = 256, 64  # samples
_CACHED = 2**21  # numbers, 16 MB, that the last cache holds
_SHARE = 2**15  # numbers, samples times features and targets, that are worth a thread
_SHARE_OF_A_QUEUE = 2**20  # the same where threads start slowly


def prepare(X: ArrayLike, y: ArrayLike) -> tuple[Floats, Floats]:
    """Return copies of X and y as float64 arrays; X in column order if it has few features."""
    X, y = check_samples(X, y)
    if X.shape[1] > _FEW:
        return _aligned(X), _aligned(y)
    return _aligned(X.T).T, _aligned(y)


def _aligned(array: Floats) -> Floats:
    """Return a copy in C order that begins a cache line, so that no vector lies across two."""
    line = 64 // array.itemsize
    buffer = np.empty(array.size + line)
    start = -(buffer.ctypes.data // array.itemsize) % line
    copy = buffer[start : start + array.size].reshape(array.shape)
    copy[:] = array
    return copy


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

    One pass over the samples gives the loss and both gradients at the same (w, b). `w0` is of
    shape (d,), zeros if None. As many threads as Numba may use (NUMBA_NUM_THREADS), if they are
    worth it.

    Raises:
        InputTypeError, InputValueError: see `interface.check_schedule`.

    """
    X, y = data
    lr, epochs, w, b, every = check_schedule(X.shape[1], lr, epochs, w0, b0, every)
    epoch = recorded_epochs(epochs, every)
    rows = len(epoch)
    oriented = X if len(w) > _FEW else X.T
    threads = _threads_worth_it(X.size + y.size)
    if threads > 1:
        with _team(threads):
            path = _train_in_shares(oriented, y, w, b, lr, epochs, every, rows, threads)
        return Trajectory(epoch, *path)
    if len(w) == 1:
        path_w, path_b, path_loss = _train_line(X[:, 0], y, w[0], b, lr, epochs, every, rows)
        return Trajectory(epoch, path_w.reshape(rows, 1), path_b, path_loss)
    return Trajectory(epoch, *_train(oriented, y, w, b, lr, epochs, every, rows))


def _threads_worth_it(numbers: int) -> int:
    """Return how many threads Numba may use, or fewer, if their shares would be too small."""
    threads = min(get_num_threads(), numbers // _SHARE)
    if threads > 1 and _layer() == "workqueue":
        threads = min(threads, numbers // _SHARE_OF_A_QUEUE)
    return max(threads, 1)


@cache
def _layer() -> str:
    """Return how Numba starts threads; it is known once some were started."""
    one = np.zeros((1, 1))
    _sums_of_shares(one, one[0], one[0], 0.0, np.empty((1, 3)), one)
    layer: Callable[[], str] = threading_layer
    return layer()


@contextmanager
def _team(threads: int) -> Iterator[None]:
    """Let the other threads sleep, for an epoch would wait for them, too."""
    before = get_num_threads()
    set_num_threads(threads)
    try:
        yield
    finally:
        set_num_threads(before)


@njit(cache=True, fastmath=_REORDER)
def _sums_of_line(x: Floats, y: Floats, w: float, b: float) -> tuple[float, float, float]:
    """Σ rᵢ², Σ rᵢxᵢ and Σ rᵢ for one feature."""
    squares, sum_rx, sum_r = 0.0, 0.0, 0.0
    for i in range(len(y)):
        y_hat = x[i] * w + b  # ŷ = Xw + b
        r = y_hat - y[i]  # r = ŷ − y
        squares += r * r
        sum_rx += r * x[i]
        sum_r += r
    return squares, sum_rx, sum_r


@njit(cache=True, fastmath=_REORDER)
def _train_line(
    x: Floats, y: Floats, w: float, b: float, lr: float, epochs: int, every: int, rows: int
) -> tuple[Floats, Floats, Floats]:
    """One feature: everything but the samples stays in registers.

    The samples that fill no round of vectors are added up apart, so that nobody waits for them.
    """
    n = len(y)
    rest = n - n % _ROUND
    path_w, path_b, path_loss = np.empty(rows), np.empty(rows), np.empty(rows)
    row = 0

    for k in range(epochs + 1):
        squares, sum_rx, sum_r = _sums_of_line(x[:rest], y[:rest], w, b)
        more_squares, more_rx, more_r = _sums_of_line(x[rest:], y[rest:], w, b)
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


@njit(cache=True, fastmath=_REORDER)
def _train(
    X: Floats, y: Floats, w: Floats, b: float, lr: float, epochs: int, every: int, rows: int
) -> tuple[Floats, Floats, Floats]:
    """Several features; X is (d, n) if there are few of them, otherwise (n, d)."""
    n, d = len(y), len(w)
    path_w, path_b, path_loss = np.empty((rows, d)), np.empty(rows), np.empty(rows)
    sum_rx, grad_w = np.empty(d), np.empty(d)
    strip = np.empty(_STRIP if X.size < _CACHED else _SHORT_STRIP)
    row = 0

    for k in range(epochs + 1):
        if d > _FEW:
            squares, sum_r = _sums_of_rows(X, y, w, b, sum_rx)
        else:
            squares, sum_r = _sums_of_columns(X, 0, y, w, b, sum_rx, strip)
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


@njit(cache=True, fastmath=_REORDER)
def _train_in_shares(
    X: Floats,
    y: Floats,
    w: Floats,
    b: float,
    lr: float,
    epochs: int,
    every: int,
    rows: int,
    threads: int,
) -> tuple[Floats, Floats, Floats]:
    """Train as `_train` does, each of the `threads` with a share of the samples."""
    n, d = len(y), len(w)
    path_w, path_b, path_loss = np.empty((rows, d)), np.empty(rows), np.empty(rows)
    sums, strips = (
        np.empty((threads, d + 2 + 8)),
        np.empty((threads, _STRIP if X.size < _CACHED else _SHORT_STRIP)),
    )
    grad_w = np.empty(d)
    row = 0

    for k in range(epochs + 1):
        _sums_of_shares(X, y, w, b, sums, strips)
        for t in range(1, threads):
            for j in range(d + 2):
                sums[0, j] += sums[t, j]
        sum_rx, sum_r, squares = sums[0], sums[0, d], sums[0, d + 1]
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


@njit(cache=True, fastmath=_REORDER, parallel=True)
def _sums_of_shares(
    X: Floats, y: Floats, w: Floats, b: float, sums: Floats, strips: Floats
) -> None:
    """Put the sums of every thread's share of the samples into its row of `sums`."""
    threads, n = len(sums), len(y)
    for t in prange(threads):
        start, stop = n * t // threads, n * (t + 1) // threads
        _sums_of_share(X, y, start, stop, w, b, sums[t], strips[t])


@njit(cache=True, fastmath=_REORDER)
def _sums_of_share(
    X: Floats,
    y: Floats,
    start: int,
    stop: int,
    w: Floats,
    b: float,
    sums: Floats,
    strip: Floats,
) -> None:
    """Put Σ rᵢxᵢ, Σ rᵢ and Σ rᵢ² of the samples from `start` to `stop` into `sums`."""
    d, y = len(w), y[start:stop]
    if d == 1:
        squares, sums[0], sum_r = _sums_of_line(X[0, start:stop], y, w[0], b)
    elif d > _FEW:
        squares, sum_r = _sums_of_rows(X[start:stop], y, w, b, sums[:d])
    else:
        squares, sum_r = _sums_of_columns(X, start, y, w, b, sums[:d], strip)
    sums[d], sums[d + 1] = sum_r, squares


@njit(cache=True, fastmath=_REORDER)
def _sums_of_columns(
    columns: Floats,
    first: int,
    y: Floats,
    w: Floats,
    b: float,
    sum_rx: Floats,
    strip: Floats,
) -> tuple[float, float]:
    """Σ rᵢ² and Σ rᵢ, and Σ rᵢxᵢ into `sum_rx`, from the columns of X (d, n), strip by strip.

    The samples are len(y) from the `first` one on.
    """
    squares, sum_r = 0.0, 0.0
    for j in range(len(sum_rx)):
        sum_rx[j] = 0.0
    for start in range(0, len(y), len(strip)):
        targets = y[start : start + len(strip)]
        m = len(targets)
        r = strip[:m]
        r[:] = b
        for j in range(len(w)):
            x = columns[j, first + start : first + start + m]
            for i in range(m):
                r[i] += x[i] * w[j]  # ŷ = Xw + b
        for i in range(m):
            r[i] -= targets[i]  # r = ŷ − y
            squares += r[i] * r[i]
            sum_r += r[i]
        for j in range(len(w)):
            x = columns[j, first + start : first + start + m]
            dot = 0.0
            for i in range(m):
                dot += r[i] * x[i]
            sum_rx[j] += dot
    return squares, sum_r


@njit(cache=True, fastmath=_REORDER)
def _sums_of_rows(X: Floats, y: Floats, w: Floats, b: float, sum_rx: Floats) -> tuple[float, float]:
    """Σ rᵢ² and Σ rᵢ, and Σ rᵢxᵢ into `sum_rx`, from the rows of X (n, d), two at a time."""
    n, d = X.shape
    squares, sum_r = 0.0, 0.0
    for j in range(len(sum_rx)):
        sum_rx[j] = 0.0
    for i in range(0, n - 1, 2):
        y_hat, next_y_hat = b, b
        for j in range(d):
            y_hat += X[i, j] * w[j]  # ŷ = Xw + b
        for j in range(d):
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
