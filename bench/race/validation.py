"""What a result file must be before it is used: of the types in `schema.py`, and consistent."""

import reprlib
from collections.abc import Hashable, Iterator, Sequence
from pathlib import Path
from typing import Any

from gradrace.backends.interface import InputValueError
from gradrace.bench.data.reading import repeated, require_type
from gradrace.bench.machine.roofline import Roofline
from gradrace.bench.race.schema import Benchmark, MeasuredFile


def require_result(path: Path, content: Any) -> None:
    """Make sure that `content` is a `MeasuredFile` that can be used.

    Raises:
        InputValueError: something is missing, has another type, is out of range, or contradicts
            the rest.

    """
    require_type(path, content, MeasuredFile)
    for contradiction in _contradictions(content):
        raise InputValueError(f"{path}: is damaged: {contradiction}")


def _contradictions(content: MeasuredFile) -> Iterator[str]:
    """Yield errors that types cannot exclude: unknown or repeated names, mismatched lists."""
    about, settings = content["gradrace"], content["gradrace"]["settings"]
    yield from _about_repetition(content)
    for case in settings["cases"]:
        if case["name"] != f"{case['n']}x{case['d']}":
            yield f"the name of the case {case['name']} does not match its n and d"
    if set(about["fingerprints"]) != set(settings["backends"]):
        yield "the fingerprints do not match the backends"
    if set(about["backends"]) != set(settings["backends"]):
        yield "what it says of the backends is not about those in its settings"
    yield from _about_names(content)
    finished = {session["number"] for session in about["sessions"] if not session["failure"]}
    for arm in content["benchmarks"]:
        yield from _about_times(arm, finished)
    if about["roofline"]:
        yield from _about_roofline(about["roofline"], settings["threads"])


def _about_repetition(content: MeasuredFile) -> Iterator[str]:
    about, settings = content["gradrace"], content["gradrace"]["settings"]
    arms = [
        (arm["group"], arm["extra_info"]["backend"], arm["extra_info"]["duplicate"])
        for arm in content["benchmarks"]
    ]
    unique: dict[str, Sequence[Hashable]] = {
        "case": [case["name"] for case in settings["cases"]],
        "backend": settings["backends"],
        "session": [session["number"] for session in about["sessions"]],
        "timed arm": arms,
    }
    for what, values in unique.items():
        if again := repeated(values):
            yield f"the {what} {reprlib.repr(again[0])} appears twice"


def _about_names(content: MeasuredFile) -> Iterator[str]:
    about, settings = content["gradrace"], content["gradrace"]["settings"]
    names = [case["name"] for case in settings["cases"]]
    used = [
        *((arm["group"], arm["extra_info"]["backend"]) for arm in content["benchmarks"]),
        *((trial["case"], trial["backend"]) for trial in about["trials"]),
        *((arm["case"].partition("@")[0], arm["backend"]) for arm in about["arms"]),
        *((names[0], entry["backend"]) for entry in about["compile"]),
        (names[0], settings["baseline"]),
        *((names[0], facts.get("version_of", name)) for name, facts in about["backends"].items()),
    ]
    for name, backend in used:
        if name not in names or backend not in settings["backends"]:
            yield f"{reprlib.repr(backend)} on {name} is not in the settings"


def _about_times(arm: Benchmark, finished: set[int]) -> Iterator[str]:
    info = arm["extra_info"]
    name = f"{reprlib.repr(info['backend'])} on {arm['group']}"
    times = {len(info["sessions"]), len(info["repetitions"]), len(arm["stats"]["data"])}
    if len(times) > 1:
        yield f"{name} has different numbers of times, sessions and repetitions"
    if repeated(list(zip(info["sessions"], info["repetitions"], strict=False))):
        yield f"{name} has two times for the same repetition"
    if not finished.issuperset(info["sessions"]):
        yield f"{name} has times from sessions that did not finish"


def _about_roofline(roofline: Roofline, threads: int) -> Iterator[str]:
    read, again = roofline["read"], roofline["read_again"]
    if "1" not in read or str(min(threads, max(map(int, read)))) not in read:
        yield "the roofline has no rates for this number of threads"
    others = (again, roofline["fma"], roofline["fma_again"])
    if any(rates.keys() != read.keys() for rates in others):
        yield "the rates of the roofline are for different numbers of threads"
    if any(len(rates) != len(roofline["sizes"]) for rates in (*read.values(), *again.values())):
        yield "the roofline has different numbers of sizes and rates"
