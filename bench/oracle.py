"""The exact trajectory of gradient descent, and how far floating point may stray from it.

Exact iterates
--------------
With A = [X 1] and θ = (w, b) the loss is quadratic, so one epoch needs nothing of the data but
G = AᵀA, c = Aᵀy and s = yᵀy:

    Aᵀr = Gθ − c,    L = (θᵀ(Aᵀr − c) + s) / n,    θ ← θ − (2α/n) Aᵀr.

G, c and s are computed without any rounding (`exact_gram`). The iteration then runs in decimal
arithmetic with 50 digits, which errs by 10⁻⁵⁰ where a backend errs by 10⁻¹⁶.

The rounding bound
------------------
Let u = 2⁻⁵³ and γ = mu / (1 − mu) with m = n + d + 10. By Higham, *Accuracy and Stability of
Numerical Algorithms*, 2nd ed., §3.1 and §4.2, a sum of products of m factors and terms errs by at
most γ Σ|terms|, in whatever order it is added, with fused multiply-adds or without. The 10 covers
the scalings by 2/n and α. Below, |·| and ≤ act on each component.

*Gradient.* Evaluated at the computed θ̂, it errs by at most

    δ = (2/n) γ |A|ᵀ(|A||θ̂| + |y|),

plus what underflow can add: half the smallest subnormal number per product.

*Iterate.* The step itself rounds once more, so the new error is e' = (I − αH) e + ω with
|ω| ≤ αδ + u|θ̂|. Let H = QΛQᵀ. In the eigenbasis the directions do not mix, and the bound ε on
|Qᵀe| obeys

    ε' ≤ |1 − αΛ| ε + |Q|ᵀ(αδ + u|θ̂|),    |e| ≤ |Q| ε.

The computed Q and Λ are exact for a matrix within κλmax of H, κ = 10(d + 1)u (LAPACK's eigensolver
is backward stable; Higham, §1.5); terms in κ pay for that.

*Loss.* At θ̂ = θ + e the exact loss is L + ∇Lᵀe + ½ eᵀHe. Evaluating it rounds each residual by at
most γ(|A||θ̂| + |y|)ᵢ, whose root mean square is τ, and the sum of squares by γ. By Cauchy–Schwarz,
with η = √L + √(½ eᵀHe),

    |L̂ − L| ≤ |Qᵀ∇L|ᵀε + ½ Σ λᵢεᵢ² + 2ητ + τ² + γ(η + τ)².

The bound is worst case: typical rounding errors stay below a hundredth of it. A backend that
leaves it does not compute this loop in float64, on any data.

Overflow
--------
Once a sum of absolute values exceeds the largest float64, a correct backend may return inf or
nan, sooner or later depending on its order of addition. From that epoch on the bound is infinite.
Where the exact value itself is beyond twice the largest float64, nothing finite is right.
"""

from dataclasses import dataclass
from decimal import MAX_EMAX, MIN_EMIN, Context, Decimal, localcontext
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from backends.interface import Floats, check_samples, check_schedule

YARDSTICK = "exact sums, 50-digit iterates"

UNIT_ROUNDOFF = 2.0**-53
UNDERFLOW = 2.0**-1050  # 2⁻¹⁰⁷⁵ per operation, enlarged since the bound itself underflows too
LARGEST = float(np.finfo(np.float64).max)

_DECIMALS = Context(prec=50, Emax=MAX_EMAX, Emin=MIN_EMIN)
_BLOCK = 4096  # rows whose products float64 adds exactly before Python's integers take over
_SLICE_BITS = 20  # 2 · 20 bits per product and 12 for the 4096 terms of a sum stay below 53

Flags = NDArray[np.bool_]
Exacts = NDArray[np.object_]  # int or Decimal


@dataclass(frozen=True)
class Exact:
    """Exact values, `near` + `rest`, about 106 bits of each, and how far float64 may be off."""

    near: Floats
    """Rounded to nearest; inf beyond the largest float64."""
    rest: Floats
    """The exact value − near; 0 where near is not finite."""
    overflows: Flags
    """Whether the exact value is beyond twice the largest float64."""
    bound: Floats
    """The largest error of a correct backend; inf from where it may overflow."""

    def error(self, values: Floats) -> Floats:
        """Return |values − exact|, inf where a value is not finite."""
        with np.errstate(invalid="ignore"):
            error = np.abs((values - self.near) - self.rest)
        return np.where(np.isfinite(values), error, np.inf)

    def at(self, epochs: NDArray[np.int64]) -> "Exact":
        """Return the rows of these epochs."""
        return Exact(
            self.near[epochs], self.rest[epochs], self.overflows[epochs], self.bound[epochs]
        )


