"""The backends: one training loop, written seven times, each time with one new idea.

Together they are the ladder, and each is a rung. `LADDER` lists them, `load(...)` returns one, or a
foreign backend from a file or module. A backend's library is imported only when that backend is
loaded. Start reading with README.md, then `interface.py` and `pure_python.py`.
"""

import importlib
import sys
import warnings
from collections.abc import Iterable
from itertools import cycle
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, cast

from gradrace.backends.support import cache, finding, revisions

if TYPE_CHECKING:
    from gradrace.backends.interface import Backend


class Rung(NamedTuple):
    """Where a backend is, what it needs, its idea, and what is special about it.

    The defaults are what is assumed about a foreign backend, unless its module says otherwise.
    """

    module: str = ""
    package: str | None = None
    idea: str = ""
    color: str = ""
    """In pictures; if empty, one of `OTHER_COLORS` is used."""
    one_core: bool = False
    """Whether it uses a single core, no matter how many threads are allowed; its ONE_CORE."""
    passes_once: bool = False
    """Whether it reads the samples once per call, not in every epoch; its PASSES_ONCE."""
    interpreted: bool = False
    """Whether it takes about a hundred times as long as compiled code."""
    on_one_thread: str | None = None
    """The rung that does the same on a single thread; there, this one is not raced."""
    for_large_data: bool = False
    """Whether it is meant for data beyond memory; it is an extra, and raced only if named."""


# Okabe and Ito, "Color Universal Design" (2008): color-blind readers can distinguish these
LADDER = {
    "python": Rung(
        "pure_python",
        None,
        "lists and loops; the definition of the loop",
        "#E69F00",
        one_core=True,
        interpreted=True,
    ),
    "numpy": Rung("numpy_vectorized", "numpy", "whole-array operations, BLAS", "#0072B2"),
    "numba": Rung("numba_jit", "numba", "the same scalar loop, compiled", "#009E73", one_core=True),
    "numba-simd": Rung(
        "numba_simd",
        "numba",
        "sums in vector registers, reordered; one fused pass",
        "#56B4E9",
        one_core=True,
    ),
    "numba-parallel": Rung(
        "numba_parallel",
        "numba",
        "the same on all cores",
        "#D55E00",
        on_one_thread="numba-simd",
    ),
    "gram": Rung(
        "gram",
        "numba",
        "sums of products, then O(d²) per epoch",
        "#CC79A7",
        one_core=True,
        passes_once=True,
    ),
    "dask": Rung(
        "dask_partitions",
        "dask",
        "the same sums over partitions, on threads or a cluster",
        "#5D3A9B",
        passes_once=True,
        for_large_data=True,
    ),
}
OTHER_COLORS = ("#8C6D1F", "#333333", "#7F6BB3", "#A3A500")
BASELINE = "python"
"""The backend that the others are compared with, if it is among those chosen."""
ABSENT = revisions.ABSENT
"""How the message begins if a commit has no such backend."""
SCHEDULER = "DASK_SCHEDULER_ADDRESS"
"""The environment variable that names the scheduler of the cluster for large data."""
DEFAULT = "numba"
"""The backend that is used for training unless another one is named."""


def names() -> tuple[str, ...]:
    """Return the names of the built-in backends, in the order of the ladder."""
    return tuple(LADDER)


def name_of(spec: str) -> str:
    """Return the name of a backend without the revision, if it has one: numba of numba@main."""
    return revisions.split(spec)[0]


def earlier(specs: Iterable[str]) -> dict[str, str]:
    """Return the spec of each version of a backend → that of the version it is compared with.

    This is today's, or, without it, the first of the same backend.
    """
    versions: dict[str, list[str]] = {}
    for spec in specs:
        versions.setdefault(name_of(spec), []).append(spec)
    found: dict[str, str] = {}
    for name, group in versions.items():
        latest = name if name in group else group[0]
        found |= {spec: latest for spec in group if spec != latest}
    return found


def rung(spec: str) -> Rung:
    """Return what is known about a backend before it is imported; for a revision, as of today."""
    return LADDER.get(name_of(spec), Rung())


def colors(specs: Iterable[str]) -> dict[str, str]:
    """Return the color of each backend.

    Foreign ones and earlier versions take `OTHER_COLORS` in order.
    """
    others = cycle(OTHER_COLORS)
    return {spec: LADDER[spec].color if spec in LADDER else next(others) for spec in specs}


def package_version(name: str) -> str | None:
    """Return the version of the package that a built-in backend needs, None if it is missing."""
    from importlib.metadata import PackageNotFoundError, version

    package = LADDER[name].package
    if package is None:
        return sys.version.split()[0]
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def how_to_install(name: str) -> str:
    """Return the command that installs the package of a built-in backend."""
    extra = LADDER[name].for_large_data
    return f"pip install 'gradrace[{name}]'" if extra else f"pip install {LADDER[name].package}"


