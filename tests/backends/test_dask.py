"""The rung `dask`: partitions of any kind, on threads or a cluster, always the same bits."""

import asyncio
import contextlib
import os
import re
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

import dask
import dask.array as da
import distributed
import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.dataset
import pyarrow.feather
import pyarrow.parquet as pq
import pytest
from distributed import Client, LocalCluster

from backends import SCHEDULER, dask_files, dask_tasks, gram
from backends import dask_partitions as dask_rung
from backends.dask_reading import Batches, Partitions
from backends.interface import Floats, InputError, InputValueError, Samples
from bench.data.samples import synthetic
from bench.proof.agreement import judge
from bench.proof.oracle import exact_trajectory
from tests.conftest import assert_same_bits

WORKER = (  # without our packages, as on another machine
    "import sys; sys.modules['backends'] = sys.modules['bench'] = sys.modules['tests'] = None; "
    "from distributed.cli.dask_worker import main; main()"
)


def generated(seed: int, n: int) -> Batches:
    """A partition of n samples that come in batches of unequal length."""
    rng = np.random.default_rng(seed)
    X, y = rng.normal(size=(n, 3)), rng.normal(size=n)
    for start in range(0, n, 777):
        yield X[start : start + 777], y[start : start + 777]


def fatal_once(marker: str, seed: int, n: int) -> Batches:
    """The same, but the first process that reads partition 3 dies of it."""
    if seed == 3 and not os.path.exists(marker):
        with contextlib.suppress(OSError), open(marker, "w"):
            pass
        os.kill(os.getpid(), signal.SIGKILL)
    return generated(seed, n)


RECIPES = [(seed, 0 if seed % 4 == 1 else 2_000) for seed in range(20)]
SOURCE = Partitions(generated, RECIPES, 3)


def whole(source: Partitions) -> Samples:
    batches = [batch for recipe in source.recipes for batch in source.read(*recipe)]
    X, y = (np.concatenate(parts) for parts in zip(*batches, strict=True))
    return X, y


