"""The commands of a learner: train, rates, predict."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
import typer.core

from bench.cli.arguments import (
    TABLE,
    Features,
    RateText,
    Standardize,
    TableFile,
    Target,
    Timeout,
    rate_of,
    samples_of,
    usable,
)
from bench.report.terminal import (
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
    from bench.learning.rate_choice import Rate
from bench.cli.command import DISAGREES, command, end_interrupted


@command
def train(
    file: TableFile = None,
    target: Target = None,
    features: Features = None,
    backend: Annotated[
        str, typer.Option(metavar="NAME|FILE.py|MODULE", help="What trains.")
    ] = "numba",
    lr: RateText = None,
    epochs: Annotated[
        int, typer.Option(metavar="N", help="Updates to make, at most with --tol.")
    ] = 10_000,
    standardize: Standardize = False,
    tol: Annotated[
        float | None,
        typer.Option(
            metavar="SHARE",
            help="Stop when the gradient has fallen to this share of its first norm, or nothing "
            "improves any more.",
        ),
    ] = None,
    out: Annotated[Path, typer.Option(metavar="DIR", help="Where to save.")] = Path(
        "results/train"
    ),
) -> None:
    """Train on your table and save the model.

    Writes model.json, fit.parquet, history.parquet, fit.png and loss.png. If the loss diverges,
    the exit status is 1 and there is no model.
    """
    from bench.data.files import writable_folder
    from bench.learning import model, training
    from bench.report.training import about_fit, fit_table, remarks

    usable([backend])
    rate = rate_of(lr, file)
    samples = samples_of(file, target, features)
    writable_folder(out)
    with progress("{task.fields[loss]}") as bar:
        task = bar.add_task("epoch", total=epochs, loss="")

        def on_progress(epoch: int, loss: float) -> None:
            bar.update(task, completed=epoch, loss=f"loss {loss:.6g}")

        fit = training.train(
            samples, backend=backend, lr=rate, epochs=epochs, standardize=standardize, tol=tol,
            on_progress=on_progress,
        )  # fmt: skip
    show_lines(about_fit(fit, auto=rate == "auto"))
    if not fit.diverged:
        show(fit_table(fit))
        show_lines(remarks(fit))
    warn(fit.least_squares.ambiguity)
    saved: list[Path] = []
    try:
        for path in model.save(fit, out):  # the pictures take longer than all before them
            saved.append(path)
    finally:
        show_saved(saved)
    if fit.diverged:
        old = [out / name for name in ("model.json", "fit.parquet", "fit.png")]
        names = ", ".join(str(path) for path in old if path.exists())
        end(fit.failure + (f" ({names}: of an earlier run)" if names else ""), DISAGREES)
    if fit.interrupted:
        end_interrupted(f" after epoch {fit.trajectory.epoch[-1]:,} of {epochs:,}")


@command
def rates(
    file: TableFile = None,
    lr: Annotated[
        list[str] | None,
        typer.Option(
            "--lr",
            metavar="α …",
            help="Learning rates, several or auto.  [default: 0.001 0.005 0.1 for the reference "
            "line; for a table a slow, a stable, a good and a diverging one]",
            show_default=False,
        ),
    ] = None,
    target: Target = None,
    features: Features = None,
    backend: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME|FILE.py|MODULE",
            help="What trains; repeatable.  [default: numba]",
            show_default=False,
        ),
    ] = None,
    epochs: Annotated[
        int | None,
        typer.Option(
            metavar="N", help="Updates to make.  [default: 10,000, fewer for large tables]"
        ),
    ] = None,
    standardize: Standardize = False,
    timeout: Timeout = 60.0,
    out: Annotated[Path, typer.Option(metavar="DIR", help="Where to save.")] = Path(
        "results/rates"
    ),
) -> None:
    """Show what learning rates do, and which to take.

    Every rate is predicted from the curvature of the loss, run, and verified against the exact
    trajectory. Writes rates.json, history.parquet, path.parquet, path.png and loss.png. The exit
    status is 1 if a run disagrees; one that diverges may agree.
    """
    from bench.data.files import writable_folder
    from bench.learning import rates, rates_files
    from bench.report import rates as lessons

    specs = backend or ["numba"]
    usable(specs)
    chosen: Sequence[Rate] = [
        rate_of(text, file) for words in lr or () for text in words.split(",")
    ]
    if file is None and not standardize:
        chosen = chosen or rates.REFERENCE_RATES
    samples = samples_of(file, target, features)
    writable_folder(out)
    with progress_bar() as on_progress:
        found = rates.study(
            samples, chosen, backends=specs, epochs=epochs, standardize=standardize,
            timeout=timeout, on_progress=on_progress,
        )  # fmt: skip
    wrong = [run for run in found.runs if not run.verdict.agrees]
    saved: list[Path] = []
    try:
        for path in rates_files.save(found, out):
            saved.append(path)
    finally:
        show_lines([*lessons.about_study(found), "", *lessons.advice(found)])
        if found.runs:
            show(lessons.speed_table(found))
            show_lines([lessons.REGIME_LEGEND, lessons.SPEED_LEGEND, lessons.limits(found)])
            show(lessons.result_table(found))
            show(lessons.direction_table(found))
            show(lessons.DIRECTION_LEGEND)
        warn(found.least_squares.ambiguity)
        for run in wrong:
            show(f"{run.backend}, α = {run.lr:g}: {run.verdict.reason}")
        show_saved(saved)
    if found.interrupted:
        steps = len(found.rates) * len(set(specs))
        end_interrupted(f"; {len(found.runs)} of {steps} runs are finished")
    if wrong:
        raise typer.Exit(DISAGREES)


@command
def predict(
    model: Annotated[
        Path, typer.Argument(metavar="MODEL.json", help="The model that `train` wrote.")
    ],
    file: Annotated[
        Path, typer.Argument(metavar="FILE", help=f"{TABLE}  Columns are taken by name.")
    ],
    out: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="Where to save, .csv or .parquet.  [default: print them as CSV]"
        ),
    ] = None,
) -> None:
    """Predict the target for every row of a table.

    The columns are those the model was trained on, in their original units.
    """
    from backends.interface import InputValueError
    from bench.data.files import writable_file
    from bench.learning.model import predict, predictions_kind, read_model, write_predictions

    trained = read_model(model)
    if out is not None:
        predictions_kind(out)
        writable_file(out)
        if out.exists() and any(path.exists() and out.samefile(path) for path in (file, model)):
            raise InputValueError(f"{out}: is what is read; choose another file")
    found = predict(trained, file)
    if found.far:
        warn(f"far from the training samples; other units? {found.far}")
    if found.unused:
        note(f"not used: {', '.join(found.unused)}")
    if found.loss is not None:
        note(f"{found.target} is in the table, too; the loss is {found.loss:.6g}")
    if out is None:
        show_values(["predicted", *map(repr, found.values.tolist())])
    else:
        write_predictions(found, out)
        show_saved([out])
