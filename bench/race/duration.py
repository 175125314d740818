"""About how long a race takes, before anything is known of its backends."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import backends
from bench.race.settings import Settings
from bench.race.timed_backend import LEAST_BLOCK
from bench.race.trial import FEWEST_REPETITIONS, LONG_BLOCK


@dataclass(frozen=True)
class Pace:
    """How fast a machine is, in seconds; anything not listed takes negligible time."""

    around: float
    """Before and after the race: exact sums, pictures, the model of the reference line."""
    check: float
    """Checking a backend, including its start."""
    limits: int
    """How many times the limit of the machine is measured."""
    limit: float
    """Measuring it once."""
    process: float
    """Starting a process that imports a backend and tries it on one case."""
    compiling: float
    """All cold and cached starts of a backend."""
    block: float
    """The average timed block of a backend that is not slow."""
    ready: float
    """Preparing and verifying a backend in a session."""
    step: float
    """What an interpreted loop takes for one number of X or y."""
    interpreted: bool
    """Whether a foreign backend is assumed to be an interpreted loop."""


BRISK = Pace(
    around=1.0,
    check=2.0,
    limits=2,
    limit=1.0,
    process=0.6,
    compiling=0.0,
    block=LEAST_BLOCK,
    ready=0.02,
    step=5e-8,
    interpreted=False,
)
"""A fast machine that does nothing else."""

SLOW = Pace(
    around=8.0,
    check=5.0,
    limits=4,
    limit=3.0,
    process=1.5,
    compiling=2.0,
    block=LONG_BLOCK,
    ready=0.15,
    step=1.5e-7,
    interpreted=True,
)
"""A slow machine, or one that is busy."""

_TRIAL_PASSES = 10
"""The least number of times that a trial goes through the samples."""


def duration(settings: Settings) -> tuple[float, float]:
    """Return about how many seconds the race takes, on a fast and on a slow machine."""
    return _seconds(settings, BRISK), _seconds(settings, SLOW)


def _seconds(settings: Settings, pace: Pace) -> float:
    """Return the sum of all that takes time, one after the other."""
    passes = [pace.step * case.n * (case.d + 1) for case in settings.cases]
    slow = sum(_is_interpreted(spec, pace) for spec in settings.backends)
    trials = len(settings.cases) * len(settings.backends)
    arms = trials + len(settings.cases)  # the fastest of each case also races against itself
    session = pace.process + arms * (settings.repetitions * pace.block + pace.ready)
    for one in passes:  # a call of one epoch passes twice
        usual, least = settings.repetitions * pace.block, FEWEST_REPETITIONS * 2 * one
        session += slow * max(0.0, least - usual)
    return (
        pace.around
        + len(settings.backends) * (pace.check + pace.compiling)
        + settings.limit * pace.limits * pace.limit
        + trials * pace.process
        + slow * _TRIAL_PASSES * sum(passes)
        + settings.sessions * max(settings.spacing, session)
    )


def _is_interpreted(spec: str, pace: Pace) -> bool:
    """Whether a backend is an interpreted loop; for a foreign one, as assumed."""
    name = backends.name_of(spec)
    if name in backends.LADDER:
        return backends.LADDER[name].package is None
    return pace.interpreted


def announcement(settings: Settings) -> str:
    """Say what will be raced, and about how long that takes."""
    return (
        f"{settings.kind} run: {_count(len(settings.cases), 'size')}, "
        f"{_count(len(settings.backends), 'backend')}, {_count(settings.sessions, 'session')}; "
        f"takes about {in_words(*duration(settings))}"
    )


def in_words(low: float, high: float) -> str:
    """Write a range of times that contains both: 45 to 110 seconds."""
    first = _unit(low, math.floor)
    last = _unit(high, math.ceil)
    if first == last:
        return " ".join(last)
    return f"{first[0] if first[1] == last[1] else ' '.join(first)} to {' '.join(last)}"


def _unit(seconds: float, rounded: Callable[[float], int]) -> tuple[str, str]:
    """Return a round number and its unit: fives of seconds, minutes from two on, then hours."""
    for size, unit in ((3600, "hours"), (60, "minutes")):
        if seconds >= 2 * size:
            return f"{rounded(seconds / size):,}", unit
    return f"{5 * rounded(seconds / 5)}", "seconds"


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'s' * (number != 1)}"
