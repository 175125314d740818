"""`gradrace run`, alone and against an earlier version; what takes long is run once."""

import json
import subprocess
from pathlib import Path

import pytest

from tests.cli.conftest import GOOD, SINGLE, WRONG, one_line
from tests.conftest import Command, process


@pytest.mark.slow
class TestRun:
    """A race of three that agree, one in float32, and of one that does not, printed and saved."""

    WORDS = (
        *("run", "--sizes", "30", "1e2", "--features", "2", "--epochs", "40", "--sessions", "1"),
        *("--backends", "numpy", GOOD, WRONG, SINGLE, "--baseline", GOOD, "--seed", "7"),
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
        assert "Only 3 of 4 backends agree with the exact trajectory on 463 test problems." in said
        assert "wrong.py is left out: on 100x1, loss at epoch 0: got 405.9" in said

    def test_float32_says_what_it_costs(
        self, folder: Path, done: "subprocess.CompletedProcess[str]"
    ) -> None:
        assert "simd_float32.py computes in float32. It keeps 4.9 digits in w and b" in one_line(
            done.stdout
        )
        about = json.loads((folder / "new/folder/benchmark.json").read_text("utf-8"))["gradrace"]
        assert about["backends"][SINGLE]["precision"] == "float32"

    def test_races_what_was_asked_for(
        self, folder: Path, done: "subprocess.CompletedProcess[str]"
    ) -> None:
        assert done.stderr.startswith("custom run: 2 sizes, 4 backends, 1 session; takes about ")
        about = json.loads((folder / "new/folder/benchmark.json").read_text("utf-8"))["gradrace"]
        assert [case["name"] for case in about["settings"]["cases"]] == ["30x2", "100x2"]
        assert about["settings"]["seed"] == 7
        assert {case["epochs"] for case in about["settings"]["cases"]} == {40}

    def test_says_who_had_the_shortest_times_then_shows_them(
        self, done: "subprocess.CompletedProcess[str]"
    ) -> None:
        assert "had the shortest time" in one_line(done.stdout).split(". ")[0]
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
        assert done.stdout.startswith(
            "Passed: every slowdown above the limit is ruled out.\nmine.py"
        )
        assert "than it was at v1" in done.stdout or "no difference from v1" in done.stdout

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
        assert (
            "| backend | n × d | times as fast (95 %) | verdict | then | now | noise |"
            in page.stdout
        )
        assert page.returncode == 0
