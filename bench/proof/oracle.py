"""The exact trajectory of gradient descent, and how far floating point may stray from it.

Exact iterates
--------------
With A = [X 1] and θ = (w, b) the loss is quadratic, so all that an epoch needs from the data is
G = AᵀA, c = Aᵀy and s = yᵀy:

    Aᵀr = Gθ − c,    L = (θᵀ(Aᵀr − c) + s) / n,    θ ← θ − (2α/n) Aᵀr.

G, c and s are computed without any rounding (`exact_sums.py`). The iteration then runs in decimal
arithmetic with 50 digits, whose relative error is 10⁻⁵⁰ where that of a backend is 10⁻¹⁶.

The rounding bound
------------------
Let u = 2⁻⁵³ and γₘ = mu / (1 − mu). By Higham, *Accuracy and Stability of Numerical Algorithms*,
2nd ed., §3.1 and §4.2, the error of a sum of products is at most γₘ Σ|terms| if no term takes part
in more than m roundings, with or without fused multiply-adds. In whatever order the n samples are
added, m ≤ n + d + 10; write γ for this one. (The 10 covers the scalings by 2/n and α.) Below, |·|
and ≤ apply to each component.

*Chains.* A backend may know that no sample takes part in more than c < n additions: sums of blocks,
which are then added, have c = the length of a block + the number of blocks. If it declares this as
`longest_chain(n, d)`, its gradients are held to γₘ with m = c + d + 10 instead. So are its losses,
unless it passes over the samples only once per call: its losses then may come from an orthogonal
factorization, whose errors no chain of additions bounds.

*Gradient.* Evaluated at the computed θ̂, its error is at most

    δ = (2/n) γₘ |A|ᵀ(|A||θ̂| + |y|),

plus what underflow can add: at most the smallest subnormal number per operation, times the factor
by which the result of that operation is multiplied.

*float32.* A backend may declare UNIT_ROUNDOFF = 2⁻²⁴. Then u is that, and what the backend is given
is rounded, too. A term xᵢⱼxᵢₖθₖ holds two numbers from X and is multiplied by α and by 2/n, so m
grows by 4. The start is off by u|θ₀|, and each number read may underflow. (`precision.py`)

*Iterate.* The error begins with e = 0, or |e| ≤ u|θ₀| in float32. The step itself rounds once
more, so the new error is e' = (I − αH) e + ω with |ω| ≤ αδ + u|θ̂|. Let H = QΛQᵀ. In the
eigenbasis the directions do not mix, and the bound ε on |Qᵀe| satisfies

    ε' ≤ |1 − αΛ| ε + |Q|ᵀ(αδ + u|θ̂|),    |e| ≤ |Q| ε.

The computed Q and Λ are exact for a matrix within κλmax of H, κ = 10(d + 1)2⁻⁵³ (LAPACK's
eigensolver is backward stable; Higham, §1.5); the terms with κ account for this.

*Loss.* At θ̂ = θ + e the exact loss is L + ∇Lᵀe + ½ eᵀHe. Evaluating it adds an error of at most
γ(|A||θ̂| + |y|)ᵢ to each residual, with a root mean square of τ, and a relative error of γ to the
sum of squares. By Cauchy–Schwarz, with η = √L + √(½ eᵀHe),

    |L̂ − L| ≤ |Qᵀ∇L|ᵀε + ½ Σ λᵢεᵢ² + 2ητ + τ² + γ(η + τ)².

This is a worst-case bound. Where the sums dominate, typical errors stay below a hundredth of it.
Where the steps are tiny compared with θ, there is only one rounding per step, and errors come close
to it. The bound grows with m: at m = 100 it catches one part in 10¹², at m = 10⁶ one part in 10⁹.

Overflow
--------
The bounds are computed in long double, which has a larger range of exponents than float64. Once a
sum of absolute values can exceed the largest float64, a correct backend may return inf or nan,
sooner or later depending on its order of addition. (Compensated sums, whose corrections then are
inf − inf, turn to nan at once.) Any finite value must still be within the bound, so no finite value
is right where exact value − bound exceeds the largest float64. (If long double is no wider than
float64, this last test is never made.) A backend in float32 may return inf or
nan once the largest float32 can be exceeded; but it may also keep its results in float64.
"""

