"""All that a result file says about a race: intervals, limits, compile times, memory."""

from collections import Counter
from typing import TYPE_CHECKING

from rich.table import Table

from gradrace.bench.race.precision import precision_of
from gradrace.bench.report.tables import NONE, empty_table, named, size
from gradrace.plots.numbers import percent, plain_seconds, seconds, short, si, spread

if TYPE_CHECKING:  # importing all of it takes longer than `train` takes to train
    from gradrace.bench.race.schema import About, BreakEven, ResultFile, Row


def details(content: "ResultFile") -> list[str | Table]:
    """Return the tables of a race that has timed something, each with its legend."""
    about = content["gradrace"]
    parts: list[str | Table | None] = [
        race_table(about),
        RACE_LEGEND,
        fewer_epochs(about),
        limit_table(about),
        limit_legend(about),
        compile_table(about),
        compile_legend(content),
        memory_table(about),
        MEMORY_LEGEND,
    ]
    return [part for part in parts if part]


def race_table(about: "About") -> Table:
    """Return a row for each case with its noise, followed by a row for each backend.

    `about` is the part "gradrace" of a result file.
    """
    speed_up = f"× {short(about['settings']['baseline'])} (95 %)"
    table = empty_table("n × d", "prepare", "set-up", "epoch", speed_up, "verdict")
    left_out = {(entry["case"], entry["backend"]) for entry in about["left_out"]}
    for case in about["cases"]:
        timed = {(case["name"], row["backend"]) for row in case["arms"]}
        noise = "" if case["floor"] is None else f"noise {percent(case['floor'])}"
        table.add_row(size(case), "", "", "", noise, "")
        for row in case["arms"]:
            mark = "*" * (row["epochs"] < case["epochs"])
            table.add_row(f" {named(row['backend'], about)}{mark}", *_figures(row))
        for backend in about["settings"]["backends"]:
            if {(case["name"], backend), ("every case", backend)} & left_out - timed:
                table.add_row(f" {named(backend, about)}", *[NONE] * 4, "not timed")
        if case is not about["cases"][-1]:
            table.add_section()
    return table


def _figures(row: "Row") -> list[str]:
    """Return the cells of a backend on one case, after its name."""
    ratio = row["speed_up"]
    return [
        NONE if row["prepare"] is None else seconds(row["prepare"]),
        seconds(row["setup"]) if row["setup"] else NONE,
        seconds(row["per_pass"]),
        NONE if ratio is None else spread(ratio),
        row["verdict"].removesuffix(" shown") or NONE,
    ]


RACE_LEGEND = (
    "Prepare: the time to convert the samples, once, before all calls. Set-up: what a call takes "
    "before its first epoch, if noticeable, plus prepare if that takes much longer than "
    "converting. Epoch: the median of "
    "all timed blocks, without the set-up. × …: how many times as fast as the baseline a call is, "
    "with the 95 % interval over the sessions. Noise: at "
    "each size, one backend is also raced against an identical copy, and the two can seem to "
    "differ by up to this much. Faster or slower: the interval excludes 1, and the difference "
    "exceeds both 5 % and the noise."
)


def fewer_epochs(about: "About") -> str:
    """Name the backends, marked in the table, that ran fewer epochs per call than the case."""
    fewer = Counter(
        named(row["backend"], about)
        for case in about["cases"]
        for row in case["arms"]
        if row["epochs"] < case["epochs"]
    )
    names = ", ".join(f"{name} at {count} size{'s' * (count > 1)}" for name, count in fewer.items())
    budget = plain_seconds(about["settings"]["budget"])
    return (
        f"* Runs fewer epochs per timed call, so that a call takes about {budget}: {names}."
        * bool(fewer)
    )


def limit_table(about: "About") -> Table | None:
    """Return a row per case: the least time of an epoch, what sets it, and each backend's share."""
    specs = about["settings"]["backends"]
    table = empty_table("share of limit", "least time", *(named(spec, about) for spec in specs))
    for case in about["cases"]:
        limits = {row["backend"]: limit for row in case["arms"] if (limit := row["limit"])}
        passing = [
            limit
            for row in case["arms"]
            if (limit := row["limit"]) and not row["passes_once"] and row["precision"] == "float64"
        ]
        if not limits:
            continue
        least = min(passing, key=lambda limit: limit["seconds"], default=None)
        shares = [percent(limits[s]["share"]) if s in limits else NONE for s in specs]
        table.add_row(
            size(case),
            f"{seconds(least['seconds'])} {least['by']}" if least else NONE,
            *shares,
        )
    return table if table.row_count else None


