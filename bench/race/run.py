"""Race: verify the backends, time those that agree in several sessions, save."""

import tempfile
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from gradrace.backends.interface import InputValueError
from gradrace.bench.machine import facts
from gradrace.bench.machine.progress import Progress, silent
from gradrace.bench.machine.roofline import best, measured
from gradrace.bench.race.cases import parse
from gradrace.bench.race.contestant import write_steps
from gradrace.bench.race.sessions import fill_cache, time_sessions
from gradrace.bench.race.settings import QUICK_SETTINGS, Settings
from gradrace.bench.race.trial import Conditions, try_out
from gradrace.bench.race.verdict.race import PREVIOUS, Counter, Race
from gradrace.bench.race.verdict.record import fingerprints, new_content
from gradrace.bench.race.verdict.result import RESULT
from gradrace.bench.race.verification import check

_MOST_CONFIRMATIONS = 3
"""How often the limit is measured again after the race before a time is called impossible."""

_SAME_MACHINE = ("cpu", "cores", "memory", "python_version")
"""What must be the same when a race is resumed."""


def run(
    folder: Path,
    settings: Settings = QUICK_SETTINGS,
    on_progress: Progress = silent,
) -> Race:
    """Verify backends and race them on cases; save the result in `folder`.

    Writes agreement.parquet and benchmark.json. `on_progress` gets what is being done, the number
    of steps that are done, and their total, which is 0 before the sessions. Ctrl-C keeps the
    finished sessions and sets `interrupted`; `resume` can complete the file. An earlier
    benchmark.json is kept as benchmark.previous.json.

    Raises:
        InputValueError: as `Settings.resolved`, or a backend cannot be imported or lacks a
            function.
        OSError: the folder cannot be written to.

    """
    settings = settings.resolved()
    race, steps = Race(folder / RESULT, new_content(settings)), Counter(on_progress)
    try:
        agreeing = check(race, folder, steps)
        if agreeing:
            if race.file.exists():
                race.file.replace(race.file.with_name(PREVIOUS))
            _measure(race, agreeing, steps)
    except KeyboardInterrupt:
        race.interrupted = True
    if race.content.benchmarks or not race.interrupted:
        race.write()
    return race


def unchanged(folder: Path, settings: Settings, revision: str) -> Race:
    """Write the result of a race against a revision since which no backend has changed.

    Raises:
        InputValueError, OSError: as `run`.

    """
    race = Race(folder / RESULT, new_content(settings.resolved()))
    race.about.unchanged_since = revision
    race.write()
    return race


def measure(path: Path, settings: Settings, on_progress: Progress = silent) -> Race:
    """Time the backends without the check on the reference line; write the result file `path`.

    Ctrl-C keeps the finished sessions, and sets `interrupted`.

    Raises:
        InputValueError: as `Settings.resolved`.
        OSError: the file cannot be written.

    """
    settings = settings.resolved()
    race = Race(path, new_content(settings))
    try:
        _measure(race, settings.backends, Counter(on_progress))
    except KeyboardInterrupt:
        race.interrupted = True
    return race


def resume(path: Path, on_progress: Progress = silent) -> Race:
    """Complete the result file of an interrupted run: time the missing sessions.

    The contenders, calls and seeds are those of the file. For a finished file, nothing is timed or
    written.

    Raises:
        InputValueError: it is not a result file, was made on another machine, with other versions
            or with a different backend file, was interrupted before its first session, or
            `Settings.resolved` refuses its settings.
        OSError: it cannot be read or written.

    """
    race, steps = Race(path), Counter(on_progress)
    about = race.about
    settings = about.settings.resolved()
    if not about.contenders:
        raise InputValueError(f"{path}: was interrupted before the first session; run it again")
    jobs = {(case.spec, case.lr) for case in settings.cases}
    wanted = [parse(one.case) for one in about.contenders]
    if any((case.spec, case.lr) not in jobs for case in wanted):
        raise InputValueError(
            f"{path}: is damaged: its contenders and its settings have different cases"
        )
    if not about.interrupted:
        return race
    _require_same(race)
    about.sessions = [session for session in about.sessions if not session.failure]
    try:
        with tempfile.TemporaryDirectory(prefix="gradrace-") as name:
            conditions = _set_up(Path(name), settings, steps)
            fill_cache(about.contenders, conditions, steps)
            time_sessions(race, conditions, steps)
    except KeyboardInterrupt:
        race.interrupted = True
    race.write()
    return race


def _require_same(race: Race) -> None:
    """Make sure that further times can be combined with those of the file."""
    now = fingerprints(race.about.settings.backends)
    for name, before in race.about.fingerprints.items():
        if now[name] != before:
            what = "has changed since" if now[name] else "no longer exists"
            raise InputValueError(
                f"{race.file}: {name} {what}, so old and new times cannot be combined"
            )
    here, there = facts.machine_info(), race.content.machine_info
    for key in _SAME_MACHINE:
        if getattr(here, key) != getattr(there, key):
            raise InputValueError(f"{race.file}: was begun on another machine ({key} differs)")


def _measure(race: Race, specs: Sequence[str], steps: Counter) -> None:
    """Try every backend on every case, then time the sessions; everything is verified first."""
    with tempfile.TemporaryDirectory(prefix="gradrace-") as name:
        conditions = _set_up(Path(name), race.about.settings, steps)
        _measure_limit(race, conditions, steps)
        _try_out(race, specs, conditions, steps)
        time_sessions(race, conditions, steps)
        if race.about.sessions:
            for _ in range(_MOST_CONFIRMATIONS):
                _measure_limit(race, conditions, steps)
                race.write()
                if not race.impossible:
                    break


def _measure_limit(race: Race, conditions: Conditions, steps: Counter) -> None:
    """Measure what the machine can do; the best rates of several measurements count."""
    if race.about.settings.limit:
        steps("measuring what the machine can do", 0)
        with suppress(RuntimeError):  # the race does not need a limit
            threads = min(race.about.settings.threads, len(facts.affinity()))
            found = measured(threads, conditions.cache)
            race.about.roofline = best(race.about.roofline, found)


def _set_up(folder: Path, settings: Settings, steps: Counter) -> Conditions:
    """Compute the exact sums, by which every session judges what it times."""
    exact, caches = folder / "exact", folder / "caches"
    for place in (exact, caches):
        place.mkdir()
    for case in settings.cases:
        steps(f"adding up {case.name} without rounding", 0)
        write_steps(case, exact)
    return Conditions(exact, caches, settings.threads, settings.budget, settings.longest)


def _try_out(race: Race, specs: Sequence[str], conditions: Conditions, steps: Counter) -> None:
    """Find out what each backend needs on each case, and fix it for all sessions."""
    about, settings = race.about, race.about.settings
    found = try_out(
        specs,
        settings.cases,
        conditions,
        precisions={name: facts.precision for name, facts in about.backends.items()},
        repetitions=settings.repetitions,
        colds=3 if settings.kind == "full" else 1,
        on_trial=steps,
    )
    about.contenders, about.compile, about.trials = found.contenders, found.compile, found.calls
    for spec, declared in found.declared.items():
        known = about.backends[spec]
        known.one_core, known.passes_once = declared.one_core, declared.passes_once
        known.precision = declared.precision
    about.verdicts += found.verdicts
    about.left_out += found.left_out
