"""The commands that race: run, scale."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
import typer.core

from gradrace.backends.interface import Setting
from gradrace.bench.cli.arguments import Backends, FailAbove, limits_of, usable, whole_number
from gradrace.bench.cli.command import DISAGREES, command, end_interrupted
from gradrace.bench.parts import Answer, Sentence
from gradrace.bench.show.terminal import note, progress_bar, show, show_saved

if TYPE_CHECKING:
    from gradrace.bench.race.race import Race
    from gradrace.bench.race.settings import Settings


@command
def run(
    quick: Annotated[
        bool,
        typer.Option("--quick", help="4 sizes, 3 sessions, about 90 seconds.  [default]"),
    ] = False,
    full: Annotated[
        bool,
        typer.Option("--full", help="14 sizes, 8 sessions; first prints an estimate of the time."),
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
            help="Numbers of features, each raced with every N.  [default: those of --quick or "
            "--full]",
            show_default=False,
        ),
    ] = None,
    case: Annotated[
        list[str] | None,
        typer.Option(
            "--case",
            "--cases",
            metavar="NxD[@EPOCHS] …",
            help="Exactly these jobs, like 2e6x30@500, instead of sizes and features.",
            show_default=False,
        ),
    ] = None,
    epochs: Annotated[
        str | None,
        typer.Option(
            metavar="N",
            help="Updates per call, fewer if slow.  [default: a few milliseconds of work]",
        ),
    ] = None,
    backend: Backends = None,
    against: Annotated[
        str | None,
        typer.Option(
            metavar="REV",
            help="Race the backends that have changed since this revision of git against what they "
            "were then.",
        ),
    ] = None,
    fail_above: FailAbove = None,
    baseline: Annotated[
        str | None,
        typer.Option(
            metavar="BACKEND",
            help="Backend that the others are compared with.  [default: python if raced, else the "
            "first]",
        ),
    ] = None,
    sessions: Annotated[
        int | None,
        typer.Option(
            metavar="K",
            help="Number of fresh processes, each of which times all backends at all sizes.  "
            "[default: 3; 8 with --full; 10 with earlier versions]",
            show_default=False,
        ),
    ] = None,
    seed: Annotated[
        int, typer.Option(metavar="N", help="Seed for shuffling the order of the timed blocks.")
    ] = 0,
    threads: Annotated[int, typer.Option(metavar="N", help="Threads that a backend may use.")] = 1,
    peers: Annotated[
        bool,
        typer.Option("--peers", help="Also race JAX, PyTorch, Dask and a C loop, where installed."),
    ] = False,
    resume: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Complete the result file of an interrupted run."),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="Folder for the results.  [default: results, with --against results/against]",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Race the backends, and draw the results.

    First checks that every backend computes the exact trajectory: w, b and the loss after every
    epoch. Then times those that do, in several fresh processes that alternate between short blocks
    of each. Unless named, `dask` is left out, and, with one thread, `numba-parallel`, which then
    equals `numba-simd`.

    Writes benchmark.json, agreement.png, speed.png, speedup.png, breakeven.png, fastest.png,
    roofline.png, report.html, and the files of `gradrace train`. An earlier benchmark.json is kept
    as benchmark.previous.json; `gradrace compare` compares the two.

    With --against main, races only the backends that have changed since the git revision main, each
    against its earlier version, and says how much slower or faster it has become. NAME@REV, such as
    numba@main or mine.py@v1.2, names one earlier version. With earlier versions, the default is 10
    sessions.

    The exit status is 1 if a backend disagrees with the exact trajectory, is impossibly fast for
    this machine or slower than --fail-above allows, or if a session fails.
    """
    from gradrace.backends import earlier
    from gradrace.backends.interface import InputValueError
    from gradrace.bench.race.cases import parse
    from gradrace.bench.race.change import require_limits
    from gradrace.bench.race.result import RESULT
    from gradrace.bench.race.settings import choose, with_earlier

    out = out or Path("results", "against" if against else "")
    path = resume or out / RESULT
    given = (quick, full, sizes, features, case, epochs, backend, against, baseline, sessions, seed)
    if quick and full:
        raise InputValueError("--quick and --full: choose one")
    if case and (sizes or features or epochs):
        raise InputValueError("--case: cannot be combined with --sizes, --features or --epochs")
    limits = limits_of(fail_above or ())
    if resume is not None:
        if any(given) or peers or threads != 1:
            raise InputValueError("--resume: takes all settings from the file; give no others")
        result = _resumed(resume)
    else:
        specs = _raced(backend, threads, peers=peers)
        if against is not None:
            if not against.strip():
                raise InputValueError("--against: needs a revision of git, such as main")
            specs = with_earlier(specs, against)
            if not specs:
                show(Answer(f"No backend has changed since {against}; there is nothing to race."))
                return
        chosen = choose(
            full=full,
            sizes=[whole_number("--sizes", text) for text in sizes or ()],
            features=[whole_number("--features", text) for text in features or ()],
            epochs=None if epochs is None else whole_number("--epochs", epochs),
            jobs=[parse(text) for text in case or ()],
            backends=specs,
            baseline=baseline,
            sessions=sessions,
            seed=seed,
            threads=threads,
        )
        require_limits(
            limits, [job.name for job in chosen.cases], versions=bool(earlier(chosen.backends))
        )
        result = _run(out, chosen)
    _report(result, path, limits)


