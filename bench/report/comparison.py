"""Two runs side by side."""

from typing import TYPE_CHECKING

from rich.table import Table

from bench.report.tables import NONE, empty_table
from bench.report.text import markdown_cell
from plots.numbers import percent, seconds, short, spread

if TYPE_CHECKING:  # all of it together takes longer to be imported than `train` to train
    from bench.findings.comparison import Comparison


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
    from bench.findings.statistics import plain

    return [
        [
            f"{change.n:,} × {change.d:,}", short(change.backend), seconds(change.old),
            seconds(change.new), spread(plain(change.speed_up)),
            NONE if change.floor is None else f"± {percent(change.floor)}", change.verdict,
        ]
        for change in comparison.changes
    ]  # fmt: skip