import warnings
from dataclasses import dataclass
from decimal import MAX_EMAX, MIN_EMIN, Context, Decimal, localcontext
from operator import mul
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from gradrace.backends.interface import (
    Floats,
    Integers,
    check_samples,
    check_schedule,
    recorded_epochs,
)
from gradrace.bench.proof.exact_sums import Exacts, ExactSums, Wide, exact_sums
from gradrace.bench.proof.precision import FLOAT64, Precision

_BATCH = 1_024
"""Epochs whose decimals are kept at a time"""

YARDSTICK = "exact sums, 50-digit iterates"

_DECIMALS = Context(prec=50, Emax=MAX_EMAX, Emin=MIN_EMIN)

Flags = NDArray[np.bool_]


@dataclass(frozen=True)
class Exact:
    """Exact values, near + rest, to about 106 bits, and what a correct backend may return."""

    near: Floats
    """Rounded to nearest; inf beyond the largest float64."""
    rest: Floats
    """The exact value − near; 0 where near is not finite."""
    bound: Floats
    """The largest error of a finite value that a correct backend returns."""
    may_overflow: Flags
    """Whether a correct backend may return inf or nan instead."""
    must_overflow: Flags
    """Whether it cannot return a finite value."""

    def error(self, values: Floats) -> Floats:
        """Return |values − exact|, inf where a value is not finite."""
        with np.errstate(invalid="ignore"):
            error = np.abs((values - self.near) - self.rest)
        return np.where(np.isfinite(values), error, np.inf)

    def at(self, rows: NDArray[np.intp]) -> "Exact":
        """Return these rows."""
        return Exact(
            self.near[rows],
            self.rest[rows],
            self.bound[rows],
            self.may_overflow[rows],
            self.must_overflow[rows],
        )


@dataclass(frozen=True)
class ExactTrajectory:
    """The exact run, at every epoch, or at those that a trajectory records: m rows."""

    epoch: Integers
    """(m,) number of updates so far."""
    w: Exact
    """(m, d)"""
    b: Exact
    """(m,)"""
    loss: Exact
    """(m,)"""
    job: "_Job"
    """What is computed"""

    @property
    def sums(self) -> "Sums":
        """What the samples contribute, to be reused for another trajectory on the same samples."""
        return self.job.sums

    @property
    def precision(self) -> Precision:
        """What the backend computes in."""
        return self.job.precision

    def held_to(
        self, chain: int, precision: Precision = FLOAT64, loss_chain: int | None = None
    ) -> "ExactTrajectory":
        """Return the same for a backend of this precision with no longer chain of additions.

        In the loss, it is `loss_chain`, by default as before.
        """
        before = self.job
        chain, loss_chain = min(chain, before.chain), min(loss_chain or before.n, before.loss_chain)
        job = before._replace(chain=chain, loss_chain=loss_chain, precision=precision)
        if job[-3:] == before[-3:]:
            return self
        if precision.conversions and len(job.path.size) == 2:  # the start has an error, too
            with localcontext(_DECIMALS):
                job = job._replace(eigen=_eigen(job.sums))
        return _bounded(job)

    def at(self, epochs: Integers) -> "ExactTrajectory":
        """Return the rows of these epochs."""
        rows = np.searchsorted(self.epoch, epochs)
        return ExactTrajectory(
            self.epoch[rows], self.w.at(rows), self.b.at(rows), self.loss.at(rows), self.job
        )


class Sums(NamedTuple):
    """What n samples contribute, as decimals: G = AᵀA, c = Aᵀy and s = yᵀy, A = [X 1]."""

    n: int
    G: Exacts
    c: Exacts
    s: Decimal
    G_abs: Wide
    """|A|ᵀ|A|"""
    c_abs: Wide
    """|A|ᵀ|y|"""


def exact_trajectory(
    X: ArrayLike,
    y: ArrayLike,
    *,
    lr: float,
    epochs: int,
    w0: ArrayLike | None = None,
    b0: float = 0.0,
    sums: Sums | None = None,
) -> ExactTrajectory:
    """Return the exact iterates and losses of every epoch, and the rounding bounds.

    Takes O(n·d²) floating-point operations, most of them for the `sums`, which can be taken from an
    earlier trajectory on the same samples, and O(d²) decimal operations per epoch.

    Raises:
        InputTypeError, InputValueError: as a backend's `prepare` and `train` do.

    """
    X, y = check_samples(X, y)
    lr, epochs, w0, b0, _ = check_schedule(X.shape[1], lr, epochs, w0, b0)
    return trajectory_of(sums or sums_without_rounding(X, y), lr=lr, epochs=epochs, w0=w0, b0=b0)


