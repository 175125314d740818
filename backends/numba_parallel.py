"""Rung `numba-parallel`: the fused pass of `numba-simd`, shared among all cores.

The samples are divided into shares. In every epoch, each thread claims one share after another and
puts its sums on a board, an array that all threads read. It always begins with the same share,
whose samples may still be in its core's cache. Then every thread adds the sums of all shares, in
order, and makes the update itself. The sums of a share do not depend on who computes them, so all
threads have the same (w, b) to the last bit, and nothing is handed out between epochs.

No thread waits long for another. If the system stops a thread in the middle of a share, because
another program wants its core, the others wait for a while and then sum that share again. All of
them put the same numbers on the board. So beside a busy program, a call takes about as long as with
`numba-simd`. With a barrier after every epoch, as at the end of a `prange` loop, it has taken 50
times as long.

Two cores are about as fast as one if each has 8,192 numbers from at least 64 samples. A smaller
problem stays on one thread, where this rung is the same as `numba-simd`. (With half or twice the
sizes below, a call takes at most a tenth longer, but 10,000 × 1 a third longer with twice _SHARE.)
"""

from functools import partial

import numpy as np
from numba import get_num_threads, njit

from gradrace.backends import interface, numba_simd
from gradrace.backends.interface import Floats, Integers, Samples, Start, Trajectory
from gradrace.backends.numba_simd import gradients, loss, predict, prepare, update
from gradrace.backends.support import instructions
from gradrace.backends.support.threads import helped_by

__all__ = ["gradients", "loss", "predict", "prepare", "train", "update"]

_SHARE = 2**13  # numbers (features and targets of all samples) that are worth a share
_SAMPLES = 64  # samples that are worth a share: it leaves d + 2 sums to be added
_EACH = 4  # shares per thread at most; 2 and 8 differ by less than a tenth
_LINE = 8  # numbers in a cache line, which two threads should not write to at the same time
_BOARD = 2**20  # numbers on a board at most; the epochs that follow get another one
_CLAIMED, _DONE = 1, 2


