"""The command line: each command is one call of a function that Python can use as well.

NumPy, Numba and matplotlib are imported inside the commands, so that --help answers at once.
"""

import contextlib
import dataclasses
import functools
import io
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn, ParamSpec

import typer
import typer.core

import backends
from bench import interrupts
from bench.terminal import (
    end,
    note,
    progress,
    show,
    show_lines,
    show_saved,
    show_values,
    silence,
    silenced,
    warn,
)

if TYPE_CHECKING:
    from bench.data import Dataset
    from bench.theory import Rate

# exit statuses
DISAGREES = 1
UNUSABLE = 2
PIPE_CLOSED = 141  # what a shell reports for a program that wrote into a closed pipe

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
        "--backends",
        metavar="NAME|FILE.py|MODULE …",
        help="Built-in backends, your file or an importable module.  [default: all built-in ones]",
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

LEAST_MEMORY = 10**9  # bytes of addresses; with less, libraries end the process, or wait for ever
MOST_FEATURES = 2_000  # the curvature takes O(d³): seconds up to there, an hour for 20,000

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
    """A command whose repeatable options take several words: --lr 0.1 0.2 is --lr 0.1 --lr 0.2."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Put the option in front of every further word that belongs to it."""
        several = {
            name for option in self.params if getattr(option, "multiple", False)
            for name in option.opts
        }  # fmt: skip
        arguments = any(option.param_type_name == "argument" for option in self.params)
        words: list[str] = []
        for word in args:
            before = words[-2] if len(words) > 1 else ""
            if words and words[-1].partition("=")[0] in several and "=" in words[-1]:
                before = words[-1].partition("=")[0]
            # Where a command takes a FILE, only what is a number can belong to the option.
            belongs = _is_rate(word) or not (arguments or word.startswith("-"))
            if before in several and belongs:
                words.append(before)
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
            if (limit := _memory_limit()) is not None and limit < LEAST_MEMORY:
                raise MemoryError(_allowed(limit) + f"; {LEAST_MEMORY // 10**6} MB are needed")
            function(*args, **kwargs)
        except KeyboardInterrupt:
            _interrupted()
        except BrokenPipeError:  # the reader of a pipe has enough, and there is nothing to save
            silence()
        except Exception as error:
            if reason := _reason(error):
                end(reason, UNUSABLE)
            raise
        if silenced():
            raise typer.Exit(PIPE_CLOSED)

    return app.command(function.__name__.removeprefix("list_"), cls=_Command)(guarded)


def _reason(error: Exception) -> str:
    """Say in one line what the user caused; empty for what is a bug of ours.

    Where memory is limited every library fails in its own way, so that nothing is held for a bug.
    """
    limit = _memory_limit()
    if isinstance(error, MemoryError):
        return f"out of memory: {error}"
    from backends.interface import InputError
    from bench.isolation import BackendError

    if isinstance(error, InputError | BackendError):
        return str(error)
    if isinstance(error, OSError):
        where = f"{error.filename}: " if error.filename else ""
        return f"{where}{error.strerror or error}"
    if limit is not None:
        return f"probably out of memory: {_allowed(limit)} ({type(error).__name__}: {error})"
    return ""


def _memory_limit() -> int | None:
    """Return how many bytes of addresses a process may have; None for as many as there are."""
    try:
        import resource
    except ImportError:  # not on Windows
        return None
    soft, _ = resource.getrlimit(resource.RLIMIT_AS)
    return None if soft == resource.RLIM_INFINITY else soft


def _allowed(limit: int) -> str:
    return f"ulimit -v allows {limit / 10**6:,.0f} MB"


def _interrupted(kept: str = "") -> NoReturn:
    """End an interrupted command; say what is kept."""
    end("interrupted" + kept, interrupts.status())


