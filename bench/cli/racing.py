"""The commands that check and race: check, run, scale."""

from pathlib import Path
from typing import Any

from msgspec.structs import replace

from gradrace.backends.interface import InputValueError, Setting
from gradrace.bench.api import racing as api
from gradrace.bench.cli.status import disagrees, interrupted
from gradrace.bench.data.files import writable_file, writable_folder, write_json
from gradrace.bench.parts import Sentence
from gradrace.bench.race import growth
from gradrace.bench.race.settings import QUICK_SETTINGS
from gradrace.bench.race.verdict.race import Race
from gradrace.bench.show import terminal
from gradrace.bench.show.pictures import save_shown


def check(*, data: str | None = None, json: str | None = None, **given: Any) -> None:
    """Check backends; say and maybe write the verdicts."""
    if json is not None:
        writable_file(Path(json))
    with terminal.progress_bar() as on_progress:
        found = api.check(data, on_progress=on_progress, on_note=terminal.note, **given)
    terminal.show(*found.parts())
    if json is not None:
        write_json(Path(json), found.content())
        terminal.show_saved([Path(json)])
    if found.interrupted:
        judged = f"{len(found.verdicts)} of {len(found.backends)} backends were checked"
        interrupted(f"; {judged}")
    if not found.agree:
        disagrees()


def run(
    *,
    quick: bool = False,
    resume: str | None = None,
    out: str | None = None,
    fail_above: Any = (),
    **given: Any,
) -> None:
    """Race backends, or complete a race; say what was found, and save it."""
    if quick and given.get("full"):
        raise InputValueError(Setting("quick"), " and ", Setting("full"), ": choose one")
    if resume is not None and (given or quick or out):
        said = ": takes all settings from the file; give no others"
        raise InputValueError(Setting("resume"), said)
    with terminal.progress_bar() as on_progress:
        if resume is not None:
            found = api.resume(resume, fail_above=fail_above, on_progress=on_progress)
        else:
            found = api.raced(out, fail_above, on_progress, terminal.note, **given)
    _report(found)


def _report(found: Race) -> None:
    """Print what a race has found, draw it, and end with its status."""
    path = found.file
    if not (found.files or found.interrupted):
        terminal.note(
            f"{path} is finished, so nothing was timed; gradrace show {path} prints it, gradrace "
            f"plot {path} draws it again, gradrace run starts another race"
        )
    terminal.show(*found.parts())
    if path in found.files:
        terminal.show_saved([*found.files, *api.drawn(found)])
        more = f"For intervals, limits, compile times, memory: gradrace show {path} "
        terminal.show(Sentence(more, Setting("details", True)))
    elif found.files:
        terminal.show_saved(found.files)
    if found.interrupted:
        about, kept = found.about, "nothing was timed"
        if about.finished:
            kept = f"finished sessions are saved, {about.finished} of {about.settings.sessions}"
        interrupted(f"; {kept}")
    if found.faults or not found.passed:
        disagrees()


def scale(*, out: str = "results", **given: Any) -> None:
    """Race over ranges of sizes and threads; say how the time grows, and draw it."""
    folder = writable_folder(Path(out))
    with terminal.progress_bar() as on_progress:
        base = replace(QUICK_SETTINGS, **given)
        races = growth.scale(folder, base, on_progress=on_progress)
    timed = [result for result in races if result.about.finished]
    if timed:
        found = growth.Scaling(timed)
        terminal.show(*found.parts())
        drawn = save_shown(found.title, list(found.parts(detail=True)), folder)
        terminal.show_saved([*(result.file for result in timed), *drawn])
    if races[-1].interrupted:
        interrupted("; the finished sessions are saved" if timed else "; nothing was timed")
    if any(result.faults for result in races):
        disagrees()
