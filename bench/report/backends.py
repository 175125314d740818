"""The backends, and what they need."""

from rich.table import Table

from gradrace import backends
from gradrace.bench.report.tables import empty_table


def backend_table() -> Table:
    """Return a row per built-in backend: its package, or how to install that, and its idea."""
    table = empty_table("backend", "package", "its one idea", prose=("its one idea",))
    for name, rung in backends.LADDER.items():
        version = backends.package_version(name)
        package = rung.package or "Python"
        found = f"{package} {version}" if version else f"missing: {backends.how_to_install(name)}"
        table.add_row(name, found, rung.idea)
    return table
