"""The result file of a race: its layout.

A result file is the JSON of pytest-benchmark with the key "gradrace" added. `ResultFile` describes
it as it is written. `MeasuredFile` is the same without the conclusions (`cases` and `warnings`):
these are not trusted but computed again whenever a file is read, so only the rest is validated. The
limits are wide. They ensure that no later step overflows, divides by 0 or runs forever, whoever
wrote the file. Keys that are not described here are allowed and ignored.

An arm is one backend on one case; the A/A floor is how much two identical arms seem to differ. The
parts that describe the machine are defined in `gradrace.bench.machine`, which measures them.
"""

from typing import Annotated, Any, Literal, NotRequired, TypedDict

from msgspec import Meta

from gradrace.bench.machine.facts import Libraries, Machine
from gradrace.bench.machine.ranges import (
    MOST_SECONDS,
    Cores,
    Count,
    Number,
    PerEpoch,
    Seconds,
    Text,
)
from gradrace.bench.machine.roofline import Limit, Roofline
from gradrace.bench.machine.usage import MemoryUse, Usage

SCHEMA = 4
"""The version of this layout."""

MOST_SESSIONS = MOST_REPETITIONS = MOST_THREADS = 10_000

Spec = Annotated[str, Meta(min_length=1, max_length=4096)]  # the longest path
Size = Annotated[str, Meta(pattern="^[0-9]{1,16}x[0-9]{1,16}$")]
Job = Annotated[str, Meta(pattern="^[0-9]{1,16}x[0-9]{1,16}@[0-9]{1,16}$")]
LearningRate = Annotated[float, Meta(gt=0)]
Signatures = Annotated[list[Number], Meta(min_length=2, max_length=2)]
Repetitions = Annotated[int, Meta(ge=1, le=MOST_REPETITIONS)]

SpeedVerdict = Literal["faster", "slower", "no difference shown", "not judged"]
"""What a ratio of two speeds shows; see `statistics.verdict`."""


# What was asked for


class Case(TypedDict):
    """A training job, as `cases.Case`, and its name."""

    n: Count
    d: Count
    lr: LearningRate
    epochs: Count
    name: Size
    chosen: NotRequired[bool]


class Settings(TypedDict):
    """What is raced, and how long, as `settings.Settings`."""

    kind: Text
    backends: Annotated[list[Spec], Meta(min_length=1)]
    cases: Annotated[list[Case], Meta(min_length=1)]
    baseline: Spec
    sessions: Annotated[int, Meta(ge=1, le=MOST_SESSIONS)]
    repetitions: Repetitions
    budget: Seconds
    longest: Seconds
    spacing: Seconds
    threads: Annotated[int, Meta(ge=1, le=MOST_THREADS)]
    seed: int
    limit: bool


class Arm(TypedDict):
    """What every session times, as `plan.Arm`."""

    case: Job
    backend: Spec
    duplicate: bool
    epochs: Count | None
    calls: Count | None
    repetitions: Repetitions
    block: Seconds
    precision: NotRequired[str]


# What was found before and between the times


class Declared(TypedDict):
    """What the module of a backend declares, as described in `gradrace.backends.interface`."""

    one_core: bool
    passes_once: bool
    precision: NotRequired[Literal["float64", "float32"]]
    """Missing in files of earlier versions, and before the module was imported: float64."""


class Digits(TypedDict):
    """How many digits are right, as `agreement.Digits`."""

    state: float
    loss: float


class BackendFacts(Declared):
    """What is special about a backend, as `backends.Rung`."""

    color: Annotated[str, Meta(pattern="^#[0-9A-F]{6}$")]
    on_one_thread: Spec | None
    commit: NotRequired[Text]
    """Of a backend at a revision: the commit that its files come from."""
    version_of: NotRequired[Spec]
    """Of an earlier version: the one that it is compared with, which is in the same race."""
    digits: NotRequired[Digits | None]
    """On the reference line, if the backend was checked on it."""


class Deviation(TypedDict):
    """The value furthest from the exact one, as `agreement.Deviation`; None where not finite."""

    error: float | None
    epoch: Number
    multiple: float | None


class BackendVerdict(TypedDict):
    """Whether a backend agrees with the exact trajectory, as `agreement.Verdict`."""

    backend: Spec
    agrees: bool
    reason: str
    w: Deviation | None
    b: Deviation | None
    loss: Deviation | None
    bitwise: bool | None
    first_inf: Number | None
    first_nan: Number | None
    pieces: list[str]
    precision: NotRequired[Literal["float64", "float32"]]
    digits: NotRequired[Digits | None]


class JudgedCase(TypedDict):
    """The verdict on a backend on one case."""

    case: Size
    verdict: BackendVerdict


class LeftOut(TypedDict):
    """A backend that was not raced on a case, and why; `case` may be "every case"."""

    case: str
    backend: Spec
    reason: str
    fault: bool


class Compile(TypedDict):
    """Startup times of a backend that compiles: importing, and extra time of the first call."""

    backend: Spec
    load: Seconds
    cold: Seconds
    cached: Seconds


class Growth(TypedDict):
    """How the time of a pass, or of a call, grows with the samples."""

    whole: Seconds
    more: Annotated[float, Meta(ge=-MOST_SECONDS, le=MOST_SECONDS)]


class Preparing(TypedDict):
    """How long `prepare` took, and, for comparison, converting and copying the samples."""

    seconds: Seconds
    copying: Seconds


class Trial(TypedDict):
    """What the trial found about an arm."""

    case: Size
    backend: Spec
    preparing: NotRequired[Preparing | None]
    """Missing in files of earlier versions"""
    setup: Seconds
    growth: Growth | None
    memory: MemoryUse