@dataclass(frozen=True)
class ExactTrajectory:
    """Every epoch of the exact run: row k after k updates."""

    w: Exact
    """(epochs + 1, d)"""
    b: Exact
    """(epochs + 1,)"""
    loss: Exact
    """(epochs + 1,)"""
    may_overflow: Flags
    """(epochs + 1,) whether a sum over the samples may overflow, so that even nan is right."""

    def at(self, epochs: NDArray[np.int64]) -> "ExactTrajectory":
        """Return the rows of these epochs."""
        return ExactTrajectory(
            self.w.at(epochs), self.b.at(epochs), self.loss.at(epochs), self.may_overflow[epochs]
        )


def exact_trajectory(
    X: ArrayLike,
    y: ArrayLike,
    *,
    lr: float,
    epochs: int,
    w0: ArrayLike | None = None,
    b0: float = 0.0,
) -> ExactTrajectory:
    """Return the exact iterates and losses of every epoch, and the rounding bounds.

    Takes O(n·d²) floating-point operations once and O(d²) decimal ones per epoch.

    Raises:
        InputTypeError, InputValueError: as a backend's `prepare` and `train` do.

    """
    X, y = check_samples(X, y)
    n, d = X.shape
    lr, epochs, w0, b0, _ = check_schedule(d, lr, epochs, w0, b0)
    with localcontext(_DECIMALS):
        G, c, s = _sums(X, y)
        path = _iterate(G, c, s, n, np.append(w0, b0), lr, epochs)
        hessian = (Decimal(2) / n * G).astype(np.float64)
    bound, may_overflow = _rounding_bounds(X, y, lr, hessian, path)

    def column(i: int | slice) -> Exact:
        return Exact(path.near[:, i], path.rest[:, i], path.overflows[:, i], bound[:, i])

    return ExactTrajectory(column(slice(d)), column(d), column(d + 1), may_overflow)


def exact_gram(M: Floats) -> tuple[Exacts, NDArray[np.int32]]:
    """Return MᵀM without rounding: integers K (p, p) and exponents q (p,), MᵀM = K · 2^(qⱼ + qₖ).

    Each column is cut into slices of so few bits that float64 adds the products of two slices
    over a block of rows exactly, so BLAS can do the work; Python's integers add up the rest.
    Ozaki, Ogita, Oishi and Rump, "Error-free transformations of matrix multiplication by using
    fast routines of matrix multiplication and its applications", *Numerical Algorithms* 59 (2012).
    """
    _, top = np.frexp(np.abs(M).max(axis=0))
    K: Exacts = np.zeros((M.shape[1], M.shape[1]), dtype=object)
    depth = 0  # slices below `top` that K accounts for
    for start in range(0, len(M), _BLOCK):
        slices = _slices(M[start : start + _BLOCK], top)
        if len(slices) > depth:
            K *= 4 ** (_SLICE_BITS * (len(slices) - depth))
            depth = len(slices)
        for s, left in enumerate(slices, 1):
            for t, right in enumerate(slices, 1):
                products = (left.T @ right).astype(np.int64).astype(object)
                K += products * 2 ** (_SLICE_BITS * (2 * depth - s - t))
    return K, top - _SLICE_BITS * depth


def _slices(block: Floats, top: NDArray[np.int32]) -> list[Floats]:
    """Cut |block| < 2^top into integers: block = Σₛ sliceₛ · 2^(top − s · _SLICE_BITS), s ≥ 1."""
    rest, quantum, slices = block.copy(), top.copy(), []
    while rest.any():
        quantum -= _SLICE_BITS
        digits = np.trunc(np.ldexp(rest, -quantum))
        rest -= np.ldexp(digits, quantum)
        slices.append(digits)
    return slices


def _sums(X: Floats, y: Floats) -> tuple[Exacts, Exacts, Decimal]:
    """Return G = AᵀA, c = Aᵀy and s = yᵀy as decimals, A = [X 1]."""
    K, q = exact_gram(np.column_stack([X, np.ones(len(y)), y]))
    scale: Exacts = np.array([Decimal(2) ** int(e) for e in q], dtype=object)
    S = np.vectorize(Decimal, otypes=[object])(K) * np.outer(scale, scale)
    return S[:-1, :-1], S[:-1, -1], S[-1, -1]


class _Path(NamedTuple):
    """The exact run, row k after k updates; the columns are w, b and L."""

    near: Floats
    rest: Floats
    overflows: Flags
    slope: Floats
    """(epochs + 1, d + 1) ∇L"""


