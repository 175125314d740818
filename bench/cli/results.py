"""The commands that read result files: show, compare, plot, advise, report; and backends.

What only some of them need is imported there, so that `show` answers at once.
"""

from contextlib import suppress
from pathlib import Path
from typing import Any

from gradrace import backends as registry
from gradrace.backends.interface import InputValueError, Setting
from gradrace.bench.cli.status import DISAGREES, disagrees
from gradrace.bench.data.files import writable_file, writable_folder
from gradrace.bench.parts import Column, Result, Table
from gradrace.bench.race.verdict import comparison
from gradrace.bench.race.verdict.advice import Advice, newest
from gradrace.bench.race.verdict.change import has_versions, limits_of, require_limits
from gradrace.bench.race.verdict.race import Race
from gradrace.bench.race.verdict.race_parts import table
from gradrace.bench.race.verdict.result import RESULT
from gradrace.bench.show import terminal
from gradrace.bench.show.markdown import csv_of, markdown
from gradrace.bench.show.text import as_option


def _newest() -> Path:
    """Return the newest result of a race in ./results."""
    for path in newest(Path("results")):
        with suppress(InputValueError, OSError):
            Race(path)
            terminal.note(f"from {path}")
            return path
    raise InputValueError("results: holds no result of a race; give a FILE")


def _say(found: Result, format: str, *, details: bool = False) -> None:  # noqa: A002
    """Print a result for a terminal or as Markdown."""
    if format == "md":
        terminal.show_lines(markdown(found.parts(detail=details), as_option))
    else:
        terminal.show(*found.parts(detail=details))


def show(
    file: str | None = None,
    *,
    details: bool = False,
    format: str = "text",  # noqa: A002 (the name of the option)
    fail_above: Any = (),
) -> None:
    """Print a saved race."""
    limits = limits_of(fail_above)
    race = Race(file or _newest(), limits=limits)
    sizes = [case.name for case in race.about.cases]
    require_limits(limits, sizes, versions=has_versions(race.content))
    if format == "csv":
        terminal.show_lines(csv_of(table(race.about)).splitlines())
    else:
        _say(race, format, details=details)
    if not race.passed:
        disagrees()


def compare(
    old: str,
    new: str,
    *,
    format: str = "text",  # noqa: A002 (the name of the option)
    fail_above: float | None = None,
) -> None:
    """Compare two races."""
    found = comparison.compare(Path(old), Path(new), fail_above)
    _say(found, format)
    if not found.passed:
        disagrees()


def plot(
    file: str,
    *,
    out: str | None = None,
    format: Any = "png",  # noqa: A002 (the name of the option)
) -> None:
    """Draw the pictures of a race again."""
    from gradrace.bench.show.pictures import save_book, save_pictures

    race = Race(file)
    if not race.content.benchmarks:
        raise InputValueError(f"{file}: nothing was timed in that run")
    place = Path(out) if out else race.file.parent
    if place.suffix.lower() == ".pdf":
        terminal.show_saved([save_book(race.parts(detail=True), writable_file(place))])
        return
    if place.suffix.lower() in (".png", ".svg"):
        said = f": {out}: one file for all pictures must end in .pdf"
        raise InputValueError(Setting("out"), said)
    writable_folder(place)
    terminal.show_saved(save_pictures(race.parts(detail=True), place, format))


def advise(file: str | None = None, **given: Any) -> None:
    """Say which backend to use for a job."""
    from gradrace.bench.api import racing as api

    for name in ("n", "d", "epochs"):
        if name not in given:
            raise InputValueError(Setting(name), ": is missing; it is part of the job")
    with terminal.progress_bar() as on_progress:
        found = api.advise(file, on_progress=on_progress, on_note=terminal.note, **given)
    terminal.show(*found.parts())
    if isinstance(found, Advice) and given.get("measure") and found.race.faults:
        terminal.end(DISAGREES, "; ".join(found.race.faults))


def report(source: str | None = None, *, out: str = "report.html") -> None:
    """Write a result as one page."""
    from gradrace.bench.show.html import write_text

    target = writable_file(Path(out))
    text = _saved_page(_newest() if source is None else Path(source))
    terminal.show_saved([write_text(text, target)])


def _saved_page(source: Path) -> str:
    """Return the page of a race, of a study of sizes, or the one that is in a folder."""
    from gradrace.bench.race.growth import Scaling
    from gradrace.bench.show.html import PAGE, page

    if not source.exists():
        raise InputValueError(f"{source}: no such file or folder")
    if source.is_file() or (source / RESULT).exists():
        race = Race(source)
        return page(race.title, race.parts(detail=True))
    scales = sorted(source.glob("scale-*.json"))
    if scales:
        races = sorted(map(Race, scales), key=lambda race: race.about.settings.threads)
        return page(Scaling.title, Scaling(races).parts(detail=True))
    if not (source / PAGE).exists():
        below = ", ".join(str(found.parent) for found in sorted(source.glob(f"*/{PAGE}")))
        there = f"; there is one in {below}" if below else ""
        raise InputValueError(
            f"{source}: has no {RESULT}, nor the {PAGE} of gradrace train or gradrace rates{there}"
        )
    return (source / PAGE).read_text(encoding="utf-8")


def backends() -> None:
    """List the backends."""
    rows = []
    for name, rung in registry.LADDER.items():
        version = registry.package_version(name)
        found = f"{rung.package or 'Python'} {version}"
        missing = f"missing: {registry.how_to_install(name)}"
        rows.append((name, found if version else missing, rung.idea))
    heads = [Column("backend"), Column("package"), Column("its one idea", kind="prose")]
    terminal.show(Table(heads, rows))
