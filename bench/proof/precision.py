"""The precisions that a backend may compute in, and what rounding does in each of them."""

from typing import Literal, NamedTuple

import numpy as np

PrecisionName = Literal["float64", "float32"]


class Precision(NamedTuple):
    """A floating-point format, as far as the rounding bound of `oracle.py` depends on it."""

    name: PrecisionName
    unit: float
    """The unit roundoff u: the largest relative error of rounding one number."""
    conversions: int
    """How many more roundings a term of the gradient takes part in because what the backend is
    given is rounded, too: both factors from X, α and n. If there are any, so is the start."""
    underflow: float
    """The largest error of an operation whose result is too small for the format."""
    largest: float
    bytes: int
    """The size of a number."""

    def growth(self, roundings: int) -> float:
        """Return γ = mu/(1 − mu), the largest relative error of m roundings; inf if mu ≥ 1."""
        error = roundings * self.unit
        return error / (1 - error) if error < 1 else np.inf


# 2⁻¹⁰⁷⁴ per operation, enlarged because the bound itself may underflow
FLOAT64 = Precision("float64", 2.0**-53, 0, 2.0**-1060, float(np.finfo(np.float64).max), 8)
# Below the smallest normal number, some hardware returns 0
FLOAT32 = Precision("float32", 2.0**-24, 4, 2.0**-126, float(np.finfo(np.float32).max), 4)

BY_UNIT = {precision.unit: precision for precision in (FLOAT64, FLOAT32)}
BY_NAME = {precision.name: precision for precision in (FLOAT64, FLOAT32)}
