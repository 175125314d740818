"""The commands that read result files: show, compare, plot, advise."""

from pathlib import Path
from typing import Annotated, Literal

import typer
import typer.core

from bench.cli.arguments import one_of, share_of, whole_number
from bench.cli.command import DISAGREES, command
from bench.report import terminal

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
) -> None:
    """Print the result of a saved race.

    Prints the same summary as `gradrace run`. The CSV always has all figures, and its column names
    include the units.
    """
    from bench.findings import results
    from bench.report.formats import race_report
    from bench.report.race import how_to_complete

    chosen: Literal["text", "md", "csv"] = one_of("--format", layout, "text", "md", "csv")
    content = results.read(file)
    report = race_report(content, chosen, full=details, width=terminal.width())
    if chosen != "text":
        terminal.show_values(map(str, report))
        return
    terminal.show_lines([*report, *how_to_complete(content, file)])


@command
def compare(
    old: Annotated[
        Path, typer.Argument(metavar="OLD.json", help="The result file of the earlier run.")
    ],
    new: Annotated[
        Path, typer.Argument(metavar="NEW.json", help="The result file of the later run.")
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
    from bench.findings import comparison
    from bench.report.comparison import comparison_report

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
        typer.Option(metavar="DIR", help="Folder for the pictures.  [default: that of the file]"),
    ] = None,
) -> None:
    """Draw the pictures of a race again from its saved files.

    speed.png shows the time per epoch against n; speedup.png, the speed-ups with their intervals;
    breakeven.png, after how many training runs compiling pays off; fastest.png, the fastest
    backend at each size; and roofline.png, how close each backend comes to the limit of the
    machine. If agreement.parquet is in the same folder, agreement.png shows the errors of each
    backend.
    """
    from backends.interface import InputValueError
    from bench.data.files import writable_folder
    from bench.findings import pictures, results

    if not results.read(file)["benchmarks"]:
        raise InputValueError(f"{file}: nothing was timed in that run")
    folder = writable_folder(file.parent if out is None else out)
    terminal.show_saved(list(pictures.redraw(file, folder)))


@command
def advise(
    file: Annotated[
        Path, typer.Argument(metavar="FILE.json", help="The result file of a race on this machine.")
    ],
    n: Annotated[str, typer.Option(metavar="N", help="Number of samples.")],
    d: Annotated[str, typer.Option(metavar="D", help="Number of features.")],
    epochs: Annotated[str, typer.Option(metavar="N", help="Number of epochs per run.")],
    runs: Annotated[
        str, typer.Option(metavar="N", help="Number of runs in the same process.")
    ] = "1",
) -> None:
    """Say which backend to use for a job, and how long it will take.

    Estimates the time of your job from the sizes that the race measured. Warns if your size is
    outside their range, and gives no answer if it is more than ten times beyond it.

    If your samples do not fit in memory, says how long a pass over them in parts takes.
    """
    from bench.findings import beyond_memory, results
    from bench.findings.advice import advise
    from bench.report.advice import advice_report, beyond_memory_lines

    counts = {"n": n, "d": d, "epochs": epochs, "runs": runs}
    job = {name: whole_number(f"--{name}", text) for name, text in counts.items()}
    content = results.read(file)
    if beyond_memory.is_needed(job["n"], job["d"]):
        cost = beyond_memory.cost(job["n"], job["d"], job["epochs"])
        terminal.show_lines(beyond_memory_lines(cost))
    else:
        terminal.show_lines(advice_report(advise(file, **job), content))
