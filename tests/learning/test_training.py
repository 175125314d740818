"""Training in chunks, what is saved, and what is said about a run that diverges."""

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet
import pytest

from gradrace import backends
from gradrace.backends.interface import InputError
from gradrace.bench.data.samples import REFERENCE_LR, Dataset, synthetic
from gradrace.bench.learning import training
from gradrace.bench.learning.curvature import hessian
from gradrace.bench.learning.least_squares import least_squares
from gradrace.bench.learning.model import OF_A_MODEL, save
from gradrace.bench.learning.training import train
from gradrace.bench.proof.returns import BackendError
from gradrace.bench.report.training import remarks
from tests.conftest import FOREIGN, assert_same_bits


@pytest.mark.parametrize("seconds", [1e-9, 1e-3, 10.0])
@pytest.mark.parametrize("name", backends.names())
def test_chunks_of_any_length_make_the_whole(
    line: Dataset, name: str, seconds: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(training, "CHUNK_SECONDS", seconds)
    seen: list[tuple[int, float]] = []
    fit = train(line, backend=name, lr=0.005, epochs=300, on_progress=lambda *now: seen.append(now))
    module = backends.load(name)
    whole = module.train(module.prepare(line.X, line.y), lr=0.005, epochs=300)
    assert_same_bits(fit.trajectory, whole)
    assert seen == [(k, whole.loss[k]) for k, _ in seen]
    assert (seen[0][0], seen[-1][0]) == (0, 300)


def test_it_says_that_it_starts_when_everything_has_been_checked(
    line: Dataset, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "slow.py"
    file.write_text("print('imported')\ndef prepare(X, y): ...\ndef train(data, **_): ...\n")
    with pytest.raises(BackendError):
        train(line, backend=str(file), lr=0.005, on_start=lambda: print("started"))
    assert capsys.readouterr().out == "imported\nstarted\n"
    with pytest.raises(InputError, match="lr: must be greater than 0"):
        train(line, lr=-1.0, on_start=lambda: print("started"))
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("name", backends.names())
def test_stops_at_the_first_loss_that_is_not_finite(line: Dataset, name: str) -> None:
    fit = train(line, backend=name, lr=0.1, epochs=10_000)
    module = backends.load(name)
    whole = module.train(module.prepare(line.X, line.y), lr=0.1, epochs=186)
    assert_same_bits(fit.trajectory, whole)
    assert fit.diverged
    assert fit.trajectory.loss[-1] == np.inf


@pytest.mark.parametrize("seconds", [1e-9, 1e-4, 10.0])
@pytest.mark.parametrize(("epochs", "every"), [(999, 100), (1000, 100), (1001, 101), (50, 5)])
def test_a_long_history_is_thinned(
    line: Dataset, epochs: int, every: int, seconds: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(training, "MOST_ROWS", 10)
    monkeypatch.setattr(training, "CHUNK_SECONDS", seconds)
    module = backends.load("numba")
    whole = module.train(module.prepare(line.X, line.y), lr=0.005, epochs=epochs, every=every)
    assert_same_bits(train(line, lr=0.005, epochs=epochs).trajectory, whole)


def test_a_thinned_history_still_ends_at_the_very_epoch(
    line: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(training, "MOST_ROWS", 10)
    path = train(line, lr=0.1, epochs=1000).trajectory
    assert path.epoch[-1] == 186
    assert np.isfinite(path.loss[:-1]).all()


def test_why_it_diverged(line: Dataset) -> None:
    fit = train(line, lr=0.1, epochs=10_000)
    limit = hessian(line.X).limit
    assert fit.failure == (
        "diverged: the loss overflows at epoch 186, because α = 0.1 exceeds 2/λmax = "
        f"{limit:.6g}; choose a rate below that, or --lr auto"
    )
    assert not train(line, lr=0.999 * limit, epochs=20_000).diverged
    assert train(line, lr=1.001 * limit, epochs=400_000, backend="numba").diverged


def test_an_overflow_in_the_units_of_the_data_counts_even_if_the_scaled_loss_is_finite() -> None:
    data = synthetic(20, 2)
    data = Dataset(data.name, data.features, data.target, data.X, 1e30 * data.y)
    fit = train(data, lr=1.4, epochs=2_000, standardize=True)
    assert np.isfinite(fit.trajectory.loss[:-1]).all()
    assert f"overflows at epoch {fit.trajectory.epoch[-1]:,}" in fit.failure


def test_data_too_large_for_float64_are_told_apart() -> None:
    data = Dataset("huge", ("x",), "y", np.array([[1.0], [2.0]]), np.array([1e200, -1e200]))
    fit = train(data, lr=0.01, epochs=5)
    assert fit.diverged
    assert "too large for float64" in fit.failure


def test_what_is_left_to_do(line: Dataset) -> None:
    (noise,) = remarks(train(line, lr=0.005, epochs=10_000))
    assert noise == (
        "The least-squares b is 1.81; the true b is 2. With noise of standard deviation 0.912 "
        "on 100 samples, b is typically off by 0.21, so this is noise, not a bug: more samples "
        "would bring b closer, more epochs would not."
    )
    short, _ = remarks(train(line, lr=0.005, epochs=100))
    assert short.startswith(
        "Not there yet: the loss is 1.044; the least possible is 0.8149. b has "
    )
    assert "than in its flattest) from 209 to 1." in short


def test_a_loss_that_underflows_is_said_to(line: Dataset) -> None:
    tiny = Dataset("tiny", ("x",), "y", line.X, line.y * 1e-200)
    fit = train(tiny, lr=0.005, epochs=10)
    assert list(remarks(fit)) == [
        "The squares of y are too small for float64, so the loss is meaningless; multiply the "
        "column by a large number."
    ]


@pytest.mark.parametrize(
    ("lr", "standardize"), [(0.002, False), (0.005, False), (0.02, False), (0.001, True)]
)
def test_so_many_more_epochs_are_enough(line: Dataset, lr: float, standardize: bool) -> None:
    short, _ = remarks(train(line, lr=lr, epochs=100, standardize=standardize))
    found = re.search(r"Another ([\d,]+) epochs will bring it within 1 %", short)
    assert found is not None
    missing = int(found[1].replace(",", ""))
    there, almost = (
        train(line, lr=lr, epochs=100 + more, standardize=standardize)
        for more in (missing, missing - 1)
    )
    goal = 1.01 * there.least_squares.loss
    assert there.loss <= goal < almost.loss


def test_a_growing_loss_is_divergence_before_it_overflows(line: Dataset, tmp_path: Path) -> None:
    fit = train(line, lr=0.1, epochs=10)
    assert fit.failure.startswith("diverged: the loss grows from 401.8 to ")
    assert "because α = 0.1 exceeds 2/λmax = 0.026347; choose a rate below that" in fit.failure
    assert {path.name for path in save(fit, tmp_path)} == {"history.parquet", "loss.png"}


def test_a_bias_without_a_digit_is_named() -> None:
    rng = np.random.default_rng(3)
    X = 500 + rng.standard_normal((40, 1))
    fit = train(Dataset("far", ("x",), "y", X, 2 * X[:, 0] + 30 * rng.standard_normal(40)))
    assert list(remarks(fit)) == [
        "The loss is within 1 % of the least, but not one digit of b is right yet; train longer."
    ]


def test_a_tolerance_that_is_not_reached_is_said_to_be(line: Dataset) -> None:
    said, *_ = remarks(train(line, lr=0.005, epochs=50, tol=1e-6))
    assert said == (
        "The norm of the gradient has not yet fallen to 1e-06 of its first value; train longer."
    )


def test_noise_free_data_are_there_when_only_rounding_is_left() -> None:
    x = np.linspace(0, 1, 20)
    data = Dataset("exact", ("x",), "y", x.reshape(-1, 1), 3 * x + 1)
    assert list(remarks(train(data, lr=0.5, epochs=2000))) == []


def test_a_plain_foreign_backend_trains_too(line: Dataset) -> None:
    fit = train(line, backend=str(FOREIGN / "good.py"), lr=0.005, epochs=50)
    assert fit.trajectory.loss[-1] == pytest.approx(
        train(line, lr=0.005, epochs=50).trajectory.loss[-1]
    )


def test_a_foreign_backend_that_raises_is_one_line(
    line: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GRADRACE_TEST_HOW", "raises in prepare")
    with pytest.raises(BackendError, match=r"bad.py: raised KeyError: 'no such column' \(bad.py"):
        train(line, backend=str(FOREIGN / "bad.py"), lr=0.1, epochs=1)


@pytest.mark.parametrize("job", [{"lr": 0.0, "epochs": 1}, {"lr": 0.1, "epochs": -1}])
def test_bad_arguments_are_refused_before_any_work(line: Dataset, job: dict[str, Any]) -> None:
    with pytest.raises(InputError):
        train(line, backend="no such backend", **job)


def test_ctrl_c_keeps_what_is_done(line: Dataset) -> None:
    def interrupt(epoch: int, _loss: float) -> None:
        if epoch >= 1:
            raise KeyboardInterrupt

    fit = train(line, lr=0.005, epochs=10_000, on_progress=interrupt)
    whole = train(line, lr=0.005, epochs=10_000).trajectory
    made = len(fit.trajectory.epoch)
    assert fit.interrupted
    assert 2 <= made < 10_001
    np.testing.assert_array_equal(fit.trajectory.loss, whole.loss[:made])


class TestSaved:
    def test_the_model_says_what_it_was_trained_with(self, tmp_path: Path) -> None:
        data = synthetic(50, 3)
        fit = train(data, backend="numpy", lr=0.1, epochs=100)
        list(save(fit, tmp_path))
        model = json.loads((tmp_path / "model.json").read_text("utf-8"))
        assert model["features"] == ["x1", "x2", "x3"]
        assert model["target"] == "y"
        assert (model["w"], model["b"]) == (fit.trajectory.w[-1].tolist(), fit.trajectory.b[-1])
        assert model["training"] == {
            "data": "synthetic 50 × 3",
            "n": 50,
            "backend": "numpy",
            "precision": "float64",
            "lr": 0.1,
            "epochs": 100,
            "standardized": None,
            "stopped": "",
            "interrupted": False,
            "loss": fit.trajectory.loss[-1],
        }
        assert model["least_squares"]["w"] == least_squares(data).w.tolist()

    def test_the_history_is_the_trajectory(self, line: Dataset, tmp_path: Path) -> None:
        fit = train(line, lr=REFERENCE_LR, epochs=30)
        list(save(fit, tmp_path))
        table = pyarrow.parquet.read_table(tmp_path / "history.parquet")
        assert table.column_names == ["epoch", "loss", "w[x]", "b"]
        np.testing.assert_array_equal(table.column("loss").to_numpy(), fit.trajectory.loss)
        np.testing.assert_array_equal(table.column("w[x]").to_numpy(), fit.trajectory.w[:, 0])

    @pytest.mark.parametrize(
        ("lr", "interrupt", "names"),
        [
            (0.005, False, {"history.parquet", "loss.png", *OF_A_MODEL}),
            (0.005, True, {"history.parquet", "model.json", "fit.parquet"}),
            (0.1, False, {"history.parquet", "loss.png"}),
        ],
    )
    def test_the_files(
        self, line: Dataset, tmp_path: Path, lr: float, interrupt: bool, names: set[str]
    ) -> None:
        def on_progress(epoch: int, _loss: float) -> None:
            if interrupt and epoch:
                raise KeyboardInterrupt

        fit = train(line, lr=lr, epochs=1000, on_progress=on_progress)
        assert {path.name for path in save(fit, tmp_path)} == names
        assert {path.name for path in tmp_path.iterdir()} == names
