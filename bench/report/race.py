"""What the terminal shows of checks, races, comparisons, advice and backends."""

from collections import Counter
from typing import TYPE_CHECKING

from rich.table import Table

from bench.report.tables import NONE, empty_table, wrapped
from plots.numbers import percent, plain_seconds, seconds, short, si, spread, three_digits

if TYPE_CHECKING:  # all of it together takes longer to be imported than `train` to train
    from bench.findings.schema import About, BreakEven, ResultFile


def race_report(content: "ResultFile") -> list[str | Table]:
    """Return all there is to say of a result file, in order."""
    about = content["gradrace"]
    parts: list[str | Table | None] = []
    if content["benchmarks"]:
        parts += [
            about_race(content),
            race_table(about),
            *wrapped(RACE_LEGEND),
            *wrapped(fewer_epochs(about)),
        ]
        parts += [limit_table(about), *wrapped(limit_legend(about))]
        parts += [compile_table(about), *wrapped(compile_legend(content))]
        parts += [memory_table(about), *wrapped(MEMORY_LEGEND)]
    parts += [
        f"{entry['backend']} on {entry['case']}: {entry['reason']}" for entry in about["left_out"]
    ]
    parts += [
        f"{row['backend']} on {case['name']}: impossible, {row['impossible']}"
        for case in about["cases"]
        for row in case["arms"]
        if row["impossible"]
    ]
    return [part for part in parts if part]


def race_table(about: "About") -> Table:
    """Give each case a row with its A/A floor, and below it each backend one with its figures.

    `about` is the part "gradrace" of a result file.
    """
    baseline = short(about["settings"]["baseline"])
    table = empty_table("n × d", "median", "best", "points/s", f"× {baseline}", "bests", "verdict")
    left_out = {(entry["case"], entry["backend"]) for entry in about["left_out"]}
    for case in about["cases"]:
        timed = {(case["name"], row["backend"]) for row in case["arms"]}
        floor = "A/A: –" if case["floor"] is None else f"A/A ± {percent(case['floor'])}"
        table.add_row(f"{case['n']:,} × {case['d']:,}", "", "", "", floor, "", "")
        for row in case["arms"]:
            time, ratio = row["time"], row["speed_up"]
            table.add_row(
                f" {short(row['backend'])}{'*' * (row['epochs'] < case['epochs'])}",
                seconds(time["median"]), seconds(time["minimum"]),
                si(row["rate"]), NONE if ratio is None else spread(ratio),
                NONE if ratio is None else three_digits(ratio["minima"]), row["verdict"] or NONE,
            )  # fmt: skip
        for backend in about["settings"]["backends"]:
            if {(case["name"], backend), ("every case", backend)} & left_out - timed:
                table.add_row(f" {short(backend)}", NONE, NONE, NONE, NONE, NONE, "not timed")
        if case is not about["cases"][-1]:
            table.add_section()
    return table


def fewer_epochs(about: "About") -> str:
    """Say which backends, marked in the table, made fewer epochs per call than their case has."""
    fewer = Counter(
        short(row["backend"])
        for case in about["cases"]
        for row in case["arms"]
        if row["epochs"] < case["epochs"]
    )
    names = ", ".join(f"{name} on {count} size{'s' * (count > 1)}" for name, count in fewer.items())
    budget = plain_seconds(about["settings"]["budget"])
    return f"* fewer epochs a call, to keep it near {budget}: {names}." if fewer else ""


def about_race(content: "ResultFile") -> str:
    """Say in a line what was raced, and on what."""
    about, machine = content["gradrace"], content["machine_info"]
    settings = about["settings"]
    finished = sum(not session["failure"] for session in about["sessions"])
    sessions = f"{finished} of {settings['sessions']}" if about["interrupted"] else f"{finished}"
    cores = len(machine["cores"]["usable"])
    return (
        f"{settings['kind']} run: {sessions} session{'s' * (sessions != '1')}, "
        f"{settings['threads']} "
        f"thread{'s' * (settings['threads'] > 1)} of {machine['cpu'].get('brand_raw', 'unknown')}, "
        f"{cores} cores, Python {machine['python_version']}"
    )


RACE_LEGEND = (
    "Time per epoch: the median of all blocks, and the best. Points/s: samples × epochs a second. "
    "In brackets the 95 % interval over the sessions. Bests: the ratio of the best times. A/A: "
    "identical code raced against itself. Faster or slower: the interval excludes 1, and the "
    "effect exceeds 5 % and A/A."
)


