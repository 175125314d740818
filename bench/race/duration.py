"""About how long a race takes, before anything is known of its backends.

What a machine can do at this moment is measured first: how long a process takes to start that
imports what all of them import. The constants below are what the parts of a race took on a machine
where such a start takes half a second; they are scaled by what it takes here and now.
"""

import subprocess
from time import monotonic

from gradrace import backends
from gradrace.bench.machine import child
from gradrace.bench.race.cases import Case
from gradrace.bench.race.contestant import FAR, LEAST_BLOCK
from gradrace.bench.race.settings import Settings
from gradrace.bench.race.trial import FEWEST_REPETITIONS, LONG_BLOCK

START = 0.5
"""Seconds of a start on the machine of these constants, which are seconds, too."""
_AROUND = 5.5  # exact sums of the small problems, pictures, the model of the reference line
_CHECK = 2.8  # checking a backend
_LIMIT = 4.0  # measuring the limit of the machine, which is done twice
_COMPILING = 5.0  # all cold and cached starts of a backend
_TRIAL, _SESSION, _READY = 1.1, 1.1, 0.15  # a trial; a session; an arm in a session
_STEP = 1e-7  # what an interpreted loop takes for one number of X or y
_EXACT, _TRIED, _READIED = (
    5e-7,
    1.8e-7,
    5e-8,
)  # per number: exact sums, a trial, an arm in a session
_JUDGED, _JUDGED_PRODUCT = 2.5e-7, 1.2e-8
"""Judging a block, per epoch of its calls, and per product of two columns in each epoch."""
_TRIAL_PASSES = 12  # of an interpreted loop
_STARTS = 3

_IMPORTS = "import numpy, numba, pytest, pytest_benchmark.plugin, msgspec, psutil"


def duration(settings: Settings, start: float) -> float:
    """Return about how many seconds a race takes where such a process starts in `start` seconds."""
    scale = start / START
    passes = [_STEP * scale * _numbers(case) for case in settings.cases]
    slow = sum(_is_interpreted(spec) for spec in settings.backends)
    compiling = sum(map(_compiles, settings.backends))
    once = _AROUND + len(settings.backends) * _CHECK + settings.limit * 2 * _LIMIT
    for case in settings.cases:
        trials = len(settings.backends) * (_TRIAL + _TRIED * _numbers(case))
        once += _EXACT * _numbers(case) + trials
    smallest = min(settings.cases, key=lambda case: case.data_bytes)
    starts = 3 if settings.kind == "full" else 1
    once += compiling * (starts * _COMPILING + 2 * _TRIED * _numbers(smallest))
    timed = [one for one in passes if 2 * one < FAR * settings.longest]
    tried = slow * _TRIAL_PASSES * sum(timed)
    session = scale * _SESSION
    for case in settings.cases:
        arms = len(settings.backends) + max(1, len(backends.earlier(settings.backends)))
        session += arms * scale * (_READY + _READIED * _numbers(case))
        session += arms * settings.repetitions * (LEAST_BLOCK + LONG_BLOCK) / 2
        judged = scale * case.epochs * (_JUDGED + _JUDGED_PRODUCT * (case.d + 1) ** 2)
        session += arms * settings.repetitions * judged
    for one in timed:  # a call of one epoch passes twice
        usual, least = settings.repetitions * LONG_BLOCK, FEWEST_REPETITIONS * 2 * one
        session += slow * (max(0.0, least - usual) + 2 * one)  # and one more, to verify it
    sessions = (settings.sessions - 1) * max(settings.spacing, session) + session
    return scale * once + tried + sessions


def _numbers(case: Case) -> int:
    return case.n * (case.d + 1)


def _is_interpreted(spec: str) -> bool:
    return backends.rung(spec).interpreted


def _compiles(spec: str) -> bool:
    return backends.rung(spec).package not in (None, "numpy")


def measured_start() -> float:
    """Return how many seconds a process takes here and now that imports what a race needs."""
    found = []
    for _ in range(_STARTS):
        begin = monotonic()
        process = child.start(_IMPORTS, output=subprocess.DEVNULL)
        process.wait()
        child.end(process)
        found.append(monotonic() - begin)
    return min(found)


def announcement(settings: Settings, start: float | None = None) -> str:
    """Say what will be raced, and about how long that takes; `start` is measured by default."""
    seconds = duration(settings, measured_start() if start is None else start)
    return (
        f"{settings.kind} run: {_count(len(settings.cases), 'size')}, "
        f"{_count(len(settings.backends), 'backend')}, {_count(settings.sessions, 'session')}; "
        f"takes about {in_words(seconds)}"
    )


def in_words(seconds: float) -> str:
    """Write a time in round numbers: fives of seconds, minutes from two on, then hours."""
    for size, unit in ((3600, "hours"), (60, "minutes")):
        if seconds >= 2 * size:
            number = seconds / size
            return f"{number:.1f} {unit}" if number < 3 else f"{number:,.0f} {unit}"
    return f"{max(5, 5 * round(seconds / 5))} seconds"


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'s' * (number != 1)}"
