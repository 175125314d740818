"""Decide when training may end before its last epoch."""

import numpy as np

from gradrace.backends.interface import Floats, InputValueError, Trajectory, finite_number

PATIENCE = 1000
STALLED = "neither the loss nor the gradient has fallen any further"


class Stopping:
    """Decides, piece by piece of a trajectory, whether training should end.

    It ends after the first step with ‖θₖ₊₁ − θₖ‖ ≤ tol · ‖θ₁ − θ₀‖, θ = (w, b): since
    θₖ₊₁ − θₖ = −α∇L(θₖ), the norm of the gradient has then fallen to tol times its first value. It
    also ends when neither the loss nor the gradient has fallen for a tenth of the run so far, and
    for at least 1,000 epochs. The loss alone is not enough: it is flat near its minimum, where
    rounding hides its progress long before w and b have all their digits.

    Raises:
        InputTypeError, InputValueError: tol is not a number, or not 0 ≤ tol < 1.

    """

    def __init__(self, tol: float, start: Floats) -> None:
        """Watch a run from `start`, θ₀ (d + 1,)."""
        if not 0 <= finite_number("tol", tol) < 1:
            raise InputValueError(f"tol: must be at least 0 and less than 1, got {tol!r}")
        self.checkpoint = PATIENCE
        """The epoch at which the next piece must end at the latest."""
        self._tol = float(tol)
        self._last = start
        self._first_step: float | None = None
        self._window = PATIENCE
        self._best = self._recent = (np.inf, np.inf)  # loss, step

    def end(self, piece: Trajectory) -> tuple[int, str] | None:
        """Return how many rows of this piece to keep and why training ends there, or None.

        Together, the pieces must hold every epoch from the first on.
        """
        theta = np.column_stack([piece.w, piece.b])
        steps = step_lengths(np.vstack([self._last, theta]))
        if self._first_step is None:
            self._first_step = float(steps[0])
        small = steps <= self._tol * self._first_step
        if small.any():
            row = int(np.argmax(small))
            if steps[row] == 0:
                return row + 1, "the steps no longer change w and b"
            ratio = steps[row] / self._first_step
            return row + 1, f"the norm of the gradient has fallen to {ratio:.2g} of its first value"
        self._last = theta[-1]
        self._recent = _least(self._recent, (piece.loss.min(), steps.min()))
        if piece.epoch[-1] < self.checkpoint:
            return None
        if self._recent[0] >= self._best[0] and self._recent[1] >= self._best[1]:
            return len(steps), f"{STALLED} in the last {self._window:,} epochs"
        self._best, self._recent = _least(self._best, self._recent), (np.inf, np.inf)
        self._window = max(PATIENCE, self.checkpoint // 10)
        self.checkpoint += self._window
        return None


def step_lengths(theta: Floats) -> Floats:
    """Return ‖θₖ₊₁ − θₖ‖ (m − 1,) of states (m, d + 1), without squares that leave float64."""
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        steps = np.diff(theta, axis=0)
        largest = np.abs(steps).max(axis=1)
        lengths = largest * np.linalg.norm(steps / largest[:, None], axis=1)
    return np.where(largest > 0, lengths, 0.0)


def _least(a: tuple[float, float], b: tuple[float, float]) -> tuple[float, float]:
    return min(a[0], b[0]), min(a[1], b[1])
