"""What the terminal shows: tables of verdicts, speeds, fits and backends."""

import math
from collections.abc import Iterator, Sequence

import numpy as np
from rich.box import SIMPLE_HEAD
from rich.table import Table

import backends
from backends.interface import Floats
from bench.agreement import Deviation, Verdict
from bench.data import Dataset
from bench.race import Race
from bench.rates import Run, Study, arrival, shown_runs
from bench.scaling import Scaling
from bench.theory import Direction, hessian
from bench.training import Fit
from plots.speed import time_per_epoch
from plots.style import label, seconds, short

MOST_WEIGHTS = 20
MOST_SHOWN_WEIGHTS = 3
MOST_DIRECTIONS = 5
MOST_PARTS = 2
UNDERFLOW = 1e-290  # a loss below that has lost digits
NAMELESS = "no names of columns found: they are called x1, x2, …"
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


def about_study(found: Study) -> list[str]:
    """Say what was studied, on what."""
    n, d = found.data.X.shape
    start = "b = 0" if found.scaling is None else f"b = the mean of {found.data.target}"
    lines = [
        f"{found.data.name}: {question(found.data)}",
        f"n = {n:,}, d = {d:,}, {found.epochs:,} epochs from w = 0, {start}",
    ]
    if found.data.headless:
        lines.insert(1, NAMELESS)
    if found.scaling is not None:
        before = hessian(found.data.X, found.least_squares.free).condition
        after = condition(found.hessian.condition)
        lines.append(f"standardized: condition number {condition(before)} → {after}")
    return lines


def speed_table(found: Study) -> Table:
    """Lay the predicted speed of every run beside the measured one."""
    table = _table("α", "regime", "ρ", "measured", "epochs\nto 1 %", "measured", "agrees")
    several = len({run.backend for run in found.runs}) > 1
    if several:
        table.add_column("backend")
    for run in found.runs:
        table.add_row(
            f"{run.lr:g}",
            run.regime,
            _factor(run.contraction),
            _NONE if run.measured_contraction is None else _factor(run.measured_contraction),
            "never" if run.epochs is None else _count(run.epochs),
            _measured_epochs(run, found.epochs),
            _yes_no(run.verdict.agrees),
            *([short(run.backend)] if several else []),
        )
    return table


def _measured_epochs(run: Run, made: int) -> str:
    if run.measured_epochs is None and run.epochs is not None:
        return f"> {made:,}"
    return _count(run.measured_epochs)


def result_table(found: Study) -> Table:
    """Lay the last w, b and loss of every rate, and its overflow, beside the least squares."""
    d = len(found.data.features)
    shown = d if d <= MOST_SHOWN_WEIGHTS else MOST_SHOWN_WEIGHTS - 1
    names = [f"w[{label(name, 10)}]" for name in found.data.features[:shown]]
    table = _table("α", *names, "b", "loss", "first\ninf, nan", no_wrap=True)
    for run in shown_runs(found):
        assert run.trajectory is not None
        _, w, b, loss = found.original(run.trajectory)
        overflow = f"{_count(run.verdict.first_inf)}, {_count(run.verdict.first_nan)}"
        table.add_row(f"{run.lr:g}", *_five_digits(w[-1][:shown], b[-1], loss[-1]), overflow)
    table.add_section()
    best = found.original_least_squares
    table.add_row("least", *_five_digits(best.w[:shown], best.b, best.loss), "")
    return table


def _five_digits(w: Floats, b: float, loss: float) -> list[str]:
    return [f"{value:.5g}" for value in (*w, b, loss)]


def direction_table(found: Study) -> Table:
    """Give the steepest and the flattest directions a row: curvature, error, time constants."""
    constants = [f"τ at\n{lr:g}" for lr in found.rates]
    table = _table("direction", "curvature", "w error", "b error", *constants, no_wrap=True)
    table.columns[0].no_wrap = False
    along = found.directions
    rows = along if len(along) <= MOST_DIRECTIONS else [along[0], *along[1 - MOST_DIRECTIONS :]]
    for direction in rows:
        table.add_row(
            _mixture(direction, found.data, 12),
            f"{direction.curvature:.3g}",
            f"{direction.share_of_w:.0%}",
            f"{direction.share_of_b:.0%}",
            *(_time_constant(direction, lr) for lr in found.rates),
        )
    return table


