"""Rung `dask`: the passes of `gram`, over samples that no single memory has to hold.

The samples are divided into partitions. A partition is a recipe, not data: it says which rows to
read, and from where. One task per partition reads them batch by batch and condenses them, as `gram`
does, to their number n, S = AᵀA and the triangular factor R of A = [1 X y]. Results are joined in
the order of the partitions, eight at a time: n and S are added, and R is the factor of the stacked
ones (Demmel, Grigori, Hoemmen and Langou, "Communication-optimal parallel and sequential QR and LU
factorizations", *SIAM J. Sci. Comput.* 34 (2012), where this is called TSQR). Then come the epochs,
which need nothing else, exactly as in `gram`.

The order in which tasks finish, and where, changes no bit of the result; the partitions do.

Where the tasks run, says `support/dask_tasks.py`. Workers need not have this package: the functions
that run there are sent along, so they use NumPy and nothing else from here.
"""

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from gradrace.backends import gram, interface
from gradrace.backends.gram import Condensed
from gradrace.backends.interface import Floats, InputValueError, Integers, Start, Trajectory
from gradrace.backends.numba_simd import update
from gradrace.backends.support import dask_reading, gram_passes
from gradrace.backends.support.dask_reading import Batches, Partitions
from gradrace.backends.support.dask_tasks import MOST_JOINS, over

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

PASSES_ONCE = True

_BLOCK = 2**15  # values that are condensed at once, so that they stay in the second-level cache
_WIDEST = 480  # a column whose largest value is within 2^±480 has squares within float64
_NO_VALUE = 1_100  # the shift of a column of zeros, above any other


class Part(NamedTuple):
    """Some samples, condensed."""

    n: int
    S: Floats
    """(d + 2, d + 2) AᵀA"""
    R: Floats
    """(d + 2, d + 2) the triangular factor of (A − 1·centerᵀ) · diag(2^shift)"""
    shift: Integers
    """(d + 2,) 0 unless the squares of a column are beyond float64"""
    center: Floats
    """(d + 2,) a value amid each column, 0 for the column of ones"""


def prepare(X: Any, y: Any = None, *, partitions: int | None = None) -> Partitions:
    """Return the recipes of the samples; nothing is read yet.

    X and y are arrays, which are cut into `partitions` slices, or Dask arrays. `Partitions` are
    returned as they are.

    Raises:
        InputTypeError, InputValueError: as `interface.check_samples`.

    """
    if isinstance(X, Partitions):
        return X
    if hasattr(X, "__dask_graph__"):
        return dask_reading.of_dask_arrays(X, y)
    X, y = interface.check_samples(X, y)
    return dask_reading.of_arrays(X, y, partitions)


def predict(X: Any, w: ArrayLike, b: float) -> Floats:
    """ŷ = Xw + b, shape (n,), of arrays or partitions."""
    data = X if isinstance(X, Partitions) else prepare(X, np.zeros(len(X)))
    y_hat: Floats = over(data, partial(_predict, np.asarray(w), b), np.concatenate)
    return y_hat


def loss(X: Any, y: Any, w: ArrayLike, b: float) -> float:
    """L = (1/n) Σ rᵢ²."""
    n, squares, _, _ = over(prepare(X, y), partial(_sums, np.asarray(w), b), _add)
    return float(squares / n)


def gradients(X: Any, y: Any, w: ArrayLike, b: float) -> tuple[Floats, float]:
    """(∂L/∂w of shape (d,), ∂L/∂b) = (2/n) (Xᵀr, Σ rᵢ)."""
    n, _, along, total = over(prepare(X, y), partial(_sums, np.asarray(w), b), _add)
    return 2.0 / n * along, float(2.0 / n * total)


def condense(data: Partitions | Condensed) -> Condensed:
    """Make the pass over the samples, unless `data` is what it left.

    Raises:
        InputValueError: there are no samples, a partition cannot be read or holds values that
            cannot be used, no scheduler answers at the given address, or the cluster fails.

    """
    if isinstance(data, Condensed):
        return data
    whole = over(data, partial(part, data.d + 2), join)
    if not whole.n:
        raise InputValueError("X: needs at least one row, got none")
    return condensed(whole)


def scaled(data: Partitions, mean: Floats, deviation: Floats) -> Partitions:
    """Return the samples with every column x, the target last, replaced by (x − mean)/deviation."""
    return data._replace(read=partial(_scaled, data.read, mean, deviation))


def condensed(whole: Part) -> Condensed:
    """Return what an epoch needs from the samples, from what they contribute together."""
    n, S, *_, shift, center = whole
    units = np.where(np.diag(S)[1:-1] < gram_passes.TINY, gram_passes.ENLARGED, 1.0)
    exponents = np.log2([1.0, *units, 1.0]).astype(np.int64)
    R = _moved(whole, shift, np.zeros_like(center))
    columns = np.ldexp(R, exponents - np.where(shift == _NO_VALUE, 0, shift)).T
    return Condensed(n, S, np.ascontiguousarray(columns), units)


def centered(whole: Part) -> tuple[Floats, Floats]:
    """Return the triangular factor R (d + 2, d + 2) of [1 X−x̃ y−ỹ], and (x̃, ỹ), (d + 1,)."""
    shift = np.where(whole.shift == _NO_VALUE, 0, whole.shift)
    return np.ldexp(whole.R, -shift), whole.center[1:]


