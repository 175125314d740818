"""Folders and patterns: which files they stand for, how they are read in parts, what is wrong."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.feather
import pyarrow.parquet as pq
import pytest

from gradrace.backends import dask_partitions as dask_rung
from gradrace.backends.interface import Floats, InputValueError
from gradrace.bench.data import reader, table
from gradrace.bench.data.reader import Files, open_samples, open_table
from gradrace.bench.data.samples import Dataset
from gradrace.bench.data.sources import Reading
from tests.files import open_files

RNG = np.random.default_rng(2)
ROWS = RNG.normal(size=(60, 3))


def write(folder: Path, suffix: str, parts: int = 3) -> Path:
    """Write ROWS as several files of a kind, with columns a, b and y."""
    folder.mkdir(parents=True, exist_ok=True)
    for number, rows in enumerate(np.array_split(ROWS, parts)):
        columns = pa.table(dict(zip("aby", rows.T, strict=True)))
        path = folder / f"{number}{suffix}"
        if suffix == ".parquet":
            pq.write_table(columns, path, row_group_size=7)
        elif suffix == ".feather":
            pa.feather.write_feather(columns, path, chunksize=7)
        else:
            pa.csv.write_csv(columns, path)
    return folder


def rows_of(files: Files) -> Floats:
    batches = [
        batch for recipe in files.partitions.recipes for batch in files.partitions.read(*recipe)
    ]
    return np.concatenate([np.column_stack(batch) for batch in batches])


@pytest.mark.parametrize("suffix", [".parquet", ".feather", ".csv"])
class TestOfAnyKind:
    def test_rows_come_in_the_order_of_the_names(self, tmp_path: Path, suffix: str) -> None:
        files = open_files(write(tmp_path / "t", suffix))
        assert (files.features, files.target) == (("a", "b"), "y")
        np.testing.assert_array_equal(rows_of(files), ROWS)
        data = open_samples(tmp_path / "t")
        assert isinstance(data, Dataset)
        np.testing.assert_array_equal(np.column_stack([data.X, data.y]), ROWS)

    def test_their_size_in_memory_is_known(self, tmp_path: Path, suffix: str) -> None:
        opened = open_table(write(tmp_path / "t", suffix))
        memory = opened.memory(opened.use())
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
        names = [path.relative_to(tmp_path / "t") for path in open_table(tmp_path / "t").paths]
        assert list(map(str, names)) == ["0.parquet", "more/0.parquet", "more/1.parquet"]

    def test_a_pattern(self, tmp_path: Path) -> None:
        write(tmp_path / "t", ".csv", parts=5)
        assert len(open_table(tmp_path / "t" / "[1-3].csv").paths) == 3
        assert len(open_table(tmp_path / "**" / "*.csv").paths) == 5

    def test_a_file_whose_name_looks_like_a_pattern(self, tmp_path: Path) -> None:
        path = write(tmp_path / "t", ".csv", parts=1) / "0.csv"
        odd = path.rename(path.with_name("a[1].csv"))
        assert isinstance(open_samples(odd), Dataset)

    def test_links_are_followed_but_not_around(self, tmp_path: Path) -> None:
        write(tmp_path / "other", ".parquet", parts=1)
        folder = write(tmp_path / "t", ".parquet", parts=1)
        (folder / "2026").symlink_to(tmp_path / "other")
        (folder / "back").symlink_to(folder)
        assert len(open_table(folder).paths) == 2
        (folder / "1.parquet").symlink_to(tmp_path / "nowhere.parquet")
        with pytest.raises(InputValueError, match=r"1\.parquet: No such file"):
            open_table(folder)

    @pytest.mark.parametrize("address", ["https://x.org//a.csv", "s3://bucket/a*.parquet"])
    def test_an_address_is_shown_as_it_was_typed(self, address: str) -> None:
        with pytest.raises(InputValueError) as caught:
            open_samples(address)
        assert str(caught.value) == f"{address}: is a web address; download the table first"


def test_folders_called_like_a_column_are_one(tmp_path: Path) -> None:
    for year in ("2025", "2026", "__HIVE_DEFAULT_PARTITION__"):
        write(tmp_path / "t" / f"year={year}" / "month=01", ".parquet", parts=1)
    data = open_samples(tmp_path / "t", reading=Reading(drop_missing=True))
    assert isinstance(data, Dataset)
    assert (data.features, data.target) == (("a", "b", "year", "month"), "y")
    assert data.X[:, 2:].tolist() == [[2025, 1]] * 60 + [[2026, 1]] * 60
    one = tmp_path / "t" / "year=2026" / "month=01" / "0.parquet"
    alone = open_samples(one, target="year")
    assert isinstance(alone, Dataset)
    assert alone.y.tolist() == [2026.0] * 60
    assert alone.features == ("a", "b", "y")  # the folders above a table say nothing of it


class TestWhetherInParts:
    def free(self, monkeypatch: pytest.MonkeyPatch, memory: float) -> None:
        monkeypatch.setattr(reader, "free_memory", lambda: int(memory))

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
        assert reader.too_large(found.table, found.use) == (
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
        with pytest.raises(InputValueError, match="; backend='dask' reads them in parts"):
            open_samples(folder, in_parts=False)

    def test_arrays_in_files_always_are(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        np.save(tmp_path / "t.npy", ROWS)
        self.free(monkeypatch, 100)
        assert isinstance(open_samples(tmp_path / "t.npy", in_parts=True), Dataset)


class TestParts:
    def rows(self, files: Files) -> list[Any]:
        return [recipe[2:] for recipe in files.partitions.recipes]

    def test_are_divided_at_row_groups(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(table, "_PART", 40)  # of three columns: two groups of seven rows
        files = open_files(write(tmp_path / "t", ".parquet", parts=2))
        assert self.rows(files) == [(0, 14), (14, 14), (28, 2)] * 2
        np.testing.assert_array_equal(rows_of(files), ROWS)

    def test_there_are_never_too_many(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A part may have 8 values, but there may be only about 10 parts: so it has 40 rows."""
        monkeypatch.setattr(table, "_PART", 8)
        monkeypatch.setattr(table, "_MOST_PARTS", 10)
        columns = pa.table({"x": np.arange(400.0), "y": np.arange(400.0)})
        pq.write_table(columns, tmp_path / "t.parquet", row_group_size=1)
        assert self.rows(open_files(tmp_path)) == [(40 * i, 40) for i in range(10)]