def train(
    data: Samples, *, lr: float, epochs: int, w0: Start = None, b0: float = 0.0, every: int = 1
) -> Trajectory:
    """Make `epochs` updates from (w0, b0) at the learning rate lr; record every `every`-th state.

    One pass over the samples gives the loss and both gradients at the same (w, b). It uses as many
    threads as Numba is allowed to (NUMBA_NUM_THREADS), if that many pay off.
    """
    X, y = data
    shares, threads = _division(len(y), X.size + y.size)
    if threads == 1:
        return numba_simd.train(data, lr=lr, epochs=epochs, w0=w0, b0=b0, every=every)
    lr, epochs, w, b, every = interface.check_schedule(X.shape[1], lr, epochs, w0, b0, every)
    epoch = interface.recorded_epochs(epochs, every)
    rows, d = len(epoch), len(w)
    path_w, path_b, path_loss = np.empty((rows, d)), np.empty(rows), np.empty(rows)
    width = -(-(d + 3) // _LINE) * _LINE
    length = max(_BOARD // (shares * width), 1)
    for first in range(0, epochs + 1, length):
        board = numba_simd.zeros((min(length, epochs + 1 - first), shares, width))
        marks, row = board.view(np.int64).reshape(len(board), -1), -(-first // every)
        part = partial(
            _take_part,
            X if d > numba_simd.FEW else X.T,
            y,
            lr,
            (threads, first, epochs, every),
            numba_simd.strip_and_lead(X.size // threads, d),
            (path_w[row:], path_b[row:], path_loss[row:]),
            board,
            marks,
        )
        helping = [partial(part, t, w.copy(), b) for t in range(1, threads)]
        with helped_by(helping):
            try:
                b = part(0, w, b)
            finally:
                marks[-1, 0] = _DONE  # so that the others leave
    return Trajectory(epoch, path_w, path_b, path_loss)


def _division(samples: int, numbers: int) -> tuple[int, int]:
    """Return the number of shares, and of threads: those Numba may use, or fewer."""
    shares = min(numbers // _SHARE, samples // _SAMPLES)
    threads = min(get_num_threads(), shares) if shares > 1 else 1
    return min(shares // threads, _EACH) * threads, threads


@njit(cache=True, nogil=True, fastmath=numba_simd.REORDER)
def _take_part(
    X: Floats,
    y: Floats,
    lr: float,
    schedule: tuple[int, int, int, int],
    reading: tuple[int, int],
    path: tuple[Floats, Floats, Floats],
    board: Floats,
    marks: Integers,
    me: int,
    w: Floats,
    b: float,
) -> float:
    """Train as `numba_simd._train` does, through the epochs of a board; change w, and return b.

    board[k, s] is for share s in epoch first + k. It holds a mark, Σ rᵢxᵢ, Σ rᵢ and Σ rᵢ². Only the
    thread with `me` = 0 records the path. The others leave once the last epoch has begun.
    """
    (threads, first, epochs, every), (samples, lead) = schedule, reading
    path_w, path_b, path_loss = path
    n, d, (length, shares, width) = len(y), len(w), board.shape
    even = 2 if d > numba_simd.FEW else numba_simd.ROUND  # samples that are added at once
    patience = 4 * (X.size // shares)  # reads of a mark: for about as long as a share takes
    own, sums, grad_w = np.empty(d + 2), np.empty(d + 2), np.empty(d)
    strip = np.empty(samples)
    row = 0

    for k in range(length):
        if me > 0 and instructions.read(marks[length - 1], 0) == _DONE:
            break
        for turn in range(2 * shares):
            s = (me * shares // threads + turn) % shares
            mark = s * width
            if turn < shares:
                mine = instructions.read(marks[k], mark) == 0 and instructions.claim(
                    marks[k], mark, _CLAIMED
                )
            else:
                mine = not _is_done(marks[k], mark, patience)
            if mine:
                start = n * s // shares // even * even
                stop = n if s == shares - 1 else n * (s + 1) // shares // even * even
                _sums_of_share(X, start, y[start:stop], w, b, own, strip, lead)
                for j in range(d + 2):
                    board[k, s, j + 1] = own[j]
                instructions.write(marks[k], mark, _DONE)
        for j in range(d + 2):
            sums[j] = 0.0
        for s in range(shares):
            for j in range(d + 2):
                sums[j] += board[k, s, j + 1]
        sum_r, squares = sums[d], sums[d + 1]
        if me == 0 and ((first + k) % every == 0 or first + k == epochs):
            for j in range(d):
                path_w[row, j] = w[j]
            path_b[row] = b
            path_loss[row] = squares / n  # L = (1/n) Σ rᵢ²
            row += 1
        for j in range(d):
            grad_w[j] = 2.0 / n * sums[j]  # ∂L/∂w = (2/n) Xᵀr
        grad_b = 2.0 / n * sum_r  # ∂L/∂b = (2/n) Σ rᵢ
        for j in range(d):
            w[j] -= lr * grad_w[j]  # w ← w − α ∂L/∂w
        b -= lr * grad_b  # b ← b − α ∂L/∂b

    return b


@njit(cache=True, forceinline=True)
def _is_done(marks: Integers, mark: int, patience: int) -> bool:
    """Return whether the sums of this share are on the board, after at most `patience` reads."""
    while patience > 0 and instructions.read(marks, mark) != _DONE:
        patience -= 1
    return patience > 0


@njit(cache=True, forceinline=True, fastmath=numba_simd.REORDER)
def _sums_of_share(
    X: Floats, start: int, y: Floats, w: Floats, b: float, sums: Floats, strip: Floats, lead: int
) -> None:
    """Put Σ rᵢxᵢ, Σ rᵢ and Σ rᵢ² of the samples from `start` on, with targets y, into `sums`."""
    d, stop = len(w), start + len(y)
    if d == 1:
        squares, sums[0], sum_r = numba_simd.sums_of_line(X[0, start:stop], y, w[0], b)
    elif d > numba_simd.FEW:
        squares, sum_r = numba_simd.sums_of_rows(X[start:stop], y, w, b, sums[:d], lead)
    else:
        squares, sum_r = numba_simd.sums_of_columns(X, start, y, w, b, sums[:d], strip)
    sums[d], sums[d + 1] = sum_r, squares
