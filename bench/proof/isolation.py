"""Run one backend in its own process, so that nothing it does can affect the others.

The parent writes the problems to a temporary folder and starts a child process, which loads the
backend, trains it on one problem after another, and writes plain float64 arrays back. If a backend
raises, hangs, kills its process or returns anything but a trajectory, the `Outcome` says so. If
there is no trajectory even for the first problem, a `BackendError` is raised.
"""

import contextlib
import os
import pickle
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple, cast

import numpy as np
import psutil

from gradrace import backends
from gradrace.backends.interface import Backend, Floats, InputError, Trajectory, recorded_epochs
from gradrace.bench.data.files import check_space, write_bytes
from gradrace.bench.machine import child
from gradrace.bench.proof.oracle import ExactTrajectory
from gradrace.bench.proof.precision import BY_UNIT, FLOAT64, Precision
from gradrace.bench.proof.problems import Problem

PIECES_LR = 0.3  # the rate at which `update` is checked
_SETTLING, _WATCHED, _BUSY = 0.25, 0.1, 0.1  # seconds, seconds, cores
_LOOKS = 3  # what is busy only once has just been ending

_CHILD = "from gradrace.bench.proof import isolation; isolation._child()"


class BackendError(Exception):
    """The backend returned no trajectory; the message says what happened instead."""


class Chains(NamedTuple):
    """The most additions in a row that a sample takes part in."""

    gradient: int
    loss: int


@dataclass(frozen=True)
class Outcome:
    """What a backend returned, problem by problem, at least for the first one."""

    trajectories: list[Trajectory]
    pieces: list[dict[str, Floats]]
    """What its other functions returned, if it has them: predict, ŷ (n,); loss, L (1,); gradients,
    (∂L/∂w, ∂L/∂b) (d + 1,); update, the new (w, b) (d + 1,) after a step with these gradients and
    α = 0.3. Empty if the problem does not ask for them."""
    chains: list[Chains]
    """The longest chains of additions that it declares"""
    precision: Precision
    """What it declares to compute in"""
    failure: str
    """What went wrong, such as why trajectories are missing; empty if nothing did."""

    def bound(self, exact: ExactTrajectory, i: int) -> ExactTrajectory:
        """Return the exact trajectory of the i-th problem with the bound that holds for it."""
        return exact.held_to(self.chains[i].gradient, self.precision, self.chains[i].loss)


def run_isolated(spec: str, problems: Sequence[Problem], timeout: float | None = 60.0) -> Outcome:
    """Train backend `spec` on every problem in a child process; `timeout` is for all, in seconds.

    Raises:
        BackendError: no trajectory for the first problem came back in time.
        OSError: the folder for temporary files is full.

    """
    with tempfile.TemporaryDirectory(prefix="gradrace-") as name:
        folder = Path(name)
        write_bytes(folder / "job.pickle", pickle.dumps((spec, list(problems))))
        failure = _failure(folder, timeout)
        if failure:
            check_space(folder)  # if it is full, that is the reason
        doing = text_of(folder / "problem.txt")
        if failure and doing in {problem.name for problem in problems[1:]}:
            failure = f"{doing}: {failure}"
        outcome = _outcome(folder / "outcome.npz", problems, failure)
    if not outcome.trajectories:
        raise BackendError(outcome.failure)
    return outcome


def _failure(folder: Path, timeout: float | None) -> str:
    """Run the child until it ends; return why it failed, or an empty string."""
    try:
        status = _run_child(folder, timeout)
    except BackendError as error:
        return str(error)
    if status < 0:
        return f"its process was killed by {signal_name(-status)}"
    if (folder / "failure.txt").exists():
        return text_of(folder / "failure.txt") or "raised something without a message"
    if status or not (folder / "outcome.npz").exists():
        said = " ".join(text_of(folder / "output.txt").split("\n")[-2:]).strip()
        return f"its process ended with status {status} and no result" + (said and f": {said}")
    return ""


def _outcome(path: Path, problems: Sequence[Problem], failure: str) -> Outcome:
    """Read what a child has written, without trusting any of it."""
    trajectories: list[Trajectory] = []
    pieces: list[dict[str, Floats]] = []
    chains: list[Chains] = []
    precision = FLOAT64
    try:
        with np.load(path, allow_pickle=False) as arrays:
            precision = BY_UNIT[float(arrays["unit"])] if "unit" in arrays else FLOAT64
            for i, problem in enumerate(problems):
                if failure and f"{i}_path" not in arrays:
                    break
                d = problem.X.shape[1]
                epoch, *w, b, loss = arrays[f"{i}_path"].T
                found = (epoch, np.reshape(w, (d, -1)).T, b, loss)
                trajectories.append(as_trajectory(found, problem.epochs, d, problem.every))
                chains.append(Chains(*map(int, arrays[f"{i}_chains"])))
                sizes = {"predict": len(problem.y), "loss": 1, "gradients": d + 1, "update": d + 1}
                pieces.append(
                    {
                        piece: _as_floats(piece, arrays[f"{i}_{piece}"], (size,))
                        for piece, size in sizes.items()
                        if f"{i}_{piece}" in arrays
                    }
                )
    except Exception as error:  # the file may be anything, or missing
        failure = failure or f"its process left no readable result: {error}"
    return Outcome(trajectories[: len(pieces)], pieces, chains, precision, failure)


