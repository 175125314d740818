import functools
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import dask
import numpy as np
import pytest

from gradrace import backends
from gradrace.backends.interface import Backend, Trajectory
from gradrace.bench.data.samples import Dataset, reference_line
from gradrace.bench.machine.roofline import Roofline, measured
from gradrace.bench.race import run

ROOT = Path(__file__).resolve().parent.parent
if not Path(backends.__file__).resolve().is_relative_to(ROOT):
    pytest.exit(f"gradrace is installed from elsewhere; run pip install -e {ROOT}", 2)
FOREIGN = Path(__file__).resolve().parent / "foreign"

Command = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture(params=backends.names())
def backend(request: pytest.FixtureRequest) -> Backend:
    """Every built-in backend; none is ever skipped."""
    return backends.load(request.param)


@pytest.fixture(scope="session", autouse=True)
def scratch(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Let clusters, here and in other processes, leave nothing in the folder that all share."""
    folder = str(tmp_path_factory.mktemp("scratch"))
    with pytest.MonkeyPatch.context() as patched, dask.config.set({"temporary-directory": folder}):
        patched.setenv("DASK_TEMPORARY_DIRECTORY", folder)
        yield


@pytest.fixture(scope="session", autouse=True)
def limit() -> Iterator[None]:
    """Measure what the machine can do once for all races in this process: it takes 4 s."""
    known = functools.cache(measured)

    def at_first(threads: int, _cache: Path) -> Roofline:
        return known(threads)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(run, "measured", at_first)
        yield


@pytest.fixture(scope="session")
def line() -> Dataset:
    return reference_line()


def copy_package(folder: Path) -> None:
    """Copy the backends and what makes them `gradrace.backends`; put .src on the path."""
    shutil.copytree(
        ROOT / "backends", folder / "backends", ignore=shutil.ignore_patterns("__pycache__")
    )
    package = folder / ".src" / "gradrace"
    package.mkdir(parents=True)
    shutil.copy(ROOT / ".src" / "gradrace" / "__init__.py", package)
    (package / "backends").symlink_to("../../backends")


def process(folder: Path, *words: str, timeout: float = 600) -> "subprocess.CompletedProcess[str]":
    """Run the command line in a process of its own, without a terminal."""
    return subprocess.run(
        [sys.executable, "-m", "gradrace", *words],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        timeout=timeout,
    )


@pytest.fixture
def gradrace(tmp_path: Path) -> Command:
    """Run the command line in an empty folder, without a terminal."""
    return functools.partial(process, tmp_path)


def write_forger(path: Path, folder: str, name: str, content: bytes) -> str:
    """Write a backend that leaves its own file in `folder`, an expression, and exits with 0."""
    path.write_text(
        "import os, pathlib, sys\n"
        "prepare = lambda X, y: None\n"
        "def train(data, **job):\n"
        f"    (pathlib.Path({folder}) / {name!r}).write_bytes({content!r})\n"
        "    os._exit(0)\n"
    )
    return str(path)


def assert_same_bits(a: Trajectory, b: Trajectory) -> None:
    for field, p, q in zip(Trajectory._fields, a, b, strict=True):
        np.testing.assert_array_equal(p, q, err_msg=field, strict=True)
