"""The calls that a backend must survive: one problem after another, in a process of its own.

Their order is meant to expose state kept from call to call. Some problems are solved again, in turn
with others of the same shape. What `train` returned is compared, several calls later, with a
copy made at once. Samples are released as soon as no later problem needs them; the next ones of
that shape then get the same memory, and, if possible, the same `id`.
"""

import contextlib
import math
import os
import pickle
import sys
import time
import traceback
import warnings
from collections import deque
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Literal, NamedTuple, cast

import numpy as np
import psutil

from gradrace import backends
from gradrace.backends.interface import Backend, Floats, InputError, Trajectory
from gradrace.bench.machine.surroundings import flushes_to_zero
from gradrace.bench.proof.precision import Precision
from gradrace.bench.proof.problems import Problem
from gradrace.bench.proof.returns import (
    BackendError,
    as_floats,
    as_trajectory,
    describe,
    four_values,
    longest_chains,
    precision_of,
)

_STARTS: dict[str, Callable[[Floats], Any]] = {
    "an array": np.copy,
    "read-only": lambda w0: np.frombuffer(w0.tobytes()),
    "a view": lambda w0: np.column_stack([w0, w0 + 1])[:, 0],
    "a list": np.ndarray.tolist,
    "a tuple": lambda w0: tuple(w0.tolist()),
    "integers": lambda w0: w0.astype(np.int64),
    "a list of integers": lambda w0: w0.astype(np.int64).tolist(),
    "float32": lambda w0: w0.astype(np.float32),
}
PIECES_LR = 0.3  # the rate at which `update` is checked
_KEPT = 12  # results
_MOST_OTHERS = 50  # arrays made until one has the wanted id
_SETTLING, _WATCHED, _BUSY = 0.25, 0.1, 0.1  # seconds, seconds, cores
_LOOKS = 3  # a thread seen busy only once was just ending


def main() -> None:
    """Work through a job: the folder that holds it is the argument of this process."""
    folder = Path(sys.argv[1])
    spec, problems = pickle.loads((folder / "job.pickle").read_bytes())
    work(lambda: backends.load(spec), problems, folder)
    sys.stdout.flush()
    os._exit(0)  # even if threads of the backend still run


def work(load: Callable[[], Backend], problems: Sequence[Problem], folder: Path) -> None:
    """Train a backend on problems, and write what it returned, or what went wrong, to `folder`."""
    arrays: dict[str, Floats] = {}
    try:
        _exercise(load(), problems, folder / "problem.txt", arrays)
    except BaseException as error:  # whatever a foreign backend raises, SystemExit included
        traceback.print_exc()
        ours = isinstance(error, BackendError | InputError)
        text = str(error) if ours else describe(error)
        (folder / "failure.txt").write_text(text, "utf-8", "backslashreplace")
    flat = [np.ravel(values) for values in arrays.values()]  # one array is read much faster
    np.savez(
        folder / "partial.npz",
        allow_pickle=False,
        names=np.array(list(arrays), dtype=np.str_),
        sizes=np.array([len(values) for values in flat], dtype=np.int64),
        values=np.concatenate([np.empty(0), *flat]),
    )
    (folder / "partial.npz").rename(folder / "outcome.npz")


def _exercise(
    backend: Backend, problems: Sequence[Problem], doing: Path, arrays: dict[str, Any]
) -> None:
    """Train on every problem, and call the other functions where one asks for it; fill `arrays`.

    The name of the current problem is written to `doing`. If the backend has `condense`, training
    starts from what that returns in every other problem, where other functions are called, and
    where the samples are not in memory.
    """
    precision = precision_of(backend)
    arrays["unit"] = precision.unit
    stock, results = _Stock(backend, problems), _Results(precision, doing)
    for i, problem in enumerate(problems):
        doing.write_text(problem.name, "utf-8")
        known = stock.take(i)
        data = stock.condensed(i) if problem.pieces or i % 2 else known.data
        again = any(problem is earlier for earlier in problems[:i])
        path = results.keep(problem, _trained(backend, data, problem, explicitly=again))
        arrays[f"{i}_path"] = np.column_stack(path)
        arrays[f"{i}_chains"] = longest_chains(backend, problem.n, problem.X.shape[1])
        if problem.pieces and problem.w0 is not None:
            pieces = _evaluate_pieces(backend, known, problem.w0, problem.b0, precision)
            arrays |= {f"{i}_{piece}": values for piece, values in pieces.items()}
        if not (np.array_equal(known.X, problem.X) and np.array_equal(known.y, problem.y)):
            raise BackendError("it changed the samples passed to prepare")
        if flushes_to_zero():
            raise BackendError(
                "it makes the processor replace numbers below 2.2e-308 with 0, in everything that "
                "runs afterward (is a library compiled with -Ofast or -ffast-math?)"
            )
        del data, known  # before the memory is used again
        stock.release(i)
    results.check_all()
    doing.unlink(missing_ok=True)
    for _ in range(_LOOKS):
        time.sleep(_SETTLING)  # threads of a library may spin for a while before they sleep
        if (cores := _busy_cores()) <= _BUSY:
            return
    raise BackendError(f"it keeps {cores:.1f} cores busy after train has returned")