def text_of(path: Path) -> str:
    """Return what a child has written to a text file; only the end if it is long."""
    with contextlib.suppress(OSError), path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - 4096))
        return file.read(4096).decode("utf-8", "replace")
    return ""


def _run_child(folder: Path, timeout: float | None) -> int:
    """Return the exit status of the child, negative for a signal, as in `subprocess`."""
    with (folder / "output.txt").open("wb") as output:
        process = child.start(_CHILD, str(folder), output=output)
        try:
            return process.wait(timeout)
        except subprocess.TimeoutExpired:
            raise BackendError(f"no result after {timeout:g} s") from None
        finally:
            child.end(process)


def signal_name(number: int) -> str:
    """Return the name of a signal, such as SIGKILL."""
    try:
        return signal.Signals(number).name
    except ValueError:  # a real-time signal
        return f"signal {number}"


def _child() -> None:
    folder = Path(sys.argv[1])
    spec, problems = pickle.loads((folder / "job.pickle").read_bytes())
    arrays: dict[str, Floats] = {}
    try:
        _exercise(backends.load(spec), problems, folder / "problem.txt", arrays)
    except BaseException as error:  # whatever a foreign backend raises, SystemExit included
        traceback.print_exc()
        ours = isinstance(error, BackendError | InputError)
        text = str(error).removeprefix(f"backend {spec}: ") if ours else describe(error)
        (folder / "failure.txt").write_text(text, "utf-8", "backslashreplace")
    np.savez(folder / "partial.npz", allow_pickle=False, **cast(Any, arrays))
    (folder / "partial.npz").rename(folder / "outcome.npz")
    sys.stdout.flush()
    os._exit(0)  # even if threads of the backend still run


def _exercise(
    backend: Backend, problems: Sequence[Problem], doing: Path, arrays: dict[str, Any]
) -> None:
    """Train on every problem, and call the other functions where it asks for them; fill `arrays`.

    The name of the current problem is written to `doing`. Problems with the same samples share what
    `prepare` returned for them. Where other functions are called, and where the samples are not in
    memory, training starts from what `condense` returns, if the backend has it.
    """
    prepared: dict[tuple[int, int], Any] = {}
    precision = precision_of(backend)
    arrays["unit"] = precision.unit
    condense = getattr(backend, "condense", lambda data: data)
    for i, problem in enumerate(problems):
        doing.write_text(problem.name, "utf-8")
        samples = id(problem.X), id(problem.y)
        if samples not in prepared:
            given = problem.X.copy(), problem.y.copy()
            elsewhere = problem.prepared is not None
            data = condense(problem.prepared) if elsewhere else backend.prepare(*given)
            prepared[samples] = data, given
        data, (X, y) = prepared[samples]
        if problem.pieces:
            data = condense(data)
        start = None if problem.w0 is None else problem.w0.copy()
        path = _trained(backend, data, problem, start, precision)
        if not (np.array_equal(X, problem.X) and np.array_equal(y, problem.y)):
            raise BackendError("it changed the samples passed to prepare")
        if start is not None and (start != problem.w0).any():
            raise BackendError("it changed the w0 passed to train")
        arrays[f"{i}_path"] = np.column_stack(path)
        arrays[f"{i}_chains"] = longest_chains(backend, problem.n, problem.X.shape[1])
        if problem.pieces and problem.w0 is not None:
            pieces = _evaluate_pieces(backend, X, y, problem.w0, problem.b0, precision)
            arrays |= {f"{i}_{piece}": values for piece, values in pieces.items()}
    doing.unlink(missing_ok=True)
    for _ in range(_LOOKS):
        time.sleep(_SETTLING)  # threads of a library may spin for a while before they sleep
        if (cores := _busy_cores()) <= _BUSY:
            return
    raise BackendError(f"it keeps {cores:.1f} cores busy after train has returned")


def longest_chains(backend: Backend, n: int, d: int) -> Chains:
    """Return the longest chains of additions that a backend declares, or n if it declares none.

    That of the loss is n if the backend passes over the samples only once per call, because its
    loss may come from a factorization.

    Raises:
        BackendError: it is not an integer of at least 1.

    """
    if not hasattr(backend, "longest_chain"):
        return Chains(n, n)
    chain = backend.longest_chain(n, d)
    if isinstance(chain, bool) or not isinstance(chain, int | np.integer) or chain < 1:
        raise BackendError(f"longest_chain returned {chain!r}, not a positive integer")
    chain = min(int(chain), n)
    return Chains(chain, n if getattr(backend, "PASSES_ONCE", False) is True else chain)


