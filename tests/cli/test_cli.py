"""The command line: output, exit status, files.

`gradrace` runs a command in this process, which spares its imports; `process` runs a real one.
What takes long is run once, and read by several tests.
"""

import csv
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pyarrow.parquet
import pytest
import typer.main

import backends
from bench.cli.main import app
from bench.data.samples import reference_line
from bench.learning.landscape import Landscape
from bench.learning.rate_choice import best_rate
from tests.conftest import FOREIGN, ROOT, Command, process
from tests.runs import write_run

COMMANDS = (
    *("train", "rates", "predict", "run", "scale", "show", "compare", "plot", "advise"),
    *("check", "backends"),
)
GOOD, WRONG = str(FOREIGN / "good.py"), str(FOREIGN / "wrong.py")
TABLE = "size,age,price\n1,3,5.1\n2,1,8\n3,4,10.9\n4,2,14\n5,5,16.8\n"


@pytest.fixture
def table(tmp_path: Path) -> str:
    (tmp_path / "houses.csv").write_text(TABLE)
    return "houses.csv"


@pytest.fixture
def gradrace(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> Command:
    """Run the command line in an empty folder, without a terminal, but in this process."""

    def run(*words: str) -> "subprocess.CompletedProcess[str]":
        monkeypatch.chdir(tmp_path)
        capfd.readouterr()
        with pytest.raises(SystemExit) as ended:
            typer.main.get_command(app).main(list(words), prog_name="gradrace")
        status = ended.value.code
        assert isinstance(status, int)
        return subprocess.CompletedProcess(words, status, *capfd.readouterr())

    return run


def one_line(text: str) -> str:
    """Return a text without its line breaks, wherever they are."""
    return " ".join(text.split())


def listing(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


def everything(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*")}


class TestHelp:
    def test_names_every_command(self, gradrace: Command) -> None:
        done = gradrace("--help")
        assert done.returncode == 0
        for name in COMMANDS:
            assert f"\n  {name} " in done.stdout
        assert "...\n" not in done.stdout.replace("[ARGS]...", "")  # no summary is cut off

    @pytest.mark.parametrize("name", COMMANDS)
    def test_of_every_command(self, gradrace: Command, name: str) -> None:
        done = gradrace(name, "--help")
        assert (done.returncode, done.stderr) == (0, "")
        assert "default: None" not in done.stdout

    def test_backends(self, gradrace: Command) -> None:
        done = gradrace("backends")
        assert done.returncode == 0
        lines = done.stdout.splitlines()[3:]
        rows = [line.split()[0] for line in lines if line.strip() and line[1] != " "]
        assert rows == list(backends.names())


class TestCheck:
    def test_the_built_in_backends_agree(self, tmp_path: Path) -> None:
        done = process(tmp_path, "check", "--json", "verdicts.json")
        assert (done.returncode, done.stderr) == (0, "")
        assert done.stdout.startswith(
            "All 6 backends agree with the exact trajectory on this data and on 181 small problems"
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


class TestCheckOfSeveral:
    """A wrong backend, a hanging one, one of a package in the current folder, a right one."""

    @pytest.fixture(scope="class")
    @staticmethod
    def done(tmp_path_factory: pytest.TempPathFactory) -> "subprocess.CompletedProcess[str]":
        folder = tmp_path_factory.mktemp("check")
        (folder / "mine").mkdir()
        (folder / "mine" / "fast.py").write_text((FOREIGN / "good.py").read_text())
        (folder / "hanging.py").write_text(
            "import time\nprepare = train = lambda *_, **__: time.sleep(600)\n"
        )
        words = (WRONG, "hanging.py", "mine.fast", "numba")
        return process(folder, "check", "--epochs", "50", "--timeout", "5", "--backends", *words)

    def test_one_that_disagrees_means_status_1(
        self, done: "subprocess.CompletedProcess[str]"
    ) -> None:
        assert (done.returncode, done.stderr) == (1, "")

    def test_the_answer_comes_first(self, done: "subprocess.CompletedProcess[str]") -> None:
        assert done.stdout.startswith(
            "2 of 4 backends agree with the exact trajectory, here and on "
        )
        said = one_line(done.stdout)
        assert f"{WRONG}: loss at epoch 0: got 405.9" in said
        assert "hanging.py: no result after 5 s" in said

    def test_then_a_row_of_each(self, done: "subprocess.CompletedProcess[str]") -> None:
        rows = [
            line.split()[:2] for line in done.stdout.splitlines() if "@" in line or "NO" in line
        ]
        assert rows == [
            ["wrong.py", "NO"],
            ["hanging.py", "NO"],
            ["mine.fast", "yes"],
            ["numba", "yes"],
        ]


class TestTrain:
    NAMES = ("history.parquet", "model.json", "fit.parquet", "loss.png", "fit.png")

    def test_the_reference_line(self, gradrace: Command, tmp_path: Path) -> None:
        done = gradrace("train")
        assert (done.returncode, done.stderr) == (0, "")
        for number in ("3.015325855", "1.811861276", "0.8149047135"):
            assert number in done.stdout
        assert listing(tmp_path) == {f"results/train/{name}" for name in self.NAMES}

    def test_a_table(self, gradrace: Command, table: str, tmp_path: Path) -> None:
        done = gradrace("train", table, "--out", "new/folder", "--epochs", "50000")
        assert (done.returncode, done.stderr) == (0, "")
        model = json.loads((tmp_path / "new/folder/model.json").read_text("utf-8"))
        assert (model["features"], model["target"]) == (["size", "age"], "price")
        assert model["w"] == pytest.approx(model["least_squares"]["w"], rel=1e-9)
        assert model["b"] == pytest.approx(model["least_squares"]["b"], rel=1e-9)

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
            "2/λmax = 0.026347; choose a rate below that\n"
        )
        assert listing(tmp_path) == {"results/train/history.parquet", "results/train/loss.png"}

    def test_no_progress_bar_without_a_terminal(self, gradrace: Command) -> None:
        done = gradrace("train", "--epochs", "100")
        assert (done.stderr, "\x1b" in done.stdout) == ("", False)

    def test_a_rate_that_would_diverge_is_said_to(self, gradrace: Command) -> None:
        done = gradrace("train", "--lr", "0.1", "--epochs", "5")
        assert done.returncode == 1
        assert "diverged: the loss grows from 401.8 to 6.199e+10 in 5 epochs, b" in done.stderr

    def test_an_earlier_model_is_named_as_such(self, gradrace: Command) -> None:
        gradrace("train", "--epochs", "10")
        done = gradrace("train", "--lr", "0.1")
        assert "(results/train/model.json, results/train/fit.parquet, " in done.stderr

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


class TestTrainOptions:
    def test_a_table_takes_the_automatic_rate(self, gradrace: Command, table: str) -> None:
        done = gradrace("train", table)
        assert done.returncode == 0
        assert "(auto, the best for this many epochs)" in " ".join(done.stdout.split())
        assert "(auto" not in gradrace("train", table, "--lr", "0.01").stdout

    def test_standardize(self, gradrace: Command, table: str, tmp_path: Path) -> None:
        done = gradrace("train", table, "--standardize", "--epochs", "200")
        assert (done.returncode, done.stderr) == (0, "")
        assert "Standardizing lowers the condition number " in done.stdout
        model = json.loads((tmp_path / "results/train/model.json").read_text("utf-8"))
        assert model["w"] == pytest.approx(model["least_squares"]["w"], rel=1e-9)
        assert model["training"]["standardized"]["mean"] == [3.0, 3.0]

    def test_tol_says_why_it_stopped(self, gradrace: Command) -> None:
        done = gradrace("train", "--tol", "1e-3")
        assert done.returncode == 0
        expected = (
            "stopped after epoch 379: the norm of the gradient has fallen to 0.001 of its first "
            "value."
        )
        assert expected in " ".join(done.stdout.split())

    def test_columns_without_names(self, gradrace: Command, tmp_path: Path) -> None:
        (tmp_path / "t.csv").write_text("1;2\n2;4.1\n3;5.9\n")
        done = gradrace("train", "t.csv")
        assert "t.csv: x2 from x1" in done.stdout
        assert "The columns have no names; they are called x1, x2, …" in done.stdout

    def test_dependent_columns_are_warned_of_once(self, gradrace: Command, tmp_path: Path) -> None:
        (tmp_path / "t.csv").write_text("a,b,one,y\n1,2,1,3\n2,4,1,5\n4,8,1,9.5\n5,10,1,11\n")
        done = gradrace("train", "t.csv")
        assert done.returncode == 0
        assert done.stderr == "warning: w is not unique: 'b' follows from 'a'; 'one' is constant\n"

    def test_standard_input(self, tmp_path: Path) -> None:
        done = subprocess.run(
            [sys.executable, "-m", "bench", "train", "-"],
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            input=TABLE,
            capture_output=True,
            text=True,
            check=False,
        )
        assert (done.returncode, done.stderr) == (0, "")
        assert "standard input: price from size, age" in done.stdout


@pytest.mark.slow
class TestRun:
    """A race of two that agree and of one that does not, printed and saved."""

    WORDS = (
        *("run", "--sizes", "30", "1e2", "--features", "2", "--epochs", "40", "--sessions", "1"),
        *("--backends", "numpy", GOOD, WRONG, "--baseline", GOOD, "--seed", "7"),
    )

    @pytest.fixture(scope="class")
    @staticmethod
    def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
        return tmp_path_factory.mktemp("run")

    @pytest.fixture(scope="class")
    @staticmethod
    def done(folder: Path) -> "subprocess.CompletedProcess[str]":
        return process(folder, *TestRun.WORDS, "--out", "new/folder")

    def test_a_wrong_backend_means_status_1(self, done: "subprocess.CompletedProcess[str]") -> None:
        assert done.returncode == 1, done.stdout + done.stderr
        said = one_line(done.stdout)
        assert "Only 2 of 3 backends agree with the exact trajectory on 181 test problems." in said
        assert "wrong.py is left out: on 100x1, loss at epoch 0: got 405.9" in said

    def test_races_what_was_asked_for(
        self, folder: Path, done: "subprocess.CompletedProcess[str]"
    ) -> None:
        assert done.stderr.startswith("custom run: 2 sizes, 3 backends, 1 session; takes about ")
        about = json.loads((folder / "new/folder/benchmark.json").read_text("utf-8"))["gradrace"]
        assert [case["name"] for case in about["settings"]["cases"]] == ["30x2", "100x2"]
        assert about["settings"]["seed"] == 7
        assert {case["epochs"] for case in about["settings"]["cases"]} == {40}

    def test_says_who_had_the_shortest_times_then_shows_them(
        self, done: "subprocess.CompletedProcess[str]"
    ) -> None:
        assert "had the shortest time" in done.stdout.split(".")[0]
        assert "how many times as fast as good.py:" in done.stdout
        assert "100 × 2" in done.stdout
        assert "Warning: fewer than two sessions" in done.stdout
        assert "Saved in new/folder: agreement.parquet" in done.stdout

    def test_show_prints_the_same(
        self, folder: Path, done: "subprocess.CompletedProcess[str]", gradrace: Command
    ) -> None:
        shown = gradrace("show", str(folder / "new/folder/benchmark.json")).stdout
        assert done.stdout.startswith(shown)
        assert done.stdout.removeprefix(shown).startswith("Saved in ")

    @pytest.mark.usefixtures("done")
    def test_a_finished_run_is_not_resumed(self, folder: Path, gradrace: Command) -> None:
        path = folder / "new/folder/benchmark.json"
        before = path.read_bytes()
        done = gradrace("run", "--resume", str(path))
        assert f"{path} is finished, so nothing was timed; gradrace show " in done.stderr
        assert path.read_bytes() == before


class TestShow:
    @pytest.fixture
    def run(self, tmp_path: Path) -> str:
        times = {"100x1": {"python": 4e-5, "numpy": 8e-6, "numba": 1e-7}}
        write_run(tmp_path / "run.json", times)
        return "run.json"

    def test_the_summary(self, gradrace: Command, run: str) -> None:
        done = gradrace("show", run)
        assert (done.returncode, done.stderr) == (0, "")
        assert done.stdout.startswith("numba is the fastest at 100 × 1, ")
        assert "verdict" not in done.stdout

    def test_details(self, gradrace: Command, run: str) -> None:
        assert "verdict" in gradrace("show", run, "--details").stdout

    def test_markdown(self, gradrace: Command, run: str) -> None:
        done = gradrace("show", run, "--format", "md")
        assert "\n| --- | --- |\n" in done.stdout

    def test_csv_is_nothing_else(self, gradrace: Command, run: str) -> None:
        rows = list(csv.DictReader(gradrace("show", run, "--format", "csv").stdout.splitlines()))
        assert [row["backend"] for row in rows] == ["python", "numpy", "numba"]

    def test_an_unfinished_run(self, gradrace: Command, run: str, tmp_path: Path) -> None:
        text = (tmp_path / run).read_text("utf-8")
        assert '"interrupted": false' in text
        text = text.replace('"interrupted": false', '"interrupted": true')
        (tmp_path / run).write_text(text.replace('"sessions": 3', '"sessions": 9'), "utf-8")
        done = gradrace("show", run)
        assert done.returncode == 0
        assert "This run is unfinished: it has 3 of 9 sessions." in done.stdout
        assert "gradrace run --resume run.json" in done.stdout


class TestCompare:
    @pytest.fixture
    def runs(self, tmp_path: Path) -> tuple[str, str]:
        times = {"100x1": {"python": 4e-5, "numpy": 8e-6, "numba": 1e-7}}
        write_run(tmp_path / "old.json", times, seed=1)
        write_run(tmp_path / "new.json", {"100x1": {**times["100x1"], "numba": 2e-7}}, seed=2)
        return "old.json", "new.json"

    def test_shows_what_changed(self, gradrace: Command, runs: tuple[str, str]) -> None:
        done = gradrace("compare", *runs)
        assert (done.returncode, done.stderr) == (0, "")
        assert [line.split()[-1] for line in done.stdout.splitlines() if "numba" in line] == [
            "slower"
        ]

    @pytest.mark.parametrize(("limit", "status"), [("10%", 1), ("0.9", 1), ("150%", 0)])
    def test_a_regression_is_status_1(
        self, gradrace: Command, runs: tuple[str, str], limit: str, status: int
    ) -> None:
        done = gradrace("compare", *runs, "--fail-above", limit)
        assert done.returncode == status
        assert ("slower by more than" in done.stderr) == bool(status)

    def test_markdown(self, gradrace: Command, runs: tuple[str, str]) -> None:
        done = gradrace("compare", *runs, "--format", "md")
        assert done.stdout.splitlines()[1].startswith("| --- |")

    def test_other_threads_are_refused_as_a_gate(
        self, gradrace: Command, runs: tuple[str, str], tmp_path: Path
    ) -> None:
        write_run(tmp_path / "new.json", {"100x1": {"numba": 2e-7}}, threads=2)
        assert gradrace("compare", *runs).returncode == 0
        done = gradrace("compare", *runs, "--fail-above", "10%")
        assert done.returncode == 2
        assert "warning: the runs differ (threads: 1 → 2)" in done.stderr


class TestPlotAndAdvise:
    @pytest.fixture
    def run(self, tmp_path: Path) -> str:
        times = {f"{n}x1": {"numpy": 6e-6 + 1e-9 * n, "numba": 1e-9 * n} for n in (100, 10_000)}
        write_run(tmp_path / "run.json", times)
        return "run.json"

    def test_every_picture_comes_from_the_file(
        self, gradrace: Command, run: str, tmp_path: Path
    ) -> None:
        done = gradrace("plot", run, "--out", "pictures")
        assert done.returncode == 0, done.stderr
        assert {path.name for path in (tmp_path / "pictures").iterdir()} == {
            "speed.png",
            "speedup.png",
            "breakeven.png",
            "fastest.png",
        }

    def test_advice(self, gradrace: Command, run: str) -> None:
        done = gradrace("advise", run, "--n", "5e3", "--d", "1", "--epochs", "1e6")
        assert (done.returncode, done.stderr) == (0, "")
        assert done.stdout.startswith("Take numba: one run of 1,000,000 epochs on 5,000 × 1 takes")
        assert "From a quick run: 3 sessions, 1 thread" in " ".join(done.stdout.split())

    def test_advice_far_away(self, gradrace: Command, run: str) -> None:
        done = gradrace("advise", run, "--n", "1e9", "--d", "1", "--epochs", "9")
        assert done.returncode == 2
        assert "too far from what run.json measured, 100 to 10,000" in done.stderr


class TestPredict:
    @pytest.fixture
    def model(self, tmp_path: Path) -> str:
        (tmp_path / "model.json").write_text(MODEL)
        return "model.json"

    def test_prints_predictions_alone(self, gradrace: Command, model: str, table: str) -> None:
        done = gradrace("predict", model, table)
        assert done.returncode == 0
        assert done.stdout == "predicted\n2.5\n6.5\n8.0\n12.0\n13.5\n"
        assert done.stderr == "the table also has price; the loss on it is 6.462\n"

    def test_saves_them(self, gradrace: Command, model: str, table: str, tmp_path: Path) -> None:
        done = gradrace("predict", model, table, "--out", "new/p.csv")
        assert done.stdout == "saved new/p.csv\n"
        assert (tmp_path / "new/p.csv").read_text().splitlines()[:2] == ["predicted", "2.5"]

    def test_what_is_read_is_not_written(self, gradrace: Command, model: str, table: str) -> None:
        done = gradrace("predict", model, table, "--out", table)
        assert done.returncode == 2
        assert (
            done.stderr
            == "gradrace: houses.csv: would be overwritten while it is read; choose another\n"
        )

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
        assert words.count("yes") == 3
        for line in ("Use α = 0.02584, ", "α = 0.1 diverges, ", "b lags behind w: "):
            assert f"\n{line}" in done.stdout
        assert "results/rates/path.png" in listing(tmp_path)

    @pytest.mark.parametrize(
        "words", [["--lr", "0.01", "0.002", "auto"], ["--lr", "0.01", "--lr=0.002", "--lr", "auto"]]
    )
    def test_several_rates(self, gradrace: Command, words: list[str]) -> None:
        done = gradrace("rates", *words, "--epochs", "60")
        assert done.returncode == 0, done.stderr
        found = [
            line.split()[0] for line in done.stdout.splitlines() if line.split()[-1:] == ["yes"]
        ]
        assert found == ["0.002", "0.01", f"{best_rate(Landscape.of(reference_line()), 60)!r}"]

    def test_a_table_standardized_by_two_backends(self, gradrace: Command, table: str) -> None:
        done = gradrace(
            "rates",
            table,
            "--standardize",
            "--epochs",
            "60",
            "--backend",
            "numba",
            "--backend",
            "numpy",
        )
        assert (done.returncode, done.stderr) == (0, "")
        assert done.stdout.split().count("numpy") == 4
        assert "b = the mean of price" in done.stdout

    def test_a_narrow_terminal_cuts_no_number(
        self, gradrace: Command, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("COLUMNS", "40")
        done = gradrace("rates", "--lr", "0.001", "--epochs", "50")
        assert "0.999637" in done.stdout
        assert "…" not in done.stdout

    def test_a_wrong_backend_means_status_1(self, gradrace: Command) -> None:
        done = gradrace("rates", "--backend", WRONG, "--lr", "0.01", "--epochs", "20")
        assert done.returncode == 1
        assert f"{WRONG}, α = 0.01: loss at epoch 0: got 405.9" in one_line(done.stdout)


def test_version(gradrace: Command) -> None:
    assert gradrace("--version").stdout.startswith("gradrace 0.")


SCRIPT, MODULE = [str(Path(sys.executable).with_name("gradrace"))], [sys.executable, "-m", "bench"]
RACE = "run --sizes 30 --features 1 --epochs 5 --sessions 1"
POISON = (
    "scipy",
    "pandas",
    "numba",
    "numpy",
    "matplotlib",
    "pyarrow",
    "psutil",
    "pytest",
    "typer",
    "rich",
    "ctypes",
    "random",
    "conftest",
    "sitecustomize",
    "plots/__init__",
)


@pytest.mark.parametrize(
    ("program", "words"),
    [
        (MODULE, "check --epochs 5 --backends numba mine.fast single.py"),
        (SCRIPT, "train --epochs 5"),
        (SCRIPT, "train --epochs 5 --backend mine.fast"),
        (MODULE, "train --epochs 5 --backend single.py"),
        (SCRIPT, "rates --epochs 5 --lr 0.01 --backend numba --backend mine.fast"),
        (SCRIPT, "predict model.json houses.csv"),
        (MODULE, "backends"),
        pytest.param(SCRIPT, f"{RACE} --backends mine.fast", marks=pytest.mark.slow),
    ],
)
@pytest.mark.usefixtures("table")
def test_the_current_folder_shadows_nothing(program: list[str], words: str, tmp_path: Path) -> None:
    """A project's own folders and files may be called as ours, or as a library."""
    for folder in ("backends", "bench", "plots", "mine"):
        (tmp_path / folder).mkdir()
    for name in POISON:
        (tmp_path / f"{name}.py").write_text("raise SystemExit(7)\n")
    (tmp_path / "neighbor.py").write_text((FOREIGN / "good.py").read_text())
    for name in ("mine/fast", "single"):
        (tmp_path / f"{name}.py").write_text("from neighbor import prepare, train\n")
    (tmp_path / "model.json").write_text(MODEL)
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [*program, *words.split()],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("command", "status"), [("check --epochs 5", 1), ("rates --epochs 5", 1), ("run", 2)]
)
@pytest.mark.parametrize("statement", ["raise SystemExit(0)", "1 / 0"])
def test_a_package_that_cannot_be_imported_is_judged(
    gradrace: Command, tmp_path: Path, command: str, status: int, statement: str
) -> None:
    (tmp_path / "evil").mkdir()
    (tmp_path / "evil" / "__init__.py").write_text(statement)
    (tmp_path / "evil" / "mod.py").touch()
    done = gradrace(*command.split(), "--backend", "evil.mod")
    assert done.returncode == status, done.stdout + done.stderr
    assert "evil.mod" in done.stdout + done.stderr
    assert "cannot be imported: " in done.stdout + done.stderr
    assert "Traceback" not in done.stderr


MODEL = json.dumps(
    {
        "format": "gradrace model",
        "schema": 1,
        "features": ["size", "age"],
        "target": "price",
        "w": [3.0, -0.5],
        "center": [0, 0],
        "height": 1.0,
        "range": {"low": [1, 1], "high": [5, 5]},
    }
)

UNUSABLE: dict[str, tuple[list[str], str]] = {
    "missing file": (["train", "no.csv"], "no.csv: no such file"),
    "unknown column": (["train", "houses.csv", "--target", "rent"], "houses.csv: has no column"),
    "unknown feature": (["train", "houses.csv", "--features", "x"], "houses.csv: has no column"),
    "text": (["train", "text.csv"], "text.csv: column 'y', row 2: 'low' is not a number"),
    "missing value": (["train", "gap.csv"], "gap.csv: column 'y', row 1: a value is missing"),
    "no rows": (["train", "none.csv"], "none.csv: needs at least two rows, has 0"),
    "one row": (["train", "one.csv"], "one.csv: needs at least two rows, has 1"),
    "huge values": (["train", "huge.csv"], "huge.csv: no rate is stable"),
    "no table": (["train", "--target", "y"], "--target and --features need a FILE"),
    "rate": (["train", "--lr", "-1"], "lr: must be greater than 0, got -1.0"),
    "rate as text": (["train", "--lr", "abc"], "--lr: needs a number or auto, got 'abc'"),
    "rates": (["rates", "--lr", "0.1", "-2"], "lr: must be greater than 0, got -2.0"),
    "rates, text": (["rates", "--lr", "fast"], "--lr: needs a number or auto, got 'fast'"),
    "rates, too large": (["rates", "huge.csv"], "huge.csv: no rate is stable"),
    "rates, no table": (["rates", "--features", "x"], "--target and --features need a FILE"),
    "tol": (["train", "--tol", "2"], "tol: must be at least 0 and less than 1, got 2.0"),
    "target too large": (["train", "far.csv", "--standardize"], "far.csv: 'y' is so large that"),
    "no model": (["predict", "no.json", "houses.csv"], "no.json: No such file or directory"),
    "foreign model": (["predict", "text.csv", "houses.csv"], "text.csv: is not JSON, or cut off"),
    "no table to predict": (["predict", "model.json", "no.csv"], "no.csv: no such file"),
    "missing column": (["predict", "model.json", "text.csv"], "text.csv: has no column 'size'"),
    "predictions": (
        ["predict", "model.json", "houses.csv", "--out", "x.xls"],
        "x.xls: must end in",
    ),
    "predictions, folder": (
        ["predict", "model.json", "houses.csv", "--out", "/proc/no/x.csv"],
        "/proc/no: cannot write here",
    ),
    "rate nan": (["check", "--lr", "nan"], "lr: must be finite, got nan"),
    "epochs": (["train", "--epochs", "-1"], "epochs: must be at least 0, got -1"),
    "too many epochs": (["check", "--epochs", "100000000000000"], "out of memory: "),
    "backend": (["train", "--backend", "jax"], "backend jax: is not python, numpy,"),
    "backend file": (["check", "--backend", "no.py"], "backend no.py: no such file"),
    "run, sizes": (
        ["run", "--sizes", "1.5"],
        "--sizes: needs a whole number of at least 1, got '1.5'",
    ),
    "run, features": (
        ["run", "--features", "x"],
        "--features: needs a whole number of at least 1, got 'x'",
    ),
    "run, epochs": (
        ["run", "--epochs", "0"],
        "--epochs: needs a whole number of at least 1, got '0'",
    ),
    "run, sessions": (["run", "--sessions", "0"], "sessions: must be from 1 to 10,000, got 0"),
    "run, baseline": (
        ["run", "--baseline", "jax"],
        "baseline jax: is not in the race; the backends are python",
    ),
    "run, twice": (["run", "--quick", "--full"], "--quick and --full: choose one"),
    "run, memory": (["run", "--sizes", "1e9", "--features", "1e4"], "these sizes need about "),
    "resume, nothing": (["run", "--resume", "no.json"], "no.json: No such file or directory"),
    "resume, sizes": (
        ["run", "--resume", "model.json", "--sizes", "9"],
        "--resume: takes all settings from the file; give no others",
    ),
    "resume, foreign": (["run", "--resume", "model.json"], "model.json: is not a result file of "),
    "resume, table": (["run", "--resume", "one.csv"], "one.csv: is not JSON, or cut off"),
    "compare, nothing": (["compare", "no.json", "x.json"], "no.json: No such file or directory"),
    "compare, format": (
        ["compare", "model.json", "model.json", "--format", "x"],
        "--format: must be text or md, got 'x'",
    ),
    "compare, limit": (
        ["compare", "model.json", "model.json", "--fail-above", "x"],
        "--fail-above: needs a share like 10% or 0.1, got 'x'",
    ),
    "compare, share": (
        ["compare", "model.json", "model.json", "--fail-above", "10"],
        "--fail-above: needs a share like 10% or 0.1, got '10'",
    ),
    "show, nothing": (["show", "no.json"], "no.json: No such file or directory"),
    "show, foreign": (["show", "model.json"], "model.json: is not a result file of "),
    "show, format": (
        ["show", "model.json", "--format", "x"],
        "--format: must be text, md or csv, got 'x'",
    ),
    "plot, foreign": (
        ["plot", "model.json", "--out", "new"],
        "model.json: is not a result file of ",
    ),
    "advise, foreign": (
        ["advise", "one.csv", "--n", "9", "--d", "1", "--epochs", "9"],
        "one.csv: is not JSON, or cut off",
    ),
    "backend, run": (["run", "--backend", "no.py"], "backend no.py: no such file"),
    "no folder": (["train", "--out", "houses.csv"], "houses.csv: cannot write here: File exists"),
    "below a file": (["run", "--out", "one.csv/x"], "one.csv/x: cannot write here: Not a dir"),
    "no folder to write": (["train", "--out", "/proc/no"], "/proc/no: cannot write here: "),
    "no JSON folder": (["check", "--json", "/proc/no/x"], "/proc/no: cannot write here: "),
    "rate, new JSON": (["check", "--json", "new/v.json", "--lr", "nan"], "lr: must be finite, got"),
    "JSON is a device": (["check", "--json", "/dev/null"], "/dev/null: cannot write here: is not"),
    "an endless file": (["train", "/dev/zero"], "/dev/zero: is neither text nor a known kind of"),
    "wide": (["train", "wide.csv"], "wide.csv: has 2,001 features; the limit is 2,000; "),
    "JSON is a folder": (["check", "--epochs", "1", "--json", "."], ".: cannot write here: is a f"),
}


@pytest.mark.parametrize("name", UNUSABLE)
def test_what_cannot_be_used_is_one_line_and_status_2(
    gradrace: Command, tmp_path: Path, name: str
) -> None:
    (tmp_path / "houses.csv").write_text(TABLE)
    (tmp_path / "text.csv").write_text("x,y\n1,2\n3,low\n")
    (tmp_path / "gap.csv").write_text("x,y\n1,\n3,4\n")
    (tmp_path / "none.csv").write_text("x,y\n")
    (tmp_path / "one.csv").write_text("x,y\n1,2\n")
    (tmp_path / "huge.csv").write_text("x,y\n1e200,2\n-1e200,3\n")
    (tmp_path / "far.csv").write_text("x,y\n1,1e200\n2,3e200\n3,7e200\n")
    (tmp_path / "wide.csv").write_text("\n".join([",".join(["1.5"] * 2_002)] * 3))
    (tmp_path / "model.json").write_text(MODEL)
    before = everything(tmp_path)
    words, message = UNUSABLE[name]
    done = gradrace(*words)
    assert done.returncode == 2, done.stdout + done.stderr
    assert done.stderr.startswith(f"gradrace: {message}")
    assert done.stderr.count("\n") == 1
    assert done.stdout == ""
    assert everything(tmp_path) == before


@pytest.mark.parametrize(
    "words", [["bogus"], ["train", "--epochs", "abc"], ["check", "--timeout", "0"]]
)
def test_misspelled_arguments_are_status_2(gradrace: Command, words: list[str]) -> None:
    done = gradrace(*words)
    assert done.returncode == 2
    assert "Error: " in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full on this system")
def test_a_full_disk_is_one_line(tmp_path: Path) -> None:
    write_run(tmp_path / "run.json", {"100x1": {"numpy": 8e-6, "numba": 1e-7}})
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "bench", "show", "run.json"],
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    assert done.returncode == 2
    assert done.stderr == "gradrace: standard output: No space left on device\n"


@pytest.mark.slow
@pytest.mark.parametrize(
    "words", [["train", "--epochs", "50"], ["check", "--backend", "numpy"], ["backends"]]
)
def test_a_reader_that_has_enough_costs_nothing(tmp_path: Path, words: list[str]) -> None:
    """The status is that of a closed pipe, not of a disagreement; what was found is saved."""
    with subprocess.Popen(
        [sys.executable, "-m", "bench", *words],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        assert process.stderr.read() == ""
    assert process.returncode == 141
    assert (tmp_path / "results/train/model.json").exists() == (words[0] == "train")


SIGNALS = [signal.SIGINT, signal.SIGTERM, signal.SIGHUP]


@pytest.mark.slow
class TestInterrupt:
    """Ctrl-C and its kin end any command within about a second and keep what is finished."""

    HEEDING = (  # what a shell starts with & ignores Ctrl-C, and so do its children
        "import signal; signal.signal(signal.SIGINT, signal.default_int_handler); "
        "from bench.__main__ import main; main()"
    )

    def interrupt(
        self, folder: Path, words: list[str], ready: Path, number: signal.Signals
    ) -> tuple[int, str, str]:
        """Start a command, send it a signal once the file `ready` exists, and wait for the end.

        None of them would end by itself within the time limit.
        """
        process = subprocess.Popen(
            [sys.executable, "-c", self.HEEDING, *words],
            cwd=folder,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        while not ready.exists():
            assert process.poll() is None, process.communicate()
            time.sleep(0.02)
        process.send_signal(number)
        out, err = process.communicate(timeout=100)
        return process.returncode, out, err

    @pytest.mark.parametrize(
        ("module", "number"),
        [("pure_python", signal.SIGINT), *(("numba_jit", number) for number in SIGNALS)],
    )
    def test_train_keeps_the_model(
        self, tmp_path: Path, module: str, number: signal.Signals
    ) -> None:
        started = tmp_path / "started"
        (tmp_path / "wrapped.py").write_text(
            f"import pathlib\nfrom backends import {module} as real\nprepare = real.prepare\n"
            "def train(data, **job):\n"
            f"    if job['epochs'] > 10: pathlib.Path({str(started)!r}).touch()\n"
            "    return real.train(data, **job)\n"
        )
        words = ["train", "--epochs", "2000000000", "--backend", "wrapped.py"]
        status, out, err = self.interrupt(tmp_path, words, started, number)
        assert status == 128 + number, err
        assert "saved results/train/history.parquet results/train/model.json" in out
        model = json.loads((tmp_path / "results/train/model.json").read_text("utf-8"))
        assert model["training"]["interrupted"] is True
        assert 0 < model["training"]["epochs"] < 2_000_000_000

    @pytest.mark.parametrize("number", SIGNALS)
    def test_an_interrupt_that_compiled_code_swallows_is_none_the_less_one(
        self, tmp_path: Path, number: signal.Signals
    ) -> None:
        """No exception passes through a callback; what fails afterwards is a consequence."""
        (tmp_path / "swallows.py").write_text(
            "import ctypes, os\nfrom backends.pure_python import prepare\n"
            "@ctypes.CFUNCTYPE(None)\n"
            f"def callback(): os.kill(os.getpid(), {int(number)}); [None for _ in range(9)]\n"
            "def train(*_, **__): callback(); raise RuntimeError('no compiled object yet')\n"
        )
        done = subprocess.run(
            [sys.executable, "-c", self.HEEDING, "train", "--backend", "swallows.py"],
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
            check=False,
        )
        assert (done.returncode, done.stderr) == (128 + number, "gradrace: interrupted\n")

    @pytest.mark.parametrize(
        ("command", "number"),
        [("check", signal.SIGTERM), *(("rates", number) for number in SIGNALS)],
    )
    def test_what_was_verified_is_kept(
        self, tmp_path: Path, command: str, number: signal.Signals
    ) -> None:
        started = tmp_path / "started"
        (tmp_path / "slow.py").write_text(
            "import pathlib, time\n"
            f"pathlib.Path({str(started)!r}).touch()\n"
            "prepare = train = lambda *_, **__: time.sleep(600)\n"
        )
        words = [command, "--backend", "numpy", "--backend", "slow.py", "--epochs", "50"]
        words += ["--json", "v.json"] if command == "check" else ["--lr", "0.01", "--out", "."]
        status, out, err = self.interrupt(tmp_path, words, started, number)
        assert (status, err.count("\n")) == (128 + number, 1)
        name, key = ("v.json", "verdicts") if command == "check" else ("rates.json", "runs")
        found = json.loads((tmp_path / name).read_text("utf-8"))
        assert [entry["backend"] for entry in found[key]] == ["numpy"]
        assert f"saved {name}" in out

    def test_run_keeps_what_was_checked(self, tmp_path: Path) -> None:
        errors = tmp_path / "results" / "agreement.parquet"
        words = ["run", "--backends", "numpy"]
        status, out, err = self.interrupt(tmp_path, words, errors, signal.SIGINT)
        assert status == 130, err
        assert "agreement.png" in out
        assert "interrupted; nothing was timed" in err
        assert not [name for name in listing(tmp_path) if name.endswith(".tmp")]

    def test_run_keeps_the_finished_sessions(self, tmp_path: Path) -> None:
        words = [
            "run",
            "--sizes",
            "30",
            "--features",
            "1",
            "--epochs",
            "50",
            "--backends",
            "numpy",
            "--sessions",
            "1000",
        ]
        result = tmp_path / "results/benchmark.json"
        status, out, err = self.interrupt(tmp_path, words, result, signal.SIGTERM)
        assert status == 143, err
        assert "30 × 1" in out
        assert " of 1000; gradrace run --resume results/benchmark.json times the rest" in err
        saved = json.loads((tmp_path / "results/benchmark.json").read_text("utf-8"))
        assert saved["gradrace"]["interrupted"] is True
        assert not [name for name in listing(tmp_path) if name.endswith(".tmp")]

    @pytest.mark.parametrize(("number", "ignored"), [("SIGHUP", "SIGHUP"), ("SIGTERM", "SIGHUP")])
    def test_a_signal_that_is_ignored_stays_so(self, number: str, ignored: str) -> None:
        """As nohup has it; and of two signals one after the other, the first counts."""
        code = (
            f"import os, signal; signal.signal(signal.{ignored}, signal.SIG_IGN)\n"
            "from bench.machine import interrupts\ninterrupts.heed()\n"
            f"try: os.kill(os.getpid(), signal.{number})\n"
            "except KeyboardInterrupt: os.kill(os.getpid(), signal.SIGTERM)\n"
            "print(interrupts.came(), interrupts.status())"
        )
        done = subprocess.run(
            [sys.executable, "-c", code],
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
            check=False,
        )
        expected = "False 130\n" if number == ignored else "True 143\n"
        assert (done.stdout, done.stderr) == (expected, "")
