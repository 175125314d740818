"""The learning-rate study: regimes, predictions against measurements, and what is saved."""

import json
import re
from pathlib import Path

import numpy as np
import pyarrow.compute
import pyarrow.parquet
import pytest

from gradrace.backends.interface import InputError
from gradrace.bench.data.samples import Dataset, reference_line, synthetic
from gradrace.bench.learning.least_squares import least_squares
from gradrace.bench.learning.rates import (
    REFERENCE_RATES,
    Study,
    arrival,
    measured_contraction,
    measured_epochs,
    study,
)
from gradrace.bench.learning.rates_files import save
from gradrace.bench.learning.training import train
from gradrace.bench.report.rates import advice, direction_table, report, result_table, speed_table
from tests.conftest import FOREIGN


@pytest.fixture(scope="module")
def reference() -> Study:
    return study(reference_line(), REFERENCE_RATES)


class TestReferenceLine:
    """What the teaching project found: slow, stable, diverging; b comes in after w."""

    def test_regimes(self, reference: Study) -> None:
        assert [run.regime for run in reference.runs] == ["slow", "stable", "diverges"]

    def test_all_runs_are_verified(self, reference: Study) -> None:
        assert [run.verdict.agrees for run in reference.runs] == [True, True, True]
        diverging = reference.runs[2].verdict
        assert (diverging.first_inf, diverging.first_nan) == (186, 374)

    def test_contraction_is_as_predicted(self, reference: Study) -> None:
        for run in reference.runs:
            assert run.measured_contraction == pytest.approx(run.contraction, rel=1e-8)
        assert reference.runs[2].contraction == pytest.approx(6.590986, abs=1e-6)

    def test_epochs_are_as_predicted(self, reference: Study) -> None:
        assert [run.epochs for run in reference.runs] == [5099, 1019, None]
        assert [run.measured_epochs for run in reference.runs] == [5099, 1019, None]

    def test_b_lags(self, reference: Study) -> None:
        path = reference.runs[1].trajectory
        assert path is not None
        w, b = arrival(path, reference.landscape.least_squares)
        assert (w, b) == (1038, 2368)
        steep, flat = reference.directions
        assert flat.share_of_b > 0.7 > 0.1 > flat.share_of_w
        constants = [direction.time_constant(0.005) for direction in (steep, flat)]
        assert constants == pytest.approx([2.0951, 550.66], rel=1e-4)

    def test_what_is_said(self, reference: Study) -> None:
        use, standardize, fails, lags = advice(reference)
        assert use == (
            "Use α = 0.02584, the rate of --lr auto: it is within 1 % of the least loss after 197 "
            "epochs; 0.001 needs 5,099; 0.005 needs 1,019."
        )
        assert standardize == (
            "With --standardize, far fewer epochs are needed: it lowers the condition number (how "
            "many times more the loss curves in its steepest direction than in its flattest) from "
            "209 to 1."
        )
        assert fails == (
            "α = 0.1 diverges, because it is above the limit, 0.02635: each step overshoots the "
            "minimum and ends 6.59 times as far from it as it began; at epoch 186 the loss "
            "overflows."
        )
        assert lags == (
            "b lags behind w: at α = 0.005, w is 99 % of the way there after 1,038 epochs, b only "
            "after 2,368. 74 % of the error of b lies along 0.99 b − 0.15 w[x], the direction in "
            "which the loss is flattest: there it curves 209 times less than in the steepest "
            "direction."
        )

    def test_one_rate_is_recommended(self, reference: Study) -> None:
        said = " ".join(part for part in report(reference) if isinstance(part, str))
        assert len(re.findall(r"\buse\b", said.lower())) == 1
        assert "0.02622" not in said  # the fastest in the long run

    def test_the_rate_to_use_keeps_its_promise(self, reference: Study) -> None:
        least = reference.landscape.least_squares.loss
        path = train(reference.data, lr=reference.recommended, epochs=1000).trajectory
        assert measured_epochs(path, 1.01 * least) == 197

    def test_a_diverging_rate_has_no_time_constants(self, reference: Study) -> None:
        heads = [str(column.header) for column in direction_table(reference).columns]
        assert [head for head in heads if "τ" in head] == ["τ at\n0.001", "τ at\n0.005"]


