"""What is known before training: the curvature of the loss, its minimum, and the best rate."""

import json
import math
import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Literal

import numpy as np
import pyarrow as pa

from gradrace.backends.interface import InputValueError, Setting, Trajectory
from gradrace.bench.data.files import arrow_table
from gradrace.bench.data.origin import origin
from gradrace.bench.data.samples import Samples, reference_line
from gradrace.bench.learning.curvature import (
    Direction,
    Hessian,
    close_enough,
    directions,
    epochs_needed,
    excess,
    spectrum,
)
from gradrace.bench.learning.descent import described
from gradrace.bench.learning.least_squares import LeastSquares, Scaling, least_squares, restored
from gradrace.bench.parts import Command, Heading, Part, Sentence
from gradrace.plots.numbers import three_digits

Rate = float | Literal["auto"]

AS_GOOD = 1.25  # × the least excess: among rates this good, the number of epochs decides
LAST_DIGITS = 2.0**-104  # ε², of the first loss: a smaller excess changes no digit of w or b
MOST_POINTS = 300  # of a path: this many of the first epochs, and as many later ones
SMALLEST = 1e-290  # a smaller loss has lost digits
LONGEST = 1e12  # epochs; at 100 ns each more than a day
MEANING = "how many times more the loss curves in its steepest direction than in its flattest"


@dataclass(frozen=True)
class Noise:
    """The noise of the targets, estimated from the residuals, and the resulting error of b."""

    deviation: float
    """s, the estimated standard deviation of the noise: s² = Σ rᵢ² / (n − d − 1)"""
    error_of_b: float
    """The standard error of the least-squares b: the square root of its diagonal entry in
    s² (AᵀA)⁻¹, A = [X 1]"""


@dataclass(frozen=True)
class Landscape:
    """The loss of a data set, as seen by descent from zero."""

    data: Samples
    samples: Samples
    """The samples used for training: the data, or their standardized columns"""
    scaling: Scaling | None
    """Set if the columns are standardized"""
    least_squares: LeastSquares
    """Of `samples`"""
    hessian: Hessian
    """Of the loss on `samples`"""

    @classmethod
    def of(cls, data: Samples, *, standardize: bool = False) -> "Landscape":
        """Return the landscape of these columns, standardized or not.

        Raises:
            InputValueError: as `Scaling.of`.

        """
        scaling = Scaling.of(data) if standardize else None
        samples = data if scaling is None else scaling.apply(data)
        best = least_squares(samples)
        return cls(data, samples, scaling, best, spectrum(samples, best.null))

    @cached_property
    def directions(self) -> list[Direction]:
        """The directions in which descent moves, the steepest first."""
        return directions(self.hessian, -np.append(self.least_squares.w, self.least_squares.b))

    @cached_property
    def first_loss(self) -> float:
        """The loss at zero, where training starts; inf where float64 overflows."""
        return self.samples.mean_square

    @property
    def goal(self) -> float:
        """How far above the least loss counts as having arrived: 1 %, or rounding errors."""
        return close_enough(self.least_squares.loss, self.first_loss)

    def epochs_needed(self, lr: float) -> int | None:
        """Return the predicted number of epochs to the goal; None if it is not reached."""
        return epochs_needed(self.directions, lr, self.goal)

    @cached_property
    def original_least_squares(self) -> LeastSquares:
        """The least-squares solution in the units of the data.

        Raises:
            InputValueError: as `restored`.

        """
        return restored(self.data, self.scaling, self.least_squares)

    @cached_property
    def standardized(self) -> "Landscape":
        """The landscape of the standardized columns.

        Raises:
            InputValueError: as `Scaling.of`.

        """
        return self if self.scaling is not None else Landscape.of(self.data, standardize=True)

    @cached_property
    def other_condition(self) -> float:
        """The condition number for comparison: standardized if the samples are not, or vice versa.

        Raises:
            InputValueError: as `Scaling.of`.

        """
        if self.scaling is not None:
            return spectrum(self.data, self.original_least_squares.null).condition
        return self.condition_if(Scaling.of(self.data))

    def condition_if(self, scaling: Scaling) -> float:
        """Return the condition number of the columns of the data, centered and scaled like this."""
        null = self.original_least_squares.null if self.scaling else self.least_squares.null
        null = None if null is None else scaling.scaled_directions(null)
        return spectrum(scaling.apply(self.data), null).condition

    def noise(self) -> Noise | None:
        """Estimate the noise from the least-squares residuals; None if they do not determine it.

        This happens if there are no more samples than unknowns, or if w and b are not unique. With
        H = (2/n) AᵀA = Q Λ Qᵀ, (AᵀA)⁻¹ is (2/n) Q Λ⁻¹ Qᵀ. The original b is a linear function of
        the (w, b) of the standardized columns, so its variance is gᵀ (AᵀA)⁻¹ g with the gradient g.
        """
        n, d = self.samples.n, len(self.samples.features)
        H, best, scaling = self.hessian, self.least_squares, self.scaling
        if n <= d + 1 or best.null is not None or not H.smallest:
            return None
        gradient, unit = np.append(np.zeros(d), 1.0), 1.0
        if scaling is not None:
            unit = scaling.target_deviation
            gradient = unit * np.append(-scaling.mean / scaling.deviation, 1.0)
        variance = best.loss * n / (n - d - 1)
        with np.errstate(over="ignore", invalid="ignore"):
            of_b = variance * (2 / n) * float(((H.vectors.T @ gradient) ** 2 / H.values).sum())
        return Noise(unit * float(np.sqrt(variance)), float(np.sqrt(of_b)))


