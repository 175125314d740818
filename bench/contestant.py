"""One arm made ready to be timed (loaded, prepared, tried, verified), and its calls."""

import gc
import pickle
import random
from collections.abc import Callable
from dataclasses import asdict, replace
from functools import cache
from pathlib import Path
from timeit import default_timer
from typing import Any

import numpy as np

import backends
from backends.interface import Backend, InputError
from bench.agreement import Verdict
from bench.cases import Case, parse
from bench.data import Dataset, integers
from bench.files import write_bytes
from bench.isolation import BackendError, as_trajectory, describe
from bench.machine import Memory
from bench.plan import Arm
from bench.steps import Steps

_HARDLY = 1.4
_WORTH = 4  # epochs
_AGAIN = 5  # calls
_MANY = 1_000_000  # epochs times features
BLOCK = 0.008
"""The least seconds of calls that are timed as one."""

_LAST_BITS = 2.0**-40  # the share by which a rate varies
POWER = 2.0**-10  # a rate at which integers stay exact
_BLOCKS = 64  # even on integers, a loop may round once for so many samples


class Calls:
    """Calls of `train`, each from a different bias and at a rate that differs in its last bits.

    So no call can use what an earlier one found, and nothing can be computed beforehand. To a
    backend that does its work, all calls are alike. A call ends when its arrays exist.
    """

    def __init__(self, module: Backend, data: Any, job: Case) -> None:
        """Call `module.train` on what its `prepare` made of the samples of `job`."""
        self._train, self._data, self._job = module.train, data, job
        self._draw = random.Random().random
        self.epochs = job.epochs
        self.result: Any = None

    def __call__(self) -> None:
        """Train once, after freeing the memory of the last result."""
        self.result = None
        self.b0 = b0 = self._draw()
        self.lr = lr = self._job.lr * (1.0 + b0 * _LAST_BITS)
        self.result = _awaited(self._train(self._data, lr=lr, epochs=self.epochs, b0=b0))

    def fault(self, steps: Steps) -> str:
        """Return what is wrong with the result of the last call, or nothing."""
        try:
            path = as_trajectory(self.result, self.epochs, self._job.d)
        except BackendError as error:
            return str(error)
        return steps.fault(path, self.lr, np.zeros(self._job.d), self.b0)


def _awaited(result: Any) -> Any:
    """Return what `train` returned, its values as arrays, as soon as they are there."""
    try:
        return tuple(map(np.asarray, result))
    except (TypeError, ValueError):
        return result  # `as_trajectory` says what is wrong with it


