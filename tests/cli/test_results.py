"""What is said of saved results: `show`, `compare`, `plot`, `advise`."""

import csv
from pathlib import Path

import pytest

from tests.cli.conftest import GOOD, MODEL, one_line
from tests.conftest import Command
from tests.runs import write_run


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

    def test_the_newest(self, gradrace: Command, run: str, tmp_path: Path) -> None:
        (tmp_path / "results").mkdir()
        (tmp_path / "results/model.json").write_text(MODEL)
        (tmp_path / run).rename(tmp_path / "results/benchmark.json")
        done = gradrace("show")
        assert (done.returncode, done.stderr) == (0, "from results/benchmark.json\n")
        assert done.stdout == gradrace("show", "results").stdout

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


class TestReport:
    """One page of HTML, of a file or of a folder."""

    @pytest.mark.parametrize("source", ["run.json", "folder"])
    def test_of_a_race(self, gradrace: Command, tmp_path: Path, source: str) -> None:
        times = {"100x1": {"python": 4e-5, "numba": 1e-7}}
        (tmp_path / "folder").mkdir()
        write_run(tmp_path / "run.json", times)
        write_run(tmp_path / "folder" / "benchmark.json", times)
        done = gradrace("report", source, "-o", "new/page.html")
        assert (done.returncode, done.stdout) == (0, "Saved in new: page.html.\n")
        assert "numba is the fastest" in (tmp_path / "new/page.html").read_text("utf-8")

    def test_of_a_training(self, gradrace: Command, tmp_path: Path) -> None:
        gradrace("train", "--epochs", "100")
        assert gradrace("report", "results/train").returncode == 0
        assert "A fit of y" in (tmp_path / "report.html").read_text("utf-8")


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
        (line,) = (line for line in done.stdout.splitlines() if line.startswith("numba "))
        assert "slower" in line.split()

    @pytest.mark.parametrize(("limit", "status"), [("10%", 1), ("0.9", 1), ("150%", 0)])
    def test_a_regression_is_status_1(
        self, gradrace: Command, runs: tuple[str, str], limit: str, status: int
    ) -> None:
        done = gradrace("compare", *runs, "--fail-above", limit)
        assert done.returncode == status
        assert ("Failed: numba on 100 × 1 is slower than before" in done.stdout) == bool(status)

    def test_two_folders(self, gradrace: Command, runs: tuple[str, str], tmp_path: Path) -> None:
        for name in runs:
            (tmp_path / f"{name}.d").mkdir()
            (tmp_path / name).rename(tmp_path / f"{name}.d" / "benchmark.json")
        done = gradrace("compare", *(f"{name}.d" for name in runs))
        assert (done.returncode, done.stderr) == (0, "")

    def test_markdown(self, gradrace: Command, runs: tuple[str, str]) -> None:
        done = gradrace("compare", *runs, "--format", "md")
        assert "\n| --- | --- |" in done.stdout

    def test_other_threads_are_refused_as_a_gate(
        self, gradrace: Command, runs: tuple[str, str], tmp_path: Path
    ) -> None:
        write_run(tmp_path / "new.json", {"100x1": {"numba": 2e-7}}, threads=2)
        done = gradrace("compare", *runs)
        assert done.returncode == 0
        assert "Warning: the runs differ (threads: 1 → 2)" in done.stdout
        assert gradrace("compare", *runs, "--fail-above", "10%").returncode == 2


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
        }

    @pytest.mark.parametrize("kind", ["svg", "pdf"])
    def test_of_another_kind(self, gradrace: Command, run: str, tmp_path: Path, kind: str) -> None:
        assert gradrace("plot", run, "--out", "pictures", "--format", kind).returncode == 0
        assert f"speed.{kind}" in {path.name for path in (tmp_path / "pictures").iterdir()}

    def test_one_pdf_of_all(self, gradrace: Command, run: str, tmp_path: Path) -> None:
        done = gradrace("plot", run, "--out", "all.pdf")
        assert (done.returncode, done.stdout) == (0, "Saved in .: all.pdf.\n")
        assert (tmp_path / "all.pdf").read_bytes().startswith(b"%PDF")

    def test_advice(self, gradrace: Command, run: str) -> None:
        done = gradrace("advise", run, "--n", "5e3", "--d", "1", "--epochs", "1e6")
        assert (done.returncode, done.stderr) == (0, "")
        said = " ".join(done.stdout.split())
        assert said.startswith(
            "Use numba. At the nearest measured size, one run of 1,000,000 epochs"
        )
        assert "5,000 × 1 itself was not measured" in said
        assert "From a quick run: 3 sessions, 1 thread" in " ".join(done.stdout.split())

    def test_advice_far_away(self, gradrace: Command, run: str) -> None:
        done = gradrace("advise", run, "--n", "1e6", "--d", "1", "--epochs", "9")
        assert done.returncode == 2
        assert "too far from what run.json measured, 100 to 10,000" in done.stderr

    def test_advice_beyond_memory(self, gradrace: Command, run: str) -> None:
        done = gradrace("advise", run, "--n", "1e12", "--d", "1", "--epochs", "9")
        assert done.returncode == 0
        assert "Use dask: 1,000,000,000,000 × 1 takes 16,000 GB as float64" in done.stdout


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
