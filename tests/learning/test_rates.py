"""What rates do: regimes, predictions against measurements, what is said, and what is saved."""

import json
import re
from pathlib import Path

import numpy as np
import pyarrow.compute
import pyarrow.parquet
import pytest

from gradrace.backends.interface import InputError
from gradrace.bench.data.reader import read_table
from gradrace.bench.data.samples import Dataset, reference_line, synthetic
from gradrace.bench.learning.least_squares import least_squares
from gradrace.bench.learning.rates import (
    REFERENCE_RATES,
    Rates,
    measured_contraction,
    measured_epochs,
    study,
)
from gradrace.bench.learning.rates_parts import (
    answer,
    arrival,
    direction_table,
    factor,
    result_table,
    speed_table,
    why_one_lags,
    why_some_fail,
)
from gradrace.bench.learning.training import train
from gradrace.bench.parts import Answer, Sentence, Table
from gradrace.bench.show import html, pictures, plain  # noqa: F401 (it saves them)
from gradrace.bench.show.text import as_option, worded
from tests.certified import TABLES
from tests.conftest import FOREIGN

EPOCHS = 5_200
"""Enough for the slow rate to arrive"""


@pytest.fixture(scope="module")
def reference() -> Rates:
    return study(reference_line(), REFERENCE_RATES, epochs=EPOCHS)


class TestReferenceLine:
    """What the teaching project found: slow, stable, diverging; b comes in after w."""

    def test_every_run_is_as_predicted_and_verified(self, reference: Rates) -> None:
        runs = reference.runs
        assert [run.lr for run in runs] == reference.rates == [0.001, 0.005, 0.02584, 0.1]
        assert [run.regime for run in runs] == ["slow", "stable", "oscillating", "diverges"]
        assert all(run.verdict.agrees for run in runs)
        assert (runs[3].verdict.first_inf, runs[3].verdict.first_nan) == (186, 374)
        for run in (*runs[:2], runs[3]):
            assert run.measured_contraction == pytest.approx(run.contraction, rel=1e-8)
        assert runs[3].contraction == pytest.approx(6.590986, abs=1e-6)
        assert [run.epochs for run in runs] == [5099, 1019, 197, None]
        assert [run.measured_epochs for run in runs] == [5099, 1019, 197, None]

    def test_b_lags(self, reference: Rates) -> None:
        path = reference.runs[1].trajectory
        assert path is not None
        w, b = arrival(path, reference.landscape.least_squares)
        assert (w, b) == (1038, 2368)
        steep, flat = reference.directions
        assert flat.share_of_b > 0.7 > 0.1 > flat.share_of_w
        constants = [direction.time_constant(0.005) for direction in (steep, flat)]
        assert constants == pytest.approx([2.0951, 550.66], rel=1e-4)

    def test_what_is_said(self, reference: Rates) -> None:
        use, standardize = answer(reference)
        assert worded(use.pieces, as_option) == (
            "Use α = 0.02584, the rate of --lr auto: it is within 1 % of the least loss after 197 "
            "epochs; 0.001 needs 5,099; 0.005 needs 1,019."
        )
        assert str(standardize) == (
            "With standardize=True, far fewer epochs are needed: it lowers the condition number "
            "(how many times more the loss curves in its steepest direction than in its flattest) "
            "from 209 to 1."
        )
        assert [str(part) for part in why_some_fail(reference)] == [
            "α = 0.1 diverges, because it is above the limit, 0.02635: each step overshoots the "
            "minimum and ends 6.59 times as far from it as it began; at epoch 186 the loss "
            "overflows."
        ]
        (lags,) = why_one_lags(reference)
        assert str(lags).startswith(
            "b lags behind w: at α = 0.02584, w is 99 % of the way there after "
        )
        assert "% of the error of b lies along 0.99 b − 0.15 w[x], the direction in" in str(lags)

    def test_by_default_an_answer_and_one_table(self, reference: Rates) -> None:
        parts = list(reference.parts())
        assert isinstance(parts[0], Answer)
        assert [type(part) for part in parts if not isinstance(part, Sentence)] == [Table]
        assert len(str(reference).splitlines()) < 20
        assert "b lags behind w" in str(reference.details())
        said = " ".join(str(part) for part in reference.parts() if isinstance(part, Sentence))
        assert len(re.findall(r"\buse\b", said.lower())) == 1
        assert "0.02622" not in said  # the fastest in the long run

    def test_the_rate_to_use_keeps_its_promise(self, reference: Rates) -> None:
        least = reference.landscape.least_squares.loss
        path = train(reference.data, lr=reference.recommended, epochs=1000).trajectory
        assert measured_epochs(path, 1.01 * least) == 197

    def test_a_diverging_rate_has_no_time_constants(self, reference: Rates) -> None:
        heads = [column.title for column in direction_table(reference).columns]
        assert heads[-3:] == ["τ at 0.001", "τ at 0.005", "τ at 0.02584"]


