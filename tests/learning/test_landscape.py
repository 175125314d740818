"""The rate that `lr="auto"` uses and `rates` recommends, the narrow valley, the error of b."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gradrace.backends.interface import Floats, InputValueError
from gradrace.bench.data.samples import Dataset, reference_line, synthetic
from gradrace.bench.learning.curvature import Hessian
from gradrace.bench.learning.landscape import Landscape, best_rate, valley
from gradrace.bench.learning.least_squares import LeastSquares
from gradrace.bench.learning.rates import study
from gradrace.bench.learning.training import train
from tests.certified import CERTIFIED, TOO_ILL


def table(X: Floats, y: Floats) -> Dataset:
    return Dataset("table", tuple("abcdefgh"[: X.shape[1]]), "y", X, y)


def diagonal(curvatures: list[float], errors: list[float]) -> Landscape:
    """Return a landscape with these λᵢ and, at the start, these cᵢ; the least loss is 0."""
    X = np.zeros((1, len(errors) - 1))
    data = Dataset("diagonal", tuple("abcdefgh"[: len(errors) - 1]), "y", X, np.ones(1))
    best = LeastSquares(-np.array(errors[:-1]), -errors[-1], 0.0)
    return Landscape(data, data, None, best, Hessian(np.array(curvatures), np.eye(len(errors))))


def left(known: Landscape, lr: float, epochs: int) -> float:
    """Return by how much the loss of a run exceeds the least loss."""
    return max(train(known.samples, lr=lr, epochs=epochs).loss - known.least_squares.loss, 0.0)


class TestBestRate:
    def test_is_rounded_down_to_four_digits(self) -> None:
        assert best_rate(diagonal([2.0, 2.0], [1.0, 1.0]), 10_000) == 0.5
        assert best_rate(diagonal([1.0, 2.0], [0.0, 0.0]), 10_000) == 0.6666  # 2/(λmin + λmax)
        assert best_rate(diagonal([2e-300, 3e300], [0.0, 0.0]), 10**15) == 6.666e-301

    def test_keeps_a_distance_from_the_limit_in_a_short_run(self) -> None:
        known = diagonal([1e-3, 1.0], [1.0, 1.0])
        rates = [best_rate(known, epochs) for epochs in (1, 10, 100, 1000)]
        assert rates == sorted(rates)
        assert 1 <= rates[0] < 1.1
        assert 1.9 < rates[-1] < 2

    @given(st.integers(1, 5), st.integers(0, 10**6), st.integers(0, 5000), st.booleans())
    @settings(deadline=None, max_examples=15)
    def test_is_stable(self, d: int, seed: int, epochs: int, standardize: bool) -> None:
        rng = np.random.default_rng(seed)
        X = rng.standard_normal((12, d)) * 10.0 ** rng.integers(-3, 4, d)
        known = Landscape.of(table(X, rng.standard_normal(12)), standardize=standardize)
        limit = known.hessian.limit
        assert limit / 2 * 0.99 <= best_rate(known, epochs) < limit

    @pytest.mark.parametrize("name", ["Longley", "Wampler1", "houses", "Filip"])
    @pytest.mark.parametrize(("standardize", "epochs"), [(False, 300), (True, 300), (True, 3000)])
    def test_leaves_no_more_than_half_the_limit_or_the_fastest_in_the_long_run(
        self, name: str, standardize: bool, epochs: int
    ) -> None:
        known = Landscape.of((CERTIFIED | TOO_ILL)[name].data(), standardize=standardize)
        H, lr = known.hessian, best_rate(known, epochs)
        found = left(known, lr, epochs)
        rounding = 1e-13 * known.first_loss
        for other in (H.limit / 2, H.fastest):
            assert found <= 1.26 * left(known, other, epochs) + rounding

    def test_is_as_quick_as_any_other_where_there_is_time(self) -> None:
        known = Landscape.of(reference_line())
        lr = best_rate(known, 10_000)
        assert lr == 0.02584
        assert known.epochs_needed(lr) == 197
        for other in (0.005, 0.02, 0.0255, 0.0261, known.hessian.fastest):
            needed = known.epochs_needed(other)
            assert needed is not None
            assert needed >= 197

    def test_leaves_the_last_digits_at_the_end_too(self) -> None:
        """Of rates that are equally fast at first, the one that continues best is chosen."""
        data = synthetic(1000, 2)
        noise = np.random.default_rng(1).standard_normal(1000)
        known = Landscape.of(table(data.X, noise))  # no feature helps: the start is good enough
        assert known.hessian.contraction(best_rate(known, 3)) < 0.2

    def test_does_not_depend_on_the_units(self, line: Dataset) -> None:
        for size in (1e-150, 1e-20, 1e20, 1e150):
            scaled = Dataset("scaled", ("x",), "y", line.X, line.y * size)
            assert best_rate(Landscape.of(scaled), 1000) == best_rate(Landscape.of(line), 1000)

    def test_of_dependent_columns(self) -> None:
        data = synthetic(40, 2)
        twice = table(data.X[:, [0, 1, 0]], data.y)
        known = Landscape.of(twice)
        lr = best_rate(known, 1000)
        assert train(twice, lr=lr, epochs=1000).loss == pytest.approx(known.least_squares.loss)

    def test_of_values_beyond_float64(self) -> None:
        data = table(np.array([[1e200], [-1e200]]), np.zeros(2))
        with pytest.raises(InputValueError, match="table: no rate is stable, the values are too"):
            best_rate(Landscape.of(data), 100)

    def test_of_weights_beyond_float64(self) -> None:
        x = np.array([1.0, 2.0, 4.0])
        known = Landscape.of(table(x.reshape(-1, 1) * 1e-200, x * 1e150))
        assert 0 < best_rate(known, 100) < known.hessian.limit


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize("standardize", [False, True])
def test_auto_and_the_recommendation_are_the_same(line: Dataset, standardize: bool) -> None:
    found = study(line, ["auto"], epochs=5, standardize=standardize)
    fit = train(line, epochs=5, standardize=standardize)
    assert found.rates == [found.recommended] == [fit.lr]


@pytest.mark.parametrize(
    ("scale", "shift", "said"),
    [
        ([1.0, 1.0], [0.0, 1950.0], "b ≈ 1,950, not centered,"),
        ([1.0, 1e4], [3.0, 5.0], "b, which varies by 9,500, not scaled,"),
        ([1e-5, 1.0], [0.0, 0.0], "a, which varies by 9.74e-06, not scaled,"),
    ],
)
def test_the_column_that_makes_the_valley_narrow_is_named(
    scale: list[float], shift: list[float], said: str
) -> None:
    plain = synthetic(40, 2)
    X = np.column_stack([plain.X * scale + shift, np.full(40, 7.0)])  # and a constant one
    assert valley(Landscape.of(table(X, plain.y))) == said


def line_with_noise(seed: int) -> Dataset:
    x = np.linspace(1, 10, 100)
    noise = np.random.default_rng(seed).standard_normal(100)
    return Dataset("line", ("x",), "y", x.reshape(-1, 1), 3 * x + 2 + noise)


@pytest.mark.parametrize("standardize", [False, True])
def test_the_error_of_b_is_the_textbook_formula(line: Dataset, standardize: bool) -> None:
    x, y = line.X[:, 0], line.y
    w, b = np.polyfit(x, y, 1)
    s = np.sqrt(np.sum((w * x + b - y) ** 2) / 98)
    found = Landscape.of(line, standardize=standardize).noise()
    assert found is not None
    assert found.deviation == pytest.approx(s)
    assert found.error_of_b == pytest.approx(
        s * np.sqrt(1 / 100 + x.mean() ** 2 / np.sum((x - x.mean()) ** 2))
    )


def test_it_is_how_far_estimates_stray() -> None:
    landscapes = [Landscape.of(line_with_noise(seed)) for seed in range(300)]
    strayed = np.std([known.least_squares.b for known in landscapes])
    said = [found.error_of_b for known in landscapes if (found := known.noise())]
    assert np.mean(said) == pytest.approx(strayed, rel=0.1)


def test_it_is_unknown_where_samples_are_too_few_or_columns_depend() -> None:
    x = np.arange(5.0)
    two = Dataset("two", ("x",), "y", x[:2, None], x[:2])
    twice = Dataset("twice", ("a", "b"), "y", np.column_stack([x, x]), x)
    assert Landscape.of(two).noise() is None
    assert Landscape.of(twice).noise() is None
