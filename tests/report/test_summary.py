"""The result of a race in sentences; the times are made up, so that the answer is known."""

from pathlib import Path
from typing import Any

import pytest
from gradrace.bench.race.schema import ResultFile
from gradrace.bench.report.summary import sentences
from gradrace.bench.report.summary_table import summary_heading, summary_legend, summary_tables

from gradrace.bench.race.conclusions import conclude
from gradrace.bench.report.tables import least_width
from tests.runs import write_run

BOTH_SIZES = {
    "100x1": {"python": 4e-5, "numpy": 8e-6, "numba": 1e-7},
    "1000x1": {"python": 4e-4, "numpy": 9e-6, "numba": 1e-6},
}


def answer(path: Path, seconds: dict[str, dict[str, float]], **options: Any) -> str:
    return sentences(write_run(path / "run.json", seconds, **options))[0]


def changed(content: ResultFile) -> str:
    """Return all sentences, after drawing the conclusions again."""
    conclude(content)
    return "\n".join(sentences(content))


class TestWhoWon:
    def test_one_backend_everywhere(self, tmp_path: Path) -> None:
        sizes = {**BOTH_SIZES, "1000x1": {"python": 4e-4, "numpy": 9e-6, "numba": 2e-6}}
        found = answer(tmp_path, sizes, spread=0)
        assert found.startswith(
            "numba is the fastest at both sizes: 200 times (1,000 × 1) to 400 times (100 × 1) as "
            "fast as python. All 3 backends agree with the exact trajectory."
        )

    def test_a_single_size(self, tmp_path: Path) -> None:
        found = answer(tmp_path, {"100x1": {"python": 4e-5, "numba": 1e-7}}, spread=0)
        assert found.startswith("numba is the fastest at 100 × 1, 400 times as fast as python. ")

    def test_different_ones(self, tmp_path: Path) -> None:
        sizes = {f"{n}x1": {"python": 1e-3, "numpy": 1e-5, "numba": 2e-5} for n in (9, 99, 999)}
        sizes["9999x1"] = {"python": 1e-3, "numpy": 3e-5, "numba": 2e-5}
        found = answer(tmp_path, sizes, spread=0)
        assert found.startswith("numpy is the fastest at 3 of 4 sizes, numba at 9,999 × 1: ")

    def test_the_baseline_itself(self, tmp_path: Path) -> None:
        found = answer(tmp_path, {"100x1": {"python": 1e-6, "numpy": 2e-6}})
        assert found.startswith("python is the fastest at 100 × 1. ")

    def test_a_tie_is_too_close_to_call(self, tmp_path: Path) -> None:
        found = answer(tmp_path, {"100x1": {"python": 4e-5, "numpy": 1.01e-6, "numba": 1e-6}})
        assert found.startswith("numba and numpy are too close to call at 100 × 1, ")
        assert "is the fastest" not in found

    def test_a_tie_of_three(self, tmp_path: Path) -> None:
        times = {"python": 1.01e-6, "numpy": 1.02e-6, "numba": 1e-6}
        found = answer(tmp_path, {"100x1": times}, spread=0.001)
        assert found.startswith("numba, python and numpy are too close to call at 100 × 1")

    def test_a_tie_at_one_of_two_sizes(self, tmp_path: Path) -> None:
        sizes = {**BOTH_SIZES, "1000x1": {"python": 4e-4, "numpy": 1.01e-6, "numba": 1e-6}}
        found = answer(tmp_path, sizes)
        assert found.startswith(
            "numba is the fastest at 100 × 1; numba and numpy are too close to call at 1,000 × 1: "
        )

    def test_one_session_decides_nothing(self, tmp_path: Path) -> None:
        found = answer(tmp_path, BOTH_SIZES, sessions=1)
        assert found.startswith("numba had the shortest times at both sizes: ")
        assert "This is not certain, because too few sessions were timed." in found
        assert "is the fastest" not in found

    def test_one_backend_alone(self, tmp_path: Path) -> None:
        found = answer(tmp_path, {"100x1": {"numba": 1e-7}})
        assert found == (
            "Only numba was timed, so there is nothing to compare it with. "
            "numba agrees with the exact trajectory."
        )

    def test_who_reads_the_samples_once_races_in_two_leagues(self, tmp_path: Path) -> None:
        times = {"python": 4e-5, "numba": 1e-7, "numba-simd": 2e-8, "gram": 1e-9}
        found = answer(tmp_path, {"100x1": times, "1000x1": times})
        assert found.startswith("gram is the fastest at both sizes: ")
        assert (
            "It reads the samples only once per training run; of the backends that read them in "
            "every epoch, numba-simd is the fastest at both sizes." in found
        )

    def test_nothing_was_timed(self, tmp_path: Path) -> None:
        content = write_run(tmp_path / "run.json", BOTH_SIZES)
        content["benchmarks"] = []
        assert changed(content).startswith("Nothing was timed. ")


