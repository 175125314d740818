"""What a session leaves: its times and its log; either may be cut off or forged."""

from pathlib import Path
from typing import Any, Literal, TypedDict

import msgspec

from bench.findings.schema import Number, Size, Spec, Timed


class TimingsFile(TypedDict):
    """What a session leaves."""

    machine_info: Any
    benchmarks: list[Timed]


class Judged(TypedDict):
    """A verdict, as far as it is read."""

    backend: Spec
    agrees: bool
    reason: str


class VerdictEvent(TypedDict):
    """A line of a session's log: an arm was judged."""

    event: Literal["verdict"]
    case: Size
    arm: str
    verdict: Judged
    too_slow: str


class BlockEvent(TypedDict):
    """A line of a session's log: a block was timed."""

    event: Literal["block"]
    case: Size
    arm: str
    repetition: Number


def timings(path: Path) -> Any:
    """Return what a session left in pytest-benchmark's file; no benchmarks if that is unusable."""
    try:
        content = msgspec.json.decode(path.read_bytes())
        found: TimingsFile = msgspec.convert(content, type=TimingsFile)
    except (OSError, ValueError, RecursionError):  # missing, cut off by a kill, or forged
        return {"benchmarks": []}
    whole = all(
        len(arm["stats"]["data"]) == len(arm["extra_info"]["repetitions"])
        for arm in found["benchmarks"]
    )
    return content if whole else {"benchmarks": []}


def events(log: Path) -> tuple[list[Any], bool]:
    """Return the events in a session's log, and whether every finished line is one.

    They end at the first line that is none. An unfinished line is ignored: the child may be
    writing it.
    """
    found: list[Any] = []
    try:
        for line in log.read_bytes().split(b"\n")[:-1]:
            event = msgspec.json.decode(line)
            verdict = isinstance(event, dict) and event.get("event") == "verdict"
            msgspec.convert(event, type=VerdictEvent if verdict else BlockEvent)
            found.append(event)
    except (OSError, ValueError, RecursionError):
        return found, False
    return found, True
