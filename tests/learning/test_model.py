"""A saved model: its predictions for other tables, and files that are not models."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet
import pytest

from gradrace import fit
from gradrace.backends.interface import InputValueError
from gradrace.bench.data.samples import Dataset, synthetic
from gradrace.bench.learning.model import save
from gradrace.bench.learning.prediction import Model, read_model
from gradrace.bench.learning.prediction_files import predict_table
from gradrace.bench.learning.training import Fit, train
from tests.files import predicted

UNFINISHED = pytest.mark.filterwarnings("ignore::gradrace.bench.api.models.UnfinishedWarning")


@pytest.fixture(scope="module", params=[False, True], ids=["plain", "standardized"])
def trained(request: pytest.FixtureRequest) -> Fit:
    plain = synthetic(60, 2)
    data = Dataset("t.csv", ("size", "age"), "price", plain.X * [[3.0, 1.0]] + 10, plain.y)
    return train(data, epochs=3000, standardize=request.param)


@pytest.fixture(scope="module")
def content(trained: Fit, tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("model")
    list(save(trained, folder))
    return (folder / "model.json").read_text("utf-8")


@pytest.fixture
def model(content: str, tmp_path: Path) -> Path:
    return write(tmp_path / "model.json", content)


def write(path: Path, text: str) -> Path:
    path.write_text(text, "utf-8")
    return path


class TestPredict:
    def test_by_name_whatever_the_order(self, model: Path, trained: Fit, tmp_path: Path) -> None:
        table = write(tmp_path / "new.csv", "note,age,size\nx,10,8\ny,12,13\n")
        found, values = predicted(read_model(model), table)
        expected = np.array([[8.0, 10.0], [13.0, 12.0]]) @ trained.w + trained.b
        np.testing.assert_allclose(values, expected, rtol=1e-12)
        np.testing.assert_array_equal(values, trained.predict([[8, 10], [13, 12]]))
        assert (found.unused, found.far, found.loss) == (("note",), "", None)

    def test_the_training_table_gives_the_training_loss(
        self, model: Path, trained: Fit, tmp_path: Path
    ) -> None:
        X, y = trained.data.points()
        rows = [f"{a!r},{b!r},{c!r}" for (a, b), c in zip(X.tolist(), y.tolist(), strict=True)]
        table = write(tmp_path / "same.csv", "\n".join(["size,age,price", *rows]))
        found, _ = predicted(read_model(model), table)
        assert found.loss == pytest.approx(trained.loss, rel=1e-12)
        assert found.unused == ()

    def test_an_unfinished_target_does_not_matter(self, model: Path, tmp_path: Path) -> None:
        table = write(tmp_path / "new.csv", "size,age,price\n10,10,\n11,11,?\n")
        found, values = predicted(read_model(model), table)
        assert (len(values), found.loss) == (2, None)

    def test_other_units_are_noticed(self, model: Path, tmp_path: Path) -> None:
        table = write(tmp_path / "new.csv", "size,age\n1000,10\n1100,11\n")
        far = predicted(read_model(model), table)[0].far
        assert far.startswith("'size' is 1000 … 1100, in training ")
        assert "age" not in far

    def test_smaller_units_are_noticed_where_all_was_positive(self, tmp_path: Path) -> None:
        area = Model(
            ("area",), "y", np.ones(1), np.zeros(1), 0.0, np.array([35.0]), np.array([197.0])
        )
        assert predicted(area, write(tmp_path / "km2.csv", "area\n0.1\n0.2\n"))[0].far
        assert not predicted(area, write(tmp_path / "m2.csv", "area\n0.1\n80\n"))[0].far

    def test_a_single_row_will_do(self, model: Path, tmp_path: Path) -> None:
        _, values = predicted(read_model(model), write(tmp_path / "t.csv", "size,age\n1,2\n"))
        assert len(values) == 1

    def test_no_rows_give_no_predictions(self, model: Path, tmp_path: Path) -> None:
        table = write(tmp_path / "t.csv", "size,age\n")
        assert len(predicted(read_model(model), table)[1]) == 0

    @UNFINISHED
    def test_nameless_columns_go_by_their_number(self, tmp_path: Path) -> None:
        table = write(tmp_path / "t.csv", "1,2,3\n2,1,4\n5,5,9\n3,4,6.5\n")
        result = fit([[1, 2], [2, 1], [5, 5], [3, 4]], [3, 4, 9, 6.5], epochs=50)
        list(save(result, tmp_path))
        _, values = predicted(read_model(tmp_path / "model.json"), table)
        np.testing.assert_array_equal(values, result.predict(result.data.points()[0]))

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            (
                "size,price\n1,2\n",
                "t.csv: has no column 'age', which the model needs; it has size, p",
            ),
            (
                "size,age\n1,old\n",
                "t.csv: column 'age' holds text such as 'old', not num",
            ),
            ("size,age\n1,\n", "t.csv: column 'age', row 1: a value is missing"),
        ],
    )
    def test_what_cannot_be_predicted(
        self, model: Path, tmp_path: Path, text: str, message: str
    ) -> None:
        with pytest.raises(InputValueError, match=message):
            predicted(read_model(model), write(tmp_path / "t.csv", text))


def test_a_prediction_beyond_float64_is_refused(tmp_path: Path) -> None:
    steep = Model(("x",), "y", np.array([4.0]), np.zeros(1), 0.0, np.zeros(1), np.ones(1))
    with pytest.raises(InputValueError, match=r"t.csv: row 2: the prediction is beyond float64"):
        predicted(steep, write(tmp_path / "t.csv", "x\n1\n1e308\n"))


@pytest.mark.parametrize("suffix", [".csv", ".parquet", ".CSV"])
def test_predictions_are_written(model: Path, trained: Fit, tmp_path: Path, suffix: str) -> None:
    table, path = write(tmp_path / "t.csv", "size,age\n10,10\n11,12\n"), tmp_path / f"out{suffix}"
    predict_table(read_model(model), table, path)
    if suffix == ".parquet":
        values = pyarrow.parquet.read_table(path).column("predicted").to_numpy()
    else:
        header, *lines = path.read_text().splitlines()
        assert header == "predicted"
        values = np.array([float(line) for line in lines])
    np.testing.assert_array_equal(values, trained.predict([[10, 10], [11, 12]]))


def test_predictions_need_a_known_ending(model: Path, tmp_path: Path) -> None:
    table = write(tmp_path / "t.csv", "size,age\n10,10\n")
    with pytest.raises(InputValueError, match=r"out.xls: must end in .csv or .parquet"):
        predict_table(read_model(model), table, tmp_path / "out.xls")


def drop(key: str) -> Callable[[dict[str, Any]], object]:
    return lambda content: content.pop(key)


def put(**values: object) -> Callable[[dict[str, Any]], object]:
    return lambda content: content.update(values)


BROKEN: dict[str, tuple[Callable[[dict[str, Any]], object], str]] = {
    "newer": (put(schema=2), "has schema 2, this version of gradrace reads 1"),
    "foreign": (put(format="keras"), "is not a model; `gradrace train` writes one"),
    "no weights": (drop("w"), "is damaged: Object missing required field `w`"),
    "no range": (drop("range"), "is damaged: Object missing required field `range`"),
    "a weight too few": (put(w=[1.0]), "is damaged: its features and weights differ in number"),
    "a weight that is none": (
        put(w=[1.0, None]),
        r"is damaged: Expected `float`, got `null` - at `\$.w\[1\]`",
    ),
    "a weight that is text": (
        put(w=[1.0, "x"]),
        r"is damaged: Expected `float`, got `str` - at `\$.w\[1\]`",
    ),
    "no height": (put(height=None), r"is damaged: Expected `float`, got `null` - at `\$.height`"),
    "a weight beyond float64": (put(w=[1.0, 10**400]), "is damaged: Number out of range"),
    "no features": (
        put(features=[], w=[], center=[]),
        "is damaged: Expected `array` of length >= 1",
    ),
    "no names": (put(features=[1, 2]), "is damaged: Expected `str`, got `int`"),
    "the same name twice": (put(features=["a", "a"]), "is damaged: two columns have the same name"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_what_is_no_model(model: Path, content: str, name: str) -> None:
    change, message = BROKEN[name]
    changed = json.loads(content)
    change(changed)
    write(model, json.dumps(changed))
    with pytest.raises(InputValueError, match=rf"model\.json: {message}"):
        read_model(model)


@pytest.mark.parametrize("length", [0, 1, 100])
def test_a_truncated_model(model: Path, content: str, length: int) -> None:
    write(model, content[:length])
    with pytest.raises(InputValueError, match=r"model\.json: is not JSON, or cut off"):
        read_model(model)


@pytest.mark.parametrize("text", ["[]", "3", '"model"', "null"])
def test_other_json(tmp_path: Path, text: str) -> None:
    with pytest.raises(InputValueError, match="is not a model"):
        read_model(write(tmp_path / "m.json", text))


def test_no_model_at_all(tmp_path: Path) -> None:
    with pytest.raises(InputValueError, match="no such file or folder"):
        read_model(tmp_path / "m.json")
    with pytest.raises(InputValueError, match=r"has no model\.json"):
        read_model(tmp_path)
    (tmp_path / "m.json").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InputValueError, match="is not JSON, or cut off"):
        read_model(tmp_path / "m.json")


@UNFINISHED
class TestFitFromPython:
    def test_returns_the_trajectory_and_predicts(self, line: Dataset) -> None:
        result = fit(line.X, line.y)
        assert (result.w[0], result.b) == (result.trajectory.w[-1, 0], result.trajectory.b[-1])
        assert result.loss == pytest.approx(result.least_squares.loss)
        assert result.predict([[0.0], [1.0]]) == pytest.approx([result.b, result.b + result.w[0]])

    def test_takes_lists_and_integers(self) -> None:
        assert fit([[1], [2], [4]], [3, 5, 9]).predict([[3]]) == pytest.approx([7.0])

    def test_warns_where_w_is_not_unique(self) -> None:
        with pytest.warns(UserWarning, match="w is not unique: 'x2' follows from 'x1'"):
            fit([[1, 2], [2, 4], [4, 8]], [3, 5, 9], epochs=5)

    @pytest.mark.parametrize(
        ("X", "message"),
        [
            ([1.0, 2.0], "X: needs shape .n, d., one row per sample, got .2,.; for one feature"),
            ([[1.0, 2.0]], "X: needs 1 columns, got 2"),
            ([["a"]], "X: needs real numbers"),
            ([[np.nan]], "X: must be finite"),
            (5.0, "X: needs shape"),
        ],
    )
    def test_what_it_cannot_predict(self, line: Dataset, X: Any, message: str) -> None:
        with pytest.raises((InputValueError, TypeError), match=message):
            fit(line.X, line.y, epochs=5).predict(X)

    def test_a_diverged_fit_predicts_nothing(self, line: Dataset) -> None:
        with pytest.warns(UserWarning, match="diverged: the loss overflows at epoch 186, because"):
            result = fit(line.X, line.y, lr=0.1)
        assert result.diverged
        with pytest.raises(InputValueError, match="the training diverged"):
            result.predict(line.X)

    def test_a_prediction_beyond_float64_is_refused(self) -> None:
        with pytest.raises(InputValueError, match="X: a prediction is beyond float64"):
            fit([[1], [2]], [10, 20], epochs=50).predict([[1e308]])

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
