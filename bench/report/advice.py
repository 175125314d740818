"""Which backend to take."""

from typing import TYPE_CHECKING

from rich.table import Table

from bench.report.tables import NONE, empty_table
from plots.numbers import seconds, short

if TYPE_CHECKING:  # all of it together takes longer to be imported than `train` to train
    from bench.findings.advice import Advice


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