@pytest.fixture(scope="module")
def client() -> Iterator[Client]:
    """A cluster of two worker processes that have NumPy, but none of our packages."""
    with ExitStack() as stack:
        cluster = stack.enter_context(LocalCluster(n_workers=0, dashboard_address=":0"))
        client = stack.enter_context(Client(cluster, set_as_default=False))
        words = ["--nthreads", "1", "--no-dashboard", "--no-nanny"]
        for _ in range(2):
            worker = subprocess.Popen(
                [sys.executable, "-c", WORKER, cluster.scheduler_address, *words],
                cwd="/",
                stderr=subprocess.DEVNULL,
            )
            stack.callback(worker.wait)
            stack.callback(worker.terminate)
        client.wait_for_workers(2)
        yield client


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
class TestCluster:
    """Workers are processes without our packages."""

    def test_gives_the_bits_of_threads(self, client: Client) -> None:
        expected = dask_rung.train(SOURCE, lr=0.01, epochs=20)
        with client.as_current():
            assert_same_bits(dask_rung.train(SOURCE, lr=0.01, epochs=20), expected)

    def test_reads_files_itself(self, client: Client, tmp_path: Path) -> None:
        for seed in range(3):
            X, y = whole(SOURCE._replace(recipes=[(seed, 500)]))
            columns = {f"x{j}": X[:, j] for j in range(3)}
            pq.write_table(pa.table({**columns, "y": y}), tmp_path / f"{seed}.parquet")
        source = dask_rung.prepare(pyarrow.dataset.dataset(tmp_path), "y")
        expected = dask_rung.train(source, lr=0.01, epochs=20)
        with client.as_current():
            assert_same_bits(dask_rung.train(source, lr=0.01, epochs=20), expected)
            (tmp_path / "1.parquet").unlink()
            with pytest.raises(InputValueError, match=r"1.parquet: cannot be read: "):
                dask_rung.condense(source)

    def test_arrays_of_this_process_stay_here(
        self, client: Client, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(Client, "get", None)
        X, y = whole(SOURCE)
        with client.as_current():
            dask_rung.train(dask_rung.prepare(X, y), lr=0.01, epochs=2)

    def test_what_a_task_cannot_use_is_said_here(self, client: Client) -> None:
        def bad(seed: int, n: int) -> Batches:
            raise ValueError(f"part {seed}: row {n + 7}: a value is missing")

        with client.as_current(), pytest.raises(InputValueError, match=r"^part \d+: row \d+: a v"):
            dask_rung.train(SOURCE._replace(read=bad), lr=0.1, epochs=1)

    def test_a_lost_worker_changes_nothing(self, tmp_path: Path) -> None:
        expected = dask_rung.train(SOURCE, lr=0.01, epochs=20)
        read = partial(fatal_once, str(tmp_path / "marker"))
        with (
            LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=":0") as cluster,
            Client(cluster, set_as_default=False) as lost,
            lost.as_current(),
        ):
            assert_same_bits(
                dask_rung.train(SOURCE._replace(read=read), lr=0.01, epochs=20), expected
            )
        assert (tmp_path / "marker").exists()

    def test_a_task_that_ends_every_worker_is_given_up(self, tmp_path: Path) -> None:
        read = partial(fatal_once, str(tmp_path / "no" / "marker"))  # which cannot be written
        with (
            dask.config.set({"distributed.scheduler.allowed-failures": 0}),
            LocalCluster(n_workers=1, threads_per_worker=1, dashboard_address=":0") as cluster,
            Client(cluster, set_as_default=False) as lost,
            lost.as_current(),
            pytest.raises(InputValueError, match="the Dask cluster did not finish: "),
        ):
            dask_rung.train(SOURCE._replace(read=read), lr=0.01, epochs=20)

    def test_the_scheduler_may_be_named_by_the_environment(
        self, client: Client, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        expected = dask_rung.train(SOURCE, lr=0.01, epochs=20)
        monkeypatch.setenv(SCHEDULER, client.scheduler.address)
        used: list[Any] = []
        get = Client.get

        def counted(*arguments: Any, **options: Any) -> Any:
            used.append(arguments)
            return get(*arguments, **options)

        monkeypatch.setattr(Client, "get", counted)
        assert_same_bits(dask_rung.train(SOURCE, lr=0.01, epochs=20), expected)
        assert len(used) == 1
        dask_tasks._connected(client.scheduler.address).close()
        dask_tasks._connected.cache_clear()


def test_where_no_scheduler_answers_it_is_said_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(SCHEDULER, "tcp://127.0.0.1:1")
    monkeypatch.setattr(dask_tasks, "SECONDS_TO_CONNECT", 0.3)
    with pytest.raises(InputValueError, match=r"tcp://127\.0\.0\.1:1: no Dask scheduler answers"):
        dask_rung.condense(SOURCE)


class TestAClusterThat:
    @pytest.fixture
    def workers(self) -> int:
        return 0

    @pytest.fixture
    def cluster(self, monkeypatch: pytest.MonkeyPatch, workers: int) -> Iterator[LocalCluster]:
        with LocalCluster(
            n_workers=workers, threads_per_worker=1, processes=False, dashboard_address=":0"
        ) as cluster:
            monkeypatch.setenv(SCHEDULER, cluster.scheduler_address)
            monkeypatch.setattr(dask_tasks, "SECONDS_TO_CONNECT", 1)
            yield cluster
            if dask_tasks._connected.cache_info().currsize:
                dask_tasks._connected(cluster.scheduler_address).close()
            dask_tasks._connected.cache_clear()

    @pytest.mark.usefixtures("cluster")
    def test_has_no_workers_is_not_waited_for_forever(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(dask_tasks, "SECONDS_WITHOUT_WORKERS", 0.5)
        monkeypatch.setattr(dask_tasks, "_LOOK_AGAIN", 0.1)
        with pytest.raises(InputValueError, match=r"cluster has had no workers for 0\.5 s"):
            dask_rung.condense(SOURCE)

    @pytest.mark.usefixtures("cluster")
    def test_has_another_version_is_refused(self, monkeypatch: pytest.MonkeyPatch) -> None:
        ours = distributed.__version__
        monkeypatch.setattr(distributed, "__version__", "2020.1.0")
        with pytest.raises(
            InputValueError, match=rf"has Dask {re.escape(ours)}, but here is 2020\.1\.0; use the"
        ):
            dask_rung.condense(SOURCE)

    @pytest.mark.parametrize("workers", [1])
    @pytest.mark.usefixtures("cluster")
    def test_is_used_from_a_notebook_too(self) -> None:
        """There, an event loop is running already."""

        async def cell() -> int:
            return int(dask_rung.condense(SOURCE).n)

        assert asyncio.run(cell()) == 30_000

    @pytest.mark.parametrize("workers", [1])
    def test_was_lost_is_connected_to_again(self, cluster: LocalCluster) -> None:
        before = dask_rung.condense(SOURCE)
        dask_tasks._connected(cluster.scheduler_address).close()
        np.testing.assert_array_equal(dask_rung.condense(SOURCE).R, before.R)

    @pytest.mark.parametrize("workers", [1])
    def test_goes_away_is_said(self, cluster: LocalCluster) -> None:
        def leave(_partitions: int, _result: Any) -> None:
            cluster.close()

        with pytest.raises(InputValueError, match="did not finish: the scheduler has gone away"):
            dask_tasks.over(SOURCE, partial(dask_rung.part, 5), dask_rung.join, on_done=leave)


def test_something_else_that_answers_is_no_scheduler(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dask_tasks, "SECONDS_TO_CONNECT", 5)
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]

        def answer() -> None:
            connection, _ = server.accept()
            with connection:
                connection.sendall(b"HTTP/1.0 400 Bad Request\r\n\r\n" * 10)

        thread = threading.Thread(target=answer)
        thread.start()
        monkeypatch.setenv(SCHEDULER, f"tcp://127.0.0.1:{port}")
        with pytest.raises(InputValueError, match=f"127.0.0.1:{port}: no Dask scheduler answers: "):
            dask_rung.condense(SOURCE)
        thread.join()


def test_there_are_never_too_many_parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A part may have 8 values, but there may be only about 10 parts: so it has 40 rows."""
    monkeypatch.setattr(dask_files, "_FILE_PART", 8)
    monkeypatch.setattr(dask_files, "_MOST_PARTS", 10)
    table = pa.table({"x": np.arange(400.0), "y": np.arange(400.0)})
    pq.write_table(table, tmp_path / "t.parquet", row_group_size=1)
    source = dask_rung.prepare(pyarrow.dataset.dataset(tmp_path), "y")
    assert [recipe[1:] for recipe in source.recipes] == [(40 * i, 40) for i in range(10)]
