"""Two runs side by side."""

from typing import TYPE_CHECKING, Literal

from rich.table import Table

from gradrace.bench.report.tables import NONE, empty_table
from gradrace.bench.report.text import markdown_cell
from gradrace.plots.numbers import percent, seconds, short, spread

if TYPE_CHECKING:  # importing all of it takes longer than `train` takes to train
    from gradrace.bench.race.comparison import Comparison


def comparison_table(comparison: "Comparison") -> Table:
    """Return a row for each backend and size: old and new time per epoch, speed-up, verdict."""
    table = empty_table("n × d", "old", "new", "speed-up", "verdict")
    case = ""
    for change, cells in zip(comparison.changes, comparison_rows(comparison), strict=True):
        size, backend, old, new, speed_up, floor, verdict = cells
        if change.case != case:
            if case:
                table.add_section()
            table.add_row(size, "", "", f"noise {floor}", "")
            case = change.case
        table.add_row(f" {backend}", old, new, speed_up, verdict)
    return table


COMPARISON_LEGEND = (
    "Old, new: the median time of a call divided by its epochs, set-up included. Speed-up: how "
    "many times as fast the new run is, from the means of the sessions, with its 95 % interval. "
    "Noise: each run also races one backend against an identical copy, and the two can seem to "
    "differ by up to this much; the larger figure of the two runs. Faster or slower: the interval "
    "excludes 1, and the difference exceeds both 5 % and the noise."
)


def comparison_report(
    comparison: "Comparison", layout: Literal["text", "md"] = "text"
) -> list[str | Table]:
    """Return two runs side by side, as text for a terminal or as Markdown."""
    if layout == "text":
        return [comparison_table(comparison), COMPARISON_LEGEND]
    return [*comparison_markdown(comparison)]


def comparison_markdown(comparison: "Comparison") -> list[str]:
    """Return the same table in Markdown."""
    head = ["n × d", "backend", "old", "new", "speed-up (95 %)", "noise", "verdict"]
    lines = [head, ["---"] * len(head), *comparison_rows(comparison)]
    return ["| " + " | ".join(map(markdown_cell, line)) + " |" for line in lines]


def comparison_rows(comparison: "Comparison") -> list[list[str]]:
    """Return the cells of the table of a comparison."""
    from gradrace.bench.race.statistics import plain

    return [
        [
            f"{change.n:,} × {change.d:,}",
            short(change.backend, change.precision),
            seconds(change.old),
            seconds(change.new),
            spread(plain(change.speed_up)),
            NONE if change.floor is None else percent(change.floor),
            change.verdict,
        ]
        for change in comparison.changes
    ]
