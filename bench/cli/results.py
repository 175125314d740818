"""The commands that read result files: show, compare, plot, advise."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer
import typer.core

from gradrace.bench.cli.arguments import (
    Backends,
    FailAbove,
    limits_of,
    one_of,
    share_of,
    usable,
    whole_number,
)
from gradrace.bench.cli.command import DISAGREES, command, end_interrupted
from gradrace.bench.show import terminal
from gradrace.bench.show.text import as_option

if TYPE_CHECKING:
    from gradrace.bench.race.race import Race

ResultPath = Annotated[
    Path, typer.Argument(metavar="FILE.json", help="The result file of a race, finished or not.")
]


@command
def show(
    file: ResultPath,
    details: Annotated[
        bool,
        typer.Option("--details", help="Add intervals, limits, compile times and memory."),
    ] = False,
    layout: Annotated[
        str,
        typer.Option(
            "--format",
            metavar="text|md|csv",
            help="Text for the terminal, Markdown, or CSV with one row per size and backend.",
        ),
    ] = "text",
    fail_above: FailAbove = None,
) -> None:
    """Print the result of a saved race.

    Prints the same summary as `gradrace run`. The CSV always has all figures, and its column names
    include the units.
    """
    from gradrace.bench.race.change import has_versions, require_limits
    from gradrace.bench.race.race import Race
    from gradrace.bench.race.said import table
    from gradrace.bench.show.markdown import csv_of, markdown

    chosen: Literal["text", "md", "csv"] = one_of("--format", layout, "text", "md", "csv")
    limits = limits_of(fail_above or ())
    race = Race(file, limits=limits)
    sizes = [case.name for case in race.about.cases]
    require_limits(limits, sizes, versions=has_versions(race.content))
    if chosen == "csv":
        terminal.show_lines(csv_of(table(race.about)).splitlines())
    elif chosen == "md":
        terminal.show_lines(markdown(race.parts(detail=details), as_option))
    else:
        terminal.show(*race.parts(detail=details))
    if not race.passed:
        raise typer.Exit(DISAGREES)


@command
def compare(
    old: Annotated[
        Path,
        typer.Argument(
            metavar="OLD.json", help="The result file of the earlier run, or its folder."
        ),
    ],
    new: Annotated[
        Path,
        typer.Argument(metavar="NEW.json", help="The result file of the later run, or its folder."),
    ],
    fail_above: Annotated[
        str | None,
        typer.Option(
            metavar="SHARE",
            help="Exit with status 1 if anything is slower by more than this, such as 10%.",
        ),
    ] = None,
    layout: Annotated[
        str,
        typer.Option("--format", metavar="text|md", help="Text for the terminal, or Markdown."),
    ] = "text",
) -> None:
    """Compare two runs: what became faster or slower.

    A difference counts if its 95 % interval excludes 1 and it exceeds both 5 % and the noise of
    the two runs. Also reports differences in the machine and in versions.
    """
    from gradrace.bench.race import comparison
    from gradrace.bench.show.markdown import markdown

    limit = None if fail_above is None else share_of("--fail-above", fail_above)
    chosen: Literal["text", "md"] = one_of("--format", layout, "text", "md")
    found = comparison.compare(old, new, limit)
    if chosen == "text":
        terminal.show(*found.parts())
    else:
        terminal.show_lines(markdown(found.parts(), as_option))
    if not found.passed:
        raise typer.Exit(DISAGREES)


@command
def plot(
    file: ResultPath,
    out: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR|FILE.pdf",
            help="Folder for the pictures, or one PDF for all.  [default: the folder of the file]",
        ),
    ] = None,
    layout: Annotated[
        str, typer.Option("--format", metavar="png|svg|pdf", help="The kind of the pictures.")
    ] = "png",
) -> None:
    """Draw the pictures of a race again from its saved files.

    speed.png shows the time per epoch against n; speedup.png, the speed-ups with their intervals;
    breakeven.png, after how many training runs compiling pays off; fastest.png, the fastest
    backend at each size; and roofline.png, how close each backend comes to the limit of the
    machine. If agreement.parquet is in the same folder, agreement.png shows the errors of each
    backend.
    """
    from gradrace.backends.interface import InputValueError
    from gradrace.bench.data.files import writable_file, writable_folder
    from gradrace.bench.race.race import Race
    from gradrace.bench.show.pictures import save_book, save_pictures

    race = Race(file)
    if not race.content.benchmarks:
        raise InputValueError(f"{file}: nothing was timed in that run")
    kind: Literal["png", "svg", "pdf"] = one_of("--format", layout, "png", "svg", "pdf")
    if out is not None and out.suffix.lower() == ".pdf":
        terminal.show_saved([save_book(race.parts(detail=True), writable_file(out))])
        return
    if out is not None and out.suffix.lower() in (".png", ".svg"):
        raise InputValueError(f"--out: {out}: one file for all pictures must end in .pdf")
    folder = writable_folder(race.file.parent if out is None else out)
    terminal.show_saved(save_pictures(race.parts(detail=True), folder, kind))


@command
def advise(
    n: Annotated[str, typer.Option(metavar="N", help="Number of samples.")],
    d: Annotated[str, typer.Option(metavar="D", help="Number of features.")],
    epochs: Annotated[str, typer.Option(metavar="N", help="Number of epochs per run.")],
    file: Annotated[
        Path | None,
        typer.Argument(
            metavar="FILE.json",
            help="The result file of a race on this machine.  [default: the newest in results]",
            show_default=False,
        ),
    ] = None,
    runs: Annotated[
        str, typer.Option(metavar="N", help="Number of runs in the same process.")
    ] = "1",
    measure: Annotated[
        bool,
        typer.Option("--measure", help="Race this very job first, and answer from that."),
    ] = False,
    backend: Backends = None,
) -> None:
    """Say which backend to use for a job, and how long it will take.

    Estimates the time of your job from the sizes that the race measured. Warns if your size is
    outside their range, and gives no answer if it is more than ten times beyond it.

    With --measure, races your job instead, in three sessions, and saves the result in
    results/measured. --backends chooses what to race.

    If your samples do not fit in memory, says how long it takes to read them once, in parts.
    """
    from gradrace.backends.interface import InputValueError
    from gradrace.bench.race import beyond_memory
    from gradrace.bench.race.advice import advise, advise_from
    from gradrace.bench.race.race import Race

    if file is not None and measure:
        raise InputValueError("--measure: takes no FILE")
    if backend and not measure:
        raise InputValueError("--backends: needs --measure")

    counts = {"n": n, "d": d, "epochs": epochs, "runs": runs}
    job = {name: whole_number(f"--{name}", text) for name, text in counts.items()}
    race = None if file is None else Race(file)
    if beyond_memory.is_needed(job["n"], job["d"]):
        terminal.show(*beyond_memory.cost(job["n"], job["d"], job["epochs"]).parts())
        return
    faults: list[str] = []
    if measure:
        race = _measured(backend or [], job["n"], job["d"], job["epochs"])
        faults = race.faults
    found = advise(race, **job) if race else advise_from(Path("results"), **job)
    if race is None:
        terminal.note(f"from {found.race.file}")
    terminal.show(*found.parts())
    if faults:
        terminal.end(DISAGREES, "; ".join(faults))


def _measured(specs: list[str], n: int, d: int, epochs: int) -> "Race":
    """Race one job."""
    from gradrace.bench.data.files import writable_folder
    from gradrace.bench.race.cases import make_case
    from gradrace.bench.race.duration import announcement
    from gradrace.bench.race.run import measure
    from gradrace.bench.race.settings import choose

    usable(specs)
    job = make_case(n, d, epochs)
    chosen = choose(jobs=[job], backends=specs)
    path = writable_folder(Path("results", "measured")) / f"{job.spec}.json"
    terminal.note(announcement(chosen))
    with terminal.progress_bar() as on_progress:
        result = measure(path, chosen, on_progress)
    if result.interrupted:
        end_interrupted("; no advice can be given")
    return result


@command
def report(
    source: Annotated[
        Path,
        typer.Argument(
            metavar="FILE.json|FOLDER",
            help="The folder that run, scale, train or rates wrote, or a result file of a race.",
        ),
    ] = Path("results"),
    out: Annotated[
        Path, typer.Option("--out", "-o", metavar="FILE.html", help="Where to write the page.")
    ] = Path("report.html"),
) -> None:
    """Write a result as one page of HTML to share.

    The page is self-contained. It has the answer in words, sortable tables, the pictures, and
    sliders for your own number of epochs and runs, or your own learning rate.
    """
    from gradrace.bench.data.files import writable_file
    from gradrace.bench.show.html import write_text

    writable_file(out)
    terminal.show_saved([write_text(_saved_page(source), out)])


def _saved_page(source: Path) -> str:
    """Return the page of a race, of a study of sizes, or the one that is in a folder."""
    from gradrace.backends.interface import InputValueError
    from gradrace.bench.race.growth import Scaling
    from gradrace.bench.race.race import Race
    from gradrace.bench.race.result import RESULT
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
