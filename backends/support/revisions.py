"""A backend as it was: `numba@main` and `mine.py@v1.2` take their files from git.

The folder that the backend is in is copied out of the commit, into the place where machine code is
kept, and imported from there under a name of its own. So today's version and the earlier one can
run in the same process. Neither the work tree nor the index is touched.

What an earlier file imports comes from the commit if the copied folder holds it, and from the
environment otherwise. This covers all `import` statements, also those inside functions, but not
`importlib.import_module`.
"""

import builtins
import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import suppress
from importlib import import_module
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

from gradrace.backends.support import cache, finding

_SPEC = re.compile(r"(?P<name>.+?\.py|[^@/]+)@(?P<revision>.+)")
_PREFIX = f"{finding.PACKAGE}.at_"
ABSENT = "does not exist in commit"


class Past(NamedTuple):
    """Where the files of a backend are, as they were in a commit."""

    commit: str
    folder: str
    """The copy from which it is imported."""
    module: str
    """Its name there, such as gradrace.backends.numba_jit."""
    repository: str

    @property
    def file(self) -> Path:
        """The file of the backend; it does not exist if the commit has no such backend."""
        return Path(self.folder, *self.module.split(".")).with_suffix(".py")

    @property
    def path(self) -> list[str]:
        """Where its imports look first: the folder, and those around it if it is in a package."""
        return [str(root) for root in finding.roots(Path(self.folder, "__init__.py"))]


class AbsentError(Exception):
    """The commit has no such backend."""


def split(spec: str) -> tuple[str, str]:
    """Return the name of a backend and the revision of git, or "" if none is given.

    Of `mine.py@{yesterday}`, the revision is `@{yesterday}`, as git writes it.
    """
    found = _SPEC.fullmatch(spec)
    if found is None or Path(spec).is_file():
        return spec, ""
    if spec.endswith(".py") and not found["name"].endswith(".py"):  # me@work/mine.py
        return spec, ""
    revision = found["revision"]
    return found["name"], f"@{revision}" if revision.startswith("{") else revision


def past(spec: str, module: str) -> Past:
    """Copy the files of `spec`, a name with a revision, out of git; return where they are.

    `module` is the dotted name of the backend, or the path of its file. The revision is looked up
    again each time, except in a child process: that uses the same commit as its parent.

    Raises:
        ValueError: git is not installed, the backend is not in a repository, or the repository has
            no such revision.
        OSError: the files cannot be written anywhere.

    """
    if inherited := _INHERITED.get(spec):
        return Past(*inherited)
    _, revision = split(spec)
    root, package, beside, module = _place(module)
    top = _top_of(root)
    commit = _commit(top, revision)
    inside = root.relative_to(top)
    copy = _copied(top, f"{commit}:{'' if inside == Path() else inside.as_posix()}", package)
    found = _FOUND[spec] = Past(commit, str(copy / beside), module, str(top))
    return found


def environment() -> dict[str, str]:
    """Return what a child process needs in its environment to use the same commits."""
    known = {**_INHERITED, **_FOUND}
    return {_VARIABLE: json.dumps(known)} if known else {}


_VARIABLE = "GRADRACE_REVISIONS"
_FOUND: dict[str, Past] = {}
_INHERITED: Mapping[str, Sequence[str]] = json.loads(os.environ.get(_VARIABLE, "{}"))
"""What the parent of this process found for each name with a revision."""


class _Place(NamedTuple):
    root: Path
    """The folder to copy."""
    package: str
    """Its dotted name in the copy; "" if it is not a package, but holds modules and packages."""
    beside: Path
    """Where in the copy the module is imported from."""
    module: str
    """Its dotted name there."""


def _place(module: str) -> _Place:
    """Return where a module is; of gradrace itself, only this package is copied."""
    ours = finding.HERE.resolve()
    if module.endswith(".py"):
        file = Path(module).resolve()
        if file.parent != ours:
            *_, root = finding.roots(file)
            return _Place(root, "", file.parent.relative_to(root), file.stem)
        module = f"{finding.PACKAGE}.{file.stem}"  # a rung, given by its path
    if module.startswith(f"{finding.PACKAGE}."):
        return _Place(ours, finding.PACKAGE, Path(), module)
    package, _, rest = module.partition(".")
    found = finding.find(package)
    places = list((found and found.submodule_search_locations) or ())
    if rest and places:
        return _Place(Path(places[0]).resolve().parent, "", Path(), module)
    origin = found.origin if found and found.has_location else None
    if origin is None:
        raise ValueError(f"no module {module} can be found")
    return _Place(Path(origin).resolve().parent, "", Path(), module)


def _top_of(folder: Path) -> Path:
    """Return the top folder of the repository that a folder belongs to."""
    existing = next(place for place in (folder, *folder.parents) if place.is_dir())
    found = _git(existing, "rev-parse", "--show-toplevel")
    if found.returncode:
        raise ValueError(f"{folder} is not in a git repository")
    return Path(found.stdout.strip()).resolve()


