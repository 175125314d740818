"""Training that ends before its last epoch, and says why."""

import numpy as np
import pytest

from gradrace import backends
from gradrace.backends.interface import InputError
from gradrace.bench.data.samples import Dataset, synthetic
from gradrace.bench.learning import training
from gradrace.bench.learning.training import train
from tests.conftest import assert_same_bits


def gradient_norm(data: Dataset, w: np.ndarray, b: float) -> float:
    grad_w, grad_b = backends.load("numpy").gradients(data.X, data.y, w, b)
    return float(np.hypot(np.linalg.norm(grad_w), grad_b))


@pytest.mark.parametrize("tol", [0.1, 1e-3, 1e-6])
@pytest.mark.parametrize("name", backends.names())
def test_ends_with_the_first_gradient_below_tol(line: Dataset, name: str, tol: float) -> None:
    fit = train(line, backend=name, lr=0.005, epochs=50_000, tol=tol)
    path = fit.trajectory
    first = gradient_norm(line, path.w[0], path.b[0])
    # the last step used the second-last gradient
    before, last = (gradient_norm(line, path.w[k], path.b[k]) / first for k in (-3, -2))
    assert last <= tol * (1 + 1e-6) < before * (1 + 2e-6)
    assert fit.stopped.startswith("the norm of the gradient has fallen to ")
    assert path.epoch[-1] < 50_000


@pytest.mark.parametrize("seconds", [1e-9, 1e-4, 10.0])
def test_the_epoch_depends_on_no_clock(
    line: Dataset, seconds: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = train(line, lr=0.005, epochs=10_000, tol=1e-5)
    monkeypatch.setattr(training, "CHUNK_SECONDS", seconds)
    fit = train(line, lr=0.005, epochs=10_000, tol=1e-5)
    assert_same_bits(fit.trajectory, expected.trajectory)
    assert fit.stopped == expected.stopped


def test_is_the_run_without_tol_cut_short(line: Dataset) -> None:
    fit = train(line, lr=0.005, epochs=10_000, tol=1e-4)
    whole = train(line, lr=0.005, epochs=10_000).trajectory
    rows = len(fit.trajectory.epoch)
    np.testing.assert_array_equal(fit.trajectory.loss, whole.loss[:rows])
    np.testing.assert_array_equal(fit.trajectory.epoch, whole.epoch[:rows])


def test_a_thinned_history_ends_at_the_same_epoch(
    line: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = train(line, lr=0.005, epochs=10_000, tol=1e-5).trajectory
    monkeypatch.setattr(training, "MOST_ROWS", 10)
    path = train(line, lr=0.005, epochs=10_000, tol=1e-5).trajectory
    assert path.epoch[-1] == expected.epoch[-1]
    assert path.epoch[:-1].tolist() == list(range(0, expected.epoch[-1], 1000))


def test_ends_when_only_rounding_is_left(line: Dataset) -> None:
    fit = train(line, lr=0.001, epochs=1_000_000, tol=0)
    assert fit.stopped
    assert fit.trajectory.epoch[-1] < 200_000
    assert fit.w == pytest.approx(fit.least_squares.w, rel=1e-11)


def test_a_flat_loss_alone_is_no_reason_to_stop() -> None:
    # κ is about 1e4: the loss has all its digits long before w and b have half of theirs
    data = synthetic(50, 1)
    far = Dataset("far", ("x",), "y", data.X + 10, data.y)
    fit = train(far, epochs=1_000_000, tol=0)
    flat = int(np.argmin(fit.trajectory.loss))
    assert fit.trajectory.epoch[-1] > 1.2 * fit.trajectory.epoch[flat]
    assert fit.b == pytest.approx(fit.least_squares.b, rel=1e-10)


def test_a_growing_loss_ends_too(line: Dataset) -> None:
    limit = train(line, epochs=0).hessian.limit
    fit = train(line, lr=1.0001 * limit, epochs=100_000, tol=1e-6)
    assert (
        fit.stopped
        == "neither the loss nor the gradient has fallen any further in the last 1,000 epochs"
    )
    assert fit.trajectory.epoch[-1] <= 20_000
    assert fit.failure.startswith("diverged: ")


def test_a_start_at_the_optimum_takes_one_step() -> None:
    data = Dataset("zero", ("x",), "y", np.array([[1.0], [2.0]]), np.zeros(2))
    fit = train(data, lr=0.1, epochs=1000, tol=1e-6)
    assert (fit.trajectory.epoch[-1], fit.loss) == (1, 0.0)


@pytest.mark.parametrize("size", [1e-165, 1e150])
def test_steps_whose_squares_leave_float64_are_compared_too(line: Dataset, size: float) -> None:
    expected = train(line, lr=0.005, epochs=5000, tol=1e-3).trajectory.epoch[-1]
    scaled = Dataset("scaled", ("x",), "y", line.X, line.y * size)
    fit = train(scaled, lr=0.005, epochs=5000, tol=1e-3)
    assert fit.trajectory.epoch[-1] == expected


def test_divergence_is_no_stop(line: Dataset) -> None:
    fit = train(line, lr=0.1, epochs=10_000, tol=1e-6)
    assert (fit.diverged, fit.stopped, fit.trajectory.epoch[-1]) == (True, "", 186)


@pytest.mark.parametrize("tol", [-1e-9, 1, 2.0, float("nan"), float("inf"), "0.1", True])
def test_what_is_no_tolerance_is_refused(line: Dataset, tol: float) -> None:
    with pytest.raises(InputError, match="tol: "):
        train(line, lr=0.005, epochs=10, tol=tol)
