"""How the time grows: exponents and crossovers."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.table import Table

from bench.report.tables import empty_table
from plots.numbers import short

if TYPE_CHECKING:  # all of it together takes longer to be imported than `train` to train
    from bench.findings.exponents import Crossover, Exponent


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
