"""The one table of a race's summary: time and speed-up of every backend at every size."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.table import Table

from gradrace.bench.race import statistics
from gradrace.bench.report.summary import about_race
from gradrace.bench.report.tables import NONE, empty_table, named, size, stacked
from gradrace.plots.numbers import both_ends, seconds, short, three_digits

if TYPE_CHECKING:
    from gradrace.bench.race.schema import About, ResultFile, Row


def summary_heading(content: "ResultFile") -> list[str]:
    """Say what was raced on which machine, and what the table of the summary shows."""
    about = content["gradrace"]
    baseline = about["settings"]["baseline"]
    timed = any(row["backend"] == baseline for case in about["cases"] for row in case["arms"])
    ratio = f", and how many times as fast as {short(baseline)}" * timed
    return [about_race(content), f"Time per epoch{ratio}:"]


SETUP = "set-up"


def summary_legend(about: "About") -> str:
    """Explain the marks and the set-up; empty if the table has neither."""
    rows = [row for case in about["cases"] for row in case["arms"]]
    parts = []
    if _with_setup(about):
        parts.append(
            "Set-up: what a call takes before its first epoch; the speed-ups, of whole calls, "
            "include it."
        )
    if any(row["verdict"] == statistics.UNDECIDED for row in rows):
        parts.append(f"~ no difference from {short(about['settings']['baseline'])} shown")
    return " ".join(parts)


def summary_tables(content: "ResultFile", width: int) -> list[Table]:
    """Return time and speed-up of every backend at every size, in as few tables as fit the width.

    The rows are the backends or the sizes, whichever needs fewer tables.
    """
    cells = summary_cells(content)
    backends = list(dict.fromkeys(name for name, _ in cells))
    sizes = list(dict.fromkeys(size for _, size in cells))
    upright = _grid("", backends, sizes, cells)
    turned = {(size, name): texts for (name, size), texts in cells.items()}
    across = _grid("n × d", sizes, backends, turned)
    return min([stacked(table, width) for table in (upright, across)], key=len)


def summary_cells(content: "ResultFile") -> dict[tuple[str, str], tuple[str, str]]:
    """Return (backend, size) → (time per epoch, speed-up), as text.

    A backend whose calls begin with a noticeable set-up is followed by a line for its time.
    """
    about, cells = content["gradrace"], {}
    with_setup = _with_setup(about)
    for case in about["cases"]:
        rows = {row["backend"]: row for row in case["arms"]}
        for backend in about["settings"]["backends"]:
            name = named(backend, about)
            cells[name, size(case)] = _cell(rows.get(backend))
            if backend in with_setup:
                setup = rows[backend]["setup"] if backend in rows else 0.0
                cells[f"{name} {SETUP}", size(case)] = (seconds(setup) if setup else NONE, "")
    return cells


def _with_setup(about: "About") -> set[str]:
    """Return the backends that spend more than a twentieth of a call on its set-up somewhere."""
    return {
        row["backend"]
        for case in about["cases"]
        for row in case["arms"]
        if row["setup"] > row["time"]["median"] * (row["epochs"] + 1) / 20
    }


def _cell(row: "Row | None") -> tuple[str, str]:
    if row is None:
        return NONE, ""
    time = seconds(row["per_pass"])
    if row["impossible"]:
        return time, "impossible"
    if row["verdict"] == "baseline":
        return time, "1×"
    if row["speed_up"] is None:
        return time, ""
    sign = "~" * (row["verdict"] == statistics.UNDECIDED)
    return time, f"{sign}{three_digits(row['speed_up']['value'])}×"


def _grid(
    corner: str,
    rows: Sequence[str],
    columns: Sequence[str],
    cells: dict[tuple[str, str], tuple[str, str]],
) -> Table:
    """Return a table whose cells hold two texts, each right-aligned."""
    table = empty_table(corner, *map(both_ends, columns))
    widths = {
        column: [max(len(cells[row, column][part]) for row in rows) for part in (0, 1)]
        for column in columns
    }
    for row in rows:
        texts = []
        for column in columns:
            (time, ratio), (wide, long) = cells[row, column], widths[column]
            texts.append(f"{time:>{wide}} {ratio:>{long}}".rstrip())
        table.add_row(both_ends(row), *texts)
    return table
