"""What does a pass with `dask` cost? `python -m gradrace.bench.studies.cluster [GB …]` measures it.

It generates Parquet folders of 0.5 and 2 GB (or the sizes named) with 10 and 100 features, and
condenses each to S and R: in a plain loop of pyarrow and NumPy, with the rung on threads of one
process, and with it on clusters of one and two worker processes. Every measurement has a process of
its own. CPU seconds and memory include those of the workers; starting them is not counted, nor what
they import for their first task. Each measurement also makes 10,000 epochs afterwards. Then come
the commands on the same folder, from their start to their last file: `gradrace train`, `check` and
`predict`. The folders are removed. Last come graphs whose partitions are empty, which shows what
scheduling costs.
"""

import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from gradrace.backends import dask_partitions as rung
from gradrace.backends.interface import Floats
from gradrace.backends.support.dask_reading import Batches, Partitions

SIZES = 0.5, 2.0
"""GB of float64 in a folder."""
FEATURES = 10, 100
EPOCHS = 10_000
ROW_GROUP = 2**23  # values
BATCH = 2**17  # values that are read at once
TASKS = 1_000, 10_000
"""Partitions of a graph whose tasks have nothing to do."""
WAYS = "plain", "threads", "1 process", "2 processes"
COMMANDS = {
    "train": ["{folder}", "--backend", "dask", "--out", "{out}"],
    "check": ["--data", "{folder}", "--backend", "dask"],
    "predict": ["{out}/model.json", "{folder}", "--out", "{out}/predicted"],
}
"""In this order, because what is trained predicts."""


class Cost(NamedTuple):
    """What a pass took."""

    wall: float
    """s"""
    cpu: float
    """s, of all processes"""
    memory: float
    """bytes, of the largest process at its peak"""
    epochs: float
    """s, of 10,000 epochs after the pass"""


def generate(folder: Path, gigabytes: float, d: int) -> None:
    """Write Parquet files of normally distributed features and a target, a row group each."""
    rows = ROW_GROUP // (d + 1)
    for seed in range(max(1, round(gigabytes * 1e9 / (8 * ROW_GROUP)))):
        rng = np.random.default_rng(seed)
        X = rng.standard_normal((d, rows))
        columns = {f"x{j}": values for j, values in enumerate(X)}
        columns["y"] = X.sum(axis=0) + rng.standard_normal(rows)
        pq.write_table(pa.table(columns), folder / f"{seed:04}.parquet", compression="none")


