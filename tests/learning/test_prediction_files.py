"""Predictions for a folder: a file for every file, the same as for tables in memory."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest

from gradrace import fit
from gradrace.backends.interface import InputValueError
from gradrace.bench.learning.model import save
from gradrace.bench.learning.prediction import read_model
from gradrace.bench.learning.prediction_files import predict_table
from tests.files import predicted

RNG = np.random.default_rng(4)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    X = RNG.normal(size=(100, 2))
    folder = tmp_path_factory.mktemp("model")
    for path in save(fit(X, X @ [2.0, -1.0] + 7), folder):
        if path.name == "model.json":
            break
    return folder / "model.json"


def write(folder: Path, suffix: str) -> Path:
    folder.mkdir()
    for name, rows in (("a", 40), ("b", 0), ("c", 7)):
        table = pa.table({"note": ["-"] * rows, **{x: RNG.normal(size=rows) for x in ("x2", "x1")}})
        if suffix == ".csv":
            pa.csv.write_csv(table, folder / f"{name}.csv")
        else:
            pq.write_table(table, folder / f"{name}.parquet", row_group_size=11)
    return folder


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_are_those_for_each_file(tmp_path: Path, model: Path, suffix: str) -> None:
    folder = write(tmp_path / "new", suffix)
    if suffix == ".csv":
        (folder / "b.csv").write_text("note,x2,x1\n")
    found = predict_table(read_model(model), folder, tmp_path / "out")
    assert (found.rows, found.unused, found.far) == (47, ("note",), "")
    assert [path.name for path in found.files] == [f"{name}{suffix}" for name in "abc"]
    for path in found.files:
        table = pa.csv.read_csv(path) if suffix == ".csv" else pq.read_table(path)
        assert table.column_names == ["predicted"]
        (tmp_path / "alone").mkdir(exist_ok=True)
        one = tmp_path / "alone" / path.name
        one.symlink_to(folder / path.name)
        _, expected = predicted(read_model(model), one)
        values = table["predicted"].cast(pa.float64()).to_numpy()
        np.testing.assert_allclose(values, expected, rtol=1e-13)
    assert {path.suffix for path in (tmp_path / "out").iterdir()} == {suffix}


def test_for_a_pattern_keep_the_folders(tmp_path: Path, model: Path) -> None:
    for year in ("2025", "2026"):
        (tmp_path / "new" / year).mkdir(parents=True)
        pq.write_table(pa.table({"x1": [1.0], "x2": [2.0]}), tmp_path / "new" / year / "t.parquet")
    found = predict_table(read_model(model), tmp_path / "new" / "*" / "*.parquet", tmp_path / "out")
    names = [str(path.relative_to(tmp_path / "out")) for path in found.files]
    assert names == ["2025/t.parquet", "2026/t.parquet"]


def test_for_a_single_file_go_to_a_file(tmp_path: Path, model: Path) -> None:
    pq.write_table(pa.table({"x1": [1.0, 2.0], "x2": [2.0, 0.0]}), tmp_path / "t.parquet")
    found = predict_table(read_model(model), tmp_path / "t.parquet", tmp_path / "p.csv")
    assert found.files == (tmp_path / "p.csv",)
    assert (tmp_path / "p.csv").read_text().splitlines()[0] == "predicted"
    assert len((tmp_path / "p.csv").read_text().splitlines()) == 3


def test_other_units_are_noticed(tmp_path: Path, model: Path) -> None:
    pq.write_table(pa.table({"x1": [1e6], "x2": [2.0]}), tmp_path / "t.parquet")
    found = predict_table(read_model(model), tmp_path / "t.parquet", tmp_path / "p.parquet")
    assert found.far.startswith("'x1' is 1e+06 … 1e+06, in training ")


class TestNothingIsHalfWritten:
    def refused(self, tmp_path: Path, model: Path, path: Path, out: Path, message: str) -> None:
        before = sorted(tmp_path.rglob("*"))
        with pytest.raises(InputValueError, match=message):
            predict_table(read_model(model), path, out)
        after = [file for file in sorted(tmp_path.rglob("*")) if file.is_file()]
        assert after == [file for file in before if file.is_file()]

    def test_where_a_column_is_missing(self, tmp_path: Path, model: Path) -> None:
        (tmp_path / "new").mkdir()
        pq.write_table(pa.table({"x1": [1.0], "z": [2.0]}), tmp_path / "new" / "t.parquet")
        message = r"t\.parquet: has no column 'x2', which the model needs; it has x1, z"
        self.refused(tmp_path, model, tmp_path / "new", tmp_path / "out", message)

    def test_where_a_value_is_missing(self, tmp_path: Path, model: Path) -> None:
        table = pa.table({"x1": [1.0, 1.0], "x2": [2.0, None]})
        pq.write_table(table, tmp_path / "t.parquet")
        message = r"t\.parquet: column 'x2', row 2: a value is missing"
        self.refused(tmp_path, model, tmp_path / "t.parquet", tmp_path / "p.csv", message)

    def test_where_a_prediction_is_beyond_float64(self, tmp_path: Path, model: Path) -> None:
        table = pa.table({"x1": [1.0, 1.7e308], "x2": [2.0, -1.7e308]})
        pq.write_table(table, tmp_path / "t.parquet")
        message = "row 2: the prediction is beyond float64"
        self.refused(tmp_path, model, tmp_path / "t.parquet", tmp_path / "p.csv", message)

    def test_where_what_is_read_would_be_overwritten(self, tmp_path: Path, model: Path) -> None:
        folder = write(tmp_path / "new", ".parquet")
        message = r"a\.parquet: would be overwritten while it is read"
        self.refused(tmp_path, model, folder, folder, message)

    def test_where_a_file_is_named_for_several(self, tmp_path: Path, model: Path) -> None:
        folder = write(tmp_path / "new", ".csv")
        message = r"p\.csv: must be a folder, for the predictions of several files"
        self.refused(tmp_path, model, folder, tmp_path / "p.csv", message)

    def test_where_two_files_would_be_one(self, tmp_path: Path, model: Path) -> None:
        (tmp_path / "new").mkdir()
        for name in ("t.pq", "t.parquet"):
            pq.write_table(pa.table({"x1": [1.0], "x2": [2.0]}), tmp_path / "new" / name)
        message = "new: two files would get the same file of predictions"
        self.refused(tmp_path, model, tmp_path / "new", tmp_path / "out", message)


def test_an_empty_line_in_a_single_column_is_a_value(tmp_path: Path) -> None:
    x = np.arange(9.0).reshape(-1, 1)
    for path in save(fit(x, x[:, 0]), tmp_path / "model"):
        if path.name == "model.json":
            break
    (tmp_path / "new").mkdir()
    (tmp_path / "new" / "a.csv").write_text("x1\n1\n\n3\n")
    with pytest.raises(InputValueError, match="column 'x1', row 2: a value is missing"):
        predict_table(read_model(tmp_path / "model"), tmp_path / "new", tmp_path / "out")


def test_blanks_around_names_do_not_matter(tmp_path: Path, model: Path) -> None:
    (tmp_path / "new").mkdir()
    (tmp_path / "new" / "a.csv").write_text("z, x2 , x1\n9,2,1\n")
    found = predict_table(read_model(model), tmp_path / "new", tmp_path / "out")
    assert (found.rows, found.unused) == (1, ("z",))
