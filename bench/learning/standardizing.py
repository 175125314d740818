"""Center and scale columns, which makes descent faster, and convert back to the user's units."""

from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from gradrace.backends.interface import Floats, Trajectory
from gradrace.bench.data.samples import Samples

Kind = TypeVar("Kind", bound=Samples)


@dataclass(frozen=True)
class Scaling:
    """The mean μ and the standard deviation σ of every column; σ is 1 for a constant column."""

    mean: Floats
    """(d,) of the features"""
    deviation: Floats
    """(d,) of the features"""
    target_mean: float
    target_deviation: float

    @classmethod
    def of(cls, data: Samples) -> "Scaling":
        """Return the scaling of these columns.

        Raises:
            InputValueError: a column spans more than float64 can hold.

        """
        mean, deviation = data.moments()
        return cls(mean[:-1], deviation[:-1], float(mean[-1]), float(deviation[-1]))

    def apply(self, data: Kind) -> Kind:
        """Return the data with every column x, including the target, replaced by (x − μ)/σ."""
        return data.scaled(
            np.append(self.mean, self.target_mean), np.append(self.deviation, self.target_deviation)
        )

    def weights(self, w: Floats) -> Floats:
        """Convert weights (…, d) of the scaled columns to weights of the original ones."""
        return w * (self.target_deviation / self.deviation)

    def bias(self, w: Floats, b: Floats | float) -> Floats:
        """Return the bias (…) in original units; w (…, d) are the weights in original units."""
        bias: Floats = self.target_mean + self.target_deviation * b - w @ self.mean
        return bias

    def original_directions(self, directions: Floats) -> Floats:
        """Convert directions (d + 1, k) of scaled (w, b) to orthonormal ones in original units."""
        w = self.weights(directions[:-1].T)
        b = self.target_deviation * directions[-1] - w @ self.mean
        basis, _ = np.linalg.qr(np.column_stack([w, b]).T)
        return np.asarray(basis)

    def scaled_directions(self, directions: Floats) -> Floats:
        """Convert directions (d + 1, k) of original (w, b) to orthonormal ones in scaled units."""
        scaled = [self.scaled_difference(column[:-1], column[-1]) for column in directions.T]
        basis, _ = np.linalg.qr(np.column_stack(scaled))
        return np.asarray(basis)

    def scaled_difference(self, w: Floats, b: float) -> Floats:
        """Convert a difference of two (w, b) from original to scaled units, (d + 1,)."""
        difference = np.append(w * self.deviation, b + w @ self.mean)
        return difference / self.target_deviation

    def restore(self, path: Trajectory) -> Trajectory:
        """Convert a trajectory on the scaled columns to the original units."""
        with np.errstate(all="ignore"):  # a run may diverge
            w = self.weights(path.w)
            loss = path.loss * self.target_deviation**2
            return Trajectory(path.epoch, w, self.bias(w, path.b), loss)