def limit_legend(about: "About") -> str:
    """Explain the table of limits; empty without one."""
    if limit_table(about) is None:
        return ""
    once = {row["backend"] for case in about["cases"] for row in case["arms"] if row["passes_once"]}
    own = [named(name, about) for name in about["settings"]["backends"] if name in once]
    theirs = "is compared with its own limit"
    if len(own) > 1:
        theirs = "are compared with their own limits"
    single = [
        short(name)
        for name in about["settings"]["backends"]
        if precision_of(about, name) != "float64"
    ]
    reads = f"read{'s' * (len(own) == 1)} them once per training run"
    exempt = f" {' and '.join(own)} {reads}, and {theirs}."
    return (
        "Least time: no epoch that reads all samples can be faster on this machine. It has to read "
        "X and y once, from the cache they fit in or from memory, and to multiply and add (FMA); "
        "whichever takes longer is the limit. A backend at 35 % of it takes about three times as "
        "long."
        + exempt
        * bool(own)
        + f" In float32, there are half as many bytes to read: {' and '.join(single)} "
        f"{'is' if len(single) == 1 else 'are'} compared with half that time." * bool(single)
    )


def compile_table(about: "About") -> Table | None:
    """Return a row per backend that compiles: its first runs, and when compiling pays off."""
    if not about["compile"]:
        return None
    case = next((case for case in about["cases"] if case["arms"]), None)
    if case is None:
        return None
    compiled = {entry["backend"] for entry in about["compile"]}
    rivals = [row["backend"] for row in case["arms"] if row["backend"] not in compiled]
    pays = [
        head
        for other in rivals
        for head in (f"runs to\nbeat {named(other, about)}", "once\ncompiled")
    ]
    heads = ("compiling", "import", "first run,\ncompiling", "first run,\ncompiled", "later\nruns")
    table = empty_table(*heads, *pays)
    rows = {row["backend"]: row for row in case["arms"]}
    for entry in about["compile"]:
        row = rows.get(entry["backend"])
        if row is None:
            continue
        first = [seconds(entry["cold"] + row["run"]), seconds(entry["cached"] + row["run"])]
        counts = [text for other in rivals for text in _pays(row["break_even"].get(other))]
        table.add_row(
            named(entry["backend"], about),
            seconds(entry["load"]),
            *first,
            seconds(row["run"]),
            *counts,
        )
    return table


def _pays(kinds: "BreakEven | None") -> list[str]:
    """Write after how many runs compiling pays off: when compiling first, and once compiled."""
    if kinds is None:
        return [NONE, NONE]
    counts = (kinds["cold"], kinds["cached"])
    return ["never" if count is None else f"{count:,}" for count in counts]


def compile_legend(content: "ResultFile") -> str:
    """Explain the table of compile times of a whole result file; empty without one."""
    if compile_table(content["gradrace"]) is None:
        return ""
    case = next(case for case in content["gradrace"]["cases"] if case["arms"])
    counts = [arm["extra_info"]["signatures"] for arm in content["benchmarks"]]
    proof = (
        "Nothing was compiled while it was timed."
        if all(before == after for before, after in counts)
        else "Something was compiled while it was timed; see the warnings."
    )
    return (
        f"A run is {case['run_epochs']:,} epochs on {size(case)}. The first run "
        "in a process compiles, or loads what an earlier process has compiled. Runs to beat …: "
        "from this many runs on, the total time, compiling included, is shorter than with "
        "the other backend; once compiled: the same if the machine code only has to be loaded. "
        f"Imports are not counted. {proof}"
    )


def memory_table(about: "About") -> Table:
    """Return a row per case: the size of its data, and the memory that each backend added."""
    specs = about["settings"]["backends"]
    table = empty_table("memory", "data", *(named(spec, about) for spec in specs))
    added = {(e["case"], e["backend"]): e["memory"]["added"] for e in about["trials"]}
    for case in about["settings"]["cases"]:
        cells = [added.get((case["name"], spec)) for spec in specs]
        table.add_row(
            size(case),
            si(8 * case["n"] * (case["d"] + 1), "B"),
            *(NONE if cell is None else si(cell, "B") for cell in cells),
        )
    return table


MEMORY_LEGEND = (
    "Memory: the size of X and y, and by how much preparing, compiling and training raised the "
    "peak memory of a process."
)