def changed(path: Path, change: Callable[[pa.Table], pa.Table]) -> None:
    pq.write_table(change(pq.read_table(path)), path)


def rewrite(path: Path, name: str, values: list[Any]) -> None:
    columns = pq.read_table(path)
    place = columns.column_names.index(name)
    pq.write_table(columns.set_column(place, name, pa.array(values)), path, row_group_size=7)


class TestWhatIsWrong:
    """Three files of 20 rows; the second one is spoiled after the folder was opened, or before."""

    READ: ClassVar[dict[str, tuple[Callable[[Path], object], str]]] = {
        "a value is missing": (
            lambda path: rewrite(path, "b", [*ROWS[20:38, 1], None, 1.0]),
            "1.parquet: column 'b', row 19: a value is missing",
        ),
        "infinite": (
            lambda path: rewrite(path, "y", [*ROWS[20:39, 2], np.inf]),
            "1.parquet: column 'y', row 20: inf is not finite",
        ),
        "text": (
            lambda path: rewrite(path, "a", ["low"] * 20),
            "1.parquet: column 'a' holds text such as 'low', not numbers (exclude='a' leaves it ou",
        ),
        "numbers as text": (
            lambda path: rewrite(path, "a", ["1"] * 20),
            "1.parquet: column 'a' holds text such as '1', not numbers",
        ),
        "cut off": (
            lambda path: path.write_bytes(path.read_bytes()[:-9]),
            "1.parquet: is not a readable Parquet file: ",
        ),
        "empty": (lambda path: path.write_bytes(b""), "1.parquet: is not a readable Parquet file"),
    }

    @pytest.mark.parametrize("name", READ)
    @pytest.mark.parametrize("later", [False, True])
    def test_is_named_with_its_file(
        self, tmp_path: Path, name: str, later: bool, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(table, "_PART", 20)  # parts begin within a file
        folder = write(tmp_path / "t", ".parquet")
        spoil, message = self.READ[name]
        if not later:
            spoil(folder / "1.parquet")
        with pytest.raises(InputValueError) as caught:  # noqa: PT012 (either may raise)
            files = open_files(folder)
            if later:
                spoil(folder / "1.parquet")
            dask_rung.condense(files.partitions)
        assert message in str(caught.value)
        assert "\n" not in str(caught.value)

    OPENED: ClassVar[dict[str, tuple[Callable[[Path], object], str]]] = {
        "none": (
            lambda path: list(map(Path.unlink, path.iterdir())),
            "has no Parquet, Feather",
        ),
        "mixed": (
            lambda path: write(path, ".csv", parts=1),
            "mixes kinds: {path}/0.csv is text, {path}/0.parquet is Parquet",
        ),
        "lacks a column": (
            lambda path: changed(path / "1.parquet", lambda table: table.drop(["b"])),
            "{path}/1.parquet has no column 'b', which {path}/0.parquet has; exclude='b' leaves it",
        ),
        "a text column first": (
            lambda path: rewrite(path / "0.parquet", "a", ["low"] * 20),
            "/0.parquet: column 'a' holds text such as 'low', not numbers",
        ),
    }

    @pytest.mark.parametrize("name", OPENED)
    def test_is_found_when_it_is_opened(self, tmp_path: Path, name: str) -> None:
        folder = write(tmp_path / "t", ".parquet")
        spoil, message = self.OPENED[name]
        spoil(folder)
        with pytest.raises(InputValueError) as caught:
            open_files(folder)
        assert message.format(path=folder) in str(caught.value)

    def test_other_rows_than_the_metadata_say(self, tmp_path: Path) -> None:
        path = write(tmp_path / "t", ".parquet") / "1.parquet"
        changed(path, lambda table: table)  # a single row group
        files = open_files(tmp_path / "t")
        changed(path, lambda table: table[:5])
        with pytest.raises(InputValueError, match=r"1\.parquet: has 5 rows, but its metadata says"):
            dask_rung.condense(files.partitions)

    def test_rows_that_are_added_meanwhile_are_noticed(self, tmp_path: Path) -> None:
        files = open_files(write(tmp_path / "t", ".csv", parts=1))
        with (tmp_path / "t" / "0.csv").open("a") as file:
            file.write("1,2,3\n")
        with pytest.raises(InputValueError, match=r"0\.csv: has changed while it was read"):
            files.require_unchanged()

    def test_a_pattern_that_matches_nothing(self, tmp_path: Path) -> None:
        with pytest.raises(InputValueError, match=r"t/\*\.csv: no file matches"):
            open_table(tmp_path / "t" / "*.csv")


def test_values_whose_sum_is_beyond_float64_are_fine(tmp_path: Path) -> None:
    pq.write_table(pa.table({"x": [1.5e308] * 4, "y": [-1.5e308, 1.0] * 2}), tmp_path / "t.parquet")
    np.testing.assert_array_equal(rows_of(open_files(tmp_path))[:, 0], [1.5e308] * 4)


def test_columns_may_have_another_type_and_place_in_each_file(tmp_path: Path) -> None:
    pq.write_table(pa.table({"x": [True, False], "y": [1.0, 2.0]}), tmp_path / "0.parquet")
    pq.write_table(pa.table({"y": [1, 2], "x": [2.5, 7.0]}), tmp_path / "1.parquet")
    pq.write_table(pa.table({"x": pa.nulls(2), "y": [1.0, 2.0]}), tmp_path / "2.parquet")
    reading = Reading(drop_missing=True)
    files = open_files(tmp_path, "y", reading=reading)
    assert rows_of(files)[:, 0].tolist() == [1.0, 0.0, 2.5, 7.0]
    with pytest.raises(InputValueError, match=r"the last column of .* target names the one"):
        open_files(tmp_path, reading=reading)


def test_rows_with_gaps_are_left_out_in_every_file(tmp_path: Path) -> None:
    """In German text, too: what is whole comes in order, and that rows are left out is said."""
    for name, line in (("0", "1,5;2"), ("1", "2,5;3")):
        text = f"größe;preis\n{line}\n;4\n3,5;5\n"
        (tmp_path / f"{name}.csv").write_bytes(text.encode("cp1252"))
    reading = Reading(decimal=",", encoding="cp1252", drop_missing=True)
    files = open_files(tmp_path, reading=reading)
    assert rows_of(files).tolist() == [[1.5, 2.0], [3.5, 5.0], [2.5, 3.0], [3.5, 5.0]]
    assert files.remarks(4) == ("Rows with a missing value are left out.",)
    pq.write_table(pa.table({"x": [1.0, None, 3.0], "y": [1, 2, 3]}), tmp_path / "t.parquet")
    counted = open_files(tmp_path / "t.parquet", reading=reading)
    assert counted.remarks(2) == ("Left out: 1 row with a missing value.",)
