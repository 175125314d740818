"""What the terminal shows of checks, races, comparisons, advice and backends."""

import textwrap
from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.box import SIMPLE_HEAD
from rich.table import Table
from rich.text import Text

import backends
from bench.text import markdown_cell
from plots.style import plain_seconds, seconds, short, three_digits, times

if TYPE_CHECKING:  # all of it together takes longer to be imported than `train` to train
    from bench.advice import Advice
    from bench.agreement import Deviation, Verdict
    from bench.comparison import Comparison
    from bench.growth import Crossover, Exponent
    from bench.results import Content

NONE = "–"


def verdict_table(verdicts: "Sequence[Verdict]") -> Table:
    """Give each backend a row: agreement, worst w, b and loss, equality with `python`, overflow."""
    table = empty_table("backend", "agrees", "w", "b", "loss", "= python")
    diverges = any(verdict.first_inf is not None for verdict in verdicts)
    if diverges:
        table.add_column("inf, nan @")
    for verdict in verdicts:
        cells = [_share(part) for part in (verdict.w, verdict.b, verdict.loss)]
        cells.append({None: NONE, True: "yes", False: "no"}[verdict.bitwise])
        if diverges:
            cells.append(f"{count(verdict.first_inf)}, {count(verdict.first_nan)}")
        table.add_row(short(verdict.backend), yes_no(verdict.agrees), *cells)
    return table


def race_report(content: "Content") -> list[str | Table]:
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


def race_table(about: "Content") -> Table:
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


def fewer_epochs(about: "Content") -> str:
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


def about_race(content: "Content") -> str:
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


def limit_table(about: "Content") -> Table | None:
    """Give each case a row: the least time of a pass, what sets it, and each backend's share."""
    specs = about["settings"]["backends"]
    table = empty_table("of the limit", "a pass", *map(short, specs))
    for case in about["cases"]:
        rows = {row["backend"]: row for row in case["arms"] if row["limit"]}
        passing = [row["limit"] for row in rows.values() if not row["passes_once"]]
        if not rows:
            continue
        least = min(passing, key=lambda limit: limit["seconds"], default=None)
        shares = [percent(rows[s]["limit"]["share"]) if s in rows else NONE for s in specs]
        table.add_row(
            f"{case['n']:,} × {case['d']:,}",
            f"{seconds(least['seconds'])} {least['by']}" if least else NONE,
            *shares,
        )
    return table if table.row_count else None


def limit_legend(about: "Content") -> str:
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


def roofline_table(roofline: "Content") -> Table:
    """Give each size of a working set a row: how fast one core reads it, and so many threads."""
    table = empty_table("working set", *(f"{count} thread(s)" for count in roofline["read"]))
    for i, size in enumerate(roofline["sizes"]):
        table.add_row(
            f"{size / 2**20:g} MiB", *(f"{si(rates[i])}B/s" for rates in roofline["read"].values())
        )
    table.add_row("multiply-adds", *(f"{si(rate)}/s" for rate in roofline["fma"].values()))
    return table


def exponent_table(found: "Sequence[Exponent]") -> Table:
    """Give each backend a row: the exponent of its time per epoch, and from which n on it holds."""
    table = empty_table("backend", "time per epoch", "from n =")
    for exponent in found:
        table.add_row(short(exponent.backend), f"∝ n^{exponent.power:.2f}", f"{exponent.start:,}")
    return table


def crossover_lines(found: "Sequence[Crossover]") -> list[str]:
    """Say where one backend overtakes another."""
    return [
        f"{short(c.after)} overtakes {short(c.before)} at n ≈ {float(f'{c.n:.2g}'):,.0f}"
        for c in found
    ]


def compile_table(about: "Content") -> Table | None:
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


def compile_legend(content: "Content") -> str:
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


def memory_table(about: "Content") -> Table:
    """Give each case a row: the size of its data, and what each backend added to hold and train."""
    specs = about["settings"]["backends"]
    table = empty_table("memory", "data", *map(short, specs))
    added = {(e["case"], e["backend"]): e["memory"]["added"] for e in about["trials"]}
    for case in about["settings"]["cases"]:
        cells = [added.get((case["name"], spec)) for spec in specs]
        table.add_row(
            f"{case['n']:,} × {case['d']:,}",
            f"{si(8 * case['n'] * (case['d'] + 1))}B",
            *(NONE if cell is None else f"{si(cell)}B" for cell in cells),
        )
    return table


MEMORY_LEGEND = "Memory: what preparing, compiling and training added to a process, at their peak."


def comparison_table(comparison: "Comparison") -> Table:
    """Give each backend on each case a row: old and new time per epoch, the change, the verdict."""
    table = empty_table("n × d", "old", "new", "speed-up", "verdict")
    case = ""
    for change, cells in zip(comparison.changes, comparison_rows(comparison), strict=True):
        size, backend, old, new, speed_up, floor, verdict = cells
        if change.case != case:
            if case:
                table.add_section()
            table.add_row(size, "", "", f"A/A {floor}", "")
            case = change.case
        table.add_row(f" {backend}", old, new, speed_up, verdict)
    return table


COMPARISON_LEGEND = (
    "Old, new: the median of all blocks, per epoch. Speed-up: speed of the new run in units of the "
    "old one, by the means of the sessions, with its 95 % interval. A/A: the larger floor of the "
    "two runs."
)


def comparison_markdown(comparison: "Comparison") -> list[str]:
    """Return the same table in Markdown."""
    head = ["n × d", "backend", "old", "new", "speed-up (95 %)", "A/A floor", "verdict"]
    lines = [head, ["---"] * len(head), *comparison_rows(comparison)]
    return ["| " + " | ".join(map(markdown_cell, line)) + " |" for line in lines]