def trajectory_of(
    sums: Sums,
    *,
    lr: float,
    epochs: int,
    w0: ArrayLike | None = None,
    b0: float = 0.0,
    every: int = 1,
) -> ExactTrajectory:
    """Return the exact trajectory on samples of which only the sums are known.

    It has a row for every `every`-th epoch, and for the last one.
    """
    lr, epochs, w0, b0, every = check_schedule(len(sums.c) - 1, lr, epochs, w0, b0, every)
    with localcontext(_DECIMALS):
        path = _iterate(sums, np.append(w0, b0), lr, epochs, every)
        eigen = _eigen(sums) if epochs > 1 else _any_directions(sums)
    return _bounded(_Job(sums, lr, path, eigen, sums.n, sums.n, FLOAT64))


def _bounded(job: "_Job") -> ExactTrajectory:
    """Add to an exact path how far a backend may stray from it."""
    path, bounds, d = job.path, _rounding_bounds(job), len(job.sums.c) - 1

    def exact(i: int | slice, may_overflow: Flags) -> Exact:
        near, bound = path.near[:, i], bounds.bound[:, i]
        return Exact(
            near=near,
            rest=path.rest[:, i],
            bound=bound.astype(np.float64),
            may_overflow=np.broadcast_to(may_overflow, near.T.shape).T,
            must_overflow=np.abs(path.wide[:, i]) - bound > FLOAT64.largest,
        )

    with np.errstate(over="ignore", invalid="ignore"):
        return ExactTrajectory(
            epoch=path.epoch,
            w=exact(slice(d), bounds.state_may_overflow),
            b=exact(d, bounds.state_may_overflow),
            loss=exact(d + 1, bounds.loss_may_overflow),
            job=job,
        )


def sums_without_rounding(X: Floats, y: Floats) -> Sums:
    """Return the sums over samples X (n, d) and y (n,), to 50 digits."""
    return in_decimals(exact_sums(X, y))


def in_decimals(exact: ExactSums) -> Sums:
    """Return exact sums, to 50 digits."""
    with localcontext(_DECIMALS):
        scale: Exacts = np.array([Decimal(2) ** int(e) for e in exact.q], dtype=object)
        S = np.vectorize(Decimal, otypes=[object])(exact.K) * np.outer(scale, scale)
    S_abs = exact.absolute
    return Sums(exact.n, S[:-1, :-1], S[:-1, -1], S[-1, -1], S_abs[:-1, :-1], S_abs[:-1, -1])


def term_roundings(additions: int, d: int, precision: Precision) -> int:
    """Return m, the most roundings of a term that takes part in this many additions."""
    return additions + d + 10 + precision.conversions


def unbounded(additions: int, d: int, precision: Precision) -> str:
    """Say why sums this long have no error bound; return an empty string if they have one."""
    if np.isfinite(precision.growth(term_roundings(additions, d, precision))):
        return ""
    return (
        f"a {precision.name} sum with {additions:,} additions in a row has no error bound; add in "
        "blocks, and declare longest_chain"
    )


def step_errors(
    G_abs: Wide, c_abs: Wide, n: int, rate: np.longdouble, gamma: float, precision: Precision
) -> tuple[Wide, Wide]:
    """Return M and v: evaluated at θ̂, a step α∇L is off by at most |θ̂|M + v.

    That is αδ = (2α/n) γ |A|ᵀ(|A||θ̂| + |y|), and what underflow can add to it.
    """
    p, ones = len(c_abs), G_abs[:, -1]
    tiny, scale = 2 * precision.underflow * (1 + rate), rate * 2 / n * gamma  # 2/n ≤ 2
    of_size = scale * G_abs + tiny * (G_abs + ones + ones[:, None])
    rest = scale * c_abs + tiny * (c_abs + c_abs[-1] + (p + 3) * ones + n + 1)
    return of_size, rest


def residual_underflow(size: Wide, G_abs: Wide, n: int, precision: Precision) -> Wide:
    """Return the root mean square of what underflow can add to each residual."""
    lengths = np.sqrt(np.diag(G_abs) / n).sum()
    result: Wide = precision.underflow * (size.shape[-1] + 1 + size.sum(axis=-1) + lengths)
    return result


