"""Child processes: starting them, and making sure that none outlives us, whatever it runs.

A child is two processes: a guardian, and a worker, which does the work. The guardian waits until
the worker ends, or the process that started them ends (even by SIGKILL), or `end` asks. Then it
kills whatever still runs, the worker included, and ends as the worker did.

On Linux, orphans become children of the guardian, so it also finds daemons in sessions of their
own. The system tells the guardian when its parent has died, and kills the worker when the guardian
has died. To Linux, the parent is the *thread* that called `start`: the child ends with it.
Elsewhere, the guardian looks for its parent twice a second, and what is killed is what descends
from a worker that still runs, or is in the child's process group. Windows has no guardians: there,
`end` kills only the child itself.

Even on Linux, some processes can survive: those of a backend that kills or stops its guardian,
unless they are in its process group; those of another user (sudo); those that another program runs
for the backend (cron, systemd, containers) or holds (a debugger); and those on other hosts.
"""

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from typing import IO, NoReturn

from gradrace.backends.support import revisions

Child = subprocess.Popen[bytes]

_PATIENCE = 5.0  # seconds that killed processes have to end
_LOOK = 0.5  # seconds between two checks of the parent, where the system does not notify

_SET_DEATH_SIGNAL, _SET_DUMPABLE, _SET_SUBREAPER = 1, 4, 36  # of prctl


def start(
    code: str,
    *arguments: str,
    output: int | IO[bytes],
    environment: Mapping[str, str] | None = None,
) -> Child:
    """Start Python `code`, which can use `sys`; everything that it prints goes to `output`.

    The current folder is not on its path. End it with `end`, in the same thread.
    """
    guarding = f"from gradrace.bench.machine import child; child.guard({os.getpid()})"
    program = f"import sys; {guarding}; {code}"
    return subprocess.Popen(
        [sys.executable, "-P", "-c", program, *arguments],
        env={**(os.environ if environment is None else environment), **revisions.environment()},
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=subprocess.STDOUT,
        start_new_session=True,  # Ctrl-C reaches only the parent; killing kills the group
    )


def end(child: Child) -> None:
    """End a child, if it is still running, and everything that it started."""
    if os.name != "posix":
        child.kill()
        child.wait()
        return
    if child.poll() is None:
        child.terminate()  # the guardian knows all descendants
        with contextlib.suppress(subprocess.TimeoutExpired):
            child.wait(2 * _PATIENCE)
    with contextlib.suppress(ProcessLookupError):  # all of them have ended
        os.killpg(child.pid, signal.SIGKILL)
    child.wait()


def guard(parent: int) -> None:
    """Continue in a new process, the worker; the old one stays as its guardian and never returns.

    `parent` is the process that called `start`.
    """
    if sys.platform == "win32":
        return
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    if sys.platform == "linux":
        _prctl(_SET_SUBREAPER, 1)
        _prctl(_SET_DEATH_SIGNAL, signal.SIGTERM)
    else:
        signal.setitimer(signal.ITIMER_REAL, _LOOK, _LOOK)
    guardian, worker = os.getpid(), os.fork()
    if worker:
        status = _outlive(worker, parent)
        _end_family()
        _end_like(status)
    if sys.platform == "linux":
        _prctl(_SET_DEATH_SIGNAL, signal.SIGKILL)
        if os.getppid() != guardian:  # it died before it could be watched
            os._exit(1)
    signal.pthread_sigmask(signal.SIG_SETMASK, mask)


def _prctl(option: int, value: int) -> None:
    import ctypes

    ctypes.CDLL(None).prctl(option, ctypes.c_ulong(value))


def _outlive(worker: int, parent: int) -> int:
    """Return the worker's wait status when it ends, or that of a kill if it is to be ended."""
    signal.signal(signal.SIGCHLD, lambda *_: None)  # some systems drop signals without a handler
    heard = {signal.SIGCHLD, signal.SIGTERM, signal.SIGALRM}
    while os.getppid() == parent:
        ended, status = os.waitpid(-1, os.WNOHANG)
        if ended == worker:
            return status
        if not ended and signal.sigwait(heard) == signal.SIGTERM:
            break
    return signal.SIGKILL


def _end_family() -> None:
    """Kill every descendant and wait for it, so that its processor time counts as our child's."""
    patience = time.monotonic() + _PATIENCE
    with contextlib.suppress(ChildProcessError):  # there is none; most workers leave none
        while time.monotonic() < patience:
            ended, _ = os.waitpid(-1, os.WNOHANG)
            if not ended:
                _kill_descendants()
                time.sleep(0.01)


def _kill_descendants() -> None:
    import psutil

    for process in psutil.Process().children(recursive=True):
        with contextlib.suppress(psutil.Error):  # it has ended, or belongs to another user
            process.kill()


def _end_like(status: int) -> NoReturn:
    """End as the worker did, by the same signal if it was one."""
    code = os.waitstatus_to_exitcode(status)
    if code < 0:
        if sys.platform == "linux":
            _prctl(_SET_DUMPABLE, 0)  # one core dump is enough
        with contextlib.suppress(OSError):  # SIGKILL has no handler
            signal.signal(-code, signal.SIG_DFL)
        os.kill(os.getpid(), -code)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {-code})
    os._exit(code)