def best_rate(known: Landscape, epochs: int) -> float:
    """Return the rate, to 4 digits, that is best for this many epochs from zero.

    The excess is how far the predicted loss is above the least one at the end. Of all stable rates,
    it considers those whose excess is at most 1.25 times the smallest one, or no more than rounding
    errors. Among these, it takes the one that is the first to come within 1 % of the least loss.
    Ties, as when none does so in these epochs, are decided by the smallest excess, then the
    smallest ρ, then the larger rate.

    Close to 2/λmax, descent makes the quickest progress along the flattest direction, but swings
    for a long time along the steepest one. The first criterion keeps the rate away from this limit
    in a short run, and the second in a long one.

    Raises:
        InputValueError: no rate is stable.

    """
    H, along = known.hessian, known.directions
    rates = candidates(H)
    if not rates:
        raise InputValueError(
            f"{known.data.name}: no rate is stable, the values are too large; ",
            Setting("standardize", True),
            " scales them",
        )
    least = LAST_DIGITS * known.first_loss
    rounding = math.log(least) if least else -math.inf
    left = {lr: max(excess(along, lr)(epochs), rounding) for lr in rates}
    bound = min(left.values()) + math.log(AS_GOOD)

    def cost(lr: float) -> tuple[float, float, float, float]:
        needed = known.epochs_needed(lr)
        arrival = math.inf if needed is None or needed > epochs else needed
        return arrival, left[lr], H.contraction(lr), -lr

    return min((lr for lr in rates if left[lr] <= bound), key=cost)


def candidates(H: Hessian) -> list[float]:
    """Return stable rates of 4 digits, at least half the limit; below, every direction is slower.

    They are closer together near the limit.
    """
    if not math.isfinite(H.largest):
        return []
    shares = np.append(np.linspace(0.5, 0.98, 200), 1 - np.geomspace(0.02, 1e-4, 100))
    rates = {_rounded_down(lr) for lr in (*(H.limit * shares).tolist(), H.fastest)}
    return sorted(lr for lr in rates if 0 < lr < H.limit)


def _rounded_down(value: float) -> float:
    """Return 4 digits of the value: with fewer, w and b lose digits if the best is near 2/λmax."""
    mantissa, exponent = f"{value:.14e}".split("e")  # 0.49999999999999994 counts as 0.5
    return float(f"{math.floor(float(mantissa) * 1000 + 1e-9) / 1000}e{exponent}")


def valley(known: Landscape) -> str:
    """Name the column that makes the valley of the loss narrow: year ≈ 1,950, not centered.

    It is one far from 0, unless scaling the columns would widen the valley more than centering.
    """
    scaling, (low, high) = Scaling.of(known.data), known.data.extremes
    mean, deviation, names = scaling.mean, scaling.deviation, known.data.features
    vary = np.flatnonzero(low[:-1] < high[:-1])  # a constant column adds nothing to b
    centered = Scaling(mean, np.ones_like(mean), 0.0, 1.0)
    scaled = Scaling(np.zeros_like(mean), np.hypot(mean, deviation), 0.0, 1.0)
    if known.condition_if(centered) <= known.condition_if(scaled):
        j = max(vary, key=lambda j: abs(mean[j]) / deviation[j])
        return f"{names[j]} ≈ {three_digits(mean[j])}, not centered,"
    sizes = np.log(deviation[vary])
    j = vary[np.argmax(np.abs(sizes))]  # far from that of the ones, which go with b
    return f"{names[j]}, which varies by {three_digits(deviation[j])}, not scaled,"


