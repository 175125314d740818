"""Who agrees with the exact trajectory."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.table import Table

from bench.report.tables import NONE, count, empty_table, yes_no
from plots.numbers import short

if TYPE_CHECKING:  # all of it together takes longer to be imported than `train` to train
    from bench.proof.agreement import Deviation, Verdict


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


def _share(deviation: "Deviation | None") -> str:
    """Return the worst error as a share of its bound, and its epoch: 0.71% @ 1."""
    if deviation is None:
        return NONE
    if deviation.multiple > 1:
        return f"{deviation.multiple:.2g} × @ {deviation.epoch:,}"
    return f"{100 * deviation.multiple:.2g}% @ {deviation.epoch:,}"
