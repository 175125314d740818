"""The command line: output, exit status, files.

`gradrace` runs a command in this process, which spares its imports; `process` runs a real one.
What takes long is run once, and read by several tests.
"""

import csv
import json
import os
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pyarrow.parquet
import pytest

import backends
from bench.data.samples import reference_line
from bench.learning.landscape import Landscape
from bench.learning.rate_choice import best_rate
from tests.cli.conftest import MODEL, TABLE, listing, one_line
from tests.conftest import FOREIGN, ROOT, Command, process
from tests.runs import write_run

COMMANDS = (
    *("train", "rates", "predict", "run", "scale", "show", "compare", "plot", "advise"),
    *("check", "backends"),
)
GOOD, WRONG = str(FOREIGN / "good.py"), str(FOREIGN / "wrong.py")


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
        assert one_line(done.stdout).startswith(
            f"All {len(backends.names())} backends agree with the exact trajectory on this data "
            "and on 183 small problems"
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
        said = one_line(done.stdout)
        assert said.startswith(
            "2 of 4 backends agree with the exact trajectory on this data and on "
        )
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
        assert "Only 2 of 3 backends agree with the exact trajectory on 183 test problems." in said
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


@pytest.mark.slow
class TestVersions:
    """A file that has changed since a commit, raced against what it was."""

    @pytest.fixture(scope="class")
    @staticmethod
    def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
        folder = tmp_path_factory.mktemp("versions")
        (folder / "mine.py").write_text(Path(GOOD).read_text("utf-8"))
        for words in (
            ["init", "-q"],
            ["add", "mine.py"],
            ["-c", "user.name=a", "-c", "user.email=a@b", "commit", "-q", "-m", "one"],
            ["tag", "v1"],
        ):
            subprocess.run(["git", "-C", str(folder), *words], check=True)
        return folder

    @pytest.fixture(scope="class")
    @staticmethod
    def done(folder: Path) -> "subprocess.CompletedProcess[str]":
        """Nothing changes in the first run; then the same sums are made twice in every epoch."""
        words = ("run", "--against", "v1", "--backends", "mine.py", "--case", "30x2@40")
        unchanged = process(folder, *words)
        assert (unchanged.returncode, unchanged.stderr) == (0, "")
        assert "No backend has changed since v1" in unchanged.stdout
        source = (folder / "mine.py").read_text("utf-8")
        slow = source.replace("r = X @ w + b - y", "r = X @ w + b - y; r = X @ w + b - y")
        (folder / "mine.py").write_text(slow)
        return process(folder, *words, "--sessions", "2", "--fail-above", "900%")

    def test_the_answer_comes_first(self, done: "subprocess.CompletedProcess[str]") -> None:
        assert done.returncode == 0, done.stdout + done.stderr
        assert done.stdout.startswith("mine.py")
        assert "than at v1" in done.stdout or "no difference from v1" in done.stdout
        assert "Passed: every slowdown above the limit is ruled out." in done.stdout

    @pytest.mark.usefixtures("done")
    def test_the_file_says_what_was_compared(self, folder: Path) -> None:
        content = json.loads((folder / "results/against/benchmark.json").read_text("utf-8"))
        earlier = content["gradrace"]["backends"]["mine.py@v1"]
        assert earlier["version_of"] == "mine.py"
        assert earlier["commit"] == content["commit_info"]["id"]
        assert content["commit_info"]["dirty"] is True
        copies = {arm["extra_info"]["backend"] for arm in content["benchmarks"]}
        assert copies == {"mine.py", "mine.py@v1"}
        assert [case["run_epochs"] for case in content["gradrace"]["cases"]] == [40]

    @pytest.mark.usefixtures("done")
    def test_shown_for_a_pull_request(self, folder: Path, gradrace: Command) -> None:
        path = str(folder / "results/against/benchmark.json")
        page = gradrace("show", path, "--format", "md")
        assert "| n × d | then | now | change (95 %) | noise |" in page.stdout
        xml = gradrace("show", path, "--format", "junit", "--fail-above", "900%")
        assert (page.returncode, xml.returncode) == (0, 0)
        cases = ElementTree.fromstring(xml.stdout).findall("testcase")
        names = [case.get("name") for case in cases]
        assert names == ["mine.py on 30x2", "mine.py@v1 on 30x2"]


@pytest.mark.slow
def test_advise_measures_a_job_and_remembers_it(gradrace: Command, tmp_path: Path) -> None:
    job = ("--n", "40", "--d", "3", "--epochs", "50")
    measured = gradrace("advise", *job, "--measure", "--backend", "numpy", "--backend", GOOD)
    assert measured.returncode == 0, measured.stderr
    assert "of 50 epochs on 40 × 3 takes about" in one_line(measured.stdout)
    assert (tmp_path / "results/measured/40x3@50.json").exists()
    again = gradrace("advise", *job)
    assert "from results/measured/40x3@50.json" in again.stderr
    assert again.stdout == measured.stdout


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
        assert done.stdout.startswith("Use numba: one run of 1,000,000 epochs on 5,000 × 1 takes")
        assert "From a quick run: 3 sessions, 1 thread" in " ".join(done.stdout.split())

    def test_advice_far_away(self, gradrace: Command, run: str) -> None:
        done = gradrace("advise", run, "--n", "1e6", "--d", "1", "--epochs", "9")
        assert done.returncode == 2
        assert "too far from what run.json measured, 100 to 10,000" in done.stderr

    def test_advice_beyond_memory(self, gradrace: Command, run: str) -> None:
        done = gradrace("advise", run, "--n", "1e12", "--d", "1", "--epochs", "9")
        assert done.returncode == 0
        assert "Use dask: 1,000,000,000,000 × 1 takes 16,000 GB as float64" in done.stdout


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
