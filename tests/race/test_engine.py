"""Undocumented behavior of pytest-benchmark that gradrace relies on, and what gradrace returns.

If a new version of pytest-benchmark fails here, `bench/conftest.py`, `bench/test_speed.py` and
`bench/race/result.py` are the places that use it.
"""

import inspect
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from pytest_benchmark import plugin
from pytest_benchmark.fixture import BenchmarkFixture
from pytest_benchmark.session import BenchmarkSession
from pytest_benchmark.stats import Metadata, Stats

from gradrace.bench.race.verdict import result
from tests.conftest import FOREIGN, ROOT


class TestContract:
    def test_statistics(self) -> None:
        figures = result._figures([3.0, 1.0, 2.0])
        assert set(Stats.fields) - {"data", "iterations"} <= set(figures)
        assert (figures["min"], figures["median"], figures["rounds"]) == (1.0, 2.0, 3)

    def test_what_the_merging_of_blocks_uses(self) -> None:
        source = inspect.getsource(Metadata.__init__)
        for name in ("name", "fullname", "param", "params", "extra_info", "stats"):
            assert f"self.{name} = " in source
        assert isinstance(inspect.getattr_static(Metadata, "has_error"), property)
        assert "self.benchmarks = []" in inspect.getsource(BenchmarkSession.__init__)
        assert "add_stats=bs.benchmarks.append" in inspect.getsource(plugin)

    def test_saving_begins_before_the_hooks_of_others(self) -> None:
        """Therefore the merging hook must be a wrapper that runs first."""
        source = inspect.getsource(plugin.pytest_sessionfinish)
        assert "hookwrapper=True" in source
        assert source.index("finish()") < source.index("yield")

    def test_the_marker_takes_our_options(self) -> None:
        parameters = inspect.signature(BenchmarkFixture.__init__).parameters
        ours = {"min_time", "max_time", "min_rounds", "calibration_precision", "disable_gc"}
        assert ours <= set(parameters)
        assert all(f"'{name}'" in inspect.getsource(plugin.pytest_runtest_setup) for name in ours)

    def test_blocks_of_a_fixed_number_of_calls(self) -> None:
        parameters = inspect.signature(BenchmarkFixture.pedantic).parameters
        assert {"target", "rounds", "iterations", "teardown"} <= set(parameters)
        source = inspect.getsource(BenchmarkFixture._raw_pedantic)
        assert source.index("teardown(*args") < source.rindex("target(*args")  # what runs untimed


def run_suite(folder: Path, *words: str) -> "subprocess.CompletedProcess[str]":
    """Run the suite directly with pytest."""
    return subprocess.run(
        [
            sys.executable,
            "-m",
            "pytest",
            str(ROOT / "bench"),
            "-p",
            "no:cacheprovider",
            "--rootdir",
            str(ROOT),
            *words,
        ],
        cwd=folder,
        env={key: value for key, value in os.environ.items() if not key.startswith("PYTEST_")},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("suite")


@pytest.fixture(scope="module")
def done(folder: Path) -> tuple[str, dict[str, Any]]:
    """Two backends that agree and one that does not, at two sizes, saved for a comparison."""
    words = ["--case=20x1@50", "--case=30x2@40", "--repetitions=4", "--benchmark-autosave"]
    names = ["numpy", "numba", str(FOREIGN / "wrong.py")]
    done = run_suite(
        folder, *words, *(f"--backend={name}" for name in names), "--benchmark-json=b.json"
    )
    assert done.returncode == 1, done.stdout
    return done.stdout, json.loads((folder / "b.json").read_text("utf-8"))


@pytest.mark.slow
class TestSuite:
    """`pytest bench --benchmark-only` without gradrace around it."""

    def test_makes_one_benchmark_of_every_contender_that_agrees(
        self, done: tuple[str, dict[str, Any]]
    ) -> None:
        output, saved = done
        assert [one["name"] for one in saved["benchmarks"]] == [
            "test_train[20x1-numpy]",
            "test_train[20x1-numba]",
            "test_train[30x2-numpy]",
            "test_train[30x2-numba]",
        ]
        for one in saved["benchmarks"]:
            assert one["group"] == one["params"]["case"]
            assert one["params"] == {"case": one["group"], "backend": one["extra_info"]["backend"]}
            assert one["extra_info"]["repetitions"] == [1, 2, 3]  # the first one calibrates
            assert len(one["stats"]["data"]) == one["stats"]["rounds"] == 3
            assert one["stats"]["iterations"] > 1
            assert one["options"]["disable_gc"] is True
            assert one["extra_info"]["agreement"]["agrees"] is True
        assert "benchmark '20x1': 2 tests" in output
        assert "test_train[20x1-numpy]" in output
        assert "not timed, loss at epoch 0: got " in output

    def test_says_what_the_libraries_are(self, done: tuple[str, dict[str, Any]]) -> None:
        machine = done[1]["machine_info"]
        assert {"cpu", "cores", "caches", "memory"} <= set(machine)
        assert {"numpy", "numba", "llvm", "pools"} <= set(machine["libraries"])

    @pytest.mark.usefixtures("done")
    def test_compares_with_what_was_saved(self, folder: Path) -> None:
        words = ["--case=20x1@50", "--backend=numpy", "--repetitions=2", "-W", "default"]
        second = run_suite(folder, *words, "--benchmark-compare")
        assert second.returncode == 0, second.stdout
        assert "(0001_" in second.stdout
        assert "(NOW)" in second.stdout

    def test_can_be_made_to_verify_only(self, tmp_path: Path) -> None:
        done = run_suite(tmp_path, "--benchmark-disable", "--case=20x1@50", "--backend=numpy")
        assert done.returncode == 0, done.stdout
        assert "10 passed" in done.stdout
