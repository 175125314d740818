"""The files that gradrace reads back, and what must hold before it trusts them.

`ResultFile` and `ModelFile` describe only what is read: other keys are allowed, and conclusions are
not trusted but drawn anew. The limits are wide. They ensure that no later step overflows, divides
by 0 or never ends, whoever wrote the file.
"""

import reprlib
import stat
from collections import Counter
from collections.abc import Hashable, Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, NotRequired, TypedDict

import msgspec
from msgspec import Meta

from backends.interface import MOST_EPOCHS, InputValueError

LARGEST_FILE = 256 * 2**20  # bytes
DEEPEST = 50  # nested lists and objects; deeper ones overflow Python's stack when written
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


class Range(TypedDict):
    """The least and the largest value of each feature in training."""

    low: list[float]
    high: list[float]


class ModelFile(TypedDict):
    """What `predict` reads of a trained model."""

    features: Annotated[list[str], Meta(min_length=1)]
    target: str
    w: list[float]
    center: list[float]
    height: float
    range: Range


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


def decoded(path: Path) -> Any:
    """Return what a JSON file holds, whatever that is.

    Raises:
        InputValueError: it is no JSON file, or too large, or nested too deeply.
        OSError: it cannot be read.

    """
    about = path.stat()
    if not stat.S_ISREG(about.st_mode):  # a pipe or a device may never end
        raise InputValueError(f"{path}: is not a regular file")
    if about.st_size > LARGEST_FILE:
        raise InputValueError(f"{path}: is larger than {LARGEST_FILE // 2**20} MB")
    try:
        content = msgspec.json.decode(path.read_bytes())
    except RecursionError:
        raise InputValueError(f"{path}: is nested too deeply") from None
    except msgspec.ValidationError:
        raise InputValueError(f"{path}: holds a number beyond float64") from None
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise InputValueError(f"{path}: is not JSON, or cut off") from None
    if _deeper(content, DEEPEST):
        raise InputValueError(f"{path}: is nested too deeply")
    return content


def _deeper(content: Any, most: int) -> bool:
    """Whether lists and objects are nested more than so deep."""
    level: list[Any] = [[content]]
    for _ in range(most + 1):
        level = [
            child
            for parent in level
            for child in (parent.values() if isinstance(parent, dict) else parent)
            if isinstance(child, dict | list)
        ]
    return bool(level)


def require_result(path: Path, content: Any) -> None:
    """Make sure that `content` can be used as a result file.

    Raises:
        InputValueError: something is missing, has another type, is out of range, or contradicts
            the rest.

    """
    _require(path, content, ResultFile)
    for contradiction in _contradictions(content):
        raise InputValueError(f"{path}: is damaged: {contradiction}")


def require_model(path: Path, content: Any) -> None:
    """Make sure that `content` can be used as a model.

    Raises:
        InputValueError: as `require_result`.

    """
    _require(path, content, ModelFile)
    model: ModelFile = content
    columns = [model["w"], model["center"], model["range"]["low"], model["range"]["high"]]
    if {len(column) for column in columns} != {len(model["features"])}:
        raise InputValueError(f"{path}: is damaged: its features and weights differ in number")
    if _twice([*model["features"], model["target"]]):
        raise InputValueError(f"{path}: is damaged: two columns have the same name")


def _require(path: Path, content: Any, kind: Any) -> None:
    try:
        msgspec.convert(content, type=kind)
    except msgspec.ValidationError as error:  # says what and where, and quotes nothing
        raise InputValueError(f"{path}: is damaged: {error}") from None


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
        if again := _twice(values):
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
    if _twice(list(zip(info["sessions"], info["repetitions"], strict=False))):
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


def _twice(values: Sequence[Hashable]) -> list[Hashable]:
    """Return the values that are there more than once."""
    return [value for value, count in Counter(values).items() if count > 1]