@command
def run(
    quick: Annotated[
        bool, typer.Option("--quick", help="4 sizes, 3 sessions, about a minute; the default.")
    ] = False,
    full: Annotated[
        bool, typer.Option("--full", help="14 sizes, 8 sessions; says how long it takes.")
    ] = False,
    sizes: Annotated[
        list[str] | None,
        typer.Option(
            metavar="N …",
            help="Numbers of samples, like 100 1e4.  [default: those of --quick or --full]",
            show_default=False,
        ),
    ] = None,
    features: Annotated[
        list[str] | None,
        typer.Option(
            metavar="D …",
            help="Numbers of features, each with every N.  [default: those of --quick or --full]",
            show_default=False,
        ),
    ] = None,
    epochs: Annotated[
        str | None,
        typer.Option(
            metavar="N",
            help="Updates per call; slow backends make fewer.  [default: some ms of work]",
        ),
    ] = None,
    backend: Backends = None,
    baseline: Annotated[
        str | None,
        typer.Option(
            metavar="BACKEND", help="What speed-ups refer to.  [default: python, if it races]"
        ),
    ] = None,
    sessions: Annotated[
        int | None, typer.Option(metavar="K", help="Fresh processes that time everything.")
    ] = None,
    seed: Annotated[int, typer.Option(metavar="N", help="Shuffles the order.")] = 0,
    threads: Annotated[int, typer.Option(metavar="N", help="Threads per library.")] = 1,
    peers: Annotated[
        bool, typer.Option("--peers", help="Race JAX, PyTorch and a C loop, too, if they are here.")
    ] = False,
    resume: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Complete the benchmark.json of an interrupted run."),
    ] = None,
    out: Annotated[Path, typer.Option(metavar="DIR", help="Where to save.")] = Path("results"),
) -> None:
    """Check, race and picture the backends.

    Every backend is verified, then timed in several fresh processes, its timed blocks interleaved
    with those of the others. On one thread `numba-parallel` is `numba-simd`, and is left out.
    Writes benchmark.json, agreement.png, speed.png, speedup.png, breakeven.png, fastest.png,
    roofline.png, and what `train` writes. The exit status is 1 if a backend disagrees with the
    exact trajectory, is faster than this machine can be, or a session breaks off.
    """
    from backends.interface import InputValueError
    from bench import race, report, settings
    from bench.files import writable_folder
    from bench.peers import raceable

    if quick and full:
        raise InputValueError("--quick and --full: choose one")
    if resume is not None and any(
        (
            quick,
            full,
            sizes,
            features,
            epochs,
            backend,
            baseline,
            sessions,
            seed,
            threads - 1,
            peers,
        )
    ):
        raise InputValueError("--resume: takes everything else from the file")
    _require(backend or settings.default_backends(threads))
    if peers:
        found, reasons = raceable()
        backend = [*(backend or settings.default_backends(threads)), *found]
        for reason in reasons:
            note(f"not raced: {reason}")
    chosen = settings.choose(
        full=full,
        sizes=[_count("--sizes", text) for text in sizes or ()],
        features=[_count("--features", text) for text in features or ()],
        epochs=None if epochs is None else _count("--epochs", epochs),
        backends=backend or (),
        baseline=baseline,
        sessions=sessions,
        seed=seed,
        threads=threads,
    )
    writable_folder(out if resume is None else resume.parent)
    with progress() as bar:
        task = bar.add_task("", total=None)

        def on_progress(doing: str, done: int, steps: int) -> None:
            bar.update(task, description=doing, completed=done, total=steps or None)

        if resume is not None:
            result = race.resume(resume, on_progress)
        else:
            note(settings.announcement(chosen))
            result = race.run(out, chosen, on_progress)
    for part in report.race_report(result.content):
        show(part)
    for warning in result.about["warnings"]:
        warn(warning)
    show_saved(result.files)
    if result.interrupted:
        kept = (
            f"{result.finished} of {result.settings.sessions} sessions are finished and saved; "
            f"gradrace run --resume {resume or out / race.RESULT} completes them"
        )
        if not result.finished:
            older = (resume or out / race.RESULT).exists()
            kept = (
                "nothing was timed" + f" ({resume or out / race.RESULT}: of an earlier run)" * older
            )
        _interrupted(f"; {kept}")
    if result.faults:
        raise typer.Exit(DISAGREES)


