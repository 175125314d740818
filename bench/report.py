"""What the terminal shows of checks, races and backends."""

from collections.abc import Sequence

from rich.box import SIMPLE_HEAD
from rich.table import Table

import backends
from bench.agreement import Deviation, Verdict
from bench.race import Race
from plots.style import seconds, short

NONE = "–"


def verdict_table(verdicts: Sequence[Verdict]) -> Table:
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


def race_table(race: Race) -> Table:
    """Give each arm a row: backend, size, time per epoch, total, speed-up, agreement."""
    from plots.speed import time_per_epoch  # here, since matplotlib takes its time

    table = empty_table("backend", "n × d", "per epoch", "total", "speed-up", "agrees")
    timed = {(arm["group"], arm["extra_info"]["backend"]): arm for arm in race.benchmarks}
    previous = ""
    for entry in race.verdicts:
        case, backend = entry["case"], entry["verdict"]["backend"]
        if previous not in ("", case):
            table.add_section()
        previous = case
        cells = [NONE, NONE, NONE]
        if (case, backend) in timed:
            arm, base = timed[case, backend], timed.get((case, "python"))
            time = time_per_epoch(arm)
            total = f"{seconds(arm['stats']['median'])} for {arm['extra_info']['epochs']:,}"
            speed_up = NONE if base is None else f"{time_per_epoch(base) / time:,.3g} ×"
            cells = [seconds(time), total, speed_up]
        size = " × ".join(f"{int(part):,}" for part in case.split("x"))
        table.add_row(short(backend), size, *cells, yes_no(entry["verdict"]["agrees"]))
    return table


def backend_table() -> Table:
    """Give each built-in backend a row: its package's version or how to get it, and its idea."""
    table = empty_table("backend", "package", "its one idea")
    for name, rung in backends.LADDER.items():
        version = backends.package_version(name)
        package = rung.package or "Python"
        found = f"{package} {version}" if version else f"missing: pip install {package}"
        table.add_row(name, found, rung.idea)
    return table


def empty_table(*columns: str, no_wrap: bool = False) -> Table:
    """Return an empty table without needless lines or spaces."""
    table = Table(box=SIMPLE_HEAD, pad_edge=False, collapse_padding=True)
    for column in columns:
        table.add_column(column, no_wrap=no_wrap)
    return table


def yes_no(value: bool) -> str:
    """Write whether something agrees."""
    return "yes" if value else "NO"


def _share(deviation: Deviation | None) -> str:
    """Return the worst error as a share of its bound, and its epoch: 0.71% @ 1."""
    if deviation is None:
        return NONE
    if deviation.multiple > 1:
        return f"{deviation.multiple:.2g} × @ {deviation.epoch:,}"
    return f"{100 * deviation.multiple:.2g}% @ {deviation.epoch:,}"


def count(epoch: int | None) -> str:
    """Write an epoch, or a dash for none."""
    return NONE if epoch is None else f"{epoch:,}"
