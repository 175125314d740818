"""The Hessian, the rates, the least squares and dependent columns, against what is known."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from backends.interface import Floats, InputValueError
from bench.data.samples import Dataset, synthetic
from bench.learning.convergence import directions
from bench.learning.curvature import Hessian, hessian
from bench.learning.least_squares import least_squares, restored
from bench.learning.rate_choice import auto_rate, chosen_rate, quickest_rate
from bench.learning.training import train


def table(X: Floats, y: Floats) -> Dataset:
    return Dataset("table", tuple("abcdefgh"[: X.shape[1]]), "y", X, y)


class TestHessian:
    def test_by_hand(self) -> None:
        # x = (1, −1): H = (2/2) diag(2, 2)
        H = hessian(np.array([[1.0], [-1.0]]))
        assert H.values == pytest.approx([2.0, 2.0])
        assert (H.limit, H.fastest, H.condition) == pytest.approx((1.0, 0.5, 1.0))

    @given(st.integers(1, 4), st.integers(5, 20), st.integers(0, 10**6))
    def test_is_that_of_the_loss(self, d: int, n: int, seed: int) -> None:
        X = synthetic(n, d, seed).X
        A = np.column_stack([X, np.ones(n)])
        H = hessian(X)
        np.testing.assert_allclose(
            H.vectors @ np.diag(H.values) @ H.vectors.T, 2 / n * A.T @ A, atol=1e-12
        )
        assert (np.diff(H.values) >= 0).all()

    def test_blocks_make_the_whole(self) -> None:
        data = synthetic(200_000, 2)
        A = np.column_stack([data.X, np.ones(len(data.y))])
        expected = np.linalg.eigvalsh(2 / len(A) * A.T @ A)
        np.testing.assert_allclose(hessian(data.X).values, expected, rtol=1e-10)

    def test_keeps_the_small_eigenvalues(self) -> None:
        # columns of size 1e-7 and 1e7: λ differ by 1e28, more than AᵀA could tell apart
        X = np.array([[1e7, 1e-7], [1e7, -1e-7], [-1e7, 1e-7], [-1e7, -1e-7]])
        np.testing.assert_allclose(hessian(X).values, [2e-14, 2.0, 2e14], rtol=1e-8)

    def test_of_values_beyond_float64(self) -> None:
        H = hessian(np.array([[1e200], [-1e200]]))
        assert (H.limit, H.condition) == (0.0, np.inf)
        data = table(np.array([[1e200], [-1e200]]), np.zeros(2))
        with pytest.raises(InputValueError, match="table: no rate is stable, the values are too"):
            chosen_rate("auto", data, H, 100)

    def test_contraction_is_what_a_run_shows(self, line: Dataset) -> None:
        H = hessian(line.X)
        for lr, epochs in ((0.001, 150), (0.005, 150), (0.026, 900), (0.1, 150)):
            path = train(line, lr=lr, epochs=epochs).trajectory
            steps = np.hypot(np.diff(path.w[:, 0]), np.diff(path.b))
            assert steps[-1] / steps[-2] == pytest.approx(H.contraction(lr), rel=1e-3)


class TestAutomaticRate:
    def spectrum(self, *values: float) -> Hessian:
        return Hessian(np.array(values), np.eye(len(values)))

    def test_is_the_fastest_rounded_down_to_four_digits(self) -> None:
        assert auto_rate(self.spectrum(0.5, 2.5), 10_000) == 0.6666
        assert auto_rate(self.spectrum(2.0, 2.0), 10_000) == 0.5
        assert auto_rate(self.spectrum(2e-300, 3e300), 10**15) == 6.666e-301

    def test_keeps_a_distance_from_the_limit_in_a_short_run(self) -> None:
        # 100 epochs: a direction flatter than a tenth of λmax cannot arrive anyway
        assert auto_rate(self.spectrum(1e-9, 1.0), 100) == 1.818
        assert auto_rate(self.spectrum(1e-9, 1.0), 0) == 1.0

    @given(st.integers(1, 5), st.integers(0, 10**6), st.integers(0, 5000))
    def test_is_stable(self, d: int, seed: int, epochs: int) -> None:
        rng = np.random.default_rng(seed)
        X = rng.standard_normal((12, d)) * 10.0 ** rng.integers(-3, 4, d)
        H = hessian(X)
        assert 0 < auto_rate(H, epochs) < H.limit

    def test_gets_closer_than_half_the_limit_and_than_nearly_all_of_it(self) -> None:
        rng = np.random.default_rng(5)
        data = synthetic(200, 3)
        X = data.X * np.array([1.0, 100.0, 3.0]) + rng.standard_normal((200, 1))
        mixed = table(X, data.y)
        H = hessian(X)
        auto, half, edge = (
            train(mixed, lr=lr, epochs=1000).loss
            for lr in (auto_rate(H, 1000), H.limit / 2, 0.9999 * H.limit)
        )
        assert auto < min(half, edge)


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
        H = hessian(data.X, least_squares(data).null)
        assert H.free == 1
        assert H.values[0] == 0
        assert H.condition < 10
        assert H.contraction(0.1) < 1

    def test_are_told_from_columns_that_are_merely_small(self) -> None:
        a, b = self.a, self.b
        data = table(np.column_stack([1e9 * a, 2e9 * a, 1e-9 * b]), a)
        H = hessian(data.X, least_squares(data).null)
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


def test_of_rates_that_are_equally_quick_the_one_that_goes_on_best_is_taken() -> None:
    data = synthetic(1000, 2)
    nothing = table(data.X, np.random.default_rng(1).standard_normal(1000))  # no feature helps
    H, best = hessian(nothing.X), least_squares(nothing)
    along = directions(H, -np.append(best.w, best.b))
    rate = quickest_rate(H, along, best.loss)  # the start is good enough
    assert rate is not None
    assert H.contraction(rate) < 0.1
