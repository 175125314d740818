"""The race: every arm is verified before it is timed; only those that agree get a time."""

import json
import math
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from gradrace.bench.race.schema import LeftOut
from gradrace.bench.race.state import PREVIOUS, RESULT, Race
from gradrace.bench.report.details import race_table

from gradrace import backends
from gradrace.backends.interface import InputValueError
from gradrace.backends.support import finding
from gradrace.bench.machine import facts
from gradrace.bench.race import record, results, state, trial
from gradrace.bench.race import run as race
from gradrace.bench.race.cases import FULL, QUICK, grid
from gradrace.bench.race.settings import Settings, choose
from tests.conftest import FOREIGN
from tests.runs import write_run

GOOD, BAD = str(FOREIGN / "good.py"), str(FOREIGN / "bad.py")
WRONG, WRONG_LATER = str(FOREIGN / "wrong.py"), str(FOREIGN / "wrong_while_timed.py")

SMALL = Settings(
    "custom",
    cases=tuple(grid([30], [1, 3], epochs=60)),
    sessions=2,
    repetitions=4,
    spacing=0.0,
    limit=False,
)


def test_an_earlier_version_is_nobodys_fault(tmp_path: Path) -> None:
    times = {"100x1": {"numba": 1e-6, "before": 1e-6}}
    content = write_run(tmp_path / "run.json", times, versions={"before": "numba"})
    for backend in times["100x1"]:
        entry = LeftOut(case="100x1", backend=backend, reason="is wrong", fault=True)
        content["gradrace"]["left_out"].append(entry)
    assert Race(SMALL, content).faults == ["numba on 100x1: is wrong"]


SMALL_DATA = {name: rung for name, rung in backends.LADDER.items() if not rung.for_large_data}


class TestSettings:
    def test_quick_is_the_default(self) -> None:
        settings = choose()
        assert (settings.kind, settings.cases, settings.sessions) == ("quick", tuple(QUICK), 3)
        alone = [name for name, rung in SMALL_DATA.items() if rung.on_one_thread is None]
        assert settings.backends == tuple(alone)
        assert settings.baseline == "python"

    def test_all_cores_race_where_there_are_several_threads(self) -> None:
        assert choose(threads=2).backends == tuple(SMALL_DATA)
        assert choose(backends=["numba-parallel"]).backends == ("numba-parallel",)

    def test_full(self) -> None:
        settings = choose(full=True)
        assert (settings.kind, settings.cases, settings.sessions) == ("full", tuple(FULL), 8)

    def test_sizes_of_ones_own(self) -> None:
        settings = choose(sizes=[20, 10], features=[2], epochs=5)
        assert settings.kind == "custom"
        assert [case.spec for case in settings.cases] == ["10x2@5", "20x2@5"]
        assert {case.d for case in choose(sizes=[20]).cases} == {1, 10}
        assert {case.n for case in choose(features=[2]).cases} == {100, 10_000, 100_000}
        assert [case.name for case in choose(epochs=9).cases] == [case.name for case in QUICK]

    def test_the_baseline_is_the_first_without_python(self) -> None:
        assert choose(backends=["numba", "numpy", "numba"]).baseline == "numba"

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ({"baseline": "numpy", "backends": ["python"]}, "baseline numpy: is not in the race"),
            ({"backends": ["a/x.py", "b/x.py"]}, r"two files are called x\.py; rename one"),
            ({"sessions": 0}, "sessions: must be from 1 to 10,000, got 0"),
            ({"threads": 0}, "threads: must be from 1 to 10,000, got 0"),
            ({"sizes": [0]}, "n: must be from 1 to"),
            ({"sizes": [10**9], "features": [10**4]}, "these sizes need about"),
        ],
    )
    def test_what_cannot_be_raced(self, options: dict[str, Any], message: str) -> None:
        with pytest.raises(InputValueError, match=message):
            choose(**options)

    @pytest.mark.parametrize(
        ("change", "message"),
        [
            ({"longest": float("inf")}, "longest: must be from 0 to 1,000,000 seconds"),
            ({"sessions": 10_001}, "sessions: must be from 1 to 10,000, got 10001"),
            ({"cases": grid([10], [1], 5) + grid([10], [1], 9)}, "two have the same size"),
            ({"cases": grid([10], [1], 10**12)}, "these sizes need about"),
        ],
    )
    def test_what_no_result_file_could_hold(self, change: dict[str, Any], message: str) -> None:
        with pytest.raises(InputValueError, match=message):
            replace(Settings(), **change).resolved()


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[Race, Path]:
    folder = tmp_path_factory.mktemp("race")
    settings = replace(SMALL, backends=("numpy", "numba", WRONG, WRONG_LATER))
    return race.run(folder, settings), folder


