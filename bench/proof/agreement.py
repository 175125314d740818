"""The verdict: whether a backend's trajectory lies within the rounding bound of the exact one.

A backend agrees if and only if every w, b and loss is within the bound of `oracle.py`, and, in a
run that diverges, finite values turn to inf and nan when float64 overflows, and only then. There is
no tolerance to choose: a disagreement is a bug, never noise.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache, partial
from itertools import accumulate, chain
from typing import Annotated, Any, NamedTuple
from weakref import WeakKeyDictionary

import msgspec
import numpy as np
from msgspec import Meta
from threadpoolctl import ThreadpoolController

from gradrace import backends
from gradrace.backends.interface import Floats, Integers, Trajectory
from gradrace.bench.machine.facts import affinity
from gradrace.bench.machine.ranges import Number
from gradrace.bench.proof.exercise import PIECES_LR
from gradrace.bench.proof.isolation import SMALL, Isolated, Outcome, run_isolated, side_by_side
from gradrace.bench.proof.oracle import (
    Exact,
    ExactTrajectory,
    Flags,
    Sums,
    sums_without_rounding,
    trajectory_of,
    unbounded,
)
from gradrace.bench.proof.precision import FLOAT64, PrecisionName
from gradrace.bench.proof.problems import Problem
from gradrace.bench.proof.returns import BackendError
from gradrace.bench.proof.steps import Steps

_RESUMED_EPOCHS, _RESUMED_EVERY = 20, 3
_LEAST_SHARE = 1e3
_AT_ONCE = 4
"""Backends that are checked side by side, at most."""


Spec = Annotated[str, Meta(min_length=1, max_length=4096)]
"""What a backend is called: a name, a module or the path of a file, at its longest."""


class Deviation(msgspec.Struct, frozen=True):
    """The value of a trajectory that is furthest from the exact one, relative to the bound.

    What is not finite is null in a file, and so None when it is read.
    """

    error: float | None
    """|value − exact|"""
    epoch: Number
    multiple: float | None
    """error / bound; at most 1 in a backend that agrees."""


class Digits(msgspec.Struct, frozen=True):
    """How many decimal digits are right at every epoch: −log₁₀ of the largest relative error."""

    state: float
    """Of w and b, relative to the largest of them at that epoch."""
    loss: float

    @property
    def kept(self) -> str:
        """How many digits are right, in words, without a full stop."""
        return f"It keeps {self.state:.1f} digits in w and b, and {self.loss:.1f} in the loss"


class Verdict(msgspec.Struct, frozen=True):
    """What the check found about one backend."""

    backend: Spec
    agrees: bool
    reason: str
    """The first mistake found; empty if the backend agrees."""
    w: Deviation | None = None
    """None if nothing can be compared: there is no trajectory, or every value may overflow."""
    b: Deviation | None = None
    loss: Deviation | None = None
    bitwise: bool | None = None
    """Whether w, b and every loss equal the baseline's bit for bit; None if that did not run."""
    first_inf: Number | None = None
    """The epoch of the first loss that is inf, None if there is none."""
    first_nan: Number | None = None
    pieces: tuple[str, ...] = ()
    """Which of predict, loss, gradients and update the backend has; these were checked, too."""
    precision: PrecisionName = FLOAT64.name
    """What the backend declares to compute in: float64 or float32."""
    digits: Digits | None = None
    """How many digits are right; None if nothing can be compared."""


@dataclass(frozen=True)
class Checked:
    """A verdict and the trajectory it is about, None if the backend returned none."""

    verdict: Verdict
    trajectory: Trajectory | None = None


def check_backends(
    specs: Iterable[str],
    job: Problem,
    *,
    exact: ExactTrajectory,
    others: Sequence[Problem] = (),
    timeout: float | None = 60.0,
) -> Iterator[Checked]:
    """Train each backend on `job`, from zero, in its own process, and judge it, one after another.

    While one is judged, the next ones are at work, if the job is small.

    A second, short run starts from a given (w0, b0) and records only some epochs. There, predict,
    loss, gradients and update are evaluated if the backend has them. Then come the `others`, such
    as `problems.suite()`. `exact` is the `exact_trajectory` of the first run; `timeout` is in
    seconds per backend, None for no limit. The baseline goes first if it is included, because the
    others are compared with it bit for bit.
    """
    _latest[:] = [(job.X, job.y, exact.sums)]
    _known[job] = _Exact(exact, None)
    group = [job, *_resumed(job, exact), *others]
    for _, checked in _checked(specs, [group], timeout):
        yield checked


