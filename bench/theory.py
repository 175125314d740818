"""What mathematics says before any training: the Hessian, its directions, the rates, the optimum.

H = (2/n) AᵀA with A = [X 1] has eigenvalues λᵢ and orthonormal eigenvectors qᵢ. Along qᵢ the error
of (w, b) is multiplied by 1 − αλᵢ in every epoch, whatever happens along the other directions
(Nocedal and Wright, *Numerical Optimization*, 2nd ed., §3.3). So descent is stable for α < 2/λmax,
and fastest in the long run at α = 2/(λmin + λmax).
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np

from backends.interface import Floats, InputValueError
from bench.data import Dataset
from bench.scaling import Scaling

Rate = float | Literal["auto"]

DEPENDENT = 1e-12  # a column that the others make up to twelve digits says nothing new
ENOUGH = 10.0  # time constants after which an error is gone: e⁻¹⁰
SLOW = 0.1  # of the fastest rate
LONGEST = 10**15  # epochs; what takes longer never ends
BLOCK = 65_536  # rows that are factorized at a time, so that no copy of all of X is made


class Hessian(NamedTuple):
    """Eigenvalues and eigenvectors of H."""

    values: Floats
    """(d + 1,) λᵢ ≥ 0, ascending; inf where float64 overflows"""
    vectors: Floats
    """(d + 1, d + 1) column i is qᵢ; the rows are w₁ … w_d and b"""
    free: int = 0
    """How many of the λᵢ, the first, are 0 because columns depend on each other; descent makes no
    step along their qᵢ"""

    @property
    def largest(self) -> float:
        """λmax, the curvature along the steepest direction."""
        return float(self.values[-1])

    @property
    def smallest(self) -> float:
        """λmin, the curvature along the flattest direction that descent moves along."""
        return float(self.values[self.free])

    @property
    def condition(self) -> float:
        """κ = λmax/λmin: how many times as steep the steepest direction is as the flattest."""
        if self.smallest == 0 or not math.isfinite(self.largest):
            return math.inf
        return self.largest / self.smallest

    @property
    def limit(self) -> float:
        """2/λmax: descent is stable below this rate and diverges above it."""
        return 2 / self.largest

    @property
    def fastest(self) -> float:
        """2/(λmin + λmax): the rate with the least contraction factor ρ."""
        return 2 / (self.smallest + self.largest)

    def contraction(self, lr: float) -> float:
        """Return ρ = max|1 − αλᵢ|, by which the error changes per epoch in the end."""
        with np.errstate(over="ignore"):
            return float(np.abs(1 - lr * self.values[self.free :]).max())


def hessian(X: Floats, free: int = 0) -> Hessian:
    """Return the spectrum of H, by singular values: A = UΣQᵀ gives λᵢ = (2/n) σᵢ².

    That keeps twice as many digits of the small λ as forming AᵀA would (Golub and Van Loan,
    *Matrix Computations*, 4th ed., §5.3.2). `free` is the one of `least_squares`.
    """
    unit = max(1.0, -float(X.min()), float(X.max()))
    R = _triangle(
        np.column_stack([rows / unit, np.full(len(rows), 1 / unit)]) for rows in _blocks(X)
    )
    _, found, Qt = np.linalg.svd(R)
    sigma = np.zeros(len(Qt))
    sigma[: len(found)] = found
    with np.errstate(over="ignore", under="ignore"):
        values = (sigma * unit * math.sqrt(2 / len(X)))[::-1] ** 2
    values[:free] = 0.0
    return Hessian(values, Qt[::-1].T.copy(), free)


def auto_rate(H: Hessian, epochs: int) -> float:
    """Return the fastest stable rate for this many epochs, 2/(μ + λmax), rounded down to 4 digits.

    μ is λmin, but at least 10 λmax/epochs. A direction that is flatter cannot arrive in that time
    anyway, and a rate so close to 2/λmax would keep the steepest direction swinging until the end.
    The rate is 0 if λmax is beyond float64.
    """
    if not math.isfinite(H.largest):
        return 0.0
    reachable = ENOUGH / max(epochs, ENOUGH)
    rate = 2 / (max(H.smallest, reachable * H.largest) + H.largest)
    return _rounded_down(rate, 4)


def chosen_rate(lr: Rate, data: Dataset, H: Hessian, epochs: int) -> float:
    """Return lr itself, or the automatic rate.

    Raises:
        InputValueError: no rate is stable.

    """
    if lr != "auto":
        return float(lr)
    rate = auto_rate(H, epochs)
    if rate == 0:
        raise InputValueError(
            f"{data.name}: no rate is stable, the values are too large; --standardize scales them"
        )
    return rate


class LeastSquares(NamedTuple):
    """The (w, b) of least loss, to which stable descent from zero converges."""

    w: Floats
    b: float
    loss: float
    dependent: tuple[str, ...] = ()
    """Which features follow from others, in words: then w is not unique"""
    free: int = 0
    """How many dimensions the solutions have"""

    @property
    def ambiguity(self) -> str:
        """Say that, and why, other w fit equally well; empty if none does."""
        if not self.dependent:
            return ""
        words = "; ".join(self.dependent[:5])
        more = len(self.dependent) - 5
        return f"w is not unique: {words}" + (f"; and {more} more" if more > 0 else "")


def least_squares(data: Dataset) -> LeastSquares:
    """Return argmin L, by orthogonal factorization of the centered and scaled columns.

    Of many solutions it is the one of least ‖(w, b)‖, since descent from zero takes no step along
    a direction that leaves the loss as it is. A column counts as dependent if others and a
    constant make it up to twelve digits.

    Raises:
        InputValueError: w or b is beyond float64.

    """
    scaling = Scaling.of(data)
    scaled = scaling.apply(data)
    R = _triangle(map(np.column_stack, zip(_blocks(scaled.X), _blocks(scaled.y), strict=True)))
    U, sigma, Qt = np.linalg.svd(R[:, :-1])
    rank = int((sigma > DEPENDENT * max(sigma[0], 1.0)).sum())
    with np.errstate(all="ignore"):
        w = scaling.weights(Qt[:rank].T @ (U[:, :rank].T @ R[:, -1] / sigma[:rank]))
        theta = np.append(w, scaling.bias(w, 0.0))
        if rank < len(Qt):
            along = scaling.weights(Qt[rank:])  # changes of w that a change of b makes up for
            N, _ = np.linalg.qr(np.column_stack([along, -along @ scaling.mean]).T)
            theta -= N @ (N.T @ theta)
        r = data.X @ theta[:-1] + theta[-1] - data.y
        loss = float(r @ r) / len(r)
    if not np.isfinite(theta).all():
        raise InputValueError(f"{data.name}: the least-squares weights are beyond float64")
    words = tuple(_dependencies(data, R[:, :-1])) if rank < len(Qt) else ()
    return LeastSquares(theta[:-1], float(theta[-1]), loss, words, len(Qt) - rank)


def restored(data: Dataset, scaling: Scaling | None, best: LeastSquares) -> LeastSquares:
    """Return the least squares of the scaled columns in the original units.

    Raises:
        InputValueError: w, b or the loss is beyond float64 in these units.

    """
    if scaling is None:
        return best
    with np.errstate(over="ignore", invalid="ignore"):
        w = scaling.weights(best.w)
        b = float(scaling.bias(w, best.b))
        unit = float(np.square(scaling.target_deviation))
    if not np.isfinite([*w, b]).all():
        raise InputValueError(f"{data.name}: the least-squares weights are beyond float64")
    if not math.isfinite(unit):
        raise InputValueError(
            f"{data.name}: {data.target!r} is so large that the loss is beyond float64; divide it"
        )
    return best._replace(w=w, b=b, loss=best.loss * unit)


def _dependencies(data: Dataset, R: Floats) -> Iterator[str]:
    """Say of each feature that follows from earlier ones; R is the triangular factor of X."""
    n, d = data.X.shape
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


@dataclass(frozen=True)
class Direction:
    """An eigenvector of the Hessian, and how much of the error at the start lies along it."""

    curvature: float
    """λᵢ"""
    vector: Floats
    """qᵢ (d + 1,), w₁ … w_d and b"""
    error: float
    """cᵢ = qᵢᵀ(θ₀ − θ*) of the start θ₀ = 0 and the least-squares θ* = (w, b)"""
    share_of_w: float
    """|cᵢ| ‖qᵢ,w‖ as a share of the sum over all directions"""
    share_of_b: float
    """|cᵢ qᵢ,b| as a share of the sum over all directions"""
    share_of_loss: float
    """λᵢ cᵢ² as a share of the sum over all directions"""

    def time_constant(self, lr: float) -> float:
        """Return −1/ln|1 − αλᵢ|, the epochs in which the error along qᵢ falls to 1/e.

        It is 0 if one epoch suffices, inf if nothing changes, negative if the error grows.
        """
        factor = abs(1 - lr * self.curvature)
        if factor in (0.0, 1.0):
            return 0.0 if factor == 0 else np.inf
        return float(-1 / np.log(factor))


def regime(H: Hessian, lr: float) -> str:
    """Say how descent behaves at this rate.

    It diverges from 2/λmax on; above 1/λmax it overshoots along the steepest direction and comes
    back from the other side; below a tenth of the fastest rate it is slow.
    """
    if lr >= H.limit:
        return "diverges"
    if lr > H.limit / 2:
        return "oscillating"
    return "slow" if lr < SLOW * H.fastest else "stable"


def directions(H: Hessian, best: LeastSquares) -> list[Direction]:
    """Return the directions that descent moves along, steepest first, for a start at zero."""
    order = np.arange(len(H.values))[::-1][: len(H.values) - H.free]
    values, Q = H.values[order], H.vectors[:, order]
    c = -Q.T @ np.append(best.w, best.b)
    with np.errstate(over="ignore", invalid="ignore"):
        of_w = _shares(np.linalg.norm(Q[:-1], axis=0) * np.abs(c))
        of_b = _shares(np.abs(Q[-1] * c))
        of_loss = _shares(values * c**2)
    return [
        Direction(float(values[i]), Q[:, i], *map(float, numbers))
        for i, numbers in enumerate(zip(c, of_w, of_b, of_loss, strict=True))
    ]


def _shares(values: Floats) -> Floats:
    total = values.sum()
    return values / total if total else values


def epochs_needed(directions: Sequence[Direction], lr: float, excess: float) -> int | None:
    """Return the first k with ½ Σ λᵢ cᵢ² (1 − αλᵢ)²ᵏ ≤ `excess`; None if there is none.

    The sum is what the loss exceeds the least one by after k epochs.
    """
    values = np.array([direction.curvature for direction in directions])
    c = np.array([direction.error for direction in directions])
    with np.errstate(divide="ignore", over="ignore", invalid="ignore"):
        start = np.log(values / 2) + 2 * np.log(np.abs(c))
        shrink = 2 * np.log(np.abs(1 - lr * values))
        goal = np.log(excess) if excess > 0 else -np.inf

    def reached(k: int) -> bool:
        with np.errstate(invalid="ignore"):
            logs = start + (k * shrink if k else 0.0)
        return bool(np.logaddexp.reduce(logs[~np.isnan(logs)]) <= goal)

    if (shrink[np.isfinite(start)] >= 0).any() or goal == -np.inf:
        return None
    low, high = -1, 1
    while not reached(high):
        low, high = high, 2 * high
        if high > LONGEST:
            return None
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if reached(middle) else (middle, high)
    return high


def quickest_rate(H: Hessian, along: Sequence[Direction], excess: float) -> float | None:
    """Return the rate, to 3 digits, that is predicted to bring the loss to `excess` first.

    It is less than the fastest one, which makes the last steps short but keeps the steepest
    direction swinging for long. Of equals it is the one with the least ρ. None if no rate brings
    the loss there.
    """
    shares = np.append(np.geomspace(0.02, 0.9, 150), 1 - np.geomspace(0.1, 1e-4, 100))
    rates = [_rounded_down(lr, 3) for lr in (H.limit * shares).tolist()]
    needed = [(epochs_needed(along, lr, excess), lr) for lr in rates]
    reached = [(k, H.contraction(lr), lr) for k, lr in needed if k is not None]
    return min(reached)[-1] if reached else None


def _rounded_down(value: float, digits: int) -> float:
    shift = 10.0 ** (digits - 1 - math.floor(math.log10(value)))
    return float(f"{math.floor(round(value * shift, 6)) / shift:.{digits}g}")


def _blocks(array: Floats) -> Iterator[Floats]:
    return (array[start : start + BLOCK] for start in range(0, len(array), BLOCK))


def _triangle(blocks: Iterator[Floats]) -> Floats:
    """Return R of the QR factorization of the blocks below each other, one after the other."""
    R: Floats | None = None
    for block in blocks:
        R = np.asarray(np.linalg.qr(block if R is None else np.vstack([R, block]), mode="r"))
    assert R is not None
    return R
