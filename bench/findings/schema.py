"""The files that gradrace reads back, and what must hold before it trusts them.

`ResultFile` and `ModelFile` describe only what is read: other keys are allowed, and conclusions are
not trusted but drawn anew. The limits are wide. They ensure that no later step overflows, divides
by 0 or never ends, whoever wrote the file.
"""

import reprlib
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, NotRequired, TypedDict

from msgspec import Meta

from backends.interface import MOST_EPOCHS, InputValueError
from bench.data.reading import repeated, require_type

MOST_SESSIONS = MOST_REPETITIONS = MOST_THREADS = 10_000
MOST_SECONDS = 1e6
"""The most that anything may take; a million seconds are twelve days."""

# The ratio of two times per epoch is at most 10²¹, so an interval of two sessions is finite
PerEpoch = Annotated[float, Meta(ge=1e-15, le=MOST_SECONDS)]
Seconds = Annotated[float, Meta(ge=0, le=MOST_SECONDS)]
Cores = Annotated[float, Meta(ge=0, le=1e9)]
Count = Annotated[int, Meta(ge=1, le=MOST_EPOCHS)]
Number = Annotated[int, Meta(ge=0, le=MOST_EPOCHS)]
PerSecond = Annotated[float, Meta(ge=1, le=1e18)]
Spec = Annotated[str, Meta(min_length=1, max_length=4096)]  # a path, at the longest
Text = Annotated[str, Meta(max_length=1_000)]  # what a table or a line shows
Size = Annotated[str, Meta(pattern="^[0-9]{1,16}x[0-9]{1,16}$")]
Job = Annotated[str, Meta(pattern="^[0-9]{1,16}x[0-9]{1,16}@[0-9]{1,16}$")]
Caches = dict[Annotated[str, Meta(pattern="^L[0-9]d?$")], Count]
Threads = Annotated[str, Meta(pattern="^[1-9][0-9]{0,4}$")]  # JSON keys are always text


class Cpu(TypedDict):
    """The processor, as py-cpuinfo describes it."""

    brand_raw: NotRequired[Text]


class UsableCores(TypedDict):
    """The cores that the race could use, by number."""

    usable: list[int]


class Machine(TypedDict):
    """What `machine.facts` found."""

    node: Text
    python_version: Text
    cpu: Cpu
    cores: UsableCores
    caches: Caches
    memory: Text
    governor: NotRequired[Text | None]


class Case(TypedDict):
    """A training job, as `cases.Case`, and its name."""

    n: Count
    d: Count
    lr: Annotated[float, Meta(gt=0)]
    epochs: Count
    name: Size


class Settings(TypedDict):
    """What is raced, and how long, as `settings.Settings`."""

    kind: Text
    backends: Annotated[list[Spec], Meta(min_length=1)]
    cases: Annotated[list[Case], Meta(min_length=1)]
    baseline: Spec
    sessions: Annotated[int, Meta(ge=1, le=MOST_SESSIONS)]
    repetitions: Annotated[int, Meta(ge=1, le=MOST_REPETITIONS)]
    budget: Seconds
    longest: Seconds
    spacing: Seconds
    threads: Annotated[int, Meta(ge=1, le=MOST_THREADS)]
    seed: int
    limit: bool


class ArmInfo(TypedDict):
    """What gradrace notes of an arm, in a session and in all of them."""

    backend: Spec
    duplicate: bool
    epochs: Count
    passes_once: bool
    place: Number
    signatures: tuple[Number, Number]
    repetitions: list[Number]


class ExtraInfo(ArmInfo):
    """What the sessions note of an arm."""

    sessions: list[Number]
    first: list[Seconds]
    load: list[Seconds]
    cores: Annotated[list[Cores], Meta(min_length=1)]


class Stats(TypedDict):
    """The times of an arm, of all sessions."""

    data: Annotated[list[PerEpoch], Meta(min_length=1)]
    median: PerEpoch
    iterations: Count


class Options(TypedDict):
    """How pytest-benchmark timed an arm."""

    mixed: NotRequired[bool]


class Benchmark(TypedDict):
    """An arm, as pytest-benchmark writes it."""

    group: Size
    fullname: str
    extra_info: ExtraInfo
    options: Options
    stats: Stats


class Arm(TypedDict):
    """What a session times, as `plan.Arm`."""

    case: Job
    backend: Spec
    duplicate: NotRequired[bool]
    epochs: NotRequired[Count | None]
    calls: NotRequired[Count | None]
    repetitions: NotRequired[Annotated[int, Meta(ge=1, le=MOST_REPETITIONS)]]
    block: NotRequired[Seconds]


