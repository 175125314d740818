"""The rung `dask`: partitions of any kind, on threads or a cluster, always the same bits."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import dask.array as da
import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.dataset
import pyarrow.feather
import pyarrow.parquet as pq
import pytest

from gradrace.backends import dask_files, gram
from gradrace.backends import dask_partitions as dask_rung
from gradrace.backends.dask_reading import Batches, Partitions
from gradrace.backends.interface import Floats, InputError, InputValueError
from gradrace.bench.data.samples import synthetic
from gradrace.bench.proof.agreement import judge
from gradrace.bench.proof.oracle import exact_trajectory
from tests.backends.partitions import RECIPES, SOURCE, generated, whole
from tests.conftest import assert_same_bits


@pytest.mark.parametrize("partitions", [1, 2, 7, 40])
@pytest.mark.parametrize(("n", "d"), [(1, 1), (31, 1), (23, 4), (3, 5), (5_000, 2)])
def test_agrees_however_the_samples_are_divided(n: int, d: int, partitions: int) -> None:
    """With 40 partitions, most of the small ones are empty."""
    data = synthetic(n, d)
    lr = 0.02 / (1 + d / n)
    recipes = dask_rung.prepare(data.X, data.y, partitions=partitions)
    assert len(recipes.recipes) == partitions
    path = dask_rung.train(recipes, lr=lr, epochs=40)
    assert judge("dask", path, exact_trajectory(data.X, data.y, lr=lr, epochs=40)).reason == ""


@pytest.mark.parametrize("sizes", [(1e-300, 1.0), (1e180, 1e-170), (5e-324, 1e-310), (0.0, 0.0)])
def test_columns_whose_squares_leave_float64(sizes: tuple[float, float]) -> None:
    data = synthetic(60, 2)
    X = data.X * np.array(sizes)
    exact = exact_trajectory(X, data.y, lr=0.1, epochs=9)
    for partitions in (1, 7):
        path = dask_rung.train(
            dask_rung.prepare(X, data.y, partitions=partitions), lr=0.1, epochs=9
        )
        assert judge("dask", path, exact).reason == ""


@pytest.mark.parametrize("partitions", [1, 7])
def test_tiny_columns_count_where_their_weights_are_huge(partitions: int) -> None:
    data = synthetic(60, 2)
    X, y, w0 = data.X * 1e-321, data.y * 1e-13, [1.5e308, -1e308]
    recipes = dask_rung.prepare(X, y, partitions=partitions)
    path = dask_rung.train(recipes, lr=0.1, epochs=9, w0=w0)
    exact = exact_trajectory(X, y, lr=0.1, epochs=9, w0=w0)
    assert judge("dask", path, exact).reason == ""
    assert np.isfinite(path.loss).all()


def test_a_column_may_be_tiny_in_one_partition_and_huge_in_another() -> None:
    x = np.repeat([1e-200, 0.0, 1.0, 1e-310], 25)[:, None]
    y = np.tile([1.0, -2.0], 50)
    exact = exact_trajectory(x, y, lr=0.1, epochs=9)
    path = dask_rung.train(dask_rung.prepare(x, y, partitions=4), lr=0.1, epochs=9)
    assert judge("dask", path, exact).reason == ""


def test_batches_of_any_length_give_the_same_bits() -> None:
    def at_once(seed: int, n: int) -> Batches:
        yield (
            whole(Partitions(generated, [(seed, max(n, 1))], 3))
            if n
            else (
                np.empty((0, 3)),
                np.empty(0),
            )
        )

    expected = dask_rung.train(SOURCE, lr=0.01, epochs=20)
    assert_same_bits(dask_rung.train(SOURCE._replace(read=at_once), lr=0.01, epochs=20), expected)


def test_the_samples_are_read_once_for_all_calls() -> None:
    read: list[int] = []

    def counted(seed: int, n: int) -> Batches:
        read.append(seed)
        return generated(seed, n)

    source = SOURCE._replace(read=counted, here=True)
    condensed = dask_rung.condense(source)
    first = dask_rung.train(condensed, lr=0.01, epochs=20)
    assert_same_bits(first, dask_rung.train(condensed, lr=0.01, epochs=20))
    assert sorted(read) == list(range(20))
    assert_same_bits(first, dask_rung.train(source, lr=0.01, epochs=20))


def test_what_is_condensed_is_what_gram_has() -> None:
    X, y = whole(SOURCE)
    ours, theirs = dask_rung.condense(SOURCE), gram.condense(gram.prepare(X, y))
    np.testing.assert_allclose(ours.S, theirs.S, rtol=1e-12, atol=1e-10)
    np.testing.assert_allclose(ours.R @ ours.R.T, theirs.S, rtol=1e-12, atol=1e-10)


class TestDaskArrays:
    @pytest.mark.parametrize("chunks", [(100, 4), (30, 4), (30, 2), ((1, 0, 99), 4)])
    def test_agree_and_have_the_bits_of_equal_partitions(self, chunks: Any) -> None:
        data = synthetic(100, 4)
        X, y = da.from_array(data.X, chunks=chunks), da.from_array(data.y, chunks=33)
        source = dask_rung.prepare(X * 2 - X, y)
        path = dask_rung.train(source, lr=0.02, epochs=30)
        exact = exact_trajectory(data.X, data.y, lr=0.02, epochs=30)
        assert judge("dask", path, exact).reason == ""

    def test_whose_blocks_do_not_correspond_are_refused(self) -> None:
        X, y = da.ones((9, 2), chunks=3), da.ones(9, chunks=3)
        odd = y[da.arange(9, chunks=3) > 0]  # dask does not know how many are left
        with pytest.raises(InputValueError, match="per row of X, 3, got 2 in a block"):
            dask_rung.condense(dask_rung.prepare(X[y > 0], odd))

    @pytest.mark.parametrize(
        ("X", "y", "message"),
        [
            (np.ones((4, 1)), np.ones(5), "y: needs one value per row of X, 4, got 5"),
            (np.ones(4), np.ones(4), "X, y: need shapes"),
            (np.full((4, 1), np.nan), np.ones(4), "X: must be finite"),
            (np.ones((4, 1)), np.full(4, np.inf), "y: must be finite"),
        ],
    )
    def test_that_cannot_be_used_say_why(self, X: Floats, y: Floats, message: str) -> None:
        with pytest.raises(InputValueError, match=message):
            dask_rung.train(dask_rung.prepare(da.asarray(X), da.asarray(y)), lr=0.1, epochs=1)


class TestFiles:
    """Folders of Parquet, CSV and Feather files, by way of pyarrow.dataset."""

    WRITERS: ClassVar[dict[str, Callable[[pa.Table, Path], object]]] = {
        "parquet": lambda table, path: pq.write_table(table, path, row_group_size=10),
        "csv": lambda table, path: pa.csv.write_csv(table, path),
        "feather": lambda table, path: pa.feather.write_feather(table, path),
    }

    @pytest.fixture
    def folder(self, tmp_path: Path) -> Path:
        """Files of 60, 0 and 40 rows: whole numbers, float32, booleans and a column of text."""
        X = np.random.default_rng(0).normal(size=(100, 3)) * 8
        columns = {"a": X[:, 0].round().astype(int), "b": X[:, 1].astype(np.float32)}
        table = pa.table({**columns, "c": X[:, 2] > 0, "note": ["x"] * 100, "y": X.sum(axis=1)})
        for kind, write in self.WRITERS.items():
            (tmp_path / kind).mkdir()
            for i, (start, rows) in enumerate([(0, 60), (60, 0), (60, 40)]):
                write(table.slice(start, rows), tmp_path / kind / f"{i}.{kind}")
        return tmp_path

    def source(self, folder: Path, kind: Any = "parquet", **columns: Any) -> Partitions:
        files = sorted(map(str, (folder / kind).iterdir()))
        features = columns.pop("features", ["a", "b", "c"])
        table = pyarrow.dataset.dataset(files, format=kind)
        return dask_rung.prepare(table, columns.pop("y", "y"), features=features)

    @pytest.mark.parametrize("kind", WRITERS)
    def test_agree(self, folder: Path, kind: str) -> None:
        source = self.source(folder, kind)
        X, y = whole(source)
        assert X.shape == (100, 3)
        exact = exact_trajectory(X, y, lr=0.01, epochs=20)
        assert judge("dask", dask_rung.train(source, lr=0.01, epochs=20), exact).reason == ""

    def test_are_divided_at_row_groups(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(dask_files, "_FILE_PART", 100)  # of four columns: three row groups
        source = self.source(folder)
        rows = [(0, 30), (30, 30), (0, 0), (0, 30), (30, 10)]
        assert [recipe[1:] for recipe in source.recipes] == rows
        assert dask_rung.condense(source).n == 100

    @pytest.mark.parametrize(
        ("columns", "message"),
        [
            ({"y": "z"}, "the table has no column 'z'; it has a, b, c, note, y"),
            ({"features": ["a", "x"]}, "the table has no column 'x'"),
            ({"features": None}, "column 'note' holds string, not numbers"),
            ({"features": ["a", "y"]}, "a column is used twice: a, y, y"),
        ],
    )
    def test_whose_columns_do_not_fit_are_refused(
        self, folder: Path, columns: dict[str, Any], message: str
    ) -> None:
        with pytest.raises(InputValueError, match=message):
            self.source(folder, **columns)

    SPOILED: ClassVar[dict[str, tuple[Callable[[pa.Table, Path], object], str]]] = {
        "a value is missing": (
            lambda table, path: pq.write_table(
                table.set_column(1, "b", pa.array([1.0] * 33 + [None] + [2.0] * 26)),
                path,
                row_group_size=7,
            ),
            "0.parquet: column 'b', row 34: a value is missing",
        ),
        "infinite": (
            lambda table, path: pq.write_table(
                table.set_column(4, "y", pa.array([1.0] * 59 + [np.inf])), path
            ),
            "0.parquet: column 'y', row 60: inf",
        ),
        "lacks a column": (
            lambda table, path: pq.write_table(table.drop_columns(["b"]), path),
            "0.parquet: column 'b': this file has no such column",
        ),
        "text in one file": (
            lambda table, path: pq.write_table(
                table.set_column(0, "a", pa.array(["low"] * 60)), path
            ),
            "0.parquet: column 'a' holds string, not numbers",
        ),
        "cut off": (
            lambda _, path: path.write_bytes(path.read_bytes()[:-9]),
            "0.parquet: cannot be read: ",
        ),
        "empty": (lambda _, path: path.write_bytes(b""), "0.parquet: cannot be read: "),
        "vanished": (lambda _, path: path.unlink(), "0.parquet: cannot be read: "),
    }

    @pytest.mark.parametrize("name", SPOILED)
    def test_that_are_damaged_are_named(
        self, folder: Path, name: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(dask_files, "_FILE_PART", 40)  # parts begin within a file
        spoil, message = self.SPOILED[name]
        path = folder / "parquet" / "0.parquet"
        schema = pq.read_schema(folder / "parquet" / "2.parquet")
        table = pq.read_table(path)
        files = sorted(map(str, path.parent.iterdir()))
        dataset = pyarrow.dataset.dataset(files, schema=schema, format="parquet")
        spoil(table, path)
        with pytest.raises(InputValueError) as caught:
            dask_rung.condense(dask_rung.prepare(dataset, "y", features=["a", "b", "c"]))
        assert message in str(caught.value)


@pytest.mark.parametrize("recipes", [[(0, 0), (1, 0)], []])
def test_no_samples_at_all_are_refused(recipes: list[tuple[int, int]]) -> None:
    with pytest.raises(InputValueError, match="needs at least one row"):
        dask_rung.train(Partitions(generated, recipes, 3), lr=0.1, epochs=1)


def test_arguments_are_checked_before_anything_is_read() -> None:
    def never(*_: Any) -> Batches:
        raise AssertionError

    with pytest.raises(InputError, match="lr"):
        dask_rung.train(Partitions(never, RECIPES, 3), lr=-1.0, epochs=1)


@pytest.mark.slow
def test_there_are_never_too_many_parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A part may have 8 values, but there may be only about 10 parts: so it has 40 rows."""
    monkeypatch.setattr(dask_files, "_FILE_PART", 8)
    monkeypatch.setattr(dask_files, "_MOST_PARTS", 10)
    table = pa.table({"x": np.arange(400.0), "y": np.arange(400.0)})
    pq.write_table(table, tmp_path / "t.parquet", row_group_size=1)
    source = dask_rung.prepare(pyarrow.dataset.dataset(tmp_path), "y")
    assert [recipe[1:] for recipe in source.recipes] == [(40 * i, 40) for i in range(10)]
