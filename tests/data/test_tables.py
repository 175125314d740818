"""Reading a user's table: what works, and one clear line for what does not."""

import datetime
import io
import os
import re
import subprocess
import sys
import threading
import zipfile
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, ClassVar

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.csv
import pyarrow.feather
import pyarrow.parquet
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from gradrace.backends.interface import Floats, InputValueError
from gradrace.bench.api.inputs import read_table
from gradrace.bench.data.reader import open_table
from tests.conftest import ROOT

ROWS = "a,b,c\n1,2,3\n4,5.5,-6e-1\n7,8,9\n"


def write(path: Path, text: str | bytes) -> Path:
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path


class TestFormats:
    """The same three columns in every format."""

    X, Y = [[1.0, 2.0], [4.0, 5.5], [7.0, 8.0]], [3.0, -0.6, 9.0]

    COLUMNS: ClassVar = {"a": [1, 4, 7], "b": [2, 5.5, 8], "c": Y}

    @pytest.fixture(
        params=[
            "csv",
            "tsv",
            "CSV",
            "bom",
            "crlf",
            "quoted",
            "semicolons",
            "tabs",
            "spaces",
            "blank lines",
            "no end of line",
            "no suffix",
            "parquet",
            "pq",
            "feather",
            "arrow",
            "npz",
            "structured npy",
        ]
    )
    def table(self, request: pytest.FixtureRequest, tmp_path: Path) -> Path:
        arrays = {name: np.array(column) for name, column in self.COLUMNS.items()}
        quoted = '"a","b","c"\n' + ROWS.partition("\n")[2]
        path = tmp_path / "t.csv"
        match request.param:
            case "tsv":
                return write(tmp_path / "t.tsv", ROWS.replace(",", "\t"))
            case "bom":
                return write(path, b"\xef\xbb\xbf" + ROWS.encode())
            case "crlf":
                return write(path, ROWS.replace("\n", "\r\n"))
            case "quoted":
                return write(path, quoted)
            case "semicolons":
                return write(path, ROWS.replace(",", ";"))
            case "tabs":
                return write(tmp_path / "t.txt", ROWS.replace(",", "\t"))
            case "spaces":
                return write(path, ROWS.replace(",", " , "))
            case "blank lines":
                return write(path, "\n" + ROWS.replace("\n", "\n\n"))
            case "no end of line":
                return write(path, ROWS.rstrip())
            case "no suffix":
                return write(tmp_path / "table", ROWS)
            case "parquet" | "pq" as suffix:
                pyarrow.parquet.write_table(pa.table(arrays), tmp_path / f"t.{suffix}")
                return tmp_path / f"t.{suffix}"
            case "feather" | "arrow" as suffix:
                pyarrow.feather.write_feather(pa.table(arrays), str(tmp_path / f"t.{suffix}"))
                return tmp_path / f"t.{suffix}"
            case "npz":
                np.savez(tmp_path / "t.npz", allow_pickle=False, **arrays)
                return tmp_path / "t.npz"
            case "structured npy":
                rows = [tuple(row) for row in zip(*self.COLUMNS.values(), strict=True)]
                array = np.array(rows, dtype=[("a", "i4"), ("b", "f4"), ("c", "f8")])
                np.save(tmp_path / "t.npy", array)
                return tmp_path / "t.npy"
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
        with pytest.raises(InputValueError, match="'c' is the target, so it cannot be a feature"):
            read_table(table, features=["a", "c"])
        with pytest.raises(InputValueError, match="a column is used twice: a, a, c"):
            read_table(table, features=["a", "a"])


