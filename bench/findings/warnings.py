"""What makes the figures of a race less than they seem, said in words, from its data."""

from typing import Any

from bench.findings import statistics

Content = dict[str, Any]
Benchmark = dict[str, Any]

_UNSTABLE = 0.10  # spread of the sessions' medians, as a share
_OTHERS = 0.10  # cores that other processes keep busy
_STOLEN = 0.02  # cores' worth of time that the host takes away
_ABOVE = 1.05  # of the limit
_MORE_CORES = 0.3
_SHORTEST = 0.005  # seconds of a timed block


def cautions(content: Content) -> list[str]:
    """Return what makes the figures of a file less than they seem, in words."""
    about, settings = content["gradrace"], content["gradrace"]["settings"]
    return [
        *_about_sessions(about),
        *_about_spread(about["cases"]),
        *_about_machine(content["machine_info"], settings, about["sessions"]),
        *_about_blocks(content["benchmarks"]),
        *_about_limits(about["cases"]),
        *_about_cores(content["benchmarks"], settings["threads"]),
    ]


def _about_sessions(about: Content) -> list[str]:
    found = []
    finished = [session for session in about["sessions"] if not session["failure"]]
    if len(finished) < 2:
        found.append("fewer than two sessions: there is no interval and no verdict")
    for session in about["sessions"]:
        if session["failure"]:
            found.append(f"session {session['number']} broke off: {session['failure']}")
    busy = [s for s in finished if s["others"] > _OTHERS]
    if busy:
        most = max(session["others"] for session in busy)
        found.append(
            f"the machine was busy: other processes kept up to {most:.1f} cores working "
            f"in {len(busy)} of {len(finished)} sessions"
        )
    stolen = max((s["stolen"] for s in finished), default=0.0)
    if stolen > _STOLEN:
        found.append(f"the host of this virtual machine took up to {100 * stolen:.0f} % of a core")
    if any(s["libraries"] != finished[0]["libraries"] for s in finished):
        found.append("the sessions ran with different versions or threads")
    return found


def _about_spread(cases: list[Content]) -> list[str]:
    found = []
    spreads = []
    for case in cases:
        for row in case["arms"]:
            values = row["time"]["sessions"].values()
            spreads.append((max(values) / min(values) - 1, f"{row['backend']} on {case['name']}"))
    unstable = sorted((entry for entry in spreads if entry[0] > _UNSTABLE), reverse=True)
    if unstable:
        more = f" and {len(unstable) - 1} more" if len(unstable) > 1 else ""
        found.append(
            f"unstable: the sessions of {unstable[0][1]} differ by {100 * unstable[0][0]:.0f} %"
            f"{more}; ratios are paired and suffer less"
        )
    blurred = [case for case in cases if (case["floor"] or 0) > statistics.LEAST_EFFECT]
    if blurred:
        names = ", ".join(f"{c['name']} ({100 * c['floor']:.0f} %)" for c in blurred)
        found.append(
            f"the A/A floor is above 5 % on {names}: what is smaller cannot be "
            "shown; more --sessions narrow it"
        )
    return found


def _about_machine(machine: Content, settings: Content, sessions: list[Content]) -> list[str]:
    found = []
    threads, usable = settings["threads"], len(machine["cores"]["usable"])
    if threads > usable:
        found.append(f"{threads} threads on {usable} usable cores")
    pools = {
        f"{pool['internal_api']} ran with {pool['num_threads']}"
        for session in sessions
        for pool in (session["libraries"] or {}).get("pools", ())
        if pool["num_threads"] != min(threads, usable)
    }
    found += [f"{pool} threads instead of {threads}" for pool in sorted(pools)]
    if machine.get("governor") not in (None, "performance"):
        found.append(f"the frequency governor is {machine['governor']}, not performance")
    return found


def _about_limits(cases: list[Content]) -> list[str]:
    """Whatever is faster than the limit shows that the limit was measured too low."""
    above = [
        f"{row['backend']} on {case['name']} ({100 * row['limit']['share']:.0f} %)"
        for case in cases
        for row in case["arms"]
        if row["limit"] and row["limit"]["share"] > _ABOVE and not row["impossible"]
    ]
    if not above:
        return []
    return [
        f"above the limit: {', '.join(above)}; the machine could do more while they were timed "
        "than while the limit was measured"
    ]


def _about_cores(benchmarks: list[Benchmark], threads: int) -> list[str]:
    """Whoever keeps more cores busy than there are threads has more than the others."""
    found = [
        f"{arm['extra_info']['backend']} on {arm['group']} kept {most:.1f} cores busy"
        for arm in benchmarks
        if (most := max(arm["extra_info"]["cores"])) > threads + _MORE_CORES
    ]
    return (
        [f"{', '.join(found)}, with {threads} thread{'s' * (threads > 1)} for each"]
        if found
        else []
    )


def _about_blocks(benchmarks: list[Benchmark]) -> list[str]:
    found = []
    for arm in benchmarks:
        info, stats = arm["extra_info"], arm["stats"]
        name = f"{info['backend']} on {arm['group']}"
        if stats["median"] * stats["iterations"] < _SHORTEST:
            found.append(f"{name}: timed blocks of less than 5 ms, calibrated in a slower moment")
        if info["signatures"][0] != info["signatures"][1]:
            found.append(f"{name}: something was compiled while it was timed")
        if arm["options"].get("mixed"):
            found.append(f"{name}: timed with different options of pytest-benchmark")
    return found
