"""The main job: every arm is verified before it is timed, and only what agrees gets a figure."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from bench import race, session
from bench.cases import CASES, REFERENCE
from bench.data import reference_line
from bench.report import race_table
from tests.conftest import FOREIGN, ROOT

GOOD, BAD = str(FOREIGN / "good.py"), str(FOREIGN / "bad.py")
WRONG, WRONG_LATER = str(FOREIGN / "wrong.py"), str(FOREIGN / "wrong_on_many_features.py")

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[race.Race, Path]:
    folder = tmp_path_factory.mktemp("race")
    specs = ["numpy", "numba", WRONG, WRONG_LATER]
    return race.run(folder, specs, cases=["100x1", "10000x10"]), folder


def test_what_agrees_is_timed_and_nothing_else(finished: tuple[race.Race, Path]) -> None:
    result, _ = finished
    timed = [(arm["group"], arm["extra_info"]["backend"]) for arm in result.benchmarks]
    assert timed == [
        ("100x1", "numpy"), ("100x1", "numba"), ("100x1", WRONG_LATER),
        ("10000x10", "numpy"), ("10000x10", "numba"),
    ]  # fmt: skip
    assert not result.agrees
    assert not result.interrupted
    assert result.failure == ""


def test_every_verdict_is_reported(finished: tuple[race.Race, Path]) -> None:
    result, _ = finished
    wrong = {
        (entry["case"], entry["verdict"]["backend"]): entry["verdict"]["reason"]
        for entry in result.verdicts
        if not entry["verdict"]["agrees"]
    }
    assert set(wrong) == {("100x1", WRONG), ("10000x10", WRONG_LATER)}
    assert wrong["100x1", WRONG].startswith("loss at epoch 0: got 405.9")
    assert wrong["10000x10", WRONG_LATER].startswith("w[9] at epoch 1: got 0.0")


def test_the_file_is_pytest_benchmarks_with_the_verdict_in_it(
    finished: tuple[race.Race, Path],
) -> None:
    result, folder = finished
    content = json.loads((folder / "benchmark.json").read_text("utf-8"))
    assert content["gradrace"]["schema"] == race.SCHEMA
    assert content["gradrace"]["verdicts"] == json.loads(json.dumps(result.verdicts))
    assert {"machine_info", "commit_info", "benchmarks", "version"} <= set(content)
    for arm in content["benchmarks"]:
        case = CASES[arm["group"]]
        info = arm["extra_info"]
        assert (info["n"], info["d"], info["epochs"]) == (case.n, case.d, case.epochs)
        assert info["agreement"]["agrees"] is True
        assert info["agreement"]["loss"]["multiple"] < 1
        assert arm["stats"]["rounds"] >= 5
        assert arm["options"]["disable_gc"] is True


def test_the_files_are_complete(finished: tuple[race.Race, Path]) -> None:
    result, folder = finished
    names = {
        "agreement.parquet", "agreement.png", "benchmark.json", "speed.png", "history.parquet",
        "model.json", "fit.parquet", "loss.png", "fit.png",
    }  # fmt: skip
    assert {path.name for path in result.files} == names
    assert {path.name for path in folder.iterdir()} == names


def test_what_disagrees_gets_no_speed_up(finished: tuple[race.Race, Path]) -> None:
    table = race_table(finished[0])
    columns = {str(column.header): list(column.cells) for column in table.columns}
    rows = list(zip(columns["backend"], columns["per epoch"], columns["agrees"], strict=True))
    assert [row[1:] for row in rows if row[0] == "wrong.py"] == [("–", "NO")]
    assert all(time != "–" for name, time, agrees in rows if agrees == "yes")


def test_a_session_that_dies_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GRADRACE_TEST_HOW", "ends its process")
    result = session.time_backends([GOOD, BAD], ["100x1"], lambda *_: None)
    assert [entry["verdict"]["backend"] for entry in result.verdicts] == [GOOD]
    assert result.failure.startswith("timing ended with status 3")


@pytest.mark.parametrize(
    ("how", "reason"),
    [("raises", "raised ZeroDivisionError: on purpose"), ("exits", "raised SystemExit: 0")],
)
def test_a_backend_that_raises_in_the_session_is_a_verdict(
    monkeypatch: pytest.MonkeyPatch, how: str, reason: str
) -> None:
    monkeypatch.setenv("GRADRACE_TEST_HOW", how)
    result = session.time_backends([BAD, "numba"], ["100x1"], lambda *_: None)
    reasons = [entry["verdict"]["reason"] for entry in result.verdicts]
    assert reasons[0].startswith(reason)
    assert reasons[1:] == [""]
    assert [arm["extra_info"]["backend"] for arm in result.results["benchmarks"]] == ["numba"]


def test_a_backend_that_fails_only_while_it_is_timed_is_reported(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("GRADRACE_TEST_HOW", "raises the second time")
    result = session.time_backends([BAD], ["100x1"], lambda *_: None)
    assert result.results["benchmarks"] == []
    assert result.failure.startswith("timing ended with status 1")


def test_a_backend_that_changes_its_input_hurts_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GRADRACE_TEST_HOW", "changes its input")
    result = session.time_backends([BAD, "numba"], ["100x1"], lambda *_: None)
    assert [entry["verdict"]["reason"] for entry in result.verdicts] == ["", ""]


def test_ctrl_c_keeps_the_arms_that_are_timed() -> None:
    def interrupt(_arm: str, done: int) -> None:
        if done == 1:
            raise KeyboardInterrupt

    result = session.time_backends(["numba", "python"], ["100x1"], interrupt)
    assert result.interrupted
    assert [arm["extra_info"]["backend"] for arm in result.results["benchmarks"]] == ["numba"]


def test_the_users_pytest_settings_do_not_matter(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "pytest.ini").write_text("[pytest]\naddopts = --no-such-option\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTEST_ADDOPTS", "--another-unknown-option")
    result = session.time_backends(["numba"], ["100x1"], lambda *_: None)
    assert (result.failure, len(result.results["benchmarks"])) == ("", 1)


def test_the_reference_case_is_the_reference_line() -> None:
    a, b = REFERENCE.samples(), reference_line()
    assert (a.X.tolist(), a.y.tolist()) == (b.X.tolist(), b.y.tolist())
    assert (REFERENCE.lr, REFERENCE.epochs) == (0.005, 10_000)


def test_pytest_can_run_the_suite_by_itself(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "bench", "--benchmark-only", "--case=100x1", "-q",
         "-p", "no:cacheprovider", "--backend=numba", f"--benchmark-json={tmp_path / 'b.json'}"],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout
    assert len(json.loads((tmp_path / "b.json").read_text())["benchmarks"]) == 1
