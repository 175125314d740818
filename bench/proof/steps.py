"""The verdict on any training run on known samples, step by step, without an exact trajectory.

`agreement.py` compares a whole run with the exact one from the same start. Here, each row of a
trajectory must follow from the row before it, up to the rounding errors of the epochs in between.
With A = [X 1], G = AᵀA, c = Aᵀy, s = yᵀy, computed without rounding, and δ, γ, τ, η as in
`oracle.py`,

    |θ̂ₖ₊₁ − (θ̂ₖ − α (2/n)(Gθ̂ₖ − c))| ≤ αδ(θ̂ₖ) + u(|θ̂ₖ| + |θ̂ₖ₊₁|),    θ̂₀ = (w0, b0) exactly,
    |L̂ₖ − (θ̂ₖᵀ(Gθ̂ₖ − 2c) + s)/n| ≤ 2ητ + τ² + γ(η + τ)².

By induction over the epochs, this is the same bound, because the derivation there adds up exactly
these errors. (The second u|θ̂| is for a backend that records its state rounded, and continues with
a more accurate one. In float32, θ̂₀ may be the start rounded.) If rows are left out, the errors e of
the epochs in between propagate as |I − αH| e.

Start and rate do not have to be known in advance, so every call of a race can have its own.
Everything is evaluated in long double, whose error, at most a thousandth of γ, is part of the
bound.
"""

from dataclasses import dataclass

import numpy as np

from gradrace.backends.interface import Floats, Trajectory
from gradrace.bench.proof.exact_sums import Exacts, Wide
from gradrace.bench.proof.oracle import (
    Flags,
    Sums,
    residual_underflow,
    step_errors,
    sums_without_rounding,
    term_roundings,
    unbounded,
)
from gradrace.bench.proof.precision import FLOAT64, Precision


