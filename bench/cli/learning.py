"""The commands for learning: train, rates, predict."""

import os
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
import typer.core

from gradrace import backends
from gradrace.bench.cli.arguments import (
    TABLES,
    Exclude,
    Features,
    RateText,
    Scheduler,
    Standardize,
    TableFile,
    Target,
    Timeout,
    limit_of,
    rate_of,
    reads_tables,
    samples_of,
    usable,
    whole,
)
from gradrace.bench.report.terminal import (
    end,
    note,
    progress,
    progress_bar,
    show,
    show_lines,
    show_saved,
    show_values,
    warn,
)

if TYPE_CHECKING:
    from gradrace.bench.data.samples import Samples
    from gradrace.bench.data.sources import Reading
    from gradrace.bench.learning.rate_choice import Rate
from gradrace.bench.cli.command import DISAGREES, command, end_interrupted

LARGE = backends.for_large_data()
MUCH = 10**11  # values, which take a core about half a minute


@command
@reads_tables()
def train(
    file: TableFile = None,
    target: Target = None,
    features: Features = None,
    exclude: Exclude = None,
    *,
    reading: "Reading",
    backend: Annotated[
        str | None,
        typer.Option(
            metavar="NAME|FILE.py|MODULE",
            help=f"Backend to train with; {LARGE} reads the table in parts.  [default: "
            f"{backends.DEFAULT}, or {LARGE} for a table that takes more than half of the free "
            "memory]",
            show_default=False,
        ),
    ] = None,
    lr: RateText = None,
    epochs: Annotated[
        int,
        typer.Option(parser=whole, metavar="N", help="Number of updates; with --tol, the maximum."),
    ] = 10_000,
    standardize: Standardize = False,
    tol: Annotated[
        float | None,
        typer.Option(
            metavar="SHARE",
            help="Stop when the norm of the gradient has fallen to this share of its first value, "
            "or when neither the loss nor the gradient improves any more.",
        ),
    ] = None,
    scheduler: Scheduler = None,
    resume: Annotated[
        bool,
        typer.Option(
            "--resume",
            help="For a table that is read in parts: use the parts that an interrupted run, or an "
            "earlier one on the same table, has read.",
        ),
    ] = False,
    out: Annotated[Path, typer.Option(metavar="DIR", help="Where to save.")] = Path(
        "results/train"
    ),
) -> None:
    """Train on your table, show the progress, and save the model.

    Writes model.json, fit.parquet, history.parquet, pictures of the loss, the fit, the residuals
    and the weights, and report.html. If the loss diverges, no model is saved and the exit status
    is 1.

    A table that is read in parts is read once. What the parts contribute is kept in the folder
    `sums`, for --resume.
    """
    from gradrace.backends.interface import InputValueError
    from gradrace.bench.data.files import writable_folder
    from gradrace.bench.data.reader import Files
    from gradrace.bench.learning import kept, model, training
    from gradrace.bench.learning.model import OF_A_MODEL
    from gradrace.bench.report.learning import title

    usable([backend] if backend else [])
    rate = rate_of(lr, file)
    table, specs = samples_of(
        file, target, features, exclude, backend and [backend], scheduler, reading
    )
    backend = specs[0] if specs else backends.DEFAULT
    usable([backend])
    writable_folder(out)
    samples: Samples
    if isinstance(table, Files):
        try:
            with progress_bar() as on_part:
                samples = kept.summarize_kept(
                    table, out / kept.FOLDER, resume=resume, on_progress=on_part
                )
        except KeyboardInterrupt:
            end_interrupted("; --resume goes on after the parts that are read")
    elif resume:
        raise InputValueError("--resume: the table fits in memory, so it is not read in parts")
    else:
        samples = table
        values = len(table.y) * (len(table.features) + 1) * epochs
        if values > MUCH and not backends.rung(backend).passes_once:
            note(
                f"{len(table.y):,} samples in each of {epochs:,} epochs may take long; "
                f"--backend {LARGE} passes over them once"
            )
    bar = progress("{task.fields[loss]}")
    task = bar.add_task("epoch", total=epochs, loss="")
    with ExitStack() as stack:

        def on_start() -> None:
            show(title(samples))
            # imported now, so that nothing can fail between the training and its saving
            import gradrace.bench.report.learning_page
            import gradrace.bench.report.page  # noqa: F401 (imported early on purpose)

            stack.enter_context(bar)  # not before the title: it leads stdout to stderr

        def on_progress(epoch: int, loss: float) -> None:
            bar.update(task, completed=epoch, loss=f"loss {loss:.6g}")

        fit = training.train(
            samples,
            backend=backend,
            lr=rate,
            epochs=epochs,
            standardize=standardize,
            tol=tol,
            on_start=on_start,
            on_progress=on_progress,
        )
    from gradrace.bench.report.learning_page import training_page
    from gradrace.bench.report.page import PAGE, write
    from gradrace.bench.report.training import report

    said = report(fit, auto=rate == "auto")
    next(said)  # the title
    show_lines(said)
    warn(fit.least_squares.ambiguity)
    saved: list[Path] = []
    try:
        for path in model.save(fit, out):  # the pictures come last and take the longest
            saved.append(path)
        if not fit.interrupted:
            saved.append(write(training_page(fit, auto=rate == "auto"), out / PAGE))
    finally:
        show_saved(saved)
    if fit.diverged:
        old = [out / name for name in OF_A_MODEL]
        names = ", ".join(str(path) for path in old if path.exists())
        end(fit.failure + (f" (from an earlier run: {names})" if names else ""), DISAGREES)
    if fit.interrupted:
        end_interrupted(f" after epoch {fit.trajectory.epoch[-1]:,} of {epochs:,}")


