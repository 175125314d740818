"""Sums of products of samples without any rounding, block by block, on as many machines as needed.

Each column is cut into slices with so few bits that float64 can add the products of two slices over
a block of rows exactly; so BLAS can do the work. The products of many blocks are added in 64-bit
integers, separately for each weight, and the rest in Python's integers. Ozaki, Ogita, Oishi and
Rump, "Error-free transformations of matrix multiplication by using fast routines of matrix
multiplication and its applications", *Numerical Algorithms* 59 (2012).

Sums of different samples are joined by integer shifts, so neither the order nor the partition of
the samples changes a digit. This module needs NumPy only, because it is sent to workers that may
have nothing else.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from gradrace.backends.interface import Floats

Exacts = NDArray[np.object_]  # int or Decimal
Wide = NDArray[np.longdouble]

_BLOCK = 4096  # rows whose products float64 adds exactly before Python's integers take over
_SLICE_BITS = 20  # 2 · 20 bits per product and 12 for the 4096 terms of a sum stay below 53
_GATHERED = 2**21  # values
_ROOM = 2_047  # sums that can be added without exceeding 63 bits


class ExactSums(NamedTuple):
    """AᵀA of A = [X 1 y] without rounding: integers K with AᵀA = K · 2^(qⱼ + qₖ), p = d + 2."""

    n: int
    K: Exacts
    """(p, p)"""
    q: NDArray[np.int32]
    """(p,)"""
    absolute: Wide
    """(p, p) |A|ᵀ|A|, rounded"""


class Gathering:
    """Sums over samples that come in batches; the batches are gathered until it is worth summing.

    Python's integers are slow, so they are used for two million values at a time.
    """

    def __init__(self, p: int) -> None:
        """Expect batches X (m, p − 2), y (m,)."""
        self._gathered = [np.empty((0, p))]
        self._sums: ExactSums | None = None

    def add(self, X: Floats, y: Floats) -> None:
        """Add a batch."""
        self._gathered.append(np.column_stack([X, np.ones(len(y)), y]))
        if sum(A.size for A in self._gathered) >= _GATHERED:
            self._sums = self.sums()
            self._gathered = self._gathered[:1]

    def sums(self) -> ExactSums:
        """Return the sums over all batches so far."""
        A = np.concatenate(self._gathered)
        found = ExactSums(len(A), *exact_gram(A), absolute_gram(A))
        return found if self._sums is None else joined([self._sums, found])


def exact_sums(X: Floats, y: Floats) -> ExactSums:
    """Return the sums over samples X (n, d), y (n,)."""
    whole = Gathering(X.shape[1] + 2)
    whole.add(X, y)
    return whole.sums()


def joined(parts: Sequence[ExactSums]) -> ExactSums:
    """Return the sums over all the samples of several parts."""
    parts = [part for part in parts if part.n] or list(parts[:1])
    q = np.min([part.q for part in parts], axis=0)
    K: Any = 0
    for part in parts:
        up = (part.q - q).astype(object)
        K = K + (part.K * 2 ** (up[:, None] + up) if up.any() else part.K)
    absolute = sum((part.absolute for part in parts[1:]), parts[0].absolute)
    return ExactSums(sum(part.n for part in parts), K, q, absolute)


def exact_gram(M: Floats) -> tuple[Exacts, NDArray[np.int32]]:
    """Return MᵀM without rounding: integers K (p, p), exponents q (p,), MᵀM = K · 2^(qⱼ + qₖ)."""
    _, top = np.frexp(np.abs(M).max(axis=0, initial=0.0))
    K: Exacts = np.zeros((M.shape[1], M.shape[1]), dtype=object)
    depth, room = 0, _ROOM  # slices below `top` that K includes; products that still fit
    sums: dict[int, NDArray[np.int64]] = {}
    for start in range(0, len(M), _BLOCK):
        slices = _slices(M[start : start + _BLOCK], top)
        if len(slices) > room:
            K, depth = _merged(K, depth, sums)
            sums, room = {}, _ROOM
        room -= len(slices)
        beside = np.concatenate(slices, axis=1) if slices else M[:0]
        for s, left in enumerate(slices, 1):
            products = np.hsplit((left.T @ beside).astype(np.int64), len(slices))
            for t, product in enumerate(products, 1):
                sums[s + t] = sums[s + t] + product if s + t in sums else product
    K, depth = _merged(K, depth, sums)
    return K, top - _SLICE_BITS * depth


def _merged(K: Exacts, depth: int, sums: dict[int, NDArray[np.int64]]) -> tuple[Exacts, int]:
    """Add the `sums` of products of slices s and t, by s + t, to K; return K and its new depth."""
    deeper = max(depth, -(-max(sums, default=0) // 2))
    K = K * 4 ** (_SLICE_BITS * (deeper - depth))
    for weight, products in sums.items():
        K = K + products.astype(object) * 2 ** (_SLICE_BITS * (2 * deeper - weight))
    return K, deeper


def _slices(block: Floats, top: NDArray[np.int32]) -> list[Floats]:
    """Cut |block| < 2^top into integers: block = Σₛ sliceₛ · 2^(top − s · _SLICE_BITS), s ≥ 1."""
    rest, quantum, slices = block.copy(), top.copy(), []
    while rest.any():
        quantum -= _SLICE_BITS
        digits = np.trunc(np.ldexp(rest, -quantum))
        rest -= np.ldexp(digits, quantum)
        slices.append(digits)
    return slices


def absolute_gram(A: Floats) -> Wide:
    """Return |A|ᵀ|A|, computed in float64, which is fast, if it fits."""
    sizes = np.abs(A)
    with np.errstate(over="ignore"):
        sums = sizes.T @ sizes
    if np.isfinite(sums).all():
        return sums.astype(np.longdouble)
    wide = sizes.astype(np.longdouble)
    return np.asarray(wide.T @ wide)
