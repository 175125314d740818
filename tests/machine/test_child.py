"""A child says how it ended, what it started ends with it, and it never outlives its parent."""

import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from gradrace.bench.machine import child

PATIENCE = 300  # seconds
FAMILY = 3  # processes
CLING = """
import ctypes, os, pathlib, signal, time
for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
    signal.signal(number, signal.SIG_IGN)
ours = os.fork()  # in the same process group
if ours and os.fork() == 0:
    os.setsid()  # in one of its own
pathlib.Path(sys.argv[1], str(os.getpid())).touch()
ctypes.PyDLL(None).sleep(600)  # no handler of Python runs here
"""
PARENT = f"""
import subprocess, sys
from gradrace.bench.machine import child
child.start({CLING!r}, sys.argv[1], output=subprocess.DEVNULL).wait()
"""


def begin(code: str, *arguments: str) -> child.Child:
    return child.start(code, *arguments, output=subprocess.DEVNULL)


def family(folder: Path) -> list[int]:
    """The processes of CLING, once all of them have started."""
    deadline = time.monotonic() + PATIENCE
    while len(found := sorted(int(path.name) for path in folder.iterdir())) < FAMILY:
        assert time.monotonic() < deadline, found
        time.sleep(0.02)
    return found


def assert_gone(*processes: int) -> None:
    deadline = time.monotonic() + PATIENCE
    while left := [pid for pid in processes if psutil.pid_exists(pid)]:
        assert time.monotonic() < deadline, left
        time.sleep(0.02)


@pytest.mark.parametrize("code", ["sys.exit(3)", "import os; os.kill(os.getpid(), 40)"])
def test_the_exit_status_and_the_signal_are_reported(code: str) -> None:
    process = begin(code)
    assert process.wait(PATIENCE) == (3 if "exit" in code else -40)
    child.end(process)


def test_end_ends_the_whole_family(tmp_path: Path) -> None:
    process = begin(CLING, str(tmp_path))
    found = family(tmp_path)
    child.end(process)
    assert process.returncode == -signal.SIGKILL
    assert_gone(*found)


def test_what_a_child_leaves_in_its_group_ends_too() -> None:
    process = child.start(
        "import subprocess; print(subprocess.Popen(['sleep', '600']).pid)", output=subprocess.PIPE
    )
    assert process.stdout is not None
    left = int(process.stdout.readline())
    assert process.wait(PATIENCE) == 0
    assert psutil.pid_exists(left)
    child.end(process)
    assert_gone(left)
    process.stdout.close()


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a child that we have ended")
class TestParent:
    def test_a_child_ends_with_it(self, tmp_path: Path) -> None:
        with subprocess.Popen([sys.executable, "-c", PARENT, str(tmp_path)]) as parent:
            found = family(tmp_path)
            (worker,) = psutil.Process(parent.pid).children()
            others = [psutil.Process(pid) for pid in found if pid != worker.pid]
            parent.kill()
        assert_gone(worker.pid)
        for process in others:  # nobody is left who would end these
            process.kill()

    def test_one_that_has_ended_already_is_noticed(self) -> None:
        code = "from gradrace.bench.machine import child; child.end_with(0); print('alive')"
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=False)
        assert (done.returncode, done.stdout) == (1, b"")
