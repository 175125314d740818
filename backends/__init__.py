"""The backends: one training loop, written once per rung of the ladder.

`names()` lists the built-in ones, `load(...)` returns one. A backend's library is imported only
when that backend is loaded. Start reading with `interface.py`, then `pure_python.py`.
"""

import atexit
import importlib
import importlib.util
import os
import pkgutil
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib.machinery import ModuleSpec, PathFinder
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
    elif _find(spec) is None:
        raise InputValueError(f"backend {spec}: is not {', '.join(LADDER)}, a .py file or a module")


def source(spec: str) -> Path | None:
    """Return the file of a backend, None if there is none to be found."""
    if spec in LADDER:
        return Path(__file__).with_name(f"{LADDER[spec].module}.py")
    if spec.endswith(".py"):
        return Path(spec)
    found = _find(spec)
    return Path(found.origin) if found and found.origin and found.has_location else None


def ensure_cache(spec: str) -> str:
    """Give Numba a temporary folder for its machine code, if a backend has no other; return it.

    Numba puts the code beside the source or into the user's cache folder, and refuses to compile
    where it can write to neither. Child processes inherit the folder; it is removed at the end.

    Raises:
        OSError: no temporary folder can be created either.

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
    """Whether a folder can be written to, or else created; not if its ~ was not resolved."""
    if not folder.is_absolute():
        return False
    nearest = next(place for place in (folder, *folder.parents) if os.path.exists(place))
    return nearest.is_dir() and os.access(nearest, os.W_OK | os.X_OK)


def load(spec: str) -> "Backend":
    """Return the backend `spec`: a built-in name, a path to a .py file, or package.module.

    While a foreign backend is imported, it finds modules in the current folder and beside its file.

    Raises:
        InputValueError: as `require`, or importing it failed, or it lacks `prepare` or `train`.
        OSError: as `ensure_cache`.

    """
    from backends.interface import InputValueError

    require(spec)
    ensure_cache(spec)
    try:
        module = _import(spec)
        lacking = [name for name in _FUNCTIONS if not callable(getattr(module, name, None))]
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # foreign code may do anything when imported
        reason = " ".join(f"{type(error).__name__}: {error}".split())
        raise InputValueError(f"backend {spec}: cannot be imported: {reason}") from error
    if lacking:
        raise InputValueError(f"backend {spec}: has no function {lacking[0]}()")
    return cast("Backend", module)


_FUNCTIONS = ("prepare", "train")


def _find(name: str) -> ModuleSpec | None:
    """Return where a module is, importing neither it nor the packages that it is in.

    `importlib.util.find_spec` would import the packages, and their code may do anything.
    """
    if not all(name.split(".")) or name == "__main__":  # that is us
        return None
    if name in sys.modules:
        return getattr(sys.modules[name], "__spec__", None)
    folders = [*filter(None, sys.path), *_current_folder()]
    package, _, _ = name.rpartition(".")
    if package:
        parent = _find(package)
        folders = list((parent and parent.submodule_search_locations) or ())
    return _search(name, folders)


def _current_folder() -> list[str]:
    try:
        return [os.getcwd()]
    except FileNotFoundError:  # somebody has deleted it
        return []


def _search(name: str, folders: list[str]) -> ModuleSpec | None:
    """Ask one finder after the other, as an import does."""
    found = None
    for finder in sys.meta_path:
        if finder is PathFinder:
            found = _in_folders(name, folders)
        elif hasattr(finder, "find_spec"):
            with suppress(KeyError):  # from `PathFinder`, if it asks that; see below
                found = finder.find_spec(name, folders if "." in name else None)
        if found is not None:
            break
    return found


def _in_folders(name: str, folders: list[str]) -> ModuleSpec | None:
    """Search as `PathFinder`, which finds no namespace package in one not yet imported."""
    namespace: list[str] = []
    for folder in folders:
        finder = pkgutil.get_importer(folder)
        found = finder and finder.find_spec(name)
        if found and found.loader:
            return found
        namespace += (found and found.submodule_search_locations) or ()
    if not namespace:
        return None
    package = ModuleSpec(name, None, is_package=True)
    package.submodule_search_locations = namespace
    return package


def _import(spec: str) -> ModuleType:
    if spec in LADDER:
        return importlib.import_module(f"backends.{LADDER[spec].module}")
    if not spec.endswith(".py"):
        with _importable(*_current_folder()):
            return importlib.import_module(spec)
    name = f"gradrace_backend_{Path(spec).stem}"
    found = importlib.util.spec_from_file_location(name, spec)
    assert found is not None
    assert found.loader is not None
    module = importlib.util.module_from_spec(found)
    sys.modules[name] = module  # Numba's cache and pickle look the module up by its name
    with _importable(str(Path(spec).resolve().parent), *_current_folder()):
        found.loader.exec_module(module)
    return module


@contextmanager
def _importable(*folders: str) -> Iterator[None]:
    """Let imports find what is in these folders, last, so that it shadows no library.

    Only for a while: a scipy.py there is not meant for libraries that use SciPy if they find it.
    """
    added = [folder for folder in folders if folder not in sys.path]
    sys.path += added
    try:
        yield
    finally:
        for folder in added:
            with suppress(ValueError):  # the backend has removed it
                sys.path.remove(folder)
