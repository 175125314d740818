"""The race itself: verify the backends, time those that agree in several sessions, save, draw."""

import tempfile
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Literal, cast

from gradrace.backends.interface import InputValueError
from gradrace.bench.data.files import replacing
from gradrace.bench.learning.model import save
from gradrace.bench.learning.training import train
from gradrace.bench.machine import facts, roofline
from gradrace.bench.machine.progress import Progress, silent
from gradrace.bench.race import results, schema
from gradrace.bench.race.cases import REFERENCE, parse
from gradrace.bench.race.pictures import ERRORS, draw
from gradrace.bench.race.record import fingerprints, new_content, settings_of
from gradrace.bench.race.sessions import arms_of, fill_cache, time_sessions, write
from gradrace.bench.race.settings import QUICK_SETTINGS, Settings
from gradrace.bench.race.state import PREVIOUS, RESULT, Race, Steps
from gradrace.bench.race.timed_backend import write_steps
from gradrace.bench.race.trial import Conditions, try_out
from gradrace.bench.race.verification import check

_MOST_CONFIRMATIONS = 3
"""How often the limit is measured again after the race before a time is called impossible."""

_SAME_MACHINE: tuple[Literal["cpu", "cores", "memory", "python_version"], ...] = (
    "cpu",
    "cores",
    "memory",
    "python_version",
)
"""What must be the same when a race is resumed."""


def run(
    folder: Path,
    settings: Settings = QUICK_SETTINGS,
    on_progress: Progress = silent,
) -> Race:
    """Verify backends and race them on cases; save results and pictures in `folder`.

    Writes agreement.parquet, agreement.png, benchmark.json, what `draw` writes, and what
    `model.save` writes for the reference line. `on_progress` gets what is being done, the
    number of steps that are done, and their total, which is 0 before the sessions. Ctrl-C keeps
    the finished sessions and sets `interrupted`; `resume` can complete the file. An earlier
    benchmark.json is kept as benchmark.previous.json.

    Raises:
        InputValueError: as `Settings.resolved`, or a backend cannot be imported or lacks a
            function.
        OSError: the folder cannot be written to.

    """
    settings = settings.resolved()
    race = Race(settings, new_content(settings))
    steps = Steps(on_progress)
    try:
        agreeing = check(race, folder, steps)
        if agreeing:
            _keep(folder / RESULT)
            _measure(race, agreeing, folder / RESULT, steps)
        _finish(race, folder)
        _train(race, folder, steps)
    except KeyboardInterrupt:
        race.interrupted = True
        _finish(race, folder)
    return race


def _keep(path: Path) -> None:
    """Keep the result of an earlier race."""
    if path.exists():
        path.replace(path.with_name(PREVIOUS))


def measure(
    path: Path,
    settings: Settings,
    on_progress: Progress = silent,
) -> Race:
    """Time the backends and write only the result file, no pictures and no model.

    Ctrl-C keeps the finished sessions, and sets `interrupted`.

    Raises:
        InputValueError: as `Settings.resolved`.
        OSError: the file cannot be written.

    """
    settings = settings.resolved()
    race = Race(settings, new_content(settings))
    try:
        _measure(race, settings.backends, path, Steps(on_progress))
    except KeyboardInterrupt:
        race.interrupted = True
    return race


def resume(path: Path, on_progress: Progress = silent) -> Race:
    """Complete the result file of an interrupted run: time the missing sessions.

    The arms (each a backend on a case), calls and seeds are those of the file. The pictures and the
    model of the reference line are written beside it, as by `run`. For a finished file, nothing is
    timed or written.

    Raises:
        InputValueError: it is not a result file, was made on another machine, with other versions
            or with a different backend file, was interrupted before its first session, or
            `Settings.resolved` refuses its settings.
        OSError: it cannot be read or written.

    """
    path = Path(path)
    content = results.read(path)
    about = content["gradrace"]
    settings = settings_of(about["settings"]).resolved()
    if not about["arms"]:
        raise InputValueError(f"{path}: was interrupted before the first session; run it again")
    if any(parse(arm["case"]) not in settings.cases for arm in about["arms"]):
        raise InputValueError(f"{path}: is damaged: its arms and its settings have different cases")
    race = Race(settings, content)
    if not about["interrupted"]:
        return race
    now = fingerprints(settings.backends)
    for name, before in about["fingerprints"].items():
        if now[name] != before:
            what = "has changed since" if now[name] else "no longer exists"
            raise InputValueError(f"{path}: {name} {what}, so old and new times cannot be combined")
    here = facts.machine_info()
    for key in _SAME_MACHINE:
        if here[key] != content["machine_info"][key]:
            raise InputValueError(f"{path}: was begun on another machine ({key} differs)")
    about["sessions"] = [session for session in about["sessions"] if not session["failure"]]
    steps = Steps(on_progress)
    try:
        with tempfile.TemporaryDirectory(prefix="gradrace-") as name:
            conditions = _set_up(Path(name), settings, steps)
            fill_cache(arms_of(race), conditions, steps)
            time_sessions(race, path, conditions, steps)
        _finish(race, path.parent, path)
        _train(race, path.parent, steps)
    except KeyboardInterrupt:
        race.interrupted = True
        _finish(race, path.parent, path)
    return race


