"""Whatever a foreign backend does, it gets a verdict, and the others are still judged."""

import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from gradrace.bench.data.samples import Dataset, synthetic
from gradrace.bench.proof.agreement import Verdict, check_backends
from gradrace.bench.proof.isolation import run_isolated
from gradrace.bench.proof.oracle import exact_trajectory
from gradrace.bench.proof.precision import FLOAT64
from gradrace.bench.proof.problems import Problem
from gradrace.bench.proof.returns import BackendError
from gradrace.bench.race.cases import make_case
from gradrace.bench.race.one_size import fault_at
from tests.conftest import FOREIGN, write_forger

GOOD, BAD = str(FOREIGN / "good.py"), str(FOREIGN / "bad.py")


EXPECTED = {
    "raises": r"raised ZeroDivisionError: on purpose, over two lines (bad.py, line ",
    "raises in prepare": r"raised KeyError: 'no such column' (bad.py, line ",
    "exits": "raised SystemExit: 0 (bad.py, line ",
    "ends its process": "its process ended with status 3 and no result",
    "kills its process": "its process was killed by SIGKILL",
    "sends itself a real-time signal": "its process was killed by signal 40",
    "raises unprintable text": "raised ValueError: ",
    "leaves a thread": "loss at epoch 0: got 0.0, exact ",
    "hangs": "no result after 3 s",
    "hangs and ignores signals": "no result after 3 s",
    "starts a child that hangs": "no result after 3 s",
    "recurses": "raised RecursionError: maximum recursion depth exceeded",
    "returns nothing": "train returned NoneType, not the four values (epoch, w, b, loss)",
    "returns a number": "train returned float, not the four values (epoch, w, b, loss)",
    "returns three": "train returned tuple, not the four values (epoch, w, b, loss)",
    "returns text": "loss has dtype <U3, not float64",
    "returns objects": "loss has dtype object, not float64",
    "returns integers": "loss has dtype int64, not float64",
    "returns float32": "w has dtype float32, not float64",
    "returns one row less": "w has shape (20, 1), not (21, 1)",
    "returns one row more": "w has shape (22, 1), not (21, 1)",
    "returns flat weights": "w has shape (21,), not (21, 1)",
    "returns ragged weights": "w has rows of unequal length",
    "returns other epochs": "epoch is not 0, 1, …, 20",
    "returns text for epochs": "epoch is not 0, 1, …, 20",
    "takes no start": (
        "from a given w0, b0, with every=3: raised TypeError: train() got an unexpected keyword "
        "argument 'w0'"
    ),
    "ignores the start": "from a given w0, b0, with every=3: w[0] at epoch 0: got 0.0, exact ",
    "ignores every": "from a given w0, b0, with every=3: w has shape (21, 1), not (8, 1)",
    "changes its input": "it changed the samples passed to prepare",
    "declares a chain in words": "longest_chain returned 'few', not a positive integer",
    "declares a chain of nothing": "longest_chain returned 0, not a positive integer",
    "ends while it is imported": "its process ended with status 1 and no result: a last word",
    "has a wrong piece": "from a given w0, b0, with every=3: predict(): got ",
    "has a piece that raises": (
        "from a given w0, b0, with every=3: gradients, which has an optional function of the "
        "interface as its name, raised NotImplementedError: later (bad.py, line "
    ),
}


def verdicts(line: Dataset, *specs: str, timeout: float = 300) -> dict[str, Verdict]:
    exact = exact_trajectory(line.X, line.y, lr=0.005, epochs=20)
    checked = check_backends(
        specs, Problem("", line.X, line.y, 0.005, 20), exact=exact, timeout=timeout
    )
    return {result.verdict.backend: result.verdict for result in checked}


