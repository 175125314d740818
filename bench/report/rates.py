"""What the terminal says of a training and of a study of rates: tables, and advice in words."""

from collections.abc import Iterator

import numpy as np
from rich.table import Table

from backends.interface import Floats
from bench.data.samples import Dataset
from bench.learning.rates import Run, Study, arrival, shown_runs
from bench.learning.theory import (
    Direction,
)
from bench.report.learning import (
    LAGGING,
    LONGEST,
    _epochs,
    condition,
    factor,
    heading,
    scaled_condition,
    underflow,
)
from bench.report.tables import NONE, count, empty_table, yes_no
from plots.numbers import short, shortened

MOST_SHOWN_WEIGHTS = 3
MOST_DIRECTIONS = 5
MOST_PARTS = 2


def about_study(found: Study) -> list[str]:
    """Say what was studied, on what."""
    n, d = found.data.X.shape
    start = "b = 0" if found.scaling is None else f"b = the mean of {found.data.target}"
    how = f"n = {n:,}, d = {d:,}, {found.epochs:,} epochs from w = 0, {start}"
    scaled = None if found.scaling is None else found.hessian
    return heading(found.data, how, found.original_least_squares, scaled)


def speed_table(found: Study) -> Table:
    """Lay the predicted speed of every run beside the measured one."""
    heads = ("α", "regime", "ρ", "measured", "epochs\nto 1 %", "measured", "agrees")
    table = empty_table(*heads)
    several = len({run.backend for run in found.runs}) > 1
    if several:
        table.add_column("backend")
    for run in found.runs:
        table.add_row(
            f"{run.lr!r}",
            run.regime,
            factor(run.contraction),
            NONE if run.measured_contraction is None else factor(run.measured_contraction),
            "never" if run.epochs is None else count(run.epochs),
            _measured_epochs(run, found.epochs),
            yes_no(run.verdict.agrees),
            *([short(run.backend)] if several else []),
        )
    return table


def _measured_epochs(run: Run, made: int) -> str:
    if run.measured_epochs is None and run.epochs is not None:
        return f"> {made:,}"
    return count(run.measured_epochs)


def result_table(found: Study) -> Table:
    """Lay the last w, b and loss of every rate, and its overflow, beside the least squares."""
    d = len(found.data.features)
    shown = d if d <= MOST_SHOWN_WEIGHTS else MOST_SHOWN_WEIGHTS - 1
    names = [f"w[{shortened(name, 10)}]" for name in found.data.features[:shown]]
    table = empty_table("α", *names, "b", "loss", "first\ninf, nan")
    for run in shown_runs(found):
        assert run.trajectory is not None
        _, w, b, loss = found.original(run.trajectory)
        overflow = ", ".join(map(count, found.overflow(run)))
        table.add_row(f"{run.lr!r}", *_five_digits(w[-1][:shown], b[-1], loss[-1]), overflow)
    table.add_section()
    best = found.original_least_squares
    table.add_row("least", *_five_digits(best.w[:shown], best.b, best.loss), "")
    if shown < d:
        table.caption = f"{d - shown} more weights are in history.parquet"
    return table


def _five_digits(w: Floats, b: float, loss: float) -> list[str]:
    return [f"{value:.5g}" for value in (*w, b, loss)]


def direction_table(found: Study) -> Table:
    """Give the steepest and the flattest directions a row: curvature, error, time constants."""
    constants = [f"τ at\n{lr!r}" for lr in found.rates]
    heads = ("direction", "curvature", "w error", "b error", *constants)
    table = empty_table(*heads, prose=("direction",))
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
    if len(rows) < len(along):
        table.caption = f"{len(along) - len(rows)} directions between these are in rates.json"
    return table


def _mixture(direction: Direction, data: Dataset, longest: int = 50) -> str:
    """Name the largest parts of a direction: 0.99 b − 0.15 w[x]."""
    names = [f"w[{shortened(name, longest)}]" for name in data.features] + ["b"]
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


