"""The learning-rate study: what theory says of each rate, and what a verified run shows."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from backends import DEFAULT, rung
from backends.interface import Trajectory, check_schedule
from bench.data.samples import REFERENCE_EPOCHS, Dataset
from bench.learning.convergence import (
    NEAR,
    Direction,
    regime,
)
from bench.learning.curvature import Hessian
from bench.learning.landscape import Landscape
from bench.learning.least_squares import LeastSquares
from bench.learning.rate_choice import Rate, best_rate
from bench.learning.stopping import step_lengths
from bench.machine.progress import Progress, silent
from bench.proof.agreement import Verdict, check_backends
from bench.proof.oracle import ExactTrajectory, Sums, exact_trajectory

REFERENCE_RATES = (0.001, 0.005, 0.1)
LAGGING = 2  # a condition number, or ratio of epochs, from which on w and b differ visibly
NOISE = 1e3 * float(np.finfo(np.float64).eps)  # steps below this share of θ show rounding


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
    """By which the steps shrink or grow at the end of the run; None if rounding hides it"""
    epochs: int | None
    """Predicted until the loss is within 1 % of the least-squares loss; None if it never is"""
    measured_epochs: int | None
    """None if the run ended before"""
    verdict: Verdict
    trajectory: Trajectory | None
    """On the columns that were trained on, scaled or not; None if the backend delivered none"""


@dataclass
class Study:
    """What a study has found so far; it grows while `study` works."""

    landscape: Landscape
    """The data, and what is known of their loss before any training"""
    epochs: int
    rates: list[float]
    """Those that are run, ascending"""
    recommended: float
    """What `rate_choice.best_rate` takes for these epochs; it need not be among `rates`"""
    runs: list[Run] = field(default_factory=list)
    interrupted: bool = False

    @property
    def data(self) -> Dataset:
        """What was studied, in its own units."""
        return self.landscape.data

    @property
    def directions(self) -> list[Direction]:
        """The directions that descent moves along, the steepest first."""
        return self.landscape.directions

    def original(self, path: Trajectory) -> Trajectory:
        """Return a trajectory of a run in the units of the data."""
        scaling = self.landscape.scaling
        return path if scaling is None else scaling.restore(path)

    def overflow(self, run: Run) -> tuple[int | None, int | None]:
        """Return the epochs of the first loss that is inf and nan in the units of the data."""
        assert run.trajectory is not None
        loss = self.original(run.trajectory).loss
        inf, nan = (np.flatnonzero(flags) for flags in (np.isinf(loss), np.isnan(loss)))
        return int(inf[0]) if len(inf) else None, int(nan[0]) if len(nan) else None

    def shown(self) -> list[Run]:
        """Return one run per rate: of the first backend that agrees, or else that has a result."""
        best = dict[float, Run]()
        for run in self.runs:
            if run.trajectory is not None and not (run.lr in best and best[run.lr].verdict.agrees):
                best[run.lr] = run
        return list(best.values())


def study(
    data: Dataset,
    rates: Sequence[Rate] = (),
    *,
    backends: Sequence[str] = (DEFAULT,),
    epochs: int | None = None,
    standardize: bool = False,
    timeout: float = 60.0,
    on_progress: Progress = silent,
) -> Study:
    """Train at each rate from zero, verify each run, and lay the theory beside it.

    Without `rates`, four that show all regimes, the recommended one among them. Without `epochs`,
    10,000, or, for a large table, fewer, but at least 50. Ctrl-C keeps the runs that are finished
    and sets `interrupted`.

    Raises:
        InputTypeError, InputValueError: a rate, the epochs or the data cannot be used.

    """
    known = Landscape.of(data, standardize=standardize)
    epochs = _affordable_epochs(known.samples, backends) if epochs is None else int(epochs)
    recommended = best_rate(known, epochs)
    _ = known.original_least_squares  # refuses what float64 cannot hold in the units of the data
    chosen = [recommended if lr == "auto" else lr for lr in rates]
    chosen = chosen or _telling_rates(known.hessian, recommended)
    for lr in chosen:
        check_schedule(data.X.shape[1], lr, epochs)
    found = Study(known, epochs, sorted(set(map(float, chosen))), recommended)
    backends = list(dict.fromkeys(backends))
    steps = len(found.rates) * len(backends)
    sums: Sums | None = None
    try:
        for lr in found.rates:
            on_progress(f"α = {lr:g}", len(found.runs), steps)
            X, y = known.samples.X, known.samples.y
            exact = exact_trajectory(X, y, lr=lr, epochs=epochs, sums=sums)
            sums = exact.sums
            for run in _runs(found, lr, backends, exact, timeout):
                found.runs.append(run)
                on_progress(f"α = {lr:g}", len(found.runs), steps)
    except KeyboardInterrupt:
        found.interrupted = True
    return found


def _runs(
    found: Study, lr: float, backends: Sequence[str], exact: ExactTrajectory, timeout: float
) -> Iterator[Run]:
    known = found.landscape
    X, y = known.samples.X, known.samples.y
    for checked in check_backends(
        backends, X, y, lr=lr, epochs=found.epochs, exact=exact, timeout=timeout
    ):
        path = checked.trajectory
        yield Run(
            lr,
            checked.verdict.backend,
            regime(known.hessian, lr),
            known.hessian.contraction(lr),
            None if path is None else measured_contraction(path),
            known.epochs_needed(lr),
            None if path is None else measured_epochs(path, known.least_squares.loss + known.goal),
            checked.verdict,
            path,
        )


def _affordable_epochs(samples: Dataset, backends: Sequence[str]) -> int:
    """Return how many epochs, from 50 to 10,000, take a few seconds per rate."""
    n, d = samples.X.shape
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


def measured_contraction(path: Trajectory) -> float | None:
    """Return the ratio of a step's length to that of the one before, over the last tenth of a run.

    The run ends, for this, where steps become so small that rounding shows, or leave float64.
    """
    theta = np.column_stack([path.w, path.b])
    with np.errstate(over="ignore", invalid="ignore"):
        steps = step_lengths(theta)
        clear = np.isfinite(steps) & (steps > NOISE * np.abs(theta[1:]).max(axis=1))
    last = (len(steps) if clear.all() else int(np.argmin(clear))) - 1
    first = last - max(1, last // 10)
    if first < 0:
        return None
    return float(np.exp((np.log(steps[last]) - np.log(steps[first])) / (last - first)))


def arrival(path: Trajectory, best: LeastSquares) -> tuple[int | None, int | None]:
    """Return the epochs from which on w and b stay within 1 % of their way to the optimum."""
    with np.errstate(over="ignore", invalid="ignore"):
        w_way, b_way = NEAR * float(np.linalg.norm(best.w)), NEAR * abs(best.b)
        w_error = np.linalg.norm(path.w - best.w, axis=1)
    return _settled(path, w_error <= w_way), _settled(path, np.abs(path.b - best.b) <= b_way)


def _settled(path: Trajectory, near: NDArray[np.bool_]) -> int | None:
    """Return the first epoch from which on all rows are near, None if the last is not."""
    away = np.flatnonzero(~near)
    row = int(away[-1]) + 1 if len(away) else 0
    return int(path.epoch[row]) if row < len(near) else None


@dataclass(frozen=True)
class Lag:
    """That w or b arrives much later than the other, since its error lies along a flat valley."""

    late: str
    """w or b"""
    lr: float
    """The rate at which both arrive first"""
    early_epochs: int
    late_epochs: int
    """After which the one and the other stay within 1 % of their way to the least squares"""
    share: float
    """Of the error of the late one, at the start, along the flattest direction"""


def lag(found: Study) -> Lag | None:
    """Return which of w and b lags in the run in which both arrive first.

    None if neither needs twice as long as the other, or if the flattest direction does not hold
    half of the late one's error, and so is not the reason.
    """
    known = found.landscape
    best = known.least_squares
    no_way = abs(best.b) < 1e-9 * float(np.abs(best.w).max())  # standardized, b starts at its end
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
