"""Tables of every format and every type of number, and what no format can hold."""

import bz2
import datetime
import gzip
import io
import lzma
import os
import subprocess
import sys
import threading
import zipfile
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.feather
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from gradrace import read_table
from gradrace.backends.interface import Floats, InputValueError
from gradrace.bench.data.samples import Dataset
from tests.conftest import ROOT
from tests.files import open_files

COLUMNS = {"a": [1, 4, 7], "b": [2, 5.5, 8], "c": [3.0, -0.6, 9.0]}
TEXT = pd.DataFrame(COLUMNS).to_csv(index=False)
RECORDS = pd.DataFrame(COLUMNS).to_records(index=False)


def write(path: Path, content: str | bytes) -> Path:
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def save_npz(path: Path, **columns: Any) -> None:
    np.savez(path, allow_pickle=True, **{name: np.asarray(v) for name, v in columns.items()})


def write_stream(path: Path) -> None:
    table = pa.table(COLUMNS)
    with pa.ipc.new_stream(str(path), table.schema) as writer:
        writer.write_table(table)


def zipped(path: Path, **files: str) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        for name, text in files.items():
            archive.writestr(name, text)


FORMATS: dict[str, Callable[[Path], object]] = {
    "t.csv": lambda path: write(path, TEXT),
    "t.CSV": lambda path: write(path, TEXT.replace(",", ";")),
    "table": lambda path: write(path, TEXT.replace(",", "\t")),
    "t.csv.gz": lambda path: write(path, gzip.compress(TEXT.encode())),
    "t.csv.bz2": lambda path: write(path, bz2.compress(TEXT.encode())),
    "t.csv.xz": lambda path: write(path, lzma.compress(TEXT.encode())),
    "t.csv.zst": lambda path: write(path, pa.Codec("zstd").compress(TEXT.encode(), asbytes=True)),
    "t.zip": lambda path: zipped(path, **{"t.csv": TEXT, "__MACOSX/._t.csv": "x"}),
    "t.parquet": lambda path: pq.write_table(pa.table(COLUMNS), path),
    "t.pq": lambda path: pq.write_table(pa.table(COLUMNS), path, row_group_size=2),
    "t.feather": lambda path: pa.feather.write_feather(pa.table(COLUMNS), str(path)),
    "t.arrow": write_stream,
    "v1.feather": lambda path: pa.feather.write_feather(pa.table(COLUMNS), str(path), version=1),
    "t.npz": lambda path: save_npz(path, **COLUMNS),
    "t.npy": lambda path: np.save(path, RECORDS),
    "t.xlsx": lambda path: pd.DataFrame(COLUMNS).to_excel(path, index=False),
}


