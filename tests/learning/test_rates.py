"""What rates do: regimes, predictions against measurements, what is said, and what is saved."""

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.compute
import pyarrow.parquet
import pytest

from gradrace.backends.interface import InputError
from gradrace.bench.data.reader import read_table
from gradrace.bench.data.samples import Dataset, synthetic
from gradrace.bench.learning.least_squares import least_squares
from gradrace.bench.learning.rates import Rates, measured_contraction, study
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
from gradrace.bench.parts import Answer, Sentence, Table, Tool
from gradrace.bench.show import html, pictures, plain  # noqa: F401 (it saves them)
from gradrace.bench.show.text import as_option, worded
from tests.certified import TABLES
from tests.conftest import FOREIGN
from tests.learning.conftest import NAMES
from tests.show.test_page import Page

HERE = pytest.mark.usefixtures("here")


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
        assert arrival(path, reference.landscape.least_squares) == (1038, 2368)
        steep, flat = reference.directions
        assert flat.share_of_b > 0.7 > 0.1 > flat.share_of_w
        constants = [direction.time_constant(0.005) for direction in (steep, flat)]
        assert constants == pytest.approx([2.0951, 550.66], rel=1e-4)
        heads = [column.title for column in direction_table(reference).columns]
        assert heads[-3:] == ["τ at 0.001", "τ at 0.005", "τ at 0.02584"]  # 0.1 diverges

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
        (lags,) = map(str, why_one_lags(reference))
        assert lags.startswith("b lags behind w: at α = 0.02584, w is 99 % of the way there after ")
        assert "% of the error of b lies along 0.99 b − 0.15 w[x], the direction in" in lags

    def test_by_default_an_answer_and_one_table(self, reference: Rates) -> None:
        parts = list(reference.parts())
        assert isinstance(parts[0], Answer)
        assert [type(part) for part in parts if not isinstance(part, Sentence)] == [Table]
        assert len(str(reference).splitlines()) < 20
        assert "b lags behind w" in str(reference.details())
        said = " ".join(str(part) for part in parts if isinstance(part, Sentence))
        assert len(re.findall(r"\buse\b", said.lower())) == 1
        assert "0.02622" not in said  # the fastest in the long run


@HERE
def test_where_no_rate_arrives_standardizing_comes_first_with_the_column_to_blame() -> None:
    longley = study(read_table(TABLES / "longley.csv"), epochs=60)
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
    table = speed_table(longley)
    (column,) = (j for j, head in enumerate(table.columns) if head.title == "ρ")
    *others, diverging = [str(row[column]) for row in table.rows]
    assert diverging == "1.214234"
    assert all(text.startswith("1 − ") for text in others)
    assert len(set(others)) == len(others)
    assert factor(1.0, 3.21e-21) == "1 − 3.2e-21"
    assert (factor(0.5, 0.5), factor(12.3456, -11.3456)) == ("0.500000", "12.35")


def test_contraction_is_not_measured_where_there_is_nothing_to_measure(line: Dataset) -> None:
    assert measured_contraction(train(line, epochs=0).trajectory) is None
    assert measured_contraction(train(line, epochs=1).trajectory) is None
    one_step = train(line, standardize=True, epochs=10)  # κ = 1: all is done in one epoch
    assert measured_contraction(one_step.trajectory) is None


@HERE
class TestTables:
    def test_the_default_rates_show_every_regime(self) -> None:
        found = study(synthetic(60, 4), epochs=200)
        assert [run.regime for run in found.runs] == ["slow", "stable", "oscillating", "diverges"]
        assert all(run.verdict.agrees for run in found.runs)

    def test_standardized_runs_are_reported_in_the_units_of_the_data(
        self, standardized: Rates
    ) -> None:
        best = least_squares(standardized.data)
        run = standardized.runs[-1]
        assert run.trajectory is not None
        path = standardized.original(run.trajectory)
        np.testing.assert_allclose(path.w[-1], best.w, rtol=1e-8)
        assert path.loss[-1] == pytest.approx(best.loss, rel=1e-9)
        original = standardized.landscape.original_least_squares
        assert original.b == pytest.approx(best.b, rel=1e-9)

    def test_dependent_columns_have_no_direction(self) -> None:
        plain = synthetic(40, 2)
        data = Dataset("twice", ("a", "b", "c"), "y", plain.X[:, [0, 1, 0]], plain.y)
        found = study(data, ["auto"], epochs=100)
        assert len(found.directions) == 3
        assert found.landscape.least_squares.ambiguity == "w is not unique: 'c' follows from 'a'"
        assert all(run.verdict.agrees for run in found.runs)

    def test_many_features_are_cut_short(self) -> None:
        found = study(synthetic(80, 30), ["auto"], epochs=20)
        assert len(direction_table(found).rows) == 5
        assert direction_table(found).note == "26 directions between these are in rates.json"
        table = result_table(found)
        assert [column.title for column in table.columns][-3:] == ["w[x20]", "b", "loss"]
        assert table.note == "10 more weights are in history.parquet"

    def test_names_from_outside_are_text_in_every_output(self, standardized: Rates) -> None:
        text = plain.plain(standardized.parts(detail=True), 50)
        page = html.page(standardized.title, standardized.parts(detail=True))
        for name in NAMES:
            assert name in text
            assert name.replace("<", "&lt;").replace(">", "&gt;") in page
        assert NAMES[-1] not in page
        assert "<b>y" not in page + standardized._repr_html_()