def check_rates(
    specs: Iterable[str], jobs: Sequence[Problem], sums: Sums, *, timeout: float | None = 60.0
) -> Iterator[tuple[Problem, Checked]]:
    """Judge each backend on jobs that differ only in the rate, as `check_backends` does on one.

    A backend has one process for all of them. If it fails there, each job gets a process of its
    own, so that the others do not suffer. `sums` are those over the samples, without rounding;
    `timeout` is in seconds per job.
    """
    _latest[:] = [(jobs[0].X, jobs[0].y, sums)]
    firsts = [trajectory_of(sums, lr=job.lr, epochs=min(job.epochs, 1)) for job in jobs]
    groups = [[job, *_resumed(job, first)] for job, first in zip(jobs, firsts, strict=True)]
    yield from _checked(specs, groups, timeout)


def _checked(
    specs: Iterable[str], groups: Sequence[Sequence[Problem]], timeout: float | None
) -> Iterator[tuple[Problem, Checked]]:
    """Yield a verdict for each backend and the first job of each group."""
    ordered = sorted(dict.fromkeys(specs), key=lambda name: name != backends.BASELINE)
    every = [*chain(*groups)]
    small = all(job.prepared is None and job.X.size <= SMALL for job, *_ in groups)
    at_once = min(len(affinity()) + 1, _AT_ONCE) if small else 1
    references = dict[Problem, Trajectory]()
    limit = None if timeout is None else timeout * len(groups)
    for spec, done in side_by_side(ordered, every, limit, at_once, map(_exact, every)):
        outcomes = _outcomes(spec, done, groups, timeout)
        for group, outcome in zip(groups, outcomes, strict=True):
            job = group[0]
            if isinstance(outcome, BackendError):
                yield job, Checked(Verdict(spec, agrees=False, reason=str(outcome)))
                continue
            if spec == backends.BASELINE:
                references[job] = outcome.trajectories[0]
            yield job, _judged(spec, group, outcome, references.get(job))


def _outcomes(
    spec: str, done: Isolated, groups: Sequence[Sequence[Problem]], timeout: float | None
) -> list[Outcome | BackendError]:
    """Return what a backend returned for each group, or why it returned nothing."""
    whole = _tried(done.outcome)
    if len(groups) == 1:
        return [whole]
    if isinstance(whole, BackendError) or whole.failure:
        return [_tried(partial(run_isolated, spec, group, timeout)) for group in groups]
    ends = accumulate(map(len, groups))
    return [whole.part(end - len(group), end) for group, end in zip(groups, ends, strict=True)]


def _tried(outcome: Callable[[], Outcome]) -> Outcome | BackendError:
    try:
        return outcome()
    except BackendError as error:
        return error


def _judged(
    spec: str, group: Sequence[Problem], outcome: Outcome, reference: Trajectory | None
) -> Checked:
    """Return the verdict on what a backend returned for a job and the problems that follow it."""
    job, *more = group
    path, exact = outcome.trajectories[0], _exact(job).run
    assert isinstance(exact, ExactTrajectory)
    verdict = judge(spec, path, outcome.bound(exact, 0), reference)
    reason = verdict.reason or fault_on(more, outcome.part(1)) or outcome.failure
    pieces = tuple(dict.fromkeys(chain(*outcome.pieces)))
    verdict = msgspec.structs.replace(verdict, agrees=not reason, reason=reason, pieces=pieces)
    return Checked(verdict, path)


def _resumed(job: Problem, exact: ExactTrajectory) -> Iterator[Problem]:
    """Yield a short run from the state after one update, where no gradient is trivially zero."""
    w, b = exact.w.near[:2][-1], float(exact.b.near[:2][-1])
    if np.isfinite(w).all() and np.isfinite(b):
        epochs = min(job.epochs, _RESUMED_EPOCHS)
        yield replace(
            job,
            name="from a given w0, b0, with every=3",
            epochs=epochs,
            w0=w,
            b0=b,
            every=_RESUMED_EVERY,
            pieces=job.prepared is None,
        )


