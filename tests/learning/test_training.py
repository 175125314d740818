"""What a run says and saves, how it diverges, and what it predicts; see test_descent, too."""

import json
import re
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet
import pytest

from gradrace import fit
from gradrace.backends.interface import InputError, InputValueError
from gradrace.bench.data.samples import REFERENCE_LR, Dataset, synthetic
from gradrace.bench.learning.curvature import hessian
from gradrace.bench.learning.least_squares import least_squares
from gradrace.bench.learning.training import OF_A_MODEL, Fit, train
from gradrace.bench.learning.training_parts import fit_table, way_table
from gradrace.bench.parts import Answer, Caution, Command, Figure, Heading, Note
from gradrace.bench.proof.returns import BackendError
from gradrace.bench.show import html, markdown, pictures, plain  # noqa: F401 (it saves them)
from gradrace.bench.show.text import as_option
from tests.conftest import FOREIGN
from tests.learning.conftest import NAMES

UNFINISHED = pytest.mark.filterwarnings("ignore::gradrace.bench.api.learning.UnfinishedWarning")


def said(fit: Fit, kind: type = Answer) -> list[str]:
    return [str(part) for part in fit.parts() if type(part) is kind]


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


@pytest.mark.parametrize("job", [{"lr": 0.0, "epochs": 1}, {"lr": 0.1, "epochs": -1}])
def test_bad_arguments_are_refused_before_any_work(line: Dataset, job: dict[str, Any]) -> None:
    with pytest.raises(InputError):
        train(line, backend="no such backend", **job)


def test_a_plain_foreign_backend_trains_too(line: Dataset) -> None:
    found, expected = (
        train(line, backend=backend, lr=0.005, epochs=50)
        for backend in (str(FOREIGN / "good.py"), "numba")
    )
    assert found.loss == pytest.approx(expected.loss)


