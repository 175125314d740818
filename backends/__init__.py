"""The backends: one training loop, written once per rung of the ladder.

`names()` lists the built-in ones, `load(...)` returns one. A backend's library is imported only
when that backend is loaded. Start reading with `interface.py`, then `pure_python.py`.
"""

import atexit
import importlib
import importlib.util
import os
import shutil
import sys
import tempfile
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, NamedTuple, cast

if TYPE_CHECKING:
    from backends import (
        gram,
        numba_jit,
        numba_parallel,
        numba_simd,
        numpy_vectorized,
        pure_python,
    )
    from backends.interface import Backend

    _CHECKED: tuple[Backend, ...] = (
        pure_python,
        numpy_vectorized,
        numba_jit,
        numba_simd,
        numba_parallel,
        gram,
    )


class Rung(NamedTuple):
    """Where a built-in backend lives, what it needs, and what it teaches."""

    module: str
    package: str | None
    idea: str


LADDER = {
    "python": Rung("pure_python", None, "lists and loops; the definition of the loop"),
    "numpy": Rung("numpy_vectorized", "numpy", "whole-array operations, BLAS"),
    "numba": Rung("numba_jit", "numba", "the same scalar loop, compiled"),
    "numba-simd": Rung(
        "numba_simd", "numba", "sums in vector registers, reordered; one fused pass"
    ),
    "numba-parallel": Rung("numba_parallel", "numba", "the same on all cores"),
    "gram": Rung("gram", "numba", "sums of products, then O(d²) per epoch"),
}


def names() -> tuple[str, ...]:
    """Return the names of the built-in backends, in the order of the ladder."""
    return tuple(LADDER)


def package_version(name: str) -> str | None:
    """Return the version of the package a built-in backend runs on, None if it is missing."""
    from importlib.metadata import PackageNotFoundError, version

    package = LADDER[name].package
    if package is None:
        return sys.version.split()[0]
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def require(spec: str) -> None:
    """Make sure, without importing it, that there is a backend `spec`, as `load` takes it.

    Raises:
        InputValueError: no such name, file or module, or the package it needs is missing.

    """
    from backends.interface import InputValueError

    if spec in LADDER:
        package = LADDER[spec].package
        if package_version(spec) is None:
            raise InputValueError(f"backend {spec}: {package} is missing: pip install {package}")
    elif spec.endswith(".py"):
        if not Path(spec).is_file():
            raise InputValueError(f"backend {spec}: no such file")
    elif not _is_module(spec):
        raise InputValueError(f"backend {spec}: is not {', '.join(LADDER)}, a .py file or a module")


def source(spec: str) -> Path | None:
    """Return the file of a backend, None if there is none to be found."""
    if spec in LADDER:
        return Path(__file__).with_name(f"{LADDER[spec].module}.py")
    if spec.endswith(".py"):
        return Path(spec)
    found = importlib.util.find_spec(spec) if _is_module(spec) else None
    return Path(found.origin) if found and found.origin else None


def ensure_cache(spec: str) -> str:
    """Give Numba a temporary folder for its machine code, if a backend has no other; return it.

    Numba puts the code beside the source or into the user's cache folder, and refuses to compile
    where it can write to neither. Child processes inherit the folder; it is removed at the end.

    Raises:
        OSError: there is no folder for temporary files either.

    """
    folders = [Path(os.path.expanduser(os.environ.get("XDG_CACHE_HOME") or "~/.cache"))]
    if given := os.environ.get("NUMBA_CACHE_DIR"):
        folders.append(Path(given).absolute())
    if spec in LADDER:
        folders.append(Path(__file__).with_name("__pycache__"))
    elif spec.endswith(".py"):
        folders.append(Path(spec).resolve().with_name("__pycache__"))
    compiles = spec not in LADDER or LADDER[spec].package == "numba"
    if not compiles or any(map(_writable, folders)):
        return ""
    folder = tempfile.mkdtemp(prefix="gradrace-numba-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    os.environ["NUMBA_CACHE_DIR"] = folder
    if numba := sys.modules.get("numba"):  # it has read its settings
        numba.config.CACHE_DIR = folder
    return folder


def _writable(folder: Path) -> bool:
    """Whether a folder can be written to, or else created; not where ~ is nobody's home."""
    if not folder.is_absolute():
        return False
    nearest = next(place for place in (folder, *folder.parents) if os.path.exists(place))
    return nearest.is_dir() and os.access(nearest, os.W_OK | os.X_OK)


def load(spec: str) -> "Backend":
    """Return the backend `spec`: a built-in name, a path to a .py file, or package.module.

    Raises:
        InputValueError: as `require`, or importing it failed, or it lacks `prepare` or `train`.
        OSError: as `ensure_cache`.

    """
    from backends.interface import InputValueError

    require(spec)
    ensure_cache(spec)
    try:
        module = _import(spec)
    except (Exception, SystemExit) as error:  # a foreign file may do anything when imported
        reason = " ".join(f"{type(error).__name__}: {error}".split())
        raise InputValueError(f"backend {spec}: cannot be imported: {reason}") from error
    for function in ("prepare", "train"):
        if not callable(getattr(module, function, None)):
            raise InputValueError(f"backend {spec}: has no function {function}()")
    return cast("Backend", module)


def _is_module(name: str) -> bool:
    try:
        return importlib.util.find_spec(name) is not None
    except (ImportError, ValueError):  # a parent that is no package, or no name at all
        return False


def _import(spec: str) -> ModuleType:
    if spec in LADDER:
        return importlib.import_module(f"backends.{LADDER[spec].module}")
    if not spec.endswith(".py"):
        return importlib.import_module(spec)
    name = f"gradrace_backend_{Path(spec).stem}"
    found = importlib.util.spec_from_file_location(name, spec)
    assert found is not None
    assert found.loader is not None
    module = importlib.util.module_from_spec(found)
    sys.modules[name] = module  # Numba's cache and pickle look the module up by its name
    sys.path.append(str(Path(spec).resolve().parent))  # for the files beside it
    found.loader.exec_module(module)
    return module