@pytest.fixture(scope="module")
def longley() -> Rates:
    return study(read_table(TABLES / "longley.csv"), epochs=60)


class TestUnlikeColumns:
    """Where no rate arrives in time, standardizing is the answer, and comes first."""

    def test_the_answer_is_standardizing_and_names_the_column(self, longley: Rates) -> None:
        use, without = map(str, answer(longley))
        found = re.fullmatch(
            r"Use standardize=True: at α = (\S+), the loss is then within 1 % of the least after "
            r"([\d,]+) epochs\.",
            use,
        )
        assert found is not None
        scaled = longley.landscape.standardized
        assert scaled.epochs_needed(float(found[1])) == int(found[2].replace(",", ""))
        assert "gnp, which varies by 96,200, not scaled, makes the loss a narrow valley" in without
        assert "from 2.4e+19 to 12,220." in without

    def test_factors_near_1_have_digits(self, longley: Rates) -> None:
        (column,) = (j for j, head in enumerate(speed_table(longley).columns) if head.title == "ρ")
        written = [str(row[column]) for row in speed_table(longley).rows]
        assert written.pop() == "1.214234"  # it diverges
        assert all(text.startswith("1 − ") for text in written)
        assert len(set(written)) == len(written)
        assert factor(1.0, 3.21e-21) == "1 − 3.2e-21"
        assert (factor(0.5, 0.5), factor(12.3456, -11.3456)) == ("0.500000", "12.35")


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
        found = study(data, ["auto"], epochs=100)
        assert len(found.directions) == 3
        assert found.landscape.least_squares.ambiguity == "w is not unique: 'c' follows from 'a'"
        assert all(run.verdict.agrees for run in found.runs)

    def test_many_features_are_cut_short(self) -> None:
        found = study(synthetic(80, 30), ["auto"], epochs=60)
        assert len(direction_table(found).rows) == 5
        assert direction_table(found).note == "26 directions between these are in rates.json"
        assert [column.title for column in result_table(found).columns][-3:] == [
            "w[x20]",
            "b",
            "loss",
        ]
        assert result_table(found).note == "10 more weights are in history.parquet"

    def test_names_from_outside_are_text_in_every_output(self) -> None:
        names = ("count [/cm3]", "[red]x[/red]")
        plain_data = synthetic(30, 2)
        found = study(Dataset("t.csv", names, "<b>y</b>", plain_data.X, plain_data.y), epochs=9)
        text = plain.plain(found.parts(detail=True), 50)
        page = html.page(found.title, found.parts(detail=True))
        for name in names:
            assert name in text
            assert name in page
        assert "<b>y" not in page + found._repr_html_()


