"""Run one backend in a process of its own, so that nothing it does can hurt the others.

The parent writes the samples to a temporary folder and starts a child, which loads the backend,
trains, and writes plain float64 arrays back. A backend that raises, hangs, kills its process or
returns something else than a trajectory ends in a `BackendError` that says so.
"""

import json
import os
import signal
import subprocess
import sys
import tempfile
import traceback
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np

import backends
from backends.interface import Backend, Floats, InputError, Trajectory, recorded_epochs
from bench import child

PIECES = ("predict", "loss", "gradients", "update")

RESUMED_EPOCHS, RESUMED_EVERY = 20, 3
PIECES_LR = 0.3  # the rate at which `update` is tried

_CHILD = "from bench import isolation; isolation._child()"


class BackendError(Exception):
    """The backend delivered no trajectory; the message says what happened instead."""


@dataclass(frozen=True)
class Probe:
    """The state (w, b) at which the four pieces are evaluated and a second run starts."""

    w: Floats
    b: float


@dataclass(frozen=True)
class Outcome:
    """What a backend delivered."""

    trajectory: Trajectory
    resumed: Trajectory | None
    """A short run from the probe with `every=3`, if there is a probe."""
    pieces: dict[str, Floats]
    """Per piece that the backend has: ŷ (n,), L (1,), (∂L/∂w, ∂L/∂b) (d + 1,), and for `update`
    the new (w, b) (d + 1,) after a step with these gradients and α = 0.3."""


def run_isolated(
    spec: str,
    X: Floats,
    y: Floats,
    *,
    lr: float,
    epochs: int,
    probe: Probe | None = None,
    timeout: float = 60.0,
) -> Outcome:
    """Train backend `spec` from zero in a child process; `timeout` in seconds covers all of it.

    Raises:
        BackendError: no trajectory came back in time.

    """
    with tempfile.TemporaryDirectory(prefix="gradrace-") as name:
        folder = Path(name)
        np.savez(folder / "samples.npz", X=X, y=y)
        job = {"spec": spec, "lr": lr, "epochs": epochs}
        if probe is not None:
            job |= {"w": probe.w.tolist(), "b": probe.b}
        (folder / "job.json").write_text(json.dumps(job))
        status = _run_child(folder, timeout)
        if (folder / "failure.txt").exists():
            raise BackendError((folder / "failure.txt").read_text("utf-8"))
        if status < 0:
            raise BackendError(f"its process was killed by {signal_name(-status)}")
        if not (folder / "outcome.npz").exists():
            last = (folder / "output.txt").read_text("utf-8", errors="replace").split("\n")[-2:]
            said = " ".join(last).strip()
            raise BackendError(
                f"its process ended with status {status} and no result" + (said and f": {said}")
            )
        with np.load(folder / "outcome.npz", allow_pickle=False) as arrays:
            path, resumed = (
                Trajectory._make(arrays[f"{run}_{field}"] for field in Trajectory._fields)
                if f"{run}_epoch" in arrays
                else None
                for run in ("path", "resumed")
            )
            assert path is not None
            return Outcome(path, resumed, {name: arrays[name] for name in PIECES if name in arrays})


def _run_child(folder: Path, timeout: float) -> int:
    """Return the exit status of the child, negative for a signal, as `subprocess` has it."""
    with (folder / "output.txt").open("wb") as output:
        process = child.start(_CHILD, str(folder), output=output)
        try:
            return process.wait(timeout)
        except subprocess.TimeoutExpired:
            raise BackendError(f"no result after {timeout:g} s") from None
        finally:
            child.end(process)


def signal_name(number: int) -> str:
    """Return what a signal is called: SIGKILL."""
    try:
        return signal.Signals(number).name
    except ValueError:  # a real-time signal
        return f"signal {number}"


def _child() -> None:
    folder = Path(sys.argv[1])
    job = json.loads((folder / "job.json").read_text())
    with np.load(folder / "samples.npz") as samples:
        X, y = samples["X"], samples["y"]
    try:
        arrays = _exercise(backends.load(job["spec"]), X, y, job)
        np.savez(folder / "partial.npz", allow_pickle=False, **arrays)
        (folder / "partial.npz").rename(folder / "outcome.npz")
    except BaseException as error:  # whatever a foreign backend raises, SystemExit included
        traceback.print_exc()
        ours = isinstance(error, BackendError | InputError)
        text = str(error).removeprefix(f"backend {job['spec']}: ") if ours else describe(error)
        (folder / "failure.txt").write_text(text, "utf-8", "backslashreplace")
    sys.stdout.flush()
    os._exit(0)  # whatever threads the backend has left


