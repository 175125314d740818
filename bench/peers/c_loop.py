"""Peer `c`: the textbook loop in C, compiled by gcc -O3 -march=native -ffast-math.

This is what someone would write who leaves Python for speed. One pass over the samples per epoch
computes Σ rᵢ², Σ rᵢxᵢ and Σ rᵢ; the whole training run is one call. X is (n, d) in C order. The
source is compiled when this module is imported, into a folder that is deleted afterwards.

-ffast-math assumes that inf and nan never occur, so nothing is guaranteed for a run that diverges:
the result depends on the compiler. With gcc 12 on x86-64 it is right: on the reference line
with α = 0.1 the loss is inf from epoch 186 on and nan from 374 on, as with every other backend.
"""

import ctypes
import shutil
import subprocess
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from numpy.typing import ArrayLike

from gradrace.backends.interface import (
    Floats,
    Trajectory,
    check_samples,
    check_schedule,
    recorded_epochs,
)

COMPILERS = ("cc", "gcc", "clang")
FLAGS = ("-O3", "-march=native", "-ffast-math", "-fPIC")

SOURCE = r"""
#include <stdint.h>

/* One feature: sums[0] = sum of r x, sums[1] = sum of r; returns the sum of r^2. */
static double pass_line(const double *restrict x, const double *restrict y, int64_t n,
                        double w, double b, double *restrict sums)
{
    double squares = 0.0, sum_rx = 0.0, sum_r = 0.0;
    for (int64_t i = 0; i < n; i++) {
        double r = x[i] * w + b - y[i];
        squares += r * r;
        sum_rx += r * x[i];
        sum_r += r;
    }
    sums[0] = sum_rx;
    sums[1] = sum_r;
    return squares;
}

/* Several features: sums[0 .. d-1] = sum of r x, sums[d] = sum of r; returns the sum of r^2. */
static double pass_rows(const double *restrict X, const double *restrict y, int64_t n, int64_t d,
                        const double *restrict w, double b, double *restrict sums)
{
    double squares = 0.0, sum_r = 0.0;
    for (int64_t j = 0; j < d; j++)
        sums[j] = 0.0;
    for (int64_t i = 0; i < n; i++) {
        const double *restrict x = X + i * d;
        double r = b - y[i];
        for (int64_t j = 0; j < d; j++)
            r += x[j] * w[j];
        squares += r * r;
        for (int64_t j = 0; j < d; j++)
            sums[j] += r * x[j];
        sum_r += r;
    }
    sums[d] = sum_r;
    return squares;
}

/* state (d+1) holds w and b, sums (d+1) is scratch; path_w (m, d), path_b (m), path_loss (m). */
void train(const double *X, const double *y, int64_t n, int64_t d, double lr, int64_t epochs,
           int64_t every, double *restrict state, double *restrict sums,
           double *restrict path_w, double *restrict path_b, double *restrict path_loss)
{
    int64_t row = 0;
    for (int64_t k = 0; k <= epochs; k++) {
        double squares = d == 1 ? pass_line(X, y, n, state[0], state[1], sums)
                                : pass_rows(X, y, n, d, state, state[d], sums);
        if (k % every == 0 || k == epochs) {
            for (int64_t j = 0; j < d; j++)
                path_w[row * d + j] = state[j];
            path_b[row] = state[d];
            path_loss[row] = squares / n;
            row++;
        }
        for (int64_t j = 0; j <= d; j++)
            state[j] -= lr * (2.0 / n * sums[j]);
    }
}
"""


def _compiled() -> ctypes.CDLL:
    """Return the library made from SOURCE."""
    compiler = next(filter(None, map(shutil.which, COMPILERS)), None)
    if compiler is None:
        raise ImportError(f"needs a C compiler: none of {', '.join(COMPILERS)} found")
    with TemporaryDirectory(prefix="gradrace-", ignore_cleanup_errors=True) as name:
        source, unlinked, library = (str(Path(name, f"loop.{kind}")) for kind in ("c", "o", "so"))
        Path(source).write_text(SOURCE)
        # In two steps: if -ffast-math is given when a library is linked, gcc before 13 adds
        # crtfastmath.o, and loading it flushes subnormal numbers to zero in the whole process.
        _run(compiler, *FLAGS, "-c", source, "-o", unlinked)
        _run(compiler, "-shared", unlinked, "-o", library)
        return ctypes.CDLL(library)


def _run(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        raise ImportError(f"{command[0]} failed: {' '.join(done.stderr.split())}")


_train = _compiled().train
_train.restype = None
_train.argtypes = [
    *[ctypes.c_void_p] * 2,  # X, y
    *[ctypes.c_int64] * 2,  # n, d
    ctypes.c_double,  # lr
    *[ctypes.c_int64] * 2,  # epochs, every
    *[ctypes.c_void_p] * 5,  # state, sums, path_w, path_b, path_loss
]


def prepare(X: ArrayLike, y: ArrayLike) -> tuple[Floats, Floats]:
    """Return copies of X (n, d) and y (n,) as float64 arrays in C order."""
    X, y = check_samples(X, y)
    return _aligned(X), _aligned(y)


def _aligned(array: Floats) -> Floats:
    """Return a copy that starts on a cache line; otherwise the loop can take a fifth longer."""
    buffer = np.empty(array.nbytes + 64, np.uint8)
    start = -buffer.ctypes.data % 64
    copy = buffer[start : start + array.nbytes].view(np.float64).reshape(array.shape)
    copy[:] = array
    return copy


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

    `w0` is of shape (d,), zeros if None.

    Raises:
        InputTypeError, InputValueError: see `interface.check_schedule`.

    """
    X, y = data
    n, d = X.shape
    lr, epochs, w0, b0, every = check_schedule(d, lr, epochs, w0, b0, every)
    epoch = recorded_epochs(epochs, every)
    rows = len(epoch)
    path = Trajectory(epoch, np.empty((rows, d)), np.empty(rows), np.empty(rows))
    state, sums = np.append(w0, b0), np.empty(d + 1)
    arrays = [array.ctypes.data for array in (state, sums, path.w, path.b, path.loss)]
    _train(X.ctypes.data, y.ctypes.data, n, d, lr, epochs, every, *arrays)
    return path