@command
def scale(
    seed: Annotated[int, typer.Option(metavar="N", help="Shuffles the order.")] = 0,
    sessions: Annotated[
        int, typer.Option(metavar="K", help="Fresh processes that time everything.")
    ] = 3,
    out: Annotated[Path, typer.Option(metavar="DIR", help="Where to save.")] = Path("results"),
) -> None:
    """Show how the time grows with samples, features and threads.

    Races n = 1 to 10⁷ for one feature, d = 1 to 1,000 at n·d = 10⁶, and one thread to all; takes
    about five minutes on two cores. Writes scale-1.json, scale-2.json, …, a result file each, and
    scale.png. The exit status is 1 if a backend disagrees or a session breaks off.
    """
    from dataclasses import replace

    from bench import growth, report, settings
    from bench.files import replacing, writable_folder
    from plots import growth as picture

    _require(settings.default_backends(1))
    base = replace(settings.QUICK_SETTINGS, seed=seed, sessions=sessions)
    writable_folder(out)
    with progress() as bar:
        task = bar.add_task("", total=None)

        def on_progress(doing: str, done: int, steps: int) -> None:
            bar.update(task, description=doing, completed=done, total=steps or None)

        races = growth.study(out, base, on_progress=on_progress)
    timed = [result for result in races if result.finished]
    for result in timed:
        for part in report.race_report(result.content):
            show(part)
        for warning in result.about["warnings"]:
            warn(warning)
    saved = [path for result in timed for path in result.files]
    if timed:
        show(report.exponent_table(growth.exponents(timed[0].content)))
        show_lines(report.crossover_lines(growth.crossovers(timed[0].content)))
        with replacing(out / "scale.png") as target:
            picture.draw(saved, target)
        show_saved([*saved, out / "scale.png"])
    if races[-1].interrupted:
        kept = "the sessions that are finished are saved" if timed else "nothing was timed"
        _interrupted(f"; {kept}")
    if any(result.faults for result in races):
        raise typer.Exit(DISAGREES)


@command
def compare(
    old: Annotated[Path, typer.Argument(metavar="OLD.json", help="The earlier result file.")],
    new: Annotated[Path, typer.Argument(metavar="NEW.json", help="The later one.")],
    fail_above: Annotated[
        str | None,
        typer.Option(metavar="SHARE", help="Exit with 1 if something is slower by more, like 10%."),
    ] = None,
    layout: Annotated[
        str,
        typer.Option(
            "--format", metavar="text|md", help="A table for the terminal or in Markdown."
        ),
    ] = "text",
) -> None:
    """Compare two runs: what became faster or slower.

    A difference is shown if its 95 % interval excludes 1 and it exceeds 5 % and the A/A floor of
    both runs. What else differs, like machine or versions, is said.
    """
    from backends.interface import InputValueError
    from bench import comparison, report

    if layout not in ("text", "md"):
        raise InputValueError(f"--format: must be text or md, got {layout!r}")
    limit = None if fail_above is None else _share("--fail-above", fail_above)
    found = comparison.compare(old, new)
    if layout == "md":
        show_lines(report.comparison_markdown(found))
    else:
        show(report.comparison_table(found))
        show_lines(report.wrapped(report.COMPARISON_LEGEND))
    for difference in found.differences:
        warn(f"not the same, {difference}")
    warn(comparison.drift_warning(found))
    if limit is not None:
        if not found.comparable:
            raise InputValueError(
                "--fail-above: the runs are of different machines or threads; their times say "
                "nothing about the code"
            )
        if not found.judged:
            raise InputValueError("--fail-above: needs two or more sessions in both runs")
        if unseen := found.unseen(limit):
            warn(
                f"on {len(unseen)} of {len(found.changes)} a slowdown of {report.percent(limit)} "
                "cannot be ruled out: more --sessions narrow the intervals"
            )
        slower = [f"{change.backend} on {change.case}" for change in found.regressions(limit)]
        faults = [f"not in the new run: {', '.join(found.gone)}"] if found.gone else []
        if slower:
            faults.insert(0, f"slower by more than {report.percent(limit)}: {', '.join(slower)}")
        if faults:
            end("; ".join(faults), DISAGREES)


@command
def plot(
    file: Annotated[Path, typer.Argument(metavar="FILE.json", help="What gradrace run wrote.")],
    out: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Where to save.  [default: beside the file]")
    ] = None,
) -> None:
    """Draw the pictures of a race again, from its file alone.

    speed.png: time per epoch against n. speedup.png: speed-ups with their intervals. breakeven.png:
    when compiling has paid. fastest.png: the fastest backend at every size. roofline.png: how close
    each comes to what the machine can do.
    """
    from backends.interface import InputValueError
    from bench import race, results
    from bench.files import writable_folder

    if not results.read(file)["benchmarks"]:
        raise InputValueError(f"{file}: nothing was timed in that run")
    folder = writable_folder(file.parent if out is None else out)
    show_saved(list(race.draw(file, folder)))


