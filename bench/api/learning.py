"""`fit`, `rates` and `load`, which are also the commands `train` and `rates`."""

import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Unpack

from numpy.typing import ArrayLike

from gradrace import backends as registry
from gradrace.backends.interface import InputValueError, Setting
from gradrace.bench import options
from gradrace.bench.api.inputs import ReadingOptions, Source, Table
from gradrace.bench.data.reader import Files
from gradrace.bench.data.samples import REFERENCE_LR, Dataset, Samples
from gradrace.bench.learning.checkpoint import summarize_kept
from gradrace.bench.learning.landscape import Rate
from gradrace.bench.learning.prediction import Model, read_model
from gradrace.bench.learning.rates import REFERENCE_RATES, Rates, study
from gradrace.bench.learning.summary import Summary, summarize
from gradrace.bench.learning.training import Fit, train
from gradrace.bench.machine.progress import Progress
from gradrace.bench.show.notebook import progress

MUCH = 10**11  # values, which take a core about half a minute


class UnfinishedWarning(UserWarning):
    """The training ended before the loss was close to the least possible."""


def no_note(*_: str | Setting) -> None:
    """Say nothing."""


def fit(
    X: Source = None,
    y: ArrayLike | None = None,
    *,
    target: Any = None,
    features: Sequence[Any] = (),
    exclude: Sequence[Any] = (),
    backend: str | None = None,
    lr: Rate | None = None,
    epochs: int = 10_000,
    standardize: bool = False,
    tol: float | None = None,
    scheduler: str | None = None,
    sums: str | Path | None = None,
    resume: bool = False,
    on_progress: Progress | None = None,
    on_note: Callable[..., None] = no_note,
    **reading: Unpack[ReadingOptions],
) -> Fit:
    """Fit ŷ = Xw + b by gradient descent on the mean squared error; warn if something is wrong.

    Parameters
    ----------
    X : array (n, d), table or path, optional
        The samples: an array; a table of pandas, Polars or pyarrow; or the path of a file or folder
        that `gradrace train` reads, such as "houses.csv". Column names are kept. Default: the
        reference line, 100 points of y = 3x + 2 plus noise.
    y : array (n,), optional
        The targets. Without it, they are a column of X.
    target : str, optional
        The column of X to predict. Default: the last one.
    features : list of str, optional
        The columns of X to predict from. Default: all others.
    exclude : list of str, optional
        The columns of X to leave out, such as text.
    backend : str, optional
        What computes: a name that `gradrace backends` lists, a .py file or a module.
        Default: "numba", or "dask" for a table that does not fit in memory.
    lr : float > 0 or "auto", optional
        The learning rate α of w ← w − α ∂L/∂w. Stable below 2/λmax, where λmax is the curvature of
        the loss in its steepest direction. Default: "auto", the best for this many epochs; for the
        reference line, 0.005.
    epochs : int ≥ 0
        The number of updates, each of which uses all samples. Default: 10,000.
    standardize : bool
        Whether to train on columns with mean 0 and standard deviation 1, which needs fewer epochs
        if their units differ. w and b are in the original units anyway. Default: False.
    tol : float > 0, optional
        Stop early when the norm of the gradient has fallen to this share of its first value.
    scheduler : str, optional
        The address of a Dask cluster, which reads the table in parts.
    sums : path, optional
        A folder in which what parts of a table contribute is kept, for `resume`.
    resume : bool
        Whether to use the parts that an interrupted call has kept in `sums`. Default: False.
    on_progress, on_note : callables, optional
        Get what is being done, the steps done and their number; and notes, in pieces.
    drop_missing : bool
        Whether to leave out rows with a missing value. Default: False, which refuses them.
    decimal, thousands, delimiter : str
        For a text file: the decimal point, "." or ","; what separates thousands, such as ","; what
        separates the columns, such as ";". Default: "."; nothing; found from the first lines.
    header : bool, optional
        Whether the first line of a text or Excel file holds the names. Default: found from the
        first lines.
    skip_rows : int ≥ 0
        How many lines to skip above the table. Default: 0.
    encoding : str
        The encoding of a text file, such as "cp1252" or "utf-16". Default: "utf-8".

    Returns
    -------
    Fit
        `w` (d,), `b`, `loss`, `predict(X)`, `score()`, `summary()`, `plot()`, `save(folder)`, …

    Raises
    ------
    InputTypeError, InputValueError
        An argument cannot be used; the message says which, and what would be right.
    BackendError
        A backend of yours raised, or returned no trajectory.

    Warns
    -----
    UnfinishedWarning
        The training diverged, or the loss is more than 1 % above the least possible; the message
        says what helps.

    """
    given = {"backend": backend, "lr": lr, "epochs": epochs, "standardize": standardize, "tol": tol}
    chosen = options.read(options.FIT, given)
    table = Table(X, y, target, features, exclude, scheduler, reading)
    if chosen["lr"] is None:
        chosen["lr"] = REFERENCE_LR if X is None else "auto"
    with progress(on_progress) as on_progress:

        def add_up(files: Files) -> Summary:
            if sums is None:
                return summarize(files, on_progress=on_progress)
            place = Path(sums)
            return summarize_kept(files, place, resume=resume, on_progress=on_progress)

        data, specs = table.samples(_single(chosen.pop("backend")), add_up, on_note)
        if resume and not isinstance(data, Summary):
            said = ": the table fits in memory, so it is not read in parts"
            raise InputValueError(Setting("resume"), said)
        name = specs[0] if specs else registry.DEFAULT
        _say_if_slow(data, name, chosen["epochs"], on_note)
        result = train(
            data,
            backend=name,
            on_progress=lambda epoch, loss: on_progress(f"loss {loss:.6g}", epoch, epochs),
            **chosen,
        )
    if ambiguous := result.least_squares.ambiguity:
        warnings.warn(ambiguous, stacklevel=2)
    if unfinished := result.failure or result.unfinished:
        warnings.warn(str(unfinished), UnfinishedWarning, stacklevel=2)
    return result


