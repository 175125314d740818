"""Studies of learning rates, checks and races from Python; each says itself what it found."""

import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Unpack

from rich.table import Table

from gradrace import backends as registry
from gradrace.backends.interface import InputValueError
from gradrace.bench.api import display
from gradrace.bench.api.inputs import (
    ReadingOptions,
    Source,
    listed,
    named,
    rate,
    reading_of,
    require_flags,
    samples_from,
    whole,
    wholes,
)
from gradrace.bench.api.wording import in_python
from gradrace.bench.learning import rates as learning_rates
from gradrace.bench.learning import rates_files
from gradrace.bench.learning.rate_choice import Rate
from gradrace.bench.race import advice as advising
from gradrace.bench.race import checking
from gradrace.bench.race import comparison as comparing
from gradrace.bench.race import run as racing
from gradrace.bench.race.advice import Advice
from gradrace.bench.race.cases import parse
from gradrace.bench.race.checking import Check
from gradrace.bench.race.comparison import Comparison
from gradrace.bench.race.race import Race
from gradrace.bench.race.settings import choose, with_earlier
from gradrace.bench.report.rates import about_study, figures
from gradrace.bench.report.rates import advice as study_advice
from gradrace.bench.report.training import MOST_WEIGHTS
from gradrace.bench.show.pictures import save_shown

if TYPE_CHECKING:
    from gradrace.plots.canvas import Figure


class Rates(display.Shown, learning_rates.Study):
    """What each learning rate does, and which one to use; `recommended` is that rate."""

    def path_plot(self) -> "Figure":
        """Return a picture of the paths that descent takes at each rate.

        Raises:
            InputValueError: descent moves along a straight line.

        """
        from gradrace.plots import path as path_plot

        return self._drawn(rates_files.PATHS, path_plot.figure)

    def loss_plot(self) -> "Figure":
        """Return a picture of the loss against the epoch at each rate."""
        from gradrace.plots import loss as loss_plot

        return self._drawn(rates_files.HISTORY, lambda source: loss_plot.figure([source]))

    def _drawn(self, name: str, draw: Any) -> "Figure":
        with tempfile.TemporaryDirectory(prefix="gradrace-") as folder:
            for path in rates_files.save_tables(self, Path(folder)):
                if path.name == name:
                    figure: Figure = draw(path)
                    return figure
        raise InputValueError("descent moves along a straight line, so its path is not drawn")

    def save(self, folder: str | Path, *, animate: bool = False) -> list[Path]:
        """Write what `gradrace rates` writes: numbers, pictures, a page; return the paths.

        With `animate`, also descent.gif, the fit and its path as they move.

        Raises:
            OSError: the folder cannot be written to.

        """
        from gradrace.bench.data.files import writable_folder
        from gradrace.bench.report.learning_page import rates_page
        from gradrace.bench.report.page import PAGE, write

        place = writable_folder(Path(folder))
        written = list(rates_files.save(self, place, animate=animate))
        return [*written, write(rates_page(self), place / PAGE)]

    def _parts(self) -> Iterator[str | Table]:
        yield from about_study(self)
        yield ""
        yield from study_advice(self)
        yield from figures(self, MOST_WEIGHTS)

    def _pictures(self) -> "Iterator[tuple[Figure, str]]":
        if len(self.directions) > 1:
            yield (
                self.path_plot(),
                "The path of descent over the contours of the loss at each rate.",
            )


@in_python
def rates(
    X: Source,
    y: Any = None,
    *,
    lr: Sequence[Rate] | Rate = (),
    target: Any = None,
    features: Sequence[Any] = (),
    exclude: Sequence[Any] = (),
    backends: Sequence[str] | str = (),
    epochs: int | None = None,
    standardize: bool = False,
    timeout: float | None = 120.0,
    **reading: Unpack[ReadingOptions],
) -> Rates:
    """Show what learning rates do on samples, and which one to use.

    X, y, target, features, exclude, standardize and what reads a file are those of `fit`. `lr`
    are rates or "auto"; by default, a slow one, a stable one, one that diverges, and the
    recommended one. `backends` are names, .py files or modules, by default "numba". `epochs`
    defaults to 10,000, or fewer for a large table; `timeout` is in seconds per run.

    Raises:
        InputTypeError, InputValueError: an argument cannot be used.
        OSError: a file cannot be read.

    """
    require_flags(standardize=standardize)
    samples, large = samples_from(X, y, target, features, exclude, reading_of(reading))
    chosen, specs = [rate(one) for one in listed("lr", lr)], named(backends)
    with display.progress() as on_progress:
        found = learning_rates.study(
            samples,
            chosen,
            backends=[large] if large else specs or [registry.DEFAULT],
            epochs=whole(epochs),
            standardize=standardize,
            timeout=timeout,
            on_progress=on_progress,
        )
    return Rates(**vars(found))


