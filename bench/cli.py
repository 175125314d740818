"""The command line: each command is one call of a function that Python can use as well.

NumPy, Numba and matplotlib are imported inside the commands, so that --help answers at once.
"""

import contextlib
import dataclasses
import functools
import io
import os
import signal
import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn, ParamSpec

import typer
import typer.core

# Both are imported before the current folder joins the path, for it may hold the same names.
import backends
import plots  # noqa: F401

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.progress import Progress

    from bench.data import Dataset
    from bench.theory import Rate

LEAST_WIDTH = 80  # what tables are laid out for

# exit statuses
DISAGREES = 1
UNUSABLE = 2
PIPE_CLOSED = 141  # what a shell reports for a program that wrote into a closed pipe
INTERRUPTED = 130  # what a shell reports for a program that Ctrl-C ended

app = typer.Typer(
    help="One gradient-descent loop in Python, NumPy and Numba: proved equal, then timed.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

Backends = Annotated[
    list[str] | None,
    typer.Option(
        "--backend",
        metavar="NAME|FILE.py|MODULE",
        help="A built-in backend, your file or an importable module; repeatable.  "
        "[default: all built-in ones]",
        show_default=False,
    ),
]
Target = Annotated[
    str | None, typer.Option(metavar="COLUMN", help="The column to predict.  [default: the last]")
]
Features = Annotated[
    list[str] | None,
    typer.Option(
        metavar="COLUMN,COLUMN,…",
        help="The columns to predict from; repeatable.  [default: all others]",
        show_default=False,
    ),
]
RateText = Annotated[
    str | None,
    typer.Option(
        "--lr",
        metavar="α|auto",
        help="Learning rate; auto is the fastest stable one.  "
        "[default: 0.005 for the reference line, auto for a table]",
    ),
]
Standardize = Annotated[
    bool,
    typer.Option("--standardize", help="Center and scale the columns; report in their units."),
]
Timeout = Annotated[
    float, typer.Option(metavar="SECONDS", min=0.1, help="How long each backend may take.")
]
TABLE = "CSV, TSV, Parquet, Feather, NPZ or NPY; - is standard input."
TableFile = Annotated[
    Path | None,
    typer.Argument(
        metavar="FILE", help=f"{TABLE}  [default: the reference line]", show_default=False
    ),
]

P = ParamSpec("P")


def _version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        typer.echo(f"gradrace {version('gradrace')}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool,
        typer.Option("--version", help="Show the version and exit.", callback=_version),
    ] = False,
) -> None:
    """One gradient-descent loop in Python, NumPy and Numba: proved equal, then timed."""


class _Command(typer.core.TyperCommand):
    """A command whose --lr takes several words: --lr 0.1 0.2 stands for --lr 0.1 --lr 0.2."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Put --lr in front of every further rate that follows one."""
        several = any(option.name == "lr" and option.multiple for option in self.params)
        words: list[str] = []
        for word in args:
            follows = "--lr" in words[-2:-1] or "".join(words[-1:]).startswith("--lr=")
            if several and follows and _is_rate(word):
                words.append("--lr")
            words.append(word)
        return super().parse_args(ctx, words)


def _is_rate(word: str) -> bool:
    try:
        for text in word.replace("auto", "1").split(","):
            float(text)
    except ValueError:
        return False
    return True


def command(function: Callable[P, None]) -> Callable[P, None]:
    """Register a command; what the user caused ends in one line on stderr and exit status 2."""

    @functools.wraps(function)
    def guarded(*args: P.args, **kwargs: P.kwargs) -> None:
        try:
            from backends.interface import InputError
            from bench.isolation import BackendError
        except KeyboardInterrupt:
            _end("interrupted", INTERRUPTED)
        try:
            function(*args, **kwargs)
        except KeyboardInterrupt:
            _end("interrupted", INTERRUPTED)
        except (InputError, BackendError) as error:
            _end(str(error), UNUSABLE)
        except MemoryError as error:
            _end(f"out of memory: {error}", UNUSABLE)
        except BrokenPipeError:  # the reader of a pipe has enough
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            raise typer.Exit(PIPE_CLOSED) from None
        except OSError as error:
            where = f"{error.filename}: " if error.filename else ""
            _end(f"{where}{error.strerror or error}", UNUSABLE)

    return app.command(function.__name__.removeprefix("list_"), cls=_Command)(guarded)


