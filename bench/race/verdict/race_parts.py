"""What a race says: the answer, its tables, its pictures, and what they mean.

A column of `FIGURES` is shown in every output: in the terminal, as Markdown, as CSV, on the page
and in a notebook.
"""

import json
import shlex
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from gradrace.backends.interface import InputValueError, Setting
from gradrace.bench.parts import (
    Answer,
    Bytes,
    Caution,
    Cell,
    Column,
    Command,
    Figure,
    Heading,
    Note,
    Part,
    Sentence,
    Share,
    Table,
    Time,
    Tool,
    joined,
)
from gradrace.bench.race.verdict import change, statistics
from gradrace.bench.race.verdict.result import (
    About,
    BreakEven,
    CaseFindings,
    Compile,
    Entry,
    ResultFile,
)
from gradrace.bench.race.verdict.sentences import about_race, only_versions, sentences
from gradrace.plots.numbers import both_ends, short, three_digits

ERRORS = "agreement.parquet"
"""What agreement.png is drawn from, beside the result file"""

_MOST_WARNINGS = 3
_MOST_NAMED = 3


def question(about: About) -> str:
    """Ask what a race answers."""
    sizes = _few([case.size for case in about.cases], "sizes")
    names = _few([about.named(name) for name in about.settings.backends], "backends")
    return f"Which of {names} is the fastest on {sizes}?"


def _few(names: Sequence[str], kind: str) -> str:
    return joined(names) if len(names) <= _MOST_NAMED else f"{len(names)} {kind}"


def parts(
    content: ResultFile, file: Path, limits: change.Limits, *, detail: bool = False
) -> Iterator[Part]:
    """Yield the answer, one table and the warnings; with `detail`, all that is known."""
    about = content.gradrace
    yield from answer(content, limits)
    if detail:
        yield Heading("What was raced?")
        yield Note(_words(about))
    yield Heading("How fast is each backend?")
    versions = change.changes(content)
    if versions:
        yield from _versions(content, versions)
    if content.benchmarks and not (versions and only_versions(about) and not detail):
        yield Sentence(about_race(content))
        yield from figures(about) if detail else summary(about)
    if detail:
        yield from pictures(content)
        yield from _starts(content)
        yield from _total(about)
        yield from _proof(file.parent / ERRORS)
    yield from _warnings(about, detail=detail)
    if detail:
        yield from _again(content)
    if about.interrupted:
        yield Sentence("To time the rest: gradrace run ", Setting("resume", str(file)))


def answer(content: ResultFile, limits: change.Limits) -> Iterator[Answer]:
    """Yield whether the race passes its limits, what changed, and who won and agrees."""
    yield from map(Answer, change.held(content, limits)[1])
    yield from change.sentences(content)
    yield from map(Answer, sentences(content))


def _words(about: About) -> str:
    """Explain what was raced to those who have not read the README."""
    return (
        "Linear regression by gradient descent: y is predicted as Xw + b, and every epoch moves w "
        "and b a step against the gradient of the mean squared error. A backend is one way to "
        "program this same loop. n × d means n samples of d features. A call is one training run "
        "from the start, and speed-ups compare whole calls; the time per epoch leaves out the "
        "set-up, which is what a call does before its first epoch. Every backend is compared with "
        f"the baseline, {short(about.settings.baseline)}. Before it was timed, it had to compute "
        "w, b and the loss of every epoch to within the error that rounding can cause. The exact "
        "values come from sums without rounding and 50-digit arithmetic."
    )


def _versions(content: ResultFile, found: Sequence[change.Change]) -> Iterator[Part]:
    about = content.gradrace
    yield from change.table(found)
    commits = {
        one.earlier: facts.commit[:9]
        for one in found
        for name, facts in about.backends.items()
        if facts.commit and name.endswith(f"@{one.earlier}")
    }
    for revision, commit in commits.items():
        yield Note(f"{revision} is commit {commit}.")
    cold = {one.backend: Time(one.cold) for one in about.compile}
    rows = [
        (about.named(facts.version_of), about.named(then), cold[facts.version_of], cold[then])
        for then, facts in about.backends.items()
        if then in cold and facts.version_of in cold
    ]
    if rows:
        heads = ("backend", "earlier version", "compiles in", "earlier version compiled in")
        yield Table([Column(head) for head in heads], rows, keys=2)


# The table of the summary