class _Known(NamedTuple):
    """Samples that a backend has prepared."""

    data: Any
    """What `prepare` returned"""
    X: Floats
    """The arrays that it was given"""
    y: Floats


class _Stock:
    """The prepared samples, shared by all problems that use the same ones.

    After the last of these problems, their memory is free for the next samples of that shape.
    """

    def __init__(self, backend: Backend, problems: Sequence[Problem]) -> None:
        self._backend, self._problems = backend, problems
        self._keys = [(id(problem.X), id(problem.y), problem.memory) for problem in problems]
        self._last = {key: i for i, key in enumerate(self._keys)}
        self._known: dict[tuple[int, int, str], _Known] = {}
        self._condensed: dict[tuple[int, int, str], Any] = {}
        self._free: dict[tuple[tuple[int, ...], str], list[tuple[Floats, int]]] = {}
        """Shape and kind of memory → blocks of memory, and the id of the array that was there"""

    def take(self, i: int) -> _Known:
        """Return the samples of the i-th problem."""
        key, problem = self._keys[i], self._problems[i]
        if key not in self._known:
            if problem.prepared is None:
                X, y = (self._placed(values, problem.memory) for values in (problem.X, problem.y))
                _soil(X)
                self._known[key] = _Known(self._backend.prepare(X, y), X, y)
            else:
                data = _condensed(self._backend, problem.prepared)
                self._known[key] = _Known(data, problem.X, problem.y)
        return self._known[key]

    def condensed(self, i: int) -> Any:
        """Return what `condense` makes of them, or the prepared samples without it."""
        key = self._keys[i]
        if self._problems[i].prepared is not None:
            return self._known[key].data
        if key not in self._condensed:
            self._condensed[key] = _condensed(self._backend, self._known[key].data)
        return self._condensed[key]

    def release(self, i: int) -> None:
        """Forget the samples of the i-th problem if no later one needs them."""
        if self._last[self._keys[i]] == i:
            known, memory = self._known.pop(self._keys[i]), self._problems[i].memory
            self._condensed.pop(self._keys[i], None)
            for array in (known.X, known.y):
                if isinstance(array.base, np.ndarray):
                    free = self._free.setdefault((array.shape, memory), [])
                    free.append((array.base, id(array)))

    def _placed(self, values: Floats, memory: str) -> Floats:
        """Return an array of these values, where others were before if there is such a place."""
        places, order, used = _layout(values.shape, memory)
        if free := self._free.get((values.shape, memory)):
            room, wanted = free.pop()
        else:
            room, wanted = np.full(1 + math.prod(places), np.nan), 0

        def view() -> Floats:
            found: Floats = room[1:].reshape(places, order=order)[used]
            return found

        array = view()
        others: list[Floats] = []
        while wanted and id(array) != wanted and len(others) < _MOST_OTHERS:
            others.append(array)  # so that the next one gets another id
            array = view()
        array[...] = values
        array.flags.writeable = memory != "read-only"
        return array


def _layout(shape: tuple[int, ...], memory: str) -> tuple[list[int], Literal["C", "F"], Any]:
    """Return the shape and order of a larger array, and which part of it X or y is."""
    n, *d = shape
    if memory == "with gaps":
        return [2 * length for length in shape], "C", (slice(None, None, 2),) * len(shape)
    if memory == "in a wider table" or (memory == "y in a table" and not d):
        return [n, (d or [1])[0] + 1], "C", (slice(None), slice(-1) if d else -1)
    if memory == "in a longer table":
        return [n + 1, *d], "F", (slice(n),)
    return [*shape], "F" if memory == "in Fortran order" else "C", ...


def _soil(X: Floats) -> None:
    """Fill memory of twice the size and free it, so that memory never set is not 0 by luck.

    Do so twice: the first time, the C library may give a large block back to the system.
    """
    for _ in range(2):
        np.full(2 * X.size, np.nan)


class _Results:
    """What `train` returned in the last few calls, and copies made at once."""

    def __init__(self, precision: Precision, doing: Path) -> None:
        self._precision, self._doing = precision, doing
        self._kept: deque[tuple[Problem, Any, Trajectory]] = deque()

    def keep(self, problem: Problem, result: Any) -> Trajectory:
        """Return the result as a trajectory; check the one of some calls ago."""
        values = four_values(result)
        path = self._converted(problem, values)
        self._kept.append((problem, values, path))
        if len(self._kept) > _KEPT:
            self._check(*self._kept.popleft())
        return path

    def check_all(self) -> None:
        """Check the results that are left."""
        while self._kept:
            self._check(*self._kept.popleft())

    def _check(self, problem: Problem, values: Any, path: Trajectory) -> None:
        now = self._converted(problem, values)
        if not all(map(partial(np.array_equal, equal_nan=True), path, now)):
            self._doing.write_text(problem.name, "utf-8")
            raise BackendError("a later call changed what train had returned")

    def _converted(self, problem: Problem, values: Any) -> Trajectory:
        d = problem.X.shape[1]
        return as_trajectory(values, problem.epochs, d, problem.every, self._precision)