def test_contraction_is_not_measured_where_there_is_nothing_to_measure(line: Dataset) -> None:
    assert measured_contraction(train(line, epochs=0).trajectory) is None
    assert measured_contraction(train(line, epochs=1).trajectory) is None
    one_step = train(line, standardize=True, epochs=10)  # κ = 1: all is done in one epoch
    assert measured_contraction(one_step.trajectory) is None


class TestTables:
    def test_the_default_rates_show_every_regime(self) -> None:
        found = study(synthetic(60, 4), epochs=200)
        assert [run.regime for run in found.runs] == ["slow", "stable", "oscillating", "diverges"]
        assert all(run.verdict.agrees for run in found.runs)

    def test_standardized_runs_are_reported_in_the_units_of_the_data(self) -> None:
        plain = synthetic(60, 2)
        data = Dataset("far", plain.features, "y", plain.X * 100 + 1000, plain.y * 10)
        found = study(data, ["auto"], epochs=300, standardize=True)
        (run,) = found.runs
        assert run.trajectory is not None
        path, best = found.original(run.trajectory), least_squares(data)
        np.testing.assert_allclose(path.w[-1], best.w, rtol=1e-8)
        assert path.loss[-1] == pytest.approx(best.loss, rel=1e-9)
        assert found.landscape.original_least_squares.b == pytest.approx(best.b, rel=1e-9)

    def test_dependent_columns_have_no_direction(self) -> None:
        plain = synthetic(40, 2)
        data = Dataset("twice", ("a", "b", "c"), "y", plain.X[:, [0, 1, 0]], plain.y)
        found = study(data, [0.1], epochs=100)
        assert len(found.directions) == 3
        assert found.landscape.least_squares.ambiguity == "w is not unique: 'c' follows from 'a'"
        assert all(run.verdict.agrees for run in found.runs)

    def test_many_features_are_cut_short(self) -> None:
        found = study(synthetic(80, 30), [0.1], epochs=60)
        assert len(direction_table(found).rows) == 5
        assert [str(column.header) for column in result_table(found).columns] == [
            "α",
            "w[x1]",
            "w[x2]",
            "w[x3]",
            "b",
            "loss",
        ]
        assert len(speed_table(found).rows) == 1


class TestExactFits:
    """Where the least loss is 0 but for rounding, 1 % of it is no goal."""

    @pytest.mark.parametrize("n", [2, 4, 50])
    def test_come_as_close_as_rounding_lets_them(self, n: int) -> None:
        x = np.random.default_rng(0).standard_normal((n, 1))
        exact = Dataset("exact", ("x",), "y", x, 2 * x[:, 0] + 1)
        found = study(exact, [0.45], epochs=300, standardize=True)
        assert found.landscape.least_squares.loss < found.landscape.goal < 1e-20
        for run in found.runs:
            assert run.epochs is not None
            assert run.epochs == run.measured_epochs

    def test_of_a_target_that_is_0_need_no_training(self, line: Dataset) -> None:
        found = study(Dataset("zero", ("x",), "y", line.X, np.zeros(100)), [0.01], epochs=50)
        assert [run.epochs for run in found.runs] == [0]
        assert list(advice(found)) == [
            "The start is already within 1 % of the least loss; there is nothing to learn."
        ]

    def test_of_a_feature_too_small_to_matter_never_come(self, line: Dataset) -> None:
        found = study(Dataset("tiny", ("x",), "y", line.X * 1e-200, line.y), [0.1], epochs=50)
        assert [run.epochs for run in found.runs] == [None]
        first, second = advice(found)
        assert first.endswith("No rate comes within 1 % of that loss in a reasonable time.")
        assert second.startswith("With --standardize, far fewer epochs are needed")


def test_overflow_is_told_in_the_units_of_the_data(line: Dataset) -> None:
    large = Dataset("large", ("x",), "y", line.X, line.y * 1e100)
    found = study(large, [1.1], epochs=3000, standardize=True)
    (run,) = found.runs
    assert run.verdict.agrees
    assert run.verdict.first_inf is not None
    assert run.trajectory is not None
    loss = found.original(run.trajectory).loss
    assert found.overflow(run)[0] == np.flatnonzero(np.isinf(loss))[0] < run.verdict.first_inf


