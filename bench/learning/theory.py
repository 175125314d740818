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
from bench.data.samples import Dataset
from bench.learning.standardizing import Scaling

Rate = float | Literal["auto"]

DEPENDENT = 1e-12  # a column that the others make up to twelve digits says nothing new
ENOUGH = 10.0  # time constants after which an error is gone: e⁻¹⁰
SLOW = 0.1  # of the fastest rate
NEAR = 0.01  # of the least loss, above it: close enough
ROUNDING = 1e-24  # of the first loss: what is below that, rounding made
LONGEST = 10**15  # epochs; what takes longer never ends
BLOCK = 65_536  # rows that are factorized at a time, so that LAPACK copies no more


class Hessian(NamedTuple):
    """Eigenvalues and eigenvectors of H."""

    values: Floats
    """(d + 1,) λᵢ ≥ 0, ascending; inf where float64 overflows"""
    vectors: Floats
    """(d + 1, d + 1) column i is qᵢ; the rows are w₁ … w_d and b"""
    free: int = 0
    """How many of the λᵢ, the first, are 0 because columns depend on each other: descent makes no
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


def hessian(X: Floats, null: Floats | None = None) -> Hessian:
    """Return the spectrum of H, by singular values: A = UΣQᵀ gives λᵢ = (2/n) σᵢ².

    That keeps twice as many digits of the small λ as forming AᵀA would (Golub and Van Loan,
    *Matrix Computations*, 4th ed., §5.3.2). `null` (d + 1, free) is the null space of A, as
    `least_squares` returns it for the same columns; nothing if None.
    """
    unit = max(1.0, -float(X.min()), float(X.max()))
    R = _triangle(
        np.column_stack([rows / unit, np.full(len(rows), 1 / unit)]) for rows in _blocks(X)
    )
    null = np.empty((R.shape[1], 0)) if null is None else null
    basis, _ = np.linalg.qr(null, mode="complete")
    free = null.shape[1]
    _, found, Qt = np.linalg.svd(R @ basis[:, free:])
    sigma = np.zeros(R.shape[1])
    sigma[: len(found)] = found
    with np.errstate(over="ignore", under="ignore"):
        values = (sigma * unit * math.sqrt(2 / len(X)))[::-1] ** 2
    return Hessian(values, np.hstack([basis[:, :free], basis[:, free:] @ Qt[::-1].T]), free)


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
    null: Floats | None = None
    """(d + 1, free) an orthonormal basis of the directions along which the loss stays as it is"""

    @property
    def ambiguity(self) -> str:
        """Say that, and why, other w fit equally well; empty if none does."""
        if self.null is None:
            return ""
        if not self.dependent:
            return "w is not unique: the columns depend on each other to twelve digits"
        words = "; ".join(self.dependent[:5])
        more = len(self.dependent) - 5
        return f"w is not unique: {words}" + (f"; and {more} more" if more > 0 else "")


def least_squares(data: Dataset) -> LeastSquares:
    """Return argmin L, by orthogonal factorization of the centered and scaled columns.

    Of many solutions it is the one of least ‖(w, b)‖, since descent from zero takes no step along
    a direction that leaves the loss as it is. A column counts as dependent if others and a
    constant make it up to twelve digits. What is beyond float64 is inf or nan.
    """
    scaling = Scaling.of(data)
    scaled = scaling.apply(data)
    R = _triangle(map(np.column_stack, zip(_blocks(scaled.X), _blocks(scaled.y), strict=True)))
    U, sigma, Qt = np.linalg.svd(R[:, :-1])
    rank = int((sigma > DEPENDENT * max(sigma[0], 1.0)).sum())
    with np.errstate(all="ignore"):
        w = scaling.weights(Qt[:rank].T @ (U[:, :rank].T @ R[:, -1] / sigma[:rank]))
        theta = np.append(w, scaling.bias(w, 0.0))
        null = None
        if rank < len(Qt):
            unseen = np.where(np.abs(Qt[rank:]) > DEPENDENT, Qt[rank:], 0.0)  # no mere rounding
            null = scaling.original_directions(np.vstack([unseen.T, np.zeros(len(unseen))]))
            theta -= null @ (null.T @ theta)
        r = data.X @ theta[:-1] + theta[-1] - data.y
        loss = float(r @ r) / len(r)
    words = () if null is None else tuple(_dependencies(data, R[:, :-1]))
    return LeastSquares(theta[:-1], float(theta[-1]), loss, words, null)


def restored(data: Dataset, scaling: Scaling | None, best: LeastSquares) -> LeastSquares:
    """Return the least squares of the columns that were trained on in the original units.

    Of many solutions it stays the one to which descent on the scaled columns leads.

    Raises:
        InputValueError: w, b or the loss is beyond float64 in these units.

    """
    if scaling is None:
        if not np.isfinite([*best.w, best.b]).all():
            raise InputValueError(f"{data.name}: the least-squares weights are beyond float64")
        with np.errstate(over="ignore"):
            first = float(np.mean(data.y**2))
        if not math.isfinite(first):
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


def _too_large(data: Dataset) -> str:
    return f"{data.name}: {data.target!r} is so large that the loss is beyond float64; divide it"


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
    """cᵢ = qᵢᵀ(θ₀ − θ*) of the start θ₀ and the least-squares θ*, both (w, b)"""
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
        log_factor = float(_log_factors(lr, np.array(self.curvature)))
        return -1 / log_factor if log_factor else np.inf


def regime(H: Hessian, lr: float) -> str:
    """Say how descent behaves at this rate.

    It diverges from 2/λmax on; above 1/λmax it overshoots along the steepest direction and comes
    back from the other side; below a tenth of the fastest rate it is slow.
    """
    if lr >= H.limit:
        return "diverges"
    if lr > H.limit / 2 * (1 + 1e-9):  # where all λ are equal, 1/λmax is perfect
        return "oscillating"
    return "slow" if lr < SLOW * H.fastest else "stable"


def close_enough(least: float, first: float) -> float:
    """Return by how much a loss may exceed the least one to count as there: 1 %, or rounding."""
    return max(NEAR * least, ROUNDING * first)


def directions(H: Hessian, error: Floats) -> list[Direction]:
    """Return the directions that descent moves along, steepest first; `error` is θ₀ − θ*."""
    order = np.arange(len(H.values))[::-1][: len(H.values) - H.free]
    values, Q = H.values[order], H.vectors[:, order]
    c = Q.T @ error
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
        shrink = 2 * _log_factors(lr, values)
        goal = np.log(excess) if excess > 0 else -np.inf

    def reached(k: int) -> bool:
        with np.errstate(invalid="ignore"):
            logs = start + (k * shrink if k else 0.0)
        return bool(np.logaddexp.reduce(logs[~np.isnan(logs)]) <= goal)

    if not c.any():
        return 0
    if (shrink[c != 0] >= 0).any() or goal == -np.inf:
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
    shares = np.append(np.linspace(0.5, 0.98, 200), 1 - np.geomspace(0.02, 1e-4, 100))
    rates = {_rounded_down(lr, 3) for lr in (*(H.limit * shares).tolist(), H.fastest)}
    needed = [(epochs_needed(along, lr, excess), lr) for lr in rates]
    reached = [(k, H.contraction(lr), lr) for k, lr in needed if k is not None]
    return min(reached)[-1] if reached else None


def _log_factors(lr: float, values: Floats) -> Floats:
    """Return ln|1 − αλᵢ|, to all digits where αλᵢ is tiny."""
    with np.errstate(divide="ignore", over="ignore", invalid="ignore"):
        x = lr * values
        logs: Floats = np.where(x < 1, np.log1p(-np.minimum(x, 1.0)), np.log(np.abs(x - 1)))
    return logs


def _rounded_down(value: float, digits: int) -> float:
    mantissa, exponent = f"{value:.14e}".split("e")  # 0.49999999999999994 counts as 0.5
    shift = 10 ** (digits - 1)
    return float(f"{math.floor(float(mantissa) * shift + 1e-9) / shift}e{exponent}")


def _blocks(array: Floats) -> Iterator[Floats]:
    return (array[start : start + BLOCK] for start in range(0, len(array), BLOCK))


def _triangle(blocks: Iterator[Floats]) -> Floats:
    """Return R of the QR factorization of the blocks below each other, one after the other."""
    R: Floats | None = None
    for block in blocks:
        R = np.asarray(np.linalg.qr(block if R is None else np.vstack([R, block]), mode="r"))
    assert R is not None
    return R


def digits(value: float, exact: float) -> int:
    """Return how many significant digits agree: −log₁₀ |value − exact| / |exact|, 0 … 15.

    McCullough, "Assessing the reliability of statistical software: part I", *The American
    Statistician* 52 (1998), who calls it the log relative error.
    """
    if value == exact:
        return 15
    error = abs(value - exact) / abs(exact) if exact else abs(value)
    return int(min(15.0, max(0.0, -math.log10(error)))) if math.isfinite(error) else 0