def _single(spec: str | None) -> list[str]:
    return [] if spec is None else [spec]


def _say_if_slow(data: Samples, backend: str, epochs: int, on_note: Callable[..., None]) -> None:
    """Say what is quicker where the epochs may take long."""
    many = isinstance(data, Dataset) and data.n * (len(data.features) + 1) * epochs > MUCH
    if many and not registry.rung(backend).passes_once:
        large = Setting("backend", registry.for_large_data())
        slow = f"{data.n:,} samples in each of {epochs:,} epochs may take long; "
        on_note(slow, large, " passes over them once")


def rates(
    X: Source = None,
    y: Any = None,
    *,
    lr: Sequence[Rate] | Rate = (),
    target: Any = None,
    features: Sequence[Any] = (),
    exclude: Sequence[Any] = (),
    backends: Sequence[str] | str = (),
    epochs: int | None = None,
    standardize: bool = False,
    timeout: float | None = None,
    scheduler: str | None = None,
    on_progress: Progress | None = None,
    on_note: Callable[..., None] = no_note,
    **reading: Unpack[ReadingOptions],
) -> Rates:
    """Show what learning rates do on samples, and which one to use.

    X, y, target, features, exclude, standardize, scheduler and what reads a file are those of
    `fit`. `lr` are rates or "auto"; by default, a slow one, a stable one, one that diverges, and
    the recommended one. `backends` are names, .py files or modules, by default "numba". `epochs`
    defaults to 10,000, or fewer for a large table; `timeout` is in seconds per run, by default 120,
    and none for a table read in parts.

    Raises:
        InputTypeError, InputValueError: an argument cannot be used.
        OSError: a file cannot be read.

    """
    given = {
        **{"lr": lr, "backends": backends, "epochs": epochs},
        **{"standardize": standardize, "timeout": timeout},
    }
    chosen = options.read(options.RATES, given)
    table = Table(X, y, target, features, exclude, scheduler, reading)
    at = chosen.pop("lr")
    if X is None and not standardize:
        at = at or REFERENCE_RATES
    with progress(on_progress) as on_progress:

        def add_up(files: Files) -> Summary:
            return summarize(files, exactly=not standardize, on_progress=on_progress)

        data, specs = table.samples(chosen.pop("backends"), add_up, on_note)
        chosen["timeout"] = limit_of(chosen["timeout"], data)
        chosen["backends"] = specs or [registry.DEFAULT]
        return study(data, at, on_progress=on_progress, **chosen)


def limit_of(timeout: float | None, data: Samples) -> float | None:
    """Return the time limit in seconds: 120 by default, none where samples are in files."""
    if timeout is None:
        return options.TIMEOUT if isinstance(data, Dataset) else None
    return None if timeout == float("inf") else timeout


def load(path: str | Path) -> Model:
    """Return a saved model, from its folder or its model.json, with `predict` and `score`.

    Raises:
        InputValueError: it is not a model, or damaged.
        OSError: it cannot be read.

    """
    return read_model(Path(path))
