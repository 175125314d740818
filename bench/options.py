"""The options of gradrace, each declared once: the command line and Python read them with this.

A front passes what it got to `Option.read`; the command line first turns words into numbers where
the option takes numbers. What cannot be used is refused with the same message in both.
"""

import math
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from numbers import Integral, Real
from typing import Any

from gradrace import backends

LARGE = backends.for_large_data()
TIMEOUT = 120.0  # seconds

Check = Callable[[str, Any], Any]
"""Gets the name of an argument and its value; returns the value as it is used, or raises."""


@dataclass(frozen=True)
class Option:
    """An argument of a function, and an option of a command."""

    name: str
    """As Python writes it: skip_rows is --skip-rows"""
    check: Check
    help: str
    metavar: str = ""
    default: Any = None
    usual: str = ""
    """The default in words, where the value does not say it"""
    several: bool = False
    """Whether it takes several values, which repeating it adds to"""
    alias: str = ""
    """Another name on the command line"""
    numeric: bool = False
    """Whether a word on the command line may be a number"""

    def read(self, value: Any) -> Any:
        """Return the value as it is used; a list of them if there may be several.

        Raises:
            InputTypeError, InputValueError: it cannot be used.

        """
        if not self.several:
            return None if value is None else self.check(self.name, value)
        return [self.check(self.name, one) for one in listed(self.name, value)]

    def words(self, words: Sequence[str]) -> list[Any]:
        """Return words of the command line, split at commas where there may be several numbers."""
        if not self.numeric:
            return list(words)
        split = [one for word in words for one in (word.split(",") if self.several else [word])]
        return [word if (value := number(word)) is None else value for word in split]


