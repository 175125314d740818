"""What the reports of a training and of a study of rates have in common."""

import numpy as np

from bench.data.samples import Dataset
from bench.learning.landscape import Landscape
from bench.report.tables import condition

SMALLEST = 1e-290  # a smaller loss has lost digits

LONGEST = 1e12  # epochs; at 100 ns each more than a day

MEANING = "how many times more the loss curves in its steepest direction than in its flattest"


def heading(known: Landscape, how: str) -> list[str]:
    """Name the data, and compare the condition numbers if they were standardized."""
    data = known.data
    lines = [f"{data.name}: {question(data)}", how]
    if data.headless:
        lines.insert(1, "The columns have no names; they are called x1, x2, …")
    if known.scaling is not None:
        before, after = condition(known.other_condition), condition(known.hessian.condition)
        lines.append(
            f"Standardizing lowers the condition number ({MEANING}) from {before} to {after}."
            if known.hessian.condition < known.other_condition
            else f"Standardizing leaves the condition number ({MEANING}) at {after}."
        )
    return lines


def question(data: Dataset) -> str:
    """Say what is predicted from what: price from size, age; the first five of many features."""
    names = ", ".join(data.features[:5])
    more = len(data.features) - 5
    return f"{data.target} from {names}" + (f" and {more} more" if more > 0 else "")


def underflow(data: Dataset) -> str:
    """Say that the loss is too small for float64, if it is."""
    with np.errstate(over="ignore"):
        tiny = bool(data.y.any()) and float(np.mean(data.y**2)) < SMALLEST
    if not tiny:
        return ""
    return (
        f"The squares of {data.target} are too small for float64, so the loss is meaningless; "
        "multiply the column by a large number."
    )
