"""The commands that check and list backends."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
import typer.core

from gradrace.bench.cli.arguments import (
    REFERENCE,
    TABLES,
    Backends,
    Exclude,
    Features,
    RateText,
    Scheduler,
    Target,
    Timeout,
    limit_of,
    rate_of,
    reads_tables,
    samples_of,
    usable,
    whole,
)
from gradrace.bench.cli.command import DISAGREES, command, end_interrupted
from gradrace.bench.parts import Column, Table
from gradrace.bench.show.terminal import progress_bar, show, show_saved

if TYPE_CHECKING:
    from gradrace.bench.data.samples import Samples
    from gradrace.bench.data.sources import Reading


@command
@reads_tables()
def check(
    backend: Backends = None,
    data: Annotated[
        str | None,
        typer.Option(
            metavar="FILE|FOLDER|PATTERN",
            help=f"{TABLES}  [default: {REFERENCE}]",
            show_default=False,
        ),
    ] = None,
    target: Target = None,
    features: Features = None,
    exclude: Exclude = None,
    *,
    reading: "Reading",
    lr: RateText = None,
    epochs: Annotated[
        int | None,
        typer.Option(
            parser=whole,
            metavar="N",
            help="Number of updates.  [default: 10,000; for a table, 1,000 or fewer]",
        ),
    ] = None,
    case: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NxD",
            help="Also check on this many synthetic samples and features, such as 1e6x10. Each "
            "backend trains for 15 epochs there. Repeatable.",
            show_default=False,
        ),
    ] = None,
    timeout: Timeout = None,
    scheduler: Scheduler = None,
    json: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Also write the verdicts to this JSON file.")
    ] = None,
) -> None:
    """Prove that backends compute the exact trajectory.

    Trains with each backend, and compares w, b and the loss after every epoch with their exact
    values. The table shows the largest error of each, as a share of the largest error that
    rounding can cause. Each backend must also solve small problems made to expose mistakes. --case
    also checks larger sizes, where other mistakes may show.

    A table that takes more than half of the free memory is read in parts: once to sum it without
    rounding, and once more by the backend that is checked.

    The exit status is 1 if a backend disagrees.
    """
    from gradrace import backends
    from gradrace.bench.data.files import writable_file, write_json
    from gradrace.bench.data.reader import Files
    from gradrace.bench.data.samples import REFERENCE_EPOCHS
    from gradrace.bench.learning.summary import summarize
    from gradrace.bench.race import checking

    usable(backend or [])
    if json is not None:
        writable_file(json)
    table, specs = samples_of(data, target, features, exclude, backend, scheduler, reading)
    specs = specs or list(backends.installed())
    usable(specs)
    if epochs is None and data is None:
        epochs = REFERENCE_EPOCHS
    rate = rate_of(lr, data)
    with progress_bar() as on_progress:
        samples: Samples = (
            summarize(table, exactly=True, on_progress=on_progress)
            if isinstance(table, Files)
            else table
        )
        found = checking.check(
            samples,
            specs,
            lr=rate,
            epochs=epochs,
            cases=case or (),
            timeout=timeout if case else limit_of(timeout, samples),
            on_progress=on_progress,
        )
    show(*found.parts())
    if json is not None:
        write_json(json, found.content())
        show_saved([json])
    if found.interrupted:
        judged = f"{len(found.verdicts)} of {len(found.backends)} backends were checked"
        end_interrupted(f"; {judged}")
    if not found.agree:
        raise typer.Exit(DISAGREES)


@command
def list_backends() -> None:
    """List the backends, and how to install what is missing."""
    from gradrace import backends

    rows = []
    for name, rung in backends.LADDER.items():
        version = backends.package_version(name)
        found = f"{rung.package or 'Python'} {version}"
        missing = f"missing: {backends.how_to_install(name)}"
        rows.append((name, found if version else missing, rung.idea))
    heads = [Column("backend"), Column("package"), Column("its one idea", kind="prose")]
    show(Table(heads, rows))
