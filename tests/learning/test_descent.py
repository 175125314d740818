"""Training in pieces makes the whole; it may end early, and says why; what is kept of it."""

import numpy as np
import pytest

from gradrace import backends
from gradrace.backends.interface import InputError, Trajectory
from gradrace.bench.data.samples import Dataset, synthetic
from gradrace.bench.learning import descent
from gradrace.bench.learning.descent import milestones, thinned, until_not_finite
from gradrace.bench.learning.training import train
from tests.conftest import assert_same_bits

PACES = pytest.mark.parametrize("seconds", [1e-9, 1e-4, 10.0])


class TestPieces:
    @pytest.mark.parametrize("seconds", [1e-9, 10.0])
    @pytest.mark.parametrize("name", backends.names())
    def test_of_any_length_make_the_whole(
        self, line: Dataset, name: str, seconds: float, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(descent, "CHUNK_SECONDS", seconds)
        seen: list[tuple[int, float]] = []
        epochs = 60 if seconds < 1 else 300
        fit = train(
            line, backend=name, lr=0.005, epochs=epochs, on_progress=lambda *now: seen.append(now)
        )
        module = backends.load(name)
        whole = module.train(module.prepare(line.X, line.y), lr=0.005, epochs=epochs)
        assert_same_bits(fit.trajectory, whole)
        assert seen == [(k, whole.loss[k]) for k, _ in seen]
        assert (seen[0][0], seen[-1][0]) == (0, epochs)

    @pytest.mark.parametrize("name", backends.names())
    def test_end_with_the_first_loss_that_is_not_finite(self, line: Dataset, name: str) -> None:
        fit = train(line, backend=name, lr=0.1, epochs=10_000)
        module = backends.load(name)
        whole = module.train(module.prepare(line.X, line.y), lr=0.1, epochs=186)
        assert_same_bits(fit.trajectory, whole)
        assert (fit.diverged, fit.stopped, fit.trajectory.loss[-1]) == (True, "", np.inf)

    @PACES
    @pytest.mark.parametrize(("epochs", "every"), [(999, 100), (1000, 100), (1001, 101), (50, 5)])
    def test_of_a_long_run_are_thinned(
        self,
        line: Dataset,
        epochs: int,
        every: int,
        seconds: float,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        monkeypatch.setattr(descent, "MOST_ROWS", 10)
        monkeypatch.setattr(descent, "CHUNK_SECONDS", seconds)
        module = backends.load("numba")
        whole = module.train(module.prepare(line.X, line.y), lr=0.005, epochs=epochs, every=every)
        assert_same_bits(train(line, lr=0.005, epochs=epochs).trajectory, whole)

    def test_that_are_thinned_still_end_at_the_very_epoch(
        self, line: Dataset, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(descent, "MOST_ROWS", 10)
        path = train(line, lr=0.1, epochs=1000).trajectory
        assert path.epoch[-1] == 186
        assert np.isfinite(path.loss[:-1]).all()


def gradient_norm(data: Dataset, w: np.ndarray, b: float) -> float:
    grad_w, grad_b = backends.load("numpy").gradients(data.X, data.y, w, b)
    return float(np.hypot(np.linalg.norm(grad_w), grad_b))


class TestStopping:
    @pytest.mark.parametrize(
        ("name", "tol"),
        [*((name, 0.1) for name in backends.names()), ("numba", 1e-3), ("numba", 1e-6)],
    )
    def test_with_the_first_gradient_below_tol(self, line: Dataset, name: str, tol: float) -> None:
        fit = train(line, backend=name, lr=0.005, epochs=50_000, tol=tol)
        path = fit.trajectory
        first = gradient_norm(line, path.w[0], path.b[0])
        # the last step used the second-last gradient
        before, last = (gradient_norm(line, path.w[k], path.b[k]) / first for k in (-3, -2))
        assert last <= tol * (1 + 1e-6) < before * (1 + 2e-6)
        assert fit.stopped.startswith("the norm of the gradient has fallen to ")
        assert path.epoch[-1] < 50_000

    def test_is_the_run_without_tol_cut_short_whatever_the_pace(
        self, line: Dataset, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        whole = train(line, lr=0.005, epochs=10_000).trajectory
        expected = train(line, lr=0.005, epochs=10_000, tol=1e-5)
        rows = len(expected.trajectory.epoch)
        assert_same_bits(expected.trajectory, Trajectory._make(values[:rows] for values in whole))
        for seconds in (1e-9, 1e-4, 10.0):
            monkeypatch.setattr(descent, "CHUNK_SECONDS", seconds)
            fit = train(line, lr=0.005, epochs=10_000, tol=1e-5)
            assert_same_bits(fit.trajectory, expected.trajectory)
            assert fit.stopped == expected.stopped
        monkeypatch.setattr(descent, "MOST_ROWS", 10)
        kept = train(line, lr=0.005, epochs=10_000, tol=1e-5).trajectory.epoch
        assert kept[-1] == rows - 1
        assert kept[:-1].tolist() == list(range(0, rows - 1, 1000))

    def test_when_only_rounding_is_left(self, line: Dataset) -> None:
        fit = train(line, lr=0.001, epochs=1_000_000, tol=0)
        assert fit.stopped
        assert fit.epochs < 200_000
        assert fit.w == pytest.approx(fit.least_squares.w, rel=1e-11)

    def test_not_with_a_flat_loss_alone(self) -> None:
        # κ is about 1e4: the loss has all its digits long before w and b have half of theirs
        data = synthetic(50, 1)
        far = Dataset("far", ("x",), "y", data.X + 10, data.y)
        fit = train(far, epochs=1_000_000, tol=0)
        flat = int(np.argmin(fit.trajectory.loss))
        assert fit.epochs > 1.2 * fit.trajectory.epoch[flat]
        assert fit.b == pytest.approx(fit.least_squares.b, rel=1e-10)

    def test_with_a_growing_loss(self, line: Dataset) -> None:
        limit = train(line, epochs=0).hessian.limit
        fit = train(line, lr=1.0001 * limit, epochs=100_000, tol=1e-6)
        assert fit.stopped == f"{descent.STALLED} in the last 1,000 epochs"
        assert fit.epochs <= 20_000
        assert str(fit.failure).startswith("diverged: ")

    def test_at_the_optimum_after_one_step(self) -> None:
        data = Dataset("zero", ("x",), "y", np.array([[1.0], [2.0]]), np.zeros(2))
        fit = train(data, lr=0.1, epochs=1000, tol=1e-6)
        assert (fit.epochs, fit.loss) == (1, 0.0)

    @pytest.mark.parametrize("size", [1e-165, 1e150])
    def test_with_steps_whose_squares_leave_float64(self, line: Dataset, size: float) -> None:
        scaled = Dataset("scaled", ("x",), "y", line.X, line.y * size)
        found, expected = (train(data, lr=0.005, epochs=5000, tol=1e-3) for data in (scaled, line))
        assert found.epochs == expected.epochs

    @pytest.mark.parametrize("tol", [-1e-9, 1, 2.0, float("nan"), float("inf"), "0.1", True])
    def test_what_is_no_tolerance_is_refused(self, line: Dataset, tol: float) -> None:
        with pytest.raises(InputError, match="tol: "):
            train(line, lr=0.005, epochs=10, tol=tol)


def path_of(epoch: list[int], loss: list[float] | None = None) -> Trajectory:
    rows = len(epoch)
    losses = np.ones(rows) if loss is None else np.array(loss)
    return Trajectory(np.array(epoch), np.zeros((rows, 1)), np.zeros(rows), losses)


class TestRows:
    @pytest.mark.parametrize("epochs", [0, 1, 2, 7, 10, 99, 10_000, 123_456])
    def test_milestones_lead_from_the_first_epoch_to_the_last(self, epochs: int) -> None:
        shown = milestones(path_of(list(range(epochs + 1)))).epoch.tolist()
        assert (shown[0], shown[-1]) == (0, epochs)
        assert shown == sorted(set(shown))
        assert len(shown) <= 12
        assert len(shown) == 12 or epochs < 1000

    def test_milestones_are_round_numbers(self) -> None:
        shown = milestones(path_of(list(range(10_001)))).epoch.tolist()
        assert shown == [0, 1, 2, 5, 20, 50, 100, 200, 1000, 2000, 5000, 10_000]

    def test_milestones_of_a_thinned_history_are_epochs_that_it_holds(self) -> None:
        path = path_of([*range(0, 100_000, 7), 100_000])
        shown = milestones(path).epoch
        assert set(shown) <= set(path.epoch)
        assert (shown[0], shown[-1]) == (0, 100_000)

    def test_a_path_ends_with_its_first_loss_that_is_not_finite(self) -> None:
        inf, nan = float("inf"), float("nan")
        assert len(until_not_finite(path_of([0, 1, 2, 3], [1, inf, 2, nan])).loss) == 2
        assert len(until_not_finite(path_of([0, 1, 2], [nan, 1, 1])).loss) == 1
        assert len(until_not_finite(path_of([0, 1, 2])).loss) == 3

    def test_thinning_keeps_the_last_row(self) -> None:
        assert thinned(path_of([0, 1, 2, 3, 4, 5]), 3).epoch.tolist() == [0, 3, 5]
