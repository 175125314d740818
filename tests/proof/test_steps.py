"""The check of steps: as strict as the exact trajectory, for any start and rate of a call."""

from typing import Any

import numpy as np
import pytest

from gradrace import backends
from gradrace.backends.interface import Floats, Trajectory
from gradrace.bench.data.samples import Dataset, integers, reference_line, synthetic
from gradrace.bench.proof.steps import Steps
from gradrace.bench.race.one_size import integer_rate
from tests.variants import CORRECT, Loop

Kind = type[Loop]


@pytest.fixture(scope="module")
def steps() -> Steps:
    data = reference_line()
    return Steps.of(data.X, data.y)


@pytest.mark.parametrize("kind", CORRECT)
def test_right_orders_of_addition_pass_from_any_start(
    kind: Kind, line: Dataset, steps: Steps
) -> None:
    start = np.array([0.3])
    path = kind().train(line.X, line.y, 0.005, 30, start, -1.5)
    assert steps.fault(path, 0.005, start, -1.5) == ""


def test_a_chain_makes_the_bound_tighter() -> None:
    data = synthetic(1_000_000, 1)
    found = Steps.of(data.X, data.y)
    path = Trajectory(
        np.arange(2),
        np.array([[0.0], [0.2 * (data.X[:, 0] @ data.y) / 1e6 * (1 + 1e-10)]]),
        np.array([0.0, 0.2 * data.y.mean()]),
        np.zeros(2),
    )
    path.loss[:] = [found.loss(np.append(w, b)) for w, b in zip(path.w, path.b, strict=True)]
    assert found.fault(path, 0.1, np.zeros(1), 0.0) == ""
    assert found.fault(path, 0.1, np.zeros(1), 0.0, 10**9) == ""
    assert found.fault(path, 0.1, np.zeros(1), 0.0, 1_100).startswith("w[0] at epoch 1: ")


class TestReason:
    def path(self, line: Dataset) -> Trajectory:
        return Loop().train(line.X, line.y, 0.005, 30)

    def test_names_value_and_epoch(self, line: Dataset, steps: Steps) -> None:
        path = self.path(line)
        path.b[17] += 1e-6
        reason = steps.fault(path, 0.005, np.zeros(1), 0.0)
        assert reason.startswith(f"b at epoch 17: got {path.b[17]!s}, ")
        assert reason.endswith("× the bound from what follows from the row before")

    def test_of_a_loss(self, line: Dataset, steps: Steps) -> None:
        path = self.path(line)
        path.loss[3] *= 1 + 1e-9
        reason = steps.fault(path, 0.005, np.zeros(1), 0.0)
        assert reason.startswith("loss at epoch 3: ")
        assert reason.endswith("from this w and b")

    @pytest.mark.parametrize(
        "start", [(np.array([1e-300]), 0.0), (np.zeros(1), np.nextafter(0, 1))]
    )
    def test_of_another_start(
        self, line: Dataset, steps: Steps, start: tuple[Floats, float]
    ) -> None:
        assert steps.fault(self.path(line), 0.005, *start).endswith("follows from the start")

    def test_of_what_is_not_finite(self, line: Dataset, steps: Steps) -> None:
        path = self.path(line)
        path.w[9, 0] = np.inf
        assert steps.fault(path, 0.005, np.zeros(1), 0.0).startswith("w[0] at epoch 9: got inf")


def float32(values: Floats) -> Floats:
    return values.astype(np.float32).astype(np.float64)


class TestAtAnySize:
    """Mistakes that average out over many ordinary samples do not on these."""

    @pytest.mark.parametrize(("n", "d"), [(10_000, 3), (700_000, 1)])
    @pytest.mark.parametrize("what", ["X", "y"])
    def test_storage_in_float32(self, n: int, d: int, what: str) -> None:
        data, simd = synthetic(n, d), backends.load("numba-simd")
        X, y = (float32(data.X), data.y) if what == "X" else (data.X, float32(data.y))
        found = Steps.of(data.X, data.y)
        job: dict[str, Any] = {"lr": 0.1, "epochs": 2, "b0": 0.7}
        wrong: Any = simd.train(simd.prepare(X, y), **job)
        right: Any = simd.train(simd.prepare(data.X, data.y), **job)
        assert found.fault(wrong, 0.1, np.zeros(d), 0.7)
        assert found.fault(right, 0.1, np.zeros(d), 0.7) == ""

    def test_any_rounding_errs_to_one_side(self) -> None:
        data = synthetic(1_000, 2)
        for bits in range(24, 51):
            mantissa, exponent = np.frexp(np.abs(data.X))
            narrow = np.ldexp(np.rint(np.ldexp(mantissa, bits)), exponent - bits)
            (side,) = np.unique(np.sign(narrow - np.abs(data.X)))
            assert side != 0

    @pytest.mark.parametrize("n", [100, 1_000, 4_097])
    def test_the_borders_of_blocks_stand_out(self, n: int) -> None:
        data, d = synthetic(n, 2), 2
        r = data.y - data.X @ np.arange(1.0, d + 1) - 2
        last = n - n % 64
        for i in (0, n - 1, 63, 64, last - 1, last % n):
            assert abs(abs(r[i]) - 8) < 1e-6

    @pytest.mark.parametrize(("n", "d"), [(100, 1), (1_000, 3), (60_000, 10)])
    def test_integers_are_not_rounded_in_any_order(self, n: int, d: int) -> None:
        whole = integers(n, d)
        assert len(whole.y) >= n
        assert len(whole.y) & (len(whole.y) - 1) == 0
        assert (np.abs(whole.X) * whole.y[:, None]).sum(axis=0).max() < 2**53
        found = Steps.of(whole.X, whole.y, roundings=1)
        for name in backends.names() if n < 10_000 else ["numba"]:
            module = backends.load(name)
            path = module.train(module.prepare(whole.X, whole.y), lr=integer_rate(d), epochs=1)
            assert found.fault(path, integer_rate(d), np.zeros(d), 0.0) == "", name
            nearly = path.w * np.array([[1.0], [1 + 1e-13]])
            assert found.fault(path._replace(w=nearly), integer_rate(d), np.zeros(d), 0.0)
