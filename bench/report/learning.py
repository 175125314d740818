"""What is said alike of a training and of a study of rates."""

import numpy as np

from bench.data.samples import Dataset
from bench.learning.standardizing import Scaling
from bench.learning.theory import (
    Hessian,
    LeastSquares,
    close_enough,
    directions,
    epochs_needed,
    hessian,
)
from bench.learning.training import Fit

LAGGING = 2  # a condition number, or ratio of epochs, from which on w and b differ visibly

UNDERFLOW = 1e-290  # a loss below that has lost digits

LONGEST = 1e12  # epochs; at 100 ns each more than a day

NAMELESS = "no names of columns found: they are called x1, x2, …"


def heading(data: Dataset, how: str, best: LeastSquares, scaled: Hessian | None) -> list[str]:
    """Name the data, and compare the condition numbers if they were scaled."""
    lines = [f"{data.name}: {question(data)}", how]
    if data.headless:
        lines.insert(1, NAMELESS)
    if scaled is not None:
        before, after = hessian(data.X, best.null).condition, scaled.condition
        lines.append(f"standardized: condition number {condition(before)} → {condition(after)}")
    return lines


def _epochs(number: int) -> str:
    return f"{number:,} epoch" + ("s" if number != 1 else "")


def question(data: Dataset) -> str:
    """Say what is predicted from what: price from size, age; of many features the first five."""
    names = ", ".join(data.features[:5])
    more = len(data.features) - 5
    return f"{data.target} from {names}" + (f" and {more} more" if more > 0 else "")


def what_helps(fit: Fit) -> str:
    """Predict the epochs that are missing, and say whether scaled columns need fewer."""
    best, H = fit.least_squares, fit.hessian
    error, unit = np.append(fit.w - best.w, fit.b - best.b), 1.0
    if fit.scaling is not None:
        error = fit.scaling.scaled_difference(error[:-1], float(error[-1]))
        unit = fit.scaling.target_deviation**2
    goal = close_enough(best.loss, float(fit.trajectory.loss[0])) / unit
    missing = epochs_needed(directions(H, error), fit.lr, goal)
    if missing is None or missing > LONGEST:
        helps = "no number of epochs that a person can wait for changes that"
    else:
        helps = f"{_epochs(missing)} more bring it within 1 %"
    if fit.scaling is None:
        scaled = scaled_condition(fit.data, best)
        if scaled < H.condition / 2:
            helps += (
                f"; --standardize lowers the condition number from {condition(H.condition)} "
                f"to {condition(scaled)}, and with it the epochs"
            )
    return helps


def scaled_condition(data: Dataset, best: LeastSquares) -> float:
    """Return the condition number that the columns have once they are scaled."""
    scaling = Scaling.of(data)
    null = None if best.null is None else scaling.scaled_directions(best.null)
    return hessian(scaling.apply(data).X, null).condition


def condition(kappa: float) -> str:
    """Write a condition number; float64 cannot tell those above 10²⁸ apart."""
    return f"{kappa:,.0f}" if kappa < 1e6 else f"{kappa:.2g}" if kappa < 1e28 else "over 1e28"


def factor(value: float) -> str:
    """Write what the error is multiplied by per epoch."""
    return f"{value:.6f}" if value < 10 else f"{value:.4g}"


def underflow(data: Dataset) -> str:
    """Say that the loss is too small for float64, if it is."""
    with np.errstate(over="ignore"):
        tiny = bool(data.y.any()) and float(np.mean(data.y**2)) < UNDERFLOW
    if not tiny:
        return ""
    return (
        f"the squares of {data.target} are too small for float64, so the loss says nothing; "
        "multiply it"
    )