@command
def advise(
    file: Annotated[
        Path, typer.Argument(metavar="FILE.json", help="What gradrace run wrote on this machine.")
    ],
    n: Annotated[str, typer.Option(metavar="N", help="Samples of your job.")],
    d: Annotated[str, typer.Option(metavar="D", help="Features.")],
    epochs: Annotated[str, typer.Option(metavar="N", help="Epochs of one run.")],
    runs: Annotated[str, typer.Option(metavar="N", help="Runs in one process.")] = "1",
) -> None:
    """Say which backend to use for a job, and how long it will take.

    Times are carried over from the measured sizes to yours. Beyond them, the answer says so; more
    than ten times beyond, there is none.
    """
    from bench import report, results
    from bench.advice import advise

    counts = {"n": n, "d": d, "epochs": epochs, "runs": runs}
    found = advise(file, **{name: _count(f"--{name}", text) for name, text in counts.items()})
    for line in report.advice_lines(found):
        show_lines(report.wrapped(line))
    show(report.advice_table(found))
    source = f"From a {report.about_race(results.read(file))}."
    show_lines(report.wrapped(f"{report.ADVICE_LEGEND} {source}"))


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
    from bench import agreement, report
    from bench.data import REFERENCE_EPOCHS, affordable_epochs
    from bench.files import writable_file, write_json
    from bench.oracle import YARDSTICK, exact_trajectory
    from bench.problems import suite
    from bench.theory import chosen_rate, hessian, least_squares

    specs = backend or list(backends.names())
    _require(specs)
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
        show(report.verdict_table(verdicts))
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
        _interrupted(f"; {len(verdicts)} of {len(specs)} backends were checked")
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

    _require([backend])
    rate = _rate(lr, file)
    samples = _samples(file, target, features)
    writable_folder(out)
    with progress("{task.fields[loss]}") as bar:
        task = bar.add_task("epoch", total=epochs, loss="")

        def on_progress(epoch: int, loss: float) -> None:
            bar.update(task, completed=epoch, loss=f"loss {loss:.6g}")

        fit = training.train(
            samples, backend=backend, lr=rate, epochs=epochs, standardize=standardize, tol=tol,
            on_progress=on_progress,
        )  # fmt: skip
    show_lines(lessons.about_fit(fit, auto=rate == "auto"))
    if not fit.diverged:
        show(lessons.fit_table(fit))
        show_lines(lessons.remarks(fit))
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
        _interrupted(f" after epoch {fit.trajectory.epoch[-1]:,} of {epochs:,}")


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
    _require(specs)
    chosen: Sequence[Rate] = [_rate(text, file) for words in lr or () for text in words.split(",")]
    if file is None and not standardize:
        chosen = chosen or rates.REFERENCE_RATES
    samples = _samples(file, target, features)
    writable_folder(out)
    with progress() as bar:
        task = bar.add_task("", total=None)

        def on_progress(doing: str, done: int, steps: int) -> None:
            bar.update(task, description=doing, completed=done, total=steps or None)

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
        _interrupted(f"; {len(found.runs)} of {steps} runs are finished")
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


@command
def list_backends() -> None:
    """List the backends, and how to install what is missing."""
    from bench import report

    show(report.backend_table())


def main() -> None:
    """Run the command line."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # a terminal without α still shows the rest
    try:
        app()
    except OSError as error:  # not even the help can be written
        end(f"standard output: {error.strerror}", UNUSABLE)


def _require(specs: Sequence[str]) -> None:
    """Make sure that there are such backends, and a place for what Numba compiles.

    Raises:
        InputValueError: as `backends.require`.

    """
    for spec in specs:
        backends.require(spec)
    for spec in specs:
        if folder := backends.ensure_cache(spec):
            note(f"Numba cannot keep its machine code; until gradrace ends it is in {folder}")


def _samples(file: Path | None, target: str | None, features: list[str] | None) -> "Dataset":
    from backends.interface import InputValueError
    from bench.data import reference_line
    from bench.tables import read_table

    if file is not None:
        samples = read_table(file, target, features or ())
        if (d := len(samples.features)) > MOST_FEATURES:
            raise InputValueError(
                f"{samples.name}: {d:,} features are too many; the limit is {MOST_FEATURES:,}; "
                "choose some with --features"
            )
        return samples
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


def _count(option: str, text: str) -> int:
    """Return a whole number, 1 or more, that may be written 1e4."""
    from backends.interface import InputValueError

    with contextlib.suppress(ValueError, OverflowError):
        number = float(text)
        if number == int(number) >= 1:
            return int(number)
    raise InputValueError(f"{option}: needs whole numbers, 1 or more, got {text!r}")


def _share(option: str, text: str) -> float:
    """Return a share that may be written in percent."""
    from backends.interface import InputValueError

    with contextlib.suppress(ValueError):
        value = float(text.removesuffix("%")) / (100 if text.endswith("%") else 1)
        if 0 <= value < (float("inf") if text.endswith("%") else 1):
            return value
    raise InputValueError(f"{option}: needs a share like 10% or 0.1, got {text!r}")
