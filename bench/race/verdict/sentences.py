"""The result of a race in a few sentences: which backends won, which agree, what is missing."""

from collections.abc import Iterator, Sequence

from msgspec import UNSET

from gradrace.backends import ABSENT
from gradrace.bench.parts import counted, joined
from gradrace.bench.race.verdict.ranking import Gain, Winner, trades, winners
from gradrace.bench.race.verdict.result import EVERY, About, ResultFile
from gradrace.plots.numbers import short, three_digits

_NAMED = 2
"""A sentence lists at most this many sizes; of more sizes, it gives the number."""


def sentences(content: ResultFile) -> list[str]:
    """Say in a few sentences what a race has found: the answer first, then its limits."""
    about = content.gradrace
    if about.unchanged_since:
        return [f"No backend has changed since {about.unchanged_since}, so nothing was raced."]
    return [
        " ".join([*(() if only_versions(about) else _who_won(content)), *_who_agrees(about)]),
        *_in_float32(content),
        *_left_out(about),
        *_impossible(about),
        *_unfinished(about),
    ]


def only_versions(about: About) -> bool:
    """Whether every backend of a race is a version of another one in it, earlier or of today."""
    earlier = {name: facts.version_of for name, facts in about.backends.items() if facts.version_of}
    return bool(earlier) and {*earlier, *earlier.values()} == set(about.backends)


def _who_won(content: ResultFile) -> Iterator[str]:
    """Name the fastest backends, and the fastest of those that read the samples in every epoch."""
    about = content.gradrace
    found = winners(content)
    if not found:
        yield _without_rivals(about)
        return
    sure = all(winner.judged for winner in found)
    yield f"{_fastest(found, about)}{_speed_ups(found, about.settings.baseline)}."
    once = {entry.backend for case in about.cases for entry in case.entries if entry.passes_once}
    won = sorted({about.named(winner.backend) for winner in found if winner.backend in once})
    rest = winners(content, leave_out=once) if won else []
    if rest:
        names = {name for winner in found for name in (winner.tied if sure else [winner.backend])}
        who = "It" if len(names) == 1 else joined(won)
        yield (
            f"{who} {'reads' if len(won) == 1 else 'read'} the samples only once per training run; "
            f"of the backends that read them in every epoch, {_fastest(rest, about)}."
        )
    if not sure:
        yield "This is not certain, because too few sessions were timed."


def _without_rivals(about: About) -> str:
    """Say why there is no fastest backend."""
    timed = {entry.backend for case in about.cases for entry in case.entries}
    if not timed:
        return "Nothing was timed."
    if len(timed) == 1:
        return f"Only {about.named(timed.pop())} was timed, so there is nothing to compare it with."
    return "No two backends can be compared at the same size."


def _fastest(found: Sequence[Winner], about: About) -> str:
    """Say which backend is the fastest at which sizes, and where that is too close to call."""
    if not all(winner.judged for winner in found):
        clauses = [
            f"{about.named(backend)} had the shortest {'times' if len(group) > 1 else 'time'} "
            f"{_at(group, found)}"
            for backend, group in _grouped(found).items()
        ]
        return ", ".join(clauses)
    clear = [winner for winner in found if not winner.rivals]
    fastest = "faster" if len(about.settings.backends) == 2 else "fastest"
    clauses = []
    for backend, group in _grouped(clear).items():
        verb = "" if clauses else f" is the {fastest}"
        clauses.append(f"{about.named(backend)}{verb} {_at(group, found)}")
    ties: dict[frozenset[str], list[Winner]] = {}
    for winner in found:
        if winner.rivals:
            ties.setdefault(winner.tied, []).append(winner)
    text = ", ".join(clauses)
    close = [
        f"{joined([about.named(name) for name in (group[0].backend, *group[0].rivals)])} are too "
        f"close to call {_at(group, found)}"
        for group in ties.values()
    ]
    return "; ".join([text, *close] if text else close)


def _speed_ups(found: Sequence[Winner], baseline: str) -> str:
    """Say how many times as fast as the baseline the fastest is, over all sizes."""
    ratios = [
        (winner.entry.speed_up.value, winner.case.size)
        for winner in found
        if winner.backend != baseline and winner.entry.speed_up
    ]
    if not ratios:
        return ""
    (least, where), (most, there) = min(ratios), max(ratios)
    if len(ratios) == 1:
        place = f" at {where}" if len(found) > 1 else ""
        return f", {three_digits(least)} times as fast as {short(baseline)}{place}"
    return (
        f": {three_digits(least)} times ({where}) to {three_digits(most)} times ({there}) as "
        f"fast as {short(baseline)}"
    )


def _in_float32(content: ResultFile) -> Iterator[str]:
    """Say how many digits each backend in float32 keeps, and how much faster it is for that."""
    for trade in trades(content):
        text = f"{short(trade.backend)} computes in float32."
        if trade.digits:
            text += f" {trade.digits.kept} on the reference line."
        if trade.gains:
            rivals = {short(gain.rival) for gain in trade.gains}
            rival = rivals.pop() if len(rivals) == 1 else "the fastest comparable float64 backend"
            clear = [gain for gain in trade.gains if gain.shown]
            text += f" It is {_gains(clear)} as fast as {rival}." if clear else ""
            if hidden := [gain.case.size for gain in trade.gains if not gain.shown]:
                text += f" No difference in speed from {rival} is shown at {joined(hidden)}."
        yield text