class TestWithoutNames:
    """Columns without names are called x1, x2, …; the last is the target."""

    @pytest.fixture(params=["csv", "tsv", "semicolons", "quoted", "npy", "fortran npy"])
    def table(self, request: pytest.FixtureRequest, tmp_path: Path) -> Path:
        rows = ROWS.partition("\n")[2]
        array = np.column_stack([TestFormats.X, TestFormats.Y])
        match request.param:
            case "tsv":
                return write(tmp_path / "t.tsv", rows.replace(",", "\t"))
            case "semicolons":
                return write(tmp_path / "t.csv", rows.replace(",", ";"))
            case "quoted":
                return write(tmp_path / "t.csv", re.sub(r"[^,\n]+", r'"\g<0>"', rows))
            case "npy":
                np.save(tmp_path / "t.npy", array)
                return tmp_path / "t.npy"
            case "fortran npy":
                np.save(tmp_path / "t.npy", np.asfortranarray(array))
                return tmp_path / "t.npy"
            case _:
                return write(tmp_path / "t.csv", rows)

    def test_are_read(self, table: Path) -> None:
        data = read_table(table)
        assert (data.features, data.target, data.headless) == (("x1", "x2"), "x3", True)
        assert (data.X.tolist(), data.y.tolist()) == (TestFormats.X, TestFormats.Y)
        assert read_table(table, target="x1").features == ("x2", "x3")

    def test_a_name_that_is_a_number_among_names_is_a_name(self, tmp_path: Path) -> None:
        assert (
            read_table(write(tmp_path / "t.csv", "id,2019,2020\n1,2,3\n4,5,7\n")).target == "2020"
        )


