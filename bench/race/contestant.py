"""Prepare a backend at one size for timing: load, prepare, try and verify it."""

import gc
import pickle
import random
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path
from timeit import default_timer
from typing import Any

import numpy as np
from msgspec.structs import replace

from gradrace import backends
from gradrace.backends.interface import Backend, InputError
from gradrace.bench.data.files import write_bytes
from gradrace.bench.data.samples import Dataset
from gradrace.bench.machine.usage import Memory, MemoryUse
from gradrace.bench.proof.agreement import Verdict
from gradrace.bench.proof.precision import FLOAT64, Precision
from gradrace.bench.proof.problems import Problem
from gradrace.bench.proof.returns import (
    BackendError,
    Chains,
    as_trajectory,
    describe,
    longest_chains,
    precision_of,
)
from gradrace.bench.proof.steps import Steps
from gradrace.bench.race.cases import Case, parse
from gradrace.bench.race.one_size import from_a_start, on_integers, samples_of
from gradrace.bench.race.plan import Contender
from gradrace.bench.race.session import Event, Judged
from gradrace.bench.race.verdict.result import Growth, Preparing

LEAST_BLOCK = 0.008
"""The least seconds of a block of calls that is timed as one."""

_RATE_VARIATION = 2.0**-40
"""The relative variation of the rate from call to call."""

# How many epochs a call makes
_SAME_TIME = 1.4
"""The ratio of two times below which two calls may take equally long."""
_LEAST_SETUP = 4
"""The least time of setting up a call, in epochs, to be distinguished from them."""
_WARM_UP_CALLS = 5
_MOST_VALUES = 1_000_000
"""Epochs times features that a call may record to find out how long an epoch takes."""

# To find out whether a call takes longer on all samples than on some of them
_FEWER_SAMPLES = 8
"""The call on fewer samples gets one in this many."""
_FEW_VALUES, _LEAST_SHARE = 20_000, 20
"""The values of X, and of half of it, in the calls that foretell the time of one on ten times as
many or more."""
FAR = 2.0
"""How many times the longest call a foreseen one must take to be left out untried."""
_ROUNDS, _MOST_ROUNDS = 3, 8
_LONG_CALL = 0.1
"""Seconds of a call above which one round may be enough."""
_CLEAR_DIFFERENCE = 0.2
"""The share of its time by which a call on fewer samples is clearly shorter."""


class Calls:
    """Calls of `train`, each from a different bias and at a rate that differs in its last bits.

    So no call can use the result of an earlier one, and nothing can be computed beforehand. For an
    honest backend, all calls are alike. A call ends when its arrays exist.
    """

    def __init__(self, module: Backend, data: Any, job: Case) -> None:
        """Call `module.train` on what its `prepare` made of the samples of `job`."""
        self._train, self.data, self._job = module.train, data, job
        self.chains, self.precision = longest_chains(module, job.n, job.d), precision_of(module)
        self._draw = random.Random().random
        self.epochs = job.epochs
        self.result: Any = None

    def __call__(self) -> None:
        """Train once, after freeing the memory of the last result."""
        self.result = None
        self.b0 = b0 = self._draw()
        self.lr = lr = self._job.lr * (1.0 + b0 * _RATE_VARIATION)
        self.result = _awaited(self._train(self.data, lr=lr, epochs=self.epochs, b0=b0))

    def fault(self, steps: Steps) -> str:
        """Return what is wrong with the result of the last call, or nothing."""
        try:
            path = as_trajectory(self.result, self.epochs, self._job.d, precision=self.precision)
        except BackendError as error:
            return str(error)
        start, chains = (np.zeros(self._job.d), self.b0), self.chains
        return steps.fault(path, self.lr, *start, chains.gradient, self.precision, chains.loss)


def _awaited(result: Any) -> Any:
    """Return what `train` returned, with its values as arrays, as soon as they exist."""
    try:
        return tuple(map(np.asarray, result))
    except (TypeError, ValueError):
        return result  # `as_trajectory` reports what is wrong with it


