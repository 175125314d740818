"""The verdict on any training over known samples, step by step: no exact trajectory is needed.

`agreement.py` compares a whole run with the exact one from the same start. Here, each row of a
trajectory must follow from the row before it, up to the rounding of one epoch. With A = [X 1],
G = AᵀA, c = Aᵀy, s = yᵀy, computed without rounding, and δ, γ, τ, η as in `oracle.py`,

    |θ̂ₖ₊₁ − (θ̂ₖ − α (2/n)(Gθ̂ₖ − c))| ≤ αδ(θ̂ₖ) + u(|θ̂ₖ| + |θ̂ₖ₊₁|),    θ̂₀ = (w0, b0) exactly,
    |L̂ₖ − (θ̂ₖᵀ(Gθ̂ₖ − 2c) + s)/n| ≤ 2ητ + τ² + γ(η + τ)².

By induction over the epochs, this gives the bound of `oracle.py`, whose derivation adds up just
these errors. (The term u|θ̂ₖ₊₁| is for a backend that records a rounded state and goes on with a
more precise one.) The start and the rate need not be known beforehand, so every call of a race can
have its own. Everything is evaluated in long double; its error is a thousandth of γ at most, and
the bound allows for it.
"""

from dataclasses import dataclass

import numpy as np

from backends.interface import Floats, Trajectory
from bench.oracle import (
    UNDERFLOW,
    UNIT_ROUNDOFF,
    Exacts,
    Sums,
    Wide,
    absolute_sums,
    rounding_unit,
    sums_without_rounding,
)


@dataclass(frozen=True)
class Steps:
    """What the samples contribute to every epoch, and how often rounding may hit a term."""

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
    """The most that a term of the gradient may go through; n + d + 10 on any data."""

    @classmethod
    def of(
        cls, X: Floats, y: Floats, sums: Sums | None = None, roundings: int | None = None
    ) -> "Steps":
        """Return what the samples contribute; takes O(n·d²) operations, most for the `sums`."""
        n, d = X.shape
        G, c, s = sums or sums_without_rounding(X, y)
        return cls(
            n, _wide(G), _wide(c), _wide(np.array([s], dtype=object))[0], *absolute_sums(X, y)[:2],
            n + d + 10 if roundings is None else roundings,
        )  # fmt: skip

    def loss(self, theta: Floats) -> float:
        """Return L at (w, b), rounded once."""
        wide = theta.astype(np.longdouble)
        return float((wide @ (self.G @ wide - 2 * self.c) + self.s) / self.n)

    def fault(self, path: Trajectory, lr: float, w0: Floats, b0: float) -> str:
        """Return the first fault of a trajectory that records every epoch, or an empty string."""
        values = np.column_stack(path[1:])
        with np.errstate(all="ignore"):
            off = self._off(values[:, :-1], values[:, -1], np.longdouble(lr))
        off[0, :-1] = np.where(values[0, :-1] == np.append(w0, b0), 0.0, np.inf)
        wrong = ~(off <= 1) | ~np.isfinite(values)
        if not wrong.any():
            return ""
        k, j = (int(i) for i in np.argwhere(wrong)[0])
        d = path.w.shape[1]
        name = f"w[{j}]" if j < d else ("b", "loss")[j - d]
        source = "this w and b" if j > d else "the epoch before" if k else "the start"
        return (
            f"{name} at epoch {path.epoch[k]}: got {values[k, j]!s}, "
            f"off by {off[k, j]:.2g} × the bound from what follows from {source}"
        )

    def _off(self, theta: Floats, loss: Floats, rate: np.longdouble) -> Wide:
        """Return (m, d + 2) errors of w, b and the loss of each epoch, in units of the bound."""
        d, n = theta.shape[1] - 1, self.n
        gamma, any_order = rounding_unit(self.roundings + 2), rounding_unit(n + d + 12)
        own = (d + 4) * np.finfo(np.longdouble).eps  # what long double errs by here
        wide, size = theta.astype(np.longdouble), np.abs(theta).astype(np.longdouble)
        pull = wide @ self.G - self.c  # Aᵀr
        reach = size @ self.G_abs + self.c_abs  # |A|ᵀ(|A||θ̂| + |y|)

        step = wide - rate * (2 / np.longdouble(n)) * pull
        underflow = UNDERFLOW * (1 + rate) * (reach + (d + 3) * self.G_abs[:, -1] + n + 1)
        bound = rate * 2 / n * (gamma + own) * reach + UNIT_ROUNDOFF * size + underflow
        off = np.zeros((len(theta), d + 2), dtype=np.longdouble)
        error = np.abs(wide[1:] - step[:-1])
        off[1:, :-1] = error / (1.01 * (bound[:-1] + UNIT_ROUNDOFF * size[1:]))

        square = (np.sum(wide * (pull - self.c), axis=1) + self.s) / n  # L
        most = (np.sum(size * (reach + self.c_abs), axis=1) + self.s) / n
        tau = any_order * np.sqrt(most) + d * UNDERFLOW
        root = np.sqrt(np.maximum(square, 0))
        bound = (2 * root + tau) * tau + any_order * (root + tau) ** 2 + UNDERFLOW
        off[:, -1] = np.abs(loss - square) / (1.01 * (bound + own * most))
        return off


def _wide(values: Exacts) -> Wide:
    """Return decimals as long doubles, to all their digits."""
    near = values.astype(np.float64)
    rest = (values - np.vectorize(type(values.flat[0]), otypes=[object])(near)).astype(np.float64)
    wide: Wide = near.astype(np.longdouble) + rest
    return wide
