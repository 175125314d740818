"""What the terminal shows: tables of verdicts, speeds, fits and backends."""

import math
from collections.abc import Iterator, Sequence

from rich.box import SIMPLE_HEAD
from rich.table import Table

import backends
from bench.agreement import Deviation, Verdict
from bench.data import Dataset
from bench.race import Race
from bench.scaling import Scaling
from bench.theory import hessian
from bench.training import Fit
from plots.speed import time_per_epoch
from plots.style import seconds, short

MOST_WEIGHTS = 20
LONGEST = 1e12  # epochs; at 100 ns each more than a day
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


def about_fit(fit: Fit, *, auto: bool) -> list[str]:
    """Say what was trained, on what, and how."""
    n, d = fit.data.X.shape
    rate = f"α = {fit.lr:.6g}" + (" (auto: the fastest stable rate)" if auto else "")
    epochs = f"{fit.trajectory.epoch[-1]:,} epochs"
    lines = [
        f"{fit.data.name}: {question(fit.data)}",
        f"n = {n:,}, d = {d:,}, {rate}, {epochs}, {fit.backend}",
    ]
    if fit.data.headless:
        lines.insert(1, "no names of columns found: they are called x1, x2, …")
    if fit.scaling is not None:
        before = hessian(fit.data.X, fit.least_squares.free).condition
        after = fit.hessian.condition
        lines.append(f"standardized: condition number {condition(before)} → {condition(after)}")
    return lines


def fit_table(fit: Fit) -> Table:
    """Lay learned w, b and loss beside the least squares; of many weights the first 20."""
    table = _table("", "learned", "least squares", "digits")
    best = fit.least_squares
    rows = list(zip((f"w[{name}]" for name in fit.data.features), fit.w, best.w, strict=True))
    for name, learned, exact in [*rows[:MOST_WEIGHTS], ("b", fit.b, best.b)]:
        table.add_row(name, f"{learned:.10g}", f"{exact:.10g}", str(digits(learned, exact)))
    if len(rows) > MOST_WEIGHTS:
        table.add_row(f"… {len(rows) - MOST_WEIGHTS} more weights in model.json", "", "", "")
    table.add_row("loss", f"{fit.loss:.10g}", f"{best.loss:.10g}", str(digits(fit.loss, best.loss)))
    return table


def digits(value: float, exact: float) -> int:
    """Return how many significant digits agree: −log₁₀ |value − exact| / |exact|, 0 … 15.

    McCullough, "Assessing the reliability of statistical software: part I", *The American
    Statistician* 52 (1998), who calls it the log relative error.
    """
    if value == exact:
        return 15
    error = abs(value - exact) / abs(exact) if exact else abs(value)
    return int(min(15.0, max(0.0, -math.log10(error)))) if math.isfinite(error) else 0


def question(data: Dataset) -> str:
    """Say what is predicted from what: price from size, age; of many features the first five."""
    names = ", ".join(data.features[:5])
    more = len(data.features) - 5
    return f"{data.target} from {names}" + (f" and {more} more" if more > 0 else "")


def why_diverged(fit: Fit) -> str:
    """Say at which epoch a run diverged, why, and which rate would do."""
    epoch, limit = int(fit.trajectory.epoch[-1]), fit.hessian.limit
    if fit.lr > limit > 0:
        return (
            f"diverged: the loss overflows at epoch {epoch:,}, because α = {fit.lr:g} exceeds "
            f"2/λmax = {limit:.6g}; choose a rate below that"
        )
    return (
        f"the loss overflows at epoch {epoch:,}: the values are too large for float64; scale them"
    )


def remarks(fit: Fit) -> Iterator[str]:
    """Say why a run that did not diverge ended early, and what it leaves to do, if anything."""
    best, limit = fit.least_squares.loss, fit.hessian.limit
    if fit.stopped:
        yield f"stopped after epoch {fit.trajectory.epoch[-1]:,}: {fit.stopped}"
    if fit.lr > limit:
        yield (
            f"this run would diverge: α = {fit.lr:g} exceeds 2/λmax = {limit:.6g}; "
            "choose a rate below that"
        )
    elif fit.loss > max(1.01 * best, 1e-24 * float(fit.trajectory.loss[0])):  # no mere rounding
        yield (
            f"not there yet: the loss is {fit.loss:.4g}, the least possible is {best:.4g}; "
            + _what_helps(fit)
        )


def _what_helps(fit: Fit) -> str:
    """Bound the epochs that are missing, and say whether scaled columns need fewer."""
    best, H = fit.least_squares, fit.hessian
    helps, rho = "more epochs bring it closer", H.contraction(fit.lr)
    if best.loss > 0:
        gap = math.log((fit.loss - best.loss) / (0.01 * best.loss))
        missing = gap / (-2 * math.log(rho)) if 0 < rho < 1 else math.inf
        if missing > LONGEST:
            helps = "no number of epochs that a person can wait for changes that"
        else:
            helps = f"at most {math.ceil(missing):,} more epochs bring it within 1 %"
    if fit.scaling is None:
        scaled = hessian(Scaling.of(fit.data).apply(fit.data).X, best.free).condition
        if scaled < H.condition / 2:
            helps += (
                f"; --standardize lowers the condition number from {condition(H.condition)} "
                f"to {condition(scaled)}, and with it the epochs"
            )
    return helps


def condition(kappa: float) -> str:
    """Write a condition number; float64 cannot tell those above 10²⁸ apart."""
    return f"{kappa:,.0f}" if kappa < 1e6 else f"{kappa:.2g}" if kappa < 1e28 else "over 1e28"


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