class Session(Usage):
    """A session, and what `machine.usage.Meter` saw of it."""

    number: Count
    seed: str
    failure: str
    during: str
    libraries: Libraries | None


# The times, as pytest-benchmark writes them, with our data in `extra_info`


class ArmInfo(TypedDict):
    """What gradrace records about an arm, in a block, in a session and in all of them."""

    backend: Spec
    duplicate: bool
    n: Count
    d: Count
    lr: LearningRate
    epochs: Count
    agreement: BackendVerdict
    place: Number


class BlockInfo(ArmInfo, Declared):
    """What a timed block records about its arm."""

    load: Seconds
    first: Seconds
    compile: Seconds
    cores: Cores
    growth: Growth | None
    preparing: Preparing | None
    setup: Seconds
    memory: MemoryUse
    calibrates: bool
    changed: list[Text]
    """What it changed for all backends in its process"""


class TimedInfo(BlockInfo):
    """What a session records about an arm: what its first block recorded, and this."""

    repetitions: list[Number]
    signatures: Signatures


class PooledInfo(ArmInfo):
    """What all sessions record about an arm; each time has its repetition and its session."""

    repetitions: list[Number]
    sessions: list[Number]
    signatures: Signatures
    load: list[Seconds]
    first: list[Seconds]
    changed: NotRequired[list[Text]]
    """Missing in files of earlier versions"""
    cores: Annotated[list[Cores], Meta(min_length=1)]


class Stats(TypedDict):
    """The times of an arm, in seconds per epoch; pytest-benchmark adds figures for its table."""

    data: Annotated[list[PerEpoch], Meta(min_length=1)]
    median: PerEpoch
    iterations: Count


class Options(TypedDict):
    """How pytest-benchmark timed an arm; `mixed` if not the same way in all sessions."""

    mixed: NotRequired[bool]


class Parameters(TypedDict):
    """The parameters of the timed test."""

    case: Size
    backend: str


class _Benchmark(TypedDict):
    group: Size
    name: str
    fullname: str
    params: Parameters
    param: str
    options: Options
    stats: Stats


class Timed(_Benchmark):
    """An arm, as a single session leaves it."""

    extra_info: TimedInfo


class Benchmark(_Benchmark):
    """An arm, as the result file has it: the times of all sessions."""

    extra_info: PooledInfo


# What follows: the conclusions


class Interval(TypedDict):
    """A positive figure and its 95 % interval; without one, `low` and `high` are None."""

    value: float
    low: float | None
    high: float | None


class Ratio(Interval):
    """A ratio of speeds, and that of the best times."""

    minima: float


class Times(TypedDict):
    """Seconds per epoch: of all blocks, and per session, whose keys in JSON are text."""

    median: float
    minimum: float
    interval: Interval
    sessions: dict[int, float]


class LimitShare(Limit):
    """The least time of a pass, and as a share of the best measured time."""

    share: float


class BreakEven(TypedDict):
    """After how many runs a backend that compiles is ahead; None for never."""

    cold: int | None
    cached: int | None


class Row(TypedDict):
    """What the data show about one backend on one case."""

    backend: str
    epochs: int
    passes_once: bool
    precision: str
    impossible: str
    """Why no code can be this fast; empty if it is possible."""
    time: Times
    rate: float
    """Samples times epochs per second."""
    limit: LimitShare | None
    prepare: float | None
    """Seconds of converting the samples, once, before all calls; None if that is unknown."""
    setup: float
    """Seconds of a call before its first epoch, with `prepare` if that does more than convert."""
    per_pass: float
    """Seconds of a pass over the samples, without the setup."""
    run: float
    """Seconds of a run of the case's `run_epochs` epochs."""
    speed_up: Ratio | None
    """How many times as fast as the baseline it is."""
    verdict: SpeedVerdict | Literal["baseline", "impossible", ""]
    memory: MemoryUse | None
    break_even: dict[str, BreakEven]
    """Per backend that does not compile."""


class Fastest(TypedDict):
    """The fastest backend of a case, and how many times as fast as the second it is."""

    backend: str
    second: str
    speed_up: Interval | None
    verdict: SpeedVerdict


class CaseFindings(Case):
    """A case, with a row per backend."""

    baseline: str
    run_epochs: int
    """Epochs of a run when computing after how many runs compiling pays off."""
    doubled: str | None
    """The backend that raced against itself."""
    aa: Interval | None
    """How many times as fast as itself it seems to be."""
    floor: float | None
    """The A/A floor: how far from 1 that interval reaches."""
    arms: list[Row]
    fastest: Fastest | None


# The file


class MeasuredAbout(TypedDict):
    """What gradrace adds to pytest-benchmark's file, without the conclusions."""

    schema: int
    version: Text
    settings: Settings
    fingerprints: dict[Spec, str]
    backends: dict[Spec, BackendFacts]
    problems: Number
    """How many small problems every backend had to solve before it raced; 0 if none."""
    interrupted: bool
    roofline: Roofline | None
    arms: list[Arm]
    sessions: list[Session]
    compile: list[Compile]
    trials: list[Trial]
    left_out: list[LeftOut]
    verdicts: list[JudgedCase]


class About(MeasuredAbout):
    """What gradrace adds to pytest-benchmark's file."""

    cases: list[CaseFindings]
    warnings: list[str]


class _File(TypedDict):
    machine_info: Machine
    commit_info: Any  # pytest-benchmark's; not read
    datetime: Text
    version: Text
    benchmarks: list[Benchmark]


class MeasuredFile(_File):
    """The file of a race, without the conclusions."""

    gradrace: MeasuredAbout


class ResultFile(_File):
    """The file of a race."""

    gradrace: About
