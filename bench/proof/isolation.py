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
import tempfile
import time
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, redirect_stderr
from dataclasses import dataclass, replace
from io import StringIO
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np

from gradrace.backends.interface import Backend, Floats, Trajectory
from gradrace.bench.data.files import check_space, write_bytes
from gradrace.bench.machine import child
from gradrace.bench.machine.facts import thread_environment
from gradrace.bench.proof.exercise import work
from gradrace.bench.proof.oracle import ExactTrajectory
from gradrace.bench.proof.precision import BY_UNIT, FLOAT64, Precision
from gradrace.bench.proof.problems import Problem
from gradrace.bench.proof.returns import BackendError, Chains, as_floats, as_trajectory

SMALL = 1_000_000
"""Values of X up to which a job needs no more than a few threads, and little memory."""
_THREADS = 3  # a sum over threads that is right for powers of two only must not pass

_LOOK = 0.02  # seconds

_CHILD = "from gradrace.bench.proof import exercise; exercise.main()"


@dataclass(frozen=True)
class Outcome:
    """What a backend returned, problem by problem, at least for the first one."""

    trajectories: list[Trajectory]
    pieces: list[dict[str, Floats]]
    """What its other functions returned, if it has them: predict, ŷ (n,); loss, L (1,); gradients,
    (∂L/∂w, ∂L/∂b) (d + 1,); update, the new (w, b) (d + 1,) after a step with these gradients, or
    ones, and α = 0.3. Empty if the problem does not ask for them."""
    chains: list[Chains]
    """The longest chains of additions that it declares"""
    precision: Precision
    """What it declares to compute in"""
    failure: str
    """What went wrong, such as why trajectories are missing; empty if nothing did."""

    def part(self, first: int, end: int | None = None) -> "Outcome":
        """Return what it returned for these problems."""
        return replace(
            self,
            trajectories=self.trajectories[first:end],
            pieces=self.pieces[first:end],
            chains=self.chains[first:end],
        )

    def bound(self, exact: ExactTrajectory, i: int) -> ExactTrajectory:
        """Return the exact trajectory of the i-th problem with the bound that holds for it."""
        return exact.held_to(self.chains[i].gradient, self.precision, self.chains[i].loss)


