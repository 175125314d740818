"""The result file of a race: its types, and how it is read and written.

A result file is the JSON of pytest-benchmark with the key "gradrace" added. `Measured` is what was
asked for and found; `Findings` adds what follows from that. The findings are not trusted, but drawn
again whenever a file is read (`conclusions.py`).

The ranges are wide. They ensure that no later step overflows, divides by 0 or runs forever, whoever
wrote the file. Keys that are not described here are allowed and ignored.

An *entry* is one backend at one size (a case). Each race also times an identical copy of an entry;
by how much the two seem to differ is the *noise*.
"""

import reprlib
from collections.abc import Hashable, Iterable, Iterator, Sequence
from pathlib import Path
from statistics import median
from typing import Annotated, Any, Literal

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType
from msgspec.structs import asdict

from gradrace.backends.interface import InputValueError
from gradrace.bench.data import reading
from gradrace.bench.data.files import write_json
from gradrace.bench.data.reading import repeated
from gradrace.bench.machine.facts import Libraries, Machine
from gradrace.bench.machine.ranges import (
    MOST_SECONDS,
    Cores,
    Count,
    Number,
    PerEpoch,
    Seconds,
    Spec,
    Text,
)
from gradrace.bench.machine.roofline import Roofline
from gradrace.bench.machine.usage import MemoryUse, Usage
from gradrace.bench.proof.agreement import Digits, Verdict
from gradrace.bench.race.cases import Case
from gradrace.bench.race.plan import Contender
from gradrace.bench.race.settings import Settings
from gradrace.bench.race.verdict.statistics import Estimate, SpeedVerdict
from gradrace.plots.numbers import short

SCHEMA = 4
"""The version of this layout."""

Size = Annotated[str, Meta(pattern="^[0-9]{1,16}x[0-9]{1,16}$")]
LearningRate = Annotated[float, Meta(gt=0)]
Signatures = Annotated[list[Number], Meta(min_length=2, max_length=2)]
Precision = Literal["float64", "float32"]


# What was found before and between the times


class Declared(Struct, kw_only=True, omit_defaults=True):
    """What the module of a backend declares, as described in `gradrace.backends.interface`."""

    one_core: bool
    passes_once: bool
    precision: Precision | Literal[""] = ""
    """Empty before the module was imported, and in files of earlier versions: float64"""


class BackendFacts(Declared):
    """What is special about a backend, as `backends.Rung`."""

    color: Annotated[str, Meta(pattern="^#[0-9A-F]{6}$")]
    on_one_thread: Spec | None
    commit: Text = ""
    """Of a backend at a revision: the commit that its files come from"""
    version_of: str = ""
    """Of an earlier version: the one that it is compared with, which is in the same race"""
    digits: Digits | UnsetType | None = UNSET
    """How many are right on the reference line; unset if it was not checked there"""


class JudgedCase(Struct):
    """The verdict on a backend at one size."""

    case: Size
    verdict: Verdict


EVERY = "every case"


class LeftOut(Struct):
    """A backend that was not raced at a size, and why; `case` may be `EVERY`."""

    case: str
    backend: Spec
    reason: str
    fault: bool


class Compile(Struct):
    """Startup times of a backend that compiles: importing, and extra time of the first call."""

    backend: Spec
    load: Seconds
    cold: Seconds
    cached: Seconds


class Growth(Struct):
    """How the time of a pass, or of a call, grows with the samples."""

    whole: Seconds
    more: Annotated[float, Meta(ge=-MOST_SECONDS, le=MOST_SECONDS)]


class Preparing(Struct):
    """How long `prepare` took, and, for comparison, converting and copying the samples."""

    seconds: Seconds
    copying: Seconds


class Trial(Struct):
    """What the trial found about a backend at one size."""

    case: Size
    backend: Spec
    setup: Seconds
    growth: Growth | None
    memory: MemoryUse
    preparing: Preparing | None = None


class Session(Usage, kw_only=True):
    """A session, and what `machine.usage.Meter` saw of it."""

    number: Count
    seed: str
    failure: str
    during: str
    libraries: Libraries | None


# The times, as pytest-benchmark writes them, with our data in `extra_info`


class Info(Struct, kw_only=True):
    """What gradrace records about an entry, in a block, in a session and in all of them."""

    backend: Spec
    duplicate: bool
    n: Count
    d: Count
    lr: LearningRate
    epochs: Count
    agreement: Verdict
    place: Number


