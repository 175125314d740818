"""Estimate how far noise in the samples can move the least-squares solution from the truth."""

from dataclasses import dataclass

import numpy as np

from gradrace.bench.learning.landscape import Landscape


@dataclass(frozen=True)
class Noise:
    """The noise of the targets, estimated from the residuals, and the resulting error of b."""

    deviation: float
    """s, the estimated standard deviation of the noise: s² = Σ rᵢ² / (n − d − 1)"""
    error_of_b: float
    """The standard error of the least-squares b: the square root of its diagonal entry in
    s² (AᵀA)⁻¹, A = [X 1]"""


def noise(known: Landscape) -> Noise | None:
    """Estimate the noise from the least-squares residuals; None if they do not determine it.

    This happens if there are no more samples than unknowns, or if w and b are not unique. With
    H = (2/n) AᵀA = Q Λ Qᵀ, (AᵀA)⁻¹ is (2/n) Q Λ⁻¹ Qᵀ. The original b is a linear function of the
    (w, b) of the standardized columns, so its variance is gᵀ (AᵀA)⁻¹ g with the gradient g.
    """
    n, d = known.samples.n, len(known.samples.features)
    H, best = known.hessian, known.least_squares
    if n <= d + 1 or best.null is not None or not H.smallest:
        return None
    gradient, unit = np.append(np.zeros(d), 1.0), 1.0
    if known.scaling is not None:
        scaling, unit = known.scaling, known.scaling.target_deviation
        gradient = unit * np.append(-scaling.mean / scaling.deviation, 1.0)
    variance = best.loss * n / (n - d - 1)
    with np.errstate(over="ignore", invalid="ignore"):
        of_b = variance * (2 / n) * float(((H.vectors.T @ gradient) ** 2 / H.values).sum())
    return Noise(unit * float(np.sqrt(variance)), float(np.sqrt(of_b)))