def plane(known: Landscape, paths: Sequence[tuple[float, str, Trajectory]]) -> pa.Table:
    """Return paths in a plane: (w, b) if d = 1, else the flattest and the steepest direction.

    `paths` have a rate, its regime and a trajectory on the training columns, scaled or not. There
    is one row per rate and epoch, with some later epochs left out: lr, epoch, x, y. The metadata
    describe the axes and the loss in the plane: its minimum, Hessian and flat direction.

    Raises:
        InputValueError: descent moves along a straight line.

    """
    if len(known.directions) < 2:
        raise InputValueError("descent moves along a straight line, so its path is not drawn")
    steep, flat = known.directions[0], known.directions[-1]
    theta = np.append(known.least_squares.w, known.least_squares.b)
    if len(theta) == 2:
        basis, zero = np.eye(2), np.zeros(2)
        scaled = ", standardized" if known.scaling else ""
        labels = [f"w[{known.data.features[0]}]{scaled}", f"b{scaled}"]
    else:
        basis, zero = np.column_stack([flat.vector, steep.vector]), theta
        labels = ["along the flattest direction", "along the steepest direction"]
    H = sum(v.curvature * np.outer(v.vector, v.vector) for v in known.directions)
    about = {
        "labels": labels,
        "optimum": (basis.T @ (theta - zero)).tolist(),
        "least_loss": known.least_squares.loss,
        "hessian": (basis.T @ H @ basis).tolist(),
        "slow": (basis.T @ flat.vector).tolist(),
        "rates": {f"{lr!r}": regime for lr, regime, _ in paths},
    }
    tables = []
    for lr, _, (epoch, w, b, _loss) in paths:
        late = np.geomspace(1, len(epoch), MOST_POINTS).astype(int) - 1
        rows = np.union1d(np.arange(min(len(epoch), MOST_POINTS)), late)
        with np.errstate(over="ignore", invalid="ignore"):
            x, y = ((np.column_stack([w, b])[rows] - zero) @ basis).T
        tables.append(
            arrow_table({"lr": np.full(len(rows), lr), "epoch": epoch[rows], "x": x, "y": y})
        )
    return described(pa.concat_tables(tables), plane=json.dumps(about))


def about(known: Landscape, how: str) -> Iterator[Sentence]:
    """Name the data, and compare the condition numbers if they were standardized."""
    data = known.data
    yield Sentence(title(data))
    if data.headless:
        yield Sentence("The columns have no names; they are called x1, x2, …")
    yield Sentence(how)
    yield from map(Sentence, data.remarks)
    if known.scaling is not None:
        before, after = condition(known.other_condition), condition(known.hessian.condition)
        yield Sentence(
            f"Standardizing lowers the condition number ({MEANING}) from {before} to {after}."
            if known.hessian.condition < known.other_condition
            else f"Standardizing leaves the condition number ({MEANING}) at {after}."
        )


def title(data: Samples) -> str:
    """Name the data, and say what is predicted from what: houses.csv: price from size, age."""
    names = ", ".join(data.features[:5])
    more = len(data.features) - 5
    others = f" and {more} more" if more > 0 else ""
    return f"{data.name}: {data.target} from {names}{others}"


def underflow(data: Samples) -> str:
    """Say that the loss is too small for float64, if it is."""
    low, high = (float(values[-1]) for values in data.extremes)
    if low == high == 0 or data.mean_square >= SMALLEST:
        return ""
    return (
        f"The squares of {data.target} are too small for float64, so the loss is meaningless; "
        "multiply the column by a large number."
    )


def condition(kappa: float) -> str:
    """Write a condition number; float64 cannot distinguish those above 10²⁸."""
    return f"{kappa:,.0f}" if kappa < 1e6 else f"{kappa:.2g}" if kappa < 1e28 else "over 1e28"


def again(command: str, data: Samples, options: Sequence[str]) -> Iterator[Part]:
    """Say where and with what a result was found, and how to repeat it."""
    known = Path(data.name).exists()
    possible = known or data.name == reference_line().name
    yield Heading("Environment" + (", and how to repeat this" if possible else ""))
    yield Sentence("; ".join(origin().values()))
    if possible:
        columns = [word for name in data.features for word in ("--features", name)]
        table = [data.name, "--target", data.target, *columns, *data.options] if known else []
        yield Command(shlex.join(["gradrace", command, *table, *options]))
