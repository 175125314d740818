"""One arm made ready to be timed: loaded, prepared, tried, verified."""

import gc
import pickle
from collections.abc import Callable
from dataclasses import asdict, replace
from functools import cache
from pathlib import Path
from timeit import default_timer
from typing import Any

import backends
from backends.interface import Backend, InputError
from bench.agreement import Verdict, judge
from bench.cases import Case, parse
from bench.data import Dataset
from bench.isolation import BackendError, as_trajectory, describe
from bench.machine import Memory
from bench.oracle import ExactTrajectory, exact_trajectory
from bench.plan import Arm

_HARDLY = 1.4
_WORTH = 4  # epochs
_AGAIN = 5  # calls
_MANY = 1_000_000  # epochs times features
BLOCK = 0.008
"""The least seconds of calls that are timed as one."""


class Contestant:
    """A backend with its data for one case; what it did wrong on the way is its `verdict`.

    Times are in seconds, and of single calls: what happens only once in a process.
    """

    job: Case
    """The case, with as many epochs as a call makes within the budget."""
    module: Backend
    data: Any
    verdict: Verdict
    too_slow = ""
    """Why it is not timed although it may be right; empty if it is timed."""
    calls: int | None
    load = 0.0
    """Importing the backend and its library."""
    first = 0.0
    """The first call of `train`; with a budget, of one epoch."""
    compile = 0.0
    """With a budget: how much longer the first call of one epoch took than the second."""
    setup = 0.0
    """With a budget: what a call takes before its first epoch, where that is worth several."""
    memory: dict[str, int] | None = None
    """Bytes that preparing and training added at their peak, and of the whole process then."""

    def __init__(
        self,
        arm: Arm,
        budget: float | None,
        longest: float,
        exact: str | None,
        log: Callable[..., None],
    ) -> None:
        """Get `arm` ready; the limits and `exact` are of `plan.Plan`, `log` takes the verdict."""
        self.job, self.calls = arm.job, arm.calls
        samples = _samples(self.job.n, self.job.d)
        truth = _truth(arm.case, exact)
        try:
            self._make_ready(arm.backend, samples, budget, longest)
            if self.too_slow:
                self.verdict = Verdict(arm.backend, agrees=True, reason="")
            else:
                self._verify(arm.backend, truth, budget)
        except (Exception, SystemExit) as error:  # a foreign backend may raise anything
            ours = isinstance(error, BackendError | InputError)
            reason = str(error) if ours else describe(error)
            self.verdict = Verdict(arm.backend, agrees=False, reason=reason)
        log(
            "verdict", case=self.job.name, arm=arm.label, verdict=asdict(self.verdict),
            too_slow=self.too_slow, epochs=self.job.epochs,
        )  # fmt: skip

    def signatures(self) -> int:
        """Return how many signatures of the module's functions Numba has compiled or loaded."""
        functions = vars(self.module).values()
        compiled = [f for f in functions if type(f).__module__.startswith("numba.")]
        return sum(len(getattr(f, "signatures", ())) for f in compiled)

    def _make_ready(
        self, backend: str, samples: Dataset, budget: float | None, longest: float
    ) -> None:
        """Load and prepare; with a budget, choose the epochs that it allows."""
        self.load, self.module = _timed(backends.load, backend)
        self._memory = Memory()
        self.data = self.module.prepare(samples.X.copy(), samples.y.copy())
        if budget is None:
            return
        self.first, _ = self._call(1)
        again, _ = self._call(1)
        self.compile = max(0.0, self.first - again)
        if again > longest:
            self.too_slow = f"too slow: a call of one epoch takes {again:.3g} s"
            return
        epochs = self._affordable(again, budget)
        if epochs < self.job.epochs:
            self.job = replace(self.job, epochs=epochs)

    def _affordable(self, one: float, budget: float) -> int:
        """Return the epochs that fit into a call of `budget` seconds; find out what it sets up.

        `one` is the time of a call of one epoch, which passes over the data twice: before the
        update and after. Doubled for as long as the calls stay within the budget, or are hardly
        longer than that one: then setting up is all that takes time, and epochs cost next to
        nothing.
        """
        if one < budget:  # the first calls in a process take longer than those that are timed
            one = min(one, *(self._call(1)[0] for _ in range(_AGAIN)))
        budget = max(budget, _HARDLY * one)
        epochs, seconds = 1, one
        while epochs < self.job.epochs:
            more = min(2 * epochs, self.job.epochs)
            longer, _ = self._call(more)
            if budget < longer < 1.05 * budget:
                longer = min(longer, self._call(more)[0])  # it may have been a slow moment
            per_epoch = max(longer - seconds, 0.0) / (more - epochs)
            if longer > budget:
                epochs += int((budget - seconds) / per_epoch)
                break
            epochs, seconds = more, longer
        else:
            per_epoch = self._per_epoch(one, epochs, seconds)
        setup = one - 2 * per_epoch
        self.setup = setup if epochs > 1 and setup > _WORTH * per_epoch else 0.0
        return max(epochs, 1)

    def _per_epoch(self, one: float, epochs: int, seconds: float) -> float:
        """Return the seconds of an epoch, where a call of `epochs` takes `seconds`.

        Where that is hardly longer than `one`, the call of a single epoch, the epochs are lost in
        the wobble of the setting up. Then calls of more epochs than the case has tell them apart.
        """
        while 1 < epochs < _MANY // self.job.d and seconds < _HARDLY * one:
            self.memory = self.memory or self._memory.growth()  # of the case, not of what follows
            epochs *= 4
            seconds, _ = self._call(epochs)
        return max(seconds - one, 0.0) / max(epochs - 1, 1)

    def _call(self, epochs: int) -> tuple[float, Any]:
        """Return the seconds that a call of `train` takes, and what it returns."""
        return _timed(self.module.train, self.data, lr=self.job.lr, epochs=epochs)

    def _verify(self, backend: str, truth: ExactTrajectory, budget: float | None) -> None:
        """Make the call that will be timed, and judge its result."""
        seconds, result = self._call(self.job.epochs)
        self.first = self.first or seconds
        if budget is not None and seconds >= BLOCK:
            self.calls = 1  # what pytest-benchmark would find out with three calls more
        self.memory = self.memory or self._memory.growth()
        path = as_trajectory(result, self.job.epochs, self.job.d)
        del result
        self.verdict = judge(backend, path, truth)
        gc.collect()
        gc.freeze()  # the many lists of `python` would slow down every later collection


def write_truth(job: Case, folder: Path) -> None:
    """Compute the exact trajectory of a case and leave it in `folder` for the sessions."""
    truth = _exact(job)
    (folder / job.spec).write_bytes(pickle.dumps(truth, protocol=pickle.HIGHEST_PROTOCOL))
    _samples.cache_clear()


def _exact(job: Case) -> ExactTrajectory:
    samples = _samples(job.n, job.d)
    return exact_trajectory(samples.X, samples.y, lr=job.lr, epochs=job.epochs)


@cache
def _samples(n: int, d: int) -> Dataset:
    return Case(n, d, 1.0, 1).samples()


@cache
def _truth(case: str, folder: str | None) -> ExactTrajectory:
    if folder is None:
        return _exact(parse(case))
    truth: ExactTrajectory = pickle.loads((Path(folder) / case).read_bytes())
    return truth


def _timed(function: Callable[..., Any], *args: Any, **kwargs: Any) -> tuple[float, Any]:
    start = default_timer()
    result = function(*args, **kwargs)
    return default_timer() - start, result
