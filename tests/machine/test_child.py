"""A child ends as its worker did, and nothing that it started outlives it or us."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from gradrace.bench.machine import child
from tests.conftest import FOREIGN, ROOT

FAMILY = 4  # processes
CLINGS = str(FOREIGN / "clings.py")
LEAVE = f"sys.path.append({str(FOREIGN)!r}); import clings; clings.prepare(0, 0)"
CLING = f"{LEAVE}; clings.train(0)"
SESSION = (
    "import sys; from pathlib import Path; from gradrace.bench.race.plan import Arm, Plan; "
    "from gradrace.bench.race.session import time_arms; "
    "time_arms(Plan((Arm('20x1@50', sys.argv[1]),), '0'), threads=1, cache=Path('cache'), "
    "timeout=1e3)"
)

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="elsewhere, daemons may stay")


@pytest.fixture
def pids(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder where every process of the clinging backend writes its number."""
    folder = tmp_path / "pids"
    folder.mkdir()
    monkeypatch.setenv("GRADRACE_TEST_FOLDER", str(folder))
    return folder


def begin(code: str, *arguments: str) -> child.Child:
    return child.start(code, *arguments, output=subprocess.DEVNULL)


def family(pids: Path) -> list[int]:
    """The processes of the backend, once all of them have started."""
    deadline = time.monotonic() + 600
    while len(found := [int(path.name) for path in pids.iterdir()]) < FAMILY:
        assert time.monotonic() < deadline, found
        time.sleep(0.05)
    return found


def assert_gone(processes: list[int]) -> None:
    deadline = time.monotonic() + 600
    while left := [pid for pid in processes if psutil.pid_exists(pid)]:
        assert time.monotonic() < deadline, left
        time.sleep(0.05)


@pytest.mark.parametrize("status", [0, 3, 255])
def test_the_exit_status_is_the_workers(status: int) -> None:
    process = begin("sys.exit(int(sys.argv[1]))", str(status))
    assert process.wait(600) == status
    child.end(process)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSEGV, signal.SIGINT, 40])
def test_so_is_the_signal(number: int) -> None:
    process = begin(
        "import os, signal; number = int(sys.argv[1]); "
        "number == 9 or signal.signal(number, signal.SIG_DFL); os.kill(os.getpid(), number)",
        str(number),
    )
    assert process.wait(600) == -number
    child.end(process)


def test_what_the_worker_leaves_ends_with_it(pids: Path) -> None:
    process = begin(LEAVE)
    assert process.wait(600) == 0
    assert_gone(family(pids))
    child.end(process)


def test_end_ends_the_whole_family(pids: Path) -> None:
    process = begin(CLING)
    found = family(pids)
    child.end(process)
    assert process.returncode == -signal.SIGKILL
    assert_gone(found)


def test_without_its_guardian_a_worker_ends() -> None:
    process = begin("import time; time.sleep(600)")
    while not (workers := psutil.Process(process.pid).children()):
        time.sleep(0.01)
    process.kill()
    process.wait()
    assert_gone([worker.pid for worker in workers])


@pytest.mark.parametrize("words", [["-m", "gradrace", "check", "--backend"], ["-c", SESSION]])
def test_a_killed_parent_takes_the_whole_family_along(
    pids: Path, tmp_path: Path, words: list[str]
) -> None:
    with subprocess.Popen(
        [sys.executable, *words, CLINGS],
        cwd=tmp_path,
        env={**os.environ, "TMPDIR": str(tmp_path)},
    ) as parent:
        found = family(pids)
        parent.kill()
    assert_gone(found)


def test_a_parent_that_has_died_already_is_noticed() -> None:
    code = "import time; from gradrace.bench.machine import child; child.guard(0); time.sleep(600)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == -9


ORPHAN = """
import os, time
ended, end = os.pipe()
if not os.fork():
    if not os.fork():
        while time.process_time() < 0.5:
            pass
    os._exit(0)
os.close(end)
os.read(ended, 1)
"""


def test_the_processor_time_of_orphans_is_accounted_for() -> None:
    before = psutil.Process().cpu_times()
    process = begin(f"exec({ORPHAN!r})")
    process.wait(600)
    child.end(process)
    after = psutil.Process().cpu_times()
    assert sum(after[2:4]) - sum(before[2:4]) > 0.4  # of children, in user and in system mode
