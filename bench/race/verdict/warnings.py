"""Reasons not to trust the figures of a race, found in its data and put into words."""

from collections.abc import Sequence

from gradrace.bench.machine.facts import Machine
from gradrace.bench.parts import counted
from gradrace.bench.race.settings import Settings
from gradrace.bench.race.verdict import statistics
from gradrace.bench.race.verdict.result import (
    About,
    Benchmark,
    CaseFindings,
    ResultFile,
    Session,
)

# Above these, or below the last one, there is a warning
_MOST_SPREAD = 0.10  # spread of the sessions' medians, as a share
_MOST_OTHER_CORES = 0.10  # that other processes may keep busy
_MOST_STOLEN_CORES = 0.02  # whose time the host may take away
_MOST_OF_LIMIT = 1.05  # speed as a multiple of the limit
_MOST_EXTRA_CORES = 0.3  # that a backend may keep busy beyond its threads
_LEAST_BLOCK = 0.005  # seconds per timed block


def warnings_about(content: ResultFile) -> list[str]:
    """Return, in words, why the figures of a file may be wrong or uncertain."""
    about, settings = content.gradrace, content.gradrace.settings
    return [
        *_about_sessions(about),
        *_about_spread(about.cases),
        *_about_machine(content.machine_info, settings, about.sessions),
        *_about_blocks(content.benchmarks),
        *_about_limits(about.cases),
        *_about_cores(content.benchmarks, settings.threads),
        *_about_neighbors(content.benchmarks),
    ]


def _about_sessions(about: About) -> list[str]:
    found = []
    finished = [session for session in about.sessions if not session.failure]
    if about.contenders and len(finished) < 2:
        found.append("fewer than two sessions: there is no interval and no verdict")
    for session in about.sessions:
        if session.failure:
            found.append(f"session {session.number} failed: {session.failure}")
    busy = [s for s in finished if s.others > _MOST_OTHER_CORES]
    if busy:
        most = max(session.others for session in busy)
        found.append(
            f"the machine was busy: other processes used up to {most:.1f} cores in "
            f"{len(busy)} of {len(finished)} sessions"
        )
    stolen = max((s.stolen for s in finished), default=0.0)
    if stolen > _MOST_STOLEN_CORES:
        found.append(f"the host of this virtual machine took up to {100 * stolen:.0f} % of a core")
    if any(s.libraries != finished[0].libraries for s in finished):
        found.append("the sessions ran with different versions or threads")
    return found


def _about_spread(cases: Sequence[CaseFindings]) -> list[str]:
    found = []
    spreads = []
    for case in cases:
        for entry in case.entries:
            values = entry.time.sessions.values()
            spreads.append((max(values) / min(values) - 1, f"{entry.backend} on {case.name}"))
    unstable = sorted((found for found in spreads if found[0] > _MOST_SPREAD), reverse=True)
    if unstable:
        more = f" (and {len(unstable) - 1} more)" if len(unstable) > 1 else ""
        found.append(
            f"unstable: the time of {unstable[0][1]} differs by {100 * unstable[0][0]:.0f} % "
            f"between sessions{more}; speed-ups compare times within a session and vary less"
        )
    blurred = [
        f"{case.name} ({100 * case.noise:.0f} %)"
        for case in cases
        if case.noise is not None and case.noise > statistics.LEAST_EFFECT
    ]
    if blurred:
        found.append(
            f"the noise is above 5 % on {', '.join(blurred)}, and hides smaller differences; "
            "more sessions reduce it"
        )
    return found


def _about_machine(machine: Machine, settings: Settings, sessions: Sequence[Session]) -> list[str]:
    found = []
    threads, usable = settings.threads, len(machine.cores.usable)
    if threads > usable:
        found.append(f"{threads} threads on {usable} usable cores")
    pools = {
        f"{pool.internal_api} ran with {pool.num_threads}"
        for session in sessions
        if session.libraries
        for pool in session.libraries.pools
        if pool.num_threads != min(threads, usable)
    }
    found += [f"{pool} threads instead of {threads}" for pool in sorted(pools)]
    if machine.governor not in (None, "performance"):
        found.append(f"the frequency governor is {machine.governor}, not performance")
    return found


def _about_limits(cases: Sequence[CaseFindings]) -> list[str]:
    """Warn of backends faster than the limit: they show that it was measured too low."""
    above = [
        f"{entry.backend} on {case.name} ({100 * entry.limit.share:.0f} %)"
        for case in cases
        for entry in case.entries
        if entry.limit and entry.limit.share > _MOST_OF_LIMIT and not entry.impossible
    ]
    if not above:
        return []
    return [
        f"above the limit: {', '.join(above)}; the machine was faster while they were timed than "
        "while the limit was measured"
    ]


def _about_cores(benchmarks: Sequence[Benchmark], threads: int) -> list[str]:
    """Warn of backends that keep more cores busy than the threads they may use."""
    found = [
        f"{one.extra_info.backend} on {one.group} kept {most:.1f} cores busy"
        for one in benchmarks
        if (most := max(one.extra_info.cores)) > threads + _MOST_EXTRA_CORES
    ]
    if not found:
        return []
    return [f"{', '.join(found)}, although each may use {counted(threads, 'thread')}"]


def _about_neighbors(benchmarks: Sequence[Benchmark]) -> list[str]:
    """Warn of backends that change what others in their process depend on."""
    changed: dict[str, set[str]] = {}
    for one in benchmarks:
        info = one.extra_info
        changed.setdefault(info.backend, set()).update(info.changed)
    return [
        f"{backend} changed settings that all backends in its process share: "
        f"{', '.join(sorted(what))}; before every block, they were set back, if possible"
        for backend, what in changed.items()
        if what
    ]


def _about_blocks(benchmarks: Sequence[Benchmark]) -> list[str]:
    found = []
    for one in benchmarks:
        info, stats = one.extra_info, one.stats
        name = f"{info.backend} on {one.group}"
        if stats.median * stats.iterations < _LEAST_BLOCK:
            found.append(
                f"{name}: timed blocks last less than 5 ms, because it was slower when calibrated"
            )
        if info.signatures[0] != info.signatures[1]:
            found.append(f"{name}: something was compiled while it was timed")
        if one.options.get("mixed"):
            found.append(f"{name}: timed with different options of pytest-benchmark")
    return found
