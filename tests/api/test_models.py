"""`fit` from Python: what it takes, what it says, what the model can do."""

import pickle
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

import gradrace
from gradrace.backends.interface import InputTypeError, InputValueError
from gradrace.plots.canvas import Figure

COLUMNS = {
    "size": [1.0, 2.0, 3.0, 4.0, 5.0],
    "age": [3.0, 1.0, 4.0, 2.0, 5.0],
    "price": [5.1, 8.0, 10.9, 14.0, 16.8],
}
TABLES: dict[str, Callable[[Any], Any]] = {
    "pandas": pd.DataFrame,
    "Polars": pl.DataFrame,
    "pyarrow": pa.table,
    "a dictionary": dict,
}
tables = pytest.mark.parametrize("table", TABLES.values(), ids=TABLES)


@pytest.fixture
def model() -> gradrace.Fit:
    return gradrace.fit(pd.DataFrame(COLUMNS), standardize=True)


class TestColumns:
    @tables
    def test_names_are_kept(self, table: Callable[[Any], Any]) -> None:
        fit = gradrace.fit(table(COLUMNS), standardize=True)
        assert (fit.data.features, fit.data.target) == (("size", "age"), "price")
        assert fit.w == pytest.approx(fit.least_squares.w, rel=1e-6)

    @tables
    def test_prediction_finds_its_columns(
        self, model: gradrace.Fit, table: Callable[[Any], Any]
    ) -> None:
        turned = {"age": COLUMNS["age"], "id": [1.0] * 5, "size": COLUMNS["size"]}
        straight = np.column_stack([COLUMNS["size"], COLUMNS["age"]])
        np.testing.assert_array_equal(model.predict(table(turned)), model.predict(straight))
        with pytest.raises(InputValueError, match="has no column 'size', which the model"):
            model.predict(table({"age": [1.0]}))

    def test_a_target_beside_the_features(self) -> None:
        frame = pd.DataFrame(COLUMNS)
        fit = gradrace.fit(frame[["size", "age"]], frame["price"], standardize=True)
        assert (fit.data.features, fit.data.target) == (("size", "age"), "price")
        named = gradrace.fit(frame, target="size", features=["price"], standardize=True)
        assert (named.data.features, named.data.target) == (("price",), "size")

    def test_a_target_with_the_name_of_a_feature(self) -> None:
        frame = pd.DataFrame(COLUMNS)
        fit = gradrace.fit(frame[["size", "age"]], frame["size"] * 2, standardize=True)
        assert (fit.data.features, fit.data.target) == (("size", "age"), "y")

    def test_an_index_with_a_name_is_no_column(self) -> None:
        frame = pd.DataFrame(COLUMNS, index=pd.Index([7, 3, 9, 4, 1], name="id"))
        assert gradrace.fit(frame, standardize=True).data.features == ("size", "age")

    def test_features_by_one_name(self) -> None:
        fit = gradrace.fit(COLUMNS, target="price", features="size", standardize=True)
        assert fit.data.features == ("size",)

    def test_a_file(self, tmp_path: Path) -> None:
        pd.DataFrame(COLUMNS).to_csv(tmp_path / "houses.csv", index=False)
        fit = gradrace.fit(tmp_path / "houses.csv", target="price", standardize=True)
        assert fit.data.features == ("size", "age")
        found = fit.predict(tmp_path / "houses.csv")
        np.testing.assert_array_equal(found, fit.predict(COLUMNS))
        again = gradrace.fit(str(tmp_path / "houses.csv"), target="price", standardize=True)
        np.testing.assert_array_equal(again.w, fit.w)

    def test_names_that_are_no_text(self) -> None:
        numbered = pd.DataFrame(np.array(list(COLUMNS.values())).T)
        fit = gradrace.fit(numbered, target=2, features=[0, 1], standardize=True)
        assert (fit.data.features, fit.data.target) == (("0", "1"), "2")
        nested = numbered.set_axis(pd.MultiIndex.from_product([["u"], ["a", "b", "c"]]), axis=1)
        assert gradrace.fit(nested, target=("u", "a"), standardize=True).data.target == "('u', 'a')"

    def test_what_is_in_other_columns_does_not_matter(self) -> None:
        frame = pd.DataFrame(COLUMNS).assign(odd=["x", 1, None, 2j, []], z=1j)
        twice = pd.concat([frame, frame[["odd"]]], axis=1)
        fit = gradrace.fit(twice, target="price", features=["size", "age"], standardize=True)
        np.testing.assert_array_equal(fit.predict(twice), fit.predict(COLUMNS))

    @pytest.mark.parametrize("missing", [None, np.nan, pd.NA])
    def test_rows_that_miss_something_can_be_left_out(self, missing: Any) -> None:
        frame = pd.DataFrame(COLUMNS).astype(object)
        frame.loc[2, "age"] = missing
        frame.loc[4, "price"] = missing
        whole = pd.DataFrame(COLUMNS).drop([2, 4])
        expected = gradrace.fit(whole, standardize=True)
        for X, y in ((frame, None), (frame[["size", "age"]], frame["price"])):
            with pytest.raises(InputValueError, match=r"drop_missing=True leaves them out\)"):
                gradrace.fit(X, y)
            fit = gradrace.fit(X, y, drop_missing=True, standardize=True)
            np.testing.assert_array_equal(fit.w, expected.w)
            assert "Left out: 2 rows with a missing value." in " ".join(str(fit.summary()).split())
        gaps = frame.map(lambda value: np.nan if pd.isna(value) else value).astype(float)
        masked = np.ma.masked_invalid(gaps)
        with pytest.raises(InputTypeError, match="is a masked array"):
            gradrace.fit(masked[:, :2], masked[:, 2])
        fit = gradrace.fit(masked[:, :2], masked[:, 2], drop_missing=True, standardize=True)
        np.testing.assert_array_equal(fit.w, expected.w)
        if missing is np.nan:
            values = frame.to_numpy(float)
            fit = gradrace.fit(values[:, :2], values[:, 2], drop_missing=True, standardize=True)
            np.testing.assert_array_equal(fit.w, expected.w)