class Contestant:
    """A backend with its data for one case; what it did wrong on the way is its `verdict`.

    Times are in seconds, and of single calls: what happens only once in a process.
    """

    job: Case
    """The case, with as many epochs as a call makes within the budget."""
    module: Backend
    call: Calls
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
    one = 0.0
    """With a budget: how long the quickest call of one epoch took."""
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
        self._arm, self._log = arm, log
        self._steps, on_integers = _known(arm.case, exact)
        try:
            self._make_ready(arm.backend, _samples(self.job.n, self.job.d), budget, longest)
            fault = "" if self.too_slow else self._fault(budget, on_integers)
        except (Exception, SystemExit) as error:  # a foreign backend may raise anything
            ours = isinstance(error, BackendError | InputError)
            fault = str(error) if ours else describe(error)
        self._judge(fault)

    def _judge(self, fault: str) -> None:
        self.verdict = Verdict(self._arm.backend, agrees=not fault, reason=fault)
        self._log(
            "verdict", case=self.job.name, arm=self._arm.label, verdict=asdict(self.verdict),
            too_slow=self.too_slow, epochs=self.job.epochs,
        )  # fmt: skip

    def judge_last(self) -> None:
        """Judge the result of the last call, once the clock has stopped."""
        if fault := self.call.fault(self._steps):
            self._judge(
                f"a timed call returned a wrong result: {fault} (no two calls have the same start "
                "and rate)"
            )

    @property
    def passes_once(self) -> bool:
        """Whether the backend declares that it passes over the samples only once per call."""
        return getattr(self.module, "PASSES_ONCE", False) is True

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
        data = self.module.prepare(samples.X.copy(), samples.y.copy())
        self.call = Calls(self.module, data, self.job)
        if budget is None:
            return
        self.first = self._call(1)
        again = self.one = self._call(1)
        self.compile = max(0.0, self.first - again)
        if again > longest:
            self.too_slow = f"too slow: a call of one epoch takes {again:.3g} s"
            return
        epochs = self._affordable(again, budget)
        if epochs < self.job.epochs:
            self.job = replace(self.job, epochs=epochs)
        self.call.epochs = self.job.epochs

    def _affordable(self, one: float, budget: float) -> int:
        """Return the epochs that fit into a call of `budget` seconds; find out what it sets up.

        `one` is the time of a call of one epoch, which passes over the data twice: before the
        update and after. Doubled for as long as the calls stay within the budget, or are hardly
        longer than that one: then setting up is all that takes time, and epochs cost next to
        nothing.
        """
        if one < budget:  # the first calls in a process take longer than those that are timed
            one = self.one = min(one, *(self._call(1) for _ in range(_AGAIN)))
        budget = max(budget, _HARDLY * one)
        epochs, seconds = 1, one
        while epochs < self.job.epochs:
            more = min(2 * epochs, self.job.epochs)
            longer = self._call(more)
            if longer > budget:  # it was a slow moment, or it compiled for this number
                longer = min(longer, self._call(more))
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
            seconds = min(self._call(epochs), self._call(epochs))  # the first may compile
        return max(seconds - one, 0.0) / max(epochs - 1, 1)

    def _call(self, epochs: int) -> float:
        """Return the seconds that a call of so many epochs takes."""
        self.call.epochs = epochs
        return _timed(self.call)[0]

    def _fault(self, budget: float | None, on_integers: Steps) -> str:
        """Make the call that will be timed, and judge it; with a budget, also one on integers."""
        seconds = self._call(self.job.epochs)
        self.first = self.first or seconds
        if budget is not None and seconds >= BLOCK:
            seconds = min(seconds, self._call(self.job.epochs))  # it may have compiled
        if budget is not None and seconds >= BLOCK:
            self.calls = 1  # what pytest-benchmark would find out with three calls more
        self.memory = self.memory or self._memory.growth()
        fault = self.call.fault(self._steps)
        if budget is not None and not fault:
            fault = self._fault_on_integers(on_integers)
        gc.collect()
        gc.freeze()  # the many lists of `python` would slow down every later collection
        return fault

    def _fault_on_integers(self, steps: Steps) -> str:
        """Judge an epoch whose sums need no rounding: it shows what a bound for n terms hides."""
        samples = integers(self.job.n, self.job.d)
        data = self.module.prepare(samples.X, samples.y)
        path = as_trajectory(self.module.train(data, lr=POWER, epochs=1), 1, self.job.d)
        fault = steps.fault(path, POWER, np.zeros(self.job.d), 0.0)
        return fault and f"on {samples.name}: {fault}"


def write_steps(job: Case, folder: Path) -> None:
    """Leave in `folder` what the sessions judge a case by: exact sums, and no trajectory."""
    known = pickle.dumps(known_steps(job), protocol=pickle.HIGHEST_PROTOCOL)
    write_bytes(folder / job.name, known)
    _samples.cache_clear()


def known_steps(job: Case) -> tuple[Steps, Steps]:
    """Return the steps on the samples of a case, and on integers of its size."""
    samples, whole = _samples(job.n, job.d), integers(job.n, job.d)
    few = len(whole.y) // _BLOCKS + job.d + 10
    return Steps.of(samples.X, samples.y), Steps.of(whole.X, whole.y, roundings=few)


@cache
def _samples(n: int, d: int) -> Dataset:
    return Case(n, d, 1.0, 1).samples()


@cache
def _known(case: str, folder: str | None) -> tuple[Steps, Steps]:
    job = parse(case)
    if folder is None:
        return known_steps(job)
    known: tuple[Steps, Steps] = pickle.loads((Path(folder) / job.name).read_bytes())
    return known


def _timed(function: Callable[..., Any], *args: Any, **kwargs: Any) -> tuple[float, Any]:
    start = default_timer()
    result = function(*args, **kwargs)
    return default_timer() - start, result
