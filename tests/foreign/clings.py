"""A backend that hangs where no signal handler runs, and whose child processes refuse to end."""

import ctypes
import os
import signal
import time
from pathlib import Path


def prepare(X, y):
    for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
        signal.signal(number, signal.SIG_IGN)
    leave()
    leave(session=True)
    leave(session=True, daemon=True)
    announce()


def train(data, **job):
    ctypes.PyDLL(None).sleep(600)


def leave(*, session=False, daemon=False):
    """Leave a process behind, in its own session and without a parent."""
    if child := os.fork():
        if daemon:
            os.waitpid(child, 0)
        return
    if session:
        os.setsid()
    if daemon and os.fork():
        os._exit(0)
    announce()
    time.sleep(600)
    os._exit(0)


def announce():
    (Path(os.environ["GRADRACE_TEST_FOLDER"]) / str(os.getpid())).touch()
