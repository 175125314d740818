"""Rung `numba-parallel`: the fused pass of `numba-simd`, shared among all cores.

Every thread passes over its share of the samples and leaves the sums in its own row, at least a
cache line from the next. The rows are then added in order, so the result is the same to the last
bit for a fixed number of threads, whichever thread finishes first.

An epoch ends only when all threads have finished, and starting them again takes about 1.3 μs
(OpenMP, 2 cores). One core passes over 5,000 to 25,000 numbers in that time. So every thread must
get at least 32,768 numbers, and fewer threads are started if there are not enough. A problem of
less than twice that size stays on one thread, where this rung is the same as `numba-simd`. With
Numba's own threading layer, `workqueue`, starting takes 80 μs; there, every thread must get 2²⁰
numbers.

Beyond the last cache, all cores share one memory. On a virtual machine where one core reads 31 to
37 GB/s, two cores read 36 to 62, depending on the hour, so they are at most 1.1 to 1.8 times as
fast.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache

import numpy as np
from numba import get_num_threads, njit, prange, set_num_threads
from numba.np.ufunc.parallel import threading_layer

from backends import interface, numba_simd
from backends.interface import Floats, Samples, Start, Trajectory
from backends.numba_simd import gradients, loss, predict, prepare, update

__all__ = ["gradients", "loss", "predict", "prepare", "train", "update"]

_SHARE = 2**15  # numbers (features and targets of all samples) that are worth a thread
_SHARE_OF_A_QUEUE = 2**20  # the same where threads start slowly


def train(
    data: Samples, *, lr: float, epochs: int, w0: Start = None, b0: float = 0.0, every: int = 1
) -> Trajectory:
    """Make `epochs` updates from (w0, b0) at the learning rate lr; record every `every`-th state.

    One pass over the samples gives the loss and both gradients at the same (w, b). It uses as many
    threads as Numba is allowed to (NUMBA_NUM_THREADS), if that many pay off.
    """
    X, y = data
    threads = _threads_worth_it(X.size + y.size)
    if threads == 1:
        return numba_simd.train(data, lr=lr, epochs=epochs, w0=w0, b0=b0, every=every)
    lr, epochs, w, b, every = interface.check_schedule(X.shape[1], lr, epochs, w0, b0, every)
    epoch = interface.recorded_epochs(epochs, every)
    oriented = X if len(w) > numba_simd.FEW else X.T
    with _team(threads):
        path = _train_in_shares(oriented, y, w, b, lr, epochs, every, len(epoch), threads)
    return Trajectory(epoch, *path)


def _threads_worth_it(numbers: int) -> int:
    """Return how many threads Numba may use, or fewer, if their shares would be too small."""
    threads = min(get_num_threads(), numbers // _SHARE)
    if threads > 1 and _layer() == "workqueue":
        threads = min(threads, numbers // _SHARE_OF_A_QUEUE)
    return max(threads, 1)


@cache
def _layer() -> str:
    """Return the name of Numba's threading layer, which is known once threads were started."""
    one = np.zeros((1, 1))
    _sums_of_shares(one, one[0], one[0], 0.0, np.empty((1, 3)), one)
    layer: Callable[[], str] = threading_layer
    return layer()


@contextmanager
def _team(threads: int) -> Iterator[None]:
    """Limit Numba to `threads`; the others sleep, because an epoch would wait for them, too."""
    before = get_num_threads()
    set_num_threads(threads)
    try:
        yield
    finally:
        set_num_threads(before)


@njit(cache=True, fastmath=numba_simd.REORDER)
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
    """Train as `numba_simd._train` does; each of the `threads` handles a share of the samples."""
    n, d = len(y), len(w)
    path_w, path_b, path_loss = np.empty((rows, d)), np.empty(rows), np.empty(rows)
    sums, grad_w = np.empty((threads, d + 2 + 8)), np.empty(d)  # 8: a cache line apart
    strips = np.empty((threads, numba_simd.strip_length(X.size)))
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


@njit(cache=True, fastmath=numba_simd.REORDER, parallel=True)
def _sums_of_shares(
    X: Floats, y: Floats, w: Floats, b: float, sums: Floats, strips: Floats
) -> None:
    """Put the sums of every thread's share of the samples into its row of `sums`."""
    threads, n = len(sums), len(y)
    for t in prange(threads):
        start, stop = n * t // threads, n * (t + 1) // threads
        _sums_of_share(X, y, start, stop, w, b, sums[t], strips[t])


@njit(cache=True, forceinline=True, fastmath=numba_simd.REORDER)
def _sums_of_share(
    X: Floats, y: Floats, start: int, stop: int, w: Floats, b: float, sums: Floats, strip: Floats
) -> None:
    """Put Σ rᵢxᵢ, Σ rᵢ and Σ rᵢ² of the samples from `start` to `stop` into `sums`."""
    d, y = len(w), y[start:stop]
    if d == 1:
        squares, sums[0], sum_r = numba_simd.sums_of_line(X[0, start:stop], y, w[0], b)
    elif d > numba_simd.FEW:
        squares, sum_r = numba_simd.sums_of_rows(X[start:stop], y, w, b, sums[:d])
    else:
        squares, sum_r = numba_simd.sums_of_columns(X, start, y, w, b, sums[:d], strip)
    sums[d], sums[d + 1] = sum_r, squares
