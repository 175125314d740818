"""From a folder to a model on the command line: what is said, what is written, what is resumed."""

import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from distributed import LocalCluster

from gradrace import backends
from gradrace.bench.data import reader
from gradrace.bench.learning.training import OF_A_MODEL
from tests.cli.conftest import listing, one_line
from tests.conftest import Command, process


@pytest.fixture(autouse=True)
def no_scheduler(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(backends.SCHEDULER, "")  # what a command sets is gone afterwards


@pytest.fixture
def houses(tmp_path: Path) -> Path:
    """A folder of 12 files with 100 rows each."""
    rng = np.random.default_rng(1)
    (tmp_path / "houses").mkdir()
    for month in range(12):
        size, age = rng.uniform(50, 150, 100), rng.uniform(0, 40, 100)
        price = 3 * size - 2 * age + 40 + rng.normal(size=100)
        table = pa.table({"size": size, "age": age, "price": price})
        pq.write_table(table, tmp_path / "houses" / f"{month:02}.parquet")
    return tmp_path / "houses"


def scarce(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reader, "free_memory", lambda: 20_000)


class TestTrain:
    FILES = ("history.parquet", "loss.png", "report.html", *OF_A_MODEL)

    def test_a_folder_that_fits_is_read_into_memory(self, gradrace: Command, houses: Path) -> None:
        done = gradrace("train", "houses", "--standardize", "--epochs", "500")
        assert (done.returncode, done.stderr) == (0, "")
        assert "houses: price from size, age n = 1,200, d = 2, " in one_line(done.stdout)
        assert ", 500 epochs, numba Standardizing" in one_line(done.stdout)
        assert listing(houses.parent / "results") == {f"train/{name}" for name in self.FILES}

    def test_what_does_not_fit_is_read_in_parts_and_that_is_said(
        self, gradrace: Command, houses: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        scarce(monkeypatch)
        done = gradrace("train", "houses", "--standardize", "--epochs", "500")
        assert done.returncode == 0
        assert one_line(done.stderr) == (
            "houses: the columns take 2.88e-05 GB as float64, more than half of the free memory, "
            "2e-05 GB; dask reads them in parts"
        )
        assert ", 500 epochs, dask Standardizing" in one_line(done.stdout)
        kept = {"train/sums/about.json", "train/sums/2-0.npz"}
        files = {f"train/{name}" for name in self.FILES}
        assert listing(houses.parent / "results") == files | kept
        there = json.loads((houses.parent / "results/train/model.json").read_text())
        monkeypatch.undo()
        gradrace("train", "houses", "--standardize", "--epochs", "500", "--out", "here")
        here = json.loads((houses.parent / "here/model.json").read_text())
        np.testing.assert_allclose([*there["w"], there["b"]], [*here["w"], here["b"]], rtol=1e-9)
        assert there["range"] == here["range"]

    def test_a_backend_that_needs_all_samples_is_refused(
        self, gradrace: Command, houses: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        scarce(monkeypatch)
        done = gradrace("train", "houses", "--backend", "numpy")
        assert (done.returncode, done.stdout) == (2, "")
        assert one_line(done.stderr).endswith("; --backend dask reads them in parts")
        assert not (houses.parent / "results").exists()

    def test_where_it_may_take_long_what_is_quicker_is_said(
        self, gradrace: Command, houses: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("gradrace.bench.api.learning.MUCH", 100_000)
        done = gradrace("train", houses.name, "--epochs", "100")
        assert one_line(done.stderr) == (
            "1,200 samples in each of 100 epochs may take long; --backend dask passes over them "
            "once"
        )
        assert gradrace("train", houses.name, "--epochs", "100", "--backend", "gram").stderr == ""

    def test_resume_needs_parts(self, gradrace: Command, houses: Path) -> None:
        done = gradrace("train", houses.name, "--resume")
        assert done.returncode == 2
        assert "--resume: the table fits in memory, so it is not read in parts" in done.stderr

    def test_what_is_wrong_in_a_file_is_one_line_and_nothing_else(
        self, gradrace: Command, houses: Path
    ) -> None:
        table = pq.read_table(houses / "07.parquet")
        gap = pa.array([None, *table["age"].to_pylist()[1:]])
        pq.write_table(table.set_column(1, "age", gap), houses / "07.parquet")
        done = gradrace("train", "houses", "--backend", "dask")
        assert (done.returncode, done.stdout) == (2, "")
        message = "07.parquet: column 'age', row 1: a value is missing"
        assert message in one_line(done.stderr)
        assert not (houses.parent / "results/train/model.json").exists()


@pytest.mark.slow
def test_killed_and_resumed_it_gives_the_same_bits(gradrace: Command, houses: Path) -> None:
    words = ("train", "houses", "--backend", "dask", "--epochs", "300")
    for copy in range(12, 120):  # long enough to be killed on the way
        (houses / f"{copy:03}.parquet").write_bytes(
            (houses / f"{copy % 12:02}.parquet").read_bytes()
        )
    running = subprocess.Popen(
        [sys.executable, "-m", "gradrace", *words, "--out", "killed"],
        cwd=houses.parent,
        stderr=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
    )
    start = time.monotonic()
    while not list(houses.parent.glob("killed/sums/*.npz")) and time.monotonic() - start < 600:
        time.sleep(0.001)
    running.send_signal(signal.SIGKILL)
    running.wait()
    assert not (houses.parent / "killed/model.json").exists()
    resumed = gradrace(*words, "--out", "killed", "--resume")
    assert resumed.returncode == 0, resumed.stderr
    whole = gradrace(*words, "--out", "whole")
    assert one_line(resumed.stdout).replace("in killed:", "in whole:") == one_line(whole.stdout)
    for name in ("model.json", "history.parquet", "fit.parquet"):
        pair = [(houses.parent / folder / name).read_bytes() for folder in ("killed", "whole")]
        assert pair[0] == pair[1], name


class TestTheOthers:
    def test_check_proves_a_folder(
        self, gradrace: Command, houses: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        scarce(monkeypatch)
        done = gradrace("check", "--data", "houses", "--epochs", "30", "--json", "verdict.json")
        assert done.returncode == 0, done.stdout
        found = json.loads((houses.parent / "verdict.json").read_text())
        assert (found["n"], found["d"]) == (1_200, 2)
        (verdict,) = found["verdicts"]
        assert (verdict["backend"], verdict["agrees"]) == ("dask", True)

    @pytest.mark.parametrize("standardize", [[], ["--standardize"]])
    def test_rates_of_a_folder(
        self, gradrace: Command, houses: Path, standardize: list[str]
    ) -> None:
        done = gradrace("rates", "houses", "--backend", "dask", "--epochs", "200", *standardize)
        assert done.returncode == 0, done.stderr
        found = json.loads((houses.parent / "results/rates/rates.json").read_text())
        assert found["n"] == 1_200
        assert all(run["verdict"]["agrees"] for run in found["runs"])
        words = ("--backend", "gram", "--epochs", "200", "--out", "here")
        gradrace("rates", "houses", *words, *standardize)
        here = json.loads((houses.parent / "here/rates.json").read_text())
        assert len(here["runs"]) == len(found["runs"]) == 4
        for there, run in zip(found["runs"], here["runs"], strict=True):
            assert (there["lr"], there["regime"]) == (run["lr"], run["regime"])
            np.testing.assert_allclose(there["w"], run["w"], rtol=1e-9)

    def test_predict_from_folder_to_folder(self, gradrace: Command, houses: Path) -> None:
        gradrace("train", "houses", "--standardize", "--epochs", "500")
        model = "results/train/model.json"
        done = gradrace("predict", model, "houses", "--out", "predicted")
        assert (done.returncode, done.stdout) == (0, "Saved in .: predicted.\n")
        loss, rows = done.stderr.splitlines()
        assert loss.startswith("the table also has price; the loss on it is ")
        assert rows == "1,200 rows in 12 files"
        names = {path.name for path in houses.iterdir()}
        assert listing(houses.parent / "predicted") == names
        done = gradrace("predict", model, "houses")
        assert (done.returncode, done.stdout) == (2, "")
        assert "houses: is predicted file by file; say where with --out" in one_line(done.stderr)


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    with LocalCluster(n_workers=1, threads_per_worker=1, dashboard_address=":0") as cluster:
        yield cluster.scheduler_address


class TestOnACluster:
    def test_the_bits_are_the_same(self, houses: Path, address: str) -> None:
        """In a process of its own, because the connection lasts as long as the process."""
        words = ("train", "houses", "--epochs", "300")
        there = process(houses.parent, *words, "--scheduler", address, "--out", "there")
        here = process(houses.parent, *words, "--backend", "dask", "--out", "here")
        assert there.returncode == here.returncode == 0, there.stderr
        models = [(houses.parent / at / "model.json").read_text() for at in ("there", "here")]
        assert models[0] == models[1]

    @pytest.mark.parametrize("address", ["nowhere", "tcp://127.0.0.1:1"])
    def test_where_there_is_none_one_line_says_so(
        self, gradrace: Command, houses: Path, address: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("gradrace.backends.support.dask_tasks.SECONDS_TO_CONNECT", 0.3)
        done = gradrace("train", "houses", "--scheduler", address)
        assert (done.returncode, done.stdout) == (2, "")
        assert f"{address}: no Dask scheduler answers: " in one_line(done.stderr)
        assert not (houses.parent / "results/train/model.json").exists()

    def test_a_scheduler_is_for_tables(self, gradrace: Command, tmp_path: Path) -> None:
        np.save(tmp_path / "t.npy", np.eye(3))
        for words, message in (
            (["train"], "--scheduler: needs a table"),
            (["check"], "--scheduler: needs a table"),
            (["train", "t.csv", "--backend", "numpy"], "needs --backend dask, got numpy"),
            (["train", "t.npy"], "--scheduler: t.npy is not read in parts"),
        ):
            done = gradrace(*words, "--scheduler", "tcp://127.0.0.1:1")
            assert done.returncode == 2
            assert message in done.stderr
