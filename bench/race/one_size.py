"""What a backend must get right at one size, besides the calls that are timed there."""

from collections.abc import Iterable
from functools import cache

import numpy as np

from gradrace.backends.interface import InputValueError
from gradrace.bench.data.samples import Dataset, integers, small_integers
from gradrace.bench.machine.facts import available_memory
from gradrace.bench.proof.agreement import fault_on
from gradrace.bench.proof.isolation import run_isolated
from gradrace.bench.proof.precision import FLOAT64, Precision
from gradrace.bench.proof.problems import Problem
from gradrace.bench.proof.returns import BackendError
from gradrace.bench.race.cases import Case, parse, stable_limit

_COPIES = 12
"""How many times the samples are in memory: here, on their way, in the process of the backend."""
_EPOCHS = 2
_FROM_A_START = 7, 3
"""Epochs, and `every`."""
_INTEGER_EPOCHS = 4
_SAMPLES_PER_ROUNDING = 64
"""The fewest samples after which a loop may round a sum of integers."""


def sizes_of(texts: Iterable[str]) -> tuple[Case, ...]:
    """Return the cases with these names, such as "1e6x10".

    Raises:
        InputValueError: one cannot be read, or needs more memory than there is.

    """
    cases, available = tuple(map(parse, dict.fromkeys(texts))), available_memory()
    for case in cases:
        if (needed := _COPIES * case.data_bytes) > available:
            raise InputValueError(
                f"case: {case.name} needs about {needed / 1e9:,.1f} GB of memory, and "
                f"{available / 1e9:,.1f} GB are free"
            )
    return cases


@cache
def samples_of(n: int, d: int) -> Dataset:
    """Return the raced samples of this size."""
    return Case(n, d, 1.0, 1).samples()


def from_a_start(case: Case, samples: Dataset) -> Problem:
    """Return a run unlike those timed: from a random start, with `every` > 1, at a large rate."""
    rng, (epochs, every) = np.random.default_rng(), _FROM_A_START
    w0, b0 = rng.uniform(-1, 1, case.d), float(rng.uniform(-1, 1))
    lr = float(rng.uniform(0.7, 0.8)) * stable_limit(case.n, case.d)
    name = f"from a given w0, b0, with every={every}"
    return Problem(name, samples.X, samples.y, lr, epochs, w0, b0, every)


def on_integers(case: Case, precision: Precision = FLOAT64) -> Problem:
    """Return a run whose sums are hardly rounded, to show what the bound for n terms hides."""
    whole = (integers if precision is FLOAT64 else small_integers)(case.n, case.d)
    few = len(whole.y) // _SAMPLES_PER_ROUNDING + case.d + 10 + precision.conversions
    lr = integer_rate(case.d, precision)
    name = f"on {whole.name}"
    return Problem(name, whole.X, whole.y, lr, _INTEGER_EPOCHS, roundings=few)


def integer_rate(d: int, precision: Precision = FLOAT64) -> float:
    """Return a rate for the integers of d features: a power of 2, and stable."""
    return 2.0 ** -((51 if precision is FLOAT64 else 26) + d.bit_length())


@cache
def _problems(case: Case, precision: Precision) -> tuple[Problem, ...]:
    samples = samples_of(case.n, case.d)
    zero = Problem("from zero", samples.X, samples.y, case.lr, _EPOCHS)
    again = from_a_start(case, samples)
    return zero, again, zero, on_integers(case, precision)


def fault_at(case: Case, spec: str, precision: Precision, timeout: float | None) -> str:
    """Return what is wrong with a backend of this precision at one size, or an empty string."""
    problems = _problems(case, precision)
    try:
        outcome = run_isolated(spec, problems, timeout)
        fault = fault_on(problems, outcome) or outcome.failure
    except BackendError as error:
        fault = str(error)
    return fault and f"on {case.n:,} × {case.d:,}, {fault}"