def test_warnings_name_the_line_of_the_caller() -> None:
    with pytest.warns(gradrace.UnfinishedWarning) as found:
        gradrace.fit(COLUMNS, epochs=3)
    assert found[0].filename == __file__


def test_epochs_may_be_written_1e2() -> None:
    fit = gradrace.fit(COLUMNS, epochs=cast(int, 1e2), standardize=True)
    assert fit.trajectory.epoch[-1] == 100


def test_without_samples_it_is_the_reference_line() -> None:
    assert gradrace.fit().w == pytest.approx([3.015325855], abs=1e-9)
    assert gradrace.fit(gradrace.reference_line(), lr=0.005).b == gradrace.fit().b


class TestUnfinished:
    X, y = np.array([[100.0], [101.0], [103.0]]), np.array([1.0, 2.0, 4.5])

    def test_says_what_is_left_and_what_helps(self) -> None:
        with pytest.warns(gradrace.UnfinishedWarning) as found:
            gradrace.fit(self.X, self.y, epochs=100)
        said = str(found[0].message)
        assert "of its way left" in said
        assert "With standardize=True, fewer epochs are needed" in said

    def test_what_went_the_wrong_way_is_said(self) -> None:
        with pytest.warns(gradrace.UnfinishedWarning, match="is further from there than at"):
            gradrace.fit([[1.0, 1.01], [2.0, 2.0], [3.0, 3.1]], [1.0, 2.0, 2.0], epochs=20)

    def test_a_rate_that_is_too_small(self) -> None:
        with pytest.warns(gradrace.UnfinishedWarning, match=r"With lr='auto', which is 0\.\d+, "):
            gradrace.fit(COLUMNS, lr=1e-5, standardize=True)

    def test_silent_once_it_is_there(self) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            gradrace.fit(self.X, self.y, epochs=100, standardize=True)

    def test_messages_of_pictures_name_arguments(self) -> None:
        with pytest.warns(UserWarning, match="or lr='auto'"):
            fit = gradrace.fit(self.X, self.y, lr=1.0, epochs=100)
        with pytest.raises(InputValueError, match="or lr='auto'"):
            fit.plot()

    def test_divergence_is_said_once(self) -> None:
        with pytest.warns(UserWarning, match="diverged") as found:
            gradrace.fit(self.X, self.y, lr=1.0, epochs=100)
        assert len(found) == 1


