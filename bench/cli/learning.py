"""The commands for learning: train, rates, predict."""

import os
import warnings
from pathlib import Path
from typing import Any

from gradrace import backends
from gradrace.backends.interface import InputValueError, Setting
from gradrace.bench.api import learning as api
from gradrace.bench.cli.status import DISAGREES, disagrees, interrupted
from gradrace.bench.data.files import writable_folder
from gradrace.bench.learning import kept, model, rates_files
from gradrace.bench.report import terminal as old
from gradrace.bench.report.learning import title
from gradrace.bench.report.learning_page import rates_page, training_page
from gradrace.bench.report.page import PAGE, write
from gradrace.bench.report.rates import report as rates_report
from gradrace.bench.report.training import report
from gradrace.bench.show import terminal


def train(
    file: str | None = None,
    *,
    out: str = "results/train",
    details: bool = False,  # noqa: ARG001
    resume: bool = False,
    **given: Any,
) -> None:
    """Train, save the model, and say what it is."""
    folder = writable_folder(Path(out))
    sums = folder / kept.FOLDER
    try:
        with terminal.progress_bar() as on_progress, warnings.catch_warnings():
            warnings.simplefilter("ignore", api.UnfinishedWarning)  # the result says it, too
            fit = api.fit(
                file,
                sums=sums,
                resume=resume,
                on_progress=on_progress,
                on_note=terminal.note,
                **given,
            )
    except KeyboardInterrupt:
        on = "; --resume goes on after the parts that are read"
        interrupted(on if any(sums.glob("*.npz")) else "")
    auto = given.get("lr", "auto" if file else None) == "auto"
    old.show(title(fit.data))
    old.show_lines([*report(fit, auto=auto)][1:])
    saved: list[Path] = []
    try:
        for path in model.save(fit, folder):  # the pictures come last and take the longest
            saved.append(path)
        if not fit.interrupted:
            saved.append(write(training_page(fit, auto=auto), folder / PAGE))
    finally:
        terminal.show_saved(saved)
    if fit.diverged:
        earlier = [folder / name for name in model.OF_A_MODEL if (folder / name).exists()]
        names = ", ".join(map(str, earlier))
        terminal.end(DISAGREES, fit.failure, f" (from an earlier run: {names})" if names else "")
    if fit.interrupted:
        interrupted(f" after epoch {fit.trajectory.epoch[-1]:,} of {fit.planned:,}")


def rates(
    file: str | None = None,
    *,
    out: str = "results/rates",
    details: bool = False,  # noqa: ARG001
    animate: bool = False,
    **given: Any,
) -> None:
    """Study learning rates, and save and say what was found."""
    folder = writable_folder(Path(out))
    with terminal.progress_bar() as on_progress:
        found = api.rates(file, on_progress=on_progress, on_note=terminal.note, **given)
    saved: list[Path] = []
    try:
        for path in rates_files.save(found, folder, animate=animate):
            saved.append(path)
        if found.runs and not found.interrupted:
            saved.append(write(rates_page(found), folder / PAGE))
    finally:
        old.show_lines(rates_report(found))
        terminal.warn(found.landscape.least_squares.ambiguity)
        terminal.show_saved(saved)
    if found.interrupted:
        steps = len(found.rates) * max(1, len({run.backend for run in found.runs}))
        interrupted(f"; {len(found.runs)} of {steps} runs are finished")
    if not all(run.verdict.agrees for run in found.runs):
        disagrees()


def predict(
    model: str, file: str, *, out: str | None = None, scheduler: str | None = None, **reading: Any
) -> None:
    """Predict for every row of a table; print the predictions, or save them."""
    import tempfile

    from pyarrow.parquet import ParquetFile

    from gradrace.bench.api.inputs import reading_of
    from gradrace.bench.data.sources import several
    from gradrace.bench.learning.prediction import FAR
    from gradrace.bench.learning.prediction_files import predict_table

    if scheduler is not None:
        os.environ[backends.SCHEDULER] = scheduler
    if out is None and several(Path(file)):
        said = f"{file}: is predicted file by file; say where with "
        raise InputValueError(said, Setting("out"))
    with tempfile.TemporaryDirectory() as folder, terminal.progress_bar() as on_progress:
        found = predict_table(
            api.load(model),
            file,
            Path(out or Path(folder, "predicted.parquet")),
            reading_of(reading),  # type: ignore[arg-type]
            cluster=scheduler is not None,
            on_progress=on_progress,
        )
        values = [] if out else ParquetFile(found.files[0]).read().column(0).to_pylist()
    for remark in found.remarks:
        terminal.note(remark)
    if found.far:
        terminal.warn(f"{FAR}: {found.far}")
    if found.unused:
        terminal.note(f"columns not used: {', '.join(found.unused)}")
    if found.loss is not None:
        terminal.note(f"the table also has {found.target}; the loss on it is {found.loss:.6g}")
    if out is None:
        terminal.show_lines(["predicted", *map(repr, values)])
        return
    if len(found.files) > 1:
        terminal.note(f"{found.rows:,} rows in {len(found.files):,} files")
    terminal.show_saved([Path(out)])