def _gains(gains: Sequence[Gain]) -> str:
    """Write the least and the largest gain: 0.9 times (100 × 1) to 1.9 times (100,000 × 1)."""
    first, last = (choice(gains, key=lambda gain: gain.ratio.value) for choice in (min, max))
    least, most = (f"{three_digits(gain.ratio.value)} times" for gain in (first, last))
    return least if least == most else f"{least} ({first.case.size}) to {most} ({last.case.size})"


def _who_agrees(about: About) -> Iterator[str]:
    """Say how many backends compute the exact trajectory."""
    absent = {e.backend for e in about.left_out if e.reason.startswith(ABSENT)}
    names = [name for name in about.settings.backends if name not in absent]
    wrong = {entry.backend for entry in about.left_out if entry.fault}
    judged = [name for name in names if _was_checked(about, name)]
    if len(judged) < len(names):
        yield f"Only {len(judged)} of {len(names)} backends were checked before the interruption."
        return
    agreeing = [short(name) for name in names if name not in wrong]
    problems = about.problems
    where = f" on {problems:,} test problems" if problems else ""
    if not agreeing:
        yield "No backend agrees with the exact trajectory."
    elif len(agreeing) < len(names):
        are = "agrees" if len(agreeing) == 1 else "agree"
        count = f"{len(agreeing)} of {len(names)} backends"
        yield f"Only {count} {are} with the exact trajectory{where}."
    elif len(names) == 1:
        yield f"{agreeing[0]} agrees with the exact trajectory{where}."
    else:
        count = "Both" if len(names) == 2 else f"All {len(names)}"
        yield f"{count} backends agree with the exact trajectory{where}."


def _was_checked(about: About, backend: str) -> bool:
    """Whether a race got as far as to check a backend before it was interrupted."""
    early = about.interrupted and not about.contenders and about.problems > 0
    return not early or about.backends[backend].digits is not UNSET


def _left_out(about: About) -> Iterator[str]:
    """Say what was not timed, and why; what was only too slow, size by size, in one sentence."""
    slow: dict[str, list[str]] = {}
    reasons: dict[str, str] = {}
    for entry in about.left_out:
        name, everywhere = short(entry.backend), entry.case == EVERY
        if entry.fault:
            place = "" if everywhere else f" at {_size_of(about, entry.case)}"
            yield f"{name} is left out{place}: {entry.reason}."
        else:
            slow.setdefault(name, []).append(_size_of(about, entry.case))
            reasons[name] = entry.reason.removeprefix("too slow: ")
    for name, sizes in slow.items():
        where = "" if len(sizes) == 1 else f" at {sizes[-1]}"
        yield f"{name} was too slow to be timed at {joined(sizes)}: {reasons[name]}{where}."


def _impossible(about: About) -> Iterator[str]:
    """Say which backends were faster than the machine can be."""
    for case in about.cases:
        for entry in case.entries:
            if entry.impossible:
                yield (
                    f"{short(entry.backend)} at {case.size} is impossibly fast, and not ranked: "
                    f"{entry.impossible}."
                )


def _unfinished(about: About) -> Iterator[str]:
    if about.interrupted:
        yield (
            f"This run is unfinished: it has {about.finished} of "
            f"{about.settings.sessions} sessions."
        )


def about_race(content: ResultFile) -> str:
    """Say in a line what was raced, and on what."""
    about, machine = content.gradrace, content.machine_info
    settings = about.settings
    sessions = counted(about.finished, "session")
    if about.interrupted:
        sessions = f"{about.finished} of {settings.sessions} sessions"
    return (
        f"{settings.kind} run: {sessions}, {counted(settings.threads, 'thread')} of "
        f"{machine.processor_name or 'unknown'}, {len(machine.cores.usable)} cores, "
        f"Python {machine.python_version}"
    )


def _grouped(found: Sequence[Winner]) -> dict[str, list[Winner]]:
    """Return backend → where it is the fastest; the one with the most sizes comes first."""
    groups: dict[str, list[Winner]] = {}
    for winner in found:
        groups.setdefault(winner.backend, []).append(winner)
    return dict(sorted(groups.items(), key=lambda item: -len(item[1])))


def _at(group: Sequence[Winner], found: Sequence[Winner]) -> str:
    """Say at which of all sizes: at all 4 sizes, at 3 of 4 sizes, at 100 × 1."""
    if len(group) == len(found) > 1:
        return "at both sizes" if len(found) == 2 else f"at all {len(found)} sizes"
    if len(group) <= _NAMED:
        return f"at {joined([winner.case.size for winner in group])}"
    return f"at {len(group)} of {len(found)} sizes"


def _size_of(about: About, name: str) -> str:
    """Return the size of a case by its name; the name itself if there is none."""
    return next((case.size for case in about.cases if case.name == name), name)