def read(path: str) -> Batches:
    """Yield the samples of a file; only a few batches are in memory."""
    with pq.ParquetFile(path, buffer_size=2**20, pre_buffer=False) as file:
        columns = len(file.schema_arrow)
        for batch in file.iter_batches(max(1, BATCH // columns), use_threads=False):
            *X, y = (column.to_numpy() for column in batch.columns)
            yield np.column_stack(X), y


def plain(files: list[str]) -> tuple[Floats, Floats]:
    """Return S and R of A = [1 X y] in a loop over the batches, as one would write it."""
    p = len(pq.read_schema(files[0])) + 1
    S, R = np.zeros((p, p)), np.zeros((p, p))
    for path in files:
        for X, y in read(path):
            A = np.column_stack([np.ones(len(y)), X, y])
            S += A.T @ A
            R = np.asarray(np.linalg.qr(np.vstack([R, A]), mode="r"))
    return S, R


def measured(way: str, folder: Path) -> Cost:
    """Measure a pass, and 10,000 epochs, in a process of its own."""
    environment = {**os.environ, "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
    words = [sys.executable, "-m", "gradrace.bench.studies.cluster", "--measure", way, str(folder)]
    done = subprocess.run(words, capture_output=True, text=True, check=True, env=environment)
    return Cost(*json.loads(done.stdout))


def commands(folder: Path, out: Path) -> Iterator[tuple[str, Cost]]:
    """Measure the commands, each in a process of its own."""
    for name, words in COMMANDS.items():
        places = [word.format(folder=folder, out=out) for word in words]
        start = time.perf_counter()
        running = subprocess.Popen(
            [sys.executable, "-m", "gradrace", name, *places],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        _, running.returncode, usage = os.wait4(running.pid, 0)
        if running.returncode:
            raise SystemExit(f"gradrace {name} failed")
        wall, cpu = time.perf_counter() - start, usage.ru_utime + usage.ru_stime
        yield f"gradrace {name}", Cost(wall, cpu, usage.ru_maxrss * 1024.0, 0.0)


def _measure(way: str, folder: Path) -> Cost:
    files = sorted(map(str, folder.glob("*.parquet")))
    d = len(pq.read_schema(files[0])) - 1
    source = Partitions(read, [(file,) for file in files], d)
    rung.train(_tiny(d), lr=0.1, epochs=1)  # compiles
    with _workers(way) as usage:
        rung.condense(source._replace(recipes=source.recipes[:2]))  # imports what workers need
        before, start = usage(), time.perf_counter()
        if way == "plain":
            plain(files)
        else:
            condensed = rung.condense(source)
        wall, after = time.perf_counter() - start, usage()
        if way == "plain":
            return Cost(wall, after[0] - before[0], after[1], 0.0)
        start = time.perf_counter()
        rung.train(condensed, lr=0.1, epochs=EPOCHS)
        return Cost(wall, after[0] - before[0], after[1], time.perf_counter() - start)


def _tiny(d: int) -> Any:
    return rung.condense(rung.prepare(np.eye(d + 2, d), np.ones(d + 2)))


def scheduling(tasks: int) -> float:
    """Return the seconds that a graph of so many partitions takes on a cluster of two workers.

    All partitions but the first are empty, so this is what sending, scheduling and joining cost.
    """
    source = Partitions(_hardly_any, [(i,) for i in range(tasks)], 10)
    with _workers("2 processes"):
        rung.condense(source._replace(recipes=source.recipes[:9]))
        start = time.perf_counter()
        rung.condense(source)
        return time.perf_counter() - start


def _hardly_any(partition: int) -> Batches:
    if partition == 0:
        yield np.eye(12, 10), np.ones(12)


@contextmanager
def _workers(way: str) -> Iterator[Callable[[], tuple[float, float]]]:
    """Start the workers of a way; give what CPU seconds and peak memory tell of all processes."""
    if not way.endswith(("process", "processes")):
        yield _own_usage
        return
    from distributed import Client, LocalCluster

    with (
        LocalCluster(
            n_workers=int(way.split()[0]), threads_per_worker=1, dashboard_address=":0"
        ) as cluster,
        Client(cluster) as client,
    ):

        def usage() -> tuple[float, float]:
            found = [_own_usage(), *client.run(_own_usage).values()]
            return sum(cpu for cpu, _ in found), max(memory for _, memory in found)

        yield usage


def _own_usage() -> tuple[float, float]:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024  # Linux: in KiB
    return time.process_time(), float(peak)


def main() -> None:
    """Print what every way took, on every folder."""
    from gradrace.bench.parts import Bytes, Cell, Column, Table, Time
    from gradrace.bench.show.terminal import show

    if sys.argv[1:2] == ["--measure"]:
        print(json.dumps(_measure(sys.argv[2], Path(sys.argv[3]))))
        return
    sizes = [float(word) for word in sys.argv[1:]] or SIZES
    heads = ("GB", "d", "way", "wall", "CPU", "× plain", "peak", "10,000 epochs")
    rows: list[tuple[Cell, ...]] = []
    for gigabytes in sizes:
        for d in FEATURES:
            with tempfile.TemporaryDirectory(prefix="gradrace-") as name:
                generate(Path(name), gigabytes, d)
                costs = {way: measured(way, Path(name)) for way in WAYS}
                with tempfile.TemporaryDirectory(prefix="gradrace-") as out:
                    costs |= dict(commands(Path(name), Path(out)))
            for way, cost in costs.items():
                rows.append(
                    (
                        f"{gigabytes:g}",
                        d,
                        way,
                        Time(cost.wall),
                        Time(cost.cpu),
                        cost.cpu / costs["plain"].cpu,
                        Bytes(int(cost.memory)),
                        Time(cost.epochs) if cost.epochs else None,
                    )
                )
    show(Table([Column(head) for head in heads], rows, keys=3))
    times = [(tasks, scheduling(tasks)) for tasks in TASKS]
    names = ("empty partitions", "time", "per partition")
    show(
        Table(
            [Column(name) for name in names],
            [(tasks, Time(seconds), Time(seconds / tasks)) for tasks, seconds in times],
        )
    )


if __name__ == "__main__":
    main()
