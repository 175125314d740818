"""Standardized columns and the way back; the least squares; dependent columns."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gradrace.backends.interface import Floats, InputValueError
from gradrace.bench.data.samples import Dataset, synthetic
from gradrace.bench.learning.curvature import hessian, spectrum
from gradrace.bench.learning.least_squares import Scaling, least_squares, restored
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


@pytest.mark.parametrize("size", [1e-300, 1e-200, 1.0, 1e200, 1e300])
def test_columns_have_mean_0_and_deviation_1(size: float) -> None:
    data = synthetic(50, 3)
    far = table((data.X + np.array([0.0, 5.0, -3.0])) * size, data.y * size)
    scaled = Scaling.of(far).apply(far)
    for column in (*scaled.X.T, scaled.y):
        assert column.mean() == pytest.approx(0, abs=1e-14)
        assert column.std() == pytest.approx(1, rel=1e-14)


def test_a_constant_column_becomes_0() -> None:
    data = table(np.column_stack([np.full(9, 0.1), np.arange(9.0)]), np.full(9, 7.3))
    scaled = Scaling.of(data).apply(data)
    assert not scaled.X[:, 0].any()
    assert not scaled.y.any()


def test_a_span_beyond_float64_is_refused() -> None:
    with pytest.raises(InputValueError, match="table: column 'a' spans more than float64"):
        Scaling.of(table(np.array([[-1.7e308], [1.7e308], [1.7e308]]), np.zeros(3)))


@settings(deadline=None, max_examples=30)
@given(st.integers(1, 4), st.integers(0, 10**6), st.integers(-100, 100))
def test_predictions_and_losses_are_the_same_on_both_sides(d: int, seed: int, power: int) -> None:
    plain = synthetic(30, d, seed)
    data = table(plain.X * 10.0 ** np.arange(d) + 100, plain.y * 10.0**power)
    scaling = Scaling.of(data)
    fit = train(scaling.apply(data), lr=0.1, epochs=20)
    path = scaling.restore(fit.trajectory)
    for k in (0, 7, 20):
        y_hat = data.X @ path.w[k] + path.b[k]
        unit = scaling.target_deviation
        expected = scaling.target_mean + unit * (
            fit.trajectory.b[k] + scaling.apply(data).X @ fit.trajectory.w[k]
        )
        np.testing.assert_allclose(y_hat, expected, rtol=1e-9, atol=1e-9 * unit)
        assert np.mean((y_hat - data.y) ** 2) == pytest.approx(path.loss[k], rel=1e-7)


class TestTraining:
    def test_starts_at_the_mean(self, line: Dataset) -> None:
        path = train(line, standardize=True, epochs=0).trajectory
        assert (path.w.tolist(), path.b[0]) == ([[0.0]], pytest.approx(line.y.mean()))
        assert path.loss[0] == pytest.approx(line.y.var())

    def test_of_a_line_takes_one_step(self, line: Dataset) -> None:
        fit = train(line, standardize=True, epochs=1)
        assert fit.lr == 0.5
        best = fit.least_squares
        assert [fit.w[0], fit.b] == pytest.approx([best.w[0], best.b])

    @pytest.mark.parametrize("size", [1e-250, 1e-200, 1e200, 1e250])
    def test_huge_and_tiny_columns_have_an_answer(self, line: Dataset, size: float) -> None:
        plain = train(line, standardize=True, epochs=50)
        fit = train(table(line.X * size, line.y), standardize=True, epochs=50)
        found, expected = [fit.w[0] * size, fit.b, fit.loss], [plain.w[0], plain.b, plain.loss]
        assert found == pytest.approx(expected)

    def test_a_target_whose_square_overflows_is_refused(self, line: Dataset) -> None:
        with pytest.raises(
            InputValueError, match="'y' is so large that the loss is beyond float64"
        ):
            train(table(line.X, line.y * 1e200), standardize=True, epochs=50)

    def test_weights_beyond_float64_are_refused(self, line: Dataset) -> None:
        with pytest.raises(InputValueError, match="the least-squares weights are beyond float64"):
            train(table(line.X * 1e-200, line.y * 1e150), standardize=True, epochs=50)

    def test_lowers_the_condition_number(self) -> None:
        data = synthetic(100, 3)
        far = table(data.X * [1.0, 1e3, 1e-3] + 50, data.y)
        fit = train(far, standardize=True, epochs=1)
        assert fit.hessian.condition < 2 < 1e8 < hessian(far.X).condition