def test_a_foreign_backend_that_raises_is_one_line(
    line: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GRADRACE_TEST_HOW", "raises in prepare")
    with pytest.raises(BackendError, match=r"bad.py: raised KeyError: 'no such column' \(bad.py"):
        train(line, backend=str(FOREIGN / "bad.py"), lr=0.1, epochs=1)


def test_ctrl_c_keeps_what_is_done(line: Dataset) -> None:
    def interrupt(epoch: int, _loss: float) -> None:
        if epoch >= 1:
            raise KeyboardInterrupt

    fit = train(line, lr=0.005, epochs=10_000, on_progress=interrupt)
    whole = train(line, lr=0.005, epochs=10_000).trajectory
    assert fit.interrupted
    assert 1 <= fit.epochs < 10_000
    np.testing.assert_array_equal(fit.trajectory.loss, whole.loss[: fit.epochs + 1])


class TestDivergence:
    def test_says_why(self, line: Dataset) -> None:
        fit = train(line, lr=0.1, epochs=10_000)
        assert fit.failure is not None
        assert str(fit.failure) == (
            "diverged: the loss overflows at epoch 186, because α = 0.1 exceeds 2/λmax = 0.026347; "
            "choose a rate below that, or lr='auto'"
        )
        assert plain.plain([fit.failure], 200, as_option).endswith(", or --lr auto\n")
        assert said(fit) == [str(fit.failure)]
        limit = hessian(line.X).limit
        assert not train(line, lr=0.999 * limit, epochs=20_000).diverged
        assert train(line, lr=1.001 * limit, epochs=400_000).diverged

    def test_is_a_growing_loss_before_it_overflows(self, line: Dataset) -> None:
        fit = train(line, lr=0.1, epochs=10)
        assert str(fit.failure).startswith("diverged: the loss grows from 401.8 to ")
        assert "because α = 0.1 exceeds 2/λmax = 0.026347; choose a r" in str(fit.failure)

    def test_counts_in_the_units_of_the_data(self) -> None:
        data = synthetic(20, 2)
        data = Dataset(data.name, data.features, data.target, data.X, 1e30 * data.y)
        fit = train(data, lr=1.4, epochs=2_000, standardize=True)
        assert np.isfinite(fit.trajectory.loss[:-1]).all()
        assert f"overflows at epoch {fit.epochs:,}" in str(fit.failure)

    def test_is_told_from_data_too_large_for_float64(self) -> None:
        data = Dataset("huge", ("x",), "y", np.array([[1.0], [2.0]]), np.array([1e200, -1e200]))
        fit = train(data, lr=0.01, epochs=5)
        assert "too large for float64" in str(fit.failure)

    def test_leaves_nothing_to_predict_with_or_to_plot(self, line: Dataset) -> None:
        with pytest.warns(UserWarning, match="diverged: the loss overflows at epoch 186, because"):
            result = fit(line.X, line.y, lr=0.1)
        with pytest.raises(InputValueError, match="the training diverged"):
            result.predict(line.X)
        with pytest.raises(InputValueError, match=r"cannot plot the model: diverged: .*lr='auto'"):
            result.residual_plot()


class TestSaid:
    def test_the_answer_and_why_it_is_not_the_truth(self, line: Dataset) -> None:
        fit = train(line, lr=0.005, epochs=10_000)
        assert said(fit) == [
            "After 10,000 epochs, the loss is 0.814905; the least possible is 0.814905."
        ]
        assert said(fit, Note) == [
            "The least-squares b is 1.81; the true b is 2. With noise of standard deviation 0.912 "
            "on 100 samples, b is typically off by 0.21, so this is noise, not a bug: more samples "
            "would bring b closer, more epochs would not."
        ]

    def test_what_is_left_and_what_helps(self, line: Dataset) -> None:
        (short,) = said(train(line, lr=0.005, epochs=100))
        start = "Not there yet: the loss is 1.044; the least possible is 0.8149. b has "
        assert short.startswith(start)
        assert " With standardize=True, fewer epochs are needed: it" in short
        assert short.endswith("than in its flattest) from 209 to 1.")
        (slow,) = said(train(line, lr=1e-5, epochs=100))
        assert " With lr='auto', which is 0.02" in slow

    @pytest.mark.parametrize(
        ("lr", "standardize"), [(0.002, False), (0.005, False), (0.02, False), (0.001, True)]
    )
    def test_so_many_more_epochs_are_enough(
        self, line: Dataset, lr: float, standardize: bool
    ) -> None:
        short, *_ = said(train(line, lr=lr, epochs=100, standardize=standardize))
        found = re.search(r"Another ([\d,]+) epochs will bring it within 1 %", short)
        assert found is not None
        missing = int(found[1].replace(",", ""))
        there, almost = (
            train(line, lr=lr, epochs=100 + more, standardize=standardize)
            for more in (missing, missing - 1)
        )
        assert there.loss <= 1.01 * there.least_squares.loss < almost.loss

    def test_a_loss_that_underflows(self, line: Dataset) -> None:
        tiny = Dataset("tiny", ("x",), "y", line.X, line.y * 1e-200)
        assert said(train(tiny, lr=0.005, epochs=10))[1:] == [
            "The squares of y are too small for float64, so the loss is meaningless; multiply the "
            "column by a large number."
        ]

    def test_a_bias_without_a_digit(self) -> None:
        rng = np.random.default_rng(3)
        X = 500 + rng.standard_normal((40, 1))
        data = Dataset("far", ("x",), "y", X, 2 * X[:, 0] + 30 * rng.standard_normal(40))
        assert said(train(data))[1:] == [
            "The loss is within 1 % of the least, but not one digit of b is right yet; train "
            "longer."
        ]

    def test_a_tolerance_that_is_not_reached(self, line: Dataset) -> None:
        assert said(train(line, lr=0.005, epochs=50, tol=1e-6))[1] == (
            "The norm of the gradient has not yet fallen to 1e-06 of its first value; train longer."
        )

    def test_nothing_more_when_only_rounding_is_left(self) -> None:
        x = np.linspace(0, 1, 20)
        data = Dataset("exact", ("x",), "y", x.reshape(-1, 1), 3 * x + 1)
        assert len(said(train(data, lr=0.5, epochs=2000))) == 1

    def test_with_detail_also_pictures_and_how_to_repeat_it(self, line: Dataset) -> None:
        fit = train(line, lr=0.01, epochs=30, standardize=True, tol=0.1)
        parts = list(fit.parts(detail=True))
        assert [part.name for part in parts if isinstance(part, Figure)] == [
            "fit",
            "residuals",
            "loss",
        ]
        assert parts[-1] == Command(
            "gradrace train --lr 0.01 --epochs 30 --standardize --tol 0.1 --backend numba"
        )
        short = [part for part in parts if not isinstance(part, Heading | Figure | Command)]
        assert short[:-1] == list(fit.parts())  # and the environment


class TestTables:
    def test_of_many_features_the_first_are_shown(self) -> None:
        wide = Dataset("wide", tuple("abcdefg"), "y", np.eye(7), np.arange(7.0))
        table = way_table(train(wide, epochs=5))
        heads = [column.title for column in table.columns]
        assert heads == ["epoch", "loss", "w[a]", "w[b]", "w[c]", "b"]
        assert table.note == "4 more weights are in history.parquet"
        table = fit_table(train(synthetic(90, 30), epochs=5))
        assert [row[0] for row in table.rows[-3:]] == ["w[x20]", "b", "loss"]
        assert table.note == "10 more weights are in model.json"

    def test_names_from_outside_are_text_in_every_output(self) -> None:
        names = ("count [/cm3] of what has a long name, to the last letter", *NAMES[1:])
        X = np.random.default_rng(0).standard_normal((30, 3))
        fit = train(Dataset("t.csv", names, "<b>y</b>", X, X[:, 0]), epochs=5)
        text = plain.plain(fit.parts(detail=True), 50)
        page = html.page(fit.title, fit.parts(detail=True))
        pasted = "\n".join(markdown.markdown(fit.parts()))
        for name in names:
            assert f"w[{name}]" in text
            assert name.replace("<", "&lt;").replace(">", "&gt;") in page
            assert re.sub(r"[\[\]<>]", r"\\\g<0>", name) in pasted
        assert "<b>y" not in page + fit._repr_html_()
        assert NAMES[-1] not in page + fit._repr_html_()
        assert "w[x] is" not in text

    def test_points_on_the_page_tell_their_values(self, line: Dataset) -> None:
        fit = train(line, lr=0.01, epochs=300)
        text = html.page(fit.title, fit.parts(detail=True))
        assert text.index("<h1>") < text.index("Not there yet") < text.index("<h2>")
        told = re.findall("<title>([^<]+)</title>", text)
        for start in ("actual ", "predicted .*, residual "):
            assert any(re.match(start, title) for title in told), start

    def test_dependent_columns_are_a_caution(self) -> None:
        with pytest.warns(UserWarning, match="w is not unique: 'x2' follows from 'x1'"):
            result = fit([[1, 2], [2, 4], [4, 8]], [3, 5, 9], standardize=True)
        assert said(result, Caution) == ["w is not unique: 'x2' follows from 'x1'"]


class TestSaved:
    def test_the_model_says_what_it_was_trained_with(self, tmp_path: Path) -> None:
        data = synthetic(50, 3)
        fit = train(data, backend="numpy", lr=0.1, epochs=100)
        list(islice(fit.files(tmp_path), 2))  # pictures take long
        model = json.loads((tmp_path / "model.json").read_text("utf-8"))
        assert (model["features"], model["target"]) == (["x1", "x2", "x3"], "y")
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
        next(fit.files(tmp_path))
        table = pyarrow.parquet.read_table(tmp_path / "history.parquet")
        assert table.column_names == ["epoch", "loss", "w[x]", "b"]
        np.testing.assert_array_equal(table.column("loss").to_numpy(), fit.trajectory.loss)
        np.testing.assert_array_equal(table.column("w[x]").to_numpy(), fit.trajectory.w[:, 0])

    @pytest.mark.parametrize(
        ("lr", "interrupt", "names"),
        [
            (0.005, False, {"history.parquet", "loss.png", "report.html", *OF_A_MODEL}),
            (0.005, True, {"history.parquet", "model.json", "fit.parquet"}),
            (0.1, False, {"history.parquet", "loss.png", "report.html"}),
        ],
    )
    def test_the_files(
        self, line: Dataset, tmp_path: Path, lr: float, interrupt: bool, names: set[str]
    ) -> None:
        def on_progress(epoch: int, _loss: float) -> None:
            if interrupt and epoch:
                raise KeyboardInterrupt

        fit = train(line, lr=lr, epochs=1000, on_progress=on_progress)
        assert {path.name for path in fit.save(tmp_path)} == names
        assert {path.name for path in tmp_path.iterdir()} == names
        if fit.diverged:
            page = (tmp_path / "report.html").read_text("utf-8")
            assert "diverged: the loss overflows at epoch 186" in page


@UNFINISHED
class TestFitFromPython:
    def test_predicts(self, line: Dataset) -> None:
        result = fit(line.X, line.y)
        assert (result.w[0], result.b) == (result.trajectory.w[-1, 0], result.trajectory.b[-1])
        assert result.loss == pytest.approx(result.least_squares.loss)
        assert result.predict([[0.0], [1.0]]) == pytest.approx([result.b, result.b + result.w[0]])
        assert fit([[1], [2], [4]], [3, 5, 9]).predict([[3]]) == pytest.approx([7.0])

    @pytest.mark.parametrize(
        ("X", "message"),
        [
            ([1.0, 2.0], "X: needs shape .n, d., one row per sample, got .2,.; for one feature"),
            ([[1.0, 2.0]], "X: needs 1 columns, got 2"),
            ([["a"]], "X: needs real numbers"),
            ([[np.nan]], "X: must be finite"),
            (5.0, "X: needs shape"),
            ([[1e308]], "X: a prediction is beyond float64"),
        ],
    )
    def test_what_it_cannot_predict(self, line: Dataset, X: Any, message: str) -> None:
        with pytest.raises((InputValueError, TypeError), match=message):
            fit(line.X, 1e3 * line.y, epochs=5).predict(X)

    def test_far_from_zero_the_loss_is_that_of_the_predictions(self) -> None:
        rng = np.random.default_rng(0)
        x, noise = rng.standard_normal((50, 1)), 1e-6 * rng.standard_normal(50)
        X = 1e12 + x
        y = 3 * (X[:, 0] - 1e12) + noise
        result = fit(X, y, standardize=True, epochs=100)
        assert np.mean((result.predict(X) - y) ** 2) == pytest.approx(result.loss, rel=1e-6)

    def test_refuses_what_is_no_data(self) -> None:
        with pytest.raises(InputValueError, match="y: needs one value per row of X, 2, got 1"):
            fit([[1], [2]], [1])
        with pytest.raises(InputValueError, match="backend jax: "):
            fit([[1], [2]], [1, 2], backend="jax")
