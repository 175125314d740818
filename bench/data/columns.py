"""Passes over columns in memory, block by block: their factor R, their means and deviations."""

from collections.abc import Iterator

import numpy as np

from gradrace.backends.interface import Floats, InputValueError

BLOCK = 65_536  # rows that are factorized, and thus copied by LAPACK, at a time


def row_blocks(array: Floats) -> Iterator[Floats]:
    """Yield the rows of an array, 65,536 at a time."""
    return (array[start : start + BLOCK] for start in range(0, len(array), BLOCK))


def triangular_factor(blocks: Iterator[Floats]) -> Floats:
    """Return R of the QR factorization of the stacked blocks, processed one after another."""
    R: Floats | None = None
    for block in blocks:
        R = np.asarray(np.linalg.qr(block if R is None else np.vstack([R, block]), mode="r"))
    assert R is not None
    return R


def mean_and_deviation(table: str, name: str, x: Floats) -> tuple[float, float]:
    """Return μ and σ of a column, computed from x / max|x|, so that no square leaves float64.

    σ is 1 if the column is constant. Raises `InputValueError` as `spread`.
    """
    low, high = float(x.min()), float(x.max())
    if low == high:
        return low, 1.0
    largest = max(-low, high)
    mean = float(np.mean(x / largest)) * largest
    with np.errstate(over="ignore"):
        centered = x - mean
    return mean, spread(table, name, centered, len(x))


def spread(table: str, name: str, centered: Floats, n: int) -> float:
    """Return σ = √(Σ cᵢ²/n) of what remains of a column of n samples without its mean.

    Raises `InputValueError` if the column spans more than float64 can hold.
    """
    with np.errstate(over="ignore", invalid="ignore"):
        widest = float(np.abs(centered).max())
        deviation = float(np.sqrt(np.sum((centered / widest) ** 2) / n)) * widest
    if not np.isfinite(deviation):
        raise InputValueError(f"{table}: column {name!r} spans more than float64 can hold")
    return deviation
