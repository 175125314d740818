"""Centered and scaled columns, and the conversion back."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gradrace.backends.interface import Floats, InputValueError
from gradrace.bench.data.samples import Dataset, synthetic
from gradrace.bench.learning.curvature import hessian
from gradrace.bench.learning.standardizing import Scaling
from gradrace.bench.learning.training import train


def table(X: Floats, y: Floats) -> Dataset:
    return Dataset("table", tuple("abcdefgh"[: X.shape[1]]), "y", X, y)


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


@settings(deadline=None)  # the first example compiles
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
