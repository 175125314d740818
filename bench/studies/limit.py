"""What can this machine do at most? `python -m gradrace.bench.studies.limit` prints it."""

from rich.table import Table

from gradrace.bench.machine import facts, roofline
from gradrace.bench.machine.roofline import Roofline
from gradrace.bench.report import terminal
from gradrace.bench.report.tables import empty_table
from gradrace.plots.numbers import si


def roofline_table(roofline: Roofline) -> Table:
    """Return a row per size of a working set, and a column per number of threads that read it."""
    table = empty_table("working set", *(f"{count} thread(s)" for count in roofline["read"]))
    for i, size in enumerate(roofline["sizes"]):
        table.add_row(
            f"{size / 2**20:g} MiB", *(si(rates[i], "B/s") for rates in roofline["read"].values())
        )
    table.add_row("multiply-adds", *(si(rate, "/s") for rate in roofline["fma"].values()))
    return table


def main() -> None:
    """Print what this machine can do."""
    terminal.show(roofline_table(roofline.measured(len(facts.affinity()))))


if __name__ == "__main__":
    main()