@command
@reads_tables()
def rates(
    file: TableFile = None,
    lr: Annotated[
        list[str] | None,
        typer.Option(
            "--lr",
            metavar="α …",
            help="Learning rates; auto is the recommended one.  [default: 0.001 0.005 0.1 for "
            "the reference line; for a table, one that is slow, one that is stable, one that "
            "diverges, and the recommended one]",
            show_default=False,
        ),
    ] = None,
    target: Target = None,
    features: Features = None,
    exclude: Exclude = None,
    *,
    reading: "Reading",
    backend: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME|FILE.py|MODULE",
            help="Backend to train with; repeatable.  [default: numba]",
            show_default=False,
        ),
    ] = None,
    epochs: Annotated[
        int | None,
        typer.Option(
            parser=whole,
            metavar="N",
            help="Number of updates.  [default: 10,000, fewer for a large table]",
        ),
    ] = None,
    standardize: Standardize = False,
    timeout: Timeout = None,
    scheduler: Scheduler = None,
    animate: Annotated[
        bool,
        typer.Option(
            "--animate",
            help="Also write samples.parquet, and descent.gif, which shows the fit and its path "
            "epoch by epoch.",
        ),
    ] = False,
    out: Annotated[Path, typer.Option(metavar="DIR", help="Where to save.")] = Path(
        "results/rates"
    ),
) -> None:
    """Show what learning rates do, and which one to use.

    What each rate does is predicted from the curvature of the loss, then run, and verified against
    the exact trajectory. Writes rates.json, history.parquet, path.parquet, path.png, loss.png and
    report.html.
    The exit status is 1 if a run disagrees with the exact trajectory; even a diverging run can
    agree.
    """
    from gradrace.bench.data.files import writable_folder
    from gradrace.bench.data.reader import Files
    from gradrace.bench.learning import rates, rates_files
    from gradrace.bench.learning.summary import summarize
    from gradrace.bench.report.learning_page import rates_page
    from gradrace.bench.report.page import PAGE, write
    from gradrace.bench.report.rates import report

    usable(backend or [])
    chosen: Sequence[Rate] = [
        rate_of(text, file) for words in lr or () for text in words.split(",")
    ]
    if file is None and not standardize:
        chosen = chosen or rates.REFERENCE_RATES
    table, specs = samples_of(file, target, features, exclude, backend, scheduler, reading)
    specs = specs or [backends.DEFAULT]
    usable(specs)
    writable_folder(out)
    with progress_bar() as on_progress:
        samples: Samples = (
            summarize(table, exactly=not standardize, on_progress=on_progress)
            if isinstance(table, Files)
            else table
        )
        found = rates.study(
            samples,
            chosen,
            backends=specs,
            epochs=epochs,
            standardize=standardize,
            timeout=limit_of(timeout, samples),
            on_progress=on_progress,
        )
    saved: list[Path] = []
    try:
        for path in rates_files.save(found, out, animate=animate):
            saved.append(path)
        if found.runs and not found.interrupted:
            saved.append(write(rates_page(found), out / PAGE))
    finally:
        show_lines(report(found))
        warn(found.landscape.least_squares.ambiguity)
        show_saved(saved)
    if found.interrupted:
        steps = len(found.rates) * len(set(specs))
        end_interrupted(f"; {len(found.runs)} of {steps} runs are finished")
    if not all(run.verdict.agrees for run in found.runs):
        raise typer.Exit(DISAGREES)


@command
@reads_tables("drop_missing")
def predict(
    model: Annotated[
        Path, typer.Argument(metavar="MODEL.json", help="The model that `train` wrote.")
    ],
    file: Annotated[
        str,
        typer.Argument(
            metavar="FILE|FOLDER|PATTERN", help=f"{TABLES}  Columns are matched by name."
        ),
    ],
    out: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE|FOLDER",
            help="Where to save the predictions, .csv or .parquet; for a folder or a pattern, a "
            "folder, which gets a file for each file.  [default: print them as CSV]",
        ),
    ] = None,
    *,
    reading: "Reading",
    scheduler: Scheduler = None,
) -> None:
    """Predict the target for every row of a table.

    The table needs the columns that the model was trained on, in the same units, even if it was
    trained with --standardize. It is read in parts, so it may be larger than memory.
    """
    import tempfile

    from pyarrow.parquet import ParquetFile

    from gradrace.backends.interface import InputValueError
    from gradrace.bench.data.sources import several
    from gradrace.bench.learning.prediction import FAR, read_model
    from gradrace.bench.learning.prediction_files import predict_table

    if scheduler is not None:
        os.environ[backends.SCHEDULER] = scheduler
    if out is None and several(Path(file)):
        raise InputValueError(f"{file}: is predicted file by file; say where with --out")
    with tempfile.TemporaryDirectory() as folder, progress_bar() as on_progress:
        found = predict_table(
            read_model(model),
            file,
            out or Path(folder, "predicted.parquet"),
            reading,
            cluster=scheduler is not None,
            on_progress=on_progress,
        )
        values = [] if out else ParquetFile(found.files[0]).read().column(0).to_pylist()
    for remark in found.remarks:
        note(remark)
    if found.far:
        warn(f"{FAR}: {found.far}")
    if found.unused:
        note(f"columns not used: {', '.join(found.unused)}")
    if found.loss is not None:
        note(f"the table also has {found.target}; the loss on it is {found.loss:.6g}")
    if out is None:
        show_values(["predicted", *map(repr, values)])
        return
    if len(found.files) > 1:
        note(f"{found.rows:,} rows in {len(found.files):,} files")
    show_saved([out])
