"""What a backend returns, raises or declares is judged in one line."""

import re
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest

from gradrace.backends.interface import Backend
from gradrace.bench.proof import exercise
from gradrace.bench.proof.problems import Problem
from gradrace.bench.proof.returns import BackendError, as_trajectory, longest_chains
from gradrace.bench.studies.mistakes import Changes, Loop, exposed

EPOCHS, ROWS = 20, 21
EPOCH, W, ZEROS = np.arange(ROWS), np.zeros((ROWS, 1)), np.zeros(ROWS)
NOT_FOUR, OTHER_EPOCHS = "not the four values (epoch, w, b, loss)", "epoch is not 0, 1, …, 20"

RETURNED: dict[str, tuple[Any, str]] = {
    "nothing": (None, f"train returned NoneType, {NOT_FOUR}"),
    "a number": (3.0, f"train returned float, {NOT_FOUR}"),
    "three values": ((EPOCH, W, ZEROS), f"train returned tuple, {NOT_FOUR}"),
    "text": ((EPOCH, W, ZEROS, ["low"] * ROWS), "loss has dtype <U3, not float64"),
    "objects": ((EPOCH, W, ZEROS, [None] * ROWS), "loss has dtype object, not float64"),
    "integers": ((EPOCH, W, ZEROS, [0] * ROWS), "loss has dtype int64, not float64"),
    "float32": ((EPOCH, W.astype("f4"), ZEROS, ZEROS), "w has dtype float32, not float64; a back"),
    "a row less": ((EPOCH[1:], W[1:], ZEROS, ZEROS), "w has shape (20, 1), not (21, 1)"),
    "flat weights": ((EPOCH, ZEROS, ZEROS, ZEROS), "w has shape (21,), not (21, 1)"),
    "ragged weights": ((EPOCH, [[0.0], [0.0, 1.0]], ZEROS, ZEROS), "w has rows of unequal length"),
    "a structure": ((EPOCH, W, np.zeros(ROWS, "f8,f8"), ZEROS), "b has a structured dtype, not "),
    "other epochs": ((EPOCH + 1, W, ZEROS, ZEROS), OTHER_EPOCHS),
    "epochs in words": ((["0"] * ROWS, W, ZEROS, ZEROS), OTHER_EPOCHS),
}


@pytest.mark.parametrize("what", RETURNED)
def test_what_is_no_trajectory_is_refused(what: str) -> None:
    value, message = RETURNED[what]
    with pytest.raises(BackendError, match="^" + re.escape(message)):
        as_trajectory(value, EPOCHS, 1)


@pytest.mark.parametrize("chain", ["few", 0, True, 2.0])
def test_a_chain_must_be_a_positive_integer(chain: Any) -> None:
    backend: Any = SimpleNamespace(longest_chain=lambda _n, _d: chain)
    with pytest.raises(BackendError, match=f"longest_chain returned {chain!r}, not a positive"):
        longest_chains(backend, 100, 1)


def raising(error: BaseException) -> Callable[..., Any]:
    def function(*_: Any, **__: Any) -> Any:
        raise error

    return function


def recursing(**job: Any) -> Any:
    return recursing(**job)


class WordlessError(Exception):
    def __str__(self) -> str:
        raise TypeError


def shifted(X: Any, y: Any) -> Any:
    data = X.copy(), y.copy()
    y -= y.mean()
    return data


RESUMED = "from a given start: "
BROKEN: dict[str, tuple[Changes, str]] = {
    "two lines": ({"train": raising(OSError("no\ndisk"))}, "raised OSError: no disk (test_returns"),
    "no words": ({"train": raising(WordlessError())}, "raised WordlessError: without a word ("),
    "no UTF-8": ({"train": raising(OSError("\udcff"))}, "raised OSError: \\udcff ("),
    "in prepare": ({"prepare": raising(KeyError("x"))}, "raised KeyError: 'x' (test_returns.py, "),
    "an exit": ({"train": raising(SystemExit(0))}, "raised SystemExit: 0 (test_returns.py, line "),
    "recursion": (
        {"train": lambda _, **job: recursing(**job)},
        "raised RecursionError: maximum recursion depth exceeded",
    ),
    "a start not taken": (
        {"train": lambda data, *, lr, epochs: Loop().train(data, lr=lr, epochs=epochs)},
        RESUMED + "raised TypeError: ",
    ),
    "a start ignored": (
        {"start": lambda d, _w0, _b0: (np.zeros(d), 0.0)},
        RESUMED + "w[0] at epoch 0: got 0.0, exact 1.0",
    ),
    "every ignored": (
        {"train": lambda data, **job: Loop().train(data, **{**job, "every": 1})},
        RESUMED + "w has shape (21, 1), not (8, 1)",
    ),
    "samples changed": ({"prepare": shifted}, "it changed the samples passed to prepare"),
    "a wrong function": ({"predict": lambda X, w, b: X @ w - b}, RESUMED + "predict(): got "),
    "a function that raises": (
        {"gradients": raising(NotImplementedError("later"))},
        RESUMED + "gradients, which has an optional function of the interface as its name, raised "
        "NotImplementedError: later (test_returns.py, line ",
    ),
}


@pytest.mark.parametrize("what", BROKEN)
def test_what_a_backend_does_instead_is_said(
    what: str, line: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exercise, "_SETTLING", 0.0)
    changes, message = BROKEN[what]
    job = Problem("", line.X, line.y, 0.005, EPOCHS)
    resumed = Problem(
        RESUMED[:-2], line.X, line.y, 0.005, EPOCHS, w0=np.ones(1), b0=0.5, every=3, pieces=True
    )
    said = exposed(changes, [job, resumed]).removeprefix(": ")
    assert said.startswith(message)
    assert "\n" not in said


def test_a_right_loop_has_no_fault(line: Any) -> None:
    assert exposed({}, [Problem("", line.X, line.y, 0.005, EPOCHS)]) == ""
    backend = cast(Backend, Loop(longest_chain=lambda _n, _d: 7, PASSES_ONCE=True))
    assert longest_chains(backend, 100, 1) == (7, 100)