class TestWhoAgrees:
    @pytest.fixture
    def content(self, tmp_path: Path) -> ResultFile:
        return write_run(tmp_path / "run.json", BOTH_SIZES)

    def test_all(self, content: ResultFile) -> None:
        content["gradrace"]["problems"] = 181
        expected = "All 3 backends agree with the exact trajectory on 181 test problems."
        assert changed(content).endswith(expected)

    def test_one_disagrees(self, content: ResultFile) -> None:
        reason = "on 100x1, loss at epoch 0: got 405.9, exact 401.8"
        content["gradrace"]["left_out"] = [
            {"case": "every case", "backend": "numpy", "reason": reason, "fault": True}
        ]
        found = changed(content)
        assert "Only 2 of 3 backends agree with the exact trajectory." in found
        assert f"\nnumpy is left out: {reason}." in found

    def test_one_breaks_off_at_a_size(self, content: ResultFile) -> None:
        content["gradrace"]["left_out"] = [
            {"case": "1000x1", "backend": "numpy", "reason": "it exits", "fault": True}
        ]
        assert "\nnumpy is left out at 1,000 × 1: it exits." in changed(content)

    def test_one_is_too_slow(self, content: ResultFile) -> None:
        content["gradrace"]["left_out"] = [
            {"case": name, "backend": "python", "reason": "too slow: 9 s", "fault": False}
            for name in BOTH_SIZES
        ]
        found = changed(content)
        assert (
            "\npython was too slow to be timed at 100 × 1 and 1,000 × 1: 9 s at 1,000 × 1." in found
        )
        assert "All 3 backends agree" in found


def test_an_unfinished_run_says_so(tmp_path: Path) -> None:
    content = write_run(tmp_path / "run.json", BOTH_SIZES, sessions=2)
    content["gradrace"]["interrupted"] = True
    content["gradrace"]["settings"]["sessions"] = 5
    assert changed(content).endswith("\nThis run is unfinished: it has 2 of 5 sessions.")


def test_what_is_impossible_is_not_ranked(tmp_path: Path) -> None:
    content = write_run(tmp_path / "run.json", BOTH_SIZES)
    for case in content["gradrace"]["cases"]:
        for row in case["arms"]:
            if row["backend"] == "numba":
                row["impossible"] = "90 times as fast as this machine can read"
    found = "\n".join(sentences(content))
    assert found.startswith("numpy is the fastest at both sizes: ")
    assert "\nnumba at 100 × 1 is impossibly fast, and not ranked: 90 times as fast" in found


class TestTable:
    def tables(self, path: Path, sizes: int, backends: int, width: int) -> list[list[str]]:
        """Return the headings of the tables of a race of made-up backends."""
        times = {f"/mine/{i}_{'x' * 60}_{i}.py": 1e-3 / (i + 1) for i in range(backends)}
        content = write_run(path / "run.json", {f"{10 + n}x1": times for n in range(sizes)})
        tables = summary_tables(content, width)
        assert all(least_width(table) <= width for table in tables)
        return [[str(column.header) for column in table.columns] for table in tables]

    def test_few_sizes_are_columns(self, tmp_path: Path) -> None:
        (heads,) = self.tables(tmp_path, sizes=2, backends=5, width=80)
        assert heads == ["", "10 × 1", "11 × 1"]

    def test_many_sizes_are_rows(self, tmp_path: Path) -> None:
        (heads,) = self.tables(tmp_path, sizes=14, backends=2, width=80)
        assert heads[0] == "n × d"
        assert heads[1].startswith("0_xxx")
        assert heads[1].endswith("xx_0.py")

    def test_what_does_not_fit_is_stacked(self, tmp_path: Path) -> None:
        parts = self.tables(tmp_path, sizes=14, backends=10, width=80)
        assert len(parts) > 1
        assert len({heads[0] for heads in parts}) == 1
        columns = [head for heads in parts for head in heads[1:]]
        assert len(columns) == len(set(columns)) in (10, 14)

    def test_two_long_names_that_look_alike_keep_their_times(self, tmp_path: Path) -> None:
        times = {f"{'x' * 30}{i}{'y' * 30}.py": time for i, time in enumerate((1e-3, 1e-6))}
        content = write_run(tmp_path / "run.json", {"10x1": times}, spread=0)
        (table,) = summary_tables(content, 80)
        cells = list(table.columns[1].cells)
        assert cells == ["1.00 ms     1×", "1.00 µs 1,000×"]

    def test_what_does_not_differ_from_the_baseline_is_marked(self, tmp_path: Path) -> None:
        times = {"python": 1e-6, "numpy": 1.001e-6, "numba": 1e-8}
        content = write_run(tmp_path / "run.json", {"10x1": times}, spread=0.001)
        (table,) = summary_tables(content, 80)
        python, numpy, numba = table.columns[1].cells
        assert "~" in str(numpy)
        assert "~" not in f"{python}{numba}"
        assert summary_legend(content["gradrace"]) == "~ no difference from python shown"


def test_a_baseline_that_was_not_timed_is_not_named(tmp_path: Path) -> None:
    content = write_run(tmp_path / "run.json", BOTH_SIZES, spread=0)
    assert summary_heading(content)[1].endswith("how many times as fast as python:")
    content["benchmarks"][:] = [
        arm for arm in content["benchmarks"] if arm["extra_info"]["backend"] != "python"
    ]
    conclude(content)
    assert summary_heading(content)[1] == "Time per epoch:"