@pytest.mark.slow
class TestRun:
    def test_what_agrees_is_timed_and_nothing_else(self, finished: tuple[Race, Path]) -> None:
        result, _ = finished
        timed = {
            case["name"]: [row["backend"] for row in case["arms"]] for case in result.about["cases"]
        }
        assert timed == {"30x1": ["numpy", "numba", WRONG_LATER], "30x3": ["numpy", "numba"]}
        assert (result.finished, result.interrupted) == (2, False)

    def test_what_is_left_out_says_why(self, finished: tuple[Race, Path]) -> None:
        result, _ = finished
        faults = {entry["backend"]: entry for entry in result.about["left_out"]}
        assert set(faults) == {WRONG, WRONG_LATER}
        assert faults[WRONG]["case"] == "every case"
        assert faults[WRONG]["reason"].startswith("on 100x1, loss at epoch 0: got 405.9")
        assert faults[WRONG_LATER]["case"] == "30x3"
        assert faults[WRONG_LATER]["reason"].startswith("w[2] at epoch 1: got 0.0")
        assert len(result.faults) == 2

    def test_the_file_is_pytest_benchmarks(self, finished: tuple[Race, Path]) -> None:
        _, folder = finished
        content = json.loads((folder / state.RESULT).read_text("utf-8"))
        assert {"machine_info", "commit_info", "benchmarks", "version", "datetime"} <= set(content)
        assert len(content["benchmarks"]) == 3 + 2 + 2  # with a duplicate per case
        for arm in content["benchmarks"]:
            info, stats = arm["extra_info"], arm["stats"]
            assert info["agreement"]["agrees"] is True
            assert len(stats["data"]) == len(info["sessions"]) == len(info["repetitions"])
            assert stats["rounds"] == len(stats["data"]) >= 8
            assert set(info["sessions"]) == {1, 2}
            assert info["signatures"][0] == info["signatures"][1]
        shown = subprocess.run(
            [sys.executable, "-m", "pytest_benchmark", "compare", str(folder / state.RESULT)],
            capture_output=True,
            text=True,
            check=True,
        )
        assert "benchmark '30x1': 4 tests" in shown.stdout
        assert "(A/A)" in shown.stdout

    def test_compiling_is_told_from_running(self, finished: tuple[Race, Path]) -> None:
        (entry,) = finished[0].about["compile"]
        assert entry["backend"] == "numba"
        assert entry["cold"] > entry["cached"] > 0
        (numba,) = (r for r in finished[0].about["cases"][0]["arms"] if r["backend"] == "numba")
        assert set(numba["break_even"]) == {"numpy", WRONG_LATER}

    def test_every_arm_has_its_memory(self, finished: tuple[Race, Path]) -> None:
        about = finished[0].about
        assert {(e["case"], e["backend"]) for e in about["trials"]} == {
            (case["name"], row["backend"]) for case in about["cases"] for row in case["arms"]
        }
        assert all(entry["memory"]["peak"] > 10**7 for entry in about["trials"])

    def test_sessions_say_what_they_ran_on(self, finished: tuple[Race, Path]) -> None:
        for number, session in enumerate(finished[0].about["sessions"], 1):
            assert (session["number"], session["seed"]) == (number, f"0-{number}")
            assert session["failure"] == ""
            assert session["libraries"]
            assert session["libraries"]["numba_threads"] == 1

    def test_the_files_are_complete(self, finished: tuple[Race, Path]) -> None:
        result, folder = finished
        names = {
            "agreement.parquet",
            "agreement.png",
            "benchmark.json",
            "speed.png",
            "speedup.png",
            "breakeven.png",
            "fastest.png",
            "history.parquet",
            "model.json",
            "fit.parquet",
            "loss.png",
            "fit.png",
            "residuals.png",
        }
        assert {path.name for path in result.files} == names
        assert {path.name for path in folder.iterdir()} == names

    def test_what_disagrees_gets_no_figure(self, finished: tuple[Race, Path]) -> None:
        table = race_table(finished[0].about)
        columns = {str(column.header): list(column.cells) for column in table.columns}
        rows = zip(columns["n × d"], columns["epoch"], columns["verdict"], strict=True)
        assert [row[1:] for row in rows if row[0] == " wrong.py"] == [("–", "not timed")] * 2


