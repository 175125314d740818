"""The Hessian, against what is known."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gradrace.bench.data.samples import Dataset, synthetic
from gradrace.bench.learning.curvature import hessian
from gradrace.bench.learning.training import train


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

    def test_contraction_is_what_a_run_shows(self, line: Dataset) -> None:
        H = hessian(line.X)
        for lr, epochs in ((0.001, 150), (0.005, 150), (0.026, 900), (0.1, 150)):
            path = train(line, lr=lr, epochs=epochs).trajectory
            steps = np.hypot(np.diff(path.w[:, 0]), np.diff(path.b))
            assert steps[-1] / steps[-2] == pytest.approx(H.contraction(lr), rel=1e-3)
