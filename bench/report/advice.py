"""Which backend to use."""

import shlex
from typing import TYPE_CHECKING

from rich.table import Table

from gradrace import backends
from gradrace.bench.race.advice import LEAST_TIME
from gradrace.bench.report.summary import about_race
from gradrace.bench.report.tables import NONE, empty_table, epochs
from gradrace.plots.numbers import seconds, short, three_digits

if TYPE_CHECKING:  # importing all of it takes longer than `train` takes to train
    from gradrace.bench.race.advice import Advice, Option
    from gradrace.bench.race.beyond_memory import BeyondMemory
    from gradrace.bench.race.schema import ResultFile


def advice_report(advice: "Advice", content: "ResultFile") -> list[str | Table]:
    """Return the advice, a table of the options, and which race it is from."""
    source = f"From a {about_race(content)}."
    return [*advice_lines(advice), advice_table(advice), f"{ADVICE_LEGEND} {source}"]


def beyond_memory_lines(cost: "BeyondMemory") -> list[str]:
    """Say which backend to use for samples that do not fit in memory, and what that takes."""
    needed, memory = (f"{three_digits(size / 1e9)} GB" for size in (cost.needed, cost.memory))
    threads = "one thread" if cost.threads == 1 else f"{cost.threads} threads"
    return [
        f"Use {short(cost.backend)}: {cost.n:,} × {cost.d:,} takes {needed} as float64, and this "
        f"computer has {memory} of memory. {short(cost.backend)} passes over the samples once, in "
        f"parts, which takes about {seconds(cost.seconds_of_pass)} on {threads}, or as long as "
        f"reading {needed} if that is longer. {cost.epochs:,} epochs then take "
        f"{seconds(cost.seconds_of_epochs)}.",
        f"The time of the pass was measured just now, on {cost.measured:,} samples in memory.",
        f"Type: gradrace train FOLDER --backend {cost.backend} --epochs {cost.epochs}",
    ]


def measure_command(advice: "Advice") -> str:
    """Return the command that races the job itself, with the same backends."""
    names = [option.backend for option in advice.options]
    own = any(name not in backends.LADDER for name in names)
    chosen = "".join(f" --backend {shlex.quote(name)}" for name in names) * own
    runs = f" --runs {advice.runs}" * (advice.runs > 1)
    job = f"--n {advice.n} --d {advice.d} --epochs {advice.epochs}{runs}"
    return f"gradrace advise {job} --measure{chosen}"


def advice_table(advice: "Advice") -> Table:
    """Return a row per backend: set-up and epoch, and the job: steady, cached, cold."""
    table = empty_table(
        "backend",
        "set-up",
        "epoch",
        "once\ncompiled",
        "range",
        "fresh\nprocess",
        "first time\never",
    )
    for option in advice.options:
        total = option.steady.value
        extras = (option.cached, option.cold)
        table.add_row(
            _name(option),
            NONE if option.setup < LEAST_TIME else seconds(option.setup),
            seconds(option.epoch.value),
            seconds(total),
            f"{seconds(option.steady.low)} – {seconds(option.steady.high)}",
            *(NONE if extra == 0 else seconds(total + extra) for extra in extras),
        )
    return table


def _in_float64(advice: "Advice") -> list[str]:
    """If the answer is a backend in float32, say what keeps all digits."""
    cached = advice.best_cached
    others = [option for option in advice.options if option.precision == "float64"]
    if cached.precision == "float64" or not others:
        return []
    best = min(others, key=lambda option: option.steady.value + option.cached)
    total = seconds(best.steady.value + best.cached)
    return [
        f"It keeps about half the digits; if you need those of float64, use {_name(best)}: {total}."
    ]


def _name(option: "Option") -> str:
    return short(option.backend, option.precision)


def advice_lines(advice: "Advice") -> list[str]:
    """Say which backend to use, and from how many runs on another one is faster."""
    best, cold, cached = advice.best, advice.best_cold, advice.best_cached
    runs = "one run" if advice.runs == 1 else f"{advice.runs:,} runs"
    job = f"{runs} of {epochs(advice.epochs)} on {advice.n:,} × {advice.d:,}"
    low, high = seconds(cached.steady.low), seconds(cached.steady.high)
    total = seconds(cached.steady.value + cached.cached)
    with_load = f", {seconds(cached.cached)} of them to load its machine code" * (cached.cached > 0)
    spread = "computing alone" if cached.cached > 0 else "range"
    lines = [
        f"Use {_name(cached)}: {job} take{'s' * (advice.runs == 1)} about {total}"
        f"{with_load} ({spread}: {low} to {high})."
    ]
    lines += _in_float64(advice)
    if cold is not cached:
        with_compiling = f", {seconds(cold.cold)} of them to compile" * (cold.cold > 0)
        close = cold.steady.high + cold.cold > cached.steady.low + cached.cold
        lines.append(
            f"If nothing is compiled yet, {_name(cold)} is {'about as fast' * close or 'faster'}: "
            f"{seconds(cold.steady.value + cold.cold)}{with_compiling}, where "
            f"{_name(cached)} takes {seconds(cached.steady.value + cached.cold)}."
        )
    elif cold.cold > 0:
        total = seconds(cold.steady.value + cold.cold)
        lines.append(f"The very first time takes {total}, because it compiles.")
    if best is not cached and best.steady.high < cached.steady.low:
        count = advice.overtakes(best, cached, best.cached)
        if count is not None:
            lines.append(f"With {count:,} runs or more in one process, {_name(best)} is faster.")
    rivals = [
        _name(option)
        for option in advice.options
        if option is not best and option.steady.low <= best.steady.high
    ]
    if rivals:
        lines.append(
            f"Once compiled, {_name(best)} and {' and '.join(rivals)} are too close to "
            f"call{'.' if advice.measured else f'; to be sure: {measure_command(advice)}'}"
        )
    if advice.extrapolated:
        lines.append(f"Extrapolated: {advice.extrapolated}.")
    return lines


ADVICE_LEGEND = (
    "Set-up: what each run takes before its first epoch, if that is noticeable. Once compiled: the "
    "time of the whole job in a process that has already compiled, and its range. Fresh process: "
    "including the time to load what was compiled earlier. First time ever: including the time to "
    "compile."
)
