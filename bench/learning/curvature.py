"""The curvature of the loss: eigenvalues and eigenvectors of its Hessian.

H = (2/n) AᵀA with A = [X 1] has eigenvalues λᵢ and orthonormal eigenvectors qᵢ. Every epoch
multiplies the error of (w, b) along qᵢ by 1 − αλᵢ, whatever happens along the other directions
(Nocedal and Wright, *Numerical Optimization*, 2nd ed., §3.3). So descent is stable for α < 2/λmax,
and fastest in the long run at α = 2/(λmin + λmax).
"""

import math
from typing import NamedTuple

import numpy as np

from gradrace.backends.interface import Floats
from gradrace.bench.data.samples import Dataset, Samples, unnamed


class Hessian(NamedTuple):
    """Eigenvalues and eigenvectors of H."""

    values: Floats
    """(d + 1,) λᵢ ≥ 0, ascending; inf where float64 overflows"""
    vectors: Floats
    """(d + 1, d + 1) column i is qᵢ; the rows are w₁ … w_d and b"""
    free: int = 0
    """How many λᵢ, the first ones, are 0 because columns depend on each other: descent makes no
    step along their qᵢ"""

    @property
    def largest(self) -> float:
        """λmax, the curvature along the steepest direction."""
        return float(self.values[-1])

    @property
    def smallest(self) -> float:
        """λmin, the curvature along the flattest direction in which descent moves."""
        return float(self.values[self.free])

    @property
    def condition(self) -> float:
        """κ = λmax/λmin: how many times steeper the loss is in one direction than in another."""
        if self.smallest == 0 or not math.isfinite(self.largest):
            return math.inf
        return self.largest / self.smallest

    @property
    def limit(self) -> float:
        """2/λmax: descent is stable below this rate and diverges above it."""
        return 2 / self.largest

    @property
    def fastest(self) -> float:
        """2/(λmin + λmax): the rate with the smallest contraction factor ρ."""
        return 2 / (self.smallest + self.largest)

    def contraction(self, lr: float) -> float:
        """Return ρ = max|1 − αλᵢ|, which multiplies the error per epoch in the long run."""
        with np.errstate(over="ignore"):
            return float(np.abs(1 - lr * self.values[self.free :]).max())


def hessian(X: Floats) -> Hessian:
    """Return the spectrum of H for an array X (n, d) whose columns are independent."""
    return spectrum(Dataset("X", unnamed(X.shape[1]), "y", X, np.zeros(len(X))))


def spectrum(samples: Samples, null: Floats | None = None) -> Hessian:
    """Return the spectrum of H from the singular values of A: A = UΣQᵀ gives λᵢ = (2/n) σᵢ².

    This keeps twice as many digits of the small λ as forming AᵀA would (Golub and Van Loan,
    *Matrix Computations*, 4th ed., §5.3.2). `null` (d + 1, free) is the null space of A, as
    `least_squares` returns it for the same columns; None if it is empty.
    """
    low, high = (values[:-1] for values in samples.extremes)
    unit = max(1.0, -float(low.min()), float(high.max()))
    R = samples.factor(unit)
    null = np.empty((R.shape[1], 0)) if null is None else null
    basis, _ = np.linalg.qr(null, mode="complete")
    free = null.shape[1]
    _, found, Qt = np.linalg.svd(R @ basis[:, free:])
    sigma = np.zeros(R.shape[1])
    sigma[: len(found)] = found
    with np.errstate(over="ignore", under="ignore"):
        values = (sigma * unit * math.sqrt(2 / samples.n))[::-1] ** 2
    return Hessian(values, np.hstack([basis[:, :free], basis[:, free:] @ Qt[::-1].T]), free)
