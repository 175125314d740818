"""The least squares and dependent columns, against what is known."""

import numpy as np
import pytest

from gradrace.backends.interface import Floats, InputValueError
from gradrace.bench.data.samples import Dataset, synthetic
from gradrace.bench.learning.curvature import spectrum
from gradrace.bench.learning.least_squares import least_squares, restored
from gradrace.bench.learning.training import train


def table(X: Floats, y: Floats) -> Dataset:
    return Dataset("table", tuple("abcdefgh"[: X.shape[1]]), "y", X, y)


class TestLeastSquares:
    def test_of_a_line_by_hand(self) -> None:
        # (0, 1), (1, 3), (2, 2): w = 1/2, b = 3/2, residuals (1/2, −1, 1/2)
        best = least_squares(table(np.array([[0.0], [1.0], [2.0]]), np.array([1.0, 3.0, 2.0])))
        assert [*best.w, best.b, best.loss] == pytest.approx([0.5, 1.5, 0.5], abs=1e-14)

    @pytest.mark.parametrize("scale", [(1e-12, 1.0, 1e12), (1e-200, 1.0, 1e200)])
    def test_with_columns_of_very_different_size(self, scale: tuple[float, ...]) -> None:
        data = synthetic(100, 3)
        plain = least_squares(data)
        scaled = least_squares(table(data.X * scale, data.y))
        np.testing.assert_allclose(scaled.w * scale, plain.w, rtol=1e-10)
        assert scaled.b == pytest.approx(plain.b)

    def test_of_many_solutions_is_the_one_descent_finds(self) -> None:
        data = synthetic(30, 2)
        a, b = data.X.T
        twice = table(np.column_stack([a, 3 * a + 1, b, np.full(30, 2.0)]), data.y)
        fit = train(twice, epochs=3000)
        best = least_squares(twice)
        np.testing.assert_allclose([*fit.w, fit.b], [*best.w, best.b], rtol=1e-10)

    def test_weights_beyond_float64_are_refused(self) -> None:
        x = np.array([1.0, 2.0, 4.0])
        data = table(x.reshape(-1, 1) * 1e-200, x * 1e150)
        best = least_squares(data)
        assert np.isinf(best.w[0])
        with pytest.raises(InputValueError, match="table: the least-squares weights are beyond"):
            restored(data, None, best)


class TestDependentColumns:
    X = synthetic(40, 2).X
    a, b = X[:, 0], X[:, 1]

    def said(self, *columns: Floats) -> str:
        return least_squares(table(np.column_stack(columns), self.a)).ambiguity

    def test_are_named(self) -> None:
        a, b, ones = self.a, self.b, np.ones(40)
        assert self.said(a, b) == ""
        assert self.said(a, 7 * ones) == "w is not unique: 'b' is constant"
        assert self.said(a, b, a) == "w is not unique: 'c' follows from 'a'"
        assert self.said(a, 3 * a + 2) == "w is not unique: 'b' follows from 'a'"
        assert self.said(a, b, a - b + 1) == "w is not unique: 'c' follows from 'a', 'b'"
        assert self.said(a, 0 * a, a) == ("w is not unique: 'b' is constant; 'c' follows from 'a'")

    def test_whatever_their_scale(self) -> None:
        assert self.said(self.a, self.b * 1e-30, self.a * 1e30) == (
            "w is not unique: 'c' follows from 'a'"
        )
        assert self.said(self.a, self.b * 1e-30, self.a * 1e30 + self.b * 1e25) == (
            "w is not unique: 'c' follows from 'a', 'b'"
        )

    def test_a_dummy_for_every_category(self) -> None:
        kind = np.arange(40) % 3
        columns = [(kind == k).astype(float) for k in range(3)]
        assert self.said(*columns) == "w is not unique: 'c' follows from 'a', 'b'"

    def test_nearly_dependent_is_not_dependent(self) -> None:
        assert self.said(self.a, self.a + 1e-9 * self.b) == ""

    def test_fewer_rows_than_unknowns(self) -> None:
        data = table(self.X[:2], self.a[:2])
        assert least_squares(data).ambiguity == (
            "w is not unique: 2 weights and b need more than 2 rows"
        )

    def test_have_no_part_in_the_condition(self) -> None:
        data = table(np.column_stack([self.X, self.a]), self.b)
        H = spectrum(data, least_squares(data).null)
        assert H.free == 1
        assert H.values[0] == 0
        assert H.condition < 10
        assert H.contraction(0.1) < 1

    def test_are_told_from_columns_that_are_merely_small(self) -> None:
        a, b = self.a, self.b
        data = table(np.column_stack([1e9 * a, 2e9 * a, 1e-9 * b]), a)
        H = spectrum(data, least_squares(data).null)
        unseen = np.array([-2.0, 1.0, 0.0, 0.0]) / np.sqrt(5)  # 1e9 a · −2 + 2e9 a · 1 = 0
        assert abs(unseen @ H.vectors[:, 0]) == pytest.approx(1, abs=1e-9)
        assert H.values[0] == 0
        np.testing.assert_allclose(H.vectors.T @ H.vectors, np.eye(4), atol=1e-12)
        assert H.values[1] == pytest.approx(2e-18 * np.var(b), rel=0.2)

    def test_no_column_alone_but_all_together(self) -> None:
        x = np.linspace(0, 1, 200)
        best = least_squares(
            Dataset("powers", tuple(map(str, range(20))), "y", x[:, None] ** np.arange(1, 21), x)
        )
        assert best.null is not None
        assert best.ambiguity == (
            "w is not unique: the columns depend on each other to twelve digits"
        )
