"""What is known before training: the samples, the curvature of their loss, and its minimum."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from gradrace.bench.data.samples import Samples
from gradrace.bench.learning.convergence import Direction, close_enough, directions, epochs_needed
from gradrace.bench.learning.curvature import Hessian, spectrum
from gradrace.bench.learning.least_squares import LeastSquares, least_squares, restored
from gradrace.bench.learning.standardizing import Scaling


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
    def other_condition(self) -> float:
        """The condition number for comparison: standardized if the samples are not, or vice versa.

        Raises:
            InputValueError: as `Scaling.of`.

        """
        if self.scaling is not None:
            return spectrum(self.data, self.original_least_squares.null).condition
        scaling, null = Scaling.of(self.data), self.least_squares.null
        null = None if null is None else scaling.scaled_directions(null)
        return spectrum(scaling.apply(self.data), null).condition
