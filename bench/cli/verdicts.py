"""The commands that judge and list backends."""

import dataclasses
from pathlib import Path
from typing import Annotated

import typer
import typer.core

import backends
from bench.cli.arguments import (
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
from bench.report.terminal import (
    progress,
    show,
    show_saved,
)


@command
def check(
    backend: Backends = None,
    data: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help=f"{TABLE}  [default: the reference line]"),
    ] = None,
    target: Target = None,
    features: Features = None,
    lr: RateText = None,
    epochs: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            help="Updates to make.  [default: 10,000; for a table 1,000, or fewer if it is large]",
        ),
    ] = None,
    timeout: Timeout = 60.0,
    json: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write the verdicts as JSON.")
    ] = None,
) -> None:
    """Prove that backends compute the exact trajectory.

    w, b and every loss are compared with the exact values; the table shows the worst of each as
    a share of the largest error that rounding can cause. Each backend must also solve small
    problems that expose mistakes. The exit status is 1 if one disagrees.
    """
    from bench.data.files import writable_file, write_json
    from bench.data.samples import REFERENCE_EPOCHS, affordable_epochs
    from bench.learning.landscape import Landscape
    from bench.learning.rate_choice import best_rate
    from bench.proof import agreement
    from bench.proof.oracle import YARDSTICK, exact_trajectory
    from bench.proof.problems import suite
    from bench.report.verdicts import verdict_table

    specs = backend or list(backends.names())
    usable(specs)
    if json is not None:
        writable_file(json)
    samples = samples_of(data, target, features)
    if epochs is None:
        epochs = REFERENCE_EPOCHS if data is None else affordable_epochs(samples)
    rate = rate_of(lr, data)
    if rate == "auto":
        rate = best_rate(Landscape.of(samples), epochs)

    verdicts: list[agreement.Verdict] = []
    interrupted = False
    try:
        with progress() as bar:
            task = bar.add_task("computing the exact trajectory", total=len(specs))
            exact = exact_trajectory(samples.X, samples.y, lr=rate, epochs=epochs)
            bar.update(task, description="training the backends")
            for checked in agreement.check_backends(
                specs, samples.X, samples.y, lr=rate, epochs=epochs, exact=exact, others=suite(),
                timeout=timeout,
            ):  # fmt: skip
                verdicts.append(checked.verdict)
                bar.advance(task)
    except KeyboardInterrupt:
        interrupted = True

    n, d = samples.X.shape
    job = {"data": samples.name, "n": n, "d": d, "lr": rate, "epochs": epochs}
    show(f"{samples.name}: n = {n:,}, d = {d:,}, α = {rate:.6g}, {epochs:,} epochs")
    if verdicts:
        show(verdict_table(verdicts))
        show("w, b, loss: the worst error, as a share of the rounding bound, @ its epoch.")
        show(f"Yardstick: {YARDSTICK}.")
        show(f"Also judged on {len(suite())} small problems; see bench/problems.py.")
    for verdict in verdicts:
        if not verdict.agrees:
            show(f"{verdict.backend}: {verdict.reason}")
    if json is not None:
        found = [dataclasses.asdict(verdict) for verdict in verdicts]
        write_json(json, {**job, "yardstick": YARDSTICK, "verdicts": found})
        show_saved([json])
    if interrupted:
        end_interrupted(f"; {len(verdicts)} of {len(specs)} backends were checked")
    if not all(verdict.agrees for verdict in verdicts):
        raise typer.Exit(DISAGREES)


@command
def list_backends() -> None:
    """List the backends, and how to install what is missing."""
    from bench.report import backends

    show(backends.backend_table())
