"""A race as text, Markdown and CSV."""

import csv
import re
from pathlib import Path

import pytest
from gradrace.bench.race.schema import ResultFile
from gradrace.bench.report.formats import COLUMNS, race_csv, race_markdown, race_report
from gradrace.bench.report.race import finished_already, how_to_complete, saved, what_is_kept

from gradrace.bench.report.terminal import show_lines
from tests.machine.test_roofline import MACHINE
from tests.runs import NUMBA, write_run

TIMES = {
    "100x1": {"python": 4e-5, "numpy": 8e-6, "numba": 1e-7},
    "1000x1": {"python": 4e-4, "numpy": 9e-6, "numba": 1e-6},
}


@pytest.fixture
def content(tmp_path: Path) -> ResultFile:
    return write_run(tmp_path / "run.json", TIMES, compiled=(NUMBA,), roofline=MACHINE)


def printed(content: ResultFile, capsys: pytest.CaptureFixture[str], *, full: bool) -> str:
    show_lines(race_report(content, full=full))
    return capsys.readouterr().out


class TestText:
    def test_the_answer_comes_first(
        self, content: ResultFile, capsys: pytest.CaptureFixture[str]
    ) -> None:
        out = printed(content, capsys, full=False)
        assert out.startswith("numba is the fastest at both sizes: ")
        assert "limit" not in out

    def test_details_add_the_rest(
        self, content: ResultFile, capsys: pytest.CaptureFixture[str]
    ) -> None:
        short, full = (printed(content, capsys, full=full) for full in (False, True))
        assert full.startswith(short)
        for words in ("(95 %)", "noise ", "share of limit", "beat numpy", "memory"):
            assert words in full

    @pytest.mark.parametrize("width", [40, 60, 80, 200])
    def test_no_line_is_too_long_and_no_blank_is_at_its_end(
        self,
        content: ResultFile,
        capsys: pytest.CaptureFixture[str],
        monkeypatch: pytest.MonkeyPatch,
        width: int,
    ) -> None:
        monkeypatch.setenv("COLUMNS", str(width))
        show_lines(race_report(content, full=True, width=width))
        lines = capsys.readouterr().out.splitlines()
        assert max(map(len, lines)) <= width
        assert not [line for line in lines if line.endswith(" ")]

    def test_of_many_warnings_the_first_ones(self, content: ResultFile) -> None:
        content["gradrace"]["warnings"] = [f"warning {i}" for i in range(5)]
        assert race_report(content)[-2:] == [
            "Warning: warning 2.",
            "2 more warnings with --details.",
        ]
        assert race_report(content, full=True)[-1] == "Warning: warning 4."

    def test_an_unfinished_run_says_how_to_complete_it(self, content: ResultFile) -> None:
        assert how_to_complete(content, Path("x.json")) == []
        content["gradrace"]["interrupted"] = True
        (line,) = how_to_complete(content, Path("x.json"))
        assert line.endswith("gradrace run --resume x.json")
        assert "finished sessions are saved, 3 of 3; " in what_is_kept(content, Path("x.json"))

    def test_a_finished_one_says_what_can_be_done_with_it(self) -> None:
        assert "gradrace show x.json" in finished_already(Path("x.json"))

    def test_files_are_named_folder_by_folder(self) -> None:
        paths = [Path("a/x.json"), Path("b/y.png"), Path("a/z.png")]
        assert saved(paths, Path("a/x.json")) == [
            "Saved in a: x.json, z.png.",
            "Saved in b: y.png.",
            "For intervals, limits, compile times, memory: gradrace show a/x.json --details",
        ]


class TestMarkdown:
    def test_a_table_is_one(self, content: ResultFile) -> None:
        lines = race_markdown(content)
        start = lines.index("|  | 100 × 1 | 1,000 × 1 |")
        assert lines[start + 1] == "| --- | --- | --- |"
        assert [line.split(" | ")[0] for line in lines[start + 2 : start + 5]] == [
            "| python",
            "| numpy",
            "| numba",
        ]

    def test_paragraphs_and_tables_are_apart(self, content: ResultFile) -> None:
        text = "\n".join(race_markdown(content, full=True))
        assert "\n\n\n" not in text
        assert not re.search(r"[^|\n]\n\||\|\n[^|\n]", text)

    def test_nothing_is_markup(self, tmp_path: Path) -> None:
        times = {"100x1": {"python": 4e-5, "a|b*<i>.py": 1e-6}}
        text = "\n".join(race_markdown(write_run(tmp_path / "run.json", times)))
        assert text.startswith(r"a\|b\*\<i\>.py is the fastest at 100 × 1")
        assert r"| a\|b\*\<i\>.py |" in text


class TestCsv:
    def test_a_row_per_size_and_backend(self, content: ResultFile) -> None:
        rows = list(csv.DictReader(race_csv(content)))
        assert [(row["n"], row["d"], row["backend"]) for row in rows] == [
            (str(n), "1", backend) for n in (100, 1_000) for backend in ("python", "numpy", "numba")
        ]
        assert tuple(rows[0]) == COLUMNS
        numba = rows[2]
        assert float(numba["median_seconds_per_epoch"]) == pytest.approx(1e-7, rel=0.02)
        assert float(numba["speed_up_low"]) < 400 < float(numba["speed_up_high"])
        assert float(numba["compile_seconds"]) == NUMBA["cold"]
        assert (numba["verdict"], numba["not_timed_because"]) == ("faster", "")
        assert (rows[0]["verdict"], rows[0]["speed_up"]) == ("baseline", "")

    def test_every_figure_has_its_column(self, content: ResultFile) -> None:
        (numba,) = [row for row in csv.DictReader(race_csv(content)) if row["n"] == "100"][2:]
        empty = [name for name, cell in numba.items() if not cell]
        assert empty == ["prepare_seconds", "not_timed_because"]  # the first is not in this file

    def test_what_was_not_timed_says_why(self, content: ResultFile) -> None:
        about = content["gradrace"]
        reason = 'too slow: 9 s, "or so"'
        about["left_out"] = [
            {"case": "100x1", "backend": "python", "reason": reason, "fault": False}
        ]
        about["cases"][0]["arms"] = about["cases"][0]["arms"][1:]
        first = next(iter(csv.DictReader(race_csv(content))))
        assert (first["backend"], first["not_timed_because"]) == ("python", reason)
        assert first["median_seconds_per_epoch"] == ""

    def test_cells_are_escaped(self, tmp_path: Path) -> None:
        name = 'a,"b"\n\x1b[31m.py'
        rows = list(csv.DictReader(race_csv(write_run(tmp_path / "r.json", {"9x1": {name: 1e-6}}))))
        assert [row["backend"] for row in rows] == ['a,"b" ?[31m.py']
