"""An interrupted pass over files, resumed: only the rest is read, and the bits are the same."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from gradrace.backends.interface import ClusterError, InputValueError
from gradrace.bench.data.reader import Files
from gradrace.bench.learning.checkpoint import summarize_kept
from gradrace.bench.learning.summary import Summary, summarize
from tests.files import open_files


@pytest.fixture
def table(tmp_path: Path) -> Path:
    folder = tmp_path / "table"
    folder.mkdir()
    rng = np.random.default_rng(3)
    for name in range(20):
        columns = {name: rng.normal(size=50) for name in ("a", "b", "y")}
        pq.write_table(pa.table(columns), folder / f"{name:02}.parquet")
    return folder


def interrupted(files: Files, kept: Path, after: int) -> None:
    def stop(_doing: str, done: int, _steps: int) -> None:
        if done == after:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        summarize_kept(files, kept, on_progress=stop)


def assert_same(found: Summary, expected: Summary) -> None:
    for a, b in (
        (found.R, expected.R),
        (found.condensed.S, expected.condensed.S),
        (found.rows, expected.rows),
        (found.extremes, expected.extremes),
    ):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("after", [1, 8, 11, 20])
def test_only_the_rest_is_read_and_the_bits_are_the_same(
    table: Path, tmp_path: Path, after: int
) -> None:
    files, kept = open_files(table), tmp_path / "sums"
    interrupted(files, kept, after)
    told: list[int] = []

    def tell(_doing: str, done: int, _steps: int) -> None:
        told.append(done)

    assert_same(summarize_kept(files, kept, resume=True, on_progress=tell), summarize(files))
    before = told[: told.index(after - 1) + 1] if after > 1 else told[:1]
    assert len(told) - len(before) >= 20 - after  # what is told at once was finished before


def test_a_complete_pass_is_not_made_again(table: Path, tmp_path: Path) -> None:
    files, kept = open_files(table), tmp_path / "sums"
    whole = summarize_kept(files, kept)
    assert sorted(path.name for path in kept.iterdir()) == ["2-0.npz", "about.json"]

    def read(*_recipe: object) -> Any:
        raise AssertionError("read again")

    unreadable = files.partitions._replace(read=read)
    again = Files(**{**vars(files), "partitions": unreadable})
    assert_same(summarize_kept(again, kept, resume=True), whole)


def test_without_resume_it_begins_anew(table: Path, tmp_path: Path) -> None:
    files, kept = open_files(table), tmp_path / "sums"
    interrupted(files, kept, 9)
    (kept / "0-3.npz").write_bytes(b"not read")
    assert_same(summarize_kept(files, kept), summarize(files))


class TestResumeIsRefused:
    @pytest.fixture
    def kept(self, table: Path, tmp_path: Path) -> Path:
        interrupted(open_files(table), tmp_path / "sums", 9)
        return tmp_path / "sums"

    def refused(self, table: Path, kept: Path, message: str, **columns: Any) -> None:
        with pytest.raises(InputValueError, match=message):
            summarize_kept(open_files(table, **columns), kept, resume=True)

    def test_where_there_is_nothing(self, table: Path, tmp_path: Path) -> None:
        self.refused(table, tmp_path / "no", "no: has nothing to resume; leave out resume")

    def test_where_a_file_has_changed(self, table: Path, kept: Path) -> None:
        pq.write_table(pq.read_table(table / "05.parquet").slice(1), table / "05.parquet")
        self.refused(table, kept, r"05\.parquet: has changed since the pass began; start again")

    def test_where_a_file_was_added(self, table: Path, kept: Path) -> None:
        (table / "99.parquet").write_bytes((table / "05.parquet").read_bytes())
        self.refused(table, kept, "sums: is from other files, columns or options; start again")

    def test_where_the_columns_are_others(self, table: Path, kept: Path) -> None:
        message = "sums: is from other files, columns or options"
        self.refused(table, kept, message, target="a")
        self.refused(table, kept, message, features=["a"])

    @pytest.mark.parametrize("content", [b"", b"{}", b"[1]", b"nonsense"])
    def test_where_its_description_is_damaged(
        self, table: Path, kept: Path, content: bytes
    ) -> None:
        (kept / "about.json").write_bytes(content)
        self.refused(table, kept, r"about\.json: ")

    @pytest.mark.parametrize("content", [b"", b"nonsense", b"PK\x03\x04"])
    def test_where_a_part_is_damaged(self, table: Path, kept: Path, content: bytes) -> None:
        part = next(kept.glob("*.npz"))
        part.write_bytes(content)
        self.refused(table, kept, rf"{part.name}: is damaged; start again without resume")


def test_only_a_failed_cluster_is_worth_resuming(table: Path, tmp_path: Path) -> None:
    files, kept = open_files(table), tmp_path / "sums"

    def fail(_doing: str, done: int, _steps: int) -> None:
        if done == 9:
            raise ClusterError("the cluster did not finish")

    with pytest.raises(ClusterError, match="did not finish; resume=True goes on after the parts"):
        summarize_kept(files, kept, on_progress=fail)
    assert_same(summarize_kept(files, kept, resume=True), summarize(files))
    (table / "19.parquet").unlink()
    with pytest.raises(InputValueError, match=r"19\.parquet") as error:
        summarize_kept(files, kept)
    assert "resume" not in str(error.value)


def test_two_runs_do_not_mix(table: Path, tmp_path: Path) -> None:
    files, kept = open_files(table), tmp_path / "sums"

    def another(_doing: str, done: int, _steps: int) -> None:
        if done == 9:
            with pytest.raises(InputValueError, match="another run is writing here; use another"):
                summarize_kept(files, kept)

    assert_same(summarize_kept(files, kept, on_progress=another), summarize(files))
    assert_same(summarize_kept(files, kept), summarize(files))  # and it is unlocked again


def test_what_an_earlier_run_could_not_remove_any_more_is(table: Path, tmp_path: Path) -> None:
    files, kept = open_files(table), tmp_path / "sums"
    interrupted(files, kept, 9)
    part = next(kept.glob("0-*.npz"))
    whole = summarize_kept(files, kept, resume=True)
    part.write_bytes((kept / "2-0.npz").read_bytes())
    assert_same(summarize_kept(files, kept, resume=True), whole)
    assert sorted(path.name for path in kept.iterdir()) == ["2-0.npz", "about.json"]
