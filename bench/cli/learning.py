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
from gradrace.bench.learning.checkpoint import FOLDER
from gradrace.bench.learning.training import OF_A_MODEL
from gradrace.bench.parts import Answer, Caution
from gradrace.bench.show import pictures, terminal  # noqa: F401 (pictures are saved by results)


def train(
    file: str | None = None,
    *,
    out: str = "results/train",
    details: bool = False,
    resume: bool = False,
    **given: Any,
) -> None:
    """Train, save the model, and say what it is."""
    folder = writable_folder(Path(out))
    sums = folder / FOLDER
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
    elsewhere = (Caution, Answer) if fit.diverged else Caution  # on stderr
    said = fit.parts(detail=details)
    terminal.show(*(part for part in said if not isinstance(part, elsewhere)))
    saved: list[Path] = []
    try:
        for path in fit.files(folder):  # the pictures come last and take the longest
            saved.append(path)
    finally:
        terminal.show_saved(saved)
    if fit.failure is not None:
        earlier = [folder / name for name in OF_A_MODEL if (folder / name).exists()]
        names = ", ".join(map(str, earlier))
        old = f" (from an earlier run: {names})" if names else ""
        terminal.end(DISAGREES, *fit.failure.pieces, old)
    if fit.interrupted:
        interrupted(f" after epoch {fit.trajectory.epoch[-1]:,} of {fit.planned:,}")


def rates(
    file: str | None = None,
    *,
    out: str = "results/rates",
    details: bool = False,
    animate: bool = False,
    **given: Any,
) -> None:
    """Study learning rates, and save and say what was found."""
    folder = writable_folder(Path(out))
    with terminal.progress_bar() as on_progress:
        found = api.rates(file, on_progress=on_progress, on_note=terminal.note, **given)
    saved: list[Path] = []
    try:
        for path in found.files(folder, animate=animate):
            saved.append(path)
    finally:
        said = found.parts(detail=details)
        terminal.show(*(part for part in said if not isinstance(part, Caution)))
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