def summary(about: About) -> Iterator[Part]:
    """Yield time and speed-up of every backend at every size, and what the marks mean."""
    baseline = about.settings.baseline
    entries = [entry for case in about.cases for entry in case.entries]
    timed = any(entry.backend == baseline for entry in entries)
    ratio = f", and how many times as fast as {short(baseline)}" if timed else ""
    yield Sentence(f"Time per epoch{ratio}:")
    with_setup = _with_setup(about)
    lines: list[tuple[str, list[Cell]]] = []
    for backend in about.settings.backends:
        known = [_of(case, backend) for case in about.cases]
        lines.append((both_ends(about.named(backend)), [_cell(entry) for entry in known]))
        if backend in with_setup:
            setups = [Time(one.setup) if one and one.setup else None for one in known]
            lines.append((f"{both_ends(about.named(backend))} set-up", list(setups)))
    sizes = [case.size for case in about.cases]
    if len(sizes) <= len(lines):
        heads = [Column("backend"), *map(Column, sizes)]
        yield Table(heads, [(name, *cells) for name, cells in lines])
    else:
        heads = [Column("n × d"), *(Column(name) for name, _ in lines)]
        turned = zip(*(cells for _, cells in lines), strict=True)
        yield Table(heads, [(size, *cells) for size, cells in zip(sizes, turned, strict=True)])
    notes = []
    if with_setup:
        notes.append(
            "Set-up: what a call takes before its first epoch; the speed-ups, of whole calls, "
            "include it."
        )
    if any(entry.verdict == statistics.UNDECIDED for entry in entries):
        notes.append(f"~ no difference from {short(baseline)} shown")
    if notes:
        yield Note(" ".join(notes))


def _of(case: CaseFindings, backend: str) -> Entry | None:
    return next((entry for entry in case.entries if entry.backend == backend), None)


def _with_setup(about: About) -> set[str]:
    """Return the backends that spend more than a twentieth of a call on its set-up somewhere."""
    return {
        entry.backend
        for case in about.cases
        for entry in case.entries
        if entry.setup > entry.time.median * (entry.epochs + 1) / 20
    }


def _cell(entry: Entry | None) -> Cell:
    """Return a time and a speed-up."""
    if entry is None:
        return None
    time = Time(entry.per_pass)
    if entry.impossible:
        return time, "impossible"
    if entry.verdict == "baseline":
        return time, "1×"
    if entry.speed_up is None:
        return time, ""
    sign = "~" if entry.verdict == statistics.UNDECIDED else ""
    return time, f"{sign}{three_digits(entry.speed_up.value)}×"


# The table of all figures


class Known(NamedTuple):
    """What is known of a backend at one size."""

    about: About
    case: CaseFindings
    backend: str
    entry: Entry | None
    compiled: Compile | None


def _if_timed(of: Callable[[Entry], Cell]) -> Callable[[Known], Cell]:
    return lambda known: None if known.entry is None else of(known.entry)


def _if_compiled(of: Callable[[Compile], float]) -> Callable[[Known], Cell]:
    return lambda known: None if known.compiled is None else Time(of(known.compiled))


def _least_time(entry: Entry) -> Cell:
    return (Time(entry.limit.seconds), entry.limit.by) if entry.limit else None


FIGURES: list[tuple[Column, Callable[[Known], Cell]]] = [
    (Column("n × d"), lambda known: known.case.size),
    (Column("backend"), lambda known: known.about.named(known.backend)),
    (Column(None, "n"), lambda known: known.case.n),
    (Column(None, "d"), lambda known: known.case.d),
    (Column(None, "backend"), lambda known: known.backend),
    (Column(None, "precision"), _if_timed(lambda entry: entry.precision)),
    (
        Column("epoch", "median_seconds_per_epoch"),
        _if_timed(lambda entry: Time(entry.per_pass)),
    ),
    (
        Column("× {baseline} (95 %)", "speed_up", "interval"),
        _if_timed(lambda entry: entry.speed_up.ratio if entry.speed_up else None),
    ),
    (
        Column("verdict", "verdict"),
        lambda known: known.entry.verdict.removesuffix(" shown") if known.entry else "not timed",
    ),
    (
        Column("set-up", "setup_seconds"),
        _if_timed(lambda entry: Time(entry.setup) if entry.setup else None),
    ),
    (
        Column("prepare", "prepare_seconds"),
        _if_timed(lambda entry: None if entry.prepare is None else Time(entry.prepare)),
    ),
    (Column("epochs", "epochs_per_call"), _if_timed(lambda entry: entry.epochs)),
    (
        Column("noise", "noise_share"),
        lambda known: None if known.case.noise is None else Share(known.case.noise),
    ),
    (
        Column(None, "best_seconds_per_epoch"),
        _if_timed(lambda entry: entry.per_pass * entry.time.minimum / entry.time.median),
    ),
    (Column(None, "samples_per_second"), _if_timed(lambda entry: entry.rate)),
    (Column(None, "baseline"), lambda known: known.case.baseline),
    (Column(None, "speed_up_of_bests"), _if_timed(lambda entry: entry.speed_up_of_bests)),
    (Column("least time", "limit_seconds_per_epoch"), _if_timed(_least_time)),
    (
        Column("share of limit", "limit_share"),
        _if_timed(lambda entry: Share(entry.limit.share) if entry.limit else None),
    ),
    (
        Column("memory", "memory_added_bytes"),
        _if_timed(lambda entry: Bytes(entry.memory.added) if entry.memory else None),
    ),
    (Column(None, "import_seconds"), _if_compiled(lambda start: start.load)),
    (Column(None, "compile_seconds"), _if_compiled(lambda start: start.cold)),
    (Column(None, "load_compiled_seconds"), _if_compiled(lambda start: start.cached)),
    (
        Column(None, "not_timed_because"),
        lambda known: "" if known.entry else known.about.reason(known.case.name, known.backend),
    ),
]


