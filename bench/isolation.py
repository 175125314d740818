"""Run one backend in a process of its own, so that nothing it does can hurt the others.

The parent writes the samples to a temporary folder and starts a child, which loads the backend,
trains, and writes plain float64 arrays back. A backend that raises, hangs, kills its process or
returns something else than a trajectory ends in a `BackendError` that says so.
"""

import contextlib
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

PIECES = ("predict", "loss", "gradients", "update")

_ROOT = Path(__file__).resolve().parent.parent
_CHILD = f"import sys; sys.path.insert(0, {str(_ROOT)!r}); import bench.isolation as b; b._child()"


class BackendError(Exception):
    """The backend delivered no trajectory; the message says what happened instead."""


@dataclass(frozen=True)
class Probe:
    """The state (w, b) at which the four pieces are evaluated."""

    w: Floats
    b: float


@dataclass(frozen=True)
class Outcome:
    """What a backend delivered."""

    trajectory: Trajectory
    pieces: dict[str, Floats]
    """Per piece that the backend has: ŷ (n,), L (1,), (∂L/∂w, ∂L/∂b) (d + 1,), and for `update`
    the new (w, b) (d + 1,) after a step with these gradients and α = 1."""


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
            raise BackendError((folder / "failure.txt").read_text())
        if status < 0:
            raise BackendError(f"its process was killed by {signal.Signals(-status).name}")
        if not (folder / "outcome.npz").exists():
            raise BackendError(f"its process ended with status {status} and no result")
        with np.load(folder / "outcome.npz", allow_pickle=False) as arrays:
            return Outcome(
                Trajectory(*(arrays[f"path_{field}"] for field in Trajectory._fields)),
                {piece: arrays[piece] for piece in PIECES if piece in arrays},
            )


def _run_child(folder: Path, timeout: float) -> int:
    """Return the exit status of the child, negative for a signal, as `subprocess` has it."""
    with (folder / "output.txt").open("wb") as output:
        child = subprocess.Popen(
            [sys.executable, "-c", _CHILD, str(folder)],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,  # Ctrl-C is for the parent, and killing takes the family along
        )
        try:
            return child.wait(timeout)
        except subprocess.TimeoutExpired:
            raise BackendError(f"no result after {timeout:g} s") from None
        finally:
            kill_family(child)


def kill_family(child: "subprocess.Popen[Any]") -> None:
    """Kill a child that leads its own process group, with everything it started."""
    if os.name == "posix":
        with contextlib.suppress(ProcessLookupError):  # all of them have ended
            os.killpg(child.pid, signal.SIGKILL)
    else:
        child.kill()
    child.wait()


def _child() -> None:
    folder = Path(sys.argv[1])
    job = json.loads((folder / "job.json").read_text())
    with np.load(folder / "samples.npz") as samples:
        X, y = samples["X"], samples["y"]
    try:
        backend = backends.load(job["spec"])
        data = backend.prepare(X.copy(), y.copy())
        result = backend.train(data, lr=job["lr"], epochs=job["epochs"])
        path = as_trajectory(result, job["epochs"], X.shape[1])
        arrays = {f"path_{field}": values for field, values in path._asdict().items()}
        if "w" in job:
            arrays |= _evaluate_pieces(backend, X, y, np.array(job["w"]), job["b"])
        np.savez(folder / "partial.npz", **arrays)
        (folder / "partial.npz").rename(folder / "outcome.npz")
    except BaseException as error:  # whatever a foreign backend raises, SystemExit included
        traceback.print_exc()
        ours = isinstance(error, BackendError | InputError)
        text = str(error).removeprefix(f"backend {job['spec']}: ") if ours else describe(error)
        (folder / "failure.txt").write_text(text)


def describe(error: BaseException) -> str:
    """Name the error and the line of the backend that raised it, on one line."""
    message = " ".join(f"raised {type(error).__name__}: {error}".split())
    last = traceback.extract_tb(error.__traceback__)[-1]
    if last.filename == __file__:
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
    return array


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
            new_w, new_b = backend.update(w, b, grad_w, grad_b, 1.0)
            values["update"] = np.append(
                _as_floats("w", new_w, (d,)), _as_floats("b", [new_b], (1,))
            )
    return values
