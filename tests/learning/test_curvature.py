"""The Hessian, regimes, time constants and predicted epochs, against what is known and runs."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gradrace import backends
from gradrace.bench.data.samples import Dataset, synthetic
from gradrace.bench.learning.curvature import Hessian, directions, epochs_needed, hessian, regime
from gradrace.bench.learning.least_squares import least_squares
from gradrace.bench.learning.rates import measured_epochs
from gradrace.bench.learning.training import train


class TestHessian:
    def test_by_hand(self) -> None:
        # x = (1, −1): H = (2/2) diag(2, 2)
        H = hessian(np.array([[1.0], [-1.0]]))
        assert H.values == pytest.approx([2.0, 2.0])
        assert (H.limit, H.fastest, H.condition) == pytest.approx((1.0, 0.5, 1.0))

    @given(st.integers(1, 4), st.integers(5, 20), st.integers(0, 10**6))
    @settings(deadline=None, max_examples=30)
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

    def test_contraction_is_what_a_run_shows(self, line: Dataset) -> None:
        H = hessian(line.X)
        for lr, epochs in ((0.001, 150), (0.005, 150), (0.026, 900), (0.1, 150)):
            path = train(line, lr=lr, epochs=epochs).trajectory
            steps = np.hypot(np.diff(path.w[:, 0]), np.diff(path.b))
            assert steps[-1] / steps[-2] == pytest.approx(H.contraction(lr), rel=1e-3)
            assert H.shortfall(lr) == pytest.approx(1 - H.contraction(lr), rel=1e-9)

    def test_what_contraction_lacks_keeps_its_digits(self) -> None:
        H = Hessian(np.array([3e-21, 1.0]), np.eye(2))
        assert (H.contraction(0.5), H.shortfall(0.5)) == (1.0, 1.5e-21)


@pytest.mark.parametrize(
    ("share", "expected"),
    [
        (0.09, "slow"),
        (0.11, "stable"),
        (0.5, "stable"),
        (0.51, "oscillating"),
        (0.999, "oscillating"),
        (1.0, "diverges"),
        (5.0, "diverges"),
    ],
)
def test_regimes_by_the_share_of_the_limit(line: Dataset, share: float, expected: str) -> None:
    H = hessian(line.X)
    assert regime(H, share * H.limit) == expected


@settings(deadline=None, max_examples=25)
@given(st.integers(1, 4), st.integers(0, 10**6), st.floats(0.02, 0.98))
def test_predicted_epochs_are_those_of_a_run(d: int, seed: int, share: float) -> None:
    rng = np.random.default_rng(seed)
    plain = synthetic(15, d, seed)
    data = Dataset("mixed", plain.features, "y", plain.X * 3.0 ** rng.integers(-1, 2, d), plain.y)
    H, best = hessian(data.X), least_squares(data)
    lr = share * H.limit
    along = directions(H, -np.append(best.w, best.b))
    predicted = epochs_needed(along, lr, 0.01 * best.loss)
    gram = backends.load("gram")
    path = gram.train(gram.prepare(data.X, data.y), lr=lr, epochs=5_000)
    assert measured_epochs(path, 1.01 * best.loss) == (
        predicted if predicted is not None and predicted <= 5_000 else None
    )


def test_time_constants_have_all_their_digits() -> None:
    (flat,) = directions(Hessian(np.array([3e-13]), np.eye(1)), np.ones(1))
    assert flat.time_constant(0.01) == pytest.approx(1 / 3e-15, rel=1e-12)
    assert flat.time_constant(1 / 3e-13) == 0
    assert flat.time_constant(3 / 3e-13) is None  # the error grows
    assert flat.time_constant(1e-300) == pytest.approx(1 / 3e-313, rel=1e-3)


def test_never_is_never(line: Dataset) -> None:
    H, best = hessian(line.X), least_squares(line)
    along = directions(H, -np.append(best.w, best.b))
    assert epochs_needed(along, 1.001 * H.limit, 1.0) is None
    assert epochs_needed(along, 0.01, 0.0) is None
    assert epochs_needed(along, 1e-300, 1.0) is None
    assert epochs_needed(along, 0.01, 1e9) == 0
