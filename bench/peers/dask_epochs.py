"""Peer `dask-epochs`: every epoch is a graph of its own, a sum over partitions of X and y.

This is how one would write the loop with Dask without changing the algorithm. The backend `dask`
makes a single graph of the whole run instead. The gradients of the partitions are added in order.
"""

from functools import partial
from typing import Any

import dask.threaded
import numpy as np
from numpy.typing import ArrayLike

from gradrace.backends.interface import (
    Floats,
    Samples,
    Trajectory,
    check_samples,
    check_schedule,
    recorded_epochs,
)

PARTITION = 2**17  # values of X and y, 1 MB: they stay in the second-level cache of a core
Sums = tuple[float, Floats, float]
"""Σ rᵢ², Xᵀr and Σ rᵢ."""


def prepare(X: ArrayLike, y: ArrayLike) -> list[Samples]:
    """Return the samples cut into partitions of about a megabyte."""
    X, y = check_samples(X, y)
    pieces = min(len(y), max(1, X.size // PARTITION))
    return list(zip(np.array_split(X, pieces), np.array_split(y, pieces), strict=True))


def train(
    data: list[Samples],
    *,
    lr: float,
    epochs: int,
    w0: ArrayLike | None = None,
    b0: float = 0.0,
    every: int = 1,
) -> Trajectory:
    """Make `epochs` updates and record every `every`-th state, the first and the last.

    Raises:
        InputTypeError, InputValueError: see `interface.check_schedule`.

    """
    n, d = sum(len(y) for _, y in data), data[0][0].shape[1]
    lr, epochs, w, b, every = check_schedule(d, lr, epochs, w0, b0, every)
    epoch = recorded_epochs(epochs, every)
    path = Trajectory(epoch, np.empty((len(epoch), d)), np.empty(len(epoch)), np.empty(len(epoch)))
    row = 0
    with np.errstate(over="ignore", invalid="ignore"):
        for k in range(epochs + 1):
            squares, along, total = _sums(data, w, b)
            if k % every == 0 or k == epochs:
                path.w[row], path.b[row], path.loss[row] = w, b, squares / n
                row += 1
            w = w - lr * (2.0 / n * along)
            b = b - lr * (2.0 / n * total)
    return path


def _sums(data: list[Samples], w: Floats, b: float) -> Sums:
    """Return what the samples contribute to an epoch, in a graph of one task per partition."""
    graph: dict[Any, Any] = {
        part: (partial(_partial_sums, X, y, w, b),) for part, (X, y) in enumerate(data)
    }
    graph["sums"] = (_added, list(graph))
    sums: Sums = dask.threaded.get(graph, "sums")
    return sums


def _partial_sums(X: Floats, y: Floats, w: Floats, b: float) -> Sums:
    with np.errstate(over="ignore", invalid="ignore"):
        r = X @ w + b - y
        return float(r @ r), r @ X, float(r.sum())


def _added(parts: list[Sums]) -> Sums:
    squares, along, total = zip(*parts, strict=True)
    return sum(squares), sum(along[1:], along[0]), sum(total)