def _iterate(
    G: Exacts, c: Exacts, s: Decimal, n: int, start: Floats, lr: float, epochs: int
) -> _Path:
    """Run gradient descent in decimals; the caller sets their context."""
    rows, p = epochs + 1, len(start)
    path = _Path(
        near=np.empty((rows, p + 1)),
        rest=np.zeros((rows, p + 1)),
        overflows=np.zeros((rows, p + 1), dtype=bool),
        slope=np.empty((rows, p)),
    )
    theta: Exacts = np.array([Decimal(t) for t in start.tolist()], dtype=object)
    rate, scale = Decimal(lr), Decimal(2) / n
    for k in range(rows):
        pull = G @ theta - c  # Aᵀr
        slope = scale * pull
        state = np.append(theta, (theta @ (pull - c) + s) / n)
        near = path.near[k] = state.astype(np.float64)
        if np.isfinite(near).all():
            path.rest[k] = state - [Decimal(v) for v in near.tolist()]
        else:
            path.overflows[k] = ~np.isfinite((state / 2).astype(np.float64))
        path.slope[k] = slope
        theta = theta - rate * slope
    return path


def _rounding_bounds(
    X: Floats, y: Floats, lr: float, H: Floats, path: _Path
) -> tuple[Floats, Flags]:
    """Return the bounds on w, b and L, (epochs + 1, d + 2), and where sums may overflow.

    One percent on top pays for evaluating the bounds themselves in float64. The κ terms use
    1-norms: never less than the 2-norms of the derivation, and they do not overflow early.
    """
    n, d = X.shape
    gamma = (n + d + 10) * UNIT_ROUNDOFF / (1 - (n + d + 10) * UNIT_ROUNDOFF)
    kappa = 10 * (d + 1) * UNIT_ROUNDOFF
    theta, loss, slope = path.near[:, :-1], path.near[:, -1], path.slope
    bound, may_overflow = np.full_like(path.near, np.inf), np.ones(len(loss), dtype=bool)

    with np.errstate(all="ignore"):  # what overflows here ends as an infinite bound
        A = np.abs(np.column_stack([X, np.ones(n)]))
        G_abs, c_abs, s = A.T @ A, A.T @ np.abs(y), y @ y
        underflow = UNDERFLOW * ((d + 2) * A.sum(axis=0) + n)
        eigenvalues, Q = _eigen(H)
        largest = np.abs(eigenvalues).max()
        contraction, spread = np.abs(1 - lr * eigenvalues), np.abs(Q)
        mode = np.zeros(d + 1)  # ε

        for k in range(len(loss)):
            drift = spread @ mode + kappa * mode.sum()  # |e| ≤ drift
            size = np.abs(theta[k]) + drift  # |θ̂| ≤ size
            reach = _dot(G_abs, size) + c_abs  # |A|ᵀ(|A||θ̂| + |y|)
            bound[k, :-1] = drift

            tau = gamma * np.sqrt((_dot(reach + c_abs, size) + s) / n) + d * UNDERFLOW
            curve = 0.5 * _dot(np.abs(eigenvalues) + kappa * largest, mode**2)
            root = np.sqrt(max(loss[k], 0.0)) + np.sqrt(curve)
            if n * (root + tau) ** 2 < LARGEST:
                tilt = np.abs(slope[k] @ Q) + kappa * np.abs(slope[k]).sum()
                bound[k, -1] = _dot(tilt, mode) + curve + (2 * root + tau) * tau
                bound[k, -1] += gamma * (root + tau) ** 2 + UNDERFLOW

            slope_error = 2 / n * (gamma * reach + underflow) + UNDERFLOW  # δ
            local = lr * slope_error + UNIT_ROUNDOFF * size + UNDERFLOW
            mixed = kappa * (lr * largest * mode.sum() + local.sum())
            mode = contraction * mode + local @ spread + mixed
            may_overflow[k] = not 2 * max(1.0, lr) * reach.max() < LARGEST
            if may_overflow[k] or not np.isfinite(mode).all():
                break  # from the next update on, the bounds are infinite

        return 1.01 * bound, may_overflow


def _eigen(H: Floats) -> tuple[Floats, Floats]:
    """Return the eigenvalues and eigenvectors of H; infinite eigenvalues if H overflows."""
    if not np.isfinite(H).all():
        return np.full(len(H), np.inf), np.eye(len(H))
    eigenvalues, Q = np.linalg.eigh(H)
    return eigenvalues, Q


def _dot(a: Floats, b: Floats) -> Floats:
    """Return Σⱼ a[…, j] b[j], in which an infinite aⱼ counts nothing where bⱼ = 0."""
    product: Floats = np.where(b == 0, 0.0, a * b).sum(axis=-1)
    return product
