"""The commands that read result files: show, compare, plot, advise."""

from pathlib import Path
from typing import Annotated, Literal

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
from gradrace.bench.report import terminal

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
            metavar="text|md|csv|junit",
            help="Text for the terminal, Markdown, CSV with one row per size and backend, or the "
            "XML of JUnit.",
        ),
    ] = "text",
    fail_above: FailAbove = None,
) -> None:
    """Print the result of a saved race.

    Prints the same summary as `gradrace run`. The CSV always has all figures, and its column names
    include the units.
    """
    from gradrace.bench.race import results
    from gradrace.bench.race.versions import has_versions, require_limits
    from gradrace.bench.report.formats import race_report
    from gradrace.bench.report.race import how_to_complete
    from gradrace.bench.report.versions import gate

    chosen: Literal["text", "md", "csv", "junit"] = one_of(
        "--format", layout, "text", "md", "csv", "junit"
    )
    limits = limits_of(fail_above or ())
    content = results.read(file)
    sizes = [case["name"] for case in content["gradrace"]["cases"]]
    require_limits(limits, sizes, versions=has_versions(content))
    report = race_report(content, chosen, full=details, width=terminal.width(), limits=limits)
    passed, lines = gate(content, limits)
    if chosen == "text":
        terminal.show_lines([*report, *lines, *how_to_complete(content, file)])
    else:
        terminal.show_values([*map(str, report), *(["", *lines] if chosen == "md" else [])])
    if not passed:
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
    from gradrace.bench.report.comparison import comparison_report

    limit = None if fail_above is None else share_of("--fail-above", fail_above)
    chosen: Literal["text", "md"] = one_of("--format", layout, "text", "md")
    found = comparison.compare(old, new)
    report = comparison_report(found, chosen)
    if chosen == "text":
        terminal.show_lines(report)
    else:
        terminal.show_values(map(str, report))
    for difference in found.differences:
        terminal.warn(f"the runs differ ({difference})")
    terminal.warn(comparison.drift_warning(found))
    if limit is not None:
        faults = comparison.slowdowns(found, limit)
        terminal.warn(comparison.unseen_warning(found, limit))
        if faults:
            terminal.end("; ".join(faults), DISAGREES)


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
    from gradrace.bench.race import pictures, results

    file = file / results.RESULT if file.is_dir() else file
    if not results.read(file)["benchmarks"]:
        raise InputValueError(f"{file}: nothing was timed in that run")
    kind: Literal["png", "svg", "pdf"] = one_of("--format", layout, "png", "svg", "pdf")
    if out is not None and out.suffix.lower() == ".pdf":
        terminal.show_saved([pictures.draw_book(file, writable_file(out))])
        return
    if out is not None and out.suffix.lower() in (".png", ".svg"):
        raise InputValueError(f"--out: {out}: one file for all pictures must end in .pdf")
    folder = writable_folder(file.parent if out is None else out)
    terminal.show_saved(list(pictures.redraw(file, folder, kind)))


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
    from gradrace.bench.race import beyond_memory, results
    from gradrace.bench.race.advice import advise, advise_from
    from gradrace.bench.report.advice import advice_report, beyond_memory_lines

    if file is not None and measure:
        raise InputValueError("--measure: takes no FILE")
    if backend and not measure:
        raise InputValueError("--backends: needs --measure")

    counts = {"n": n, "d": d, "epochs": epochs, "runs": runs}
    job = {name: whole_number(f"--{name}", text) for name, text in counts.items()}
    if file is not None:
        results.read(file)
    if beyond_memory.is_needed(job["n"], job["d"]):
        cost = beyond_memory.cost(job["n"], job["d"], job["epochs"])
        terminal.show_lines(beyond_memory_lines(cost))
        return
    faults: list[str] = []
    if measure:
        file, faults = _measured(backend or [], job["n"], job["d"], job["epochs"])
    if file is None:
        file, advice = advise_from(Path("results"), **job)
        terminal.note(f"from {file}")
    else:
        advice = advise(file, **job)
    terminal.show_lines(advice_report(advice, results.read(file)))
    if faults:
        terminal.end("; ".join(faults), DISAGREES)


def _measured(specs: list[str], n: int, d: int, epochs: int) -> tuple[Path, list[str]]:
    """Race one job; return the result file, and what is wrong with the backends."""
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
    return path, result.faults


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
    from gradrace.bench.report.page import write
    from gradrace.bench.report.pages import saved_page

    writable_file(out)
    terminal.show_saved([write(saved_page(source), out)])