def _trained(backend: Backend, data: Any, problem: Problem, *, explicitly: bool) -> Any:
    """Call `train`, `explicitly` with all arguments, or without those that equal the defaults."""
    start = None if problem.w0 is None else _STARTS[problem.start](problem.w0)
    job: dict[str, Any] = {"w0": start, "b0": problem.b0, "every": problem.every}
    if not explicitly:
        defaults = {"w0": start is None, "b0": problem.b0 == 0, "every": problem.every == 1}
        job = {name: value for name, value in job.items() if not defaults[name]}
    result = _quietly(backend, "train", data, lr=problem.lr, epochs=problem.epochs, **job)
    if start is not None and not np.array_equal(start, cast(Floats, problem.w0)):
        raise BackendError("it changed the w0 passed to train")
    return result


def _quietly(backend: Backend, name: str, *args: Any, **kwargs: Any) -> Any:
    """Return what a function of the backend returns; a RuntimeWarning is an error."""
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        result = getattr(backend, name)(*args, **kwargs)
    for warning in said:
        if issubclass(warning.category, RuntimeWarning):
            place = f"{Path(warning.filename).name}, line {warning.lineno}"
            raise BackendError(f"{name} warned: {warning.message} ({place})")
    return result


def _optional(backend: Backend, name: str, *args: Any) -> Any:
    """Return what a function returns that a backend need not have."""
    try:
        return _quietly(backend, name, *args)
    except BackendError:
        raise
    except Exception as error:  # a foreign backend may raise anything
        reason = f"{name}, which has an optional function of the interface as its name"
        raise BackendError(f"{reason}, {describe(error)}") from None


def _condensed(backend: Backend, data: Any) -> Any:
    return _optional(backend, "condense", data) if hasattr(backend, "condense") else data


def _evaluate_pieces(
    backend: Backend, known: _Known, w0: Floats, b: float, precision: Precision
) -> dict[str, Floats]:
    """Evaluate predict, loss, gradients and update at (w0, b0), if the backend has them.

    They are called before at (−w0, b0), with the same arrays, and at another rate.
    """
    w, call = -w0, partial(_call_pieces, backend, known, partial(as_floats, precision=precision))
    _, kept = call(w, b, 2 * PIECES_LR)
    w *= -1
    values, _ = call(w, b, PIECES_LR)
    if not np.array_equal(w, w0):
        raise BackendError("it changed the w passed to predict, loss, gradients or update")
    for name, (result, before) in kept.items():
        if not np.array_equal(np.asarray(result), before, equal_nan=True):
            raise BackendError(f"a later call changed what {name} had returned")
    return values


def _call_pieces(
    backend: Backend, known: _Known, floats: Callable[..., Floats], w: Floats, b: float, lr: float
) -> tuple[dict[str, Floats], dict[str, tuple[Any, Floats]]]:
    """Return the values of the functions, and the arrays that they returned, with copies."""
    X, y, d = known.X, known.y, len(w)
    values: dict[str, Floats] = {}
    kept: dict[str, tuple[Any, Floats]] = {}
    if hasattr(backend, "predict"):
        y_hat = _optional(backend, "predict", X, w, b)
        values["predict"] = floats("predict", y_hat, y.shape)
        kept["predict"] = y_hat, values["predict"]
    if hasattr(backend, "loss"):
        values["loss"] = floats("loss", [_optional(backend, "loss", X, y, w, b)], (1,))
    grad_w, grad_b = np.ones(d), 1.0
    if hasattr(backend, "gradients"):
        grad_w, grad_b = _optional(backend, "gradients", X, y, w, b)
        kept["gradients"] = grad_w, floats("grad_w", grad_w, (d,))
        values["gradients"] = np.append(kept["gradients"][1], floats("grad_b", [grad_b], (1,)))
    if hasattr(backend, "update"):
        new_w, new_b = _optional(backend, "update", w, b, grad_w, grad_b, lr)
        kept["update"] = new_w, floats("w", new_w, (d,))
        values["update"] = np.append(kept["update"][1], floats("b", [new_b], (1,)))
    return values, kept


def _busy_cores() -> float:
    """Return how many cores this process and its descendants keep busy while it waits."""
    before, start = _seconds_of_family(), time.perf_counter()
    time.sleep(_WATCHED)
    return (_seconds_of_family() - before) / (time.perf_counter() - start)


def _seconds_of_family() -> float:
    """Return the processor time of this process and of its descendants that still run."""
    seconds = time.process_time()
    for process in psutil.Process().children(recursive=True):
        with contextlib.suppress(psutil.Error):  # it has just ended
            seconds += sum(process.cpu_times()[:2])
    return seconds
