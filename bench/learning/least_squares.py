"""Standardized columns, the (w, b) of least loss, and which columns depend on others."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple, TypeVar

import numpy as np

from gradrace.backends.interface import Floats, InputValueError, Trajectory
from gradrace.bench.data.samples import Samples

DEPENDENT = 1e-12  # a column that others reproduce to twelve digits adds no information

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


class LeastSquares(NamedTuple):
    """The (w, b) of least loss, to which stable descent from zero converges."""

    w: Floats
    b: float
    loss: float
    dependent: tuple[str, ...] = ()
    """Which features follow from others, in words; if any do, w is not unique"""
    null: Floats | None = None
    """(d + 1, free) an orthonormal basis of the directions in which the loss does not change"""

    @property
    def ambiguity(self) -> str:
        """Say that other w fit equally well, and why; empty if none does."""
        if self.null is None:
            return ""
        if not self.dependent:
            return "w is not unique: the columns depend on each other to twelve digits"
        words = "; ".join(self.dependent[:5])
        more = len(self.dependent) - 5
        return f"w is not unique: {words}" + (f"; and {more} more" if more > 0 else "")


def least_squares(data: Samples) -> LeastSquares:
    """Return argmin L, by orthogonal factorization of the centered and scaled columns.

    If there are many solutions, it is the one with the smallest ‖(w, b)‖, because descent from zero
    makes no step in a direction that does not change the loss. A column counts as dependent if
    others and a constant reproduce it to twelve digits. Values beyond float64 are inf or nan.
    """
    scaling = Scaling.of(data)
    R = scaling.apply(data).centered_factor()
    U, sigma, Qt = np.linalg.svd(R[:, :-1])
    rank = int((sigma > DEPENDENT * max(sigma[0], 1.0)).sum())
    with np.errstate(all="ignore"):
        w = scaling.weights(Qt[:rank].T @ (U[:, :rank].T @ R[:, -1] / sigma[:rank]))
        theta = np.append(w, scaling.bias(w, 0.0))
        null = None
        if rank < len(Qt):
            unseen = np.where(np.abs(Qt[rank:]) > DEPENDENT, Qt[rank:], 0.0)  # drop rounding errors
            null = scaling.original_directions(np.vstack([unseen.T, np.zeros(len(unseen))]))
            theta -= null @ (null.T @ theta)
    loss = data.loss(theta[:-1], float(theta[-1]))
    words = () if null is None else tuple(_dependencies(data, R[:, :-1]))
    return LeastSquares(theta[:-1], float(theta[-1]), loss, words, null)


def restored(data: Samples, scaling: Scaling | None, best: LeastSquares) -> LeastSquares:
    """Return the least-squares solution of the training columns, converted to the original units.

    If there are many solutions, it is still the one to which descent on the scaled columns leads.

    Raises:
        InputValueError: w, b or the loss is beyond float64 in these units.

    """
    if scaling is None:
        if not np.isfinite([*best.w, best.b]).all():
            raise InputValueError(f"{data.name}: the least-squares weights are beyond float64")
        if not math.isfinite(data.mean_square):
            raise InputValueError(_too_large(data))
        return best
    with np.errstate(over="ignore", invalid="ignore"):
        w = scaling.weights(best.w)
        b = float(scaling.bias(w, best.b))
        unit = float(np.square(scaling.target_deviation))
    if not np.isfinite([*w, b]).all():
        raise InputValueError(f"{data.name}: the least-squares weights are beyond float64")
    if not math.isfinite(unit):
        raise InputValueError(_too_large(data))
    null = None if best.null is None else scaling.original_directions(best.null)
    return best._replace(w=w, b=b, loss=best.loss * unit, null=null)


def _too_large(data: Samples) -> str:
    return f"{data.name}: {data.target!r} is so large that the loss is beyond float64; divide it"


def _dependencies(data: Samples, R: Floats) -> Iterator[str]:
    """Yield a message per feature that follows from earlier ones; R is the triangular factor."""
    n, d = data.n, len(data.features)
    if n <= d:
        yield f"{d:,} weights and b need more than {n:,} rows"
        return
    names, independent = [repr(name) for name in data.features], list[int]()
    for j, column in enumerate(R[:d].T):
        if not column.any():
            yield f"{names[j]} is constant"
        elif abs(column[j]) > DEPENDENT * np.abs(column).max():
            independent.append(j)
        else:
            shares, *_ = np.linalg.lstsq(R[:d, independent], column, rcond=None)
            others = [names[i] for i, c in zip(independent, shares, strict=True) if abs(c) > 1e-9]
            yield f"{names[j]} follows from {', '.join(others)}"


def digits(value: float, exact: float) -> int:
    """Return how many significant digits agree: −log₁₀(|value − exact| / |exact|), from 0 to 15.

    McCullough, "Assessing the reliability of statistical software: part I", *The American
    Statistician* 52 (1998), where it is called the log relative error.
    """
    if value == exact:
        return 15
    error = abs(value - exact) / abs(exact) if exact else abs(value)
    return int(min(15.0, max(0.0, -math.log10(error)))) if math.isfinite(error) else 0