def table(about: About) -> Table:
    """Return all figures: a row per size and backend."""
    compiled = {start.backend: start for start in about.compile}
    baseline = short(about.settings.baseline)
    columns = [
        column._replace(title=column.title.format(baseline=baseline)) if column.title else column
        for column, _ in FIGURES
    ]
    rows = []
    for case in about.cases:
        for backend in about.settings.backends:
            known = Known(about, case, backend, _of(case, backend), compiled.get(backend))
            rows.append([of(known) for _, of in FIGURES])
    return Table(columns, rows, keys=2)


def figures(about: About) -> Iterator[Part]:
    """Yield the table of all figures, and what its columns mean."""
    yield table(about)
    yield Note(
        "Epoch: the median of all timed blocks, without the set-up. × …: how many times as fast as "
        "the baseline a call is, with the 95 % interval over the sessions. Faster or slower: the "
        "interval excludes 1, and the difference exceeds both 5 % and the noise. Set-up: what a "
        "call takes before its first epoch, if noticeable, plus prepare if that takes much longer "
        "than converting. Prepare: the time to convert the samples, once, before all calls. Noise: "
        "at each size, one backend is also raced against an identical copy, and the two can seem "
        "to differ by up to this much. Memory: by how much preparing, compiling and training "
        "raised the peak memory of a process."
    )
    entries = [entry for case in about.cases for entry in case.entries]
    if any(entry.limit for entry in entries):
        yield Note(_about_limits(about, entries))


def _about_limits(about: About, entries: Sequence[Entry]) -> str:
    """Explain the least time of an epoch, and each backend's share."""
    text = (
        "Least time: no epoch that reads all samples can be faster on this machine. It has to read "
        "X and y once, from the cache they fit in or from memory, and to multiply and add (FMA); "
        "whichever takes longer is the limit. A backend at 35 % of it takes about three times as "
        "long."
    )
    once = {entry.backend for entry in entries if entry.passes_once}
    own = [about.named(name) for name in about.settings.backends if name in once]
    if len(own) == 1:
        text += f" {own[0]} reads them once per training run, and is compared with its own limit."
    elif own:
        text += (
            f" {joined(own)} read them once per training run, and are compared with their own "
            "limits."
        )
    single = [
        short(name) for name in about.settings.backends if about.precision_of(name) != "float64"
    ]
    if single:
        are = "is" if len(single) == 1 else "are"
        text += (
            f" In float32, there are half as many bytes to read: {joined(single)} {are} compared "
            "with half that time."
        )
    return text


def _starts(content: ResultFile) -> Iterator[Part]:
    """Yield a row per backend that compiles: its first runs, and when compiling pays off."""
    about = content.gradrace
    case = next((case for case in about.cases if case.entries), None)
    if not about.compile or case is None:
        return
    compiled = {start.backend for start in about.compile}
    rivals = [entry.backend for entry in case.entries if entry.backend not in compiled]
    heads = ["compiling", "import", "first run, compiling", "first run, compiled", "later runs"]
    for other in rivals:
        heads += [f"runs to beat {about.named(other)}", "once compiled"]
    rows = []
    for start in about.compile:
        if entry := _of(case, start.backend):
            times = (start.load, start.cold + entry.run, start.cached + entry.run, entry.run)
            pays = [text for other in rivals for text in _pays(entry.break_even.get(other))]
            rows.append([about.named(start.backend), *map(Time, times), *pays])
    yield Table([Column(head) for head in heads], rows)
    counts = [one.extra_info.signatures for one in content.benchmarks]
    proof = "Something was compiled while it was timed; see the warnings."
    if all(before == after for before, after in counts):
        proof = "Nothing was compiled while it was timed."
    yield Note(
        f"A run is {case.run_epochs:,} epochs on {case.size}. The first run in a process compiles, "
        "or loads what an earlier process has compiled. Runs to beat …: from this many runs on, "
        "the total time, compiling included, is shorter than with the other backend; once "
        "compiled: the same if the machine code only has to be loaded. Imports are not counted. "
        f"{proof}"
    )


