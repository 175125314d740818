"""The commands that check and list backends."""

from pathlib import Path
from typing import Annotated

import typer
import typer.core

from bench.cli.arguments import (
    REFERENCE,
    TABLE,
    Backends,
    Features,
    RateText,
    Target,
    Timeout,
    rate_of,
    samples_of,
    usable,
)
from bench.cli.command import DISAGREES, command, end_interrupted
from bench.report.terminal import progress_bar, show, show_lines, show_saved


@command
def check(
    backend: Backends = None,
    data: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help=f"{TABLE}  [default: {REFERENCE}]"),
    ] = None,
    target: Target = None,
    features: Features = None,
    lr: RateText = None,
    epochs: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            help="Number of updates.  [default: 10,000; for a table, 1,000 or fewer]",
        ),
    ] = None,
    timeout: Timeout = 60.0,
    json: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Also write the verdicts to this JSON file.")
    ] = None,
) -> None:
    """Prove that backends compute the exact trajectory.

    Trains with each backend, and compares w, b and the loss after every epoch with their exact
    values. The table shows the largest error of each, as a share of the largest error that
    rounding can cause. Each backend must also solve small problems that expose mistakes.

    The exit status is 1 if a backend disagrees.
    """
    import backends
    from bench.data.files import writable_file, write_json
    from bench.data.samples import REFERENCE_EPOCHS
    from bench.race import checking
    from bench.report.verdicts import check_report

    specs = backend or backends.installed()
    usable(specs)
    if json is not None:
        writable_file(json)
    samples = samples_of(data, target, features)
    if epochs is None and data is None:
        epochs = REFERENCE_EPOCHS
    rate = rate_of(lr, data)
    with progress_bar() as on_progress:
        found = checking.check(
            samples, specs, lr=rate, epochs=epochs, timeout=timeout, on_progress=on_progress
        )
    show_lines(check_report(found))
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
    from bench.report import backends

    show(backends.backend_table())