class TestExactFits:
    """Where the least loss is 0 but for rounding, 1 % of it is no goal."""

    @pytest.mark.parametrize("n", [2, 4, 50])
    def test_come_as_close_as_rounding_lets_them(self, n: int) -> None:
        x = np.random.default_rng(0).standard_normal((n, 1))
        exact = Dataset("exact", ("x",), "y", x, 2 * x[:, 0] + 1)
        found = study(exact, [0.45], epochs=300, standardize=True)
        assert found.landscape.least_squares.loss < found.landscape.goal < 1e-20
        assert all(run.epochs is not None for run in found.runs)
        assert [run.epochs for run in found.runs] == [run.measured_epochs for run in found.runs]

    def test_of_a_target_that_is_0_need_no_training(self, line: Dataset) -> None:
        found = study(Dataset("zero", ("x",), "y", line.X, np.zeros(100)), ["auto"], epochs=50)
        assert [run.epochs for run in found.runs] == [0]
        assert list(map(str, answer(found))) == [
            "The start is already within 1 % of the least loss; there is nothing to learn."
        ]

    def test_of_a_feature_too_small_to_matter_never_come(self, line: Dataset) -> None:
        found = study(Dataset("tiny", ("x",), "y", line.X * 1e-200, line.y), ["auto"], epochs=50)
        assert [run.epochs for run in found.runs] == [None]
        use, without = map(str, answer(found))
        assert use.startswith("Use standardize=True: at α = 0.5, the loss is then within")
        assert without.startswith("Without it, no rate comes within 1 % of that loss in a reasona")


def test_overflow_is_told_in_the_units_of_the_data(line: Dataset) -> None:
    large = Dataset("large", ("x",), "y", line.X, line.y * 1e100)
    found = study(large, [1.1], epochs=3000, standardize=True)
    _, run = found.runs
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
    found = study(line, ["auto"], backends=["numba", wrong], epochs=50)
    assert [(run.backend, run.verdict.agrees) for run in found.runs] == [
        ("numba", True),
        (wrong, False),
    ]
    assert f"{wrong}, α = {found.recommended:g}: loss at epoch 0: got 405.9" in " ".join(
        str(found).split()
    )


def test_rates_are_sorted_and_taken_once(line: Dataset) -> None:
    found = study(line, [0.01, 0.001, 0.01], epochs=5)
    assert found.rates == [0.001, 0.01, found.recommended]


@pytest.mark.parametrize("lr", [0.0, -1.0, float("nan"), float("inf")])
def test_what_is_no_rate_is_refused(line: Dataset, lr: float) -> None:
    with pytest.raises(InputError, match="lr: must be"):
        study(line, [0.001, lr], epochs=5)


SAVED = (
    "rates.json",
    "history.parquet",
    "path.parquet",
    "loss.png",
    "path.png",
    "report.html",
)


@pytest.fixture(scope="module")
def folder(reference: Rates, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("rates")
    assert [path.name for path in reference.save(folder)] == list(SAVED)
    return folder


class TestSaved:
    def test_nothing_else_is_left(self, folder: Path) -> None:
        assert {path.name for path in folder.iterdir()} == set(SAVED)

    def test_the_numbers(self, folder: Path, reference: Rates) -> None:
        found = json.loads((folder / "rates.json").read_text("utf-8"))
        assert (found["format"], found["schema"]) == ("gradrace rates", 1)
        assert found["limit"] == reference.landscape.hessian.limit
        assert [run["epochs_to_1_percent"] for run in found["runs"]] == [
            {"predicted": 5099, "measured": 5099},
            {"predicted": 1019, "measured": 1019},
            {"predicted": 197, "measured": 197},
            {"predicted": None, "measured": None},
        ]
        assert found["runs"][2]["w"] == [pytest.approx(3.015325853)]
        assert found["runs"][3]["loss"] is None  # nan

    def test_a_diverging_history_ends_with_inf(self, folder: Path) -> None:
        table = pyarrow.parquet.read_table(folder / "history.parquet")
        assert table.column_names == ["lr", "epoch", "loss", "w[x]", "b"]
        loss = table.filter(pyarrow.compute.field("lr") == 0.1).column("loss").to_numpy()
        assert (len(loss), loss[-1]) == (187, np.inf)
        assert np.isfinite(loss[:-1]).all()

    def test_the_path_is_in_the_plane_of_w_and_b(self, folder: Path, reference: Rates) -> None:
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
        assert epoch[-1] == EPOCHS

    def test_an_interrupted_study_gets_no_pictures(self, tmp_path: Path, line: Dataset) -> None:
        def interrupt(_doing: str, done: int, _all: int) -> None:
            if done == 1:
                raise KeyboardInterrupt

        found = study(line, [0.001, 0.01], epochs=20, on_progress=interrupt)
        assert (found.interrupted, len(found.runs)) == (True, 1)
        assert [path.name for path in found.save(tmp_path)] == list(SAVED[:3])