def _pays(kinds: BreakEven | None) -> list[Cell]:
    """Return after how many runs compiling pays off: when compiling first, and once compiled."""
    if kinds is None:
        return [None, None]
    return ["never" if count is None else count for count in (kinds.cold, kinds.cached)]


# Pictures and the rest of a page


def pictures(content: ResultFile) -> Iterator[Figure]:
    """Yield the pictures for which a race has data, but that of the errors."""
    from gradrace.plots import breakeven, roofline, speed, speedup

    for plot, words in (
        (speed, "Time per epoch against the number of samples, set-up included."),
        (speedup, "How many times as fast as the baseline each backend is, with 95 % intervals."),
        (breakeven, "Total time against the number of training runs, compiling included."),
        (roofline, "How close each backend comes to what the machine can read and compute."),
    ):
        if plot.drawable(content.gradrace):
            name = plot.__name__.rpartition(".")[-1]
            yield Figure(name, words, partial(plot.figure, content))


def _proof(errors: Path) -> Iterator[Part]:
    yield Heading("Do all backends compute the same thing?")
    if errors.is_file():
        yield agreement(errors)


def agreement(errors: Path) -> Figure:
    """Return the picture of the errors that a race has saved beside its file.

    Drawing it raises InputValueError if the file is not the table of errors of a race.
    """

    def draw() -> Any:
        import pyarrow.parquet

        from gradrace.plots import agreement

        try:
            table = pyarrow.parquet.ParquetFile(errors).read()
            colors = json.loads((table.schema.metadata or {})[b"colors"])
            needed = {f"{q}_{what}" for q in agreement.QUANTITIES for what in ("error", "bound")}
            complete = {"backend", "epoch"} | needed <= set(table.column_names)
            complete = complete and set(table.column("backend").to_pylist()) <= set(colors)
        except (pyarrow.ArrowException, KeyError, ValueError, TypeError):
            complete = False
        if not complete:
            raise InputValueError(
                f"{errors}: is not the table of errors that this version of gradrace run writes; "
                "without that file, the other pictures are drawn"
            )
        return agreement.figure(table)

    return Figure(
        "agreement",
        "The error of each backend in every epoch on the reference line, 100 points of y = 3x + 2 "
        "plus noise, beside the largest error that rounding can cause. Each is also tried on small "
        "problems that expose mistakes, and on the sizes that were raced.",
        draw,
    )


def _total(about: About) -> Iterator[Part]:
    yield Heading("How long would my job take?")
    jobs = [_job(case, about) for case in about.cases if case.entries]
    if jobs:
        words = (
            "Choose a size, the number of training runs in one process, and the epochs of each. A "
            "compiled backend compiles the first time it is used on a machine; later processes "
            "load its saved machine code."
        )
        yield Tool("total", words, {"jobs": jobs})


def _job(case: CaseFindings, about: About) -> Mapping[str, Any]:
    """Return what each backend takes at one size, for the sliders."""
    starts = {start.backend: start for start in about.compile}
    return {
        "size": case.size,
        "epochs": case.epochs,
        "backends": [
            {
                "name": about.named(entry.backend),
                "setup": entry.setup,
                "pass": entry.per_pass,
                "cold": starts[entry.backend].cold if entry.backend in starts else 0.0,
                "cached": starts[entry.backend].cached if entry.backend in starts else 0.0,
            }
            for entry in case.entries
            if not entry.impossible
        ],
    }


def _warnings(about: About, *, detail: bool) -> Iterator[Part]:
    yield Heading("Warnings")
    shown = about.warnings if detail else about.warnings[:_MOST_WARNINGS]
    yield from map(Caution, shown)
    if more := len(about.warnings) - len(shown):
        words = "1 more warning with " if more == 1 else f"{more} more warnings with "
        yield Sentence(words, Setting("details", True), ".")


def _again(content: ResultFile) -> Iterator[Part]:
    """Say on which machine and when a race was run, and how to repeat it."""
    yield Heading("Environment, and how to repeat this")
    yield Sentence(about_race(content))
    commit = content.commit_info.get("id", "") if content.commit_info else ""
    if commit not in ("", "unversioned"):
        yield Sentence(f"Commit: {commit}")
    yield Sentence(f"Date: {content.datetime[:19]}")
    settings = content.gradrace.settings
    cases = " ".join(f"{case.name}@{case.epochs}" for case in settings.cases)
    yield Command(
        f"gradrace run --case {cases} --backends {shlex.join(settings.backends)} "
        f"--sessions {settings.sessions} --threads {settings.threads} --seed {settings.seed}"
    )
