"""The curvature of the loss, and how fast descent approaches its minimum, in which directions.

H = (2/n) AᵀA with A = [X 1] has eigenvalues λᵢ and orthonormal eigenvectors qᵢ. Every epoch
multiplies the error of (w, b) along qᵢ by 1 − αλᵢ, whatever happens along the other directions
(Nocedal and Wright, *Numerical Optimization*, 2nd ed., §3.3). So descent is stable for α < 2/λmax,
and fastest in the long run at α = 2/(λmin + λmax).
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from gradrace.backends.interface import Floats
from gradrace.bench.data.samples import Dataset, Samples, unnamed

SLOW = 0.1  # of the fastest rate
NEAR = 0.01  # a loss this share above the least one is close enough
ROUNDING = 1e-24  # of the first loss; less than this is due to rounding
LONGEST = 10**15  # epochs; anything longer counts as never


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

    def shortfall(self, lr: float) -> float:
        """Return 1 − ρ = min(αλᵢ, 2 − αλᵢ) with all its digits, which ρ near 1 has lost."""
        with np.errstate(over="ignore"):
            x = lr * self.values[self.free :]
            return float(np.minimum(x, 2 - x).min())


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


@dataclass(frozen=True)
class Direction:
    """An eigenvector of the Hessian, and the part of the initial error along it."""

    curvature: float
    """λᵢ"""
    vector: Floats
    """qᵢ (d + 1,), w₁ … w_d and b"""
    error: float
    """cᵢ = qᵢᵀ(θ₀ − θ*) with the start θ₀ and the least-squares θ*, both (w, b)"""
    share_of_w: float
    """|cᵢ| ‖qᵢ,w‖ as a share of the sum over all directions"""
    share_of_b: float
    """|cᵢ qᵢ,b| as a share of the sum over all directions"""

    def time_constant(self, lr: float) -> float | None:
        """Return −1/ln|1 − αλᵢ|, the epochs in which the error along qᵢ falls to 1/e.

        It is 0 if one epoch is enough, inf if nothing changes, and None if the error grows.
        """
        log_factor = float(_log_factors(lr, np.array(self.curvature)))
        if log_factor > 0:
            return None
        return -1 / log_factor if log_factor else np.inf


def regime(H: Hessian, lr: float) -> str:
    """Return how descent behaves at this rate: slow, stable, oscillating or diverges.

    It diverges at rates of 2/λmax or more. Above 1/λmax it overshoots along the steepest direction,
    and comes back from the other side. Below a tenth of the fastest rate it is slow.
    """
    if lr >= H.limit:
        return "diverges"
    if lr > H.limit / 2 * (1 + 1e-9):  # if all λ are equal, 1/λmax is perfect
        return "oscillating"
    return "slow" if lr < SLOW * H.fastest else "stable"


def close_enough(least: float, first: float) -> float:
    """Return how far above the least loss counts as having arrived: 1 %, or rounding errors."""
    return max(NEAR * least, ROUNDING * first)


def directions(H: Hessian, error: Floats) -> list[Direction]:
    """Return the directions in which descent moves, steepest first; `error` is θ₀ − θ*."""
    order = np.arange(len(H.values))[::-1][: len(H.values) - H.free]
    values, Q = H.values[order], H.vectors[:, order]
    with np.errstate(over="ignore", invalid="ignore"):
        c = Q.T @ error
        of_w = _shares(np.linalg.norm(Q[:-1], axis=0) * np.abs(c))
        of_b = _shares(np.abs(Q[-1] * c))
    return [
        Direction(float(values[i]), Q[:, i], *map(float, numbers))
        for i, numbers in enumerate(zip(c, of_w, of_b, strict=True))
    ]


def _shares(values: Floats) -> Floats:
    total = values.sum()
    return values / total if total else values


def excess(along: Sequence[Direction], lr: float) -> Callable[[int], float]:
    """Return the function k ↦ ln ½ Σ λᵢ cᵢ² (1 − αλᵢ)²ᵏ.

    The sum is the excess: how far the loss is above the least one after k epochs. The logarithm is
    −inf if the excess is 0, and stays within float64 even if the excess does not.
    """
    values = np.array([direction.curvature for direction in along])
    c = np.array([direction.error for direction in along])
    with np.errstate(divide="ignore", over="ignore", invalid="ignore"):
        start = np.log(values / 2) + 2 * np.log(np.abs(c))
        shrink = 2 * _log_factors(lr, values)

    def after(epochs: int) -> float:
        with np.errstate(invalid="ignore"):
            logs = start + (epochs * shrink if epochs else 0.0)
        return float(np.logaddexp.reduce(logs[~np.isnan(logs)]))

    return after


def epochs_needed(along: Sequence[Direction], lr: float, goal: float) -> int | None:
    """Return the first epoch after which the loss exceeds the least one by at most `goal`.

    None if there is no such epoch, or none before epoch 10¹⁵.
    """
    moving = np.array([direction.curvature for direction in along if direction.error])
    if not len(moving):
        return 0
    if goal <= 0 or (_log_factors(lr, moving) >= 0).any():
        return None
    after, logarithm = excess(along, lr), float(np.log(goal))
    low, high = -1, 1
    while after(high) > logarithm:
        low, high = high, 2 * high
        if high > LONGEST:
            return None
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if after(middle) <= logarithm else (middle, high)
    return high


def _log_factors(lr: float, values: Floats) -> Floats:
    """Return ln|1 − αλᵢ|, with all digits even if αλᵢ is tiny."""
    with np.errstate(divide="ignore", over="ignore", invalid="ignore"):
        x = lr * values
        logs: Floats = np.where(x < 1, np.log1p(-np.minimum(x, 1.0)), np.log(np.abs(x - 1)))
    return logs
