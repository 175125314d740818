"""What is raced, and how long: the quick and the full race, and everything in between."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

from msgspec import Meta, Struct
from msgspec.structs import replace

from gradrace import backends
from gradrace.backends import earlier
from gradrace.backends.interface import InputValueError, Setting
from gradrace.bench.machine import facts
from gradrace.bench.machine.ranges import (
    MOST_REPETITIONS,
    MOST_SECONDS,
    MOST_SESSIONS,
    MOST_THREADS,
    Repetitions,
    Seconds,
    Spec,
    Text,
)
from gradrace.bench.race.cases import FULL, QUICK, Case, make_case


class Settings(Struct, frozen=True, kw_only=True):
    """What is raced, and how long."""

    kind: Text
    """quick, full or custom; only a label"""
    backends: tuple[Spec, ...] = ()
    """Empty for all built-in ones, as `default_backends` returns them"""
    cases: tuple[Case, ...]
    baseline: str = ""
    """The backend of the speed-ups; empty for `backends.BASELINE`, or the first without it"""
    sessions: Annotated[int, Meta(ge=1, le=MOST_SESSIONS)]
    repetitions: Repetitions
    """Timed blocks per session, of a backend on a case; slow backends make fewer, at least four"""
    budget: Seconds
    """Seconds that one call should take; slower backends make fewer epochs"""
    longest: Seconds
    """Seconds that a call of one epoch may take; slower backends are not timed"""
    spacing: Seconds
    """Least seconds between the starts of two sessions, so that they see different moments"""
    threads: Annotated[int, Meta(ge=1, le=MOST_THREADS)]
    seed: int
    limit: bool
    """Whether to measure what the machine can do at best; takes about five seconds"""

    def resolved(self) -> "Settings":
        """Return the settings with the backends and the baseline filled in.

        Raises:
            InputValueError: the baseline is not raced, two files have the same name, a
                number is below 1 or beyond what a result file may hold, two cases have the same
                size, or the cases need more memory than there is.

        """
        specs = tuple(dict.fromkeys(self.backends)) or default_backends(self.threads)
        paths = {name for spec in specs if (name := backends.name_of(spec)).endswith(".py")}
        files = [Path(path).name for path in paths]
        twins = {name for name in files if files.count(name) > 1}
        if twins:
            raise InputValueError(f"backends: two files are called {twins.pop()}; rename one")
        today = [spec for spec in specs if spec == backends.name_of(spec)] or specs
        usual = backends.BASELINE if backends.BASELINE in specs else today[0]
        baseline = self.baseline or usual
        if baseline not in specs:
            raise InputValueError(
                f"baseline {baseline}: is not in the race; the backends are {', '.join(specs)}"
            )
        for name, most in _MOST.items():
            value = getattr(self, name)
            if not 1 <= value <= most:
                raise InputValueError(f"{name}: must be from 1 to {most:,}, got {value}")
        for name in ("budget", "longest", "spacing"):
            if not 0 <= getattr(self, name) <= MOST_SECONDS:
                raise InputValueError(f"{name}: must be from 0 to {MOST_SECONDS:,.0f} seconds")
        if not self.cases:
            raise InputValueError("cases: needs at least one")
        if len({case.name for case in self.cases}) < len(self.cases):
            raise InputValueError("cases: two have the same size")
        needed = sum(case.data_bytes for case in self.cases) * (_COPIES + len(specs))
        needed += max(_JUDGED * (case.epochs + 1) * (case.d + 2) for case in self.cases)
        available = facts.available_memory()
        if needed > available:
            raise InputValueError(
                f"these sizes need about {needed / 1e9:,.0f} GB of memory, and "
                f"{available / 1e9:,.0f} GB are free; race fewer or smaller sizes at a time"
            )
        return replace(self, backends=specs, baseline=baseline)


def default_backends(threads: int) -> tuple[str, ...]:
    """Return the built-in backends that are raced unless others are named.

    These are all but those for large data and, with one thread, those that then equal another one.
    """
    return tuple(
        name
        for name, rung in backends.LADDER.items()
        if not rung.for_large_data and (threads > 1 or rung.on_one_thread is None)
    )


def choose(
    *,
    full: bool = False,
    sizes: Sequence[int] = (),
    features: Sequence[int] = (),
    epochs: int | None = None,
    jobs: Sequence[Case] = (),
    backends: Sequence[str] = (),
    baseline: str | None = None,
    sessions: int | None = None,
    threads: int = 1,
    seed: int = 0,
) -> Settings:
    """Return the quick or the full settings, with the given values instead of theirs.

    If only sizes or only features are given, the others are those of the settings. `jobs` are
    raced as they are. If earlier versions race, as `with_earlier` returns them, there are more and
    shorter sessions.

    Raises:
        InputValueError: as `Settings.resolved`.

    """
    base = FULL_SETTINGS if full else QUICK_SETTINGS
    if earlier(backends):
        base = replace(base, sessions=10, repetitions=30, spacing=1.0)  # to see small changes
    kind, cases = base.kind, base.cases
    if jobs:
        kind, cases = "custom", tuple(dict.fromkeys(jobs))
    elif sizes or features or epochs is not None:
        kind = "custom"
        usual = [(case.n, case.d) for case in cases]
        chosen = [
            (n, d)
            for n in sizes or sorted({n for n, _ in usual})
            for d in features or sorted({d for _, d in usual})
        ]
        if not (sizes or features):
            chosen = usual
        cases = tuple(make_case(n, d, epochs) for d, n in sorted({(d, n) for n, d in chosen}))
    changed = replace(
        base,
        kind=kind,
        cases=cases,
        backends=tuple(backends),
        baseline=baseline or "",
        sessions=base.sessions if sessions is None else sessions,
        threads=threads,
        seed=seed,
    )
    return changed.resolved()


def with_earlier(specs: Sequence[str], revision: str) -> list[str]:
    """Return the backends that have changed since a revision, each with its earlier self.

    A built-in backend from outside the repository of the others is left out.

    Raises:
        InputValueError: git is not installed, the backend is not in a repository, or the
            repository has no such revision.

    """
    found: list[str] = []
    ours, errors = 0, []
    for spec in dict.fromkeys(specs):
        pair = spec, f"{spec}@{revision}"
        try:
            found += pair if _differ(*pair) else ()
            ours += 1
        except InputValueError as error:
            if spec not in backends.LADDER:
                raise
            errors.append(error)
    if errors and not ours:
        raise InputValueError(*errors[0].args, "; name your own with ", Setting("backends"))
    return found


def _differ(spec: str, earlier: str) -> bool:
    """Whether a backend, or what it imports from beside it, is not what it was."""
    now, then = (
        sorted(path.read_bytes() for path in backends.sources(name)) for name in (spec, earlier)
    )
    return now != then


_COPIES = 12  # of the data: the samples, a backend's own, and the lists of `python`
_JUDGED = 200  # bytes of a value of a trajectory, while it is judged
_MOST = {"sessions": MOST_SESSIONS, "repetitions": MOST_REPETITIONS, "threads": MOST_THREADS}

QUICK_SETTINGS = Settings(
    kind="quick",
    cases=tuple(QUICK),
    sessions=3,
    repetitions=10,
    budget=0.02,
    longest=1.0,
    spacing=5.0,
    threads=1,
    seed=0,
    limit=True,
)
FULL_SETTINGS = replace(
    QUICK_SETTINGS,
    kind="full",
    cases=tuple(FULL),
    sessions=8,
    repetitions=40,
    longest=5.0,
    spacing=15.0,
)