class BlockInfo(Info):
    """What a timed block records about its entry."""

    one_core: bool
    passes_once: bool
    precision: Precision
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
    """What a session records about an entry: what its first block recorded, and this."""

    repetitions: list[Number]
    signatures: Signatures


class PooledInfo(Info):
    """What all sessions record about an entry; each time has its repetition and its session."""

    repetitions: list[Number]
    sessions: list[Number]
    signatures: Signatures
    load: list[Seconds]
    first: list[Seconds]
    cores: Annotated[list[Cores], Meta(min_length=1)]
    changed: list[Text] = []


class Stats(Struct):
    """The times of an entry, in seconds per epoch; the file also has pytest-benchmark's figures."""

    data: Annotated[list[PerEpoch], Meta(min_length=1)]
    median: PerEpoch
    iterations: Count


class _Benchmark(Struct, kw_only=True):
    group: Size
    name: str
    fullname: str
    params: dict[str, Any]
    param: str
    options: dict[str, Any]
    """How pytest-benchmark timed it; `mixed` if not the same way in all sessions"""
    stats: Stats


class Timed(_Benchmark):
    """An entry, as a single session leaves it."""

    extra_info: TimedInfo


class Benchmark(_Benchmark):
    """An entry, as the result file has it: the times of all sessions."""

    extra_info: PooledInfo

    @property
    def backend(self) -> str:
        """The name of its backend."""
        return self.extra_info.backend

    def times(self) -> dict[int, dict[int, float]]:
        """Return session → repetition → seconds per epoch."""
        info, found = self.extra_info, dict[int, dict[int, float]]()
        for session, repetition, value in zip(
            info.sessions, info.repetitions, self.stats.data, strict=True
        ):
            found.setdefault(session, {})[repetition] = value
        return found


# What follows: the findings


class Times(Struct, frozen=True):
    """Seconds per epoch: of all blocks, their interval over the sessions, and per session."""

    median: float
    minimum: float
    interval: Estimate
    sessions: dict[int, float]


class LimitShare(Struct, frozen=True):
    """The least time of a pass, what sets it, and its share of the best measured time."""

    seconds: float
    by: str
    share: float


class BreakEven(Struct, frozen=True):
    """After how many runs a backend that compiles is ahead; None for never."""

    cold: int | None
    cached: int | None


class Entry(Struct, kw_only=True):
    """What the data show about one backend at one size."""

    backend: str
    epochs: int
    passes_once: bool
    precision: str
    impossible: str
    """Why no code can be this fast; empty if it is possible"""
    time: Times
    rate: float
    """Samples times epochs per second"""
    limit: LimitShare | None
    prepare: float | None
    """Seconds of converting the samples, once, before all calls; None if that is unknown"""
    setup: float
    """Seconds of a call before its first epoch, with `prepare` if that does more than convert"""
    per_pass: float
    """Seconds of a pass over the samples, without the set-up"""
    run: float
    """Seconds of a run of the case's `run_epochs` epochs"""
    speed_up: Estimate | None = None
    """How many times as fast as the baseline a call is"""
    speed_up_of_bests: float | None = None
    verdict: SpeedVerdict | Literal["baseline", "impossible", ""] = ""
    memory: MemoryUse | None
    break_even: dict[str, BreakEven] = {}
    """Per backend that does not compile"""


class CaseFindings(Case, kw_only=True, frozen=True, rename={"noise": "floor", "entries": "arms"}):
    """A case, with an entry per backend."""

    baseline: str
    run_epochs: int
    """Epochs of a run when computing after how many runs compiling pays off"""
    doubled: str | None
    """The backend that raced against itself"""
    noise: float | None
    """How far from 1 the interval of its speed relative to itself reaches, as a share"""
    entries: list[Entry]


# The file


class Measured(Struct, kw_only=True, rename={"contenders": "arms"}):
    """What gradrace adds to pytest-benchmark's file, without the findings."""

    schema: int
    version: Text
    settings: Settings
    fingerprints: dict[Spec, str]
    backends: dict[Spec, BackendFacts]
    problems: Number = 0
    """How many small problems every backend had to solve before it raced; 0 if none"""
    interrupted: bool = False
    unchanged_since: Text = ""
    """The revision since which no backend has changed, so that there was nothing to race"""
    roofline: Roofline | None = None
    contenders: list[Contender] = []
    sessions: list[Session] = []
    compile: list[Compile] = []
    trials: list[Trial] = []
    left_out: list[LeftOut] = []
    verdicts: list[JudgedCase] = []


