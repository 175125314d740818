"""Folders and patterns: which files they stand for, and whether these are read in parts."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.feather
import pyarrow.parquet as pq
import pytest

from backends import dask_files
from backends.interface import Floats, InputValueError
from bench.data import folders
from bench.data.folders import Files, open_files, open_samples
from bench.data.samples import Dataset

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
