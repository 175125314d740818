"""Child processes: starting them, and ending them with all that they have started.

A child leads a process group of its own. `end` kills that group, and what descends from the child.
On Linux, the system kills a child as soon as its parent ends, even by SIGKILL. To Linux, the parent
is the *thread* that called `start`. What a child may still leave behind is said in the README of
`gradrace.bench.proof`.
"""

import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from contextlib import suppress
from typing import IO

import psutil

from gradrace.backends.support import revisions

Child = subprocess.Popen[bytes]

_SET_DEATH_SIGNAL = 1  # PR_SET_PDEATHSIG of prctl


def start(
    code: str,
    *arguments: str,
    output: int | IO[bytes],
    environment: Mapping[str, str] | None = None,
) -> Child:
    """Start Python `code`, which can use `sys`; everything that it prints goes to `output`.

    The current folder is not on its path. End it with `end`, in the same thread.
    """
    first = f"from gradrace.bench.machine import child; child.end_with({os.getpid()})"
    return subprocess.Popen(
        [sys.executable, "-P", "-c", f"import sys; {first}; {code}", *arguments],
        env={**(os.environ if environment is None else environment), **revisions.environment()},
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=subprocess.STDOUT,
        start_new_session=True,  # Ctrl-C reaches only the parent
    )


def end_with(parent: int) -> None:
    """End this process when its parent, the process of this number, ends, or if it has ended."""
    if sys.platform == "linux":
        import ctypes

        ctypes.CDLL(None).prctl(_SET_DEATH_SIGNAL, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)


def end(child: Child) -> None:
    """End a child, if it is still running, and what it has started."""
    family = []
    if child.poll() is None:
        with suppress(psutil.Error):  # it has just ended
            family = psutil.Process(child.pid).children(recursive=True)
    with suppress(ProcessLookupError):  # nothing is left of its group
        os.killpg(child.pid, signal.SIGKILL)
    for process in family:  # some may have left the group
        with suppress(psutil.Error):
            process.kill()
    child.wait()
