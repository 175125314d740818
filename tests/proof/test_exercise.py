"""The calls that a backend must survive: what is kept from one to the next, and what is passed."""

import platform
import warnings
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest

from gradrace.backends.interface import Backend, Floats
from gradrace.bench.proof import exercise
from gradrace.bench.proof.exercise import _Stock
from gradrace.bench.proof.isolation import outcome_here, run_isolated
from gradrace.bench.proof.problems import Problem, properties, suite
from gradrace.bench.studies.mistakes import MISTAKES, Loop, exposed
from tests.conftest import FOREIGN


@pytest.fixture(autouse=True)
def _no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exercise, "_SETTLING", 0.0)
    monkeypatch.setattr(exercise, "_busy_cores", lambda: 0.0)


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_exposed_by_the_property_that_it_lacks(mistake: str) -> None:
    lacks, changes = MISTAKES[mistake]
    assert exposed(changes(), properties()[lacks])


def test_the_loop_without_mistakes_is_right() -> None:
    assert exposed({}, suite()) == ""


def test_the_results_of_the_last_calls_are_compared_too() -> None:
    _, changes = MISTAKES["returned arrays that the next call overwrites"]
    jobs = problem(), replace(problem(), name="there", lr=0.02)
    assert exposed(changes(), jobs) == "here: a later call changed what train had returned"


def problem(**more: Any) -> Problem:
    X = np.arange(6.0).reshape(3, 2)
    return Problem("here", X, X[:, 0] + 1, 0.01, 2, **more)


def calls(*problems: Problem) -> list[dict[str, Any]]:
    """What `train` is given besides the data, the rate and the epochs."""
    made: list[dict[str, Any]] = []

    class Recording(Loop):
        def train(self, data: Any, *, lr: float, epochs: int, **job: Any) -> Any:
            made.append(job)
            return super().train(data, lr=lr, epochs=epochs, **job)

    assert outcome_here(cast(Backend, Recording()), problems).failure == ""
    return made


def test_the_first_call_leaves_defaults_out_and_the_second_passes_everything() -> None:
    plain, given = problem(), problem(w0=np.array([1.0, 2.0]), b0=0.5, every=2)
    first, second, third = calls(plain, plain, given)
    assert first == {}
    assert second == {"w0": None, "b0": 0.0, "every": 1}
    assert sorted(third) == ["b0", "every", "w0"]


@pytest.mark.parametrize(
    ("start", "kind"),
    [("a list", list), ("a list of integers", list), ("integers", np.ndarray)],
)
def test_a_start_is_what_its_name_says(start: Any, kind: type) -> None:
    (call,) = calls(problem(w0=np.array([1.0, 2.0]), start=start))
    assert type(call["w0"]) is kind
    w0 = np.asarray(call["w0"])
    assert w0.tolist() == [1, 2]
    integers = w0.dtype.kind == "i"
    assert integers == ("integers" in start)


@pytest.mark.parametrize("start", ["read-only", "a view"])
def test_a_start_may_be_any_array(start: Any) -> None:
    (call,) = calls(problem(w0=np.array([1.0, 2.0]), start=start))
    flags = call["w0"].flags
    assert (flags.writeable, flags.c_contiguous) == (start != "read-only", start != "a view")


@pytest.mark.parametrize("memory", ["in C order", "in Fortran order", "with gaps", "read-only"])
def test_samples_lie_in_memory_as_the_problem_says(memory: Any) -> None:
    given: list[Floats] = []
    keep = SimpleNamespace(prepare=lambda X, y: given.extend((X, y)))
    job = problem(memory=memory)
    _Stock(cast(Backend, keep), [job]).take(0)
    X, y = given
    assert np.array_equal(X, job.X)
    assert np.array_equal(y, job.y)
    assert X.flags.c_contiguous == (memory in ("in C order", "read-only"))
    assert X.flags.f_contiguous == (memory == "in Fortran order")
    assert y.flags.c_contiguous == (memory != "with gaps")
    assert X.flags.writeable == y.flags.writeable == (memory != "read-only")


def test_new_samples_get_the_address_and_the_id_of_those_released() -> None:
    jobs = [problem() for _ in range(3)]
    places = []
    keep = SimpleNamespace(prepare=lambda X, _: places.append((id(X), X.ctypes.data)))
    stock = _Stock(cast(Backend, keep), [*jobs[:2], jobs[0], jobs[2]])
    stock.take(0)
    stock.release(0)  # a later problem needs them
    stock.take(1)
    stock.release(1)
    stock.take(2)
    stock.take(3)
    assert places[0] not in places[1:]
    assert places[2] == places[1]


FLUSH = """import ctypes
libm, state = ctypes.CDLL("libm.so.6"), (ctypes.c_ubyte * 32)()
libm.fegetenv(state)
state[29] |= 0x80
libm.fesetenv(state)"""


@pytest.mark.parametrize(
    ("what", "said"),
    [
        (lambda: warnings.warn("hot", RuntimeWarning, stacklevel=1), "here: train warned: hot ("),
        (lambda: warnings.warn("old", DeprecationWarning, stacklevel=1), ""),
        (lambda: int("so " * 10_000), "here: raised ValueError: invalid literal"),
    ],
)
def test_what_happens_besides_is_told_in_a_line(what: Callable[[], None], said: str) -> None:
    def train(data: Any, **job: Any) -> Any:
        what()
        return Loop().train(data, **job)

    found = exposed({"train": train}, [problem()])
    assert (found[: len(said)], bool(found)) == (said, bool(said))
    assert len(found) < 400


@pytest.mark.parametrize(
    ("imported", "said"),
    [
        ("import os; assert os.environ['NUMBA_NUM_THREADS'] == '3'", ""),
        (FLUSH, "it makes the proc"),
    ],
)
def test_a_process_has_three_threads_and_keeps_tiny_numbers(
    tmp_path: Path, imported: str, said: str
) -> None:
    if imported == FLUSH and platform.machine() != "x86_64":
        pytest.skip("the bit that is set here is that of x86-64")
    (tmp_path / "mine.py").write_text(f"{imported}\n{(FOREIGN / 'good.py').read_text()}")
    found = run_isolated(str(tmp_path / "mine.py"), [replace(problem(), name="")]).failure
    assert (found[: len(said)], bool(found)) == (said, bool(said))