def fault_on(problems: Sequence[Problem], outcome: Outcome, only: str = "") -> str:
    """Return what is wrong with what a backend returned on problems, or an empty string.

    With `only` = "pieces", only predict, loss, gradients and update are judged.
    """
    seen: set[Problem] = set()
    found = zip(problems, outcome.trajectories, outcome.pieces, strict=False)
    for i, (problem, path, pieces) in enumerate(found):
        run, epoch = _exact(problem)
        fault = "" if only == "pieces" else _fault(problem, path, outcome, i, run)
        if epoch is not None and not fault:
            fault = piece_fault(pieces, problem, epoch.held_to(problem.n, outcome.precision))
        if fault:
            return f"{problem.name}{', called again' * (problem in seen)}: {fault}"
        seen.add(problem)
    return ""


def _fault(
    problem: Problem, path: Trajectory, outcome: Outcome, i: int, exact: "ExactTrajectory | Steps"
) -> str:
    if isinstance(exact, ExactTrajectory):
        return judge("", path, outcome.bound(exact, i)).reason
    w0 = np.zeros(problem.X.shape[1]) if problem.w0 is None else problem.w0
    chains, precision = outcome.chains[i], outcome.precision
    start = w0, problem.b0
    if problem.roundings:  # hardly any, whatever the chain
        return exact.fault(path, problem.lr, *start, precision=precision)
    return exact.fault(path, problem.lr, *start, chains.gradient, precision, chains.loss)


class _Exact(NamedTuple):
    run: ExactTrajectory | Steps
    epoch: ExactTrajectory | None
    """One epoch with α = 1 from the same start, to check predict, loss, gradients and update."""


_known: WeakKeyDictionary[Problem, _Exact] = WeakKeyDictionary()
_latest: list[tuple[Floats, Floats, Sums]] = []
"""The samples that were summed last: the next problem often has the same ones."""


_libraries = cache(ThreadpoolController)


def _exact(problem: Problem) -> _Exact:
    """Return the exact trajectories of a problem, computed once for all backends."""
    if problem not in _known:
        with _libraries().limit(limits=1, user_api="blas"):  # the backends need the cores
            _known[problem] = _computed(problem)
    return _known[problem]


def _computed(problem: Problem) -> _Exact:
    X, y, (n, d) = problem.X, problem.y, problem.X.shape
    if problem.sums_fit:
        return _Exact(Steps.of_small_integers(X, y, roundings=n + d + 10), None)
    if not (_latest and _latest[0][0] is X and _latest[0][1] is y):
        _latest[:] = [(X, y, sums_without_rounding(X, y))]
    sums = _latest[0][2]
    if problem.roundings:
        return _Exact(Steps.of(X, y, sums, problem.roundings), None)
    start: dict[str, Any] = {"w0": problem.w0, "b0": problem.b0}
    lr, epochs, every = problem.lr, problem.epochs, problem.every
    run = trajectory_of(sums, lr=lr, epochs=epochs, every=every, **start)
    epoch = trajectory_of(sums, lr=1.0, epochs=1, **start) if problem.pieces else None
    return _Exact(run, epoch)


def judge(
    backend: str,
    trajectory: Trajectory,
    exact: ExactTrajectory,
    reference: Trajectory | None = None,
) -> Verdict:
    """Compare a trajectory with the exact one, and bit for bit with `reference`.

    `exact` covers every epoch up to the last one of the trajectory, which may skip epochs.
    """
    epoch, w, b, loss = trajectory
    exact, job = exact.at(epoch), exact.job
    unjudged = unbounded(job.chain, w.shape[1], job.precision)
    faults = [
        *([(-1, unjudged)] if unjudged else ()),
        *_faults("w", w, exact.w, epoch, job.precision.name),
        *_faults("b", b, exact.b, epoch, job.precision.name),
        *_faults("loss", loss, exact.loss, epoch, job.precision.name),
        *_pattern_faults(trajectory),
    ]
    first = min(faults, key=lambda fault: fault[0], default=None)
    return Verdict(
        backend,
        agrees=first is None,
        reason="" if first is None else first[1],
        w=_deviation(w, exact.w, epoch),
        b=_deviation(b, exact.b, epoch),
        loss=_deviation(loss, exact.loss, epoch),
        bitwise=None if reference is None else _equal_bits(trajectory, reference),
        first_inf=_first_epoch(np.isinf(loss), epoch),
        first_nan=_first_epoch(np.isnan(loss), epoch),
        precision=job.precision.name,
        digits=_digits(trajectory, exact),
    )


