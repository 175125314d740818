"""What a session leaves behind: its times and its log; either may be cut off or forged."""

from pathlib import Path
from typing import Literal, NotRequired, TypedDict

import msgspec

from gradrace.bench.machine.facts import Libraries
from gradrace.bench.machine.ranges import Count, Number
from gradrace.bench.race.schema import BackendVerdict, Size, Timed


class SessionMachine(TypedDict):
    """What only the timing process knows about the machine: the threads that it really used."""

    libraries: Libraries


class TimingsFile(TypedDict):
    """What a session leaves in pytest-benchmark's file; no benchmarks if that is unusable."""

    machine_info: NotRequired[SessionMachine]
    benchmarks: list[Timed]


class VerdictEvent(TypedDict):
    """A line of a session's log: an arm was judged."""

    event: Literal["verdict"]
    case: Size
    arm: str
    verdict: BackendVerdict
    too_slow: str
    epochs: Count


class BlockEvent(TypedDict):
    """A line of a session's log: a block was timed."""

    event: Literal["block"]
    case: Size
    arm: str
    repetition: Number


Event = VerdictEvent | BlockEvent


def timings(path: Path) -> TimingsFile:
    """Return what a session left in pytest-benchmark's file; no benchmarks if that is unusable."""
    try:
        found: TimingsFile = msgspec.json.decode(path.read_bytes())
        msgspec.convert(found, type=TimingsFile)
    except (OSError, ValueError, RecursionError):  # missing, cut off by a kill, or forged
        return {"benchmarks": []}
    whole = all(
        len(arm["stats"]["data"]) == len(arm["extra_info"]["repetitions"])
        for arm in found["benchmarks"]
    )
    return found if whole else {"benchmarks": []}


def events(log: Path) -> tuple[list[Event], bool]:
    """Return the events in a session's log, and whether every finished line is one.

    They end at the first line that is not an event. An unfinished line is ignored: the child may be
    writing it.
    """
    found: list[Event] = []
    try:
        for line in log.read_bytes().split(b"\n")[:-1]:
            event = msgspec.json.decode(line)
            verdict = isinstance(event, dict) and event.get("event") == "verdict"
            msgspec.convert(event, type=VerdictEvent if verdict else BlockEvent)
            found.append(event)
    except (OSError, ValueError, RecursionError):
        return found, False
    return found, True