class About(Measured):
    """What gradrace adds to pytest-benchmark's file."""

    cases: list[CaseFindings] = []
    warnings: list[str] = []

    def precision_of(self, backend: str) -> str:
        """Return what a backend declares to compute in: float64 or float32."""
        facts = self.backends.get(backend)
        return (facts and facts.precision) or "float64"

    def named(self, backend: str) -> str:
        """Return the name of a backend for people; one in float32 is marked as such."""
        return short(backend, self.precision_of(backend))

    def reason(self, case: str, backend: str) -> str:
        """Return why a backend was not timed at one size, if the file gives a reason."""
        for one in self.left_out:
            if one.backend == backend and one.case in (case, EVERY):
                return one.reason
        return ""

    @property
    def finished(self) -> int:
        """How many sessions were timed to their end."""
        return sum(not session.failure for session in self.sessions)


class MeasuredFile(Struct, kw_only=True):
    """The file of a race, without the findings."""

    machine_info: Machine
    commit_info: Any = None
    datetime: Text
    version: Text
    benchmarks: list[Benchmark] = []
    gradrace: Measured


class ResultFile(MeasuredFile):
    """The file of a race."""

    gradrace: About

    def timed(self, case: Case) -> dict[str, Benchmark]:
        """Return backend → its times at one size, without the identical copies."""
        return {
            one.backend: one
            for one in self.benchmarks
            if one.group == case.name and not one.extra_info.duplicate
        }

    def copies(self, case: Case) -> dict[str, Benchmark]:
        """Return backend → the times of its identical copy at one size."""
        return {
            one.backend: one
            for one in self.benchmarks
            if one.group == case.name and one.extra_info.duplicate
        }


def merge(benchmarks: list[Benchmark], session: int, more: Iterable[Timed]) -> None:
    """Add the times of a session to those of the sessions before it."""
    known = {one.fullname: one for one in benchmarks}
    for timed in more:
        if timed.fullname in known:
            _add(known[timed.fullname], session, timed)
        else:
            benchmarks.append(_first(session, timed))
    benchmarks.sort(key=lambda one: one.extra_info.place)


def _first(session: int, timed: Timed) -> Benchmark:
    """Return an entry with the times of its first session."""
    info = timed.extra_info
    common = {name: getattr(info, name) for name in Info.__struct_fields__}
    pooled = PooledInfo(
        **common,
        repetitions=info.repetitions,
        sessions=[session] * len(info.repetitions),
        signatures=info.signatures,
        load=[info.load],
        first=[info.first],
        cores=[info.cores],
        changed=info.changed,
    )
    return Benchmark(**{**asdict(timed), "extra_info": pooled})


def _add(pooled: Benchmark, session: int, timed: Timed) -> None:
    """Add the times of a further session."""
    merged, info = pooled.extra_info, timed.extra_info
    merged.repetitions += info.repetitions
    merged.sessions += [session] * len(info.repetitions)
    merged.load.append(info.load)
    merged.first.append(info.first)
    merged.cores.append(info.cores)
    merged.changed = sorted({*merged.changed, *info.changed})
    if info.signatures[1] > info.signatures[0]:  # something was compiled
        merged.signatures = info.signatures
    data = pooled.stats.data + timed.stats.data
    pooled.stats = Stats(data, median(data), timed.stats.iterations)
    if pooled.options != timed.options:
        pooled.options = {**pooled.options, "mixed": True}


def write(path: Path, content: ResultFile) -> None:
    """Write the file of a race, with the figures that pytest-benchmark's own tables show.

    Raises:
        OSError: the file cannot be written; nothing is left half-written.

    """
    found = msgspec.to_builtins(content)
    for benchmark in found["benchmarks"]:
        figures = _figures(benchmark["stats"]["data"])
        benchmark["stats"] = figures | benchmark["stats"]
    write_json(path, found)


def _figures(data: Sequence[float]) -> dict[str, Any]:
    from pytest_benchmark import stats  # imported here, because reading a file does not need it

    found = stats.Stats()
    for value in data:
        found.update(value)
    figures: dict[str, Any] = found.as_dict()
    return figures


RESULT = "benchmark.json"
"""What a race calls its result file"""