def _commit(top: Path, revision: str) -> str:
    """Return the hash of the commit that a revision names."""
    found = _git(
        top, "rev-parse", "--verify", "--quiet", "--end-of-options", f"{revision}^{{commit}}"
    )
    if not found.returncode:
        return found.stdout.strip()
    shallow = _git(top, "rev-parse", "--is-shallow-repository").stdout.strip() == "true"
    hint = "; this clone is shallow: git fetch --unshallow gets the rest" if shallow else ""
    raise ValueError(f"{revision} is not a revision of {top}{hint}")


def _copied(top: Path, tree: str, package: str) -> Path:
    """Return a folder with the files of a tree, copied if that has not been done before."""
    found = _git(top, "rev-parse", "--verify", "--quiet", tree)
    name = found.stdout.strip() or f"{0:040}"  # without such a tree, the folder is empty
    parent = cache.parent()
    folder = parent / f"at-{name[:16]}-{package}"
    if not folder.is_dir():
        with tempfile.TemporaryDirectory(dir=parent, prefix="gradrace-") as temporary:
            files = Path(temporary, "files")
            files.mkdir()
            if not found.returncode:
                where = {"GIT_INDEX_FILE": str(Path(temporary, "index"))}
                prefix = f"{files.joinpath(*package.split('.'))}/"
                for arguments in (
                    ("read-tree", name),
                    ("checkout-index", "--all", f"--prefix={prefix}"),
                ):
                    if (done := _git(top, *arguments, environment=where)).returncode:
                        raise ValueError(f"git {arguments[0]}: {done.stderr.strip()}")
            with suppress(OSError):  # another process was faster
                files.rename(folder)
    cache.mark_used(folder)
    return folder


def _git(
    folder: Path, *arguments: str, environment: Mapping[str, str] | None = None
) -> "subprocess.CompletedProcess[str]":
    """Run git in a folder; variables that a hook of git sets do not reach it."""
    inherited = {k: v for k, v in os.environ.items() if not k.startswith("GIT_")}
    try:
        return subprocess.run(
            ["git", "-C", str(folder), *arguments],
            env={**inherited, **(environment or {})},
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
        )
    except FileNotFoundError:
        raise ValueError("git is not installed") from None


def load(found: Past) -> ModuleType:
    """Import a backend as it was.

    Raises:
        AbsentError: the commit has no such backend.

    """
    if not found.file.is_file():
        raise AbsentError(f"{ABSENT} {found.commit[:9]}")
    copy = found.folder.rpartition(f"{os.sep}at-")[-1]
    root = _PREFIX + re.sub(r"\W", "_", copy)
    _FOLDERS[root] = found
    if not any(isinstance(finder, _Finder) for finder in sys.meta_path):
        sys.meta_path.insert(0, _Finder())
    return import_module(f"{root}.{found.module}")


_FOLDERS: dict[str, Past] = {}


class _Finder(MetaPathFinder):
    """Finds the modules of earlier versions."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if not fullname.startswith(_PREFIX):
            return None
        if fullname in _FOLDERS:
            package = ModuleSpec(fullname, None, is_package=True)
            package.submodule_search_locations = _FOLDERS[fullname].path
            return package
        found = PathFinder.find_spec(fullname, path, target)
        if found is not None and isinstance(found.loader, SourceFileLoader):
            found.loader = _Loader(fullname, found.loader.path)
        return found


class _Loader(SourceFileLoader):
    """Runs a module whose import statements look into its own commit first."""

    def exec_module(self, module: ModuleType) -> None:
        root = module.__name__[: module.__name__.index(".", len(_PREFIX))]

        def imported(
            name: str,
            globals: Mapping[str, Any] | None = None,  # noqa: A002 (`__import__` calls it so,
            locals: Mapping[str, Any] | None = None,  # noqa: A002 (and code may name its arguments)
            fromlist: Sequence[str] | None = (),
            level: int = 0,
        ) -> ModuleType:
            if level:
                return builtins.__import__(name, globals, locals, fromlist, level)
            meant, bound = _meant(root, name)
            found = builtins.__import__(meant, globals, locals, fromlist, 0)
            return found if fromlist else sys.modules[bound]

        vars(module)["__builtins__"] = {**vars(builtins), "__import__": imported}
        super().exec_module(module)


def _meant(root: str, name: str) -> tuple[str, str]:
    """Return which module `name` means in a copy, and which one `import name` binds there.

    Before this package was called `gradrace.backends`, it was called `backends`.
    """
    found, first = _FOLDERS[root], name.partition(".")[0]
    if _is_of(found, first):
        return f"{root}.{name}", f"{root}.{first}"
    of_rung = found.module.startswith(f"{finding.PACKAGE}.")
    if first == finding.HERE.name and (of_rung or finding.find(first) is None):
        where = f"{root}." if of_rung else ""
        return f"{where}gradrace.{name}", f"{where}{finding.PACKAGE}"
    return name, first


def _is_of(found: Past, name: str) -> bool:
    """Whether a commit has a module that today comes from the same repository, or is gone."""
    places = [Path(folder, name) for folder in found.path]
    if not any(place.is_dir() or place.with_suffix(".py").is_file() for place in places):
        return False
    if name in sys.stdlib_module_names:
        return False
    today = finding.find(name)
    if today is None or not today.has_location or today.origin is None:
        return True
    return Path(today.origin).resolve().is_relative_to(found.repository)
