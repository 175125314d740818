"""Tables whose least squares are certified or published, and how many digits descent reaches.

`python -m tests.certified` prints the digits by table and backend; tables and published solutions
are in `tests/tables`.

Sources
-------
NIST, *Statistical Reference Datasets*, Linear Least Squares Regression,
https://www.itl.nist.gov/div898/strd/lls/lls.shtml: Norris, Pontius, Longley, Wampler1 … 5, Filip;
certified to 15 digits. (NoInt1 and NoInt2 have no intercept; every model here has one.)

Anscombe, "Graphs in statistical analysis", *The American Statistician* 27 (1973): four tables with
the same line y = 3 + 0.5x, printed to two digits.

Ng, *Machine Learning* (Stanford, Coursera 2011), programming exercise 1: profits of food trucks
(x: population in 10,000s, y: profit in $10,000s) and prices of houses, with the results that the
exercise says to expect. Its loss is half of ours, so its α = 0.01 is 0.005 here.

Henderson and Velleman, "Building multiple regression models interactively", *Biometrics* 37
(1981): the 32 cars of *Motor Trend*, 1974. R's `lm(mpg ~ ., mtcars)` prints the coefficients.
"""

import json
from pathlib import Path
from typing import NamedTuple

import numpy as np

from gradrace.backends.interface import Floats
from gradrace.bench.data.reader import read_table
from gradrace.bench.data.samples import Dataset
from gradrace.bench.learning.least_squares import digits
from gradrace.bench.learning.training import Fit, train

TABLES = Path(__file__).resolve().parent / "tables"


class Certified(NamedTuple):
    """A least-squares problem with its published solution."""

    file: str
    target: str
    features: list[str]
    degree: int
    """1, or the degree of the polynomial in the only feature"""
    theta: list[float]
    """b, then w"""
    places: int
    """The number of published significant digits"""
    epochs: int
    """Epochs after which nothing changes; at most 300,000, so that plain Python can run them"""

    def data(self) -> Dataset:
        """Return the samples, with all powers of the feature."""
        data = read_table(TABLES / f"{self.file}.csv", self.target, self.features)
        if self.degree == 1:
            return data
        powers = tuple(f"x{k}" for k in range(1, self.degree + 1))
        X: Floats = data.X ** np.arange(1, self.degree + 1)
        return Dataset(data.name, powers, data.target, X, data.y)


def _problems(kind: str) -> dict[str, Certified]:
    found = json.loads((TABLES / "certified.json").read_text("utf-8"))[kind]
    return {name: Certified(**about) for name, about in found.items()}


CERTIFIED = _problems("reached")
"""Problems on which descent reaches all published digits, or nine."""
TOO_ILL = _problems("too ill-conditioned")
"""Problems too ill-conditioned for that even if standardized: κ = 2.7e6 and 1.5e19."""


def fit_certified(problem: Certified, backend: str, epochs: int | None = None) -> Fit:
    """Train as `gradrace train --standardize --lr auto` does."""
    return train(problem.data(), backend=backend, standardize=True, epochs=epochs or problem.epochs)


def digits_reached(problem: Certified, fit: Fit) -> int:
    """Return how many digits of the worst of w and b agree with the published values."""
    found = [fit.b, *fit.w]
    return min(digits(value, exact) for value, exact in zip(found, problem.theta, strict=True))


def main() -> None:
    """Print the digits reached, by table and backend."""
    from gradrace import backends

    names = backends.names()
    print(f"{'table':14}{'published':>10}{'epochs':>12}" + "".join(f"{name:>8}" for name in names))
    for table, problem in (CERTIFIED | TOO_ILL).items():
        reached = [digits_reached(problem, fit_certified(problem, name)) for name in names]
        cells = "".join(f"{count:>8}" for count in reached)
        print(f"{table:14}{problem.places:>10}{problem.epochs:>12,}{cells}")
    for table, problem in TOO_ILL.items():
        count = digits_reached(problem, fit_certified(problem, "numba", 100_000_000))
        print(f"{table:14}{problem.places:>10}{100_000_000:>12,}{'–':>8}{'–':>8}{count:>8}")


if __name__ == "__main__":
    main()
