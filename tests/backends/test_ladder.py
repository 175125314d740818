"""What single rungs promise in addition: on data that would betray them, on all of their paths."""

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from gradrace import backends
from gradrace.backends import numba_simd
from gradrace.backends.interface import Floats, Trajectory, recorded_epochs
from gradrace.backends.numba_simd import FEW
from gradrace.backends.support.gram_passes import MANY
from gradrace.bench.data.samples import synthetic
from gradrace.bench.learning.curvature import hessian
from gradrace.bench.proof.agreement import judge
from gradrace.bench.proof.oracle import exact_trajectory
from tests.backends.judging import assert_agree
from tests.conftest import ROOT


class TestEveryRung:
    def test_columns_that_say_the_same(self) -> None:
        rng = np.random.default_rng(4)
        half = rng.standard_normal((40, 2))
        X, y = np.hstack([half, half, np.zeros((40, 1))]), rng.standard_normal(40)
        assert_agree(backends.names(), X, y, share=0.9, epochs=2000)

    @pytest.mark.parametrize("noise", [0.0, 1.0])
    def test_a_condition_number_of_1e12(self, noise: float) -> None:
        rng = np.random.default_rng(5)
        X = rng.standard_normal((50, 4)) * np.array([1.0, 1e-4, 1e-8, 1e-12])
        X = X @ np.linalg.qr(rng.standard_normal((4, 4)))[0]
        y = X @ rng.standard_normal(4) + noise * rng.standard_normal(50)
        assert_agree(backends.names(), X, y, share=0.9, epochs=3000)

    @pytest.mark.parametrize("d", [1, 2, 12])
    def test_an_outlier_that_meets_a_zero(self, d: int) -> None:
        """Its product with y is 0, however the columns' lengths are rounded."""
        X, y = np.zeros((33, d)), np.zeros(33)
        X[3], X[4:, 0], y[7] = 1e5, 1e-3, 1.0
        assert_agree(backends.names(), X, y, epochs=5)

    @pytest.mark.parametrize("size", [1e-300, 1e-313, 1e-318, 5e-324])
    @pytest.mark.parametrize("start", [0.0, 1.0, 1e300])
    def test_a_column_of_numbers_with_few_digits(self, size: float, start: float) -> None:
        rng = np.random.default_rng(7)
        X, y = rng.standard_normal((50, 3)), rng.standard_normal(50)
        X[:, 1] *= size
        assert_agree(backends.names(), X, y, lr=0.1, epochs=20, w0=[1.0, start, 1.0])