def precision_of(backend: Backend) -> Precision:
    """Return the precision that a backend declares as UNIT_ROUNDOFF; float64 if it declares none.

    Raises:
        BackendError: that is the unit roundoff of neither float64 nor float32.

    """
    unit = getattr(backend, "UNIT_ROUNDOFF", FLOAT64.unit)
    known = BY_UNIT.get(float(unit)) if isinstance(unit, float | np.floating) else None
    if known is None:
        raise BackendError(
            f"UNIT_ROUNDOFF is {unit!r}, not 2.0**-53 (float64) or 2.0**-24 (float32)"
        )
    return known


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


def _trained(
    backend: Backend, data: Any, problem: Problem, w0: Floats | None, precision: Precision
) -> Trajectory:
    job: dict[str, Any] = {"lr": problem.lr, "epochs": problem.epochs}
    if w0 is not None:
        job |= {"w0": w0, "b0": problem.b0, "every": problem.every}
    result, d = backend.train(data, **job), problem.X.shape[1]
    return as_trajectory(result, problem.epochs, d, problem.every, precision)


def describe(error: BaseException) -> str:
    """Name the error and the line of the backend that raised it, on one line."""
    try:
        text = str(error)
    except Exception:  # its own __str__ may raise anything
        text = "without a word"
    message = " ".join(f"raised {type(error).__name__}: {text}".split())
    last = traceback.extract_tb(error.__traceback__)[-1]
    if Path(last.filename).parent == Path(__file__).parent:
        return message
    return f"{message} ({Path(last.filename).name}, line {last.lineno})"


def as_trajectory(
    result: Any, epochs: int, d: int, every: int = 1, precision: Precision = FLOAT64
) -> Trajectory:
    """Return the result of `train` as a `Trajectory` of float64 arrays.

    Arrays of float32 are right if that is the precision of the backend.

    Raises:
        BackendError: it is not (epoch, w, b, loss) with the right shapes, epochs and types.

    """
    try:
        epoch, w, b, loss = result
    except (TypeError, ValueError):
        raise BackendError(
            f"train returned {type(result).__name__}, not the four values (epoch, w, b, loss)"
        ) from None
    recorded = recorded_epochs(epochs, every)
    rows = len(recorded)
    path = Trajectory(
        epoch=cast(Any, np.asarray(epoch)),
        w=_as_floats("w", w, (rows, d), precision),
        b=_as_floats("b", b, (rows,), precision),
        loss=_as_floats("loss", loss, (rows,), precision),
    )
    if not np.array_equal(path.epoch, recorded):
        raise BackendError(f"epoch is not 0, {every}, …, {epochs}")
    return path._replace(epoch=recorded)


def _as_floats(
    name: str, values: Any, shape: tuple[int, ...], precision: Precision = FLOAT64
) -> Floats:
    try:
        array = np.asarray(values)
    except ValueError:
        raise BackendError(f"{name} has rows of unequal length") from None
    if array.dtype.newbyteorder("=").name not in ("float64", precision.name):
        hint = "; if the backend computes in float32, declare UNIT_ROUNDOFF = 2.0**-24"
        raise BackendError(
            f"{name} has dtype {array.dtype}, not {precision.name}" + hint * (array.dtype == "f4")
        )
    if array.shape != shape:
        raise BackendError(f"{name} has shape {array.shape}, not {shape}")
    return array.astype(np.float64)  # a copy: the backend may use its buffer again


def _evaluate_pieces(
    backend: Backend, X: Floats, y: Floats, w: Floats, b: float, precision: Precision
) -> dict[str, Floats]:
    """Evaluate predict, loss, gradients and update at (w, b), if the backend has them."""
    values: dict[str, Floats] = {}
    d, floats = len(w), partial(_as_floats, precision=precision)
    if hasattr(backend, "predict"):
        values["predict"] = floats("predict", backend.predict(X, w, b), y.shape)
    if hasattr(backend, "loss"):
        values["loss"] = floats("loss", [backend.loss(X, y, w, b)], (1,))
    if hasattr(backend, "gradients"):
        grad_w, grad_b = backend.gradients(X, y, w, b)
        values["gradients"] = np.append(
            floats("grad_w", grad_w, (d,)), floats("grad_b", [grad_b], (1,))
        )
        if hasattr(backend, "update"):
            new_w, new_b = backend.update(w.copy(), b, grad_w, grad_b, PIECES_LR)
            values["update"] = np.append(floats("w", new_w, (d,)), floats("b", [new_b], (1,)))
    return values