@command
def run(
    out: Annotated[Path, typer.Option(metavar="DIR", help="Where to save.")] = Path("results"),
    backend: Backends = None,
) -> None:
    """Check, time and picture the backends.

    Each backend trains on the reference line and on two larger synthetic problems. The exit
    status is 1 if one of them disagrees with the exact trajectory.
    """
    from bench import race, report
    from bench.files import writable_folder

    for spec in backend or ():
        backends.require(spec)
    writable_folder(out)
    with _progress() as progress:
        task = progress.add_task("", total=None)

        def on_progress(doing: str, done: int, steps: int) -> None:
            progress.update(task, description=doing, completed=done, total=steps)

        result = race.run(out, backend or (), on_progress=on_progress)
    if result.verdicts:
        _print(report.race_table(result))
        _print(
            "Median of the rounds; one thread per backend, unless the environment says otherwise."
        )
    wrong = [e["verdict"] for e in result.verdicts if not e["verdict"]["agrees"]]
    for verdict in wrong:
        _print(f"{verdict['backend']}: {verdict['reason']}")
    _print_saved(result.files)
    if result.interrupted:
        kept = "what was finished is saved" if result.files else "nothing was finished"
        _end(f"interrupted; {kept}", INTERRUPTED)
    if result.failure:
        _end(result.failure, DISAGREES)
    if wrong:
        raise typer.Exit(DISAGREES)


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
    a share of the largest error that rounding can cause. The exit status is 1 if one disagrees.
    """
    from bench import agreement, report
    from bench.data import REFERENCE_EPOCHS, affordable_epochs
    from bench.files import writable_file, write_json
    from bench.oracle import YARDSTICK, exact_trajectory
    from bench.theory import chosen_rate, hessian, least_squares

    specs = backend or list(backends.names())
    for spec in specs:
        backends.require(spec)
    if json is not None:
        writable_file(json)
    samples = _samples(data, target, features)
    if epochs is None:
        epochs = REFERENCE_EPOCHS if data is None else affordable_epochs(samples)
    rate = _rate(lr, data)
    if rate == "auto":
        H = hessian(samples.X, least_squares(samples).null)
        rate = chosen_rate(rate, samples, H, epochs)

    verdicts: list[agreement.Verdict] = []
    interrupted = False
    try:
        with _progress() as progress:
            task = progress.add_task("computing the exact trajectory", total=len(specs))
            exact = exact_trajectory(samples.X, samples.y, lr=rate, epochs=epochs)
            progress.update(task, description="training the backends")
            for checked in agreement.check_backends(
                specs, samples.X, samples.y, lr=rate, epochs=epochs, exact=exact, timeout=timeout
            ):
                verdicts.append(checked.verdict)
                progress.advance(task)
    except KeyboardInterrupt:
        interrupted = True

    n, d = samples.X.shape
    job = {"data": samples.name, "n": n, "d": d, "lr": rate, "epochs": epochs}
    _print(f"{samples.name}: n = {n:,}, d = {d:,}, α = {rate:.6g}, {epochs:,} epochs")
    if verdicts:
        _print(report.verdict_table(verdicts))
        _print("w, b, loss: the worst error, as a share of the rounding bound, @ its epoch.")
        _print(f"Yardstick: {YARDSTICK}.")
    for verdict in verdicts:
        if not verdict.agrees:
            _print(f"{verdict.backend}: {verdict.reason}")
    if json is not None:
        found = [dataclasses.asdict(verdict) for verdict in verdicts]
        write_json(json, {**job, "yardstick": YARDSTICK, "verdicts": found})
        _print_saved([json])
    if interrupted:
        _end(f"interrupted; {len(verdicts)} of {len(specs)} backends were checked", INTERRUPTED)
    if not all(verdict.agrees for verdict in verdicts):
        raise typer.Exit(DISAGREES)


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
    from bench import lessons, model, training
    from bench.files import writable_folder

    backends.require(backend)
    rate = _rate(lr, file)
    samples = _samples(file, target, features)
    writable_folder(out)
    with _progress("{task.fields[loss]}") as progress:
        task = progress.add_task("epoch", total=epochs, loss="")

        def on_progress(epoch: int, loss: float) -> None:
            progress.update(task, completed=epoch, loss=f"loss {loss:.6g}")

        fit = training.train(
            samples, backend=backend, lr=rate, epochs=epochs, standardize=standardize, tol=tol,
            on_progress=on_progress,
        )  # fmt: skip
    saved: list[Path] = []
    try:
        for path in model.save(fit, out):
            saved.append(path)
    finally:
        _print_lines(lessons.about_fit(fit, auto=rate == "auto"))
        if not fit.diverged:
            _print(lessons.fit_table(fit))
            _print_lines(lessons.remarks(fit))
        _warn(fit.least_squares.ambiguity)
        _print_saved(saved)
    if fit.diverged:
        old = [out / name for name in ("model.json", "fit.parquet", "fit.png")]
        names = ", ".join(str(path) for path in old if path.exists())
        _end(fit.failure + (f" ({names}: of an earlier run)" if names else ""), DISAGREES)
    if fit.interrupted:
        _end(f"interrupted after epoch {fit.trajectory.epoch[-1]:,} of {epochs:,}", INTERRUPTED)


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
    from bench import lessons, rates
    from bench.files import writable_folder

    specs = backend or ["numba"]
    for spec in specs:
        backends.require(spec)
    chosen: Sequence[Rate] = [_rate(text, file) for words in lr or () for text in words.split(",")]
    if file is None and not standardize:
        chosen = chosen or rates.REFERENCE_RATES
    samples = _samples(file, target, features)
    writable_folder(out)
    with _progress() as progress:
        task = progress.add_task("", total=None)

        def on_progress(doing: str, done: int, steps: int) -> None:
            progress.update(task, description=doing, completed=done, total=steps)

        found = rates.study(
            samples, chosen, backends=specs, epochs=epochs, standardize=standardize,
            timeout=timeout, on_progress=on_progress,
        )  # fmt: skip
    wrong = [run for run in found.runs if not run.verdict.agrees]
    saved: list[Path] = []
    try:
        for path in rates.save(found, out):
            saved.append(path)
    finally:
        _print_lines([*lessons.about_study(found), "", *lessons.advice(found)])
        if found.runs:
            _print(lessons.speed_table(found))
            _print_lines([lessons.REGIME_LEGEND, lessons.SPEED_LEGEND, lessons.limits(found)])
            _print(lessons.result_table(found))
            _print(lessons.direction_table(found))
            _print(lessons.DIRECTION_LEGEND)
        _warn(found.least_squares.ambiguity)
        for run in wrong:
            _print(f"{run.backend}, α = {run.lr:g}: {run.verdict.reason}")
        _print_saved(saved)
    if found.interrupted:
        steps = len(found.rates) * len(set(specs))
        _end(f"interrupted; {len(found.runs)} of {steps} runs are finished", INTERRUPTED)
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
    from bench.files import writable_file
    from bench.model import predict, predictions_kind, read_model, write_predictions

    trained = read_model(model)
    if out is not None:
        predictions_kind(out)
        writable_file(out)
        if out.exists() and any(path.exists() and out.samefile(path) for path in (file, model)):
            raise InputValueError(f"{out}: is what is read; choose another file")
    found = predict(trained, file)
    if found.far:
        _warn(f"far from the training samples; other units? {found.far}")
    if found.unused:
        _note(f"not used: {', '.join(found.unused)}")
    if found.loss is not None:
        _note(f"{found.target} is in the table, too; the loss is {found.loss:.6g}")
    if out is None:
        print("\n".join(["predicted", *map(repr, found.values.tolist())]))
    else:
        write_predictions(found, out)
        _print_saved([out])


@command
def list_backends() -> None:
    """List the backends, and how to install what is missing."""
    from bench import report

    _print(report.backend_table())


def main() -> None:
    """Run the command line."""
    for name in ("SIGTERM", "SIGHUP"):  # on the way out, the children are ended, too
        if number := getattr(signal, name, None):
            signal.signal(number, lambda received, _: sys.exit(128 + received))
    with contextlib.suppress(FileNotFoundError):  # the current folder may have been deleted
        sys.path.append(os.getcwd())  # --backend package.module may stand there
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # a terminal without α still shows the rest
    app()


def _samples(file: Path | None, target: str | None, features: list[str] | None) -> "Dataset":
    from backends.interface import InputValueError
    from bench.data import reference_line
    from bench.tables import read_table

    if file is not None:
        return read_table(file, target, features or ())
    if target is not None or features:
        raise InputValueError("--target and --features need a FILE")
    return reference_line()


def _rate(text: str | None, file: Path | None) -> "Rate":
    """Return the given rate, or the default one: automatic for a table."""
    from backends.interface import InputValueError
    from bench.data import REFERENCE_LR

    if text is None:
        return REFERENCE_LR if file is None else "auto"
    if text == "auto":
        return "auto"
    try:
        return float(text)
    except ValueError:
        raise InputValueError(f"--lr: needs a number or auto, got {text!r}") from None


def _progress(*extra: str) -> "Progress":
    """Return a progress bar on stderr; nothing at all where stderr is no terminal."""
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
    )

    console = Console(stderr=True)
    texts = (TextColumn(text, markup=False) for text in ("{task.description}", *extra))
    return Progress(
        *texts, BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(),
        console=console, transient=True, disable=not console.is_terminal,
    )  # fmt: skip


def _print(what: "RenderableType") -> None:
    """Print a table or a line to stdout; a line is left as it is, whatever the width.

    Nor are the numbers of a table cut in a narrow terminal, which wraps the lines itself.
    """
    from rich.console import Console
    from rich.measure import Measurement

    if isinstance(what, str):
        what = _printable(what)
    console = Console(markup=False, emoji=False, highlight=False, soft_wrap=isinstance(what, str))
    roomy = Measurement.get(console, console.options.update_width(LEAST_WIDTH), what).maximum
    console.width = max(console.width, roomy)
    console.print(what)


def _print_saved(paths: list[Path]) -> None:
    if paths:
        _print("saved " + " ".join(map(str, paths)))


def _print_lines(lines: Iterable[str]) -> None:
    for line in lines:
        _print(line)


def _note(message: str) -> None:
    """Say something beside the result, on stderr."""
    print(_printable(message), file=sys.stderr)


def _warn(message: str) -> None:
    if message:
        _note(f"warning: {message}")


def _end(message: str, status: int) -> NoReturn:
    """Say on stderr in one line why the command ends, and end it."""
    print(f"gradrace: {_printable(message)}", file=sys.stderr)
    raise typer.Exit(status)


def _printable(text: str) -> str:
    """Return a text on one line, without the control codes that a stranger's text may hold."""
    return "".join(c if c.isprintable() else "?" for c in " ".join(text.split()))