class TestModel:
    def test_three_lines(self, model: gradrace.Fit) -> None:
        assert len(repr(model).splitlines()) == 3
        assert repr(model).startswith("Fit of price by 2 features: 10,000 epochs at α = ")
        X = np.random.default_rng(1).standard_normal((99, 40))
        assert len(repr(gradrace.fit(X, X.sum(axis=1)))) < 400

    def test_score(self, model: gradrace.Fit) -> None:
        frame = pd.DataFrame(COLUMNS)
        y = np.array(COLUMNS["price"])
        expected = 1 - np.sum((model.predict(frame) - y) ** 2) / np.sum((y - y.mean()) ** 2)
        assert model.score() == pytest.approx(expected)
        assert model.score(frame, y) == pytest.approx(expected)
        assert model.score(frame) == pytest.approx(expected)
        with pytest.raises(InputTypeError, match="needs X, too"):
            model.score(y=y)
        with pytest.raises(InputTypeError, match="y: is missing"):
            model.score(frame.to_numpy())

    def test_predictions_far_from_the_training_samples(
        self, model: gradrace.Fit, tmp_path: Path
    ) -> None:
        far = pd.DataFrame(COLUMNS).assign(size=1e3)
        model.save(tmp_path)
        for known in (model, gradrace.load(tmp_path)):
            with pytest.warns(UserWarning, match="the units may differ: 'size' is 1000"):
                known.predict(far)

    def test_summary_beside_the_least_squares(self, model: gradrace.Fit) -> None:
        assert "least squares" in str(model.summary())
        assert "<table" in model.summary()._repr_html_()

    @pytest.mark.parametrize("standardize", [True, False])
    @pytest.mark.parametrize("columns", [["size"], ["size", "age"]])
    def test_pictures(self, standardize: bool, columns: list[str]) -> None:
        frame = pd.DataFrame(COLUMNS)
        fit = gradrace.fit(frame, target="price", features=columns, standardize=standardize)
        drawn = [fit.plot(), fit.loss_plot()]
        if len(fit.landscape.directions) > 1:
            drawn.append(fit.path_plot())
        else:
            with pytest.raises(InputValueError, match="along a straight line"):
                fit.path_plot()
        assert all(isinstance(figure, Figure) for figure in drawn)
        assert all(figure._repr_png_().startswith(b"\x89PNG") for figure in drawn)

    def test_the_path_is_drawn_where_the_backend_went(self) -> None:
        """On standardized columns, the path of the picture starts at w = 0 and b = 0."""
        fit = gradrace.fit(pd.DataFrame(COLUMNS), standardize=True, epochs=50)
        path = fit._on_training_columns()
        assert path.w[0] == pytest.approx([0, 0], abs=1e-12)
        assert path.b == pytest.approx(0, abs=1e-9)
        best = fit.landscape.least_squares
        assert path.w[-1] == pytest.approx(best.w, rel=1e-6)

    def test_saved_and_loaded(self, model: gradrace.Fit, tmp_path: Path) -> None:
        written = model.save(tmp_path / "new" / "model")
        assert {path.name for path in written} >= {"model.json", "fit.png", "report.html"}
        frame = pd.DataFrame(COLUMNS)
        for place in (tmp_path / "new/model", tmp_path / "new/model/model.json"):
            again = gradrace.load(place)
            np.testing.assert_array_equal(again.predict(frame), model.predict(frame))
            assert again.b == pytest.approx(model.b)
            assert again.score(frame) == pytest.approx(model.score())
            assert repr(again).startswith("Model of price: w: size ")
        with pytest.raises(InputValueError, match="has no column 'size'"):
            again.predict(frame[["age"]])

    def test_an_older_model_beside_a_diverged_run_is_named(
        self, model: gradrace.Fit, tmp_path: Path
    ) -> None:
        model.save(tmp_path)
        with pytest.warns(UserWarning, match="diverged"):
            diverged = gradrace.fit(COLUMNS, lr=5.0, epochs=50)
        with pytest.warns(UserWarning, match="from an earlier model: model.json, fit.parquet"):
            diverged.save(tmp_path)

    def test_pickled(self, model: gradrace.Fit) -> None:
        again = pickle.loads(pickle.dumps(model))
        np.testing.assert_array_equal(again.w, model.w)

    def test_html_is_escaped(self) -> None:
        fit = gradrace.fit({"<script>": [1.0, 2, 4], "y": [1.0, 2, 3]}, standardize=True)
        page = fit._repr_html_()
        assert "<script>" not in page
        assert "&lt;script&gt;" in page
        assert page.count("<img alt='The loss is ") == 1