def piece_fault(pieces: Mapping[str, Floats], problem: Problem, exact: ExactTrajectory) -> str:
    """Return what is wrong with the functions evaluated at (w0, b0), or an empty string.

    `exact` is one epoch with α = 1 from there. It gives the exact loss and, since θ₁ = θ₀ − ∇L, the
    exact gradients.
    """
    X, b = problem.X, problem.b0
    w = np.zeros(X.shape[1]) if problem.w0 is None else problem.w0
    slope, slope_bound, slope_may_overflow = _slope(exact, w, b)
    start, gradients = np.append(w, b), pieces.get("gradients", np.ones(len(w) + 1))
    p, d = exact.precision, len(w)
    with np.errstate(over="ignore", invalid="ignore"):
        # ŷ and θ are computed here with rounding as well, so the bound is doubled
        y_hat, reach = X @ w + b, np.abs(X) @ np.abs(w) + abs(b)
        operands = np.abs(X).sum(axis=1) + np.abs(start).sum() + d + 1
        y_hat_bound = 2 * (p.unit * (d + 2) * reach + p.underflow * operands)
        new = start - PIECES_LR * gradients
        new_reach = np.abs(start) + PIECES_LR * np.abs(gradients)
    expected = {
        "predict": (y_hat, y_hat_bound, ~(reach + operands < p.largest)),
        "loss": (exact.loss.near[:1], exact.loss.bound[:1], exact.loss.may_overflow[:1]),
        "gradients": (slope, slope_bound, slope_may_overflow),
        "update": (new, 4 * p.unit * new_reach + 3 * p.underflow, ~(new_reach < p.largest)),
    }
    for piece, values in pieces.items():
        right, bound, may_overflow = expected[piece]
        comparable = np.isfinite(right) & np.isfinite(bound)
        with np.errstate(invalid="ignore"):
            close = ~comparable | (np.abs(values - right) <= bound)
        wrong = np.flatnonzero(~np.where(np.isfinite(values), close, may_overflow))
        if wrong.size:
            i = wrong[0]
            return f"{piece}(): got {values[i]!s}, exact {right[i]!s}"
    return ""


def _slope(exact: ExactTrajectory, w: Floats, b: float) -> tuple[Floats, Floats, Flags]:
    """Return ∇L = θ₀ − θ₁, its error bound, and where it may overflow."""
    with np.errstate(over="ignore", invalid="ignore"):
        of_w = w - exact.w.near[1] - exact.w.rest[1]
        of_b = b - exact.b.near[1] - exact.b.rest[1]
    return (
        np.append(of_w, of_b),
        np.append(exact.w.bound[1], exact.b.bound[1]),  # in float32, θ₀ is rounded instead of α
        np.append(exact.w.may_overflow[1], exact.b.may_overflow[1]),
    )


def _faults(
    name: str, values: Floats, exact: Exact, epoch: Integers, precision: str
) -> Iterator[tuple[int, str]]:
    """Yield the first epoch at which a value is out of bounds, and a description of the fault."""
    error = exact.error(values)
    finite, comparable = np.isfinite(values), np.isfinite(exact.near)
    outside = np.where(
        finite,
        (comparable & ~(error <= exact.bound)) | exact.must_overflow,
        ~exact.may_overflow,
    )
    if outside.any():
        at = _first(outside)
        words = f"{_label(name, at)} at epoch {epoch[at[0]]}: got {values[at]!s}, "
        if exact.must_overflow[at]:
            words += f"but the exact value is beyond {precision}"
        elif not finite[at]:
            words += f"exact {exact.near[at]!s}; nothing can overflow yet"
        elif exact.bound[at] == 0:
            words += f"exact {exact.near[at]!s}; nothing has been rounded yet"
        else:
            times = _ratio(error, exact.bound)[at]
            words += (
                f"exact {exact.near[at]!s}; the error {error[at]:.2g} is {times:.2g} × the bound"
            )
        yield int(epoch[at[0]]), words