@dataclass(frozen=True)
class Steps:
    """What the samples contribute to every epoch, and how often a term may be rounded."""

    n: int
    G: Wide
    """(d + 1, d + 1)"""
    c: Wide
    """(d + 1,)"""
    s: np.longdouble
    G_abs: Wide
    """|A|ᵀ|A|"""
    c_abs: Wide
    """|A|ᵀ|y|"""
    roundings: int
    """How often a term of the gradient may be rounded in the first epoch, at most n + d + 10."""

    @classmethod
    def of(
        cls, X: Floats, y: Floats, sums: Sums | None = None, roundings: int | None = None
    ) -> "Steps":
        """Return what the samples contribute; O(n·d²) operations, most of them for the `sums`."""
        n, d = X.shape
        known = sums or sums_without_rounding(X, y)
        return cls(
            n,
            _wide(known.G),
            _wide(known.c),
            _wide(np.array([known.s], dtype=object))[0],
            known.G_abs,
            known.c_abs,
            n + d + 10 if roundings is None else roundings,
        )

    @classmethod
    def of_small_integers(cls, X: Floats, y: Floats, roundings: int) -> "Steps":
        """Return the same for positive integers whose products float64 adds without rounding."""
        A = np.column_stack([X, np.ones(len(y))])
        G, c = ((A.T @ other).astype(np.longdouble) for other in (A, y))
        return cls(len(y), G, c, np.longdouble(y @ y), G, c, roundings)

    def loss(self, theta: Floats) -> float:
        """Return L at (w, b), rounded once."""
        wide = theta.astype(np.longdouble)
        return float((wide @ (self.G @ wide - 2 * self.c) + self.s) / self.n)

    def fault(
        self,
        path: Trajectory,
        lr: float,
        w0: Floats,
        b0: float,
        chain: int | None = None,
        precision: Precision = FLOAT64,
        loss_chain: int | None = None,
    ) -> str:
        """Return the first fault of a trajectory, which may skip epochs, or an empty string.

        `chain` and `loss_chain` are the longest chains of additions, as in `oracle.py`; by default
        n.
        """
        additions = self.n if chain is None else min(chain, self.n)
        if fault := unbounded(additions, path.w.shape[1], precision):
            return fault
        values = np.column_stack(path[1:])
        off = np.full(values.shape, np.inf)
        with np.errstate(all="ignore"):
            off[0, :-1] = _start_off(values[0, :-1], np.append(w0, b0), precision)
            off[:, -1] = self._loss_off(
                values[:, :-1], values[:, -1], min(loss_chain or self.n, self.n), precision
            )
            gaps = np.diff(path.epoch)
            for gap in np.unique(gaps):
                rows = np.flatnonzero(gaps == gap)
                states = values[rows, :-1], values[rows + 1, :-1]
                off[rows + 1, :-1] = self._off(
                    *states, np.longdouble(lr), int(gap), rows == 0, additions, precision
                )
        wrong = ~(off <= 1) | ~np.isfinite(values)
        if not wrong.any():
            return ""
        k, j = (int(i) for i in np.argwhere(wrong)[0])
        d = path.w.shape[1]
        name = f"w[{j}]" if j < d else ("b", "loss")[j - d]
        source = "this w and b" if j > d else "the row before" if k else "the start"
        return (
            f"{name} at epoch {path.epoch[k]}: got {values[k, j]!s}, "
            f"off by {off[k, j]:.2g} × the bound from what follows from {source}"
        )

    def _off(
        self,
        before: Floats,
        after: Floats,
        rate: np.longdouble,
        epochs: int,
        first: Flags,
        additions: int,
        precision: Precision,
    ) -> Floats:
        """Return the errors (m, d + 1) of the states `after`, relative to the bound.

        The states `before` are `epochs` earlier; `first` (m,) says which of these start the run.
        """
        n, d = self.n, before.shape[1] - 1
        own = (d + 4) * np.finfo(np.longdouble).eps  # the error of long double here
        most = term_roundings(additions, d, precision)

        def errors(roundings: int) -> tuple[Wide, Wide]:
            gamma = precision.growth(roundings + 2) + own
            return step_errors(self.G_abs, self.c_abs, n, rate, gamma, precision)

        of_size, rest = errors(most)
        few = errors(self.roundings) if self.roundings < most else (of_size, rest)
        state, bound = before.astype(np.longdouble), np.zeros(before.shape, dtype=np.longdouble)
        for epoch in range(epochs):
            size = np.abs(state) + bound
            local = size @ of_size + rest
            if epoch == 0:
                local[first] = size[first] @ few[0] + few[1]
            else:
                spread = np.abs(np.eye(d + 1) - rate * (2 / np.longdouble(n)) * self.G)
                local += bound @ spread
            bound = local + precision.unit * size
            state = state - rate * (2 / np.longdouble(n)) * (state @ self.G - self.c)
        bound += precision.unit * np.abs(after)
        return np.asarray(np.abs(after - state) / (1.01 * bound), dtype=np.float64)

    def _loss_off(
        self, theta: Floats, loss: Floats, additions: int, precision: Precision
    ) -> Floats:
        """Return the errors (m,) of the losses at these w and b, relative to the bound."""
        n, d = self.n, theta.shape[1] - 1
        wide, size = theta.astype(np.longdouble), np.abs(theta).astype(np.longdouble)
        square = (np.sum(wide * (wide @ self.G - 2 * self.c), axis=1) + self.s) / n  # L
        most = (np.sum(size * (size @ self.G_abs + 2 * self.c_abs), axis=1) + self.s) / n
        gamma = precision.growth(term_roundings(additions, d, precision) + 2)
        tau = gamma * np.sqrt(most) + residual_underflow(size, self.G_abs, n, precision)
        root = np.sqrt(np.maximum(square, 0))
        own = (d + 4) * np.finfo(np.longdouble).eps
        bound = (2 * root + tau) * tau + gamma * (root + tau) ** 2 + own * most
        bound += 2 * precision.underflow
        if not np.isfinite(gamma):
            return np.zeros(len(loss))  # the bound is infinite
        return np.asarray(np.abs(loss - square) / (1.01 * bound), dtype=np.float64)


def _start_off(values: Floats, start: Floats, precision: Precision) -> Floats:
    """Return how far a first state is from the given start, relative to the bound."""
    error = np.abs(values - start)
    if not precision.conversions:
        return np.where(error == 0, 0.0, np.inf)
    bound: Floats = precision.unit * np.abs(start) + precision.underflow
    return error / bound


def _wide(values: Exacts) -> Wide:
    """Return decimals as long doubles, to all their digits."""
    near = values.astype(np.float64)
    rest = (values - np.vectorize(type(values.flat[0]), otypes=[object])(near)).astype(np.float64)
    wide: Wide = near.astype(np.longdouble) + rest
    return wide
