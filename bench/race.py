"""The main job: verify the backends, time those that agree, save the figures and the pictures."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

import backends
from bench.agreement import Checked, check_backends
from bench.cases import CASES, REFERENCE
from bench.files import replacing, write_json, write_table
from bench.model import save
from bench.oracle import ExactTrajectory, exact_trajectory
from bench.session import time_backends
from bench.training import train

SCHEMA = 1

Progress = Callable[[str, int, int], None]


@dataclass
class Race:
    """What a run has found so far; it grows while `run` works."""

    benchmarks: list[dict[str, Any]] = field(default_factory=list)
    """The arms that were timed, as pytest-benchmark has them, with gradrace's `extra_info`."""
    verdicts: list[dict[str, Any]] = field(default_factory=list)
    """`{"case": …, "verdict": …}` of every arm that was judged, timed or not."""
    failure: str = ""
    """Why the timing session broke off, empty if it did not."""
    interrupted: bool = False
    files: list[Path] = field(default_factory=list)
    """What was written, in order."""

    @property
    def agrees(self) -> bool:
        """Whether nothing broke off and every arm agrees with the exact trajectory."""
        return not self.failure and all(entry["verdict"]["agrees"] for entry in self.verdicts)


def run(
    folder: Path,
    specs: Sequence[str] = (),
    cases: Sequence[str] = tuple(CASES),
    on_progress: Progress = lambda _doing, _done, _all: None,
) -> Race:
    """Verify and time backends (default: the built-in ones) on cases; save results in `folder`.

    Writes agreement.parquet, agreement.png, benchmark.json, speed.png, and what `model.save`
    writes for the reference line. `on_progress` gets what is being done, and how many of how many
    steps are done. Ctrl-C keeps what is finished and sets `interrupted`.

    Raises:
        OSError: the folder cannot be written to.

    """
    race = Race()
    specs = list(dict.fromkeys(specs)) or list(backends.names())
    steps = len(specs) * (1 + len(cases)) + 1

    def progress(doing: str, done: int) -> None:
        on_progress(doing, done, steps)

    try:
        agreeing = _check(race, folder, specs, progress)
        if agreeing:

            def on_arm(arm: str, done: int) -> None:
                progress(arm, len(specs) + done)

            _time(race, folder, agreeing, cases, on_arm)
        progress("training on the reference line", steps - 1)
        fit = train(REFERENCE.samples(), lr=REFERENCE.lr, epochs=REFERENCE.epochs)
        race.interrupted = fit.interrupted
        for path in save(fit, folder):
            race.files.append(path)
        progress("done", steps)
    except KeyboardInterrupt:
        race.interrupted = True
    return race


def _check(
    race: Race, folder: Path, specs: Sequence[str], progress: Callable[[str, int], None]
) -> list[str]:
    """Judge all on the reference line, each in a process of its own; return those that agree."""
    from plots import agreement as agreement_plot  # here, since matplotlib takes its time

    data, lr, epochs = REFERENCE.samples(), REFERENCE.lr, REFERENCE.epochs
    progress("computing the exact trajectory", 0)
    exact = exact_trajectory(data.X, data.y, lr=lr, epochs=epochs)
    checked: list[Checked] = []
    progress("checking the backends", 0)
    for result in check_backends(specs, data.X, data.y, lr=lr, epochs=epochs, exact=exact):
        checked.append(result)
        progress("checking the backends", len(checked))
        if not result.verdict.agrees:
            race.verdicts.append({"case": REFERENCE.name, "verdict": asdict(result.verdict)})
    if any(result.trajectory is not None for result in checked):
        errors = folder / "agreement.parquet"
        write_table(error_table(checked, exact), errors)
        race.files.append(errors)
        with _picture(race, folder / "agreement.png") as picture:
            agreement_plot.draw(errors, picture)
    return [result.verdict.backend for result in checked if result.verdict.agrees]


def _time(
    race: Race,
    folder: Path,
    specs: Sequence[str],
    cases: Sequence[str],
    on_arm: Callable[[str, int], None],
) -> None:
    """Time the backends; save what was timed even if the session breaks off."""
    from plots import speed as speed_plot

    on_arm("starting the timing session", 0)
    session = time_backends(specs, cases, on_arm)
    race.benchmarks = session.results["benchmarks"]
    race.verdicts += session.verdicts
    race.failure = session.failure
    timings = folder / "benchmark.json"
    about = {
        "schema": SCHEMA,
        "verdicts": race.verdicts,
        "interrupted": session.interrupted,
        "failure": session.failure,
    }
    write_json(timings, {**session.results, "gradrace": about})
    race.files.append(timings)
    if session.interrupted:
        raise KeyboardInterrupt
    if race.benchmarks:
        with _picture(race, folder / "speed.png") as picture:
            speed_plot.draw(timings, picture)


@contextmanager
def _picture(race: Race, path: Path) -> Iterator[Path]:
    with replacing(path) as temporary:
        yield temporary
    race.files.append(path)


def error_table(checked: Sequence[Checked], exact: ExactTrajectory) -> pa.Table:
    """Return a row per backend and epoch: backend, epoch, and |error| and bound of w, b and loss.

    Of several weights, the largest |error| and the largest bound.
    """
    tables = []
    for result in checked:
        if result.trajectory is None:
            continue
        epoch, w, b, loss = result.trajectory
        columns = {
            "backend": np.full(len(epoch), result.verdict.backend),
            "epoch": epoch,
            "w_error": exact.w.error(w).max(axis=1),
            "w_bound": exact.w.bound.max(axis=1),
            "b_error": exact.b.error(b),
            "b_bound": exact.b.bound,
            "loss_error": exact.loss.error(loss),
            "loss_bound": exact.loss.bound,
        }
        tables.append(pa.table(columns))
    return pa.concat_tables(tables)