def test_a_loss_beyond_float64_is_refused(line: Dataset) -> None:
    for standardize in (False, True):
        with pytest.raises(InputError, match="'y' is so large that the loss is beyond float64"):
            study(Dataset("huge", ("x",), "y", line.X, line.y * 1e160), standardize=standardize)


def test_a_wrong_backend_is_found_out(line: Dataset) -> None:
    wrong = str(FOREIGN / "wrong.py")
    found = study(line, [0.005], backends=["numba", wrong], epochs=50)
    assert [(run.backend, run.verdict.agrees) for run in found.runs] == [
        ("numba", True),
        (wrong, False),
    ]


def test_rates_are_sorted_and_taken_once(line: Dataset) -> None:
    found = study(line, [0.01, 0.001, 0.01], epochs=5)
    assert found.rates == [0.001, 0.01]


@pytest.mark.parametrize("lr", [0.0, -1.0, float("nan"), float("inf")])
def test_what_is_no_rate_is_refused(line: Dataset, lr: float) -> None:
    with pytest.raises(InputError, match="lr: must be"):
        study(line, [0.001, lr], epochs=5)


SAVED = ("rates.json", "history.parquet", "path.parquet", "loss.png", "path.png")


@pytest.fixture(scope="module")
def folder(reference: Study, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("rates")
    assert [path.name for path in save(reference, folder)] == list(SAVED)
    return folder


class TestSaved:
    def test_nothing_else_is_left(self, folder: Path) -> None:
        assert {path.name for path in folder.iterdir()} == set(SAVED)

    def test_the_numbers(self, folder: Path, reference: Study) -> None:
        found = json.loads((folder / "rates.json").read_text("utf-8"))
        assert (found["format"], found["schema"]) == ("gradrace rates", 1)
        assert found["limit"] == reference.landscape.hessian.limit
        assert [run["epochs_to_1_percent"] for run in found["runs"]] == [
            {"predicted": 5099, "measured": 5099},
            {"predicted": 1019, "measured": 1019},
            {"predicted": None, "measured": None},
        ]
        assert found["runs"][1]["w"] == [pytest.approx(3.015325855)]
        assert found["runs"][2]["loss"] is None  # nan

    def test_a_diverging_history_ends_with_inf(self, folder: Path) -> None:
        table = pyarrow.parquet.read_table(folder / "history.parquet")
        assert table.column_names == ["lr", "epoch", "loss", "w[x]", "b"]
        loss = table.filter(pyarrow.compute.field("lr") == 0.1).column("loss").to_numpy()
        assert (len(loss), loss[-1]) == (187, np.inf)
        assert np.isfinite(loss[:-1]).all()

    def test_the_path_is_in_the_plane_of_w_and_b(self, folder: Path, reference: Study) -> None:
        table = pyarrow.parquet.read_table(folder / "path.parquet")
        plane = json.loads(table.schema.metadata[b"plane"])
        assert plane["labels"] == ["w[x]", "b"]
        assert plane["hessian"] == pytest.approx(
            np.array([[2 * np.mean(reference.data.points()[0] ** 2), 11.0], [11.0, 2.0]])
        )
        rows = table.filter(pyarrow.compute.field("lr") == 0.005)
        path = reference.runs[1].trajectory
        assert path is not None
        epoch = rows.column("epoch").to_numpy()
        np.testing.assert_array_equal(rows.column("x").to_numpy(), path.w[epoch, 0])
        assert epoch[-1] == 10_000

    def test_an_interrupted_study_gets_no_pictures(self, tmp_path: Path, line: Dataset) -> None:
        def interrupt(_doing: str, done: int, _all: int) -> None:
            if done == 1:
                raise KeyboardInterrupt

        found = study(line, [0.001, 0.01], epochs=20, on_progress=interrupt)
        assert (found.interrupted, len(found.runs)) == (True, 1)
        assert [path.name for path in save(found, tmp_path)] == list(SAVED[:3])