def _mixture(direction: Direction, data: Dataset, longest: int = 50) -> str:
    """Name the largest parts of a direction: 0.99 b − 0.15 w[x]."""
    names = [f"w[{label(name, longest)}]" for name in data.features] + ["b"]
    vector = direction.vector * np.sign(direction.vector[np.abs(direction.vector).argmax()])
    parts = [j for j in np.argsort(-np.abs(vector))[:MOST_PARTS] if abs(vector[j]) >= 0.05]
    words = [f"{'−' if vector[j] < 0 else '+'} {abs(vector[j]):.2f} {names[j]}" for j in parts]
    return " ".join(words).removeprefix("+ ")


def _time_constant(direction: Direction, lr: float) -> str:
    epochs = direction.time_constant(lr)
    if epochs < 0:
        return "grows"
    if epochs >= LONGEST:
        return "never"
    return f"{epochs:,.0f}" if epochs < 1e6 else f"{epochs:.1e}"


SPEED_LEGEND = (
    "ρ: the factor on the error per epoch, in the end. epochs to 1 %: until the loss is within 1 % "
    "of the least. agrees: with the exact trajectory."
)
DIRECTION_LEGEND = (
    "w error, b error: the share that lies along a direction at the start. "
    "τ: epochs in which the error along it falls to 1/e."
)


def advice(found: Study) -> Iterator[str]:
    """Say which rate to take, why others fail, and why w or b lags."""
    H, runs = found.hessian, shown_runs(found)
    if found.quickest is None:
        yield "No rate comes within 1 % of the least loss in any time one can wait for."
    else:
        others = [
            f"{run.lr:g} needs {run.epochs:,}"
            for run in runs
            if run.epochs is not None and run.lr != found.quickest
        ]
        yield (
            f"Take α = {found.quickest:g}. Of all rates it comes within 1 % of the least loss "
            f"first: after {found.epochs_needed(found.quickest):,} epochs"
            + "".join(f"; {words}" for words in others)
            + "."
        )
    for run in runs:
        if run.regime == "diverges":
            overflow = run.verdict.first_inf
            until = "" if overflow is None else f", until it overflows at epoch {overflow:,}"
            yield (
                f"α = {run.lr:g} fails: above the limit {H.limit:.4g} every step overshoots the "
                f"valley and lands {run.contraction:.3g} times as far from its floor{until}."
            )
    yield from _why_one_lags(found)
    yield (
        f"Stable below 2/λmax = {H.limit:.4g}, fastest in the end at 2/(λmin + λmax) = "
        f"{H.fastest:.4g}; the condition number λmax/λmin is {condition(H.condition)}."
    )
    if found.scaling is None:
        scaled = hessian(Scaling.of(found.data).apply(found.data).X, found.least_squares.free)
        if scaled.condition < H.condition / 2:
            yield (
                f"--standardize lowers it to {condition(scaled.condition)}, and the epochs with it."
            )


def _why_one_lags(found: Study) -> Iterator[str]:
    """Compare when w and b arrive, in the run in which both do so first, and say why."""
    best = found.least_squares
    if abs(best.b) < 1e-9 * float(np.linalg.norm(best.w)):  # b is where it starts, as if scaled
        return
    arrivals = [
        (*arrival(run.trajectory, best), run)
        for run in shown_runs(found)
        if run.trajectory is not None
    ]
    both = [(w, b, run) for w, b, run in arrivals if w is not None and b is not None and w != b]
    if not both:
        return
    w, b, run = min(both, key=lambda entry: max(entry[0], entry[1]))
    steep, flat = found.directions[0], found.directions[-1]
    late, share = ("b", flat.share_of_b) if b > w else ("w", flat.share_of_w)
    early = "w" if late == "b" else "b"
    yield (
        f"{late} lags behind {early}: at α = {run.lr:g}, w has come 99 % of its way after {w:,} "
        f"epochs, b after {b:,}. For {share:.0%} of the error of {late} lies along "
        f"{_mixture(flat, found.data)}, where the loss curves "
        f"{condition(steep.curvature / flat.curvature)} times less than across."
    )


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
        lines.insert(1, NAMELESS)
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
    if fit.trajectory.loss[0] < UNDERFLOW and fit.data.y.any():
        yield (
            f"the squares of {fit.data.target} are too small for float64, so the loss says "
            "nothing; multiply it"
        )
    elif fit.lr > limit:
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


def _table(*columns: str, no_wrap: bool = False) -> Table:
    """Return an empty table without needless lines or spaces."""
    table = Table(box=SIMPLE_HEAD, pad_edge=False, collapse_padding=True)
    for column in columns:
        table.add_column(column, no_wrap=no_wrap)
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


def _factor(value: float) -> str:
    return f"{value:.6f}" if value < 10 else f"{value:.4g}"


def _count(epoch: int | None) -> str:
    return _NONE if epoch is None else f"{epoch:,}"
