"""Folders and patterns: which files they stand for, and whether these are read in parts."""

import gzip
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.feather
import pyarrow.parquet as pq
import pytest

from gradrace.backends import dask_files
from gradrace.backends.interface import Floats, InputValueError
from gradrace.bench.data import folders
from gradrace.bench.data.reader import Files, open_files, open_samples
from gradrace.bench.data.samples import Dataset
from gradrace.bench.data.sources import Reading

RNG = np.random.default_rng(2)
ROWS = RNG.normal(size=(60, 3))


def write(folder: Path, suffix: str, parts: int = 3) -> Path:
    """Write ROWS as several files of a kind, with columns a, b and y."""
    folder.mkdir(parents=True, exist_ok=True)
    for number, rows in enumerate(np.array_split(ROWS, parts)):
        table = pa.table(dict(zip("aby", rows.T, strict=True)))
        path = folder / f"{number}{suffix}"
        if suffix == ".parquet":
            pq.write_table(table, path)
        elif suffix == ".feather":
            pa.feather.write_feather(table, path)
        else:
            pa.csv.write_csv(table, path)
    return folder


def rows_of(files: Files) -> Floats:
    data = files.read()
    return np.column_stack([data.X, data.y])


@pytest.mark.parametrize("suffix", [".parquet", ".feather", ".csv"])
class TestOfAnyKind:
    def test_rows_come_in_the_order_of_the_names(self, tmp_path: Path, suffix: str) -> None:
        files = open_files(write(tmp_path / "t", suffix))
        assert (files.features, files.target) == (("a", "b"), "y")
        np.testing.assert_array_equal(rows_of(files), ROWS)

    def test_their_size_in_memory_is_known(self, tmp_path: Path, suffix: str) -> None:
        memory = open_files(write(tmp_path / "t", suffix)).memory
        assert memory == pytest.approx(ROWS.nbytes, rel=0.1 if suffix == ".csv" else 0)

    def test_one_file_is_read_in_parts_as_well(self, tmp_path: Path, suffix: str) -> None:
        files = open_files(write(tmp_path / "t", suffix, parts=1) / f"0{suffix}")
        np.testing.assert_array_equal(rows_of(files), ROWS)


class TestWhichFiles:
    def test_those_below_but_none_that_are_hidden(self, tmp_path: Path) -> None:
        write(tmp_path / "t", ".parquet", parts=1)
        write(tmp_path / "t" / "more", ".parquet", parts=2)
        write(tmp_path / "t" / ".cache", ".parquet", parts=1)
        write(tmp_path / "t" / "_temporary", ".parquet", parts=1)
        (tmp_path / "t" / "_SUCCESS").write_text("")
        (tmp_path / "t" / "notes.md").write_text("hello")
        names = [path.relative_to(tmp_path / "t") for path in open_files(tmp_path / "t").paths]
        assert list(map(str, names)) == ["0.parquet", "more/0.parquet", "more/1.parquet"]

    def test_a_pattern(self, tmp_path: Path) -> None:
        write(tmp_path / "t", ".csv", parts=5)
        assert len(open_files(tmp_path / "t" / "[1-3].csv").paths) == 3
        assert len(open_files(tmp_path / "**" / "*.csv").paths) == 5

    def test_a_file_whose_name_looks_like_a_pattern(self, tmp_path: Path) -> None:
        path = write(tmp_path / "t", ".csv", parts=1) / "0.csv"
        odd = path.rename(path.with_name("a[1].csv"))
        assert isinstance(open_samples(odd), Dataset)

    @pytest.mark.parametrize(
        ("path", "message"),
        [
            ("t/*.csv", r"t/\*\.csv: no file matches"),
            ("none", "none: has no Parquet, Feather or CSV files"),
            ("mixed", r"mixed: mixes kinds: .*0\.csv is CSV, .*0\.parquet is Parquet"),
            ("empty", r"1\.parquet: is not a readable Parquet file, by its first bytes"),
            ("cut", r"1\.parquet: .*cannot be read"),
            ("text", r"text: .*column 'note' holds string"),
            ("text.csv", r"text\.csv: column 'y', row 3: 'low' is not a number"),
        ],
    )
    def test_what_cannot_be_used_is_named(self, tmp_path: Path, path: str, message: str) -> None:
        (tmp_path / "none").mkdir()
        write(write(tmp_path / "mixed", ".csv", parts=1), ".parquet", parts=1)
        (write(tmp_path / "empty", ".parquet") / "1.parquet").write_bytes(b"")
        cut = write(tmp_path / "cut", ".parquet") / "1.parquet"
        cut.write_bytes(cut.read_bytes()[:-9])
        (tmp_path / "text").mkdir()
        pq.write_table(pa.table({"note": ["a"], "y": [1.0]}), tmp_path / "text" / "0.parquet")
        (tmp_path / "text.csv").write_text("x,y\n1,2\n2,3\n3,low\n")
        with pytest.raises(InputValueError, match=message):
            open_files(tmp_path / path)


