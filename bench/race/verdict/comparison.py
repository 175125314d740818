"""Two races, minutes or months apart: what became faster or slower, and what else differs."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

import msgspec

from gradrace.backends.interface import InputValueError, Setting
from gradrace.bench.parts import Answer, Caution, Part, Result, counted
from gradrace.bench.race.verdict import change, conclusions, result, statistics
from gradrace.bench.race.verdict.change import BEFORE, Change, Missing
from gradrace.bench.race.verdict.result import CaseFindings, Entry, ResultFile
from gradrace.plots.numbers import short

_LEAST_DRIFT = 0.05
"""A change that all share comes from the machine, unless all backends were changed."""


@dataclass(frozen=True, repr=False)
class Comparison(Result):
    """Two races side by side; `passed` says whether nothing is slower than `limit` allows."""

    changes: list[Change]
    differences: list[str]
    """What else differs: machine, threads, versions, cases; any of them can be the cause"""
    comparable: bool
    """Whether both used the same kind of machine and the same number of threads"""
    gone: list[Missing]
    """What the new race lacks"""
    limit: float | None = None
    passed: bool = field(init=False)

    def __post_init__(self) -> None:
        """Judge.

        Raises:
            InputValueError: there is a limit, and the races used different machines.

        """
        if self.limit is not None and not self.comparable:
            raise InputValueError(
                Setting("fail_above"),
                ": the runs used different machines or numbers of threads, so their times say "
                "nothing about the code",
            )
        object.__setattr__(self, "passed", self._gate()[0])

    def _gate(self) -> tuple[bool, list[str]]:
        limits = {} if self.limit is None else {"": self.limit}
        return change.gate(self.changes, limits, self.gone)

    @property
    def drift(self) -> float:
        """The median speed-up of all backends."""
        return median(change.speed_up.value for change in self.changes)

    def parts(self, *, detail: bool = False) -> Iterator[Part]:  # noqa: ARG002 (this is all)
        """Yield the verdict, a table, and what may have caused the differences."""
        yield from map(Answer, self._gate()[1])
        yield from change.table(self.changes)
        for difference in self.differences:
            yield Caution(f"the runs differ ({difference})")
        share = max(self.drift, 1 / self.drift) - 1
        if len(self.changes) > 2 and share > _LEAST_DRIFT:
            word = "faster" if self.drift > 1 else "slower"
            yield Caution(
                f"half of all times are {100 * share:.0f} % or more {word}: unless every backend "
                "was changed, the cause is the machine; the speed-ups within each run are not "
                "affected"
            )


def compare(old: Path, new: Path, limit: float | None = None) -> Comparison:
    """Compare the race in `new` with the race in `old`, size by size.

    The races share no sessions, so this is Welch's interval (`statistics.change`), and a difference
    is shown by the rule of `statistics.verdict` with the larger noise of the two. `limit` is the
    slowdown that is allowed, as a share.

    Raises:
        InputValueError: one is not a result file, or they have no backend at a size in common; or
            there is a limit, and they used different machines.
        OSError: one cannot be read.

    """
    contents = [conclusions.concluded(result.decoded(path)) for path in (old, new)]
    before, after = map(_entries, contents)
    shared = [key for key in before if key in after]
    found = [
        _between(before[key], after[key], contents[1])
        for key in shared
        if _comparable(before[key], after[key])
    ]
    if not found:
        raise InputValueError(f"{old} and {new}: have no backend and size in common")
    unlike = _machines(*contents)
    gone = [
        Missing(f"{short(backend)} on {before[case, backend][0].size}", "missing", lost=True)
        for case, backend in before
        if (case, backend) not in after
    ]
    differences = [
        *unlike,
        *_versions(*contents),
        *_cases(before, after),
        *_partial(contents, (old, new)),
    ]
    return Comparison(found, differences, not unlike, gone, limit)


_Entries = dict[tuple[str, str], tuple[CaseFindings, Entry]]


def _entries(content: ResultFile) -> _Entries:
    return {
        (case.name, entry.backend): (case, entry)
        for case in content.gradrace.cases
        for entry in case.entries
    }


def _comparable(before: tuple[CaseFindings, Entry], after: tuple[CaseFindings, Entry]) -> bool:
    """Whether a time per epoch means the same: a set-up is spread over the epochs of a call."""
    return before[0].epochs == after[0].epochs or not after[1].passes_once


def _between(
    before: tuple[CaseFindings, Entry], after: tuple[CaseFindings, Entry], content: ResultFile
) -> Change:
    case, entry = after
    new, old = (list(one[1].time.sessions.values()) for one in (after, before))
    speed_up = statistics.change(new, old)
    assert speed_up is not None  # an entry has at least one session
    noises = [before[0].noise, case.noise]
    known = [noise for noise in noises if noise is not None]
    noise = max(known) if known == noises else None
    return Change(
        case,
        entry.backend,
        content.gradrace.named(entry.backend),
        BEFORE,
        before[1].time.median,
        entry.time.median,
        speed_up,
        noise,
        statistics.verdict(speed_up, noise),
        min(len(new), len(old)),
    )


def _machines(old: ResultFile, new: ResultFile) -> list[str]:
    """Return what makes a comparison of times unfair."""
    return _unlike(_facts(old), _facts(new))


def _unlike(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[str]:
    names = dict.fromkeys([*before, *after])
    return [
        f"{name}: {_short(before.get(name))} → {_short(after.get(name))}"
        for name in names
        if before.get(name) != after.get(name)
    ]


def _facts(content: ResultFile) -> dict[str, Any]:
    machine = content.machine_info
    return {
        "processor": machine.processor_name or None,
        "usable cores": len(machine.cores.usable),
        "caches": machine.caches,
        "memory": machine.memory,
        "threads": content.gradrace.settings.threads,
    }


def _versions(old: ResultFile, new: ResultFile) -> list[str]:
    """Return what has another version than before, which is often the reason to compare."""
    found = _unlike({"host": old.machine_info.node}, {"host": new.machine_info.node})
    found += _unlike(*map(_libraries, (old, new)))
    before, after = old.gradrace.fingerprints, new.gradrace.fingerprints
    found += [
        f"{name}: its file or library has changed"
        for name in before
        if after.get(name, before[name]) != before[name]
    ]
    names = sorted(old.gradrace.backends.keys() & new.gradrace.backends.keys())
    precisions = [{name: run.gradrace.precision_of(name) for name in names} for run in (old, new)]
    return found + [f"precision of {text}" for text in _unlike(*precisions)]


def _libraries(content: ResultFile) -> dict[str, Any]:
    for session in content.gradrace.sessions:
        if session.libraries:
            known: dict[str, Any] = msgspec.to_builtins(session.libraries)
            return {name: known[name] for name in sorted(known) if name != "pools"}
    return {}


def _cases(before: _Entries, after: _Entries) -> list[str]:
    found = []
    for words, one, other in (
        ("only in the old run", before, after),
        ("only in the new run", after, before),
    ):
        absent = [f"{backend} on {case}" for case, backend in one if (case, backend) not in other]
        if absent:
            more = f" and {len(absent) - 3} more" if len(absent) > 3 else ""
            found.append(f"{words}: {', '.join(absent[:3])}{more}")
    shared = [(before[key], after[key]) for key in before if key in after]
    jobs = {
        case.name
        for (then, _), (case, _) in shared
        if (then.lr, then.epochs) != (case.lr, case.epochs)
    }
    if jobs:
        found.append(f"different epochs or learning rates: {', '.join(sorted(jobs))}")
    left = sorted({then[1].backend for then, now in shared if not _comparable(then, now)})
    if left:
        found.append(f"not compared, because the set-up counts: {', '.join(left)}")
    return found


def _partial(contents: Sequence[ResultFile], paths: Sequence[Path]) -> list[str]:
    return [
        f"{path}: partial, {content.gradrace.finished} of "
        f"{counted(content.gradrace.settings.sessions, 'session')}"
        for content, path in zip(contents, paths, strict=True)
        if content.gradrace.interrupted
    ]


def _short(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{key} {item}" for key, item in value.items())
    return "none" if value is None else str(value)