def decoded(path: Path) -> MeasuredFile:
    """Return what a file that `gradrace run` wrote has measured; of a folder, the one in it.

    Raises:
        InputValueError: it is not a result file, is cut off or damaged, or has another result.
        OSError: it cannot be read.

    """
    if path.is_dir():
        if not (path / RESULT).exists():
            raise InputValueError(f"{path}: has no {RESULT}")
        path = path / RESULT
    content = reading.decoded(path)
    about = content.get("gradrace") if isinstance(content, dict) else None
    if not isinstance(about, dict) or "benchmarks" not in content:
        hint = " (a model; see gradrace predict)" if _is_model(content) else ""
        raise InputValueError(f"{path}: is not a result file of gradrace run{hint}")
    found = about.get("schema")
    if found != SCHEMA:
        age = "a newer" if isinstance(found, int) and found > SCHEMA else "an older"
        raise InputValueError(
            f"{path}: has {age} schema, {reprlib.repr(found)}; this version reads {SCHEMA}"
        )
    measured = reading.converted(path, content, MeasuredFile)
    for contradiction in _contradictions(measured):
        raise InputValueError(f"{path}: is damaged: {contradiction}")
    return measured


def _is_model(content: Any) -> bool:
    return isinstance(content, dict) and str(content.get("format", "")).startswith("gradrace model")


def _contradictions(content: MeasuredFile) -> Iterator[str]:
    """Yield errors that types cannot exclude: unknown or repeated names, mismatched lists."""
    about, settings = content.gradrace, content.gradrace.settings
    yield from _about_repetition(content)
    for case in settings.cases:
        if case.name != f"{case.n}x{case.d}":
            yield f"the name of the case {case.name} does not match its n and d"
    if set(about.fingerprints) != set(settings.backends):
        yield "the fingerprints do not match the backends"
    if set(about.backends) != set(settings.backends):
        yield "what it says of the backends is not about those in its settings"
    yield from _about_names(content)
    finished = {session.number for session in about.sessions if not session.failure}
    for arm in content.benchmarks:
        yield from _about_times(arm, finished)
    if about.roofline:
        yield from _about_roofline(about.roofline, settings.threads)


def _about_repetition(content: MeasuredFile) -> Iterator[str]:
    about, settings = content.gradrace, content.gradrace.settings
    arms = [
        (arm.group, arm.extra_info.backend, arm.extra_info.duplicate) for arm in content.benchmarks
    ]
    unique: dict[str, Sequence[Hashable]] = {
        "case": [case.name for case in settings.cases],
        "backend": settings.backends,
        "session": [session.number for session in about.sessions],
        "timed arm": arms,
    }
    for what, values in unique.items():
        if again := repeated(values):
            yield f"the {what} {reprlib.repr(again[0])} appears twice"


def _about_names(content: MeasuredFile) -> Iterator[str]:
    about, settings = content.gradrace, content.gradrace.settings
    names = [case.name for case in settings.cases]
    used = [
        *((arm.group, arm.extra_info.backend) for arm in content.benchmarks),
        *((trial.case, trial.backend) for trial in about.trials),
        *((arm.case.partition("@")[0], arm.backend) for arm in about.contenders),
        *((names[0], entry.backend) for entry in about.compile),
        (names[0], settings.baseline),
        *((names[0], facts.version_of or name) for name, facts in about.backends.items()),
    ]
    for name, backend in used:
        if name not in names or backend not in settings.backends:
            yield f"{reprlib.repr(backend)} on {name} is not in the settings"


def _about_times(arm: Benchmark, finished: set[int]) -> Iterator[str]:
    info = arm.extra_info
    name = f"{reprlib.repr(info.backend)} on {arm.group}"
    times = {len(info.sessions), len(info.repetitions), len(arm.stats.data)}
    if len(times) > 1:
        yield f"{name} has different numbers of times, sessions and repetitions"
    if repeated(list(zip(info.sessions, info.repetitions, strict=False))):
        yield f"{name} has two times for the same repetition"
    if not finished.issuperset(info.sessions):
        yield f"{name} has times from sessions that did not finish"


def _about_roofline(roofline: Roofline, threads: int) -> Iterator[str]:
    read, again = roofline.read, roofline.read_again
    if "1" not in read or str(min(threads, max(map(int, read)))) not in read:
        yield "the roofline has no rates for this number of threads"
    others = (again, roofline.fma, roofline.fma_again)
    if any(rates.keys() != read.keys() for rates in others):
        yield "the rates of the roofline are for different numbers of threads"
    if any(len(rates) != len(roofline.sizes) for rates in (*read.values(), *again.values())):
        yield "the roofline has different numbers of sizes and rates"