def _pattern_faults(trajectory: Trajectory) -> Iterator[tuple[int, str]]:
    """Yield violations of the pattern finite → inf → nan, whatever the values are."""
    epoch, w, b, loss = trajectory
    broken = ~np.isfinite(np.column_stack([w, b])).all(axis=1)
    for name, values, wrong, words in (
        ("w", w, _returns(w), "got {} after inf or nan"),
        ("b", b, _returns(b), "got {} after inf or nan"),
        ("loss", loss, np.isneginf(loss), "got {}; a mean of squares is positive"),
        ("loss", loss, np.isfinite(loss) & broken, "got {} while w or b is not finite"),
        ("loss", loss, _returns(np.where(broken, loss, 0.0)), "got {} after nan"),
    ):
        if wrong.any():
            at = _first(wrong)
            k = int(epoch[at[0]])
            yield k, f"{_label(name, at)} at epoch {k}: {words.format(values[at])}"


def _returns(values: Floats) -> Flags:
    """Flag a finite value after an inf or nan in its column, and an inf after a nan."""
    severity = np.where(np.isnan(values), 2, np.where(np.isinf(values), 1, 0))
    flags: Flags = severity < np.maximum.accumulate(severity, axis=0)
    return flags


def _deviation(values: Floats, exact: Exact, epoch: Integers) -> Deviation | None:
    """Return the value with the largest error / bound among those that can be compared."""
    error = exact.error(values)
    comparable = np.isfinite(exact.near) & np.isfinite(exact.bound)
    comparable &= np.isfinite(values) | ~exact.may_overflow
    if not comparable.any():
        return None
    ratio = np.where(comparable, _ratio(error, exact.bound), -1.0)
    at = np.unravel_index(int(np.argmax(ratio)), ratio.shape)
    return Deviation(float(error[at]), int(epoch[at[0]]), float(ratio[at]))


def _digits(path: Trajectory, exact: ExactTrajectory) -> Digits | None:
    """Return how many digits are right where all values are finite, at most 17.

    Losses so small that rounding the first one would hide them do not count.
    """
    errors = np.column_stack([exact.w.error(path.w), exact.b.error(path.b)]).max(axis=1)
    sizes = np.abs(np.column_stack([exact.w.near, exact.b.near])).max(axis=1)
    found = []
    for error, size in ((errors, sizes), (exact.loss.error(path.loss), exact.loss.near)):
        clear = np.isfinite(error) & np.isfinite(size)
        clear &= ~(size < _LEAST_SHARE * exact.precision.unit * size[0])  # only rounding is left
        if not clear.any():
            return None
        worst = _ratio(error, size)[clear].max()
        found.append(0.0 - float(np.log10(np.clip(worst, 1e-17, 1.0))))
    return Digits(*found)


def _ratio(error: Floats, bound: Floats) -> Floats:
    """Return error / bound; 0 if the error is 0, inf if only the bound is 0."""
    with np.errstate(all="ignore"):
        return np.where(error == 0, 0.0, error / bound)


def _equal_bits(a: Trajectory, b: Trajectory) -> bool:
    """Compare w, b and loss bit for bit; any nan equals any nan."""
    return all(
        bool(((p.view(np.int64) == q.view(np.int64)) | (np.isnan(p) & np.isnan(q))).all())
        for p, q in zip(a[1:], b[1:], strict=True)
    )


def _first(flags: Flags) -> tuple[int, ...]:
    return tuple(int(i) for i in np.argwhere(flags)[0])


def _first_epoch(flags: Flags, epoch: Integers) -> int | None:
    return int(epoch[np.argmax(flags)]) if flags.any() else None


def _label(name: str, at: tuple[int, ...]) -> str:
    return f"{name}[{at[1]}]" if len(at) > 1 else name
