"""`check`, `race`, `advise` and `compare`, which are also commands."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Unpack

from gradrace.backends import earlier
from gradrace.backends.interface import InputValueError, Setting
from gradrace.bench import options
from gradrace.bench.api.inputs import ReadingOptions, Source, Table
from gradrace.bench.api.learning import limit_of, no_note
from gradrace.bench.data.files import writable_folder
from gradrace.bench.data.reader import Files
from gradrace.bench.data.samples import REFERENCE_EPOCHS, REFERENCE_LR
from gradrace.bench.learning.landscape import Rate
from gradrace.bench.learning.summary import Summary, summarize
from gradrace.bench.machine.progress import Progress
from gradrace.bench.peers import raceable
from gradrace.bench.race import checking, run
from gradrace.bench.race.cases import make_case, parse
from gradrace.bench.race.checking import Check
from gradrace.bench.race.duration import announcement
from gradrace.bench.race.settings import Settings, choose, default_backends, with_earlier
from gradrace.bench.race.verdict import advice, beyond_memory, comparison
from gradrace.bench.race.verdict.advice import Advice
from gradrace.bench.race.verdict.beyond_memory import BeyondMemory
from gradrace.bench.race.verdict.change import limits_of, require_limits
from gradrace.bench.race.verdict.comparison import Comparison
from gradrace.bench.race.verdict.race import PREVIOUS, Race
from gradrace.bench.race.verdict.result import RESULT
from gradrace.bench.show.notebook import progress
from gradrace.bench.show.pictures import save_shown

Limits = str | float | Sequence[str | float] | Mapping[str, str | float]
"""What is allowed to be slower, as a share: of all sizes, or "1e5x1=5%" of one."""


def check(
    X: Source = None,
    y: Any = None,
    *,
    backends: Sequence[str] | str = (),
    target: Any = None,
    features: Sequence[Any] = (),
    exclude: Sequence[Any] = (),
    lr: Rate | None = None,
    epochs: int | None = None,
    cases: Sequence[str] | str = (),
    timeout: float | None = None,
    scheduler: str | None = None,
    on_progress: Progress | None = None,
    on_note: Callable[..., None] = no_note,
    **reading: Unpack[ReadingOptions],
) -> Check:
    """Prove that backends compute the exact trajectory on samples, and on small problems.

    X, y, target, features, exclude, lr, scheduler and what reads a file are those of `fit`.
    `backends` are names, .py files or modules, by default all built-in ones. `epochs` defaults to
    1,000, or fewer for large data, and to 10,000 for the reference line. With `cases`, such as
    "1e6x10", they must also be right on synthetic samples of these sizes. `timeout` is in seconds
    per backend, for the data and for each case, by default 120, and none for a table read in parts.

    Raises:
        InputTypeError, InputValueError: an argument cannot be used.
        OSError: a file cannot be read.

    """
    given = {"backends": backends, "lr": lr, "epochs": epochs, "cases": cases, "timeout": timeout}
    chosen = options.read(options.CHECK, given)
    table = Table(X, y, target, features, exclude, scheduler, reading)
    if chosen["lr"] is None:
        chosen["lr"] = REFERENCE_LR if X is None else "auto"
    if X is None and epochs is None:
        chosen["epochs"] = REFERENCE_EPOCHS
    with progress(on_progress) as on_progress:

        def add_up(files: Files) -> Summary:
            return summarize(files, exactly=True, on_progress=on_progress)

        data, specs = table.samples(chosen.pop("backends"), add_up, on_note)
        if not (timeout is None and cases):
            chosen["timeout"] = limit_of(chosen["timeout"], data)
        return checking.check(data, specs, on_progress=on_progress, **chosen)


def race(
    backends: Sequence[str] | str = (),
    *,
    folder: str | Path | None = None,
    full: bool = False,
    sizes: Sequence[int] = (),
    features: Sequence[int] = (),
    epochs: int | None = None,
    cases: Sequence[str] | str = (),
    against: str | None = None,
    baseline: str | None = None,
    sessions: int | None = None,
    threads: int = 1,
    seed: int = 0,
    peers: bool = False,
    fail_above: Limits = (),
    on_progress: Progress | None = None,
    on_note: Callable[..., None] = no_note,
) -> Race:
    """Verify backends, race them, and save the results and pictures in a folder.

    Ctrl-C keeps the finished sessions, and sets `interrupted`; `resume` times the rest.

    Parameters
    ----------
    backends : list of str
        Names, .py files or modules; NAME@REV is the version at a git revision. Default: all
        built-in ones.
    folder : path
        Where benchmark.json and the pictures are written. Default: "results", or
        "results/against" if `against` is given.
    full : bool
        Whether to race 14 sizes in 8 sessions, instead of 4 sizes in 3. Default: False.
    sizes, features : list of int
        Numbers of samples and of features, each combined with each.
    epochs : int, optional
        Updates per call; slow backends make fewer. Default: a few milliseconds of work.
    cases : list of str
        Exactly these jobs instead, such as "2e6x30@500".
    against : str, optional
        A revision of git: race only the backends that have changed since, against what they were.
    baseline : str, optional
        The backend that the others are compared with. Default: "python" if raced, else the first.
    sessions : int, optional
        Fresh processes, each of which times everything. Default: 3; 8 if full; 10 with versions.
    threads : int
        Threads that a backend may use. Default: 1.
    seed : int
        Seed for the order of the timed blocks. Default: 0.
    peers : bool
        Whether to race JAX, PyTorch, Dask and a C loop, too, where installed. Default: False.
    fail_above : share, optional
        By how much a backend may be slower than its earlier version, such as 0.02 or "2%", or
        "1e5x1=5%" for one size; `passed` says whether none is. Default: no limit.
    on_progress, on_note : callables, optional
        As those of `fit`.

    Raises
    ------
    InputValueError
        An argument or a backend cannot be used.
    OSError
        The folder cannot be written to.

    """
    given = {
        **{"backends": backends, "full": full, "sizes": sizes, "features": features},
        **{"epochs": epochs, "cases": cases, "against": against, "baseline": baseline},
        **{"sessions": sessions, "threads": threads, "seed": seed, "peers": peers},
    }
    found = raced(folder, fail_above, on_progress, on_note, **given)
    found.files.extend(drawn(found))
    return found


def raced(
    folder: str | Path | None = None,
    fail_above: Limits = (),
    on_progress: Progress | None = None,
    on_note: Callable[..., None] = no_note,
    **given: Any,
) -> Race:
    """Race as `race` does, but draw nothing.

    Raises:
        InputTypeError, InputValueError: an argument of `race` cannot be used.
        OSError: the folder cannot be written to.

    """
    limits, against = limits_of(fail_above), given.get("against")
    chosen = _settings(on_note, **given)
    sizes = [job.name for job in chosen.cases]
    versions = bool(earlier(chosen.backends)) or against is not None
    require_limits(limits, sizes, versions=versions)
    place = writable_folder(Path(folder or Path("results", "against" if against else "")))
    if (place / RESULT).exists():
        on_note(f"the earlier result will be kept as {place / PREVIOUS}")
    if against is not None and not earlier(chosen.backends):
        found = run.unchanged(place, chosen, against)
    else:
        on_note(announcement(chosen))
        with progress(on_progress) as on_progress:
            found = run.run(place, chosen, on_progress)
    found.limits = limits
    return found


def drawn(race: Race) -> list[Path]:
    """Draw a race, and write its page, beside its file; return the paths."""
    parts = list(race.parts(detail=True))
    return list(save_shown(race.title, parts, race.file.parent)) if race.files else []


def _settings(on_note: Callable[..., None], **given: Any) -> Settings:
    """Return what is raced."""
    chosen = options.read(options.RACE, given)
    jobs, against = chosen.pop("cases", []), chosen.pop("against", None)
    if jobs and (chosen.get("sizes") or chosen.get("features") or chosen.get("epochs")):
        others = Setting("sizes"), ", ", Setting("features"), " or ", Setting("epochs")
        raise InputValueError(Setting("cases"), ": cannot be combined with ", *others)
    specs = chosen.pop("backends", []) or list(default_backends(chosen.get("threads", 1)))
    options.BACKENDS.read(specs)
    if chosen.pop("peers", False):
        found, reasons = raceable()
        specs = [*specs, *found]
        for reason in reasons:
            on_note(f"not raced: {reason}")
    if against is not None:
        if not against.strip():
            raise InputValueError(Setting("against"), ": needs a revision of git, such as main")
        specs = with_earlier(specs, against) or specs
    return choose(jobs=[parse(job) for job in jobs], backends=specs, **chosen)


def resume(
    file: str | Path,
    *,
    fail_above: Limits = (),
    on_progress: Progress | None = None,
) -> Race:
    """Complete the result file of an interrupted race; the pictures are not drawn.

    For a finished file, nothing is timed or written.

    Raises:
        InputValueError: it is not a result file, or was made elsewhere or with other versions.
        OSError: it cannot be read or written.

    """
    limits = limits_of(fail_above)
    writable_folder(Path(file).parent)
    with progress(on_progress) as on_progress:
        found = run.resume(Path(file), on_progress)
    found.limits = limits
    return found


def advise(
    file: str | Path | None = None,
    *,
    n: int,
    d: int,
    epochs: int,
    runs: int = 1,
    measure: bool = False,
    backends: Sequence[str] | str = (),
    on_progress: Progress | None = None,
    on_note: Callable[..., None] = no_note,
) -> Advice | BeyondMemory:
    """Say which backend to use for `runs` runs of `epochs` epochs on n samples of d features.

    The times are those of the nearest size in the result file of a race on this machine, by default
    the newest one below ./results that covers the job. With `measure`, this very job is raced, with
    these `backends`, by default all built-in ones. If the samples do not fit in memory, the result
    says how long it takes to read them once, in parts.

    Raises:
        InputValueError: it is not a result file, a number is below 1, or a size is more than ten
            times beyond what was measured.
        OSError: the file cannot be read.

    """
    given = {"n": n, "d": d, "epochs": epochs, "runs": runs}
    chosen = options.read(options.ADVISE, given | {"measure": measure, "backends": backends})
    job = {name: chosen[name] for name in given}
    if file is not None and measure:
        raise InputValueError(Setting("measure", True), ": takes no FILE")
    if chosen["backends"] and not measure:
        raise InputValueError(Setting("backends"), ": needs ", Setting("measure", True))
    race = None if file is None else Race(file)
    if beyond_memory.is_needed(job["n"], job["d"]):
        return beyond_memory.cost(job["n"], job["d"], job["epochs"])
    if measure:
        case = make_case(job["n"], job["d"], job["epochs"])
        wanted = choose(jobs=[case], backends=chosen["backends"])
        path = writable_folder(Path("results", "measured")) / f"{case.spec}.json"
        on_note(announcement(wanted))
        with progress(on_progress) as on_progress:
            race = run.measure(path, wanted, on_progress)
        if race.interrupted:
            raise KeyboardInterrupt
    if race is not None:
        return advice.advise(race, **job)
    found = advice.advise_from(Path("results"), **job)
    on_note(f"from {found.race.file}")
    return found


def compare(
    old: str | Path, new: str | Path, *, fail_above: str | float | None = None
) -> Comparison:
    """Say what became faster or slower between two races, from their result files or folders.

    `fail_above` is the slowdown that is allowed, as a share; `passed` says whether none is above.

    Raises:
        InputValueError: one is not a result file, or they have no backend and size in common.
        OSError: one cannot be read.

    """
    limit = None if fail_above is None else options.share("fail_above", fail_above)
    return comparison.compare(Path(old), Path(new), limit)