class Pool(TypedDict):
    """The threads of a library."""

    internal_api: Text | None
    num_threads: int | None


class Libraries(TypedDict):
    """Versions by name, and the pools of threads."""

    pools: NotRequired[list[Pool]]


class Session(TypedDict):
    """A session, and what `machine.Meter` saw of it."""

    number: Count
    failure: str
    during: str
    libraries: Libraries | None
    others: Cores
    stolen: Cores


class Compile(TypedDict):
    """What a backend that compiles takes to start."""

    backend: Spec
    load: Seconds
    cold: Seconds
    cached: Seconds


class Memory(TypedDict):
    """Bytes that an arm added to its process."""

    added: Number


class Growth(TypedDict):
    """How the time of a pass, or of a call, grows with the samples."""

    whole: Seconds
    more: Annotated[float, Meta(ge=-MOST_SECONDS, le=MOST_SECONDS)]


class Trial(TypedDict):
    """What the trial found of an arm."""

    case: Size
    backend: Spec
    setup: Seconds
    growth: Growth | None
    memory: Memory


class LeftOut(TypedDict):
    """An arm that was not raced, and why."""

    case: str
    backend: Spec
    reason: str
    fault: bool


class Roofline(TypedDict):
    """What the machine can do at best, as `roofline.Roofline`."""

    sizes: Annotated[list[Count], Meta(min_length=1)]
    read: dict[Threads, list[PerSecond]]
    read_again: dict[Threads, list[PerSecond]]
    fma: dict[Threads, PerSecond]
    fma_again: dict[Threads, PerSecond]
    caches: Caches


class About(TypedDict):
    """What gradrace adds to pytest-benchmark's file."""

    version: Text
    settings: Settings
    fingerprints: dict[Spec, str]
    interrupted: bool
    arms: list[Arm]
    sessions: list[Session]
    compile: list[Compile]
    trials: list[Trial]
    left_out: list[LeftOut]
    verdicts: list[Any]
    roofline: NotRequired[Roofline | None]


class ResultFile(TypedDict):
    """The file of a race."""

    machine_info: Machine
    benchmarks: list[Benchmark]
    gradrace: About


class TimedInfo(ArmInfo):
    """What a single session notes of an arm."""

    first: Seconds
    load: Seconds
    compile: Seconds
    cores: Cores
    growth: Growth | None
    setup: Seconds
    memory: Memory | None


class Timed(TypedDict):
    """An arm, as a single session leaves it."""

    group: Size
    fullname: str
    extra_info: TimedInfo
    options: Options
    stats: Stats


def require_result(path: Path, content: Any) -> None:
    """Make sure that `content` can be used as a result file.

    Raises:
        InputValueError: something is missing, has another type, is out of range, or contradicts
            the rest.

    """
    require_type(path, content, ResultFile)
    for contradiction in _contradictions(content):
        raise InputValueError(f"{path}: is damaged: {contradiction}")


def _contradictions(content: ResultFile) -> Iterator[str]:
    """Yield what no type can exclude: unknown or repeated names, and lists that do not match."""
    about, settings = content["gradrace"], content["gradrace"]["settings"]
    names, specs = [case["name"] for case in settings["cases"]], settings["backends"]
    numbers = [session["number"] for session in about["sessions"]]
    arms = [
        (arm["group"], arm["extra_info"]["backend"], arm["extra_info"]["duplicate"])
        for arm in content["benchmarks"]
    ]
    for what, values in (
        ("case", names), ("backend", specs), ("session", numbers), ("timed arm", arms),
    ):  # fmt: skip
        if again := repeated(values):
            yield f"the {what} {reprlib.repr(again[0])} appears twice"
    for case in settings["cases"]:
        if case["name"] != f"{case['n']}x{case['d']}":
            yield f"the name of the case {case['name']} does not match its n and d"
    if set(about["fingerprints"]) != set(specs):
        yield "the fingerprints do not match the backends"
    used = [
        *((case, backend) for case, backend, _ in arms),
        *((trial["case"], trial["backend"]) for trial in about["trials"]),
        *((arm["case"].partition("@")[0], arm["backend"]) for arm in about["arms"]),
        *((names[0], entry["backend"]) for entry in about["compile"]),
        (names[0], settings["baseline"]),
    ]
    for name, backend in used:
        if name not in names or backend not in specs:
            yield f"{reprlib.repr(backend)} on {name} is not in the settings"
    finished = {session["number"] for session in about["sessions"] if not session["failure"]}
    for arm in content["benchmarks"]:
        yield from _about_times(arm, finished)
    if roofline := about.get("roofline"):
        yield from _about_roofline(roofline, settings["threads"])


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