def longest_chain(n: int, d: int) -> int:
    """Return how many additions a sample takes part in, at most.

    They are those within a block, of the blocks of a partition, and of eight results on each level.
    """
    block = _rows_of_block(d + 2)
    return min(n, block) + n // block + 1 + MOST_JOINS


def train(
    data: Partitions | Condensed,
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
    d = len(data.units) if isinstance(data, Condensed) else data.d
    interface.check_schedule(d, lr, epochs, w0, b0, every)
    condensed = data if isinstance(data, Condensed) else condense(data)
    return gram.train(condensed, lr=lr, epochs=epochs, w0=w0, b0=b0, every=every)


# What the tasks do: NumPy only, because a worker may have nothing else


def part(p: int, batches: Batches) -> Part:
    """Return what the samples contribute; only a batch and a block of them are in memory."""
    found = Part(0, np.zeros((p, p)), np.zeros((p, p)), np.full(p, _NO_VALUE), np.zeros(p))
    for A in _blocks(p, batches):
        with np.errstate(over="ignore", invalid="ignore"):
            S = A.T @ A
            center = found.center if found.n else np.append(0.0, A[:, 1:].mean(axis=0))
        found = join([found, _as_part(A, S, center)])
    return found


def _as_part(A: Floats, S: Floats, center: Floats) -> Part:
    """Return A as a part: centered, or shifted where the squares of a column are beyond float64."""
    squares, widest = np.diag(S), 2.0 ** (2 * _WIDEST)
    shift = np.zeros(len(S), dtype=np.int64)
    if ((1.0 / widest < squares) & (squares < widest)).all():
        return Part(len(A), S, A - center, shift, center)
    largest = np.abs(A).max(axis=0)  # this takes as long as the factorization
    _, top = np.frexp(largest)
    shift = np.where(np.abs(top) > _WIDEST, -top, 0).astype(np.int64)
    shift[largest == 0.0] = _NO_VALUE
    center = np.where(shift == 0, center, 0.0)
    return Part(len(A), S, np.ldexp(A, shift) - center, shift, center)


def _blocks(p: int, batches: Batches) -> Iterator[Floats]:
    """Yield A = [1 X y] in blocks of equal length, only the last one is shorter.

    So the result depends on the samples of a partition, not on the batches they come in.
    """
    A, filled = np.ones((_rows_of_block(p), p)), 0
    for X, y in batches:
        start = 0
        while start < len(y):
            m = min(len(A) - filled, len(y) - start)
            A[filled : filled + m, 1:-1] = X[start : start + m]
            A[filled : filled + m, -1] = y[start : start + m]
            filled, start = filled + m, start + m
            if filled == len(A):
                yield A
                filled = 0
    if filled:
        yield A[:filled]


def _rows_of_block(p: int) -> int:
    return max(4 * p, _BLOCK // p)


def join(parts: Sequence[Part]) -> Part:
    """Return what several parts contribute together; an R may have any number of rows.

    Its first column is that of the ones. So subtracting multiples of it from the others moves their
    center, and what is factorized keeps its digits, however far from 0 the samples lie.
    """
    with np.errstate(over="ignore", invalid="ignore"):
        S = sum((part.S for part in parts[1:]), parts[0].S)
    shift = np.min([part.shift for part in parts], axis=0)
    center = next((part.center for part in parts if part.n), parts[0].center)
    rows = [_moved(part, shift, center) for part in parts]
    R = np.zeros_like(S)
    factor = np.linalg.qr(np.concatenate(rows), mode="r")
    R[: len(factor)] = factor
    return Part(sum(part.n for part in parts), S, R, shift, center)


def _moved(part: Part, shift: Integers, center: Floats) -> Floats:
    """Return the R of a part for another shift and another center."""
    R = part.R
    if (part.shift != shift).any():
        R = np.ldexp(R, shift - part.shift)
    if (part.center != center).any():
        R = R - R[:, :1] * np.ldexp(center - part.center, shift)
    return R


def _scaled(read: Callable[..., Batches], mean: Floats, deviation: Floats, *recipe: Any) -> Batches:
    for X, y in read(*recipe):
        yield (X - mean[:-1]) / deviation[:-1], (y - mean[-1]) / deviation[-1]


def _predict(w: Floats, b: float, batches: Batches) -> Floats:
    with np.errstate(over="ignore", invalid="ignore"):
        return np.concatenate([np.empty(0), *(X @ w + b for X, _ in batches)])


def _sums(w: Floats, b: float, batches: Batches) -> tuple[int, float, Floats, float]:
    """Return n, Σ rᵢ², Xᵀr and Σ rᵢ."""
    found = (0, 0.0, np.zeros(len(w)), 0.0)
    with np.errstate(over="ignore", invalid="ignore"):
        for X, y in batches:
            r = X @ w + b - y
            found = _add([found, (len(r), float(r @ r), r @ X, float(r.sum()))])
    return found


def _add(parts: Sequence[Any]) -> Any:
    return tuple(sum(rest, first) for first, *rest in zip(*parts, strict=True))
