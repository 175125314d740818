"""What mathematics says before any training: the Hessian, the stable rates, the least squares."""

from typing import NamedTuple

import numpy as np

from backends.interface import Floats


class LeastSquares(NamedTuple):
    """The (w, b) of least loss, to which stable descent converges."""

    w: Floats
    b: float
    loss: float


def hessian_eigenvalues(X: Floats) -> Floats:
    """Return the eigenvalues of H = (2/n) AᵀA, A = [X 1], ascending (d + 1,); inf on overflow."""
    A = np.column_stack([X, np.ones(len(X))])
    with np.errstate(over="ignore", invalid="ignore"):
        H = 2 / len(X) * (A.T @ A)
    if not np.isfinite(H).all():
        return np.full(len(H), np.inf)
    return np.linalg.eigvalsh(H).astype(np.float64)


def stability_limit(X: Floats) -> float:
    """Return 2/λmax(H): descent is stable below this rate and diverges above it.

    Nocedal and Wright, *Numerical Optimization*, 2nd ed., §3.3.
    """
    return float(2 / hessian_eigenvalues(X)[-1])


def least_squares(X: Floats, y: Floats) -> LeastSquares:
    """Return argmin L by orthogonal factorization (LAPACK gelsd) of the scaled columns of [X 1]."""
    A = np.column_stack([X, np.ones(len(X))])
    scale = np.abs(A).max(axis=0)
    scale[scale == 0] = 1.0
    theta = np.linalg.lstsq(A / scale, y, rcond=None)[0] / scale
    with np.errstate(over="ignore", invalid="ignore"):
        r = A @ theta - y
        return LeastSquares(theta[:-1], float(theta[-1]), float(r @ r) / len(y))
