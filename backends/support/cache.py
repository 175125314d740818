"""Where Numba keeps its machine code: a folder for each state of the sources; see README.md."""

import atexit
import hashlib
import os
import re
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from gradrace.backends.support.finding import HERE

_IN_TREE = HERE / "__pycache__"
_NAME = re.compile(r"backends-[0-9a-f]{16}")
_DISPOSABLE = re.compile(r"(backends|at)-[0-9a-f]{16}.*")
"""Also the files of earlier versions; see `revisions.py`."""
_UNUSED = 86_400  # seconds without use after which the folder of other sources is removed


def use_folder() -> str:
    """Make Numba, here and in child processes, use the folder that belongs to these sources.

    Folders of other sources beside it are removed if nobody has used them for a day.

    Returns:
        What the user should know, once: that the folder is temporary, or not where NUMBA_CACHE_DIR
        says; otherwise an empty string.

    Raises:
        OSError: no temporary folder can be created either.

    """
    given, name = os.environ.get("NUMBA_CACHE_DIR"), f"backends-{_digest()}"
    folder = next(filter(_writable, (place / name for place in _parents())), None)
    if folder is None:
        temporary = tempfile.mkdtemp(prefix="gradrace-numba-")
        atexit.register(shutil.rmtree, temporary, ignore_errors=True)
        folder = Path(temporary, name)
        folder.mkdir()
        news = f"Numba has no lasting place for its machine code; for now, it is in {temporary}"
    elif given and folder.parent != _parent_of(given):
        news = f"Numba keeps its machine code in {folder.parent}"
    else:
        given, news = None, ""
    os.environ["NUMBA_CACHE_DIR"] = str(folder)
    if numba := sys.modules.get("numba"):  # it has already read its settings
        numba.config.CACHE_DIR = str(folder)
    _remove_unused(folder)
    return f"NUMBA_CACHE_DIR: {given} cannot be written to. {news}" if given else news


def compiler_is_off() -> bool:
    """Whether NUMBA_DISABLE_JIT is set; like Numba, ignore a value that is not an integer."""
    with suppress(ValueError):
        return bool(int(os.environ.get("NUMBA_DISABLE_JIT", "0")))
    return False


def parent() -> Path:
    """Return the folder that holds the one of `use_folder`; raise OSError as it does."""
    use_folder()
    return Path(os.environ["NUMBA_CACHE_DIR"]).parent


def mark_used(folder: Path) -> None:
    """Keep a folder from being removed as unused for another day."""
    with suppress(OSError):  # another user's
        os.utime(folder)


def _digest() -> str:
    """Return a hash that changes with any source of this package."""
    sources = hashlib.sha256()
    for path in sorted((*HERE.glob("*.py"), *HERE.glob("support/*.py"))):
        sources.update(bytes(path.relative_to(HERE)) + b"\0" + path.read_bytes() + b"\0")
    return sources.hexdigest()[:16]


def _parents() -> Iterator[Path]:
    """Yield the places where the folder can be, the best one first."""
    if given := os.environ.get("NUMBA_CACHE_DIR"):
        yield _parent_of(given)
    yield _IN_TREE
    yield Path(os.path.expanduser(os.environ.get("XDG_CACHE_HOME") or "~/.cache")) / "gradrace"


def _parent_of(given: str) -> Path:
    """Return where the folder belongs, given NUMBA_CACHE_DIR, which `use_folder` may have set."""
    folder = Path(given).absolute()
    return folder.parent if _NAME.fullmatch(folder.name) else folder


def _writable(folder: Path) -> bool:
    """Whether a folder, created if need be, can be written to; False if its ~ was not expanded."""
    if not folder.is_absolute():
        return False
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError:
        return False
    return os.access(folder, os.W_OK | os.X_OK)


def _remove_unused(used: Path) -> None:
    """Mark a folder as used; remove those beside it that have not been used for a day."""
    now = time.time()
    mark_used(used)
    with suppress(OSError):  # another process may be doing the same
        for folder in used.parent.iterdir():
            if _DISPOSABLE.fullmatch(folder.name) and now - folder.stat().st_mtime > _UNUSED:
                shutil.rmtree(folder, ignore_errors=True)
