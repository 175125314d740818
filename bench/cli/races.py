"""The commands of the race: run, scale, compare, plot, advise."""

from pathlib import Path
from typing import Annotated

import typer
import typer.core

from bench.cli.arguments import Backends, share_of, usable, whole_number
from bench.cli.command import DISAGREES, command, end_interrupted
from bench.report.terminal import (
    end,
    note,
    progress_bar,
    show,
    show_lines,
    show_saved,
    warn,
)


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
    from bench.data.files import writable_folder
    from bench.peers import raceable
    from bench.race import run as race
    from bench.race import settings, state
    from bench.report import race as tables

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
    usable(backend or settings.default_backends(threads))
    if peers:
        found, reasons = raceable()
        backend = [*(backend or settings.default_backends(threads)), *found]
        for reason in reasons:
            note(f"not raced: {reason}")
    chosen = settings.choose(
        full=full,
        sizes=[whole_number("--sizes", text) for text in sizes or ()],
        features=[whole_number("--features", text) for text in features or ()],
        epochs=None if epochs is None else whole_number("--epochs", epochs),
        backends=backend or (),
        baseline=baseline,
        sessions=sessions,
        seed=seed,
        threads=threads,
    )
    writable_folder(out if resume is None else resume.parent)
    with progress_bar() as on_progress:
        if resume is not None:
            result = race.resume(resume, on_progress)
        else:
            note(settings.announcement(chosen))
            result = race.run(out, chosen, on_progress)
    for part in tables.race_report(result.content):
        show(part)
    for warning in result.about["warnings"]:
        warn(warning)
    show_saved(result.files)
    if result.interrupted:
        kept = (
            f"{result.finished} of {result.settings.sessions} sessions are finished and saved; "
            f"gradrace run --resume {resume or out / state.RESULT} completes them"
        )
        if not result.finished:
            older = (resume or out / state.RESULT).exists()
            kept = (
                "nothing was timed"
                + f" ({resume or out / state.RESULT}: of an earlier run)" * older
            )
        end_interrupted(f"; {kept}")
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

    from bench.data.files import replacing, writable_folder
    from bench.findings import exponents
    from bench.race import scale, settings
    from bench.report import race as tables
    from bench.report.scale import crossover_lines, exponent_table
    from plots import scale as picture

    usable(settings.default_backends(1))
    base = replace(settings.QUICK_SETTINGS, seed=seed, sessions=sessions)
    writable_folder(out)
    with progress_bar() as on_progress:
        races = scale.study(out, base, on_progress=on_progress)
    timed = [result for result in races if result.finished]
    for result in timed:
        for part in tables.race_report(result.content):
            show(part)
        for warning in result.about["warnings"]:
            warn(warning)
    saved = [path for result in timed for path in result.files]
    if timed:
        show(exponent_table(exponents.exponents(timed[0].content)))
        show_lines(crossover_lines(exponents.crossovers(timed[0].content)))
        with replacing(out / "scale.png") as target:
            picture.draw(saved, target)
        show_saved([*saved, out / "scale.png"])
    if races[-1].interrupted:
        kept = "the sessions that are finished are saved" if timed else "nothing was timed"
        end_interrupted(f"; {kept}")
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
    from bench.findings import comparison
    from bench.report import tables
    from bench.report.comparison import (
        COMPARISON_LEGEND,
        comparison_markdown,
        comparison_table,
    )
    from plots.numbers import percent

    if layout not in ("text", "md"):
        raise InputValueError(f"--format: must be text or md, got {layout!r}")
    limit = None if fail_above is None else share_of("--fail-above", fail_above)
    found = comparison.compare(old, new)
    if layout == "md":
        show_lines(comparison_markdown(found))
    else:
        show(comparison_table(found))
        show_lines(tables.wrapped(COMPARISON_LEGEND))
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
                f"on {len(unseen)} of {len(found.changes)} a slowdown of {percent(limit)} "
                "cannot be ruled out: more --sessions narrow the intervals"
            )
        slower = [f"{change.backend} on {change.case}" for change in found.regressions(limit)]
        faults = [f"not in the new run: {', '.join(found.gone)}"] if found.gone else []
        if slower:
            faults.insert(0, f"slower by more than {percent(limit)}: {', '.join(slower)}")
        if faults:
            end("; ".join(faults), DISAGREES)


@command
def plot(
    file: Annotated[Path, typer.Argument(metavar="FILE.json", help="What gradrace run wrote.")],
    out: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Where to save.  [default: beside the file]")
    ] = None,
) -> None:
    """Draw the pictures of a race again, from its files alone.

    speed.png: time per epoch against n. speedup.png: speed-ups with their intervals. breakeven.png:
    when compiling has paid. fastest.png: the fastest backend at every size. roofline.png: how close
    each comes to what the machine can do. agreement.png, if agreement.parquet lies beside the file:
    the errors of each backend.
    """
    from backends.interface import InputValueError
    from bench.data.files import writable_folder
    from bench.findings import pictures, results

    if not results.read(file)["benchmarks"]:
        raise InputValueError(f"{file}: nothing was timed in that run")
    folder = writable_folder(file.parent if out is None else out)
    show_saved(list(pictures.redraw(file, folder)))


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
    from bench.findings import results
    from bench.findings.advice import advise
    from bench.report import advice, tables
    from bench.report.race import about_race

    counts = {"n": n, "d": d, "epochs": epochs, "runs": runs}
    found = advise(file, **{name: whole_number(f"--{name}", text) for name, text in counts.items()})
    for line in advice.advice_lines(found):
        show_lines(tables.wrapped(line))
    show(advice.advice_table(found))
    source = f"From a {about_race(results.read(file))}."
    show_lines(tables.wrapped(f"{advice.ADVICE_LEGEND} {source}"))
