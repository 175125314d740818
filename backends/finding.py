"""Find a module, its file, and what the file imports from this package, running none of it."""

import ast
import importlib
import importlib.util
import os
import pkgutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path
from types import ModuleType

HERE = Path(__file__).parent


def import_module(spec: str) -> ModuleType:
    """Import `package.module` or a .py file.

    Meanwhile it can import from the current folder and, if it is a file, from its own folder.
    """
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


def file_of(spec: str) -> Path | None:
    """Return the file of `package.module` or of a .py file, None if it has none."""
    if spec.endswith(".py"):
        return Path(spec)
    found = find(spec)
    return Path(found.origin) if found and found.origin and found.has_location else None


def with_neighbors(file: Path) -> list[Path]:
    """Return a file and those that it imports, directly or through others, in order of discovery.

    These are the files of the package `backends`, its own one if it is in a copy of that, and those
    beside it.
    """
    found = [file]
    for path in found:  # grows while it is traversed
        found += [near for near in _neighbors(path) if near not in found]
    return found


def _neighbors(file: Path) -> list[Path]:
    """Return the files nearby that a file imports; none if it is not valid Python."""
    try:
        statements = list(ast.walk(ast.parse(file.read_bytes())))
    except (OSError, ValueError, SyntaxError):
        return []
    names = set()
    for statement in statements:
        if isinstance(statement, ast.Import):
            names |= {alias.name for alias in statement.names}
        elif isinstance(statement, ast.ImportFrom) and statement.module:
            names |= {f"{statement.module}.{alias.name}" for alias in statement.names}
    here = file.parent if file.parent.name == HERE.name else HERE
    found = []
    for name in sorted(names):
        first, *rest = name.split(".")
        near = here.joinpath(*rest[:1]) if first == HERE.name else file.parent / first
        found += [path] if (path := near.with_suffix(".py")).is_file() else []
        found += (
            sorted(near.rglob("*.py")) if near != here and (near / "__init__.py").exists() else []
        )
    return list(dict.fromkeys(found))


def find(name: str) -> ModuleSpec | None:
    """Return where a module is, importing neither it nor the packages that it is in.

    `importlib.util.find_spec` would import the packages, and their code may do anything.
    """
    if not all(name.split(".")) or name == "__main__":  # that is gradrace itself
        return None
    if name in sys.modules:
        return getattr(sys.modules[name], "__spec__", None)
    folders = [*filter(None, sys.path), *_current_folder()]
    package, _, _ = name.rpartition(".")
    if package:
        parent = find(package)
        folders = list((parent and parent.submodule_search_locations) or ())
    return _search(name, folders)


def _current_folder() -> list[str]:
    try:
        return [os.getcwd()]
    except FileNotFoundError:  # it has been deleted
        return []


def _search(name: str, folders: list[str]) -> ModuleSpec | None:
    """Ask one finder after another, as an import does."""
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
    """Search as `PathFinder` does, but also in namespace packages that are not yet imported."""
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


@contextmanager
def _importable(*folders: str) -> Iterator[None]:
    """Let imports search these folders last, so that nothing in them shadows a library.

    This is temporary: a scipy.py there must not reach libraries that use SciPy if it is installed.
    """
    added = [folder for folder in folders if folder not in sys.path]
    sys.path += added
    try:
        yield
    finally:
        for folder in added:
            with suppress(ValueError):  # the backend has removed it
                sys.path.remove(folder)