def _raced(backend: list[str] | None, threads: int, *, peers: bool) -> list[str]:
    """Return the backends to race: those given, or all built-in ones; and the peers if wanted."""
    from gradrace.bench.peers import raceable
    from gradrace.bench.race.settings import default_backends

    specs = backend or list(default_backends(threads))
    usable(specs)
    if peers:
        found, reasons = raceable()
        specs = [*specs, *found]
        for reason in reasons:
            note(f"not raced: {reason}")
    return specs


def _run(out: Path, chosen: "Settings") -> "Race":
    from gradrace.bench.data.files import writable_folder
    from gradrace.bench.race.duration import announcement
    from gradrace.bench.race.race import PREVIOUS
    from gradrace.bench.race.result import RESULT
    from gradrace.bench.race.run import run

    writable_folder(out)
    if (out / RESULT).exists():
        note(f"the earlier result will be kept as {out / PREVIOUS}")
    note(announcement(chosen))
    with progress_bar() as on_progress:
        return run(out, chosen, on_progress)


def _resumed(path: Path) -> "Race":
    from gradrace.bench.data.files import writable_folder
    from gradrace.bench.race.run import resume

    writable_folder(path.parent)
    with progress_bar() as on_progress:
        return resume(path, on_progress)


def _report(result: "Race", path: Path, limits: dict[str, float]) -> None:
    """Print what a race has found, name its files, and end with its status."""
    from gradrace.bench.show.pictures import save_shown

    result.limits = limits
    if not (result.files or result.interrupted):
        note(
            f"{path} is finished, so nothing was timed; gradrace show {path} prints it, gradrace "
            f"plot {path} draws it again, gradrace run starts another race"
        )
    show(*result.parts())
    if path in result.files:
        result.files.extend(save_shown(result.title, list(result.parts(detail=True)), path.parent))
        show_saved(result.files)
        show(
            Sentence(
                f"For intervals, limits, compile times, memory: gradrace show {path} ",
                Setting("details", True),
            )
        )
    if result.interrupted:
        about = result.about
        kept = "nothing was timed"
        if about.finished:
            kept = f"finished sessions are saved, {about.finished} of {about.settings.sessions}"
        end_interrupted(f"; {kept}")
    if result.faults or not result.passed:
        raise typer.Exit(DISAGREES)


@command
def scale(
    seed: Annotated[
        int, typer.Option(metavar="N", help="Seed for shuffling the order of the timed blocks.")
    ] = 0,
    sessions: Annotated[
        int,
        typer.Option(
            metavar="K",
            help="Number of fresh processes, each of which times all backends at all sizes.",
        ),
    ] = 3,
    out: Annotated[Path, typer.Option(metavar="DIR", help="Folder for the results.")] = Path(
        "results"
    ),
) -> None:
    """Show how the time grows with samples, features and threads.

    Races n = 1 to 10⁷ samples of one feature, and d = 1 to 1,000 features with n·d = 10⁶, with one
    thread up to one per core. Takes about five minutes on two cores. Writes a result file
    for each number of threads (scale-1.json, scale-2.json, …) and scale.png.

    The exit status is 1 if a backend disagrees or a session fails.
    """
    from msgspec.structs import replace

    from gradrace.bench.data.files import writable_folder
    from gradrace.bench.race import growth as study
    from gradrace.bench.race.settings import QUICK_SETTINGS
    from gradrace.bench.show.pictures import save_shown

    usable(study.single())
    base = replace(QUICK_SETTINGS, seed=seed, sessions=sessions)
    writable_folder(out)
    with progress_bar() as on_progress:
        races = study.scale(out, base, on_progress=on_progress)
    timed = [result for result in races if result.about.finished]
    if timed:
        found = study.Scaling(timed)
        show(*found.parts())
        show_saved([result.file for result in timed])
        show_saved(save_shown(found.title, list(found.parts(detail=True)), out))
    if races[-1].interrupted:
        kept = "the finished sessions are saved" if timed else "nothing was timed"
        end_interrupted(f"; {kept}")
    if any(result.faults for result in races):
        raise typer.Exit(DISAGREES)
