"""`gradrace check`: output, exit status, files."""

import json
import subprocess
from pathlib import Path

import pytest

from gradrace import backends
from tests.cli.conftest import WRONG, one_line
from tests.conftest import FOREIGN, Command, process


class TestCheck:
    def test_the_built_in_backends_agree(self, tmp_path: Path) -> None:
        done = process(tmp_path, "check", "--json", "verdicts.json")
        assert (done.returncode, done.stderr) == (0, "")
        assert one_line(done.stdout).startswith(
            f"All {len(backends.names())} backends agree with the exact trajectory on this data "
            "and on 463 small problems"
        )
        found = json.loads((tmp_path / "verdicts.json").read_text("utf-8"))
        assert (found["data"], found["n"], found["d"]) == ("reference line", 100, 1)
        assert (found["lr"], found["epochs"]) == (0.005, 10_000)
        assert found["yardstick"] == "exact sums, 50-digit iterates"
        verdicts = {verdict["backend"]: verdict for verdict in found["verdicts"]}
        assert list(verdicts) == list(backends.names())
        for verdict in verdicts.values():
            assert verdict["agrees"] is True
            assert verdict["w"]["multiple"] < 0.1
        assert verdicts["numba"]["bitwise"] is True

    def test_a_table(self, gradrace: Command, table: str) -> None:
        words = ["--data", table, "--target", "age", "--features", "price,size"]
        done = gradrace("check", *words, "--backends", "numpy", "gram")
        assert done.returncode == 0, done.stdout + done.stderr
        assert "houses.csv: n = 5, d = 2, α = " in done.stdout

    def test_divergence_agrees_and_is_shown(self, gradrace: Command) -> None:
        done = gradrace("check", "--lr", "0.1", "--epochs", "500", "--backends", "python", "gram")
        assert done.returncode == 0
        assert done.stdout.count("186, 374") == 2


def test_one_that_hangs_has_a_limit(tmp_path: Path, gradrace: Command) -> None:
    (tmp_path / "hanging.py").write_text(
        "import time\nprepare = train = lambda *_, **__: time.sleep(600)\n"
    )
    done = gradrace("check", "--epochs", "5", "--timeout", "1", "--backends", "hanging.py")
    assert done.returncode == 1
    assert "no result after 1 s" in one_line(done.stdout)


class TestCheckOfSeveral:
    """A wrong backend, one of a package in the current folder, a right one."""

    @pytest.fixture(scope="class")
    @staticmethod
    def done(tmp_path_factory: pytest.TempPathFactory) -> "subprocess.CompletedProcess[str]":
        folder = tmp_path_factory.mktemp("check")
        (folder / "mine").mkdir()
        (folder / "mine" / "fast.py").write_text((FOREIGN / "good.py").read_text())
        return process(folder, "check", "--epochs", "50", "--backends", WRONG, "mine.fast", "numba")

    def test_one_that_disagrees_means_status_1(
        self, done: "subprocess.CompletedProcess[str]"
    ) -> None:
        assert (done.returncode, done.stderr) == (1, "")

    def test_the_answer_comes_first(self, done: "subprocess.CompletedProcess[str]") -> None:
        said = one_line(done.stdout)
        assert said.startswith(
            "2 of 3 backends agree with the exact trajectory on this data and on "
        )
        assert f"{WRONG}: loss at epoch 0: got 405.9" in said

    def test_then_a_row_of_each(self, done: "subprocess.CompletedProcess[str]") -> None:
        rows = [
            line.split()[:2] for line in done.stdout.splitlines() if "% @" in line or "NO" in line
        ]
        assert rows == [
            ["wrong.py", "NO"],
            ["mine.fast", "yes"],
            ["numba", "yes"],
        ]
