"""The backends: one training loop, written once per rung of the ladder.

`names()` lists the built-in ones, `load(...)` returns one. A backend's library is imported only
when that backend is loaded. Start reading with `interface.py`, then `pure_python.py`.
"""

import importlib
import importlib.metadata
import importlib.util
import sys
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, NamedTuple, cast

if TYPE_CHECKING:
    from backends import numba_jit, numpy_vectorized, pure_python
    from backends.interface import Backend

    _CHECKED: tuple[Backend, ...] = (pure_python, numpy_vectorized, numba_jit)


class Rung(NamedTuple):
    """Where a built-in backend lives, what it needs, and what it teaches."""

    module: str
    library: str | None
    idea: str


LADDER = {
    "python": Rung("pure_python", None, "lists and loops; the definition of the loop"),
    "numpy": Rung("numpy_vectorized", "numpy", "whole-array operations, BLAS"),
    "numba": Rung("numba_jit", "numba", "the same scalar loop, compiled"),
}


def names() -> tuple[str, ...]:
    """Return the names of the built-in backends, in the order of the ladder."""
    return tuple(LADDER)


def library_version(name: str) -> str | None:
    """Return the version of the library a built-in backend runs on, None if it is missing."""
    library = LADDER[name].library
    if library is None:
        return sys.version.split()[0]
    try:
        return importlib.metadata.version(library)
    except importlib.metadata.PackageNotFoundError:
        return None


def load(spec: str) -> "Backend":
    """Return the backend called `spec`: a built-in name, a path to a .py file, or a module name.

    Raises:
        InputValueError: no such backend, its library is missing, importing it failed, or it
            lacks `prepare` or `train`.

    """
    from backends.interface import InputValueError

    try:
        module = _import(spec)
    except InputValueError:
        raise
    except Exception as error:  # a foreign file may raise anything while it is imported
        reason = f"{type(error).__name__}: {error}"
        raise InputValueError(f"backend {spec}: cannot be imported: {reason}") from error
    for function in ("prepare", "train"):
        if not callable(getattr(module, function, None)):
            raise InputValueError(f"backend {spec}: has no function {function}()")
    return cast("Backend", module)


def _import(spec: str) -> ModuleType:
    from backends.interface import InputValueError

    if spec in LADDER:
        rung = LADDER[spec]
        if library_version(spec) is None:
            raise InputValueError(
                f"backend {spec}: needs {rung.library}; install it with: pip install {rung.library}"
            )
        return importlib.import_module(f"backends.{rung.module}")
    if spec.endswith(".py"):
        return _import_file(Path(spec))
    try:
        return importlib.import_module(spec)
    except ModuleNotFoundError as error:
        if error.name is None or not spec.startswith(error.name):
            raise
        raise InputValueError(
            f"backend {spec}: is none of {', '.join(LADDER)}, no .py file and no module"
        ) from None


def _import_file(path: Path) -> ModuleType:
    from backends.interface import InputValueError

    if not path.is_file():
        raise InputValueError(f"backend {path}: no such file")
    name = f"gradrace_backend_{path.stem}"
    found = importlib.util.spec_from_file_location(name, path)
    assert found is not None
    assert found.loader is not None
    module = importlib.util.module_from_spec(found)
    sys.modules[name] = module  # Numba's cache and pickle look the module up by its name
    found.loader.exec_module(module)
    return module
