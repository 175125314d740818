"""Descent reaches certified and published results, to as many digits as the conditioning allows."""

from fractions import Fraction
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from gradrace import backends
from gradrace.backends.interface import Backend
from gradrace.bench.data.reader import read_table
from gradrace.bench.learning.least_squares import digits, least_squares
from gradrace.bench.learning.prediction import Model
from gradrace.bench.learning.training_parts import remarks
from tests.certified import CERTIFIED, TABLES, TOO_ILL, digits_reached, fit_certified
from tests.files import predicted

ALL = CERTIFIED | TOO_ILL


@cache
def exact_least_squares(name: str) -> list[float]:
    """Solve the normal equations in rational numbers: b, then w."""
    data = ALL[name].data()
    rows = [[Fraction(1), *map(Fraction, row)] for row in data.X.tolist()]
    y = [Fraction(value) for value in data.y.tolist()]
    p = len(rows[0])
    system = [
        [sum((row[i] * row[j] for row in rows), Fraction(0)) for j in range(p)]
        + [sum((row[i] * v for row, v in zip(rows, y, strict=True)), Fraction(0))]
        for i in range(p)
    ]
    for i in range(p):
        system[i] = [value / system[i][i] for value in system[i]]
        for k in range(p):
            if k != i:
                factor = system[k][i]
                system[k] = [a - factor * b for a, b in zip(system[k], system[i], strict=True)]
    return [float(row[p]) for row in system]


@pytest.mark.parametrize("name", ALL)
def test_the_tables_are_copied_without_a_mistake(name: str) -> None:
    problem = ALL[name]
    # rounding x¹⁰ to float64 changes what Filip's table says, by eight digits
    places = min(problem.places, 7 if name == "Filip" else 13)
    for found, published in zip(exact_least_squares(name), problem.theta, strict=True):
        assert digits(found, published) >= places - 1, (found, published)


@pytest.mark.parametrize("name", CERTIFIED)
def test_the_yardstick_of_train_is_right(name: str) -> None:
    best = least_squares(CERTIFIED[name].data())
    for found, exact in zip([best.b, *best.w], exact_least_squares(name), strict=True):
        assert digits(found, exact) >= 11


@pytest.mark.parametrize("name", CERTIFIED)
def test_nine_digits_where_the_conditioning_allows_it(name: str) -> None:
    problem = CERTIFIED[name]
    fit = fit_certified(problem, "numba")
    assert digits_reached(problem._replace(theta=exact_least_squares(name)), fit) >= 9
    assert digits_reached(problem, fit) >= min(problem.places - 1, 9)
    assert fit.unfinished is None
    assert list(remarks(fit)) == []


@pytest.mark.parametrize("name", ["Longley", "cars"])
def test_all_backends_are_on_the_same_way_there(name: str) -> None:
    """After a hundred epochs, they have the digits of `numba`, which goes all the way."""
    numba = fit_certified(CERTIFIED[name], "numba", 100)
    so_far = CERTIFIED[name]._replace(theta=[numba.b, *numba.w])
    for backend in backends.names():
        assert digits_reached(so_far, fit_certified(so_far, backend, 100)) >= 9, backend


@pytest.mark.slow
def test_what_is_reached_where_it_does_not() -> None:
    """With κ = 2.7e6, rounding in the gradient leaves errors of κ · 2⁻⁵³ and more."""
    fit = fit_certified(TOO_ILL["Wampler1"], "gram", 40_000_000)
    assert digits_reached(TOO_ILL["Wampler1"], fit) >= 6


def test_a_hopeless_table_is_said_to_be_one() -> None:
    fit = fit_certified(TOO_ILL["Filip"], "numba", 100_000)
    assert digits_reached(TOO_ILL["Filip"], fit) == 0
    assert fit.hessian.condition == pytest.approx(1.46e19, rel=0.1)
    said = str(fit.unfinished)
    assert "Not there yet" in said
    assert "More epochs would not change that in a reasonable time" in said


class TestPublishedDescent:
    """Ng's exercise prints the result of descent itself, not only its limit."""

    profits = read_table(TABLES / "profits.csv")

    def test_the_loss(self, backend: Backend) -> None:
        X, y = self.profits.X, self.profits.y
        assert backend.loss(X, y, np.zeros(1), 0.0) / 2 == pytest.approx(32.07, abs=0.005)
        assert backend.loss(X, y, np.array([2.0]), -1.0) / 2 == pytest.approx(54.24, abs=0.005)

    def test_1500_epochs(self, backend: Backend) -> None:
        path = backend.train(backend.prepare(self.profits.X, self.profits.y), lr=0.005, epochs=1500)
        assert path.b[-1] == pytest.approx(-3.6303, abs=5e-5)
        assert path.w[-1, 0] == pytest.approx(1.1664, abs=5e-5)
        for people, profit in ((35_000, 4519.767868), (70_000, 45342.450129)):
            dollars = 1e4 * (path.w[-1, 0] * people / 1e4 + path.b[-1])
            assert dollars == pytest.approx(profit, abs=1e-6)

    def test_the_price_of_a_house(self, tmp_path: Path) -> None:
        fit = fit_certified(CERTIFIED["houses"], "numba")
        (tmp_path / "house.csv").write_text("bedrooms,size\n3,1650\n")
        model = Model(fit.data.features, "price", fit.w, fit.center, fit.height, fit.w, fit.w)
        _, (price,) = predicted(model, tmp_path / "house.csv")
        assert price == pytest.approx(293081.464335, abs=1e-6)
