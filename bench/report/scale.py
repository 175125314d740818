"""How the time grows: exponents, crossovers and a picture."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.table import Table

from gradrace.bench.report.race import race_summary
from gradrace.bench.report.tables import empty_table, named
from gradrace.plots.numbers import short

if TYPE_CHECKING:  # importing all of it takes longer than `train` takes to train
    from gradrace.bench.race.exponents import Crossover, Exponent
    from gradrace.bench.race.schema import About, ResultFile


def scale_report(contents: "Sequence[ResultFile]", width: int = 80) -> list[str | Table]:
    """Say how the time grows with n on one thread, then summarize the race of each thread count.

    `contents` are result files; the one of a single thread comes first.
    """
    from gradrace.bench.race.exponents import crossovers, exponents

    one_thread = contents[0]
    parts: list[str | Table] = [
        exponent_table(exponents(one_thread), one_thread["gradrace"]),
        "* the time of a call divided by its epochs, set-up included",
        *crossover_lines(crossovers(one_thread)),
    ]
    for content in contents:
        parts += ["", *race_summary(content, width)]
    return parts


def exponent_table(found: "Sequence[Exponent]", about: "About") -> Table:
    """Return a row per backend: the exponent of its time, and from which n on it holds."""
    table = empty_table("backend", "time per epoch*", "from n =")
    for exponent in found:
        name = named(exponent.backend, about)
        table.add_row(name, f"∝ n^{exponent.power:.2f}", f"{exponent.start:,}")
    return table


def crossover_lines(found: "Sequence[Crossover]") -> list[str]:
    """Say at which n one backend overtakes another."""
    return [
        f"{short(c.after)} overtakes {short(c.before)} at n ≈ {float(f'{c.n:.2g}'):,.0f}"
        for c in found
    ]