class TestStandardInput:
    """The path - reads piped input in any format."""

    @pytest.mark.parametrize("kind", ["csv", "parquet", "feather", "npz", "npy"])
    def test_any_format(self, kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        path, table = tmp_path / f"t.{kind}", pa.table(TestFormats.COLUMNS)
        arrays = {name: np.array(column) for name, column in TestFormats.COLUMNS.items()}
        match kind:
            case "csv":
                write(path, ROWS)
            case "parquet":
                pyarrow.parquet.write_table(table, path)
            case "feather":
                pyarrow.feather.write_feather(table, str(path))
            case "npz":
                np.savez(path, allow_pickle=False, **arrays)
            case "npy":
                np.save(path, np.column_stack([TestFormats.X, TestFormats.Y]))
        with path.open("rb") as file:
            monkeypatch.setattr("sys.stdin", io.TextIOWrapper(file))
            data = read_table(Path("-"))
        assert (data.X.tolist(), data.y.tolist()) == (TestFormats.X, TestFormats.Y)
        assert data.name == "standard input"

    def test_a_pipe_with_a_name(self, tmp_path: Path) -> None:
        os.mkfifo(tmp_path / "pipe")
        feeder = threading.Thread(target=write, args=(tmp_path / "pipe", ROWS))
        feeder.start()
        assert read_table(tmp_path / "pipe").y.tolist() == TestFormats.Y
        feeder.join()


@pytest.mark.parametrize("kind", ["csv", "parquet", "npz"])
def test_booleans_are_0_and_1(kind: str, tmp_path: Path) -> None:
    path, flags = tmp_path / f"t.{kind}", np.array([True, False, True])
    match kind:
        case "csv":
            write(path, "flag,y\ntrue,1\nFalse,2\nTRUE,3\n")
        case "parquet":
            pyarrow.parquet.write_table(pa.table({"flag": flags, "y": [1, 2, 3]}), path)
        case "npz":
            np.savez(path, allow_pickle=False, flag=flags, y=np.arange(3))
    assert read_table(path).X[:, 0].tolist() == [1.0, 0.0, 1.0]


@pytest.mark.parametrize("dtype", ["i1", "u8", "f2", "f4", ">f8", "g", "?"])
def test_any_type_of_number(dtype: str, tmp_path: Path) -> None:
    np.save(tmp_path / "t.npy", np.array([[1, 0], [0, 1], [1, 1]], dtype=dtype))
    assert read_table(tmp_path / "t.npy").y.tolist() == [0.0, 1.0, 1.0]


def test_a_quoted_text_may_hold_lines_and_delimiters(tmp_path: Path) -> None:
    path = write(tmp_path / "t.csv", 'note,x,y\n"one, two\nthree",1,2\n"",3,4\n')
    assert read_table(path, features=["x"]).X.tolist() == [[1.0], [3.0]]


def test_quoted_lines_may_cross_the_blocks_that_are_read(tmp_path: Path) -> None:
    rows = "".join(f'"a long note,\n in two lines",{i},{2 * i}\n' for i in range(60_000))
    data = read_table(write(tmp_path / "t.csv", "note,x,y\n" + rows), features=["x"])
    np.testing.assert_array_equal(data.X[:, 0], np.arange(60_000))


def test_very_many_columns(tmp_path: Path) -> None:
    names = [f"a_rather_long_name_of_column_{j}" for j in range(50_000)]
    rows = [",".join(names), *(",".join(str(i + j) for j in range(50_000)) for i in range(2))]
    data = read_table(write(tmp_path / "t.csv", "\n".join(rows)))
    assert (data.X.shape, data.y.tolist()) == ((2, 49_999), [49_999.0, 50_000.0])


@given(
    arrays(
        np.float64,
        st.tuples(st.integers(2, 30), st.integers(2, 4)),
        elements=st.floats(allow_nan=False, allow_infinity=False),
    ),
    st.sampled_from([",", ";", "\t"]),
)
def test_every_float_comes_back_as_it_was(values: Floats, delimiter: str) -> None:
    text = "\n".join(delimiter.join(map(repr, row)) for row in values.tolist())
    with TemporaryDirectory() as folder:
        data = read_table(write(Path(folder) / "t.csv", text))
    np.testing.assert_array_equal(np.column_stack([data.X, data.y]), values)


@pytest.mark.slow
def test_a_large_table_is_never_held_twice(tmp_path: Path) -> None:
    """Beyond what importing takes, reading 200,000 × 20 peaks at less than three times its size."""
    rng = np.random.default_rng(0)
    table = pa.table({f"c{j}": rng.standard_normal(200_000) for j in range(20)})
    pyarrow.csv.write_csv(table, tmp_path / "t.csv")
    code = (
        "import resource, sys; from gradrace.bench.data.reader import read_table\n"
        "peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024\n"
        "before = peak(); data = read_table(sys.argv[1])\n"
        "print((peak() - before) / (data.X.nbytes + data.y.nbytes))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "t.csv")],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    assert float(done.stdout) < 3


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


@pytest.mark.parametrize("text", ["x,y,\n1,2,\n3,4,\n", "x,,y\n1,8,2\n3,9,4\n"])
def test_columns_without_a_name_are_left_out(text: str, tmp_path: Path) -> None:
    data = read_table(write(tmp_path / "t.csv", text))
    assert (data.features, data.y.tolist()) == (("x",), [2.0, 4.0])


@pytest.mark.parametrize("kind", ["parquet", "feather"])
def test_decimals_and_dictionaries_are_numbers(kind: str, tmp_path: Path) -> None:
    path = tmp_path / f"t.{kind}"
    cents = pa.array([Decimal("1.50"), Decimal("2.25")])
    table = pa.table({"x": cents, "y": pa.array([3.0, 4.0]).dictionary_encode()})
    if kind == "parquet":
        pyarrow.parquet.write_table(table, path)
    else:
        pyarrow.feather.write_feather(table, str(path))
    data = read_table(path)
    assert (data.X[:, 0].tolist(), data.y.tolist()) == ([1.5, 2.25], [3.0, 4.0])


def test_an_empty_line_of_a_single_column_is_a_missing_value(tmp_path: Path) -> None:
    table = open_table(write(tmp_path / "t.csv", "x\n1\n\n3\n"))
    with pytest.raises(InputValueError, match="column 'x', row 2: a value is missing"):
        table.rows(["x"])
    assert len(open_table(write(tmp_path / "u.csv", "x\n1\n3\n")).rows(["x"])[0]) == 2


def test_the_names_of_rows_are_no_column(tmp_path: Path) -> None:
    path = write(tmp_path / "t.csv", ",x,y\n0,5,6\n1,7,8\nlast,9,9\n")
    assert read_table(path).features == ("x",)


def test_npz_with_a_matrix_alone(tmp_path: Path) -> None:
    np.savez(tmp_path / "t.npz", allow_pickle=False, X=np.eye(3))
    assert read_table(tmp_path / "t.npz").features == ("x1", "x2")


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
    "a date of another style": ("x,y\n1.2.2026,2\n", "column 'x', row 1: '1.2.2026' is a date"),
    "decimal commas": (
        "x;y\n1,5;2\n3;4\n",
        "row 1: '1,5' has a comma; .*: --decimal ,",
    ),
    "decimal commas, no names": ("1,5;2\n3,5;4\n", "row 1: '3,5' has a comma"),
    "thousands": ('x,y\n"1,500",2\n', "'1,500' has a comma; write thousands without it"),
    "a boolean among numbers": ("x,y\n7,2\ntrue,4\n", "row 2: 'true' is not a number"),
    "a number among booleans": ("x,y\ntrue,2\n1.5,4\n", "row 1: 'true' is not a number"),
    "a number far below booleans": (
        "x,y\n" + "true,1\n" * 200_000 + "2,1\n",
        "row 200001: '2' is neither true nor false",
    ),
    "old line ends": ("x,y\r1,2\r3,4\r", "is not a readable CSV file: "),
    "UTF-16": ("x,y\n1,2\n".encode("utf-16"), "is UTF-16 text; save it as UTF-8"),
    "Latin-1 names": (b"gr\xf6\xdfe,y\n1,2\n3,4\n", "is not text in utf-8; try --encoding cp1252"),
    "gzip, cut": (b"\x1f\x8b\x08\x00", "is not a readable gzip file: "),
    "underscores": ("x,y\n1_000,2\n3,4\n", "'1_000' is not a number"),
    "thousands and a decimal comma": ('x;y\n"1.000,5";2\n', "'1.000,5' has a comma"),
    "a decimal comma": (
        'x,y\n1,2\n"1,5",4\n',
        "column 'x', row 2: '1,5' has a comma; .*: --decimal ,",
    ),
    "a missing value": ("x,y\n1,2\n3,\n5,6\n", "column 'y', row 2: a value is missing"),
    "several missing values": (
        "a,b,y\n1,,2\n3,4,5\n,,6\n",
        r"column 'b', row 1: a value is missing; 2 of 3 rows miss something, in 'a', 'b' \(--dr",
    ),
    "Latin-1 text far down": (
        b"x,y\n" + b"1,2\n" * 200_000 + b"\xf6,2\n",
        "is not a readable CSV file: it is not UTF-8; try --encoding cp1252",
    ),
    "NA": ("x,y\nNA,2\n3,4\n", "column 'x', row 1: a value is missing"),
    "nan": ("x,y\n1,2\n3,4\nnan,4\n", "column 'x', row 3: a value is missing"),
    "inf": ("x,y\n1,2\n3,-inf\n", "column 'y', row 2: -inf is not finite"),
    "too large": ("x,y\n1,2\n1e999,3\n", "column 'x', row 2: inf is not finite"),
    "a short row": ("x,y\n1,2\n3\n", "is not a readable CSV file: .*Expected 2 columns, got 1"),
    "the same name twice": ("x,x,y\n1,2,3\n", "has more than one column 'x'"),
    "binary": (b"\x00\xff\xfe\x01\n\x00", "is neither text nor a known kind"),
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


def feather(**columns: list[object]) -> Callable[[Path], None]:
    return lambda path: pyarrow.feather.write_feather(pa.table(columns), str(path))


def excel(path: Path) -> None:
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("[Content_Types].xml", "<Types/>")
        file.writestr("xl/workbook.xml", "<workbook/>")


def zipped(path: Path) -> None:
    with zipfile.ZipFile(path, "w") as file:
        for name in ("a.csv", "b.csv"):
            file.writestr(name, ROWS)


DAMAGED_NPY = b"\x93NUMPY\x01\0v\0{[(" + b" " * 113 + b"\n"
DAY = datetime.date(2026, 1, 1)
TEXT = np.array(["low", "high"])
OBJECTS = np.array([None, 1.0])
OTHERS: dict[str, tuple[str, Callable[[Path], object], str]] = {
    "parquet, text": (
        "t.parquet",
        parquet(x=["a", "b"], y=[1, 2]),
        "'x' holds string such as 'a', not num",
    ),
    "parquet, null": ("t.parquet", parquet(x=[1, 2, None], y=[1, 2, 3]), "'x', row 3: a value is"),
    "parquet, nan": ("t.parquet", parquet(x=[1.0, np.nan], y=[1, 2]), "'x', row 2: a value is"),
    "parquet, no parquet": (
        "t.parquet",
        lambda p: write(p, "PAR2"),
        "is not a readable Parquet file",
    ),
    "parquet, cut": (
        "t.parquet",
        lambda p: write(p, b"PAR1\x00"),
        "is not a readable Parquet file",
    ),
    "npz, text": ("t.npz", npz(x=TEXT, y=np.arange(2)), "'x' holds <U4 of shape"),
    "npz, objects": ("t.npz", npz(x=OBJECTS, y=np.arange(2)), "is not a readable NPZ file: Object"),
    "npz, lengths": (
        "t.npz",
        npz(x=np.arange(3), y=np.arange(2)),
        "unequal numbers of rows: 'x' 3, 'y' 2",
    ),
    "npz, two axes": ("t.npz", npz(x=np.eye(2), y=np.arange(2)), "'x' holds float64 of shape"),
    "npz, no npz": ("t.npz", lambda p: write(p, "nothing"), "is not a readable NPZ file"),
    "npz, empty": ("t.npz", lambda p: write(p, ""), "is not a readable NPZ file"),
    "another ending": (
        "t.xls",
        lambda p: write(p, b"\xd0\xcf\x11\xe0"),
        "old Office document; save the table as CSV",
    ),
    "npz, an npy": ("t.npz", npy, "is not a readable NPZ file"),
    "a folder": ("t.csv", lambda p: p.mkdir(), "is a folder"),
    "zip of CSVs": ("t.zip", lambda p: zipped(p), "'a.csv' is not an array"),
    "npy, damaged": ("t.npy", lambda p: write(p, DAMAGED_NPY), "is not a readable NPY file"),
    "excel": ("t.xlsx", lambda p: excel(p), "is an Excel table; save it as CSV"),
    "npy, one axis": ("t.npy", lambda p: np.save(p, np.arange(3)), "needs shape .n, columns., got"),
    "npy, complex": ("t.npy", lambda p: np.save(p, np.eye(2) * 1j), "'x1' holds complex128"),
    "npy, objects": ("t.npy", lambda p: np.save(p, OBJECTS), "is not a readable NPY file: Object"),
    "feather, text": (
        "t.feather",
        feather(x=["a", "b"], y=[1, 2]),
        "'x' holds string such as 'a', not",
    ),
    "feather, dates": ("t.feather", feather(x=[DAY, DAY], y=[1, 2]), "'x' holds date32.*, not num"),
    "feather, null": (
        "t.feather",
        feather(x=[1, None], y=[1, 2]),
        "'x', row 2: a value is missing",
    ),
    "feather, cut": (
        "t.feather",
        lambda p: write(p, b"ARROW1\0\0"),
        "is not a readable Feather file",
    ),
    "nothing": ("t.csv", lambda _: None, "no such file"),
}


@pytest.mark.parametrize("name", OTHERS)
def test_other_files_that_cannot_be_used(name: str, tmp_path: Path) -> None:
    file, make, message = OTHERS[name]
    make(tmp_path / file)
    with pytest.raises(InputValueError, match=rf"{file}: .*{message}") as caught:
        read_table(tmp_path / file)
    assert "\n" not in str(caught.value)


GERMAN = "größe;preis\n1,5;2\n3;4,25\n"


def test_a_decimal_comma(tmp_path: Path) -> None:
    path = write(tmp_path / "t.csv", GERMAN)
    data = read_table(path, decimal=",")
    assert data.features == ("größe",)
    assert (data.X.ravel().tolist(), data.y.tolist()) == ([1.5, 3.0], [2.0, 4.25])
    with pytest.raises(InputValueError, match=r"'1\.5' is not a number"):
        read_table(write(path, "x;y\n1.5;2\n3;4\n"), decimal=",")


def test_a_decimal_comma_without_names(tmp_path: Path) -> None:
    data = read_table(write(tmp_path / "t.csv", "1,5;2\n3;4,25\n"), decimal=",")
    assert data.headless
    assert data.y.tolist() == [2.0, 4.25]


def test_another_encoding(tmp_path: Path) -> None:
    path = write(tmp_path / "t.csv", GERMAN.encode("cp1252"))
    data = read_table(path, "preis", decimal=",", encoding="cp1252")
    assert data.features == ("größe",)
    with pytest.raises(InputValueError, match="--encoding: there is no 'klingon'; try cp1252"):
        read_table(path, encoding="klingon")


@pytest.mark.parametrize("kind", ["csv", "parquet", "feather"])
def test_rows_with_gaps_can_be_left_out(kind: str, tmp_path: Path) -> None:
    path = tmp_path / f"t.{kind}"
    table = pa.table({"a": [1.0, None, 3.0, 4.0], "b": [1, 2, None, 4], "y": [1.0, 2, 3, np.nan]})
    if kind == "csv":
        write(path, "a,b,y\n1,1,1\n,2,2\n3,,3\n4,4,nan\n5,6,7\n")
    elif kind == "parquet":
        pyarrow.parquet.write_table(pa.concat_tables([table, table]), path)
    else:
        pyarrow.feather.write_feather(pa.concat_tables([table, table]), str(path))
    data = read_table(path, drop_missing=True)
    kept = [[1.0, 1.0], [5.0, 6.0]] if kind == "csv" else [[1.0, 1.0], [1.0, 1.0]]
    assert data.X.tolist() == kept
    left = 3 if kind == "csv" else 6
    assert data.remarks == (f"Left out: {left} rows with a missing value.",)
    unused = read_table(path, "b", ["a"], drop_missing=True)
    assert len(unused.y) == (3 if kind == "csv" else 4)  # y may miss what it wants


def test_what_only_numbers_the_rows_is_said(tmp_path: Path) -> None:
    data = read_table(write(tmp_path / "t.csv", ",x,y\n0,1,2\n1,3,4\n"))
    assert data.remarks == ("Not used: a column without a name.",)
    pd.DataFrame({"x": [1, 2], "y": [3, 4]}, index=["a", "b"]).to_parquet(tmp_path / "t.parquet")
    data = read_table(tmp_path / "t.parquet")
    assert data.remarks == ("Not used: the row names that pandas added.",)


@pytest.mark.parametrize("kind", ["gzip", "bz2", "zstd"])
def test_compressed_text(kind: Any, tmp_path: Path) -> None:
    with pa.output_stream(str(tmp_path / "t.csv.x"), compression=kind) as file:
        file.write(ROWS.encode())
    assert read_table(tmp_path / "t.csv.x").y.tolist() == [3.0, -0.6, 9.0]


def test_a_feather_stream(tmp_path: Path) -> None:
    table = pa.table({"x": [1.0, 2.0], "y": [3.0, 4.0]})
    with pa.ipc.new_stream(str(tmp_path / "t.arrow"), table.schema) as writer:
        writer.write_table(table)
    assert read_table(tmp_path / "t.arrow").y.tolist() == [3.0, 4.0]


@pytest.mark.parametrize("start", ["# made by hand\n# on Monday\n", "\ufeff# one\n"])
def test_comments_before_the_names(start: str, tmp_path: Path) -> None:
    assert read_table(write(tmp_path / "t.csv", start + ROWS)).features == ("a", "b")
    data = read_table(write(tmp_path / "u.csv", start + "1,2\n3,4\n"))
    assert data.y.tolist() == [2.0, 4.0]
    assert read_table(write(tmp_path / "v.csv", "#id,x\n1,2\n3,4\n")).features == ("#id",)