def for_large_data() -> str:
    """Return the name of the built-in backend whose samples do not have to fit in memory."""
    return next(name for name, rung in LADDER.items() if rung.for_large_data)


def installed() -> tuple[str, ...]:
    """Return the built-in backends that are not an extra, or whose extra is installed."""
    return tuple(n for n, rung in LADDER.items() if not rung.for_large_data or package_version(n))


def require(spec: str) -> None:
    """Make sure, without importing it, that the backend `spec`, as passed to `load`, exists.

    Of a backend at a revision, only the revision must exist; the commit may lack the backend.

    Raises:
        InputValueError: no such name, file, module or revision, the package that it needs is
            missing, or its compiler is off.
        OSError: the files of the revision cannot be written anywhere.

    """
    from gradrace.backends.interface import InputValueError

    name, revision = revisions.split(spec)
    if name in LADDER:
        package = LADDER[name].package
        if package_version(name) is None:
            raise InputValueError(f"backend {name}: {package} is missing: {how_to_install(name)}")
        if _compiles(name) and cache.compiler_is_off():
            raise InputValueError(
                f"backend {name}: needs Numba's compiler, but NUMBA_DISABLE_JIT is set"
            )
    if revision:
        past(spec)
    elif spec in LADDER:
        return
    elif spec.endswith(".py"):
        if not Path(spec).is_file():
            raise InputValueError(f"backend {spec}: no such file")
    elif finding.find(spec) is None:
        raise InputValueError(f"backend {spec}: is not {', '.join(LADDER)}, a .py file or a module")


def past(spec: str) -> revisions.Past | None:
    """Return where the files of a backend at a revision are; None for one of today.

    Raises:
        InputValueError: git is not installed, the backend is not in a repository, or the
            repository has no such revision.
        OSError: its files cannot be written anywhere.

    """
    from gradrace.backends.interface import InputValueError

    name, revision = revisions.split(spec)
    if not revision:
        return None
    module = f"{finding.PACKAGE}.{LADDER[name].module}" if name in LADDER else name
    try:
        return revisions.past(spec, module)
    except ValueError as error:
        raise InputValueError(f"backend {spec}: {error}") from None


def sources(spec: str) -> list[Path]:
    """Return the file of a backend and those beside it that it imports; [] if it is not found.

    If it imports from this package, they are included, from the same revision if it is a rung.

    Raises:
        InputValueError, OSError: as `past`.

    """
    if found := past(spec):
        file: Path | None = found.file
    elif spec in LADDER:
        file = finding.HERE / f"{LADDER[spec].module}.py"
    else:
        file = finding.file_of(spec)
    return finding.with_neighbors(file) if file and file.is_file() else []


def ensure_cache(spec: str) -> str:
    """Give a backend that may compile a folder for its machine code; see `cache.use_folder`.

    Raises:
        OSError: no such folder can be created.

    """
    return cache.use_folder() if _compiles(name_of(spec)) else ""


def _compiles(name: str) -> bool:
    """Whether a backend compiles, or may, as any foreign one."""
    return name not in LADDER or LADDER[name].package not in (None, "numpy")


def load(spec: str) -> "Backend":
    """Return the backend `spec`: a built-in name, a path to a .py file, or package.module.

    Each may be followed by a revision of git, as in numba@main. While a foreign backend is
    imported, it can import from the current folder and beside its file.

    Raises:
        InputValueError: as `require`, or importing it failed, or it lacks `prepare` or `train`.
        OSError: as `ensure_cache`.

    """
    from gradrace.backends.interface import InputValueError

    if news := ensure_cache(spec):  # before `require`, which may use the folder
        warnings.warn(news, stacklevel=2)
    require(spec)
    try:
        if found := past(spec):
            module = revisions.load(found)
        elif spec in LADDER:
            module = importlib.import_module(f"{finding.PACKAGE}.{LADDER[spec].module}")
        else:
            module = finding.import_module(spec)
        lacking = [f for f in ("prepare", "train") if not callable(getattr(module, f, None))]
    except KeyboardInterrupt:
        raise
    except revisions.AbsentError as error:
        raise InputValueError(f"backend {spec}: {error}") from None
    except BaseException as error:  # foreign code may do anything when imported
        reason = " ".join(f"{type(error).__name__}: {error}".split())
        raise InputValueError(f"backend {spec}: cannot be imported: {reason}") from error
    if lacking:
        raise InputValueError(f"backend {spec}: has no function {lacking[0]}()")
    return cast("Backend", module)
