"""A timing session: the suite `test_speed.py` under pytest-benchmark, in a process of its own."""

import os
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import msgspec
from msgspec import Struct

from gradrace.bench.data.files import check_space
from gradrace.bench.machine import child
from gradrace.bench.machine.facts import Libraries, thread_environment
from gradrace.bench.machine.ranges import Count, Number
from gradrace.bench.machine.usage import Meter, Usage
from gradrace.bench.proof.agreement import Verdict
from gradrace.bench.proof.isolation import signal_name, text_of
from gradrace.bench.race.plan import Plan
from gradrace.bench.race.verdict.result import Timed

_HERE = Path(__file__).parent.parent  # not resolved: pytest names modules by their folders
_PYTEST = "import pytest; sys.exit(pytest.main(sys.argv[1:]))"
_TESTS_FAILED = 1  # pytest's exit status: a test failed, because a backend disagrees


class _SessionMachine(Struct):
    """What only the timing process knows about the machine: the threads that it really used."""

    libraries: Libraries


class Timings(Struct):
    """What a session leaves in pytest-benchmark's file; no benchmarks if that is unusable."""

    machine_info: _SessionMachine | None = None
    benchmarks: list[Timed] = []


class Judged(Struct, tag_field="event", tag="verdict"):
    """A line of a session's log: a contender was judged."""

    case: str
    contender: str
    verdict: Verdict
    too_slow: str
    epochs: Count


class Block(Struct, tag_field="event", tag="block"):
    """A line of a session's log: a block was timed."""

    case: str
    contender: str
    repetition: Number


Event = Judged | Block


@dataclass(frozen=True)
class Session:
    """What one session timed and found."""

    results: Timings
    """pytest-benchmark's JSON; `benchmarks` is empty if the session failed."""
    events: list[Event]
    """What it reported, in order: a verdict per contender, then its timed blocks."""
    failure: str
    """Why the session failed; empty if it did not."""
    timed_out: bool
    usage: Usage
    """What `machine.usage.Meter` saw."""

    @property
    def verdicts(self) -> list[Judged]:
        """The verdicts, one per contender that was tried."""
        return [event for event in self.events if isinstance(event, Judged)]


def time_plan(
    plan: Plan,
    *,
    threads: int,
    cache: Path,
    timeout: float,
    on_event: Callable[[Event], None] = lambda _: None,
) -> Session:
    """Verify and time what `plan` says, in a fresh process whose libraries get `threads` threads.

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
        usage, (events, readable) = meter.read(), _events(log)
        results = _timings(folder / "timings.json")
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
            size, (events, _) = written, _events(log)
            for event in events[seen:]:
                on_event(event)
            seen = len(events)
        if time.monotonic() > deadline:
            return True
    return False


def _missing(plan: Plan, events: list[Event], results: Timings) -> bool:
    """Whether a block of a contender that passed was not timed."""
    unfit = {
        (event.case, event.contender)
        for event in events
        if isinstance(event, Judged) and (event.too_slow or not event.verdict.agrees)
    }
    blocks = sum(isinstance(event, Block) for event in events)
    fit = [one for one in plan.contenders if (one.job.name, one.label) not in unfit]
    return blocks < sum(one.repetitions for one in fit) or len(results.benchmarks) < len(fit)


def _timings(path: Path) -> Timings:
    """Return what a session left in pytest-benchmark's file; it may be cut off or forged."""
    try:
        found = msgspec.json.decode(path.read_bytes(), type=Timings)
    except (OSError, ValueError, RecursionError):
        return Timings()
    whole = all(len(one.stats.data) == len(one.extra_info.repetitions) for one in found.benchmarks)
    return found if whole else Timings()


def _events(log: Path) -> tuple[list[Event], bool]:
    """Return the events in a session's log, and whether every finished line is one.

    They end at the first line that is not an event. An unfinished line is ignored: the child may be
    writing it.
    """
    found: list[Event] = []
    try:
        for line in log.read_bytes().split(b"\n")[:-1]:
            found.append(msgspec.json.decode(line, type=Event))
    except (OSError, ValueError, RecursionError):
        return found, False
    return found, True


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