class Contestant:
    """A backend with its data for one case; its `verdict` says what it did wrong.

    Times are in seconds, and of single calls: things that happen only once in a process.
    """

    job: Case
    """The case, with as many epochs as a call can run within the budget."""
    module: Backend
    call: Calls
    verdict: Verdict
    too_slow = ""
    """Why it is not timed, although it may be correct; empty if it is timed."""
    calls: int | None
    load = 0.0
    """Importing the backend and its library."""
    first = 0.0
    """The first call of `train`; with a budget, of one epoch."""
    compile = 0.0
    """With a budget: how much longer the first call of one epoch took than the second."""
    growth: Growth | None = None
    """With a budget: the seconds per pass of calls on all samples, `whole`, and how much `more`
    that is than on an eighth; for a backend that passes once, per call of one epoch."""
    preparing: Preparing | None = None
    """With a budget: the seconds of `prepare`, and of converting and copying the samples."""
    setup = 0.0
    """With a budget: the seconds of a call before its first epoch, if they equal several epochs."""
    changed: set[str]
    """What it changed for all backends in its process, in words."""
    memory: MemoryUse | None = None
    """Bytes that preparing and training added at their peak, and the process used in total."""

    def __init__(
        self,
        contender: Contender,
        budget: float | None,
        longest: float,
        exact: str | None,
        log: Callable[[Event], None],
    ) -> None:
        """Prepare `contender`; limits and `exact` are those of a plan, `log` gets the verdict."""
        self.job, self.calls = contender.job, contender.calls
        self._contender, self._log = contender, log
        self.changed: set[str] = set()
        self._steps, on_whole = _known(contender.case, exact)
        try:
            self._make_ready(contender.backend, samples_of(self.job.n, self.job.d), budget, longest)
            fault = "" if self.too_slow else self._fault(budget, on_whole)
        except (Exception, SystemExit) as error:  # a foreign backend may raise anything
            ours = isinstance(error, BackendError | InputError)
            fault = str(error) if ours else describe(error)
        self.judge(fault)

    def judge(self, fault: str) -> None:
        """Set the verdict and log it; `fault` is empty if nothing is wrong."""
        self.verdict = Verdict(self._contender.backend, agrees=not fault, reason=fault)
        name, label = self.job.name, self._contender.label
        self._log(Judged(name, label, self.verdict, self.too_slow, self.job.epochs))

    def judge_last(self) -> None:
        """Judge the result of the last call after the clock has stopped."""
        if fault := self.call.fault(self._steps):
            self.judge(
                f"a timed call returned a wrong result: {fault} (no two calls have the same start "
                "and rate)"
            )

    @property
    def precision(self) -> Precision:
        """What the backend declares to compute in."""
        return precision_of(self.module)

    @property
    def one_core(self) -> bool:
        """Whether the backend declares that it uses a single core."""
        return (
            getattr(self.module, "ONE_CORE", backends.rung(self._contender.backend).one_core)
            is True
        )

    @property
    def passes_once(self) -> bool:
        """Whether the backend declares that it passes over the samples only once per call."""
        known = backends.rung(
            self._contender.backend
        ).passes_once  # before modules could declare it
        return getattr(self.module, "PASSES_ONCE", known) is True

    def signatures(self) -> int:
        """Return how many signatures Numba has compiled or loaded, of the module and the rungs."""
        ours = f"{backends.__name__}."
        rungs = [module for name, module in sys.modules.items() if name.startswith(ours)]
        functions = {id(f): f for module in (*rungs, self.module) for f in vars(module).values()}
        compiled = [f for f in functions.values() if type(f).__module__.startswith("numba.")]
        return sum(len(getattr(f, "signatures", ())) for f in compiled)

    def _make_ready(
        self, backend: str, samples: Dataset, budget: float | None, longest: float
    ) -> None:
        """Load and prepare; with a budget, choose the epochs that it allows."""
        self.load, self.module = _timed(backends.load, backend)
        before, now = self._contender.precision, self.precision.name
        if before and now != before:
            raise BackendError(f"it declares {now}, but {before} when it was checked")
        self._memory = Memory()
        if budget is not None and (seconds := self._foreseen(samples)) > FAR * longest:
            self.too_slow = f"too slow: a call of one epoch would take about {seconds:.2g} s"
            return
        self._first_preparing, data = self._prepared(samples)
        self.call = Calls(self.module, data, self.job)
        if budget is None:
            return
        first, again = self._call(1), self._call(1)
        self.compile += max(0.0, first - again)
        self.first = again + self.compile
        if again > longest:
            self.too_slow = f"too slow: a call of one epoch takes {again:.3g} s"
            return
        epochs = self._affordable(again, budget)
        if epochs < self.job.epochs:
            self.job = replace(self.job, epochs=epochs)
        self.call.epochs = self.job.epochs

    def _prepared(self, samples: Dataset) -> tuple[float, Any]:
        """Return the seconds of `prepare`, and what it returned."""
        return _timed(self.module.prepare, samples.X.copy(), samples.y.copy())

    def _preparing(self, samples: Dataset) -> Preparing:
        """Time `prepare` once more, and copying; after the memory has been measured."""
        copying = _copying(samples, lists=_holds_lists(self.call.data))
        again, _ = self._prepared(samples)  # the first time, it may have compiled
        return Preparing(min(self._first_preparing, again), copying)

    def _foreseen(self, samples: Dataset) -> float:
        """Return about how long a call of one epoch takes, from calls on a few of many samples.

        The first of these may compile, which counts as compiling; 0 if there are not many samples.
        """
        half = max(_FEW_VALUES // self.job.d // 2, 1)
        if self.job.n < _LEAST_SHARE * half:
            return 0.0
        least = []
        for n in (half, 2 * half):  # in the difference, what any call takes cancels
            data = self.module.prepare(samples.X[:n].copy(), samples.y[:n].copy())
            call = Calls(self.module, data, replace(self.job, n=n, epochs=1))
            times = [_timed(call)[0] for _ in range(_ROUNDS)]
            least.append(min(times))
            self.compile += max(0.0, times[0] - times[1])
        return max(least[1] - least[0], 0.0) * self.job.n / half

    def _affordable(self, one: float, budget: float) -> int:
        """Return the epochs that fit into a call of `budget` seconds, and measure its setup time.

        `one` is the time of a call of one epoch, which passes over the data twice: before the
        update and after. The epochs are doubled as long as the calls stay within the budget or
        take hardly longer than `one`, that is, while setting up takes almost all of the time.
        """
        if one < budget:  # the first calls in a process take longer than those that are timed
            one = min(one, *(self._call(1) for _ in range(_WARM_UP_CALLS)))
        budget = max(budget, _SAME_TIME * one)
        epochs, seconds = 1, one
        while epochs < self.job.epochs:
            more = min(2 * epochs, self.job.epochs)
            longer = self._call(more)
            if longer > budget:  # a slow moment, or it compiled for this number of epochs
                longer = min(longer, self._call(more))
            per_epoch = max(longer - seconds, 0.0) / (more - epochs)
            if longer > budget:
                epochs += int((budget - seconds) / per_epoch)
                break
            epochs, seconds = more, longer
        else:
            per_epoch = self._per_epoch(one, epochs, seconds)
        setup = one - 2 * per_epoch
        self.setup = setup if epochs > 1 and setup > _LEAST_SETUP * per_epoch else 0.0
        return max(epochs, 1)

    def _per_epoch(self, one: float, epochs: int, seconds: float) -> float:
        """Return the seconds of an epoch if a call of `epochs` takes `seconds`.

        If that is hardly longer than `one`, the call of a single epoch, the time of the epochs is
        lost in the variation of the setup time. Then longer calls than the case has measure it.
        """
        while 1 < epochs < _MOST_VALUES // self.job.d and seconds < _SAME_TIME * one:
            self.memory = (
                self.memory or self._memory.growth()
            )  # those of the case, not of the longer calls
            epochs *= 4
            seconds = min(self._call(epochs), self._call(epochs))  # the first may compile
        return max(seconds - one, 0.0) / max(epochs - 1, 1)

    def _call(self, epochs: int) -> float:
        """Return the seconds that a call with this many epochs takes."""
        self.call.epochs = epochs
        return _timed(self.call)[0]

    def _fault(self, budget: float | None, on_whole: Steps) -> str:
        """Make and judge the call that will be timed; with a budget, also one on integers."""
        seconds = self._call(self.job.epochs)
        self.first = self.first or seconds
        if budget is not None and seconds >= LEAST_BLOCK:
            seconds = min(seconds, self._call(self.job.epochs))  # it may have compiled
        if budget is not None and seconds >= LEAST_BLOCK:
            self.calls = 1  # what pytest-benchmark would find out with three more calls
        self.memory = self.memory or self._memory.growth()
        fault = self.call.fault(self._steps)
        if budget is not None and not fault:
            self.preparing = self._preparing(samples_of(self.job.n, self.job.d))
            fault = self._fault_elsewhere(on_whole)
            self.growth = self._growth()
        gc.collect()
        gc.freeze()  # the many lists of `python` would slow down every later collection
        return fault

    def _fault_elsewhere(self, on_whole: Steps) -> str:
        """Judge a run unlike those timed, and epochs on integers."""
        samples = samples_of(self.job.n, self.job.d)
        start, whole = from_a_start(self.job, samples), on_integers(self.job, self.precision)
        if self.precision is not FLOAT64:
            on_whole = Steps.of_small_integers(whole.X, whole.y, whole.roundings)
        chains = self.call.chains
        return self._fault_on(start, self.call.data, self._steps, chains) or self._fault_on(
            whole, self.module.prepare(whole.X, whole.y), on_whole
        )

    def _fault_on(self, job: Problem, data: Any, steps: Steps, chains: Chains | None = None) -> str:
        w0 = np.zeros(self.job.d) if job.w0 is None else job.w0
        start: dict[str, Any] = (
            {} if job.w0 is None else {"w0": w0.copy(), "b0": job.b0, "every": job.every}
        )
        result = self.module.train(data, lr=job.lr, epochs=job.epochs, **start)
        path = as_trajectory(result, job.epochs, self.job.d, job.every, self.precision)
        gradient, loss = chains or (None, None)
        fault = steps.fault(path, job.lr, w0, job.b0, gradient, self.precision, loss)
        return fault and f"{job.name}: {fault}"

    def _growth(self) -> Growth | None:
        """Time calls on all samples and on an eighth, in turn, until the difference is clear.

        A backend that does not go through the samples in `train` is equally fast on both.
        """
        job = replace(
            self.job,
            n=self.job.n // _FEWER_SAMPLES,
            epochs=1 if self.passes_once else self.job.epochs,
        )
        if not job.n:
            return None
        samples = samples_of(self.job.n, job.d)
        few = self.module.prepare(samples.X[: job.n].copy(), samples.y[: job.n].copy())
        part = Calls(self.module, few, job)
        _timed(part)  # compiles, maybe
        passes = 1 if self.passes_once else job.epochs + 1
        whole = least = float("inf")
        for done in range(_MOST_ROUNDS):
            enough = _ROUNDS if whole < _LONG_CALL else 1
            if done >= enough and whole - least > _CLEAR_DIFFERENCE * whole:
                break
            whole, least = min(whole, self._call(job.epochs)), min(least, _timed(part)[0])
        self.call.epochs = self.job.epochs
        return Growth(whole / passes, (whole - least) / passes)


def _holds_lists(data: Any) -> bool:
    """Whether samples were converted to lists, which takes a hundred times as long as copying."""
    parts = data if isinstance(data, tuple | list) else (data,)
    return any(isinstance(part, list) for part in parts)


def _copying(samples: Dataset, *, lists: bool) -> float:
    """Return the seconds of checking, converting and copying samples once."""

    def copy() -> Any:
        finite = np.isfinite(samples.X).all() and np.isfinite(samples.y).all()
        if lists:
            return finite, samples.X.tolist(), samples.X.T.tolist(), samples.y.tolist()
        return finite, samples.X.copy(order="F"), samples.y.copy()

    return min(_timed(copy)[0] for _ in range(2))


def write_steps(job: Case, folder: Path) -> None:
    """Write the exact sums, by which sessions judge a case, to `folder`; not the trajectory."""
    known = pickle.dumps(known_steps(job), protocol=pickle.HIGHEST_PROTOCOL)
    write_bytes(folder / job.name, known)
    samples_of.cache_clear()


def known_steps(job: Case) -> tuple[Steps, Steps]:
    """Return the steps on the samples of a case, and on integers of its size."""
    samples, whole = samples_of(job.n, job.d), on_integers(job)
    few = whole.roundings
    return Steps.of(samples.X, samples.y), Steps.of(whole.X, whole.y, roundings=few)


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
