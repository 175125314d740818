"""What the terminal shows: tables of verdicts, speeds, fits and backends."""

from collections.abc import Sequence

from rich.box import SIMPLE_HEAD
from rich.table import Table

import backends
from bench.agreement import Deviation, Verdict
from bench.data import Dataset
from bench.race import Race
from bench.training import Fit
from plots.speed import time_per_epoch
from plots.style import seconds, short

MOST_WEIGHTS = 20
_NONE = "–"


def verdict_table(verdicts: Sequence[Verdict]) -> Table:
    """Give each backend a row: agreement, worst w, b and loss, equality with `python`, overflow."""
    table = _table("backend", "agrees", "w", "b", "loss", "= python")
    diverges = any(verdict.first_inf is not None for verdict in verdicts)
    if diverges:
        table.add_column("inf, nan @")
    for verdict in verdicts:
        cells = [_share(part) for part in (verdict.w, verdict.b, verdict.loss)]
        cells.append({None: _NONE, True: "yes", False: "no"}[verdict.bitwise])
        if diverges:
            cells.append(f"{_count(verdict.first_inf)}, {_count(verdict.first_nan)}")
        table.add_row(short(verdict.backend), _yes_no(verdict.agrees), *cells)
    return table


def race_table(race: Race) -> Table:
    """Give each arm a row: backend, size, time per epoch, total, speed-up, agreement."""
    table = _table("backend", "n × d", "per epoch", "total", "speed-up", "agrees")
    timed = {(arm["group"], arm["extra_info"]["backend"]): arm for arm in race.benchmarks}
    previous = ""
    for entry in race.verdicts:
        case, backend = entry["case"], entry["verdict"]["backend"]
        if previous not in ("", case):
            table.add_section()
        previous = case
        cells = [_NONE, _NONE, _NONE]
        if (case, backend) in timed:
            arm, base = timed[case, backend], timed.get((case, "python"))
            time = time_per_epoch(arm)
            total = f"{seconds(arm['stats']['median'])} for {arm['extra_info']['epochs']:,}"
            speed_up = _NONE if base is None else f"{time_per_epoch(base) / time:,.3g} ×"
            cells = [seconds(time), total, speed_up]
        size = " × ".join(f"{int(part):,}" for part in case.split("x"))
        table.add_row(short(backend), size, *cells, _yes_no(entry["verdict"]["agrees"]))
    return table


def fit_table(fit: Fit) -> Table:
    """Lay learned w, b and loss beside the least squares; of many weights the first 20."""
    table = _table("", "learned", "least squares")
    best, last = fit.least_squares, len(fit.trajectory.epoch) - 1
    weights = list(zip(fit.data.features, fit.trajectory.w[last], best.w, strict=True))
    for name, learned, exact in weights[:MOST_WEIGHTS]:
        table.add_row(f"w[{name}]", f"{learned:.10g}", f"{exact:.10g}")
    if len(weights) > MOST_WEIGHTS:
        table.add_row(f"… {len(weights) - MOST_WEIGHTS} more in model.json", "", "")
    table.add_row("b", f"{fit.trajectory.b[last]:.10g}", f"{best.b:.10g}")
    table.add_row("loss", f"{fit.trajectory.loss[last]:.10g}", f"{best.loss:.10g}")
    return table


def question(data: Dataset) -> str:
    """Say what is predicted from what: price from size, age; of many features the first five."""
    names = ", ".join(data.features[:5])
    more = len(data.features) - 5
    return f"{data.target} from {names}" + (f" and {more} more" if more > 0 else "")


def backend_table() -> Table:
    """Give each built-in backend a row: its package's version or how to get it, and its idea."""
    table = _table("backend", "package", "its one idea")
    for name, rung in backends.LADDER.items():
        version = backends.package_version(name)
        package = rung.package or "Python"
        found = f"{package} {version}" if version else f"missing: pip install {package}"
        table.add_row(name, found, rung.idea)
    return table


def _table(*columns: str) -> Table:
    """Return an empty table without needless lines or spaces."""
    table = Table(box=SIMPLE_HEAD, pad_edge=False, collapse_padding=True)
    for column in columns:
        table.add_column(column)
    return table


def _yes_no(value: bool) -> str:
    return "yes" if value else "NO"


def _share(deviation: Deviation | None) -> str:
    """Return the worst error as a share of its bound, and its epoch: 0.71% @ 1."""
    if deviation is None:
        return _NONE
    if deviation.multiple > 1:
        return f"{deviation.multiple:.2g} × @ {deviation.epoch:,}"
    return f"{100 * deviation.multiple:.2g}% @ {deviation.epoch:,}"


def _count(epoch: int | None) -> str:
    return _NONE if epoch is None else f"{epoch:,}"
