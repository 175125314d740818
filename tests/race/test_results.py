"""The result file: what follows from the data, and what is refused."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from gradrace.bench.race.merging import merge, times
from gradrace.bench.race.schema import Benchmark, Preparing, ResultFile, Row

from gradrace.backends.interface import InputValueError
from gradrace.bench.race import results
from gradrace.bench.race.conclusions import conclude
from tests.runs import benchmark, known, write_run

TIMES = {
    "100x1": {"python": 4e-5, "numpy": 8e-6, "numba": 1e-7},
    "1000x1": {"python": 4e-4, "numpy": 1e-5, "numba": 1e-5},
}


@pytest.fixture
def run(tmp_path: Path) -> ResultFile:
    return write_run(tmp_path / "run.json", TIMES)


def rows(content: ResultFile, case: str) -> dict[str, Row]:
    found = next(c for c in content["gradrace"]["cases"] if c["name"] == case)
    return {row["backend"]: row for row in found["arms"]}


class TestConclusions:
    def test_times(self, run: ResultFile) -> None:
        row = rows(run, "100x1")["numpy"]
        assert row["time"]["median"] == pytest.approx(8e-6, rel=0.01)
        assert row["time"]["minimum"] <= row["time"]["median"]
        assert set(row["time"]["sessions"]) == {1, 2, 3}
        assert known(row["time"]["interval"]["low"]) < 8e-6 < known(row["time"]["interval"]["high"])
        assert row["rate"] == pytest.approx(100 / row["time"]["median"])
        assert row["run"] == pytest.approx(10_001 * row["time"]["median"])

    def test_speed_ups_and_verdicts(self, run: ResultFile) -> None:
        row = rows(run, "100x1")
        assert row["python"]["verdict"] == "baseline"
        assert row["python"]["speed_up"] is None
        assert known(row["numba"]["speed_up"])["value"] == pytest.approx(400, rel=0.02)
        assert known(row["numba"]["speed_up"])["minima"] == pytest.approx(400, rel=0.02)
        assert row["numba"]["verdict"] == row["numpy"]["verdict"] == "faster"

    @pytest.mark.parametrize("seconds", [0.003, 0.05])
    def test_preparing_counts_where_it_does_more_than_convert(
        self, tmp_path: Path, seconds: float
    ) -> None:
        times, found = {"1000000x1@9": {"numpy": 2e-3, "numba": 1e-3}}, []
        slow = Preparing(seconds=seconds, copying=0.002)
        for preparing in ({}, {"numba": slow}):
            content = write_run(tmp_path / "run.json", times, preparing=preparing)
            found.append(rows(content, "1000000x1")["numba"])
        before, after = found
        counted = seconds if seconds > 0.01 else 0.0
        assert (before["prepare"], after["prepare"]) == (None, seconds)
        assert after["setup"] == pytest.approx(counted)
        assert after["per_pass"] == pytest.approx(before["per_pass"])
        assert after["run"] == pytest.approx(before["run"] + counted)
        ratio = known(before["speed_up"])["value"] / known(after["speed_up"])["value"]
        assert ratio == pytest.approx(1 + counted / 10 / 1e-3, rel=1e-3)

    def test_what_a_backend_changes_for_others_is_named(self, run: ResultFile) -> None:
        for arm in run["benchmarks"]:
            changes = ["Numba's threads (2 → 1)"] * (arm["extra_info"]["backend"] == "numpy")
            arm["extra_info"]["changed"] = changes
        conclude(run)
        (said,) = (
            w for w in run["gradrace"]["warnings"] if w.startswith("numpy changed settings ")
        )
        assert ": Numba's threads (2 → 1); " in said

    def test_the_floor_is_that_of_the_duplicate(self, run: ResultFile) -> None:
        for case in run["gradrace"]["cases"]:
            assert case["doubled"] == ("numba" if case["name"] == "100x1" else "numpy")
            assert 0 < known(case["floor"]) < 0.1
            aa = known(case["aa"])
            assert known(aa["low"]) <= 1 <= known(aa["high"])

    def test_the_fastest(self, run: ResultFile) -> None:
        first, second = (known(case["fastest"]) for case in run["gradrace"]["cases"])
        assert (first["backend"], first["second"], first["verdict"]) == ("numba", "numpy", "faster")
        assert known(first["speed_up"])["value"] == pytest.approx(80, rel=0.02)
        assert {second["backend"], second["second"]} == {"numba", "numpy"}
        assert second["verdict"] == "no difference shown"

    def test_break_even(self, run: ResultFile) -> None:
        row = rows(run, "100x1")
        assert row["numpy"]["break_even"] == {}
        # 4 s of compiling, 80 ms a run saved against numpy, 400 ms against python
        pays = row["numba"]["break_even"]
        assert pays["numpy"]["cold"] == pytest.approx(51, abs=1)
        assert pays["numpy"]["cached"] == 3
        assert pays["python"] == {"cold": pytest.approx(11, abs=1), "cached": 1}

    def test_another_baseline(self, run: ResultFile) -> None:
        run["gradrace"]["settings"]["baseline"] = "numba"
        conclude(run)
        assert rows(run, "100x1")["python"]["verdict"] == "slower"
        assert known(rows(run, "100x1")["python"]["speed_up"])["value"] == pytest.approx(
            1 / 400, rel=0.02
        )

    def test_a_baseline_that_was_left_out(self, run: ResultFile) -> None:
        run["benchmarks"] = [
            arm for arm in run["benchmarks"] if arm["extra_info"]["backend"] != "python"
        ]
        conclude(run)
        row = rows(run, "100x1")["numba"]
        assert (row["speed_up"], row["verdict"]) == (None, "")

    def test_one_session_shows_nothing(self, tmp_path: Path) -> None:
        run = write_run(tmp_path / "run.json", TIMES, sessions=1)
        row = rows(run, "100x1")["numba"]
        assert (known(row["speed_up"])["low"], row["verdict"]) == (None, "not judged")
        assert run["gradrace"]["warnings"][0].startswith("fewer than two sessions")


class TestMerge:
    def test_every_value_keeps_its_session_and_repetition(self) -> None:
        merged: list[Benchmark] = []
        for session in (1, 2):
            merge(merged, session, [benchmark("10x1@9", "numpy", False, session * 1e-3, 0)])
        (arm,) = merged
        assert arm["extra_info"]["sessions"] == [1] * 5 + [2] * 5
        assert arm["extra_info"]["repetitions"] == [0, 1, 2, 3, 4] * 2
        assert arm["stats"]["data"] == pytest.approx([1e-3] * 5 + [2e-3] * 5)
        assert arm["stats"]["median"] == pytest.approx(1.5e-3)
        assert {**arm["stats"]}["rounds"] == 10
        assert times(arm)[2] == pytest.approx(dict.fromkeys(range(5), 2e-3))

    def test_arms_keep_their_places(self) -> None:
        merged: list[Benchmark] = []
        merge(merged, 1, [benchmark("10x1", "b", False, 1e-3, 1)])
        merge(merged, 2, [benchmark("10x1", "a", False, 1e-3, 0)])
        assert [arm["extra_info"]["backend"] for arm in merged] == ["a", "b"]

    def test_signatures_are_counted_over_all_sessions(self) -> None:
        merged: list[Benchmark] = []
        for session, (before, after) in enumerate([(2, 2), (1, 3), (2, 2)]):
            arm = benchmark("10x1", "a", False, 1e-3, 0, signatures=(before, after))
            merge(merged, session, [arm])
        assert merged[0]["extra_info"]["signatures"] == [1, 3]


def busy(run: ResultFile) -> None:
    run["gradrace"]["sessions"][1]["others"] = 0.8


def stolen(run: ResultFile) -> None:
    run["gradrace"]["sessions"][1]["stolen"] = 0.31


def broken(run: ResultFile) -> None:
    run["gradrace"]["sessions"].append({**run["gradrace"]["sessions"][0], "failure": "no end"})


def unstable(run: ResultFile) -> None:
    arm = next(arm for arm in run["benchmarks"] if arm["extra_info"]["backend"] == "numpy")
    arm["stats"]["data"][:5] = [2 * value for value in arm["stats"]["data"][:5]]


def blurred(run: ResultFile) -> None:
    arm = next(arm for arm in run["benchmarks"] if arm["extra_info"]["duplicate"])
    arm["stats"]["data"][:5] = [1.4 * value for value in arm["stats"]["data"][:5]]


def compiled(run: ResultFile) -> None:
    run["benchmarks"][0]["extra_info"]["signatures"] = [1, 2]


def mixed(run: ResultFile) -> None:
    run["benchmarks"][0]["options"]["mixed"] = True


def other_versions(run: ResultFile) -> None:
    known(run["gradrace"]["sessions"][1]["libraries"])["numpy"] = "2.1"


def many_threads(run: ResultFile) -> None:
    run["gradrace"]["settings"]["threads"] = 1024


def a_pool(run: ResultFile) -> None:
    known(run["gradrace"]["sessions"][0]["libraries"])["pools"][0]["num_threads"] = 7


def governor(run: ResultFile) -> None:
    run["machine_info"]["governor"] = "powersave"


def short(run: ResultFile) -> None:
    run["benchmarks"][0]["stats"]["iterations"] = 1
    run["benchmarks"][0]["stats"]["median"] = 1e-3  # of one epoch, hence of the block


WARNINGS: dict[Callable[[ResultFile], None], str] = {
    busy: "the machine was busy: other processes used up to 0.8 cores in 1 of 3 sessions",
    stolen: "the host of this virtual machine took up to 31 % of a core",
    broken: "session 1 failed: no end",
    unstable: "unstable: the time of numpy on 100x1 differs by ",
    blurred: "the noise is above 5 % on 100x1 (",
    compiled: "python on 100x1: something was compiled while it was timed",
    mixed: "python on 100x1: timed with different options of pytest-benchmark",
    other_versions: "the sessions ran with different versions or threads",
    many_threads: "1024 threads on ",
    a_pool: "blas ran with 7 threads instead of 1",
    governor: "the frequency governor is powersave, not performance",
    short: "python on 100x1: timed blocks last less than 5 ms",
}


def test_a_calm_run_warns_of_nothing(run: ResultFile) -> None:
    run["machine_info"]["governor"] = None
    conclude(run)
    assert run["gradrace"]["warnings"] == []


@pytest.mark.parametrize("spoil", WARNINGS, ids=lambda spoil: spoil.__name__)
def test_what_spoils_a_run_is_said(run: ResultFile, spoil: Callable[[ResultFile], None]) -> None:
    run["machine_info"]["governor"] = None
    spoil(run)
    conclude(run)
    assert [w for w in run["gradrace"]["warnings"] if w.startswith(WARNINGS[spoil])]


PLAIN = json.dumps({"benchmarks": [], "machine_info": {}})
UNUSABLE = {
    "empty": ("", "is not JSON, or cut off"),
    "a list": ("[1]", "is not a result file of gradrace run"),
    "pytest-benchmark's own": (PLAIN, "is not a result file of gradrace run"),
    "a model": (
        json.dumps({"format": "gradrace model"}),
        "is not a result file of gradrace run (a model; see gradrace predict)",
    ),
}
CHANGES = {
    "older": ('"schema": 4', '"schema": 3', "has an older schema, 3; this version reads 4"),
    "newer": ('"schema": 4', '"schema": 5', "has a newer schema, 5; this version reads 4"),
    "without": (
        '"verdicts": [',
        '"x": [',
        "is damaged: Object missing required field `verdicts` - at `$.gradrace`",
    ),
    "cut off": ('"gradrace"', "", "is not JSON, or cut off"),
    "edited": (
        '"iterations": ',
        '"iterations": -',
        "is damaged: Expected `int` >= 1 - at `$.benchmarks[0].stats.iterations`",
    ),
}


def refusal(path: Path, text: str) -> str:
    path.write_text(text, "utf-8")
    with pytest.raises(InputValueError) as caught:
        results.read(path)
    return str(caught.value)


@pytest.mark.parametrize("name", UNUSABLE)
def test_what_is_no_result_file(tmp_path: Path, name: str) -> None:
    text, message = UNUSABLE[name]
    assert refusal(tmp_path / "r.json", text) == f"{tmp_path / 'r.json'}: {message}"


@pytest.mark.parametrize("name", CHANGES)
def test_a_result_file_that_cannot_be_used(tmp_path: Path, name: str) -> None:
    path = tmp_path / "run.json"
    write_run(path, TIMES)
    before, after, message = CHANGES[name]
    text = path.read_text("utf-8")
    assert before in text
    changed = text.replace(before, after, 1) if after else text[: text.index(before)]
    assert refusal(path, changed) == f"{path}: {message}"