def _measure(race: Race, specs: Sequence[str], path: Path, steps: Steps) -> None:
    """Try every backend on every case, then time the sessions; everything is verified first."""
    with tempfile.TemporaryDirectory(prefix="gradrace-") as name:
        conditions = _set_up(Path(name), race.settings, steps)
        _measure_limit(race, conditions, steps)
        _try_out(race, specs, conditions, steps)
        time_sessions(race, path, conditions, steps)
        if race.about["sessions"]:
            for _ in range(_MOST_CONFIRMATIONS):
                _measure_limit(race, conditions, steps)
                write(race, path)
                if not race.impossible:
                    break


def _measure_limit(race: Race, conditions: Conditions, steps: Steps) -> None:
    """Measure what the machine can do; the best rates of several measurements count."""
    if race.settings.limit:
        steps("measuring what the machine can do", 0)
        with suppress(RuntimeError):  # the race does not need a limit
            threads = min(race.settings.threads, len(facts.affinity()))
            found = roofline.measured(threads, conditions.cache)
            race.about["roofline"] = roofline.best(race.about["roofline"], found)


def _set_up(folder: Path, settings: Settings, steps: Steps) -> Conditions:
    """Compute the exact sums, by which every session judges what it times."""
    exact, caches = folder / "exact", folder / "caches"
    for place in (exact, caches):
        place.mkdir()
    for case in settings.cases:
        steps(f"adding up {case.name} without rounding", 0)
        write_steps(case, exact)
    return Conditions(exact, caches, settings.threads, settings.budget, settings.longest)


def _try_out(race: Race, specs: Sequence[str], conditions: Conditions, steps: Steps) -> None:
    """Find out what each backend needs on each case, and fix it for all sessions."""
    known = race.about["backends"]
    found = try_out(
        specs,
        race.settings.cases,
        conditions,
        precisions={name: facts.get("precision", "") for name, facts in known.items()},
        repetitions=race.settings.repetitions,
        colds=3 if race.settings.kind == "full" else 1,
        on_trial=steps,
    )
    race.about["arms"] = [cast(schema.Arm, asdict(arm)) for arm in found.arms]  # of the same names
    race.about["compile"] = found.compile
    race.about["trials"] = found.calls
    for spec, declared in found.declared.items():
        race.about["backends"][spec].update(cast(schema.BackendFacts, declared))
    race.about["verdicts"] += found.verdicts
    race.about["left_out"] += found.left_out


def _finish(race: Race, folder: Path, path: Path | None = None) -> None:
    """Write the file even if nothing was timed; draw afterwards, so that no picture can lose it."""
    from gradrace.plots import agreement as agreement_plot  # here, since matplotlib takes its time

    errors, picture = folder / ERRORS, folder / "agreement.png"
    timed = race.content["benchmarks"] or not race.interrupted
    if timed:
        write(race, path or folder / RESULT)
    if errors in race.files and errors.exists():
        with replacing(picture) as temporary:
            agreement_plot.draw(errors, temporary)
        race.files.append(picture)
    if timed:
        race.files.extend(draw(path or folder / RESULT, folder))


def _train(race: Race, folder: Path, steps: Steps) -> None:
    """Train on the reference line and save the model."""
    steps("training on the reference line")
    fit = train(REFERENCE.samples(), lr=REFERENCE.lr, epochs=REFERENCE.epochs)
    race.interrupted = fit.interrupted
    race.files.extend(save(fit, folder))
