"""The study of learning rates: what theory predicts for each rate, and what a run shows."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from gradrace.backends import DEFAULT, rung
from gradrace.backends.interface import InputValueError, Trajectory, check_schedule
from gradrace.bench.data.samples import REFERENCE_EPOCHS, Samples
from gradrace.bench.learning.convergence import (
    NEAR,
    Direction,
    regime,
)
from gradrace.bench.learning.curvature import Hessian
from gradrace.bench.learning.landscape import Landscape
from gradrace.bench.learning.least_squares import LeastSquares
from gradrace.bench.learning.rate_choice import Rate, best_rate
from gradrace.bench.learning.stopping import step_lengths
from gradrace.bench.learning.summary import Summary, exactly_summed, problem_of, summarize
from gradrace.bench.machine.progress import Progress, silent
from gradrace.bench.proof.agreement import Verdict, check_backends
from gradrace.bench.proof.oracle import ExactTrajectory, trajectory_of
from gradrace.bench.proof.precision import BY_NAME, FLOAT64

REFERENCE_RATES = (0.001, 0.005, 0.1)
LAGGING = 2  # w and b differ visibly from this condition number, or ratio of epochs, on
NOISE = 2e3  # unit roundoffs; shorter steps, relative to θ, show rounding


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


@dataclass
class Study:
    """What a study has found so far; it grows while `study` works."""

    landscape: Landscape
    """The data, and what is known of their loss before any training"""
    epochs: int
    rates: list[float]
    """The rates that are run, in ascending order"""
    recommended: float
    """The result of `rate_choice.best_rate` for these epochs; not necessarily one of `rates`"""
    runs: list[Run] = field(default_factory=list)
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


def study(
    data: Samples,
    rates: Sequence[Rate] = (),
    *,
    backends: Sequence[str] = (DEFAULT,),
    epochs: int | None = None,
    standardize: bool = False,
    timeout: float | None = 120.0,
    on_progress: Progress = silent,
) -> Study:
    """Train at each rate from zero, verify each run, and compare it with the theory.

    `rates` defaults to four rates that show different regimes, including the recommended one.
    `epochs` defaults to 10,000, or, for a large table, to fewer, but at least 50. Ctrl-C keeps the
    runs that are finished and sets `interrupted`.

    Raises:
        InputTypeError, InputValueError: a rate, the epochs or the data cannot be used.

    """
    if isinstance(data, Summary) and list(backends) != [data.files.backend]:
        raise InputValueError(f"{data.name}: only --backend {data.files.backend} can train on it")
    known = Landscape.of(data, standardize=standardize)
    epochs = _affordable_epochs(known.samples, backends) if epochs is None else int(epochs)
    recommended = best_rate(known, epochs)
    _ = known.original_least_squares  # rejects values beyond float64 in the units of the data
    chosen = [recommended if lr == "auto" else lr for lr in rates]
    chosen = chosen or _telling_rates(known.hessian, recommended)
    for lr in chosen:
        check_schedule(len(data.features), lr, epochs)
    found = Study(known, epochs, sorted(set(map(float, chosen))), recommended)
    backends = list(dict.fromkeys(backends))
    steps = len(found.rates) * len(backends)
    try:
        judged = _judged(known, on_progress)
        sums = exactly_summed(judged)
        for lr in found.rates:
            on_progress(f"α = {lr:g}", len(found.runs), steps)
            exact = trajectory_of(sums, lr=lr, epochs=epochs)
            for run in _runs(found, judged, lr, backends, exact, timeout):
                found.runs.append(run)
                on_progress(f"α = {lr:g}", len(found.runs), steps)
    except KeyboardInterrupt:
        found.interrupted = True
    return found


def _runs(
    found: Study,
    judged: Samples,
    lr: float,
    backends: Sequence[str],
    exact: ExactTrajectory,
    timeout: float | None,
) -> Iterator[Run]:
    known = found.landscape
    job = problem_of(judged, lr, found.epochs)
    for checked in check_backends(backends, job, exact=exact, timeout=timeout):
        path, precision = checked.trajectory, checked.verdict.precision
        yield Run(
            lr,
            checked.verdict.backend,
            regime(known.hessian, lr),
            known.hessian.contraction(lr),
            None if path is None else measured_contraction(path, BY_NAME[precision].unit),
            known.epochs_needed(lr),
            None if path is None else measured_epochs(path, known.least_squares.loss + known.goal),
            checked.verdict,
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


def _telling_rates(H: Hessian, good: float) -> list[float]:
    """Return a slow, a stable, a good and a diverging rate, with few digits."""
    return [*(float(f"{lr:.1e}") for lr in (good / 20, 0.45 * H.limit, 1.1 * H.limit)), good]


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


def arrival(path: Trajectory, best: LeastSquares) -> tuple[int | None, int | None]:
    """Return the epochs after which w and b stay within 1 % of their way to the optimum."""
    with np.errstate(over="ignore", invalid="ignore"):
        w_way, b_way = NEAR * float(np.linalg.norm(best.w)), NEAR * abs(best.b)
        w_error = np.linalg.norm(path.w - best.w, axis=1)
    return _settled(path, w_error <= w_way), _settled(path, np.abs(path.b - best.b) <= b_way)


def _settled(path: Trajectory, near: NDArray[np.bool_]) -> int | None:
    """Return the first epoch from which all rows are near, None if the last one is not."""
    away = np.flatnonzero(~near)
    row = int(away[-1]) + 1 if len(away) else 0
    return int(path.epoch[row]) if row < len(near) else None


@dataclass(frozen=True)
class Lag:
    """w or b arrives much later than the other, because its error lies along a flat valley."""

    late: str
    """w or b"""
    lr: float
    """The rate at which both arrive first"""
    early_epochs: int
    late_epochs: int
    """The epochs after which each stays within 1 % of its way to the least-squares solution"""
    share: float
    """The share of the initial error of the late one that lies along the flattest direction"""


def lag(found: Study) -> Lag | None:
    """Return which of w and b lags in the run in which both arrive first.

    None if neither takes twice as long as the other, or if the flattest direction holds less than
    half of the late one's error, and so is not the reason.
    """
    known = found.landscape
    best = known.least_squares
    no_way = abs(best.b) < 1e-9 * float(np.abs(best.w).max())  # standardized: b starts optimal
    if no_way or known.hessian.condition < LAGGING:
        return None
    arrivals = [
        (*arrival(run.trajectory, best), run.lr)
        for run in found.shown()
        if run.trajectory is not None
    ]
    both = [(w, b, lr) for w, b, lr in arrivals if w is not None and b is not None]
    if not both:
        return None
    w, b, lr = min(both, key=lambda entry: max(entry[:2]))
    flat = found.directions[-1]
    late, share = ("b", flat.share_of_b) if b > w else ("w", flat.share_of_w)
    if share < 0.5 or max(w, b) < LAGGING * min(w, b):
        return None
    return Lag(late, lr, min(w, b), max(w, b), share)