class TestNumpy:
    @pytest.mark.parametrize("n", [2**15, 2**15 + 1, 2**16, 2**16 + 1])
    def test_agrees_with_products_and_in_strips(self, n: int) -> None:
        data = synthetic(n, 1)
        assert_agree(["numpy"], data.X, data.y, lr=0.1, epochs=8)

    @pytest.mark.parametrize("n", [2730, 2731, 43_690, 43_691])
    def test_agrees_small_and_in_one_or_two_blocks(self, n: int) -> None:
        data = synthetic(n, 10)
        assert_agree(["numpy"], data.X, data.y, lr=0.1, epochs=3, w0=np.arange(10.0), b0=-1.0)

    @pytest.mark.parametrize("n", [50, 60_000])
    def test_two_trainings_at_once_on_the_same_data(self, n: int) -> None:
        numpy, samples = backends.load("numpy"), synthetic(n, 10)
        data = numpy.prepare(samples.X, samples.y)

        def loss(b0: float) -> Floats:
            return numpy.train(data, lr=0.05, epochs=400_000 // n, b0=b0).loss

        alone = [loss(b0) for b0 in (0.0, 50.0)]
        with ThreadPoolExecutor() as pool:
            np.testing.assert_array_equal(list(pool.map(loss, (0.0, 50.0))), alone)


class TestSimd:
    @pytest.mark.parametrize("d", [1, 2, 3, FEW - 1, FEW, FEW + 1])
    @pytest.mark.parametrize("n", [1, 63, 64, 255, 256, 257, 1001])
    def test_every_path_and_every_rest(self, n: int, d: int) -> None:
        data = synthetic(n, d)
        assert_agree(["numba-simd", "numba-parallel"], data.X, data.y, epochs=40)

    @pytest.mark.parametrize("d", range(2, FEW + 1))
    def test_columns_are_added_in_pairs_and_one_that_is_left_over(self, d: int) -> None:
        data = synthetic(300, d)
        X, y = data.X, data.y
        w, sums, strip = np.linspace(1, 2, d), np.full(d, np.nan), np.empty(64)
        columns = np.ascontiguousarray(X.T)
        found = numba_simd.sums_of_columns(columns, 100, y[100:], w, 3.0, sums, strip)
        r = X[100:] @ w + 3.0 - y[100:]
        np.testing.assert_allclose(found, [r @ r, r.sum()], rtol=1e-12)
        np.testing.assert_allclose(sums, X[100:].T @ r, rtol=1e-9, atol=1e-9)

    @pytest.mark.parametrize("n", [1, 2, 101])
    def test_rows_that_are_fetched_ahead_give_the_same_sums(self, n: int) -> None:
        data, w = synthetic(n, 20), np.linspace(1, 2, 20)
        sums = np.empty((2, 20))
        alone, fetched = (
            numba_simd.sums_of_rows(data.X, data.y, w, 3.0, sums[i], lead)
            for i, lead in enumerate((0, 512))
        )
        assert alone == fetched
        np.testing.assert_array_equal(*sums)

    @pytest.mark.parametrize(
        ("numbers", "d", "strip", "lead"),
        [
            (2**18, 512, 256, 0),
            (2**18 + 1, 512, 256, 512),
            (2**18 + 1, 513, 256, 0),
            (2**21, 2, 64, 512),
        ],
    )
    def test_larger_samples_are_fetched_ahead(
        self, numbers: int, d: int, strip: int, lead: int
    ) -> None:
        assert numba_simd.strip_and_lead(numbers, d) == (strip, lead)

    @pytest.mark.parametrize("d", [1, 5, 20])
    def test_its_samples_begin_a_cache_line(self, d: int) -> None:
        data = synthetic(33, d)
        X, y = backends.load("numba-simd").prepare(data.X, data.y)
        assert (X.ctypes.data % 64, y.ctypes.data % 64) == (0, 0)
        np.testing.assert_array_equal(X, data.X)


class TestGram:
    def test_the_loss_keeps_its_digits_down_to_nothing(self) -> None:
        rng, gram = np.random.default_rng(3), backends.load("gram")
        X = rng.standard_normal((60, 3))
        y = X @ np.array([1.0, -2.0, 0.5]) + 4.0  # no noise
        lr = 0.9 * hessian(X).limit
        exact = exact_trajectory(X, y, lr=lr, epochs=1500)
        path = gram.train(gram.prepare(X, y), lr=lr, epochs=1500)
        assert path.loss[-1] < 1e-28
        assert judge("", path, exact).agrees
        assert judge("", by_products(X, y, lr, 1500), exact).reason.startswith("loss at epoch")

    @pytest.mark.parametrize("n", [1, 2, 255, 256, 257, 700])
    @pytest.mark.parametrize("d", [1, 2, 70])
    def test_any_number_of_blocks(self, n: int, d: int) -> None:
        data = synthetic(n, d)
        assert_agree(["gram"], data.X, data.y, epochs=40)

    @pytest.mark.parametrize("n", [2, 250, 900])
    def test_many_features(self, n: int) -> None:
        """Where BLAS and LAPACK make the passes; a column is 0, one subnormal, two are equal."""
        rng = np.random.default_rng(n)
        X, y = rng.standard_normal((n, MANY + 1)), rng.standard_normal(n)
        X[:, 0], X[:, 1], X[:, 2] = 0.0, X[:, 1] * 1e-310, X[:, 3]
        start = np.where(np.arange(MANY + 1) == 1, 1e307, 0.0)
        assert_agree(["gram"], X, y, epochs=2, w0=start)

    @pytest.mark.parametrize("n", [1024, 1025, 5000])
    @pytest.mark.parametrize("offset", [0.0, 1e4, 1e8])
    @pytest.mark.parametrize("noise", [0.0, 1e-9, 1.0])
    def test_a_line_far_from_its_origin(self, n: int, offset: float, noise: float) -> None:
        """Around the means of parts, its loss keeps its digits."""
        rng = np.random.default_rng(n)
        x = offset + rng.standard_normal((n, 1))
        y = 3 * x[:, 0] - 2 * offset + noise * rng.standard_normal(n)
        for w0, b0 in ((0.0, 0.0), (3.0, -2 * offset), (-1e3, 7.0)):
            assert_agree(["gram"], x, y, share=0.4, epochs=3, w0=[w0], b0=b0)

    @pytest.mark.parametrize("n", [1, 2, 3, 30, 300])
    @pytest.mark.parametrize("share", [1e-9, 1e-4, 1e-2, 0.5, 0.999, 1.001, 100.0])
    def test_one_feature_at_any_rate(self, n: int, share: float) -> None:
        """From just above a power of 2, where the bound leaves no room for a second rounding."""
        rng, data = np.random.default_rng(n), synthetic(n, 1)
        for start in 2.0**20 * rng.uniform(1.0, 1.1, 40):
            assert_agree(["gram"], data.X, data.y, share=share, epochs=1, w0=[start], b0=-start)

    BORDER = """
import numpy as np
from gradrace import backends
from gradrace.bench.proof.agreement import judge
from gradrace.bench.proof.oracle import exact_trajectory
X, y = np.resize([[1.0], [-1.0]], (1000, 1)), np.ones(1000)
gram, rng, sums = backends.load("gram"), np.random.default_rng(0), None
data = gram.prepare(X, y)
for _ in range(200):
    lr, b0 = 0.25e-3 * rng.uniform(1, 1.01), 2.0**20 * rng.uniform(1, 1.02)
    exact = exact_trajectory(X, y, lr=lr, epochs=1, b0=b0, sums=sums)
    sums = exact.sums
    verdict = judge("gram", gram.train(data, lr=lr, epochs=1, b0=b0), exact)
    assert verdict.agrees, verdict.reason
"""

    @pytest.mark.slow
    @pytest.mark.parametrize("processor", ["", "generic"])
    def test_at_the_border_of_its_short_cut(self, processor: str) -> None:
        """Also on a processor that cannot fuse a multiplication and an addition."""
        features = {"NUMBA_CPU_NAME": processor, "NUMBA_CPU_FEATURES": ""} if processor else {}
        environment = {**os.environ, **features}
        subprocess.run([sys.executable, "-c", self.BORDER], cwd=ROOT, check=True, env=environment)


def by_products(X: Floats, y: Floats, lr: float, epochs: int) -> Trajectory:
    """What `gram` does not do: descend on AᵀA, Aᵀy and yᵀy themselves."""
    A = np.column_stack([X, np.ones(len(y))])
    G, c, s, n = A.T @ A, A.T @ y, y @ y, len(y)
    theta, path, losses = np.zeros(A.shape[1]), [], []
    for _ in range(epochs + 1):
        path.append(theta)
        losses.append((theta @ (G @ theta - 2 * c) + s) / n)
        theta = theta - lr * (2 / n) * (G @ theta - c)
    states = np.array(path)
    return Trajectory(recorded_epochs(epochs, 1), states[:, :-1], states[:, -1], np.array(losses))
