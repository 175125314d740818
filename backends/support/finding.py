"""Find a module, its file, and what the file imports from this package, running none of it."""

import ast
import importlib
import importlib.util
import os
import pkgutil
import sys
import sysconfig
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib.machinery import ModuleSpec, PathFinder
from itertools import accumulate
from pathlib import Path
from types import ModuleType

HERE = Path(__file__).parent.parent
PACKAGE = "gradrace.backends"
"""What this package is called, here and in copies of earlier commits."""


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

    These are files of this package (or of the copy that the file is in) and files beside it.
    """
    found = [file.absolute()]
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
            names |= {(0, alias.name) for alias in statement.names}
        elif isinstance(statement, ast.ImportFrom):
            package = f"{statement.module}." if statement.module else ""  # none: from . import x
            names |= {(statement.level, f"{package}{alias.name}") for alias in statement.names}
    found = [path for level, name in sorted(names) for path in _files(file, level, name.split("."))]
    return list(dict.fromkeys(found))


def _files(file: Path, level: int, name: list[str]) -> list[Path]:
    """Return the files that the import of a dotted name may run, if they are nearby.

    Of this package, that is one; of another package, all, since what it imports itself is not
    followed. `level` is the number of dots before the name.
    """
    first = name[0]
    if level:
        above = file.parents[min(level, len(file.parents)) - 1]
        module = above / f"{first}.py"
        return [module] if module.is_file() else sorted((above / first).rglob("*.py"))
    ours = PACKAGE.split(".")
    here = next((folder for folder in file.parents if [*folder.parts[-2:]] == ours), None)
    if here and first == HERE.name:  # of a commit where this package was `backends`
        name = ["gradrace", *name]
    if name[:2] == ours:
        longer = accumulate(name[2:], Path.joinpath, initial=here or HERE)
        found = (path.with_suffix(".py") for path in longer)
        return [path for path in found if path.is_file()]
    for folder in roots(file):
        if folder.resolve() in _INSTALLED and folder / first not in file.parents:
            continue  # NumPy and the like
        if (module := folder / f"{first}.py").is_file():
            return [module]
        if package := sorted((folder / first).rglob("*.py")):
            return package
    return []


_INSTALLED = {
    Path(sysconfig.get_path(kind)).resolve()
    for kind in ("purelib", "platlib", "stdlib", "platstdlib")
}
"""Where the packages of this Python are."""


def roots(file: Path) -> Iterator[Path]:
    """Yield the folder of a file, and, if that is a package, those around it up to its root."""
    folder = file.absolute().parent
    yield folder
    while (folder / "__init__.py").is_file() and folder != folder.parent:
        folder = folder.parent
        yield folder


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
