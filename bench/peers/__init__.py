"""Peers: the same loop in other libraries and in C, to compare the built-in backends with.

Each is a backend file as anyone could write it: it imports nothing of ours but the interface, and
is passed by its path, as in `gradrace check --backend bench/peers/c_loop.py`. `available` says
which ones can run here.
"""

import shutil
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple


class Peer(NamedTuple):
    """The file of a peer, what it needs, and how to install that."""

    module: str
    """The stem of its file."""
    package: str | None
    """None for a C compiler."""
    extra: str | None
    """The extra of gradrace that installs the package."""


PEERS = {
    "textbook": Peer("textbook_numpy", "numpy", None),
    "c": Peer("c_loop", None, None),
    "jax": Peer("jax_scan", "jax", "jax"),
    "torch": Peer("torch_loop", "torch", "torch"),
    "dask-epochs": Peer("dask_epochs", "dask", "dask"),
}

COMPILERS = ("cc", "gcc", "clang")
"""The same as in `c_loop`, which imports nothing from here."""


def path(name: str) -> str:
    """Return the absolute path of a peer's file."""
    return str(Path(__file__).resolve().with_name(f"{PEERS[name].module}.py"))


def missing(name: str) -> str:
    """Say in one line what a peer needs to run here, without importing it; empty if nothing."""
    _, package, extra = PEERS[name]
    if package is None:
        if any(map(shutil.which, COMPILERS)):
            return ""
        return f"{name}: needs a C compiler: none of {', '.join(COMPILERS)} found"
    if find_spec(package) is not None:
        return ""
    return f"{name}: is missing: pip install 'gradrace[{extra}]'"


def available() -> tuple[list[str], list[str]]:
    """Return the files of the peers that can run here, and a reason for each that cannot."""
    reasons = {name: missing(name) for name in PEERS}
    files = [path(name) for name, reason in reasons.items() if not reason]
    return files, [reason for reason in reasons.values() if reason]


def raceable() -> tuple[list[str], list[str]]:
    """Return the same as `available`, after running an epoch of each peer in a separate process.

    The reasons include peers that are installed but broken, with their own error message.
    """
    from gradrace.bench.data.samples import (
        synthetic,  # imported here, because importing NumPy takes a while
    )
    from gradrace.bench.proof.isolation import run_isolated
    from gradrace.bench.proof.problems import Problem
    from gradrace.bench.proof.returns import BackendError

    (files, reasons), data = available(), synthetic(2, 1)
    sound = []
    for file in files:
        try:
            run_isolated(file, [Problem("", data.X, data.y, lr=0.1, epochs=1)])
        except BackendError as error:
            reasons.append(f"{Path(file).stem}: {error}")
        else:
            sound.append(file)
    return sound, reasons
