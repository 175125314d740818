"""A timing session: the suite `test_speed.py` under pytest-benchmark, in a process of its own."""

import os
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from gradrace.bench.data.files import check_space
from gradrace.bench.machine import child
from gradrace.bench.machine.facts import thread_environment
from gradrace.bench.machine.usage import Meter, Usage
from gradrace.bench.proof.isolation import signal_name, text_of
from gradrace.bench.race import session_files
from gradrace.bench.race.plan import Plan
from gradrace.bench.race.session_files import Event, TimingsFile, VerdictEvent

_HERE = Path(__file__).parent.parent  # not resolved: pytest names modules by their folders
_PYTEST = "import pytest; sys.exit(pytest.main(sys.argv[1:]))"
_TESTS_FAILED = (
    1  # pytest's exit status: a test failed, because an arm (a backend on a case) disagrees
)


@dataclass(frozen=True)
class Session:
    """What one session timed and found."""

    results: TimingsFile
    """pytest-benchmark's JSON; `benchmarks` is empty if the session failed."""
    events: list[Event]
    """What it reported, in order: a verdict per arm, then its timed blocks."""
    failure: str
    """Why the session failed; empty if it did not."""
    timed_out: bool
    usage: Usage
    """What `machine.usage.Meter` saw."""

    @property
    def verdicts(self) -> list[VerdictEvent]:
        """The verdict events, one per arm that was tried."""
        return [event for event in self.events if event["event"] == "verdict"]


def time_arms(
    plan: Plan,
    *,
    threads: int,
    cache: Path,
    timeout: float,
    on_event: Callable[[Event], None] = lambda _: None,
) -> Session:
    """Verify and time the arms of `plan`, in a fresh process whose libraries get `threads` threads.

    `cache` is where Numba keeps its machine code, `timeout` is in seconds. `on_event` gets every
    event soon after it happened. The process ends when this function does, however it ends.

    Raises:
        OSError: the folder for temporary files is full.

    """
    with tempfile.TemporaryDirectory(prefix="gradrace-") as name:
        folder = Path(name)
        log, output = folder / "log.jsonl", folder / "output.txt"
        log.touch()
        plan.write(folder / "plan.json")
        environment = {**thread_environment(threads), "NUMBA_CACHE_DIR": str(cache)}
        meter = Meter()
        with output.open("wb") as stream:
            process = _start(folder, log, stream, environment)
            try:
                timed_out = _watched(process, log, timeout, on_event)
            finally:
                child.end(process)
        usage, (events, readable) = meter.read(), session_files.events(log)
        results = session_files.timings(folder / "timings.json")
        if process.returncode or not readable:
            check_space(folder)  # if the disk is full, the session is not at fault
        last = " ".join(text_of(output).split("\n")[-4:]).strip()
    failure = ""
    if timed_out:
        failure = f"its process did not end within {timeout:.0f} s"
    elif not readable:
        failure = "its process left a log that cannot be read"
    elif process.returncode < 0:
        failure = f"its process was killed by {signal_name(-process.returncode)}"
    elif process.returncode > _TESTS_FAILED or _missing(plan, events, results):
        failure = f"its process ended with status {process.returncode}: {last}"
    return Session(results, events, failure, timed_out, usage)


def _watched(
    process: child.Child, log: Path, timeout: float, on_event: Callable[[Event], None]
) -> bool:
    """Report the events until the process ends; return whether it ran out of time instead."""
    deadline, seen, size = time.monotonic() + timeout, 0, 0
    while process.poll() is None:
        time.sleep(0.1)
        written = log.stat().st_size if log.exists() else 0
        if (
            written > size
        ):  # otherwise there is nothing to read, and reading would disturb the timing
            size, (events, _) = written, session_files.events(log)
            for event in events[seen:]:
                on_event(event)
            seen = len(events)
        if time.monotonic() > deadline:
            return True
    return False


def _missing(plan: Plan, events: list[Event], results: TimingsFile) -> bool:
    """Whether a block of an arm that passed was not timed."""
    fit = {
        (event["case"], event["arm"]): event["verdict"]["agrees"] and not event["too_slow"]
        for event in events
        if event["event"] == "verdict"
    }
    blocks = sum(event["event"] == "block" for event in events)
    arms = [arm for arm in plan.arms if fit.get((arm.job.name, arm.label), True)]
    return blocks < sum(arm.repetitions for arm in arms) or len(results["benchmarks"]) < len(arms)


def _start(folder: Path, log: Path, stream: BinaryIO, environment: dict[str, str]) -> child.Child:
    """Start pytest on the suite, out of reach of the user's own pytest settings."""
    arguments = [
        str(_HERE / "test_speed.py"),
        "-c",
        os.devnull,
        "--rootdir",
        str(_HERE),
        "-p",
        "no:cacheprovider",
        "-p",
        "pytest_benchmark.plugin",
        "--benchmark-only",
        "-q",
        "--tb=short",
        "--benchmark-json",
        str(folder / "timings.json"),
        "--plan",
        str(folder / "plan.json"),
        "--log",
        str(log),
    ]
    inherited = {key: value for key, value in os.environ.items() if not key.startswith("PYTEST_")}
    environment = {**inherited, **environment, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    return child.start(_PYTEST, *arguments, output=stream, environment=environment)