REGIME_LEGEND = (
    "slow: below a tenth of the fastest rate. oscillating: overshoots, but comes back; safe. "
    "diverges: overshoots by more every time."
)
SPEED_LEGEND = (
    "ρ: what the error is multiplied by per epoch, in the long run; measured over the last tenth "
    "of the run, where quicker directions may still show. epochs to 1 %: until the loss is within "
    "1 % of the least. agrees: with the exact trajectory."
)
DIRECTION_LEGEND = (
    "direction: a mixture of weights along which the error shrinks by itself, the steepest first. "
    "w error, b error: the share that lies along it at the start. τ: epochs in which it falls to "
    "37 %."
)


def advice(found: Study) -> Iterator[str]:
    """Say which rate to take, why others fail, and why w or b lags."""
    H, runs = found.hessian, shown_runs(found)
    if tiny := underflow(found.data):
        yield tiny
        return
    needed = None if found.quickest is None else found.epochs_needed(found.quickest)
    if needed == 0:
        yield "The start is already within 1 % of the least loss; there is nothing to learn."
        return
    if needed is None:
        yield "No rate comes within 1 % of the least loss in any time one can wait for."
    else:
        others = [
            f"; {run.lr!r} needs {run.epochs:,}"
            for run in runs
            if run.epochs is not None and run.lr != found.quickest
        ]
        yield (
            f"Take α = {found.quickest!r}, about the quickest there is: it comes within 1 % of the "
            f"least loss after {_epochs(needed)}{''.join(others)}."
        )
    yield from _what_scaling_does(found)
    for run in runs:
        if run.regime == "diverges":
            overflow, _ = found.overflow(run)
            until = "" if overflow is None else f", until the loss overflows at epoch {overflow:,}"
            yield (
                f"α = {run.lr!r} fails, being above the limit {H.limit:.4g}: every step overshoots "
                f"the valley and lands {run.contraction:.3g} times as far from its floor as it was"
                f"{until}."
            )
    yield from _why_one_lags(found)


def limits(found: Study) -> str:
    """Say from which rate on descent diverges, and which one wins in the long run."""
    H = found.hessian
    return (
        f"λ is the curvature of the loss, λmax in the steepest direction, λmin in the flattest. "
        f"Descent is stable below 2/λmax = {H.limit:.4g}. In the very long run the fastest rate is "
        f"2/(λmin + λmax) = {H.fastest:.4g}; --lr auto takes it, or less in a run too short for "
        f"it. λmax/λmin, the condition number, is {condition(H.condition)}."
    )


def _what_scaling_does(found: Study) -> Iterator[str]:
    """Compare the condition number with that of the scaled columns, if that is better."""
    if found.scaling is not None:
        return
    kappa = found.hessian.condition
    scaled = scaled_condition(found.data, found.least_squares)
    if scaled < kappa / 2:
        yield (
            f"With --standardize far fewer epochs are needed: the condition number falls from "
            f"{condition(kappa)} to {condition(scaled)}."
        )


def _why_one_lags(found: Study) -> Iterator[str]:
    """Compare when w and b arrive, in the run in which both do so first, and say why."""
    best = found.least_squares
    no_way = abs(best.b) < 1e-9 * float(np.abs(best.w).max())  # b starts where it ends, as scaled
    if no_way or found.hessian.condition < LAGGING:
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
    if share < 0.5 or max(w, b) < LAGGING * min(w, b):
        return
    early = "w" if late == "b" else "b"
    yield (
        f"{late} lags behind {early}: at α = {run.lr!r}, w has come 99 % of its way after "
        f"{_epochs(w)}, b after {b:,}. For {share:.0%} of the error of {late} lies along "
        f"{_mixture(flat, found.data)}, where the loss curves "
        f"{condition(steep.curvature / flat.curvature)} times less than across."
    )
