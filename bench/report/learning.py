"""What the reports of a training and of a study of rates have in common."""

from gradrace.bench.data.samples import Samples
from gradrace.bench.learning.landscape import Landscape
from gradrace.bench.report.tables import condition

SMALLEST = 1e-290  # a smaller loss has lost digits

LONGEST = 1e12  # epochs; at 100 ns each more than a day

MEANING = "how many times more the loss curves in its steepest direction than in its flattest"


def heading(known: Landscape, how: str) -> list[str]:
    """Name the data, and compare the condition numbers if they were standardized."""
    data = known.data
    lines = [title(data), how]
    lines += data.remarks
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


def title(data: Samples) -> str:
    """Name the data, and say what is predicted from what: houses.csv: price from size, age."""
    return f"{data.name}: {question(data)}"


def question(data: Samples) -> str:
    """Say what is predicted from what: price from size, age; the first five of many features."""
    names = ", ".join(data.features[:5])
    more = len(data.features) - 5
    return f"{data.target} from {names}" + (f" and {more} more" if more > 0 else "")


def underflow(data: Samples) -> str:
    """Say that the loss is too small for float64, if it is."""
    low, high = (float(values[-1]) for values in data.extremes)
    if low == high == 0 or data.mean_square >= SMALLEST:
        return ""
    return (
        f"The squares of {data.target} are too small for float64, so the loss is meaningless; "
        "multiply the column by a large number."
    )