class Isolated:
    """A backend that is trained on every problem in a child process, from now on."""

    def __init__(
        self, spec: str, problems: Sequence[Problem], timeout: float | None = 60.0
    ) -> None:
        """Start the process; `timeout` is for all problems, in seconds, None for no limit.

        Raises:
            OSError: the folder for temporary files is full.

        """
        self._spec, self._problems = spec, problems
        self._timeout, self._start = timeout, time.monotonic()
        self._place = tempfile.TemporaryDirectory(prefix="gradrace-")
        self._folder = Path(self._place.name)
        write_bytes(self._folder / "job.pickle", pickle.dumps((spec, list(problems))))
        small = all(problem.prepared is None and problem.X.size <= SMALL for problem in problems)
        threads = thread_environment(_THREADS) if small else {}
        with (self._folder / "output.txt").open("wb") as output:
            self._process = child.start(
                _CHILD,
                str(self._folder),
                output=output,
                environment={**os.environ, **threads},
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """End the process, if it still runs, and remove its files."""
        child.end(self._process)
        self._place.cleanup()

    @property
    def running(self) -> bool:
        """Whether the process works, and has time left."""
        over = self._timeout is not None and time.monotonic() > self._start + self._timeout
        return self._process.poll() is None and not over

    def outcome(self) -> Outcome:
        """Return what the backend returned, once it has, or its time is over.

        Raises:
            BackendError: no trajectory for the first problem came back in time.
            OSError: the folder for temporary files is full.

        """
        folder, problems = self._folder, self._problems
        failure = self._failure().removeprefix(f"backend {self._spec}: ")
        child.end(self._process)
        if failure:
            check_space(folder)  # if it is full, that is the reason
        outcome = _outcome(folder, problems, failure)
        if not outcome.trajectories:
            raise BackendError(outcome.failure)
        return outcome

    def _failure(self) -> str:
        """Wait until the child ends; return why it failed, or an empty string."""
        folder, limit = self._folder, self._timeout
        try:
            left = None if limit is None else max(0.0, self._start + limit - time.monotonic())
            status = self._process.wait(left)
        except subprocess.TimeoutExpired:
            return f"no result after {limit:g} s"
        if status < 0:
            return f"its process was killed by {signal_name(-status)}"
        if (folder / "failure.txt").exists():
            return text_of(folder / "failure.txt") or "raised something without a message"
        if status or not (folder / "outcome.npz").exists():
            said = " ".join(text_of(folder / "output.txt").split("\n")[-2:]).strip()
            return f"its process ended with status {status} and no result" + (said and f": {said}")
        return ""


def side_by_side(
    specs: Iterable[str],
    problems: Sequence[Problem],
    timeout: float | None,
    at_once: int,
    meanwhile: Iterator[object],
) -> Iterator[tuple[str, Isolated]]:
    """Yield each backend when its process and those of all before it have ended.

    Up to `at_once` of them work at a time. While there is nothing to yield, `meanwhile` advances.
    """
    waiting, started = deque(specs), deque[tuple[str, Isolated]]()
    with ExitStack() as processes:
        while waiting or started:
            if started and not started[0][1].running:
                yield started.popleft()
            elif waiting and sum(process.running for _, process in started) < at_once:
                process = processes.enter_context(Isolated(waiting[0], problems, timeout))
                started.append((waiting.popleft(), process))
            elif next(meanwhile, None) is None:
                time.sleep(_LOOK)


def run_isolated(spec: str, problems: Sequence[Problem], timeout: float | None = 60.0) -> Outcome:
    """Return what backend `spec` returned; arguments and errors as those of `Isolated`."""
    with Isolated(spec, problems, timeout) as running:
        return running.outcome()


def outcome_here(backend: Backend, problems: Sequence[Problem]) -> Outcome:
    """Return what a backend returned in this process; nothing protects the process from it."""
    with tempfile.TemporaryDirectory(prefix="gradrace-") as name, redirect_stderr(StringIO()):
        folder = Path(name)
        work(lambda: backend, problems, folder)
        return _outcome(folder, problems, text_of(folder / "failure.txt"))


def _outcome(folder: Path, problems: Sequence[Problem], failure: str) -> Outcome:
    """Read what a child has written, without trusting any of it."""
    trajectories: list[Trajectory] = []
    pieces: list[dict[str, Floats]] = []
    chains: list[Chains] = []
    precision = FLOAT64
    doing = text_of(folder / "problem.txt")
    if failure and doing and doing in {problem.name for problem in problems}:
        failure = f"{doing}: {failure}"
    try:
        arrays = _arrays(folder / "outcome.npz")
        precision = BY_UNIT[float(arrays["unit"][0])] if "unit" in arrays else FLOAT64
        for i, problem in enumerate(problems):
            if failure and f"{i}_path" not in arrays:
                break
            d = problem.X.shape[1]
            path = arrays[f"{i}_path"].reshape(-1, d + 3)
            found = (path[:, 0], path[:, 1:-2], path[:, -2], path[:, -1])
            trajectories.append(as_trajectory(found, problem.epochs, d, problem.every))
            chains.append(Chains(*map(int, arrays[f"{i}_chains"])))
            sizes = {"predict": len(problem.y), "loss": 1, "gradients": d + 1, "update": d + 1}
            pieces.append(
                {
                    piece: as_floats(piece, arrays[f"{i}_{piece}"], (size,))
                    for piece, size in sizes.items()
                    if f"{i}_{piece}" in arrays
                }
            )
    except Exception as error:  # the file may be anything, or missing
        failure = failure or f"its process left no readable result: {error}"
    return Outcome(trajectories[: len(pieces)], pieces, chains, precision, failure)


def _arrays(path: Path) -> dict[str, Floats]:
    """Return the arrays by name, each flat."""
    with np.load(path, allow_pickle=False) as file:
        parts = np.split(file["values"], np.cumsum(file["sizes"]))[:-1]
        return dict(zip(file["names"].tolist(), parts, strict=True))


def text_of(path: Path) -> str:
    """Return what a child has written to a text file; only the end if it is long."""
    with contextlib.suppress(OSError), path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - 4096))
        return file.read(4096).decode("utf-8", "replace")
    return ""


def signal_name(number: int) -> str:
    """Return the name of a signal, such as SIGKILL."""
    try:
        return signal.Signals(number).name
    except ValueError:  # a real-time signal
        return f"signal {number}"
