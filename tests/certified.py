"""Tables whose least squares are certified or published, and how many digits descent reaches.

`python -m tests.certified` prints the digits by table and backend; the files are in `tests/tables`.

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
    features: tuple[str, ...]
    degree: int
    """1, or the degree of the polynomial in the only feature"""
    theta: tuple[float, ...]
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


LONGLEY = "deflator", "gnp", "unemployed", "armed_forces", "population", "year"
CARS = "cyl", "disp", "hp", "drat", "wt", "qsec", "vs", "am", "gear", "carb"

CERTIFIED = {
    "Norris": Certified("norris", "y", ("x",), 1, (-0.262323073774029, 1.00211681802045), 15, 100),
    "Pontius": Certified(
        "pontius",
        "deflection",
        ("load",),
        2,
        (0.673565789473684e-03, 0.732059160401003e-06, -0.316081871345029e-14),
        15,
        3_000,
    ),
    "Longley": Certified(
        "longley",
        "employed",
        LONGLEY,
        1,
        (
            -3482258.63459582,
            15.0618722713733,
            -0.0358191792925910,
            -2.02022980381683,
            -1.03322686717359,
            -0.0511041056535807,
            1829.15146461355,
        ),
        15,
        300_000,
    ),
    "Anscombe I": Certified("anscombe", "y1", ("x",), 1, (3.0, 0.5), 2, 100),
    "Anscombe II": Certified("anscombe", "y2", ("x",), 1, (3.0, 0.5), 2, 100),
    "Anscombe III": Certified("anscombe", "y3", ("x",), 1, (3.0, 0.5), 2, 100),
    "Anscombe IV": Certified("anscombe", "y4", ("x4",), 1, (3.0, 0.5), 2, 100),
    "houses": Certified(
        "houses",
        "price",
        ("size", "bedrooms"),
        1,
        (89597.909543, 139.210674, -8738.019112),
        9,
        300,
    ),
    "cars": Certified(
        "mtcars",
        "mpg",
        CARS,
        1,
        (
            12.30337416,
            -0.11144048,
            0.01333524,
            -0.02148212,
            0.78711097,
            -3.71530393,
            0.82104075,
            0.31776281,
            2.52022689,
            0.65541302,
            -0.19941925,
        ),
        7,
        10_000,
    ),
}
"""Problems on which descent reaches all published digits, or nine."""

ONES = (1.0, 1.0, 1.0, 1.0, 1.0, 1.0)
TOO_ILL = {
    "Wampler1": Certified("wampler", "y1", ("x",), 5, ONES, 15, 300_000),
    "Wampler2": Certified(
        "wampler", "y2", ("x",), 5, (1.0, 0.1, 0.01, 0.001, 0.0001, 0.00001), 15, 300_000
    ),
    "Wampler3": Certified("wampler", "y3", ("x",), 5, ONES, 15, 300_000),
    "Wampler4": Certified("wampler", "y4", ("x",), 5, ONES, 15, 300_000),
    "Wampler5": Certified("wampler", "y5", ("x",), 5, ONES, 15, 300_000),
    "Filip": Certified(
        "filip",
        "y",
        ("x",),
        10,
        (
            -1467.48961422980,
            -2772.17959193342,
            -2316.37108160893,
            -1127.97394098372,
            -354.478233703349,
            -75.1242017393757,
            -10.8753180355343,
            -1.06221498588947,
            -0.670191154593408e-01,
            -0.246781078275479e-02,
            -0.402962525080404e-04,
        ),
        15,
        300_000,
    ),
}
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