class _Path(NamedTuple):
    """The exact run; a row holds the state after `epoch` updates, the columns are w, b and L."""

    epoch: Integers
    """(m,)"""
    near: Floats
    rest: Floats
    wide: Wide
    """The values again; inf only beyond long double."""
    slope: Wide
    """(m, d + 1) ∇L"""
    size: Wide
    """(epochs + 1, d + 1) |θ| at every epoch"""


def _iterate(sums: Sums, start: Floats, lr: float, epochs: int, every: int) -> _Path:
    """Run gradient descent on decimals; the caller sets the decimal context."""
    n, G, c, s = sums[:4]
    p, kept = len(start), recorded_epochs(epochs, every)
    m = len(kept)
    path = _Path(
        epoch=kept,
        near=np.empty((m, p + 1)),
        rest=np.zeros((m, p + 1)),
        wide=np.empty((m, p + 1), dtype=np.longdouble),
        slope=np.empty((m, p), dtype=np.longdouble),
        size=np.empty((epochs + 1, p), dtype=np.longdouble),
    )
    theta, rows_of_G, scale = list(map(Decimal, start.tolist())), G.tolist(), Decimal(2) / n
    step = Decimal(lr) * scale
    for first in range(0, epochs + 1, _BATCH):
        batch = []
        for _ in range(first, min(first + _BATCH, epochs + 1)):
            batch.append(theta)
            pulls = (
                sum(map(mul, row, theta)) - of_y for row, of_y in zip(rows_of_G, c, strict=True)
            )
            theta = [t - step * pull for t, pull in zip(theta, pulls, strict=True)]
        states: Exacts = np.array(batch, dtype=object)
        path.size[first : first + len(batch)] = np.abs(_widen(states))
        rows = slice(*np.searchsorted(kept, (first, first + len(batch))))
        states = states[kept[rows] - first]
        slopes = states @ G - c  # Aᵀr
        losses = ((states * (slopes - c)).sum(axis=1) + s) / n
        exactly = np.column_stack([states, losses])
        near: Floats = exactly.astype(np.float64)
        path.near[rows] = near
        finite = np.isfinite(near)
        path.rest[rows][finite] = exactly[finite] - _decimals(near[finite])
        path.wide[rows], path.slope[rows] = _widen(exactly), _widen(scale * slopes)
    return path


def _decimals(values: Floats) -> Exacts:
    """Return floats (m,) as decimals, exactly."""
    return np.array([Decimal(value) for value in values.tolist()], dtype=object)


