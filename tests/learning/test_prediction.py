"""A saved model: its predictions for tables and folders, and files that are not models."""

import json
from collections.abc import Callable
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest

from gradrace import fit
from gradrace.backends.interface import InputValueError
from gradrace.bench.data.samples import Dataset, synthetic
from gradrace.bench.learning.prediction import Model, read_model
from gradrace.bench.learning.prediction_files import predict_table
from gradrace.bench.learning.training import Fit, train
from tests.files import predicted

UNFINISHED = pytest.mark.filterwarnings("ignore::gradrace.bench.api.learning.UnfinishedWarning")


@pytest.fixture(scope="module", params=[False, True], ids=["plain", "standardized"])
def trained(request: pytest.FixtureRequest) -> Fit:
    plain = synthetic(60, 2)
    data = Dataset("t.csv", ("size", "age"), "price", plain.X * [[3.0, 1.0]] + 10, plain.y)
    return train(data, epochs=3000, standardize=request.param)


@pytest.fixture(scope="module")
def content(trained: Fit, tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("model")
    list(islice(trained.files(folder), 2))  # pictures take long
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
        list(islice(result.files(tmp_path), 2))
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
        values = pq.read_table(path).column("predicted").to_numpy()
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


RNG = np.random.default_rng(4)


@pytest.fixture(scope="module")
def of_two(tmp_path_factory: pytest.TempPathFactory) -> Path:
    X = RNG.normal(size=(100, 2))
    folder = tmp_path_factory.mktemp("model")
    list(islice(fit(X, X @ [2.0, -1.0] + 7).files(folder), 2))
    return folder / "model.json"


def write_folder(folder: Path, suffix: str) -> Path:
    folder.mkdir()
    for name, rows in (("a", 40), ("b", 0), ("c", 7)):
        table = pa.table({"note": ["-"] * rows, **{x: RNG.normal(size=rows) for x in ("x2", "x1")}})
        if suffix == ".csv":
            pa.csv.write_csv(table, folder / f"{name}.csv")
        else:
            pq.write_table(table, folder / f"{name}.parquet", row_group_size=11)
    return folder


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_those_for_a_folder_are_those_for_each_file(
    tmp_path: Path, of_two: Path, suffix: str
) -> None:
    folder = write_folder(tmp_path / "new", suffix)
    if suffix == ".csv":
        (folder / "b.csv").write_text("note,x2,x1\n")
    found = predict_table(read_model(of_two), folder, tmp_path / "out")
    assert (found.rows, found.unused, found.far) == (47, ("note",), "")
    assert [path.name for path in found.files] == [f"{name}{suffix}" for name in "abc"]
    for path in found.files:
        table = pa.csv.read_csv(path) if suffix == ".csv" else pq.read_table(path)
        assert table.column_names == ["predicted"]
        (tmp_path / "alone").mkdir(exist_ok=True)
        one = tmp_path / "alone" / path.name
        one.symlink_to(folder / path.name)
        _, expected = predicted(read_model(of_two), one)
        values = table["predicted"].cast(pa.float64()).to_numpy()
        np.testing.assert_allclose(values, expected, rtol=1e-13)
    assert {path.suffix for path in (tmp_path / "out").iterdir()} == {suffix}


def test_those_for_a_pattern_keep_the_folders(tmp_path: Path, of_two: Path) -> None:
    for year in ("2025", "2026"):
        (tmp_path / "new" / year).mkdir(parents=True)
        pq.write_table(pa.table({"x1": [1.0], "x2": [2.0]}), tmp_path / "new" / year / "t.parquet")
    found = predict_table(
        read_model(of_two), tmp_path / "new" / "*" / "*.parquet", tmp_path / "out"
    )
    names = [str(path.relative_to(tmp_path / "out")) for path in found.files]
    assert names == ["2025/t.parquet", "2026/t.parquet"]


def test_those_for_a_single_file_go_to_a_file(tmp_path: Path, of_two: Path) -> None:
    pq.write_table(pa.table({"x1": [1.0, 2.0], "x2": [2.0, 0.0]}), tmp_path / "t.parquet")
    found = predict_table(read_model(of_two), tmp_path / "t.parquet", tmp_path / "p.csv")
    assert found.files == (tmp_path / "p.csv",)
    assert (tmp_path / "p.csv").read_text().splitlines()[0] == "predicted"
    assert len((tmp_path / "p.csv").read_text().splitlines()) == 3


def test_other_units_in_a_file_are_noticed(tmp_path: Path, of_two: Path) -> None:
    pq.write_table(pa.table({"x1": [1e6], "x2": [2.0]}), tmp_path / "t.parquet")
    found = predict_table(read_model(of_two), tmp_path / "t.parquet", tmp_path / "p.parquet")
    assert found.far.startswith("'x1' is 1e+06 … 1e+06, in training ")


class TestNothingIsHalfWritten:
    def refused(self, tmp_path: Path, of_two: Path, path: Path, out: Path, message: str) -> None:
        before = sorted(tmp_path.rglob("*"))
        with pytest.raises(InputValueError, match=message):
            predict_table(read_model(of_two), path, out)
        after = [file for file in sorted(tmp_path.rglob("*")) if file.is_file()]
        assert after == [file for file in before if file.is_file()]

    def test_where_a_column_is_missing(self, tmp_path: Path, of_two: Path) -> None:
        (tmp_path / "new").mkdir()
        pq.write_table(pa.table({"x1": [1.0], "z": [2.0]}), tmp_path / "new" / "t.parquet")
        message = r"t\.parquet: has no column 'x2', which the model needs; it has x1, z"
        self.refused(tmp_path, of_two, tmp_path / "new", tmp_path / "out", message)

    def test_where_a_value_is_missing(self, tmp_path: Path, of_two: Path) -> None:
        table = pa.table({"x1": [1.0, 1.0], "x2": [2.0, None]})
        pq.write_table(table, tmp_path / "t.parquet")
        message = r"t\.parquet: column 'x2', row 2: a value is missing"
        self.refused(tmp_path, of_two, tmp_path / "t.parquet", tmp_path / "p.csv", message)

    def test_where_a_prediction_is_beyond_float64(self, tmp_path: Path, of_two: Path) -> None:
        table = pa.table({"x1": [1.0, 1.7e308], "x2": [2.0, -1.7e308]})
        pq.write_table(table, tmp_path / "t.parquet")
        message = "row 2: the prediction is beyond float64"
        self.refused(tmp_path, of_two, tmp_path / "t.parquet", tmp_path / "p.csv", message)

    def test_where_what_is_read_would_be_overwritten(self, tmp_path: Path, of_two: Path) -> None:
        folder = write_folder(tmp_path / "new", ".parquet")
        message = r"a\.parquet: would be overwritten while it is read"
        self.refused(tmp_path, of_two, folder, folder, message)

    def test_where_a_file_is_named_for_several(self, tmp_path: Path, of_two: Path) -> None:
        folder = write_folder(tmp_path / "new", ".csv")
        message = r"p\.csv: must be a folder, for the predictions of several files"
        self.refused(tmp_path, of_two, folder, tmp_path / "p.csv", message)

    def test_where_two_files_would_be_one(self, tmp_path: Path, of_two: Path) -> None:
        (tmp_path / "new").mkdir()
        for name in ("t.pq", "t.parquet"):
            pq.write_table(pa.table({"x1": [1.0], "x2": [2.0]}), tmp_path / "new" / name)
        message = "new: two files would get the same file of predictions"
        self.refused(tmp_path, of_two, tmp_path / "new", tmp_path / "out", message)


def test_an_empty_line_in_a_single_column_is_a_value(tmp_path: Path) -> None:
    x = np.arange(9.0).reshape(-1, 1)
    list(islice(fit(x, x[:, 0]).files(tmp_path / "model"), 2))
    (tmp_path / "new").mkdir()
    (tmp_path / "new" / "a.csv").write_text("x1\n1\n\n3\n")
    with pytest.raises(InputValueError, match="column 'x1', row 2: a value is missing"):
        predict_table(read_model(tmp_path / "model"), tmp_path / "new", tmp_path / "out")


def test_blanks_around_names_do_not_matter(tmp_path: Path, of_two: Path) -> None:
    (tmp_path / "new").mkdir()
    (tmp_path / "new" / "a.csv").write_text("z, x2 , x1\n9,2,1\n")
    found = predict_table(read_model(of_two), tmp_path / "new", tmp_path / "out")
    assert (found.rows, found.unused) == (1, ("z",))
