"""`train`, `predict` and `rates`: output, exit status, files."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pyarrow.parquet
import pytest

from gradrace import backends
from gradrace.bench.learning.training import OF_A_MODEL
from tests.cli.conftest import MODEL, TABLE, WRONG, listing, one_line
from tests.conftest import FOREIGN, ROOT, Command

ALWAYS = {"history.parquet", "loss.png", "report.html"}


def saved(folder: Path) -> Any:
    return json.loads((folder / "model.json").read_text("utf-8"))


class TestTrain:
    def test_the_reference_line(self, gradrace: Command, tmp_path: Path) -> None:
        done = gradrace("train")
        assert (done.returncode, done.stderr) == (0, "")
        assert "\x1b" not in done.stdout
        for number in ("3.015325855", "1.811861276", "0.8149047135"):
            assert number in done.stdout
        assert listing(tmp_path / "results/train") == {*ALWAYS, *OF_A_MODEL}

    def test_beside_a_progress_bar(self, tmp_path: Path) -> None:
        _, terminal = os.openpty()
        words = ["-m", "gradrace", "train", "--backend", "numpy", "--epochs", "5"]
        done = subprocess.run(
            [sys.executable, *words, "--out", str(tmp_path)],
            cwd=ROOT,
            env={**os.environ, "TERM": "xterm"},
            stdout=subprocess.PIPE,
            stderr=terminal,
            text=True,
            check=True,
        )
        assert "\nreference line: y from x\nn = 100" in done.stdout

    def test_a_table(self, gradrace: Command, table: str, tmp_path: Path) -> None:
        done = gradrace("train", table, "--out", "new/folder", "--epochs", "5e4")
        assert (done.returncode, done.stderr) == (0, "")
        assert "(auto, the best for this many epochs)" in one_line(done.stdout)
        model = saved(tmp_path / "new/folder")
        assert (model["features"], model["target"]) == (["size", "age"], "price")
        assert model["w"] == pytest.approx(model["least_squares"]["w"], rel=1e-9)
        assert model["b"] == pytest.approx(model["least_squares"]["b"], rel=1e-9)

    def test_standardized(self, gradrace: Command, table: str, tmp_path: Path) -> None:
        done = gradrace("train", table, "--standardize", "--epochs", "200", "--lr", "0.5")
        assert (done.returncode, done.stderr) == (0, "")
        assert "Standardizing lowers the condition number " in done.stdout
        assert "(auto" not in done.stdout
        model = saved(tmp_path / "results/train")
        assert model["w"] == pytest.approx(model["least_squares"]["w"], rel=1e-9)
        assert model["training"]["standardized"]["mean"] == [3.0, 3.0]

    @pytest.mark.parametrize("backend", [*backends.names(), str(FOREIGN / "good.py")])
    def test_any_backend(self, gradrace: Command, backend: str) -> None:
        done = gradrace("train", "--backend", backend, "--epochs", "100")
        assert done.returncode == 0
        assert "3.1808389" in done.stdout

    def test_divergence(self, gradrace: Command, tmp_path: Path) -> None:
        done = gradrace("train", "--lr", "0.1")
        assert done.returncode == 1
        assert done.stderr == (
            "gradrace: diverged: the loss overflows at epoch 186, because α = 0.1 exceeds "
            "2/λmax = 0.026347; choose a rate below that, or --lr auto\n"
        )
        assert listing(tmp_path / "results/train") == ALWAYS

    def test_a_rate_that_would_diverge_and_an_earlier_model_are_named(
        self, gradrace: Command
    ) -> None:
        gradrace("train", "--epochs", "10")
        done = gradrace("train", "--lr", "0.1", "--epochs", "5")
        assert done.returncode == 1
        assert "diverged: the loss grows from 401.8 to 6.199e+10 in 5 epochs, b" in done.stderr
        assert "(from an earlier run: results/train/model.json, results/train/fit.p" in done.stderr

    @pytest.mark.parametrize("how", ["exits", "ends with an import", "ends with its package"])
    def test_a_backend_that_exits_is_no_success(
        self, gradrace: Command, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, how: str
    ) -> None:
        monkeypatch.setenv("GRADRACE_TEST_HOW", how)
        (tmp_path / "leaves.py").write_text("raise SystemExit(0)\n")
        (tmp_path / "evil").mkdir()
        (tmp_path / "evil" / "__init__.py").write_text("raise SystemExit(0)\n")
        (tmp_path / "evil" / "mod.py").touch()
        imported = {"ends with an import": "leaves.py", "ends with its package": "evil.mod"}
        backend = imported.get(how, str(FOREIGN / "bad.py"))
        done = gradrace("train", "--backend", backend, "--epochs", "5")
        assert done.returncode == 2
        assert "SystemExit: 0" in done.stderr
        assert done.stderr.count("\n") == 1

    def test_tol_says_why_it_stopped(self, gradrace: Command) -> None:
        done = gradrace("train", "--tol", "1e-3")
        assert done.returncode == 0
        assert "stopped after epoch 379: the norm of the gradient has" in one_line(done.stdout)

    def test_dependent_columns_are_warned_of_once(self, gradrace: Command, tmp_path: Path) -> None:
        (tmp_path / "t.csv").write_text("a,b,one,y\n1,2,1,3\n2,4,1,5\n4,8,1,9.5\n5,10,1,11\n")
        done = gradrace("train", "t.csv")
        assert done.returncode == 0
        assert done.stderr == "warning: w is not unique: 'b' follows from 'a'; 'one' is constant\n"

    def test_a_table_of_a_german_spreadsheet(self, gradrace: Command, tmp_path: Path) -> None:
        text = "größe;preis\n1,5;2\n3;4,25\n4;\n5;7,5\n"
        (tmp_path / "t.csv").write_bytes(text.encode("cp1252"))
        words = ("--decimal", ",", "--encoding", "cp1252", "--epochs", "1e3", "--drop-missing")
        done = gradrace("train", "t.csv", *words, "--standardize")
        assert done.returncode == 0, done.stderr
        assert "t.csv: preis from größe" in done.stdout
        assert "Left out: 1 row with a missing value." in done.stdout
        assert "1,000 epochs" in done.stdout

    def test_standard_input(self, tmp_path: Path) -> None:
        done = subprocess.run(
            [sys.executable, "-m", "gradrace", "train", "-", "--epochs", "9"],
            cwd=tmp_path,
            input=TABLE,
            capture_output=True,
            text=True,
            check=False,
        )
        assert (done.returncode, done.stderr) == (0, "")
        assert "standard input: price from size, age" in done.stdout


class TestPredict:
    @pytest.fixture
    def model(self, tmp_path: Path) -> str:
        (tmp_path / "model.json").write_text(MODEL)
        return "model.json"

    def test_prints_csv(self, gradrace: Command, model: str, table: str) -> None:
        done = gradrace("predict", model, table)
        assert done.returncode == 0
        assert done.stdout == "predicted\n2.5\n6.5\n8.0\n12.0\n13.5\n"
        assert done.stderr == "the table also has price; the loss on it is 6.462\n"

    def test_saves_them(self, gradrace: Command, model: str, table: str, tmp_path: Path) -> None:
        done = gradrace("predict", model, table, "--out", "new/p.csv")
        assert done.stdout == "Saved in new: p.csv.\n"
        assert (tmp_path / "new/p.csv").read_text().splitlines()[:2] == ["predicted", "2.5"]

    def test_notes_and_warnings(self, gradrace: Command, model: str, tmp_path: Path) -> None:
        (tmp_path / "cm.csv").write_text("age,size,id\n2,310,7\n")
        done = gradrace("predict", model, "cm.csv")
        assert done.stdout == "predicted\n930.0\n"
        assert done.stderr == (
            "warning: far outside the training samples, so the units may differ: "
            "'size' is 310 … 310, in training 1 … 5\ncolumns not used: id\n"
        )

    def test_what_train_saved(self, gradrace: Command, table: str, tmp_path: Path) -> None:
        gradrace("train", table, "--standardize", "--epochs", "200")
        done = gradrace("predict", "results/train/model.json", table)
        predicted = [float(line) for line in done.stdout.splitlines()[1:]]
        fit = pyarrow.parquet.read_table(tmp_path / "results/train/fit.parquet")
        assert predicted == pytest.approx(fit.column("predicted").to_pylist(), rel=1e-12)


class TestRates:
    def test_the_reference_line(self, gradrace: Command, tmp_path: Path) -> None:
        done = gradrace("rates")
        assert (done.returncode, done.stderr) == (0, "")
        words = done.stdout.split()
        for word in ("slow", "stable", "diverges", "0.999637", "6.590986", "5,099", "1,019"):
            assert words.count(word) >= 1, word
        assert done.stdout.startswith("Use α = 0.02584, the rate of --lr auto: ")
        assert "results/rates/path.png" in listing(tmp_path)

    def test_a_table_standardized_by_two_backends_on_a_narrow_terminal(
        self, gradrace: Command, table: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("COLUMNS", "40")
        words = ("--standardize", "--epochs", "60", "--backends", "numba", "numpy")
        done = gradrace("rates", table, *words)
        assert (done.returncode, done.stderr) == (0, "")
        assert "b = the mean of price" in one_line(done.stdout)
        assert "…" not in done.stdout
        found = json.loads((tmp_path / "results/rates/rates.json").read_text())
        assert {run["backend"] for run in found["runs"]} == {"numba", "numpy"}

    def test_a_wrong_backend_means_status_1(self, gradrace: Command) -> None:
        done = gradrace("rates", "--backend", WRONG, "--lr", "0.01", "--epochs", "20")
        assert done.returncode == 1
        assert f"{WRONG}, α = 0.01: loss at epoch 0: got 405.9" in one_line(done.stdout)


def test_what_was_assumed_is_said_by_every_command(gradrace: Command, tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("2019,2020\n1.5,2\n3,4.5\n4,4\n")
    words = "The first line, 2019, 2020, was read as names; --no-header reads it as a sample."
    short = ("--backend", "numpy", "--epochs", "3")
    for command in (["train", "t.csv"], ["rates", "t.csv"], ["check", "--data", "t.csv"]):
        assert words in one_line(gradrace(*command, *short).stdout), command
    assert words in one_line(gradrace("predict", "results/train/model.json", "t.csv").stderr)


def test_brackets_in_names_are_text(
    gradrace: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "50")
    (tmp_path / "t.csv").write_text("count [/cm3],[bold]t[/bold],y\n1,2,3\n2,5,5\n3,1,4\n4,4,8\n")
    done = gradrace("train", "t.csv", "--backend", "numpy", "--epochs", "50")
    assert done.returncode == 0, done.stderr
    names, page = ["count [/cm3]", "[bold]t[/bold]"], tmp_path / "results/train/report.html"
    assert saved(tmp_path / "results/train")["features"] == names
    for name in names:
        assert f"w[{name}]" in done.stdout
        assert name in page.read_text()


@pytest.mark.parametrize("words", [["train"], ["train", "t.parquet"]])
def test_pandas_is_not_imported_where_no_table_needs_it(tmp_path: Path, words: list[str]) -> None:
    """It takes a third of a second."""
    table = pyarrow.table({"x": [1.0, 2.0, 4.0], "y": [3.0, 1.0, 2.0]})
    pyarrow.parquet.write_table(table, tmp_path / "t.parquet")
    code = (
        "import atexit, sys; atexit.register(lambda: print('pandas' in sys.modules))\n"
        "from gradrace.__main__ import main; main()"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, *words, "--epochs", "9"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.splitlines()[-1] == "False"