@HERE
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


@HERE
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


@HERE
def test_rates_are_sorted_and_taken_once_and_a_wrong_backend_is_found_out(line: Dataset) -> None:
    wrong = str(FOREIGN / "wrong.py")
    found = study(line, [0.01, 0.001, 0.01], backends=["numba", wrong], epochs=50)
    assert found.rates == [0.001, 0.01, found.recommended]
    assert [(run.lr, run.backend, run.verdict.agrees) for run in found.runs] == [
        (lr, backend, backend == "numba") for lr in found.rates for backend in ("numba", wrong)
    ]
    said = " ".join(str(found).split())
    assert f"{wrong}, α = {found.recommended:g}: loss at epoch 0: got 405.9" in said


def test_a_backend_that_fails_at_one_rate_is_judged_at_the_others(
    line: Dataset, tmp_path: Path
) -> None:
    (tmp_path / "mine.py").write_text(
        "import os\nfrom good import prepare, train as right\n"
        "def train(data, *, lr, **job):\n"
        "    if lr == 0.01: os._exit(3)\n"
        "    return right(data, lr=lr, **job)\n"
    )
    (tmp_path / "good.py").write_bytes((FOREIGN / "good.py").read_bytes())
    found = study(line, [0.001, 0.01], backends=[str(tmp_path / "mine.py")], epochs=20)
    assert [run.verdict.agrees for run in found.runs] == [True, False, True]
    assert found.runs[1].verdict.reason == "its process ended with status 3 and no result"


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
    assert {path.name for path in folder.iterdir()} == set(SAVED)
    return folder


class TestSaved:
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
        assert epoch[-1] == reference.epochs

    def test_on_the_page_the_answer_comes_first_and_points_tell_their_values(
        self, folder: Path
    ) -> None:
        text = (folder / "report.html").read_text("utf-8")
        assert text.index("<h1>") < text.index("Use α = ") < text.index("<h2>")
        told = re.findall("<title>([^<]+)</title>", text)
        for start in ("α = 0.005, epoch 0: ", "epoch 1: "):
            assert any(title.startswith(start) for title in told), start

    @HERE
    def test_an_interrupted_study_gets_no_pictures(self, tmp_path: Path, line: Dataset) -> None:
        def interrupt(_doing: str, done: int, _all: int) -> None:
            if done == 1:
                raise KeyboardInterrupt

        found = study(line, [0.001, 0.01], epochs=20, on_progress=interrupt)
        assert (found.interrupted, len(found.runs)) == (True, 1)
        assert [path.name for path in found.save(tmp_path)] == list(SAVED[:3])


@pytest.mark.parametrize("name", ["reference", "standardized"])
def test_the_rate_to_play_with_is_that_of_the_study(
    name: str, request: pytest.FixtureRequest
) -> None:
    """The page computes L* + (u/2) Σ λᵢ (cᵢ (1 − αλᵢ)ᵏ)², to 6 digits what the runs have found."""
    found: Rates = request.getfixturevalue(name)
    tools = [part for part in found.parts(detail=True) if isinstance(part, Tool)]
    data: Any
    (data,) = Page(html.page(found.title, tools)).tools
    values, errors = np.array(data["values"]), np.array(data["errors"])
    for run in found.runs:
        if run.regime == "diverges":
            continue
        assert run.trajectory is not None
        epoch = run.trajectory.epoch[:, None]
        left = errors * (1 - run.lr * values) ** epoch
        loss = data["least"] + data["unit"] * 0.5 * (values * left**2).sum(axis=1)
        np.testing.assert_allclose(loss, found.original(run.trajectory).loss, rtol=1e-6)


@HERE
def test_a_command_repeats_the_study(tmp_path: Path) -> None:
    (tmp_path / "a b.csv").write_text("x,y\n1,2\n2,3\n3,5\n", "utf-8")
    found = study(read_table(tmp_path / "a b.csv"), ["auto"], epochs=5)
    assert "a b.csv' --target y --features x --lr 0." in str(found.details())