@pytest.mark.filterwarnings("ignore:.*feather:DeprecationWarning")
@pytest.mark.filterwarnings("ignore::FutureWarning")
class TestFormats:
    """The same three columns in every format."""

    @pytest.fixture(params=FORMATS)
    def table(self, request: pytest.FixtureRequest, tmp_path: Path) -> Path:
        path = tmp_path / str(request.param)
        FORMATS[request.param](path)
        return path

    def same(self, data: Dataset) -> None:
        assert (data.features, data.target) == (("a", "b"), "c")
        np.testing.assert_array_equal(
            np.column_stack([data.X, data.y]), np.array([*COLUMNS.values()]).T
        )
        assert [data.X.dtype.name, data.y.dtype.name] == ["float64", "float64"]

    def test_are_read(self, table: Path) -> None:
        self.same(read_table(table))

    def test_from_a_pipe(self, table: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        if table.suffix in (".gz", ".bz2", ".xz", ".zst", ".zip"):
            return  # a pipe is not decompressed
        with table.open("rb") as file:
            monkeypatch.setattr("sys.stdin", io.TextIOWrapper(file))
            data = read_table("-")
        self.same(data)
        assert data.name == "standard input"

    def test_columns_are_chosen_by_name(self, table: Path) -> None:
        data = read_table(table, "a", ["c"])
        assert (data.X[:, 0].tolist(), data.y.tolist()) == (COLUMNS["c"], COLUMNS["a"])
        assert read_table(table, exclude="a").features == ("b",)
        for columns, message in (
            (("d",), "has no column 'd'; it has a, b, c"),
            ((None, ["a", "d"]), "has no column 'd'; it has a, b, c"),
            ((None, ["a", "c"]), "'c' is the target, so it cannot be a feature"),
            ((None, ["a", "a"]), "a column is used twice: a, a, c"),
        ):
            with pytest.raises(InputValueError, match=message):
                read_table(table, *columns)


def test_a_pipe_with_a_name(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    feeder = threading.Thread(target=write, args=(tmp_path / "pipe", TEXT))
    feeder.start()
    assert read_table(tmp_path / "pipe").y.tolist() == COLUMNS["c"]
    feeder.join()


@pytest.mark.parametrize("array", [np.eye(3), np.asfortranarray(np.eye(3)), np.eye(3)[::2]])
def test_a_matrix_has_columns_without_names(array: Floats, tmp_path: Path) -> None:
    np.save(tmp_path / "t.npy", array)
    data = read_table(tmp_path / "t.npy")
    assert (data.features, data.target, data.headless) == (("x1", "x2"), "x3", True)
    np.testing.assert_array_equal(np.column_stack([data.X, data.y]), array)


def test_npz_with_a_matrix(tmp_path: Path) -> None:
    np.savez(tmp_path / "t.npz", y=np.array([1, 2]), X=np.array([[1, 2], [3, 4]]))
    data = read_table(tmp_path / "t.npz")
    assert (data.features, data.target) == (("x1", "x2"), "y")
    assert (data.X.tolist(), data.y.tolist()) == ([[1.0, 2.0], [3.0, 4.0]], [1.0, 2.0])
    np.savez(tmp_path / "u.npz", allow_pickle=False, X=np.eye(3))
    assert read_table(tmp_path / "u.npz").features == ("x1", "x2")


NUMBERS: dict[str, Any] = {
    **{kind: pa.array([1, 0, 1]).cast(kind) for kind in ("int8", "uint64", "float32", "bool")},
    "float16": pa.array(np.array([1, 0, 1], np.float16)),
    "decimal": pa.array([Decimal("1.00"), Decimal("0.00"), Decimal("1.00")]),
    "dictionary": pa.array([1.0, 0.0, 1.0]).dictionary_encode(),
    "booleans": pa.array([True, False, True]),
}


@pytest.mark.parametrize("kind", NUMBERS)
@pytest.mark.parametrize("suffix", ["parquet", "feather"])
def test_any_type_of_number(kind: str, suffix: str, tmp_path: Path) -> None:
    table = pa.table({"x": NUMBERS[kind], "y": [1.0, 2.0, 3.0]})
    path = tmp_path / f"t.{suffix}"
    if suffix == "parquet":
        pq.write_table(table, path)
    else:
        pa.feather.write_feather(table, str(path))
    assert read_table(path).X[:, 0].tolist() == [1.0, 0.0, 1.0]


@pytest.mark.parametrize("dtype", ["i1", "u8", "f2", "f4", ">f8", ">i4", "g", "?"])
def test_any_type_of_array(dtype: str, tmp_path: Path) -> None:
    np.save(tmp_path / "t.npy", np.array([[1, 0], [0, 1], [1, 1]], dtype=dtype))
    assert read_table(tmp_path / "t.npy").y.tolist() == [0.0, 1.0, 1.0]


def test_what_is_run_end_encoded_is_decoded(tmp_path: Path) -> None:
    runs = pc.run_end_encode(pa.array([1.5, 1.5, 2.5]))  # type: ignore[attr-defined]  # no stub
    with pa.ipc.new_stream(
        str(tmp_path / "t.arrow"), pa.schema([("x", runs.type), ("y", "f8")])
    ) as w:
        w.write_table(pa.table({"x": runs, "y": [1.0, 2.0, 3.0]}))
    assert read_table(tmp_path / "t.arrow").X.ravel().tolist() == [1.5, 1.5, 2.5]


INDEXES: dict[str, Any] = {
    "named": pd.Index([7, 8, 9], name="id"),
    "unnamed": pd.Index(["a", "b", "c"]),
    "dates": pd.date_range("2026-01-01", periods=3, name="day"),
    "of two levels": pd.MultiIndex.from_product([[1], [1, 2, 3]], names=["k", None]),
}


@pytest.mark.parametrize("index", INDEXES)
@pytest.mark.parametrize("several", [False, True])
def test_the_index_of_a_frame_is_no_column(index: str, several: bool, tmp_path: Path) -> None:
    frame = pd.DataFrame({"x": [1, 2, 3], "y": [3, 4, 6]}, index=INDEXES[index])
    frame.to_parquet(tmp_path / "t.parquet")
    data = read_table(tmp_path if several else tmp_path / "t.parquet")
    assert (data.features, data.target) == (("x",), "y")
    (remark,) = data.remarks
    assert remark.startswith("Not used: ")
    assert "__" not in remark
    if index == "named":
        assert read_table(tmp_path / "t.parquet", features=["id"]).X.ravel().tolist() == [7, 8, 9]


@settings(max_examples=40, deadline=None)
@given(
    arrays(
        np.float64,
        st.tuples(st.integers(2, 30), st.integers(2, 4)),
        elements=st.floats(allow_nan=False, allow_infinity=False),
    ),
    st.sampled_from([",", ";", "\t", " ", "|"]),
)
def test_every_float_comes_back_as_it_was(values: Floats, delimiter: str) -> None:
    text = "\n".join(delimiter.join(map(repr, row)) for row in values.tolist())
    with TemporaryDirectory() as folder:
        data = read_table(write(Path(folder) / "t.csv", text), header=False)
    np.testing.assert_array_equal(np.column_stack([data.X, data.y]), values)


@settings(max_examples=40, deadline=None)
@given(st.data())
def test_a_header_is_told_from_samples(draw: st.DataObject) -> None:
    """Whatever the columns hold, words above numbers are names, and a row like all is none."""
    kinds = ["number", *draw.draw(st.lists(st.sampled_from(["number", "text"]), max_size=3))]
    number = st.floats(-1e6, 1e6).filter(lambda value: value != int(value)).map(repr)
    word = st.text("abcdefgh", min_size=1, max_size=5)
    cells = st.tuples(*(number if kind == "number" else word for kind in [*kinds, "number"]))
    rows = draw.draw(st.lists(cells, min_size=2, max_size=5))
    with TemporaryDirectory() as folder:
        for names in (None, [f"name{j}" for j in range(len(kinds) + 1)]):
            lines = [",".join(row) for row in ([names] if names else []) + rows]
            called = names or [f"x{j + 1}" for j in range(len(kinds) + 1)]
            text = [name for name, kind in zip(called, kinds, strict=False) if kind == "text"]
            data = read_table(write(Path(folder) / "t.csv", "\n".join(lines)), exclude=text)
            assert (data.n, data.headless) == (len(rows), names is None)


@pytest.mark.slow
def test_a_large_table_is_never_held_twice(tmp_path: Path) -> None:
    """Beyond what importing takes, reading 200,000 × 20 peaks at less than three times its size."""
    rng = np.random.default_rng(0)
    table = pa.table({f"c{j}": rng.standard_normal(200_000) for j in range(20)})
    pa.csv.write_csv(table, tmp_path / "t.csv")
    code = (
        "import resource, sys, pandas; from gradrace import read_table\n"
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


def test_very_many_columns(tmp_path: Path) -> None:
    names = [f"a_rather_long_name_of_column_{j}" for j in range(8_000)]
    rows = [",".join(names), *(",".join(str(i + j) for j in range(8_000)) for i in range(2))]
    data = read_table(write(tmp_path / "t.csv", "\n".join(rows)))
    assert (data.X.shape, data.y.tolist()) == ((2, 7_999), [7_999.0, 8_000.0])


def test_what_comes_far_down_is_read_as_well(tmp_path: Path) -> None:
    """Beyond the lines by which the columns are found, and beyond a chunk of pandas."""
    rows = '"a note,\nin two lines, 900,900",1,2\n' * 200_000
    data = read_table(write(tmp_path / "t.csv", f"note,x,y\n{rows},0.5,1e3\n"), features=["x"])
    assert (data.n, data.X[-1, 0], data.y[-1]) == (200_001, 0.5, 1000.0)


def test_columns_with_commas_and_spaces(tmp_path: Path) -> None:
    path = write(tmp_path / "t.csv", '"size, m2",age,price\n1,2,3\n4,5,6\n')
    assert read_table(path, features=["size, m2"]).features == ("size, m2",)
    assert read_table(path, features=["age", "size, m2"]).features == ("age", "size, m2")
    assert read_table(path, target="size, m2", features=["price, age"]).features == ("price", "age")


@pytest.mark.parametrize("kind", ["csv", "parquet", "feather"])
def test_rows_with_gaps_can_be_left_out(kind: str, tmp_path: Path) -> None:
    path = tmp_path / f"t.{kind}"
    table = pa.table({"a": [1.0, None, 3.0, 4.0], "b": [1, 2, None, 4], "y": [1.0, 2, 3, np.nan]})
    table = pa.concat_tables([table, table])
    if kind == "csv":
        pa.csv.write_csv(table, path)
    elif kind == "parquet":
        pq.write_table(table, path, row_group_size=3)
    else:
        pa.feather.write_feather(table, str(path))
    data = read_table(path, drop_missing=True)
    assert data.X.tolist() == [[1.0, 1.0], [1.0, 1.0]]
    assert data.remarks == ("Left out: 6 rows with a missing value.",)
    assert read_table(path, "b", ["a"], drop_missing=True).n == 4  # y may miss what it wants


@pytest.mark.parametrize("names", ["", "x1;x2\n", "x1;x2;\n"])
def test_rows_may_end_with_a_separator(names: str, tmp_path: Path) -> None:
    data = read_table(write(tmp_path / "t.csv", f"{names}1.5;2;\n3.5;4;\n5;6.5;\n"))
    assert (data.features, data.target, data.y.tolist()) == (("x1",), "x2", [2.0, 4.0, 6.5])


@pytest.mark.parametrize("start", ["# made by hand\n# on Monday\n", "\ufeff# one\n"])
def test_comments_before_the_names(start: str, tmp_path: Path) -> None:
    assert read_table(write(tmp_path / "t.csv", start + TEXT)).features == ("a", "b")
    data = read_table(write(tmp_path / "u.csv", start + "1,2\n3,4\n"))
    assert data.y.tolist() == [2.0, 4.0]
    assert read_table(write(tmp_path / "v.csv", "#id,x\n1,2\n3,4\n")).features == ("#id",)


def test_excel_needs_openpyxl(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pd.DataFrame(COLUMNS).to_excel(tmp_path / "t.xlsx", index=False)
    monkeypatch.setitem(sys.modules, "openpyxl", None)
    with pytest.raises(InputValueError, match=r"t\.xlsx: is an Excel table; pip install openpyxl"):
        read_table(tmp_path / "t.xlsx")


def test_excel_with_several_sheets(tmp_path: Path) -> None:
    with pd.ExcelWriter(tmp_path / "t.xlsx") as book:
        pd.DataFrame(COLUMNS).to_excel(book, sheet_name="Data", index=False)
        pd.DataFrame({"z": [1]}).to_excel(book, sheet_name="Notes")
    data = read_table(tmp_path / "t.xlsx")
    assert data.remarks == ("Only the first of 2 sheets is read: 'Data'.",)
    assert data.y.tolist() == COLUMNS["c"]


CSV: dict[str, tuple[str | bytes, str]] = {
    "one column": ("x\n1\n2\n", "needs a feature and a target, has only 'x'"),
    "an old date": ("x,y\n1.2.2026,2\n", "column 'x' holds dates such as '1.2.2026', not numbers"),
    "a decimal comma": (
        "x,y\n1,2\n'1,5',4\n".replace("'", '"'),
        "column 'x', row 2: '1,5' has a c",
    ),
    "an underscore, which Python allows": ("x,y\n1,2\n1_000,4\n", "row 2: '1_000' is not a"),
    "a blank behind what is missing": ("x,y\n1,2\nNA ,4\n", "row 2: a value is missing"),
    "a boolean among numbers": ("x,y\n7,2\ntrue,4\n", "row 2: 'true' is not a number"),
    "a number far below booleans": (
        "x,y\n" + "true,1\n" * 2**18 + "2,1\n",
        "row 262,145 or below: 'x' mixes numbers with true and false",
    ),
    "gzip, cut": (b"\x1f\x8b\x08\x00", "is not a readable gzip file: "),
    "several missing values": (
        "a,b,y\n1,,2\n3,4,5\n,,6\n",
        "column 'b', row 1: a value is missing; 2 of 3 rows miss a value, in 'a', 'b' (drop_m",
    ),
    "Latin-1 text far down": (
        b"x,y\n" + b"1,2\n" * 200_000 + b"\xf6,2\n",
        "is not text in utf-8; try encoding='cp1252'",
    ),
    "too large": ("x,y\n1,2\n1e999,3\n", "column 'x', row 2: inf is not finite"),
    "a short row": ("x,y,z\n1,2,3\n4,5\n6,7,8\n", "line 3 has 2 cells; the table has 3 columns"),
    "a long row far down": ("x,y\n" + "1,2\n" * 200 + "1,2,3\n", "line 202 has 3 cells; the table"),
    "binary": (b"\x00\xff\xfe\x01\n\x00", "is neither text nor a known kind"),
}
DAY = datetime.date(2026, 1, 1)
OTHERS: dict[str, tuple[str, Callable[[Path], object], str]] = {
    "parquet, null": (
        "t.parquet",
        lambda p: pq.write_table(pa.table({"x": [1, 2, None], "y": [1, 2, 3]}), p),
        "column 'x', row 3: a value is missing (drop_missing=True leaves the row out)",
    ),
    "parquet, text": (
        "t.parquet",
        lambda p: pq.write_table(pa.table({"x": ["a", "b"], "d": [DAY, DAY], "y": [1, 2]}), p),
        "columns 'x', 'd' hold text such as 'a', not numbers (exclude=['x', 'd'] leaves them out)",
    ),
    "parquet, lists": (
        "t.parquet",
        lambda p: pq.write_table(pa.table({"x": [[1], [2]], "y": [1, 2]}), p),
        "column 'x' holds lists, not numbers",
    ),
    "parquet, no parquet": ("t.parquet", lambda p: write(p, "PAR2"), "is not a readable Parquet"),
    "parquet, cut": ("t.parquet", lambda p: write(p, b"PAR1\0"), "is not a readable Parquet file"),
    "feather, cut": ("t.feather", lambda p: write(p, b"ARROW1\0\0"), "is not a readable Feather"),
    "npz, text": (
        "t.npz",
        lambda p: save_npz(p, x=["low", "high"], y=[1, 2]),
        "column 'x' holds text such as 'low', not numbers",
    ),
    "npz, objects": (
        "t.npz",
        lambda p: save_npz(p, x=np.array([None, 1.0]), y=[1, 2]),
        "is not a readable NPZ file: Object arrays cannot be loaded",
    ),
    "npz, lengths": (
        "t.npz",
        lambda p: save_npz(p, x=[1, 2, 3], y=[1, 2]),
        "holds x of shape (3,), y of shape (2,); it needs X of shape (n, d) and y of shape (n,)",
    ),
    "npz, no npz": ("t.npz", lambda p: write(p, "nothing"), "is not a readable NPZ file"),
    "npz, empty": ("t.npz", lambda p: write(p, ""), "is not a readable NPZ file"),
    "npy, complex": (
        "t.npy",
        lambda p: np.save(p, np.eye(2) * 1j),
        "'x2', the last column, was taken as the target, but holds complex values, not numbers",
    ),
    "npy, one axis": ("t.npy", lambda p: np.save(p, np.arange(3)), "needs shape (n, columns), got"),
    "npy, damaged": ("t.npy", lambda p: write(p, b"\x93NUMPY\1\0v\0{[("), "is not a readable NPY"),
    "old Office": ("t.xls", lambda p: write(p, b"\xd0\xcf\x11\xe0"), "save the table as CSV"),
    "zip of several": (
        "t.zip",
        lambda p: zipped(p, **{"a.csv": TEXT, "b.csv": TEXT}),
        "is an archive of 2 files, a.csv, b.csv; it must hold one, the table",
    ),
    "excel, damaged": (
        "t.xlsx",
        lambda p: zipped(p, **{"[Content_Types].xml": "<Types/>"}),
        "is not a readable Excel file",
    ),
    "nothing": ("t.csv", lambda _: None, "no such file"),
}
BAD = {name: ("t.csv", lambda p, c=c: write(p, c), m) for name, (c, m) in CSV.items()} | OTHERS


@pytest.mark.parametrize("name", BAD)
def test_what_cannot_be_used_is_one_line(name: str, tmp_path: Path) -> None:
    file, make, message = BAD[name]
    make(tmp_path / file)
    with pytest.raises(InputValueError) as caught:
        read_table(tmp_path / file)
    assert str(caught.value).startswith(f"{tmp_path / file}: ")
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"decimal": "x"}, "decimal: must be . or a comma, got 'x'"),
        ({"thousands": ".."}, "thousands: must be one character, not a digit"),
        ({"delimiter": "::"}, r"delimiter: must be one ASCII character other than"),
        ({"skip_rows": -1}, "skip_rows: must be at least 0, got -1"),
        ({"encoding": "klingon"}, "encoding: there is no 'klingon'; try cp1252"),
        ({"header": "no"}, "header: needs True or False, got 'no'"),
        ({"sep": ";"}, "sep: is not an argument"),
    ],
)
def test_options_that_cannot_be_used(options: Any, message: str, tmp_path: Path) -> None:
    with pytest.raises((ValueError, TypeError)) as caught:
        read_table(write(tmp_path / "t.csv", TEXT), **options)
    assert message in str(caught.value)


def test_what_is_unused_may_hold_anything(tmp_path: Path) -> None:
    objects = np.array([None, 1.0])
    save_npz(tmp_path / "t.npz", names=objects, x=[1, 2], y=[1, 2])
    assert read_table(tmp_path / "t.npz", features=["x"]).features == ("x",)
    path = write(tmp_path / "t.csv", "name,x,y\nAnn,1,2\n,3,4\n")
    assert read_table(path, features=["x"]).X.tolist() == [[1.0], [3.0]]
    assert open_files(path, None, ["x"]).features == ("x",)