def limit_table(about: "About") -> Table | None:
    """Give each case a row: the least time of a pass, what sets it, and each backend's share."""
    specs = about["settings"]["backends"]
    table = empty_table("of the limit", "a pass", *map(short, specs))
    for case in about["cases"]:
        limits = {row["backend"]: limit for row in case["arms"] if (limit := row["limit"])}
        passing = [
            limit for row in case["arms"] if (limit := row["limit"]) and not row["passes_once"]
        ]
        if not limits:
            continue
        least = min(passing, key=lambda limit: limit["seconds"], default=None)
        shares = [percent(limits[s]["share"]) if s in limits else NONE for s in specs]
        table.add_row(
            f"{case['n']:,} × {case['d']:,}",
            f"{seconds(least['seconds'])} {least['by']}" if least else NONE,
            *shares,
        )
    return table if table.row_count else None


def limit_legend(about: "About") -> str:
    """Say what the table of limits shows; nothing without one."""
    if limit_table(about) is None:
        return ""
    once = {row["backend"] for case in about["cases"] for row in case["arms"] if row["passes_once"]}
    own = [
        f" {short(name)} reads the samples only when a call begins; its limit is its own."
        for name in about["settings"]["backends"]
        if name in once
    ]
    return (
        "The least time in which this machine can read X and y once, from the cache they fit or "
        "from memory, or make the multiply-adds (FMA); and its share of each backend's best time."
        + "".join(own)
    )


def compile_table(about: "About") -> Table | None:
    """Give each backend that compiles a row per reference: first calls, and when they have paid."""
    if not about["compile"]:
        return None
    case = next((case for case in about["cases"] if case["arms"]), None)
    if case is None:
        return None
    compiled = {entry["backend"] for entry in about["compile"]}
    rivals = [row["backend"] for row in case["arms"] if row["backend"] not in compiled]
    table = empty_table(
        "compiles", "import", "cold", "cached", "steady", *(
            f"pays against {short(other)}" for other in rivals
        )
    )  # fmt: skip
    rows = {row["backend"]: row for row in case["arms"]}
    for entry in about["compile"]:
        row = rows.get(entry["backend"])
        if row is None:
            continue
        first = [seconds(entry[kind] + row["run"]) for kind in ("cold", "cached")]
        pays = [_pays(row["break_even"].get(other)) for other in rivals]
        table.add_row(
            short(entry["backend"]), seconds(entry["load"]), *first, seconds(row["run"]), *pays
        )
    return table


def compile_legend(content: "ResultFile") -> str:
    """Say what the table of compile times shows, of a whole result file; nothing without one."""
    if compile_table(content["gradrace"]) is None:
        return ""
    case = next(case for case in content["gradrace"]["cases"] if case["arms"])
    counts = [arm["extra_info"]["signatures"] for arm in content["benchmarks"]]
    proof = (
        "Nothing was compiled while it was timed: as many signatures before as after."
        if all(before == after for before, after in counts)
        else "Something was compiled while it was timed; see the warnings."
    )
    return (
        f"One run of {case['run_epochs']:,} epochs on {case['n']:,} × {case['d']:,}, in a fresh "
        "process with an empty cache, with a full one, and every further run. Pays: ahead after "
        f"so many runs, cold and cached; importing is not counted. {proof}"
    )


def memory_table(about: "About") -> Table:
    """Give each case a row: the size of its data, and what each backend added to hold and train."""
    specs = about["settings"]["backends"]
    table = empty_table("memory", "data", *map(short, specs))
    added = {(e["case"], e["backend"]): e["memory"]["added"] for e in about["trials"]}
    for case in about["settings"]["cases"]:
        cells = [added.get((case["name"], spec)) for spec in specs]
        table.add_row(
            f"{case['n']:,} × {case['d']:,}",
            si(8 * case["n"] * (case["d"] + 1), "B"),
            *(NONE if cell is None else si(cell, "B") for cell in cells),
        )
    return table


MEMORY_LEGEND = "Memory: what preparing, compiling and training added to a process, at their peak."


def _pays(kinds: "BreakEven | None") -> str:
    """Write after how many runs compiling has paid, cold and cached."""
    if kinds is None:
        return NONE
    cold, cached = (
        "never" if count is None else f"{count:,}" for count in (kinds["cold"], kinds["cached"])
    )
    return f"{cold}, {cached}"