@pytest.mark.slow
class TestBreakingOff:
    """A session that fails costs only that session."""

    @pytest.fixture
    def dying(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
        """A backend that kills its process if that is one of the `limits`-th to import it.

        Further imports in a process do not count: the faster backend also races against itself.
        """
        monkeypatch.setattr(
            trial, "_LEAST_COMPILING", math.inf
        )  # one trial, however slow its first call
        path = tmp_path / "dying.py"
        path.write_text(
            "import os, pathlib\nimport numpy as np\n"
            "from gradrace.backends.numpy_vectorized import prepare, train as real\n"
            "here = pathlib.Path(__file__).parent\nseen = here / 'processes'\n"
            "processes = seen.read_text().split() if seen.exists() else []\n"
            "processes = list(dict.fromkeys([*processes, str(os.getpid())]))\n"
            "seen.write_text(' '.join(processes))\n"
            "deadly = len(processes) in eval((here / 'limits').read_text())\n"
            "def train(*data, **job):\n"
            "    if deadly: os.kill(os.getpid(), 9)\n"
            "    return real(*data, **job)\n"
        )
        return path

    def race(self, path: Path, limits: set[int], sessions: int = 3) -> Race:
        (path.parent / "limits").write_text(str(limits))
        settings = replace(
            SMALL,
            backends=("numpy", str(path)),
            sessions=sessions,
            cases=tuple(grid([30], [1], epochs=60)),
        )
        return race.measure(path.parent / "b.json", settings)

    def test_the_others_count(self, dying: Path) -> None:
        result = self.race(dying, {3})  # the first is the trial, the third the second session
        assert result.finished == 2
        assert [bool(session["failure"]) for session in result.about["sessions"]] == [
            False,
            True,
            False,
        ]
        (fault,) = result.faults
        assert fault.startswith("session 2 failed: its process was killed by SIGKILL (during ")
        assert str(dying) in fault
        arm = result.content["benchmarks"][0]
        assert set(arm["extra_info"]["sessions"]) == {1, 3}
        assert [w for w in result.about["warnings"] if w.startswith("session 2 failed")]

    def test_resuming_tries_it_again(self, dying: Path) -> None:
        self.race(dying, {3}, sessions=2)
        (dying.parent / "limits").write_text("()")
        result = race.resume(dying.parent / "b.json")
        assert (result.finished, result.faults) == (2, [])

    def test_who_does_it_twice_is_left_out(self, dying: Path) -> None:
        result = self.race(dying, {2, 3, 4, 5}, sessions=4)
        assert [bool(session["failure"]) for session in result.about["sessions"]] == [
            True,
            True,
            False,
            False,
        ]
        (case,) = result.about["cases"]
        assert [row["backend"] for row in case["arms"]] == ["numpy"]

    def test_who_dies_in_the_trial_does_not_start(self, dying: Path) -> None:
        result = self.race(dying, {1}, sessions=2)
        (entry,) = result.about["left_out"]
        assert entry["reason"] == "its process was killed by SIGKILL"
        assert (entry["fault"], result.finished) == (True, 2)


@pytest.mark.slow
def test_a_slow_moment_is_not_compiling(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where Numba does not report it, a second cold start must confirm it."""
    answers = iter([True, True, False])
    monkeypatch.setattr(trial, "_compiles", lambda _: next(answers))
    cases = tuple(grid([30], [1], epochs=60))
    result = race.measure(
        tmp_path / "b.json", replace(SMALL, backends=("numpy",), cases=cases, sessions=1)
    )
    assert result.about["compile"] == []


@pytest.fixture(scope="module")
def interrupted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run that was interrupted in its second session."""
    folder = tmp_path_factory.mktemp("interrupted")

    def interrupt(doing: str, _done: int, _all: int) -> None:
        if doing.startswith("session 2 of 2: "):
            raise KeyboardInterrupt

    declared = "ONE_CORE = PASSES_ONCE = True\n"
    (folder / "mine.py").write_text((FOREIGN / "good.py").read_text() + declared)
    settings = replace(
        SMALL,
        backends=("numpy", str(folder / "mine.py")),
        cases=tuple(grid([30], [1], epochs=60)),
    )
    result = race.run(folder, settings, interrupt)
    assert result.interrupted
    assert result.finished == 1
    return folder


@pytest.mark.slow
class TestResume:
    @pytest.fixture
    def partial(self, interrupted: Path, tmp_path: Path) -> Path:
        """Its result file, in a folder of its own."""
        for name in ("mine.py", state.RESULT):
            text = (interrupted / name).read_text("utf-8")
            (tmp_path / name).write_text(text.replace(str(interrupted), str(tmp_path)), "utf-8")
        return tmp_path / state.RESULT

    def test_completes_the_file(self, partial: Path) -> None:
        before = results.read(partial)
        assert before["gradrace"]["interrupted"] is True
        result = race.resume(partial)
        after = results.read(partial)
        assert after["gradrace"]["interrupted"] is False
        assert [session["number"] for session in after["gradrace"]["sessions"]] == [1, 2]
        assert after["gradrace"]["arms"] == before["gradrace"]["arms"]
        for old, new in zip(before["benchmarks"], after["benchmarks"], strict=True):
            count = len(old["stats"]["data"])
            assert new["stats"]["data"][:count] == old["stats"]["data"]
            assert new["extra_info"]["sessions"][count:] == [2] * count
            assert new["stats"]["iterations"] == old["stats"]["iterations"]
        assert {path.name for path in result.files} >= {state.RESULT, "speed.png"}
        again = race.resume(partial)  # nothing is missing, so nothing is done
        assert (again.files, again.interrupted) == ([], False)
        assert again.content["benchmarks"] == after["benchmarks"]

    def test_does_not_mix_two_states_of_a_file(self, partial: Path) -> None:
        with (partial.parent / "mine.py").open("a") as file:
            file.write("\n# faster\n")
        with pytest.raises(InputValueError, match=r"mine\.py has changed since, so old and new"):
            race.resume(partial)

    def test_does_not_mix_two_states_of_a_neighbor(
        self, partial: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """What a backend imports from another file is part of it."""
        copy = partial.parent / "backends"
        shutil.copytree(finding.HERE, copy, ignore=shutil.ignore_patterns("__pycache__"))
        monkeypatch.setattr(finding, "HERE", copy)
        before = results.read(partial)["gradrace"]["fingerprints"]
        assert record.fingerprints(list(before)) == before
        with (copy / "interface.py").open("a") as file:
            file.write("\n# wider\n")
        with pytest.raises(InputValueError, match=r"numpy has changed since, so old and new"):
            race.resume(partial)

    def test_what_a_foreign_backend_declares_is_in_the_file(self, partial: Path) -> None:
        found = results.read(partial)["gradrace"]["backends"]
        declared = {
            name: (facts["one_core"], facts["passes_once"]) for name, facts in found.items()
        }
        assert declared == {"numpy": (False, False), str(partial.parent / "mine.py"): (True, True)}

    def test_does_not_mix_machines(self, partial: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        here = facts.machine_info()
        monkeypatch.setattr(facts, "machine_info", lambda: {**here, "memory": 1})
        with pytest.raises(InputValueError, match="was begun on another machine"):
            race.resume(partial)


def test_the_result_of_an_earlier_race_is_kept(tmp_path: Path) -> None:
    race._keep(tmp_path / RESULT)  # there is none
    for content in ("first", "second"):
        (tmp_path / RESULT).write_text(content, "utf-8")
        race._keep(tmp_path / RESULT)
        assert not (tmp_path / RESULT).exists()
        assert (tmp_path / PREVIOUS).read_text("utf-8") == content
