"""Whatever a foreign backend does, it gets a verdict, and the others are still judged."""

import time
from pathlib import Path

import numpy as np
import psutil
import pytest

from gradrace.bench.data.samples import Dataset, synthetic
from gradrace.bench.proof import isolation
from gradrace.bench.proof.agreement import Verdict, check_backends
from gradrace.bench.proof.isolation import Isolated, run_isolated
from gradrace.bench.proof.oracle import exact_trajectory
from gradrace.bench.proof.precision import FLOAT64
from gradrace.bench.proof.problems import Problem
from gradrace.bench.proof.returns import BackendError
from gradrace.bench.race.cases import make_case
from gradrace.bench.race.one_size import fault_at
from gradrace.bench.studies.mistakes import exposed
from tests.conftest import FOREIGN, write_forger

GOOD, BAD = str(FOREIGN / "good.py"), str(FOREIGN / "bad.py")


def verdicts(line: Dataset, *specs: str, timeout: float = 300) -> dict[str, Verdict]:
    exact = exact_trajectory(line.X, line.y, lr=0.005, epochs=20)
    checked = check_backends(
        specs, Problem("", line.X, line.y, 0.005, 20), exact=exact, timeout=timeout
    )
    return {result.verdict.backend: result.verdict for result in checked}


ENDING = {
    "exits": ("os._exit(3)", "its process ended with status 3 and no result"),
    "is killed": ("os.kill(os.getpid(), 9)", "its process was killed by SIGKILL"),
    "gets a real-time signal": ("os.kill(os.getpid(), 40)", "its process was killed by signal 40"),
    "raises": ("raise OSError('on purpose')", "raised OSError: on purpose (raises.py, line "),
}


def test_however_a_backend_ends_it_gets_a_verdict_and_the_others_are_judged(
    line: Dataset, tmp_path: Path
) -> None:
    for name, (code, _) in ENDING.items():
        (tmp_path / f"{name}.py").write_text(
            f"import os\nprepare = lambda X, y: None\ndef train(data, **job):\n    {code}\n"
        )
    (tmp_path / "talks.py").write_text(
        "import os, sys\nprint('a last word')\nsys.stdout.flush()\nos._exit(1)\n"
    )
    expected = {name: words for name, (_, words) in ENDING.items()}
    expected["talks"] = "its process ended with status 1 and no result: a last word"
    found = verdicts(line, *(str(tmp_path / f"{name}.py") for name in expected), GOOD)
    good = found[GOOD]  # two functions and a plain tuple suffice
    assert (good.agrees, good.pieces, good.bitwise) == (True, (), None), good.reason
    for name, words in expected.items():
        verdict = found[str(tmp_path / f"{name}.py")]
        assert (verdict.agrees, verdict.reason[: len(words)]) == (False, words)


def test_built_in_backends_agree_in_their_own_processes(line: Dataset) -> None:
    found = verdicts(line, "numba", "numpy", "python", "python")
    assert list(found) == ["python", "numba", "numpy"]
    assert [found[name].reason for name in found] == ["", "", ""]
    assert [found[name].bitwise for name in ("python", "numba")] == [True, True]
    assert found["numpy"].pieces == ("predict", "loss", "gradients", "update")


