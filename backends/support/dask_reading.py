"""Where the partitions of the rung `dask` come from: arrays, Dask arrays, or any other recipes.

A partition is a recipe, the arguments of a function that yields its samples batch by batch. That
function runs on workers, which may have NumPy but not this package, so it is sent there.
"""

from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from functools import partial
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np

from gradrace.backends.interface import Floats, InputValueError, Samples

Batches = Iterator[Samples]
"""Consecutive samples, X (m, d) and y (m,), m ≥ 0."""

_PARTITION = 2**21  # values of X and y in a partition of arrays, 16 MB


class Partitions(NamedTuple):
    """Samples as recipes."""

    read: Callable[..., Batches]
    """Returns the samples of a partition; it gets the values of one of the `recipes`."""
    recipes: Sequence[tuple[Hashable, ...]]
    """One per partition; a key of `graph` stands for its result."""
    d: int
    graph: Mapping[Hashable, Any] | None = None
    """What computes the blocks of a Dask array"""
    here: bool = False
    """Whether only this process can read them"""


def of_arrays(X: Floats, y: Floats, pieces: int | None = None) -> Partitions:
    """Return consecutive slices of arrays as partitions, by default of about 16 MB."""
    n, d = X.shape
    pieces = max(1, n * (d + 1) // _PARTITION) if pieces is None else pieces
    ends = [n * i // pieces for i in range(pieces + 1)]
    return Partitions(partial(_rows, X, y), list(pairwise(ends)), d, here=True)


def _rows(X: Floats, y: Floats, start: int, end: int) -> Batches:
    yield X[start:end], y[start:end]


def _block(X: Any, y: Any) -> Batches:
    """Return one block of Dask arrays; it is checked here, where it exists for the first time."""
    X, y = np.asarray(X, np.float64), np.asarray(y, np.float64)
    if len(X) != len(y):
        raise ValueError(f"y: needs one value per row of X, {len(X)}, got {len(y)} in a block")
    for name, values in (("X", X), ("y", y)):
        if not np.isfinite(values).all():
            raise ValueError(f"{name}: must be finite, got nan or inf in a block")
    yield X, y


def of_dask_arrays(X: Any, y: Any) -> Partitions:
    """Return the blocks of Dask arrays X (n, d) and y (n,), along the rows, as partitions."""
    import dask

    if X.ndim != 2 or y.ndim != 1:
        raise InputValueError(f"X, y: need shapes (n, d) and (n,), got {X.shape} and {y.shape}")
    X = X.rechunk({1: -1})
    if not np.isnan(X.chunks[0]).any():
        if X.shape[0] != y.shape[0]:
            raise InputValueError(f"y: needs one value per row of X, {len(X)}, got {len(y)}")
        y = y.rechunk((X.chunks[0],))
    elif X.numblocks[0] != y.numblocks[0]:
        raise InputValueError("X, y: blocks of unknown length must correspond")
    X, y = dask.optimize(X, y)
    graph = {**X.__dask_graph__(), **y.__dask_graph__()}
    recipes = [((X.name, i, 0), (y.name, i)) for i in range(X.numblocks[0])]
    return Partitions(_block, recipes, int(X.shape[1]), graph)