def _widen(values: Exacts) -> Wide:
    """Return decimals as long doubles."""
    wide: Wide = values.astype(np.float64).astype(np.longdouble)
    large = ~np.isfinite(wide)
    with np.errstate(over="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # inf beyond long double
        wide[large] = [np.longdouble(str(value)) for value in values[large]]
    return wide


class _Eigen(NamedTuple):
    values: Wide
    vectors: Floats


def _eigen(sums: Sums) -> _Eigen:
    """Return eigenvalues and eigenvectors of H, which may be beyond float64."""
    H = Decimal(2) / sums.n * sums.G
    scale = Decimal(10) ** max(abs(entry) for entry in H.diagonal()).adjusted()
    values, vectors = np.linalg.eigh((H / scale).astype(np.float64))
    return _Eigen(values * _widen(np.array([scale], dtype=object)), vectors)


def _any_directions(sums: Sums) -> _Eigen:
    """Return what serves instead for a single epoch, if the start has no error to propagate.

    The unit vectors, with the trace of H, which no eigenvalue exceeds. So what an epoch adds to a
    component is not mixed with what it adds to larger ones.
    """
    p = len(sums.c)
    trace = _widen(np.array([Decimal(2) / sums.n * sums.G.trace()], dtype=object))
    return _Eigen(np.repeat(trace, p), np.eye(p))


class _Job(NamedTuple):
    """What an exact trajectory, and the bound on it, follow from."""

    sums: Sums
    lr: float
    path: _Path
    eigen: _Eigen
    chain: int
    """The most additions in a row that a sample may take part in"""
    loss_chain: int
    """The same for the sum of squares"""
    precision: Precision
    """What a backend computes in"""

    @property
    def n(self) -> int:
        return self.sums.n


class _Bounds(NamedTuple):
    bound: Wide
    """(m, d + 2) on w, b and L"""
    state_may_overflow: Flags
    """(m,) w or b, or an intermediate result on the way to them"""
    loss_may_overflow: Flags
    """(m,) the sum of squares"""


def _rounding_bounds(job: _Job) -> _Bounds:
    """Return the bounds derived in the docstring of this module.

    One percent is added for the rounding errors of the bounds themselves. The κ terms use 1-norms,
    which are never less than the 2-norms of the derivation.
    """
    sums, lr, path, eigen, chain, loss_chain, precision = job
    n, d, largest_float = sums.n, len(sums.c) - 1, precision.largest
    roundings = (term_roundings(additions, d, precision) for additions in (loss_chain, chain))
    gamma, gamma_of_chain = map(precision.growth, roundings)
    kappa = 10 * (d + 1) * FLOAT64.unit
    G_abs, c_abs, rate = sums.G_abs, sums.c_abs, np.longdouble(lr)

    with np.errstate(all="ignore"):  # an overflow gives an infinite bound
        s = _widen(np.array([sums.s]))[0]
        modes = _modes(job, *step_errors(G_abs, c_abs, n, rate, gamma_of_chain, precision))
        curvature = np.abs(eigen.values)
        drift = modes @ (np.abs(eigen.vectors).T + kappa)  # |e| ≤ drift
        size = path.size + drift  # |θ̂| ≤ size
        reach = size @ G_abs + c_abs  # |A|ᵀ(|A||θ̂| + |y|)
        state_may_overflow = ~(size.max(axis=1) < largest_float)
        largest_sum = np.maximum(reach.max(axis=1), max(G_abs.max(), 1)) * 2 * max(rate, 1)
        sums_may_overflow = state_may_overflow | ~(largest_sum < largest_float)
        state_may_overflow[1:] |= np.logical_or.accumulate(sums_may_overflow)[:-1]
        sums_may_overflow |= state_may_overflow

        mode, size, reach = modes[path.epoch], size[path.epoch], reach[path.epoch]
        tau = gamma * np.sqrt((np.sum(size * (reach + c_abs), axis=1) + s) / n)
        tau += residual_underflow(size, G_abs, n, precision)
        curve = 0.5 * mode**2 @ (curvature + kappa * curvature.max())
        root = np.sqrt(np.maximum(path.wide[:, -1], 0)) + np.sqrt(curve)
        tilt = np.abs(path.slope @ eigen.vectors)
        tilt += kappa * np.abs(path.slope).sum(axis=1, keepdims=True)
        evaluation = (2 * root + tau) * tau + gamma * (root + tau) ** 2 + 2 * precision.underflow
        of_loss = np.sum(tilt * mode, axis=1) + curve + evaluation
        bound: Wide = np.column_stack([drift[path.epoch], of_loss]) * np.longdouble(1.01)
        bound[~np.isfinite(bound)] = np.inf  # also inf − inf where γ is infinite
        squares = n * (root + tau) ** 2
    return _Bounds(
        bound,
        state_may_overflow[path.epoch],
        sums_may_overflow[path.epoch] | ~(squares < largest_float),
    )


def _modes(job: _Job, of_size: Wide, rest: Wide) -> Wide:
    """Return ε (epochs + 1, d + 1), the bound on |Qᵀe|; inf once it is beyond long double.

    A step adds at most |θ̂| · `of_size` + `rest`, and its own rounding.
    """
    precision, values, size = job.precision, job.eigen.values, job.path.size
    p = len(values)
    kappa = 10 * p * FLOAT64.unit
    rate, spread = np.longdouble(job.lr), np.abs(job.eigen.vectors) + kappa
    own = of_size + precision.unit * np.eye(p)
    contraction = np.diag(np.abs(1 - rate * values)) + kappa * rate * np.abs(values).max()
    modes: Wide = np.zeros(size.shape, dtype=np.longdouble)
    if precision.conversions:
        modes[0] = (precision.unit * size[0] + precision.underflow) @ spread

    def carried(mode: Wide) -> Wide:
        return np.asarray(mode @ contraction + mode @ spread.T @ own @ spread)

    added = (size[:-1] @ own + rest) @ spread
    transfer = carried(np.eye(p, dtype=np.longdouble)) if len(added) > p else None
    for k, mode in enumerate(modes[:-1]):
        modes[k + 1] = (carried(mode) if transfer is None else mode @ transfer) + added[k]
    modes[np.isnan(modes)] = np.inf
    return modes