def comparison_rows(comparison: "Comparison") -> list[list[str]]:
    """Return the cells of the table of a comparison."""
    from bench.results import plain

    return [
        [
            f"{change.n:,} × {change.d:,}", short(change.backend), seconds(change.old),
            seconds(change.new), spread(plain(change.speed_up)),
            NONE if change.floor is None else f"± {percent(change.floor)}", change.verdict,
        ]
        for change in comparison.changes
    ]  # fmt: skip


def advice_table(advice: "Advice") -> Table:
    """Give each backend a row: time per epoch, and of the job: steady, cached, cold."""
    table = empty_table("backend", "per epoch", "range", "compiled", "cached", "to compile")
    for option in advice.options:
        total = option.steady.value
        table.add_row(
            short(option.backend), seconds(option.epoch.value),
            f"{seconds(option.steady.low)} – {seconds(option.steady.high)}",
            seconds(total), *(
                NONE if extra == 0 else seconds(total + extra)
                for extra in (option.cached, option.cold)
            ),
        )  # fmt: skip
    return table


def advice_lines(advice: "Advice") -> list[str]:
    """Say which backend to take, and from how many runs on another one would be the better."""
    best, cold, cached = advice.best, advice.best_cold, advice.best_cached
    runs = "one run" if advice.runs == 1 else f"{advice.runs:,} runs"
    job = f"{runs} of {advice.epochs:,} epochs on {advice.n:,} × {advice.d:,}"
    low, high = seconds(cached.steady.low), seconds(cached.steady.high)
    total = seconds(cached.steady.value + cached.cached)
    with_load = f", {seconds(cached.cached)} of them to load its machine code" * (cached.cached > 0)
    lines = [
        f"Take {short(cached.backend)}: {job} take{'s' * (advice.runs == 1)} about {total}"
        f"{with_load} "
        f"({low} to {high} of computing)."
    ]
    if cold is not cached:
        lines.append(
            f"Where {short(cached.backend)} must still compile, which takes "
            f"{seconds(cached.cold)}, {short(cold.backend)} is quicker: "
            f"{seconds(cold.steady.value)}."
        )
    elif cold.cold > 0:
        total = seconds(cold.steady.value + cold.cold)
        lines.append(f"The very first time it takes {total}, since it compiles.")
    if best is not cached and best.steady.high < cached.steady.low:
        count = advice.overtakes(best, cached, best.cached)
        if count is not None:
            lines.append(
                f"From {count:,} runs in one process on, {short(best.backend)} is quicker."
            )
    rivals = [
        short(option.backend)
        for option in advice.options
        if option is not best and option.steady.low <= best.steady.high
    ]
    if rivals:
        lines.append(
            f"Once compiled, {short(best.backend)} and {' and '.join(rivals)} are too close to "
            f"call; to be sure: gradrace run --sizes {advice.n} --features {advice.d}"
        )
    if advice.extrapolated:
        lines.append(f"Extrapolated: {advice.extrapolated}.")
    return lines


ADVICE_LEGEND = (
    "Compiled: the whole job once everything is compiled; range: from low to high. Cached: in a "
    "fresh process. To compile: the very first time."
)


def wrapped(text: str) -> list[str]:
    """Return the lines of a text for a terminal of 80 columns."""
    return textwrap.wrap(text, 79)


def spread(ratio: "Content") -> str:
    """Write a ratio with its interval: 4.71 (4.65–4.77)."""
    return times(ratio).replace(" ×", "")


def percent(share: float) -> str:
    """Write a share with two digits: 1.2 %."""
    return f"{100 * share:.2g} %" if share < 0.995 else f"{100 * share:,.0f} %"


def si(value: float) -> str:
    """Write a number with three digits and an SI prefix: 1.23 G."""
    for factor, unit in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if value >= 0.9995 * factor:
            return f"{value / factor:.3g} {unit}"
    return f"{value:.3g} "


def _pays(kinds: dict[str, int | None] | None) -> str:
    """Write after how many runs compiling has paid, cold and cached."""
    if kinds is None:
        return NONE
    cold, cached = ("never" if count is None else f"{count:,}" for count in kinds.values())
    return f"{cold}, {cached}"


def backend_table() -> Table:
    """Give each built-in backend a row: its package's version or how to get it, and its idea."""
    table = empty_table("backend", "package", "its one idea")
    for name, rung in backends.LADDER.items():
        version = backends.package_version(name)
        package = rung.package or "Python"
        found = f"{package} {version}" if version else f"missing: pip install {package}"
        table.add_row(name, found, rung.idea)
    return table


def empty_table(*columns: str, no_wrap: bool = False) -> Table:
    """Return an empty table without needless lines or spaces."""
    table = Table(box=SIMPLE_HEAD, pad_edge=False, collapse_padding=True)
    for column in columns:
        table.add_column(Text(column), no_wrap=no_wrap, overflow="fold")  # may have two lines
    return table


def yes_no(value: bool) -> str:
    """Write whether something agrees."""
    return "yes" if value else "NO"


def _share(deviation: "Deviation | None") -> str:
    """Return the worst error as a share of its bound, and its epoch: 0.71% @ 1."""
    if deviation is None:
        return NONE
    if deviation.multiple > 1:
        return f"{deviation.multiple:.2g} × @ {deviation.epoch:,}"
    return f"{100 * deviation.multiple:.2g}% @ {deviation.epoch:,}"


def count(epoch: int | None) -> str:
    """Write an epoch, or a dash for none."""
    return NONE if epoch is None else f"{epoch:,}"