def read(options: Sequence[Option], given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the arguments of a call as they are used.

    Raises:
        InputTypeError, InputValueError: one is unknown, or cannot be used.

    """
    known = {option.name: option for option in options}
    for name in given.keys() - known.keys():
        raise _refused(name, "is not an argument", TypeError)
    return {name: known[name].read(value) for name, value in given.items()}


def number(text: str) -> int | float | None:
    """Return the number that a text is, whole if it can be: 1e5 is 100,000; None if it is none."""
    try:
        return int(text)
    except ValueError:
        pass
    try:
        value = float(text)
    except ValueError:
        return None
    return int(value) if value.is_integer() else value


def listed(name: str, values: Any) -> list[Any]:
    """Return a list of several values, of a single one, or of none.

    Raises:
        InputTypeError: the argument of this name is none of these.

    """
    if values is None:
        return []
    if isinstance(values, str | Real) or (hasattr(values, "dtype") and not values.shape):
        return [values]
    try:
        return list(values)
    except TypeError:
        raise _refused(name, f"needs a list, got {type(values).__name__}", TypeError) from None


def _refused(name: str, said: str, kind: type[Exception] = ValueError) -> Exception:
    from gradrace.backends.interface import InputTypeError, InputValueError, Setting

    error = InputTypeError if kind is TypeError else InputValueError
    return error(Setting(name), f": {said}")


def whole(least: int = 0, most: int | None = None) -> Check:
    """Check a whole number in a range, which may be written 1e5."""

    def check(name: str, value: Any) -> int:
        if isinstance(value, float) and value.is_integer():
            value = int(value)
        if isinstance(value, bool) or not isinstance(value, Integral):
            raise _refused(name, f"needs a whole number, got {value!r}", TypeError)
        found = int(value)
        if not least <= found <= (found if most is None else most):
            limits = f"at least {least:,}" if most is None else f"from {least:,} to {most:,}"
            raise _refused(name, f"must be {limits}, got {found}")
        return found

    return check


def real(name: str, value: Any) -> float:
    """Check a finite number."""
    if isinstance(value, bool) or not isinstance(value, Real):
        raise _refused(name, f"needs a number, got {value!r}", TypeError)
    if not math.isfinite(value):
        raise _refused(name, f"must be finite, got {value}")
    return float(value)


def rate(name: str, value: Any) -> Any:
    """Check a learning rate: a number above 0, or "auto"."""
    if isinstance(value, str) and value == "auto":
        return value
    if isinstance(value, str) or not isinstance(value, Real):
        several = hasattr(value, "__len__") and not isinstance(value, str)
        what = "one number; rates compares several" if several else "a number or 'auto'"
        raise _refused(name, f"needs {what}" + ("" if several else f", got {value!r}"), TypeError)
    if (found := real(name, value)) <= 0:
        raise _refused(name, f"must be greater than 0, got {value}")
    return found


def tolerance(name: str, value: Any) -> float:
    """Check a share of at least 0 and less than 1."""
    if not 0 <= (found := real(name, value)) < 1:
        raise _refused(name, f"must be at least 0 and less than 1, got {value}")
    return found


def share(name: str, value: Any) -> float:
    """Check a share, which may be written in percent: 0.1 or 10%."""
    percent = isinstance(value, str) and value.endswith("%")
    found: Any = number(value.removesuffix("%")) if isinstance(value, str) else value
    most = math.inf if percent else 1
    if isinstance(found, Real) and not isinstance(value, bool) and 0 <= float(found) < most:
        return float(found) / (100 if percent else 1)
    raise _refused(name, f"needs a share like 10% or 0.1, got {value!r}")


def seconds(name: str, value: Any) -> float:
    """Check a time limit; infinity is none."""
    if value == math.inf:
        return math.inf
    if (found := real(name, value)) < 0.1:
        raise _refused(name, f"must be at least 0.1 seconds, got {value}")
    return found


def flag(name: str, value: Any) -> bool:
    """Check True or False; "no" is neither, though Python takes it for true."""
    if isinstance(value, bool) or str(getattr(value, "dtype", "")) == "bool":
        return bool(value)
    raise _refused(name, f"needs True or False, got {value!r}", TypeError)


def text(name: str, value: Any) -> str:
    """Check a text."""
    if not isinstance(value, str):
        raise _refused(name, f"needs a string, got {value!r}", TypeError)
    return value


def one_of(*allowed: str) -> Check:
    """Check a text that must be one of those allowed."""
    *others, last = allowed

    def check(name: str, value: Any) -> str:
        if value not in allowed:
            raise _refused(name, f"must be {', '.join(others)} or {last}, got {value!r}")
        return str(value)

    return check


def known_backend(name: str, value: Any) -> str:
    """Check that there is such a backend, and a place for what Numba compiles."""
    if not isinstance(value, str):
        raise _refused(name, f"needs names, got {type(value).__name__}", TypeError)
    if news := backends.ensure_cache(value):
        warnings.warn(news, stacklevel=2)
    backends.require(value)
    return value


def anything(_name: str, value: Any) -> Any:
    """Accept any value, which is checked where it is used."""
    return value


TABLE = (
    "Text in columns, Parquet, Feather, Excel, NPZ or NPY, compressed or not; - is standard input. "
    "A folder or a pattern in quotes stands for all its CSV, Parquet or Feather files."
)
REFERENCE = "the reference line, 100 points of y = 3x + 2 plus noise"
_NAMES = "NAME|FILE.py|MODULE"

TARGET = Option("target", anything, "Column to predict.", "COLUMN", usual="the last")
FEATURES = Option(
    "features", anything, "Columns to predict from.", "COLUMN …", (), "all others", several=True
)
EXCLUDE = Option(
    "exclude", anything, "Columns to leave out, such as text.", "COLUMN …", (), several=True
)
COLUMNS = (TARGET, FEATURES, EXCLUDE)
READING = (
    Option("decimal", text, "Decimal point: . or a comma.", "CHARACTER", "."),
    Option(
        "thousands",
        text,
        "What separates thousands, like the comma in 1,800.00.",
        "CHARACTER",
        "",
    ),
    Option(
        "delimiter",
        text,
        "What separates the columns: \\t is a tab, ' ' is any number of blanks.",
        "CHARACTER",
        "",
        "found from the first lines",
    ),
    Option(
        "header",
        flag,
        "Whether the first line holds the names.",
        usual="found from the first lines",
    ),
    Option("skip_rows", whole(), "Number of lines to skip above the table.", "N", 0, numeric=True),
    Option("encoding", text, "Encoding, such as cp1252 or utf-16.", "NAME", "utf-8"),
)
DROP_MISSING = Option(
    "drop_missing",
    flag,
    "Leave out rows with a missing value: an empty cell, NA, None, ? or -.",
    default=False,
)
SCHEDULER = Option(
    "scheduler",
    text,
    "Read the table in parts on the Dask cluster with this scheduler, such as tcp://10.0.0.1:8786.",
    "ADDRESS",
    usual=f"${backends.SCHEDULER}, or this computer",
)
OF_A_TABLE = (*COLUMNS, *READING, DROP_MISSING, SCHEDULER)

BACKENDS = Option(
    "backends",
    known_backend,
    "Names of backends, your .py files, or importable modules; NAME@REV is the version at a git "
    "revision.",
    f"{_NAMES} …",
    (),
    "all built-in backends",
    several=True,
    alias="backend",
)
BACKEND = Option(
    "backend",
    known_backend,
    f"Backend to train with; {LARGE} reads the table in parts.",
    _NAMES,
    usual=f"{backends.DEFAULT}, or {LARGE} for a table that takes more than half of the free "
    "memory",
    alias="backends",
)
LR = Option(
    "lr",
    rate,
    "Learning rate; auto is the one that `gradrace rates` recommends.",
    "α|auto",
    usual="0.005 for the reference line, auto for a table",
    numeric=True,
)
EPOCHS = Option(
    "epochs", whole(), "Number of updates; with --tol, the maximum.", "N", 10_000, numeric=True
)
STANDARDIZE = Option(
    "standardize",
    flag,
    "Center and scale the columns first; results are in their original units.",
    default=False,
)
TOL = Option(
    "tol",
    tolerance,
    "Stop when the norm of the gradient has fallen to this share of its first value, or when "
    "neither the loss nor the gradient improves any more.",
    "SHARE",
    numeric=True,
)
LIMIT = Option(
    "timeout",
    seconds,
    "Time limit for each backend.",
    "SECONDS",
    usual=f"{TIMEOUT:.0f}; none for a table read in parts",
    numeric=True,
)
SEED = Option(
    "seed", whole(), "Seed for shuffling the order of the timed blocks.", "N", 0, numeric=True
)
CASES = Option(
    "cases",
    text,
    "Exactly these jobs, like 2e6x30@500, instead of sizes and features.",
    "NxD[@EPOCHS] …",
    (),
    several=True,
    alias="case",
)
SESSIONS = Option(
    "sessions",
    whole(1, 10_000),
    "Number of fresh processes, each of which times all backends at all sizes.",
    "K",
    usual="3; 8 with --full; 10 with earlier versions",
    numeric=True,
)

FIT = (*OF_A_TABLE, BACKEND, LR, EPOCHS, STANDARDIZE, TOL)
RATES = (
    *OF_A_TABLE,
    replace(
        LR,
        help="Learning rates; auto is the recommended one.",
        metavar="α|auto …",
        default=(),
        usual="0.001 0.005 0.1 for the reference line; for a table, one that is slow, one that is "
        "stable, one that diverges, and the recommended one",
        several=True,
    ),
    replace(BACKENDS, help="Backends to train with.", usual=backends.DEFAULT),
    replace(
        EPOCHS, help="Number of updates.", default=None, usual="10,000, fewer for a large table"
    ),
    STANDARDIZE,
    LIMIT,
)
CHECK = (
    *OF_A_TABLE,
    BACKENDS,
    LR,
    replace(
        EPOCHS,
        help="Number of updates.",
        default=None,
        usual="10,000; for a table, 1,000 or fewer",
    ),
    replace(
        CASES,
        help="Also check on this many synthetic samples and features, such as 1e6x10. Each "
        "backend trains for 15 epochs there.",
        metavar="NxD …",
    ),
    LIMIT,
)
RACE = (
    Option(
        "full",
        flag,
        "14 sizes, 8 sessions; first prints an estimate of the time.",
        default=False,
    ),
    Option(
        "sizes",
        whole(1),
        "Numbers of samples, like 100 1e4.",
        "N …",
        (),
        "those of --quick or --full",
        several=True,
        numeric=True,
    ),
    Option(
        "features",
        whole(1),
        "Numbers of features, each raced with every N.",
        "D …",
        (),
        "those of --quick or --full",
        several=True,
        numeric=True,
    ),
    CASES,
    Option(
        "epochs",
        whole(1),
        "Updates per call, fewer if slow.",
        "N",
        usual="a few milliseconds of work",
        numeric=True,
    ),
    BACKENDS,
    Option(
        "against",
        text,
        "Race the backends that have changed since this revision of git against what they were "
        "then.",
        "REV",
    ),
    Option(
        "baseline",
        text,
        "Backend that the others are compared with.",
        "BACKEND",
        usual="python if raced, else the first",
    ),
    SESSIONS,
    SEED,
    Option("threads", whole(1, 10_000), "Threads that a backend may use.", "N", 1, numeric=True),
    Option(
        "peers",
        flag,
        "Also race JAX, PyTorch, Dask and a C loop, where installed.",
        default=False,
    ),
)
SCALE = (SEED, replace(SESSIONS, default=3, usual=""))
JOB = (
    Option("n", whole(1), "Number of samples.", "N", numeric=True),
    Option("d", whole(1), "Number of features.", "D", numeric=True),
    Option("epochs", whole(1), "Number of epochs per run.", "N", numeric=True),
    Option("runs", whole(1), "Number of runs in the same process.", "N", 1, numeric=True),
)
ADVISE = (
    *JOB,
    Option("measure", flag, "Race this very job first, and answer from that.", default=False),
    BACKENDS,
)
