"""How fast descent at a given rate approaches the least-squares solution, in which directions."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from gradrace.backends.interface import Floats
from gradrace.bench.learning.curvature import Hessian

SLOW = 0.1  # of the fastest rate
NEAR = 0.01  # a loss this share above the least one is close enough
ROUNDING = 1e-24  # of the first loss; less than this is due to rounding
LONGEST = 10**15  # epochs; anything longer counts as never


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