class TestWhetherInParts:
    def free(self, monkeypatch: pytest.MonkeyPatch, memory: float) -> None:
        monkeypatch.setattr(folders, "_free_memory", lambda: int(memory))

    def test_what_fits_is_read(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        folder = write(tmp_path / "t", ".parquet")
        self.free(monkeypatch, 2 * ROWS.nbytes)
        for path in (folder, folder / "0.parquet", folder / "*.parquet"):
            assert isinstance(open_samples(path), Dataset)

    def test_what_takes_more_than_half_of_what_is_free_is_not(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        folder = write(tmp_path / "t", ".parquet")
        self.free(monkeypatch, 2 * ROWS.nbytes - 2)
        found = open_samples(folder)
        assert isinstance(found, Files)
        assert found.too_large == (
            f"{folder}: the columns take 1.44e-06 GB as float64, more than half of the free "
            "memory, 2.88e-06 GB"
        )
        assert isinstance(open_samples(folder, features=["a"]), Dataset)  # two columns do

    def test_it_can_be_decided_in_advance(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        folder = write(tmp_path / "t", ".csv", parts=1)
        assert isinstance(open_samples(folder, in_parts=True), Files)
        assert isinstance(open_samples(folder / "0.csv", in_parts=True), Files)
        self.free(monkeypatch, 100)
        with pytest.raises(InputValueError, match="; --backend dask reads them in parts"):
            open_samples(folder, in_parts=False)

    def test_arrays_in_files_always_are(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        np.save(tmp_path / "t.npy", ROWS)
        self.free(monkeypatch, 100)
        assert isinstance(open_samples(tmp_path / "t.npy", in_parts=True), Dataset)


@pytest.mark.parametrize("size", [1, 7, 50, 333, 10**6])
@pytest.mark.parametrize("end", ["\n", ""])
@pytest.mark.parametrize("names", ["a,b,y\n", ""])
class TestTextInPartsOf:
    def write(self, tmp_path: Path, names: str, end: str) -> tuple[Path, list[str]]:
        lines = [",".join(map(repr, row)) for row in ROWS.tolist()]
        path = tmp_path / "t.csv"
        path.write_text(names + "\n".join(lines) + end)
        return path, lines

    def test_so_many_bytes_every_row_is_read_once(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: int, end: str, names: str
    ) -> None:
        monkeypatch.setattr(dask_files, "_TEXT_PART", size)
        path, _ = self.write(tmp_path, names, end)
        np.testing.assert_array_equal(rows_of(open_files(path)), ROWS)

    def test_so_many_bytes_a_missing_value_is_found(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: int, end: str, names: str
    ) -> None:
        monkeypatch.setattr(dask_files, "_TEXT_PART", size)
        path, lines = self.write(tmp_path, names, end)
        lines[41] = "1.5,,2.5"
        path.write_text(names + "\n".join(lines) + end)
        column = "b" if names else "x2"
        with pytest.raises(
            InputValueError, match=rf"t\.csv: column '{column}', row 42: a value is missing"
        ):
            open_files(path).read()
        files = open_files(path)
        lines[41], lines[50] = "1.5,2,2.5", "1.5,high,2.5"
        path.write_text(names + "\n".join(lines) + end)
        with pytest.raises(
            InputValueError, match=rf"t\.csv: column '{column}', row 51: 'high' is not a number"
        ):
            files.read()


def test_values_whose_sum_is_beyond_float64_are_fine(tmp_path: Path) -> None:
    pq.write_table(pa.table({"x": [1.5e308] * 4, "y": [-1.5e308, 1.0] * 2}), tmp_path / "t.parquet")
    np.testing.assert_array_equal(open_files(tmp_path).read().X, np.full((4, 1), 1.5e308))


@pytest.mark.parametrize("suffix", [".parquet", ".feather"])
def test_numbers_that_are_text_in_one_file_are_refused(tmp_path: Path, suffix: str) -> None:
    folder = write(tmp_path / "t", suffix)
    text = pa.table({"a": ["1", "2"], "b": [1.0, 2.0], "y": [1.0, 2.0]})
    path = folder / f"1{suffix}"
    if suffix == ".parquet":
        pq.write_table(text, path)
    else:
        pa.feather.write_feather(text, path)
    with pytest.raises(InputValueError, match=rf"1\{suffix}: column 'a' holds string, not numbers"):
        open_files(folder).read()


def test_a_row_that_is_cut_off_is_one_line(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "0.csv").write_text("x,y\n1,2\n3,4\n")
    (tmp_path / "1.csv").write_text("x,y\n1,2\n3")
    with pytest.raises(
        InputValueError, match=r"1\.csv: cannot be read: .*Expected 2 columns, got 1"
    ):
        open_files(tmp_path).read()
    assert capfd.readouterr() == ("", "")


class TestAsASingleFile:
    """A folder of one file gives what the file gives."""

    def same(self, folder: Path, name: str) -> Dataset:
        there, here = open_samples(folder), open_samples(folder / name)
        assert isinstance(there, Dataset)
        assert isinstance(here, Dataset)
        assert (there.features, there.target) == (here.features, here.target)
        np.testing.assert_array_equal(there.X, here.X)
        np.testing.assert_array_equal(there.y, here.y)
        return there

    def test_what_pandas_adds_is_no_column(self, tmp_path: Path) -> None:
        index = np.arange(3)
        table = pa.table({"x": [1.0, 2.0, 3.0], "y": [3.0, 4.0, 6.0], "__index_level_0__": index})
        pq.write_table(table, tmp_path / "t.parquet")
        assert self.same(tmp_path, "t.parquet").target == "y"

    @pytest.mark.parametrize(
        "column",
        [
            pa.array([2**53 + 1, 2, 3]),
            pa.array([1.5, 2.5, 1.5]).dictionary_encode(),
            pa.array([True, False, True]),
            pa.array([1.0, 2.0, 3.0]).cast(pa.float16()),
            pa.array([1, 2, 3]).cast(pa.decimal128(25, 2)),
        ],
        ids=lambda column: str(column.type),
    )
    def test_columns_of_any_numeric_type(self, tmp_path: Path, column: "pa.Array[Any]") -> None:
        pq.write_table(pa.table({"x": column, "y": [1.0, 2.0, 3.0]}), tmp_path / "t.parquet")
        self.same(tmp_path, "t.parquet")

    @pytest.mark.parametrize(
        "text",
        [
            "a, b , y\n1,2,3\n4,5,6\n",
            "\r\n\r\na,y\r\n1,2\r\n\r\n3,4\r\n",
            'a,"y"\n1,2\n3,4\n',
            "a;y\n1.5;2\n3;4\n",
            "\ufeffa,y\n1,2\n3,4\n",
        ],
    )
    def test_text_of_any_layout(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str
    ) -> None:
        (tmp_path / "t.csv").write_bytes(text.encode())
        self.same(tmp_path, "t.csv")
        monkeypatch.setattr(dask_files, "_TEXT_PART", 5)
        self.same(tmp_path, "t.csv")

    @pytest.mark.parametrize("content", ["größe,y\n1,2\n".encode("latin-1"), b"a,y\r1,2\r3,4\r"])
    def test_what_cannot_be_read_is_one_line(self, tmp_path: Path, content: bytes) -> None:
        (tmp_path / "t.csv").write_bytes(content)
        for path in (tmp_path, tmp_path / "t.csv"):
            with pytest.raises(InputValueError, match=r"t\.csv: "):
                open_samples(path)


def test_numbers_stay_numbers_after_a_file_of_true_and_false(tmp_path: Path) -> None:
    pq.write_table(pa.table({"x": [True, False], "y": [1.0, 2.0]}), tmp_path / "0.parquet")
    pq.write_table(pa.table({"x": [2.5, 7.0], "y": [1.0, 2.0]}), tmp_path / "1.parquet")
    assert open_files(tmp_path).read().X.ravel().tolist() == [1.0, 0.0, 2.5, 7.0]


@pytest.mark.parametrize("size", [20, 60, 150])
def test_lines_that_end_within_quotes_are_not_taken_for_rows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    """Wherever the text is cut: 900,900 is the end of a note, not a row."""
    monkeypatch.setattr(dask_files, "_TEXT_PART", size)
    rows = ['1,2,"one"'] * 9 + ['3,4,"two\n900,900,lines"'] + ['1,2,"one"'] * 9
    (tmp_path / "t.csv").write_text("a,y,note\n" + "\n".join(rows) + "\n")
    with pytest.raises(InputValueError, match=r"t\.csv: has a line break in quotes, .* as Parquet"):
        open_files(tmp_path, "y", ["a"]).read()
    monkeypatch.setattr(dask_files, "_TEXT_PART", 10**6)
    assert open_files(tmp_path, "y", ["a"]).read().X.max() == 3.0


def test_rows_that_are_added_while_files_are_opened_are_noticed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write(tmp_path / "t", ".csv", parts=1) / "0.csv"
    opened = folders.open_dataset

    def late(*arguments: Any) -> Any:
        found = opened(*arguments)
        with path.open("a") as file:
            file.write("1,2,3\n")
        return found

    monkeypatch.setattr(folders, "open_dataset", late)
    with pytest.raises(InputValueError, match=r"0\.csv: has changed while it was read"):
        open_files(tmp_path / "t").require_unchanged()


def test_links_are_followed_but_not_around(tmp_path: Path) -> None:
    write(tmp_path / "other", ".parquet", parts=1)
    folder = write(tmp_path / "t", ".parquet", parts=1)
    (folder / "2026").symlink_to(tmp_path / "other")
    (folder / "back").symlink_to(folder)
    assert len(open_files(folder).paths) == 2
    (folder / "1.parquet").symlink_to(tmp_path / "nowhere.parquet")
    with pytest.raises(InputValueError, match=r"1\.parquet: No such file"):
        open_files(folder)


def test_compressed_text_is_refused_not_skipped(tmp_path: Path) -> None:
    folder = write(tmp_path / "t", ".csv")
    (folder / "9.csv.gz").write_bytes(gzip.compress(b"a,b,y\n1,2,3\n"))
    with pytest.raises(InputValueError, match=r"9\.csv\.gz: is compressed; decompress it first"):
        open_files(folder)


def test_rows_are_numbered_without_empty_lines(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dask_files, "_TEXT_PART", 10)
    lines = [f"{i},1\n\n" for i in range(50)]
    lines[40] = ",1\n"
    (tmp_path / "t.csv").write_text("\na,y\n" + "".join(lines))
    with pytest.raises(InputValueError, match="column 'a', row 41: a value is missing"):
        open_files(tmp_path).read()


GERMAN = Reading(decimal=",", encoding="cp1252", drop_missing=True)


def write_german(folder: Path, suffix: str) -> list[list[float]]:
    """Write two files with a gap in each; return the rows that are whole."""
    folder.mkdir()
    for name, sizes, prices, text in (
        ("0", [1.5, None], [2.0, 3.0], "1,5;2\n?;3\n"),
        ("1", [2.5, 4.0], [None, 0.25], "2,5;-\n4;0,25\n"),
    ):
        path = folder / f"{name}{suffix}"
        if suffix == ".parquet":
            pq.write_table(pa.table({"größe": sizes, "preis": prices}), path)
        else:
            path.write_text(f"größe;preis\n{text}", encoding="cp1252")
    return [[1.5, 2.0], [4.0, 0.25]]


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
class TestHowTheyAreRead:
    def test_commas_encodings_and_gaps(self, tmp_path: Path, suffix: str) -> None:
        whole = write_german(tmp_path / "t", suffix)
        files = open_files(tmp_path / "t", reading=GERMAN)
        assert files.features == ("größe",)
        np.testing.assert_array_equal(rows_of(files), whole)

    def test_in_parts_as_in_memory(self, tmp_path: Path, suffix: str) -> None:
        write_german(tmp_path / "t", suffix)
        (tmp_path / "t" / f"1{suffix}").unlink()
        path = tmp_path / "t" / f"0{suffix}"
        whole = open_samples(path, reading=GERMAN._replace(drop_missing=False), in_parts=True)
        assert isinstance(whole, Files)
        with pytest.raises(InputValueError, match="column 'größe', row 2: a value is missing"):
            whole.read()

    def test_what_was_left_out_is_said(self, tmp_path: Path, suffix: str) -> None:
        write_german(tmp_path / "t", suffix)
        (said,) = open_files(tmp_path / "t", reading=GERMAN).read().remarks
        known = "Left out: 2 rows with a missing value."
        assert said == (
            known if suffix == ".parquet" else "Rows with a missing value are left out."
        )

    def test_infinite_values_are_refused_all_the_same(self, tmp_path: Path, suffix: str) -> None:
        write_german(tmp_path / "t", suffix)
        table = pa.table({"größe": [None, 1.0, np.inf], "preis": [1.0, 2.0, 3.0]})
        path = tmp_path / "t" / f"2{suffix}"
        if suffix == ".parquet":
            pq.write_table(table, path)
        else:
            path.write_text("größe;preis\n?;1\n1;2\ninf;3\n", encoding="cp1252")
        with pytest.raises(InputValueError, match="column 'größe', row 3: inf is not finite"):
            open_files(tmp_path / "t", reading=GERMAN).read()

    def test_a_file_without_the_column_is_refused(self, tmp_path: Path, suffix: str) -> None:
        write_german(tmp_path / "t", suffix)
        path = tmp_path / "t" / f"2{suffix}"
        if suffix == ".parquet":
            pq.write_table(pa.table({"size": [1.0], "preis": [1.0]}), path)
        else:
            path.write_text("size;preis\n1;2\n", encoding="cp1252")
        with pytest.raises(InputValueError, match="'größe': this file has no such column"):
            open_files(tmp_path / "t", reading=GERMAN).read()


def test_parts_of_a_large_text_keep_their_encoding(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Lines that are cut out of a file come with its names, in its encoding."""
    write_german(tmp_path / "t", ".csv")
    path = tmp_path / "t" / "0.csv"
    path.write_text("größe;preis\n" + "1,5;2\n?;3\n" * 50, encoding="cp1252")
    monkeypatch.setattr(dask_files, "_TEXT_PART", 64)
    files = open_files(path, reading=GERMAN)
    assert len(files.partitions.recipes) > 5
    np.testing.assert_array_equal(rows_of(files), [[1.5, 2.0]] * 50)


def test_comments_above_numbers_cost_no_row(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only the first part of a file has them."""
    path = tmp_path / "t.csv"
    path.write_text("# made\n# by me\n" + "".join(f"{i},{2 * i}\n" for i in range(40)), "utf-8")
    monkeypatch.setattr(dask_files, "_TEXT_PART", 20)
    files = open_files(path)
    assert len(files.partitions.recipes) > 5
    np.testing.assert_array_equal(rows_of(files), [[i, 2 * i] for i in range(40)])
    path.write_text("# made by me\na,b\n1,2\n3,4\n", "utf-8")
    with pytest.raises(InputValueError, match="has comments above the names"):
        open_files(path)


def test_a_flag_may_be_missing(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("a,y\ntrue,0\nfalse,1\ntrue,2\n-,3\n", "utf-8")
    reading = Reading(drop_missing=True)
    for in_parts in (True, False):
        found = open_samples(path, in_parts=in_parts, reading=reading)
        data = found.read() if isinstance(found, Files) else found
        np.testing.assert_array_equal(data.X[:, 0], [1, 0, 1])


def test_rows_are_counted_in_the_file(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("a,y\n,1\n,2\n3,4\ninf,5\n6,7\n", "utf-8")
    reading = Reading(drop_missing=True)
    files = open_files(path, reading=reading)
    with pytest.raises(InputValueError, match="row 4: inf is not finite"):
        files.read()
    with pytest.raises(InputValueError, match="row 4: inf is not finite"):
        open_samples(path, in_parts=False, reading=reading)
