"""Keep what parts of a pass over files contribute, so that an interrupted pass can be resumed."""

import json
import os
import re
import zipfile
from collections.abc import Iterator, MutableMapping
from pathlib import Path
from typing import Any, Self

import numpy as np

from gradrace import backends
from gradrace.backends.interface import ClusterError, InputValueError, Setting
from gradrace.bench.data.files import replacing, write_json
from gradrace.bench.data.reader import Files
from gradrace.bench.data.reading import decoded
from gradrace.bench.learning.summary import Contribution, Summary, summarize
from gradrace.bench.machine.progress import Progress, silent

FOLDER = "sums"
RESUME = Setting("resume", True)
_ABOUT = "about.json"
_NAME = re.compile(r"(\d+)-(\d+)\.npz")

Node = tuple[int, int]


def summarize_kept(
    files: Files, folder: Path, *, resume: bool = False, on_progress: Progress = silent
) -> Summary:
    """Make the pass over samples in files, and keep in `folder` what parts of it have found.

    If it is interrupted or fails, `resume` reads only the rest; the result has the same bits. Once
    the pass is complete, only the sums of all samples are kept, and `resume` reads nothing.

    Raises:
        InputValueError: as `summarize`; or there is nothing to resume, or it is from other files,
            other columns, or files that have changed since, or it is damaged.
        OSError: the folder cannot be written to.

    """
    with KeptParts(folder, files, resume=resume) as kept:
        try:
            return summarize(files, finished=kept, on_progress=on_progress)
        except ClusterError as error:
            if not len(kept):
                raise
            rest = "; ", RESUME, " goes on after the parts that are read"
            raise ClusterError(*error.args, *rest) from None


class KeptParts(MutableMapping[Node, Contribution]):
    """The contributions of a pass, one file each, by their place in the tree of partitions."""

    def __init__(self, folder: Path, files: Files, *, resume: bool) -> None:
        """Begin with what is in `folder`; without `resume`, empty it.

        Raises:
            InputValueError, OSError: as `summarize_kept`.

        """
        large: Any = backends.load(files.backend)
        self._folder, self._part = folder, large.Part
        if resume and not (folder / _ABOUT).exists():
            raise InputValueError(f"{folder}: has nothing to resume; leave out ", RESUME)
        folder.mkdir(parents=True, exist_ok=True)
        self._lock = _locked(folder)
        try:
            self._begin(_about(files), resume=resume)
        except BaseException:
            os.close(self._lock)
            raise

    def _begin(self, about: dict[str, Any], *, resume: bool) -> None:
        folder = self._folder
        if resume:
            _require_same(folder / _ABOUT, about)
        else:
            for path in folder.glob("*.npz"):
                path.unlink()
            write_json(folder / _ABOUT, about)
        names = map(_NAME.fullmatch, (path.name for path in folder.iterdir()))
        self._nodes = {(int(name[1]), int(name[2])) for name in names if name}

    def __enter__(self) -> Self:
        """Keep other runs away until the block ends."""
        return self

    def __exit__(self, *_: object) -> None:
        """Let other runs write here."""
        os.close(self._lock)

    def __len__(self) -> int:
        """Return how many contributions there are."""
        return len(self._nodes)

    def __iter__(self) -> Iterator[Node]:
        """Yield their places."""
        return iter(sorted(self._nodes))

    def __contains__(self, node: object) -> bool:
        """Whether there is one, without reading it."""
        return node in self._nodes

    def __getitem__(self, node: Node) -> Contribution:
        """Read one."""
        if node not in self._nodes:
            raise KeyError(node)
        path = self._path(node)
        try:
            with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
                part = {name: arrays[f"part_{name}"] for name in self._part._fields}
                own = {name: arrays[name] for name in ("low", "high", "keys", "rows")}
        except (ValueError, KeyError, EOFError, NotImplementedError, zipfile.BadZipFile):
            raise InputValueError(f"{path}: is damaged; start again without ", RESUME) from None
        part["n"] = int(part["n"])
        return Contribution(self._part(**part), **own, exact=None)

    def __setitem__(self, node: Node, found: Contribution) -> None:
        """Write one, atomically."""
        part = {f"part_{name}": values for name, values in found.part._asdict().items()}
        own = {"low": found.low, "high": found.high, "keys": found.keys, "rows": found.rows}
        with replacing(self._path(node)) as temporary, temporary.open("wb") as file:
            np.savez(file, allow_pickle=False, **part, **own)
        self._nodes.add(node)

    def __delitem__(self, node: Node) -> None:
        """Remove one."""
        self._nodes.remove(node)
        self._path(node).unlink()

    def _path(self, node: Node) -> Path:
        return self._folder / f"{node[0]}-{node[1]}.npz"


def _locked(folder: Path) -> int:
    """Return the descriptor of a folder that no other process has locked; closing it unlocks it."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        import fcntl

        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        another = f"{folder}: another run is writing here; use another "
        raise InputValueError(another, Setting("out")) from None
    return descriptor


def _about(files: Files) -> dict[str, Any]:
    """Return what the contributions depend on."""
    return {
        "format": "gradrace sums",
        "schema": 1,
        "features": list(files.features),
        "target": files.target,
        "parts": len(files.partitions.recipes),
        "files": [list(state) for state in files.state],
        "reading": list(files.table.reading),
    }


def _require_same(path: Path, about: dict[str, Any]) -> None:
    before, again = decoded(path), "start again without "
    if not isinstance(before, dict) or before.keys() != about.keys():
        raise InputValueError(f"{path}: is damaged or of another version; {again}", RESUME)
    about = json.loads(json.dumps(about))
    changed = [list(now) for now in about["files"] if now not in before["files"]]
    for name, *_ in changed:
        if name in {file[0] for file in before["files"]}:
            raise InputValueError(f"{name}: has changed since the pass began; {again}", RESUME)
    if before != about:
        raise InputValueError(
            f"{path.parent}: is from other files, columns or options; {again}", RESUME
        )
