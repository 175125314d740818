"""Reading a person's table: what works, and one clear line for what does not."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pytest

from backends.interface import InputValueError
from bench.data import Dataset, affordable_epochs, reference_line, synthetic
from bench.tables import read_table

ROWS = "a,b,c\n1,2,3\n4,5.5,-6e-1\n7,8,9\n"


def write(path: Path, text: str | bytes) -> Path:
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path


def test_the_reference_line() -> None:
    data = reference_line()
    assert (data.X.shape, data.y.shape, data.features, data.target) == (
        (100, 1),
        (100,),
        ("x",),
        "y",
    )
    # y = 3x + 2 + the first normal numbers of seed 42, 0.496714 and −0.234587 the last
    assert data.y[0] == pytest.approx(5 + 0.4967141530112327, abs=1e-15)
    assert data.X[[0, -1], 0].tolist() == [1.0, 10.0]


def test_synthetic_data_are_the_same_every_time() -> None:
    np.testing.assert_array_equal(synthetic(10, 3).X, synthetic(10, 3).X)
    assert not np.array_equal(synthetic(10, 3).X, synthetic(10, 3, seed=1).X)


@pytest.mark.parametrize(
    ("n", "d", "epochs"), [(5, 2, 1000), (100_000, 9, 100), (10**6, 99, 10), (10**6, 1, 50)]
)
def test_the_epochs_that_plain_python_can_afford(n: int, d: int, epochs: int) -> None:
    X = np.broadcast_to(1.0, (n, d))
    assert affordable_epochs(Dataset("", (), "", X, X[:, 0])) == epochs


class TestFormats:
    """The same three columns in every format."""

    X, Y = [[1.0, 2.0], [4.0, 5.5], [7.0, 8.0]], [3.0, -0.6, 9.0]

    @pytest.fixture(params=["csv", "tsv", "CSV", "bom", "crlf", "quoted", "parquet", "npz"])
    def table(self, request: pytest.FixtureRequest, tmp_path: Path) -> Path:
        columns = {"a": np.array([1, 4, 7]), "b": np.array([2, 5.5, 8]), "c": np.array(self.Y)}
        quoted = '"a","b","c"\n' + ROWS.partition("\n")[2]
        match request.param:
            case "tsv":
                return write(tmp_path / "t.tsv", ROWS.replace(",", "\t"))
            case "bom":
                return write(tmp_path / "t.csv", b"\xef\xbb\xbf" + ROWS.encode())
            case "crlf":
                return write(tmp_path / "t.csv", ROWS.replace("\n", "\r\n"))
            case "quoted":
                return write(tmp_path / "t.csv", quoted)
            case "parquet":
                pyarrow.parquet.write_table(pa.table(columns), tmp_path / "t.parquet")
                return tmp_path / "t.parquet"
            case "npz":
                np.savez(tmp_path / "t.npz", allow_pickle=False, **columns)
                return tmp_path / "t.npz"
            case suffix:
                return write(tmp_path / f"t.{suffix}", ROWS)

    def test_the_last_column_is_the_target(self, table: Path) -> None:
        data = read_table(table)
        assert (data.features, data.target) == (("a", "b"), "c")
        assert (data.X.tolist(), data.y.tolist()) == (self.X, self.Y)
        assert [data.X.dtype.name, data.y.dtype.name] == ["float64", "float64"]

    def test_columns_can_be_chosen(self, table: Path) -> None:
        data = read_table(table, target="a", features=["c"])
        assert (data.features, data.target) == (("c",), "a")
        assert (data.X[:, 0].tolist(), data.y.tolist()) == (self.Y, [1.0, 4.0, 7.0])

    def test_an_unknown_column_is_named(self, table: Path) -> None:
        with pytest.raises(InputValueError, match="has no column 'd'; it has a, b, c"):
            read_table(table, target="d")
        with pytest.raises(InputValueError, match="has no column 'd'; it has a, b, c"):
            read_table(table, features=["a", "d"])

    def test_a_column_is_used_once(self, table: Path) -> None:
        with pytest.raises(InputValueError, match="a column is used twice: a, c, c"):
            read_table(table, features=["a", "c"])


def test_text_in_an_unused_column_does_not_matter(tmp_path: Path) -> None:
    path = write(tmp_path / "t.csv", "name,x,y\nAnn,1,2\n,3,4\n")
    assert read_table(path, features=["x"]).X.tolist() == [[1.0], [3.0]]


def test_columns_with_commas_and_spaces(tmp_path: Path) -> None:
    path = write(tmp_path / "t.csv", '"size, m2",age,price\n1,2,3\n4,5,6\n')
    assert read_table(path, features=["size, m2"]).features == ("size, m2",)
    assert read_table(path, features=["age", "size, m2"]).features == ("age", "size, m2")
    assert read_table(path, target="size, m2", features=["price, age"]).features == ("price", "age")


def test_row_names_of_pandas_are_no_column(tmp_path: Path) -> None:
    table = pa.table({"x": [1, 2], "y": [3, 4], "__index_level_0__": [7, 8]})
    pyarrow.parquet.write_table(table, tmp_path / "t.parquet")
    assert read_table(tmp_path / "t.parquet").target == "y"


def test_objects_in_an_unused_array_do_not_matter(tmp_path: Path) -> None:
    np.savez(tmp_path / "t.npz", names=OBJECTS, x=np.arange(2), y=np.arange(2))
    assert read_table(tmp_path / "t.npz", features=["x"]).features == ("x",)


def test_npz_with_a_matrix(tmp_path: Path) -> None:
    np.savez(tmp_path / "t.npz", y=np.array([1, 2]), X=np.array([[1, 2], [3, 4]]))
    data = read_table(tmp_path / "t.npz")
    assert (data.features, data.target) == (("x1", "x2"), "y")
    assert (data.X.tolist(), data.y.tolist()) == ([[1.0, 2.0], [3.0, 4.0]], [1.0, 2.0])


def test_a_number_of_another_kind_far_down_is_still_read(tmp_path: Path) -> None:
    rows = "\n".join("1,2" for _ in range(400_000))  # beyond the reader's first block
    data = read_table(write(tmp_path / "t.csv", f"x,y\n{rows}\n0.5,1e3\n"))
    assert (len(data.y), data.X[-1, 0], data.y[-1]) == (400_001, 0.5, 1000.0)


CSV: dict[str, tuple[str | bytes, str]] = {
    "empty file": ("", "is empty"),
    "no rows": ("x,y\n", "needs at least two rows, has 0"),
    "one row": ("x,y\n1,2\n", "needs at least two rows, has 1"),
    "one column": ("x\n1\n2\n", "needs a feature and a target, has 'x' alone"),
    "text": ("x,y\n1,2\n3,low\n", "column 'y', row 2: 'low' is not a number"),
    "a date": ("x,y\n2026-01-01,2\n", "column 'x', row 1: '2026-01-01' is a date, not a number"),
    "a decimal comma": (
        'x,y\n1,2\n"1,5",4\n',
        "column 'x', row 2: '1,5' has a comma; write one and a half as 1.5",
    ),
    "a missing value": ("x,y\n1,2\n3,\n5,6\n", "column 'y', row 2: a value is missing"),
    "NA": ("x,y\nNA,2\n3,4\n", "column 'x', row 1: a value is missing"),
    "nan": ("x,y\n1,2\n3,4\nnan,4\n", "column 'x', row 3: a value is missing"),
    "inf": ("x,y\n1,2\n3,-inf\n", "column 'y', row 2: -inf is not finite"),
    "too large": ("x,y\n1,2\n1e999,3\n", "column 'x', row 2: inf is not finite"),
    "a short row": ("x,y\n1,2\n3\n", "is no readable CSV file: .*Expected 2 columns, got 1"),
    "the same name twice": ("x,x,y\n1,2,3\n", "has more than one column 'x'"),
    "binary": (b"\x00\xff\xfe\x01\n\x00", "is no text, and no binary table"),
}


@pytest.mark.parametrize("name", CSV)
def test_csv_that_cannot_be_used(name: str, tmp_path: Path) -> None:
    content, message = CSV[name]
    with pytest.raises(InputValueError, match=rf"t\.csv: .*{message}") as caught:
        read_table(write(tmp_path / "t.csv", content))
    assert "\n" not in str(caught.value)


def parquet(**columns: list[object]) -> Callable[[Path], None]:
    return lambda path: pyarrow.parquet.write_table(pa.table(columns), path)


def npz(**arrays: np.ndarray) -> Callable[[Path], None]:
    return lambda path: np.savez(path, allow_pickle=True, **arrays)


def npy(path: Path) -> None:
    with path.open("wb") as file:
        np.save(file, np.eye(2))


TEXT = np.array(["low", "high"])
OBJECTS = np.array([None, 1.0])
OTHERS: dict[str, tuple[str, Callable[[Path], object], str]] = {
    "parquet, text": ("t.parquet", parquet(x=["a", "b"], y=[1, 2]), "'x' holds string, not num"),
    "parquet, null": ("t.parquet", parquet(x=[1, 2, None], y=[1, 2, 3]), "'x', row 3: a value is"),
    "parquet, nan": ("t.parquet", parquet(x=[1.0, np.nan], y=[1, 2]), "'x', row 2: a value is"),
    "parquet, no parquet": ("t.parquet", lambda p: write(p, "PAR2"), "is no readable Parquet file"),
    "parquet, cut": ("t.parquet", lambda p: write(p, b"PAR1\x00"), "is no readable Parquet file"),
    "npz, text": ("t.npz", npz(x=TEXT, y=np.arange(2)), "'x' holds <U4 of shape"),
    "npz, objects": ("t.npz", npz(x=OBJECTS, y=np.arange(2)), "is no readable NPZ file: Object"),
    "npz, lengths": (
        "t.npz",
        npz(x=np.arange(3), y=np.arange(2)),
        "unequal numbers of rows: 'x' 3, 'y' 2",
    ),
    "npz, two axes": ("t.npz", npz(x=np.eye(2), y=np.arange(2)), "'x' holds float64 of shape"),
    "npz, no npz": ("t.npz", lambda p: write(p, "nothing"), "is no readable NPZ file"),
    "npz, empty": ("t.npz", lambda p: write(p, ""), "is no readable NPZ file"),
    "another ending": (
        "t.xls",
        lambda p: write(p, b"\xd0\xcf\x11\xe0"),
        "old Office document; save the table as CSV",
    ),
    "npz, an npy": ("t.npz", npy, "is no readable NPZ file"),
    "a folder": ("t.csv", lambda p: p.mkdir(), "is a folder"),
    "nothing": ("t.csv", lambda _: None, "no such file"),
}


@pytest.mark.parametrize("name", OTHERS)
def test_other_files_that_cannot_be_used(name: str, tmp_path: Path) -> None:
    file, make, message = OTHERS[name]
    make(tmp_path / file)
    with pytest.raises(InputValueError, match=rf"{file}: .*{message}") as caught:
        read_table(tmp_path / file)
    assert "\n" not in str(caught.value)