def _exercise(backend: Backend, X: Floats, y: Floats, job: dict[str, Any]) -> dict[str, Floats]:
    """Train from zero; then, from the probe if there is one, train again and use the pieces."""
    d, given = X.shape[1], (X.copy(), y.copy())
    data = backend.prepare(*given)
    path = as_trajectory(backend.train(data, lr=job["lr"], epochs=job["epochs"]), job["epochs"], d)
    arrays = {f"path_{field}": values for field, values in path._asdict().items()}
    if "w" in job:
        w, b, epochs = np.array(job["w"]), job["b"], min(job["epochs"], RESUMED_EPOCHS)
        result = backend.train(
            data, lr=job["lr"], epochs=epochs, w0=w.copy(), b0=b, every=RESUMED_EVERY
        )
        resumed = as_trajectory(result, epochs, d, RESUMED_EVERY)
        arrays |= {f"resumed_{field}": values for field, values in resumed._asdict().items()}
        arrays |= _evaluate_pieces(backend, X, y, w, b)
    if not (np.array_equal(given[0], X) and np.array_equal(given[1], y)):
        raise BackendError("it changed the samples that prepare was given")
    return arrays


def describe(error: BaseException) -> str:
    """Name the error and the line of the backend that raised it, on one line."""
    message = " ".join(f"raised {type(error).__name__}: {error}".split())
    last = traceback.extract_tb(error.__traceback__)[-1]
    if Path(last.filename).parent == Path(__file__).parent:
        return message
    return f"{message} ({Path(last.filename).name}, line {last.lineno})"


def as_trajectory(result: Any, epochs: int, d: int, every: int = 1) -> Trajectory:
    """Return what `train` gave back as a `Trajectory` of float64 arrays.

    Raises:
        BackendError: it is no (epoch, w, b, loss) of the right shapes, rows and types.

    """
    try:
        epoch, w, b, loss = result
    except (TypeError, ValueError):
        raise BackendError(
            f"train returned {type(result).__name__}, not the four of (epoch, w, b, loss)"
        ) from None
    recorded = recorded_epochs(epochs, every)
    rows = len(recorded)
    path = Trajectory(
        epoch=cast(Any, np.asarray(epoch)),
        w=_as_floats("w", w, (rows, d)),
        b=_as_floats("b", b, (rows,)),
        loss=_as_floats("loss", loss, (rows,)),
    )
    if not np.array_equal(path.epoch, recorded):
        raise BackendError(f"epoch is not 0, {every}, …, {epochs}")
    return path._replace(epoch=recorded)


def _as_floats(name: str, values: Any, shape: tuple[int, ...]) -> Floats:
    try:
        array = np.asarray(values)
    except ValueError:
        raise BackendError(f"{name} has rows of unequal length") from None
    if array.dtype != np.float64:
        raise BackendError(f"{name} has dtype {array.dtype}, not float64")
    if array.shape != shape:
        raise BackendError(f"{name} has shape {array.shape}, not {shape}")
    return array.copy()  # the backend may use its buffer again


def _evaluate_pieces(
    backend: Backend, X: Floats, y: Floats, w: Floats, b: float
) -> dict[str, Floats]:
    """Evaluate the pieces that the backend has at (w, b); X, y and w are passed as arrays."""
    values: dict[str, Floats] = {}
    d = len(w)
    if hasattr(backend, "predict"):
        values["predict"] = _as_floats("predict", backend.predict(X, w, b), y.shape)
    if hasattr(backend, "loss"):
        values["loss"] = _as_floats("loss", [backend.loss(X, y, w, b)], (1,))
    if hasattr(backend, "gradients"):
        grad_w, grad_b = backend.gradients(X, y, w, b)
        values["gradients"] = np.append(
            _as_floats("grad_w", grad_w, (d,)), _as_floats("grad_b", [grad_b], (1,))
        )
        if hasattr(backend, "update"):
            new_w, new_b = backend.update(w.copy(), b, grad_w, grad_b, PIECES_LR)
            values["update"] = np.append(
                _as_floats("w", new_w, (d,)), _as_floats("b", [new_b], (1,))
            )
    return values