@pytest.mark.slow
@pytest.mark.parametrize("how", EXPECTED)
def test_a_bad_backend_gets_its_own_verdict(
    line: Dataset, how: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GRADRACE_TEST_HOW", how)
    found = verdicts(line, BAD, GOOD, timeout=3 if "hangs" in how else 300)
    assert found[GOOD].agrees, found[GOOD].reason
    assert not found[BAD].agrees
    assert found[BAD].reason.startswith(EXPECTED[how])
    assert "\n" not in found[BAD].reason


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


def test_two_functions_and_a_plain_tuple_suffice(line: Dataset) -> None:
    found = verdicts(line, GOOD)[GOOD]
    assert found.agrees, found.reason
    assert (found.pieces, found.bitwise) == ((), None)


def test_the_trajectory_arrives_unchanged(line: Dataset) -> None:
    from gradrace import backends

    module = backends.load("numba")
    here = module.train(module.prepare(line.X, line.y), lr=0.1, epochs=500)
    (there,) = run_isolated("numba", [Problem("", line.X, line.y, 0.1, 500)]).trajectories
    for a, b in zip(here, there, strict=True):
        np.testing.assert_array_equal(a, b)


def test_nothing_is_left_running_or_lying_about(
    line: Dataset, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    monkeypatch.setenv("GRADRACE_TEST_HOW", "starts a child that hangs")
    monkeypatch.setenv("GRADRACE_TEST_PID", str(tmp_path / "pid"))
    start = time.monotonic()
    with pytest.raises(BackendError, match="no result after 3 s"):
        run_isolated(BAD, [Problem("", line.X, line.y, 0.1, 1)], timeout=3)
    assert time.monotonic() - start < 300  # its child would take 600 s
    assert [path.name for path in tmp_path.iterdir()] == ["pid"]
    pid = int((tmp_path / "pid").read_text())
    while Path(f"/proc/{pid}").exists() and time.monotonic() - start < 300:
        time.sleep(0.1)  # its new parent has yet to collect it
    assert not Path(f"/proc/{pid}").exists()


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
@pytest.mark.parametrize("file", ["outcome.npz", "failure.txt", "problem.txt"])
def test_what_a_child_leaves_is_not_believed(
    line: Dataset, tmp_path: Path, name: str, file: str
) -> None:
    """The backend writes its own files, and ends its process with status 0."""
    backend = write_forger(tmp_path / "forger.py", "sys.argv[1]", file, LEAVINGS[name])
    with pytest.raises(BackendError, match=r"result|without a message|garbage|PK|NUMPY"):
        run_isolated(backend, [Problem("", line.X, line.y, 0.1, 1)])


@pytest.mark.parametrize(
    ("condensed", "reason"),
    [("data", ""), ("(data[0][1:], data[1][1:])", "from a given w0, b0, with every=3: loss at ")],
)
def test_training_from_what_condense_returns_is_judged_too(
    line: Dataset, tmp_path: Path, condensed: str, reason: str
) -> None:
    source = (FOREIGN / "good.py").read_text()
    (tmp_path / "mine.py").write_text(f"{source}\n\ndef condense(data):\n    return {condensed}\n")
    (found,) = verdicts(line, str(tmp_path / "mine.py")).values()
    assert (found.agrees, found.reason[: len(reason)]) == (not reason, reason)


SLIGHTLY_WRONG = """
import numpy as np

def prepare(X, y):
    return X, y

def train(data, *, lr, epochs, w0=None, b0=0.0, every=1):
    X, y = data
    w, b = np.zeros(X.shape[1]) if w0 is None else np.asarray(w0), b0
    path = []
    for epoch in range(epochs + 1):
        r = X @ w + b - y
        path.append((epoch, w, b, r @ r / len(y)))
        w, b = w - lr * 2 / len(y) * (r @ X) * (1 + 1e-10), b - lr * 2 / len(y) * r.sum()
    rows = [row for row in path if row[0] % every == 0 or row[0] == epochs]
    return tuple(np.array(column) for column in zip(*rows))
"""


def test_a_backend_is_held_to_the_chain_it_declares(tmp_path: Path, line: Dataset) -> None:
    data = synthetic(1_000_000, 1)
    job, small = Problem("", data.X, data.y, 0.1, 2), Problem("", line.X, line.y, 0.005, 0)
    exact, known = (exact_trajectory(p.X, p.y, lr=p.lr, epochs=p.epochs) for p in (job, small))
    verdicts = []
    for name, more in (("silent", ""), ("declaring", "longest_chain = lambda n, d: 1_100\n")):
        path = tmp_path / f"{name}.py"
        path.write_text(SLIGHTLY_WRONG + more)
        (large,) = check_backends([str(path)], job, exact=exact)
        others = [replace(job, name="many")]
        (other,) = check_backends([str(path)], small, exact=known, others=others)
        verdicts.append((large.verdict, other.verdict))
    assert [verdict.agrees for verdict in verdicts[0]] == [True, True]
    assert [verdict.agrees for verdict in verdicts[1]] == [False, False]
    assert verdicts[1][0].reason.startswith("w[0] at epoch 1: ")
    assert verdicts[1][1].reason.startswith("many: w[0] at epoch 1: ")


def test_many_features_of_any_kind_are_judged_by_their_exact_sums() -> None:
    """Also the run from a given start, and one size on demand; only known integers are not."""
    data = synthetic(40, 160)
    exact = exact_trajectory(data.X, data.y, lr=0.01, epochs=3)
    (found,) = check_backends(["numpy"], Problem("", data.X, data.y, 0.01, 3), exact=exact)
    assert found.verdict.reason == ""
    assert fault_at(make_case(40, 160), "numpy", FLOAT64, None) == ""
