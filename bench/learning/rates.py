"""What learning rates do: what theory predicts for each rate, and what a run shows."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np
import pyarrow as pa

from gradrace.backends import DEFAULT, rung
from gradrace.backends.interface import InputValueError, Setting, Trajectory, check_schedule
from gradrace.bench.data.files import (
    arrow_table,
    replacing,
    writable_folder,
    write_json,
    write_table,
)
from gradrace.bench.data.samples import REFERENCE_EPOCHS, Samples
from gradrace.bench.learning.curvature import Direction, regime
from gradrace.bench.learning.descent import described, history, step_lengths, until_not_finite
from gradrace.bench.learning.landscape import Landscape, Rate, best_rate, plane
from gradrace.bench.learning.rates_parts import PATH, rates_parts
from gradrace.bench.learning.summary import Summary, exactly_summed, problem_of, summarize
from gradrace.bench.machine.progress import Progress, silent
from gradrace.bench.parts import Part, Report, Result
from gradrace.bench.proof.agreement import Checked, Verdict, check_rates
from gradrace.bench.proof.precision import BY_NAME, FLOAT64

if TYPE_CHECKING:
    from gradrace.plots.canvas import Figure as Drawing

REFERENCE_RATES = (0.001, 0.005, 0.1)
NOISE = 2e3  # unit roundoffs; shorter steps, relative to θ, show rounding
SCHEMA = 1
RATES, HISTORY, PATHS = "rates.json", "history.parquet", "path.parquet"
SAMPLES, FILM = "samples.parquet", "descent.gif"
MOST_SAMPLES = 500  # of an animation


@dataclass(frozen=True)
class Run:
    """One rate, one backend: predicted, measured and verified."""

    lr: float
    backend: str
    regime: str
    """slow, stable, oscillating or diverges"""
    contraction: float
    """ρ = max|1 − αλᵢ|"""
    measured_contraction: float | None
    """The factor by which steps shrink or grow at the end of the run; None if rounding hides it"""
    epochs: int | None
    """Predicted number until the loss is within 1 % of the least one; None if it never is"""
    measured_epochs: int | None
    """The same, measured; None if the run ended before that"""
    verdict: Verdict
    trajectory: Trajectory | None
    """On the training columns, scaled or not; None if the backend returned none"""


@dataclass(frozen=True, repr=False)
class Rates(Result):
    """What each learning rate does, and which one to use; `recommended` is that rate."""

    landscape: Landscape
    """The data, and what is known of their loss before any training"""
    epochs: int
    rates: list[float]
    """The rates to run, the recommended one among them, in ascending order"""
    recommended: float
    """The result of `best_rate` for these epochs"""
    runs: list[Run]
    """Those that are finished"""
    interrupted: bool = False

    @property
    def data(self) -> Samples:
        """What was studied, in its own units."""
        return self.landscape.data

    @property
    def directions(self) -> list[Direction]:
        """The directions in which descent moves, the steepest first."""
        return self.landscape.directions

    def original(self, path: Trajectory) -> Trajectory:
        """Return a trajectory of a run in the units of the data."""
        scaling = self.landscape.scaling
        return path if scaling is None else scaling.restore(path)

    def overflow(self, run: Run) -> tuple[int | None, int | None]:
        """Return the epochs of the first inf and the first nan loss, in the units of the data."""
        assert run.trajectory is not None
        loss = self.original(run.trajectory).loss
        inf, nan = (np.flatnonzero(flags) for flags in (np.isinf(loss), np.isnan(loss)))
        return int(inf[0]) if len(inf) else None, int(nan[0]) if len(nan) else None

    def shown(self) -> list[Run]:
        """Return one run per rate: of the first backend that agrees, or else has a trajectory."""
        best = dict[float, Run]()
        for run in self.runs:
            if run.trajectory is not None and not (run.lr in best and best[run.lr].verdict.agrees):
                best[run.lr] = run
        return list(best.values())

    @property
    def title(self) -> str:
        """What its page is called."""
        return f"Which learning rate for {self.data.target}?"

    def parts(self, *, detail: bool = False) -> Iterator[Part]:
        """Yield which rate to use, and what each one does; with `detail`, also why."""
        return rates_parts(self, detail=detail)

    def details(self) -> Report:
        """Return all that is known."""
        return Report(self.parts(detail=True))

    def _repr_html_(self) -> str:
        pictures = [part for part in self.parts(detail=True) if getattr(part, "name", "") == PATH]
        return Result.as_html([*self.parts(), *pictures])

    def path_plot(self) -> "Drawing":
        """Return a picture of the paths that descent takes at each rate.

        Raises:
            InputValueError: descent moves along a straight line.

        """
        from gradrace.plots import path

        return path.figure(self.path())

    def loss_plot(self) -> "Drawing":
        """Return a picture of the loss against the epoch at each rate."""
        from gradrace.plots import loss

        return loss.figure([self.history()])

    def path(self) -> pa.Table:
        """Return the path of every rate in a plane.

        Raises:
            InputValueError: descent moves along a straight line.

        """
        taken = [(run.lr, run.regime, run.trajectory) for run in self.shown() if run.trajectory]
        return plane(self.landscape, taken)

    def history(self) -> pa.Table:
        """Return the rate, lr, and the columns of a history, in the units of the data."""
        tables, least = [], self.landscape.original_least_squares.loss
        for run in self.shown():
            assert run.trajectory is not None
            path = until_not_finite(self.original(run.trajectory))
            table = history(self.data.features, path, "", least)
            lr = arrow_table({"lr": np.full(len(path.epoch), run.lr)}).column(0)
            tables.append(table.add_column(0, "lr", lr))
        return pa.concat_tables(tables)

    def samples(self) -> pa.Table:
        """Return some samples, at most 500, evenly spaced; the last column holds the targets."""
        X, y = self.data.points()
        step = -(-len(y) // MOST_SAMPLES)
        names = [*self.data.features, self.data.target]
        columns = [*X[::step].T, y[::step]]
        table = arrow_table({str(j): values for j, values in enumerate(columns)})
        return described(table, names=json.dumps(names))

    def save(self, folder: str | Path, *, animate: bool = False) -> list[Path]:
        """Write what `gradrace rates` writes: numbers, pictures, a page; return the paths.

        With `animate`, also descent.gif, the fit and its path as they move.

        Raises:
            OSError: the folder cannot be written to; no file is left half-written.

        """
        return list(self.files(writable_folder(Path(folder)), animate=animate))

    def files(self, folder: Path, *, animate: bool = False) -> Iterator[Path]:
        """Write the same, and yield each path once its file is complete.

        An interrupted study gets no pictures, and one in which descent moves in only one direction
        has no path to draw.
        """
        write_json(folder / RATES, self._content())
        yield folder / RATES
        if not self.shown():
            return
        paths = self.path() if len(self.directions) > 1 else None
        write_table(self.history(), folder / HISTORY)
        yield folder / HISTORY
        if paths is not None:
            write_table(paths, folder / PATHS)
            yield folder / PATHS
        if self.interrupted:
            return
        yield from Result.as_files(self.title, self.parts(detail=True), folder)
        if animate:
            from gradrace.plots import animation

            write_table(self.samples(), folder / SAMPLES)
            yield folder / SAMPLES
            with replacing(folder / FILM) as temporary:
                animation.save(self.history(), self.samples(), paths, temporary)
            yield folder / FILM

    def _content(self) -> dict[str, Any]:
        known, H = self.landscape, self.landscape.hessian
        return {
            "format": "gradrace rates",
            "schema": SCHEMA,
            "data": self.data.name,
            "n": self.data.n,
            "d": len(self.data.features),
            "features": list(self.data.features),
            "target": self.data.target,
            "standardized": known.scaling is not None,
            "epochs": self.epochs,
            "interrupted": self.interrupted,
            "limit": H.limit,
            "fastest": H.fastest,
            "recommended": self.recommended,
            "condition": H.condition,
            "least_squares_loss": known.original_least_squares.loss,
            "directions": [
                asdict(direction) | {"vector": direction.vector.tolist()}
                for direction in self.directions
            ],
            "runs": [self._run_content(run) for run in self.runs],
        }

    def _run_content(self, run: Run) -> dict[str, Any]:
        content: dict[str, Any] = {
            "lr": run.lr,
            "backend": run.backend,
            "regime": run.regime,
            "contraction": {"predicted": run.contraction, "measured": run.measured_contraction},
            "epochs_to_1_percent": {"predicted": run.epochs, "measured": run.measured_epochs},
            "verdict": msgspec.to_builtins(run.verdict),
        }
        if run.trajectory is not None:
            _, w, b, loss = self.original(run.trajectory)
            content |= {"w": w[-1].tolist(), "b": float(b[-1]), "loss": float(loss[-1])}
        return content


def study(
    data: Samples,
    rates: Sequence[Rate] = (),
    *,
    backends: Sequence[str] = (DEFAULT,),
    epochs: int | None = None,
    standardize: bool = False,
    timeout: float | None = 120.0,
    on_progress: Progress = silent,
) -> Rates:
    """Train at each rate from zero, verify each run, and compare it with the theory.

    The recommended rate is always among them; the others default to three rates that show
    different regimes. `epochs` defaults to 10,000, or, for a large table, to fewer, but at least
    50. Ctrl-C keeps the runs that are finished and sets `interrupted`.

    Raises:
        InputTypeError, InputValueError: a rate, the epochs or the data cannot be used.

    """
    if isinstance(data, Summary) and list(backends) != [data.files.backend]:
        only = Setting("backend", data.files.backend)
        raise InputValueError(f"{data.name}: only ", only, " can train on it")
    known = Landscape.of(data, standardize=standardize)
    epochs = _affordable_epochs(known.samples, backends) if epochs is None else int(epochs)
    recommended = best_rate(known, epochs)
    _ = known.original_least_squares  # rejects values beyond float64 in the units of the data
    for lr in rates:
        check_schedule(len(data.features), recommended if lr == "auto" else lr, epochs)
    chosen = [lr for lr in rates if lr != "auto"] if rates else _telling_rates(known, recommended)
    ordered = sorted({*map(float, chosen), recommended})
    runs, interrupted = list[Run](), False
    steps = len(ordered) * len(set(backends))
    try:
        judged = _judged(known, on_progress)
        on_progress(f"training at {len(ordered)} rates", 0, steps)
        job = problem_of(judged, recommended, epochs)
        jobs = [replace(job, lr=lr) for lr in ordered]
        for job, checked in check_rates(backends, jobs, exactly_summed(judged), timeout=timeout):
            runs.append(_run(known, job.lr, checked))
            on_progress(f"α = {job.lr:g}", len(runs), steps)
    except KeyboardInterrupt:
        interrupted = True
    runs.sort(key=lambda run: run.lr)
    return Rates(known, epochs, ordered, recommended, runs, interrupted)


def _run(known: Landscape, lr: float, checked: Checked) -> Run:
    """Compare a verified run with the theory."""
    path, verdict = checked.trajectory, checked.verdict
    goal, unit = known.least_squares.loss + known.goal, BY_NAME[verdict.precision].unit
    return Run(
        lr,
        verdict.backend,
        regime(known.hessian, lr),
        known.hessian.contraction(lr),
        None if path is None else measured_contraction(path, unit),
        known.epochs_needed(lr),
        None if path is None else measured_epochs(path, goal),
        verdict,
        path,
    )


def _judged(known: Landscape, on_progress: Progress) -> Samples:
    """Return the samples that the runs are judged on; scaled ones in files are read once more."""
    samples = known.samples
    if not isinstance(samples, Summary) or samples.exact is not None:
        return samples
    mean, deviation = known.data.moments()
    again = samples.files if known.scaling is None else samples.files.scaled(mean, deviation)
    return summarize(again, exactly=True, on_progress=on_progress)


def _affordable_epochs(samples: Samples, backends: Sequence[str]) -> int:
    """Return how many epochs, from 50 to 10,000, take a few seconds per rate."""
    n, d = samples.n, len(samples.features)
    if all(rung(spec).passes_once for spec in backends):
        n = d + 2  # an epoch needs only the sums
    backend = 10**8 if any(rung(spec).interpreted for spec in backends) else 5 * 10**9
    oracle = 2 * 10**6 // (20 + d**2)
    return int(np.clip(min(backend // (n * (d + 1)), oracle), 50, REFERENCE_EPOCHS))


def _telling_rates(known: Landscape, good: float) -> list[float]:
    """Return a slow, a stable and a diverging rate, with few digits."""
    limit = known.hessian.limit
    return [float(f"{lr:.1e}") for lr in (good / 20, 0.45 * limit, 1.1 * limit)]


def measured_epochs(path: Trajectory, goal: float) -> int | None:
    """Return the first epoch whose loss is at most `goal`, None if there is none."""
    near = path.loss <= goal
    return int(path.epoch[np.argmax(near)]) if near.any() else None


def measured_contraction(path: Trajectory, unit: float = FLOAT64.unit) -> float | None:
    """Return the ratio of a step's length to that of the step before, over the last tenth of a run.

    Here a run ends when its steps become so small that rounding with this unit roundoff shows, or
    leave float64.
    """
    theta = np.column_stack([path.w, path.b])
    with np.errstate(over="ignore", invalid="ignore"):
        steps = step_lengths(theta)
        clear = np.isfinite(steps) & (steps > NOISE * unit * np.abs(theta[1:]).max(axis=1))
    last = (len(steps) if clear.all() else int(np.argmin(clear))) - 1
    first = last - max(1, last // 10)
    if first < 0:
        return None
    return float(np.exp((np.log(steps[last]) - np.log(steps[first])) / (last - first)))