@in_python
def check(
    X: Source,
    y: Any = None,
    *,
    backends: Sequence[str] | str = (),
    target: Any = None,
    features: Sequence[Any] = (),
    exclude: Sequence[Any] = (),
    lr: Rate = "auto",
    epochs: int | None = None,
    cases: Sequence[str] | str = (),
    timeout: float | None = 120.0,
    **reading: Unpack[ReadingOptions],
) -> Check:
    """Prove that backends compute the exact trajectory on samples, and on small problems.

    X, y, target, features, exclude and what reads a file are those of `fit`. `backends` are
    names, .py files or modules, by default all built-in ones. `epochs` defaults to 1,000, or fewer
    for large data. With `cases`, such as "1e6x10", they must also be right on synthetic samples of
    these sizes. `timeout` is in seconds per backend, for the data and for each case.

    Raises:
        InputTypeError, InputValueError: an argument cannot be used.
        OSError: a file cannot be read.

    """
    specs = named(backends)
    samples, _ = samples_from(X, y, target, features, exclude, reading_of(reading))
    with display.progress() as on_progress:
        return checking.check(
            samples,
            specs,
            lr=rate(lr),
            epochs=whole(epochs),
            cases=listed("cases", cases),
            timeout=timeout,
            on_progress=on_progress,
        )


@in_python
def race(
    backends: Sequence[str] | str = (),
    *,
    folder: str | Path = "results",
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
) -> Race:
    """Verify backends, race them, and save the results and pictures in a folder.

    Parameters
    ----------
    backends : list of str
        Names, .py files or modules; NAME@REV is the version at a git revision. Default: all
        built-in ones.
    folder : path
        Where benchmark.json and the pictures are written. Default: "results".
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

    Raises
    ------
    InputValueError
        An argument or a backend cannot be used.
    OSError
        The folder cannot be written to.

    """
    from gradrace.bench.data.files import writable_folder

    require_flags(full=full)
    specs, jobs = named(backends), listed("cases", cases)
    if jobs and (listed("sizes", sizes) or listed("features", features) or epochs is not None):
        raise InputValueError("cases: cannot be combined with sizes, features or epochs")
    if against is not None:
        specs = with_earlier(specs or registry.installed(), against)
        if not specs:
            raise InputValueError(f"against: no backend has changed since {against}")
    chosen = choose(
        full=full,
        sizes=wholes("sizes", sizes),
        features=wholes("features", features),
        epochs=whole(epochs),
        jobs=[parse(str(case)) for case in jobs],
        backends=specs,
        baseline=baseline,
        sessions=sessions,
        threads=threads,
        seed=seed,
    )
    with display.progress() as on_progress:
        done = racing.run(writable_folder(Path(folder)), chosen, on_progress)
    if done.interrupted:
        raise KeyboardInterrupt
    done.files.extend(save_shown(done.title, list(done.parts(detail=True)), Path(folder)))
    return done


@in_python
def advise(file: str | Path, *, n: int, d: int, epochs: int, runs: int = 1) -> Advice:
    """Say which backend to use for `runs` runs of `epochs` epochs on n samples of d features.

    The times are those of the nearest size in the result file of a race on this machine.

    Raises:
        InputValueError: it is not a result file, a number is below 1, or a size is more than ten
            times beyond what was measured.
        OSError: the file cannot be read.

    """
    given = {"n": n, "d": d, "epochs": epochs, "runs": runs}
    job = {name: wholes(name, [value])[0] for name, value in given.items()}
    return advising.advise(Race(file), **job)


@in_python
def compare(old: str | Path, new: str | Path, fail_above: float | None = None) -> Comparison:
    """Say what became faster or slower between two races, from their result files or folders.

    `fail_above` is the slowdown that is allowed, as a share; `passed` says whether none is above.

    Raises:
        InputValueError: one is not a result file, or they have no backend and size in common.
        OSError: one cannot be read.

    """
    return comparing.compare(Path(old), Path(new), fail_above)
