"""Where the tasks of `dask` run: a cluster, its failures, and always the same bits."""

import asyncio
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

import dask
import distributed
import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.feather
import pyarrow.parquet as pq
import pytest
from distributed import Client, LocalCluster

from gradrace.backends import SCHEDULER
from gradrace.backends import dask_partitions as dask_rung
from gradrace.backends.interface import InputValueError
from gradrace.backends.support import dask_tasks
from gradrace.backends.support.dask_reading import Batches
from tests.backends.partitions import SOURCE, fatal_once, whole
from tests.conftest import assert_same_bits
from tests.files import open_files

WORKER = (  # without our packages, as on another machine
    "import sys; sys.modules['gradrace'] = sys.modules['tests'] = None; "
    "from distributed.cli.dask_worker import main; main()"
)


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
        source = open_files(tmp_path).partitions
        expected = dask_rung.train(source, lr=0.01, epochs=20)
        with client.as_current():
            assert_same_bits(dask_rung.train(source, lr=0.01, epochs=20), expected)
            (tmp_path / "1.parquet").unlink()
            with pytest.raises(InputValueError, match=r"1.parquet: No such file"):
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
        async def theirs(_: str) -> str:
            return "2020.1.0"

        monkeypatch.setattr(dask_tasks, "_version", theirs)
        with pytest.raises(
            InputValueError,
            match=rf"has Dask 2020\.1\.0, but here is {distributed.__version__}; use",
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