def test_files_in_the_current_folder_shadow_nothing(
    line: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("numpy", "scipy", "random", "ctypes", "psutil", "backends", "bench", "plots"):
        (tmp_path / f"{name}.py").write_text("1 / 0")
    (tmp_path / "mine.py").write_text((FOREIGN / "good.py").read_text())
    monkeypatch.chdir(tmp_path)
    found = verdicts(line, "numpy", "mine")
    assert [found[name].reason for name in found] == ["", ""]


def test_the_trajectory_arrives_unchanged(line: Dataset) -> None:
    from gradrace import backends

    module = backends.load("numba")
    here = module.train(module.prepare(line.X, line.y), lr=0.1, epochs=500)
    (there,) = run_isolated("numba", [Problem("", line.X, line.y, 0.1, 500)]).trajectories
    for a, b in zip(here, there, strict=True):
        np.testing.assert_array_equal(a, b)


HANGS = """import signal, subprocess
from pathlib import Path
signal.signal(signal.SIGTERM, signal.SIG_IGN)
prepare = lambda X, y: None
def train(data, **job):
    process = subprocess.Popen(["sleep", "600"])
    (Path(__file__).parent / "pid").write_text(str(process.pid) + ".")
    while True:
        pass
"""


def test_nothing_is_left_running_or_lying_about(
    line: Dataset, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    temporary, pid = tmp_path / "temporary", tmp_path / "pid"
    temporary.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(temporary))
    (tmp_path / "hangs.py").write_text(HANGS)
    problem = Problem("", line.X, line.y, 0.1, 1)
    with Isolated(str(tmp_path / "hangs.py"), [problem], timeout=None) as running:
        while not (pid.exists() and pid.read_text().endswith(".")):
            assert running.running
            time.sleep(0.02)
    assert list(temporary.iterdir()) == []
    while psutil.pid_exists(int(pid.read_text()[:-1])):
        time.sleep(0.02)  # its new parent has yet to collect it
    with pytest.raises(BackendError, match=r"no result after 0.1 s"):
        run_isolated(str(tmp_path / "hangs.py"), [problem], timeout=0.1)


def test_what_goes_on_working_is_told_from_what_sleeps(
    line: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    problems = [Problem("", line.X, line.y, 0.1, 1)]
    for how, failure in (("leaves a thread", ""), ("leaves a thread that works", "it keeps ")):
        monkeypatch.setenv("GRADRACE_TEST_HOW", how)
        assert run_isolated(BAD, problems).failure[:9] == failure


LEAVINGS = {
    "nothing": b"",
    "garbage": b"garbage",
    "an empty archive": b"PK\x05\x06" + bytes(18),
    "an array": b"\x93NUMPY\x01\x00garbage",
}


@pytest.mark.parametrize("name", LEAVINGS)
def test_what_a_child_leaves_is_not_believed(line: Dataset, tmp_path: Path, name: str) -> None:
    (tmp_path / "outcome.npz").write_bytes(LEAVINGS[name])
    found = isolation._outcome(tmp_path, [Problem("", line.X, line.y, 0.1, 1)], "")
    assert found.trajectories == []
    assert found.failure.startswith("its process left no readable result: ")


@pytest.mark.parametrize(
    ("file", "said"), [("failure.txt", "without a message"), ("problem.txt", "no result")]
)
def test_nor_are_its_messages(line: Dataset, tmp_path: Path, file: str, said: str) -> None:
    """The backend writes its own files, and ends its process with status 0."""
    backend = write_forger(tmp_path / "forger.py", "sys.argv[1]", file, b"")
    with pytest.raises(BackendError, match=said):
        run_isolated(backend, [Problem("", line.X, line.y, 0.1, 1)])


def test_a_backend_is_held_to_the_chain_it_declares(tmp_path: Path) -> None:
    data = synthetic(200_000, 1)
    job = Problem("many", data.X, data.y, 0.1, 2)
    wrong = {"sums": lambda X, r: ((X.T @ r) * (1 + 1e-11), r.sum())}
    short = {"longest_chain": lambda _n, _d: 300}
    assert exposed(wrong, [job]) == ""
    assert exposed(short, [job]) == ""
    assert exposed(wrong | short, [job]).startswith("many: w[0] at epoch 1: ")

    (tmp_path / "mine.py").write_text(
        "from gradrace.bench.studies.mistakes import Loop\n"
        "loop = Loop(sums=lambda X, r: ((X.T @ r) * (1 + 1e-11), r.sum()))\n"
        "prepare, train, longest_chain = loop.prepare, loop.train, lambda n, d: 300\n"
    )
    exact = exact_trajectory(data.X, data.y, lr=job.lr, epochs=job.epochs)
    (found,) = check_backends([str(tmp_path / "mine.py")], job, exact=exact)
    assert found.verdict.reason.startswith("w[0] at epoch 1: ")


def test_many_features_of_any_kind_are_judged_by_their_exact_sums() -> None:
    """Also the run from a given start, and one size on demand; only known integers are not."""
    data = synthetic(40, 160)
    exact = exact_trajectory(data.X, data.y, lr=0.01, epochs=3)
    (found,) = check_backends(["numpy"], Problem("", data.X, data.y, 0.01, 3), exact=exact)
    assert found.verdict.reason == ""
    assert fault_at(make_case(40, 160), "numpy", FLOAT64, None) == ""
