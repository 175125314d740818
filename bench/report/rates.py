"""What the terminal says of a study of rates: which one to take, why, and what each one does."""

from collections.abc import Iterator

import numpy as np
from rich.table import Table
from rich.text import Text

from gradrace.backends.interface import Floats
from gradrace.bench.data.samples import Samples
from gradrace.bench.learning.convergence import Direction
from gradrace.bench.learning.rates import Run, Study, lag
from gradrace.bench.report.learning import LONGEST, MEANING, heading, underflow
from gradrace.bench.report.tables import (
    NONE,
    condition,
    count,
    empty_table,
    epochs,
    factor,
    more_weights,
    yes_no,
)
from gradrace.plots.numbers import distinct, short

MOST_WEIGHTS = 3
MOST_DIRECTIONS = 5
MOST_PARTS = 2
MOST_CONSTANTS = 3


def report(found: Study) -> Iterator[str | Table]:
    """Say which rate to take, and show what each rate does, what it learns, and why."""
    yield from about_study(found)
    yield ""
    yield from advice(found)
    yield from figures(found)


def figures(found: Study, most_weights: int = MOST_WEIGHTS) -> Iterator[str | Table]:
    """Show what each rate does, what it learns, and why, and which runs disagree."""
    if found.runs:
        yield speed_table(found)
        yield from speed_legend(found)
        yield result_table(found, most_weights)
        yield direction_table(found)
        yield DIRECTION_LEGEND
    for run in found.runs:
        if not run.verdict.agrees:
            yield f"{run.backend}, α = {run.lr:g}: {run.verdict.reason}"


def about_study(found: Study) -> list[str]:
    """Say what was studied, on what."""
    n, d = found.data.n, len(found.data.features)
    standardized = found.landscape.scaling is not None
    start = f"b = the mean of {found.data.target}" if standardized else "b = 0"
    how = f"n = {n:,}, d = {d:,}, {epochs(found.epochs)} from w = 0, {start}"
    return heading(found.landscape, how)


def advice(found: Study) -> Iterator[str]:
    """Say which rate to use, what would help more, why others fail, and why w or b lags."""
    if tiny := underflow(found.data):
        yield tiny
        return
    if found.landscape.epochs_needed(found.recommended) == 0:
        yield "The start is already within 1 % of the least loss; there is nothing to learn."
        return
    yield _which_to_use(found)
    yield from _what_standardizing_does(found)
    yield from _why_some_fail(found)
    yield from _why_one_lags(found)


def _which_to_use(found: Study) -> str:
    lr, needed = found.recommended, found.landscape.epochs_needed(found.recommended)
    use = f"Use α = {lr!r}, the rate of --lr auto"
    if needed is None:
        return (
            f"{use}: of all rates, it comes closest to the least loss in {epochs(found.epochs)}. "
            "No rate comes within 1 % of that loss in a reasonable time."
        )
    others = [
        f"; {run.lr!r} needs {run.epochs:,}"
        for run in found.shown()
        if run.epochs is not None and run.lr != lr
    ]
    if needed > found.epochs:
        return (
            f"{use}: of all rates, it comes closest to the least loss in {epochs(found.epochs)}. "
            f"To come within 1 % of that loss, it needs {epochs(needed)}{''.join(others)}."
        )
    return f"{use}: it is within 1 % of the least loss after {epochs(needed)}{''.join(others)}."


def _what_standardizing_does(found: Study) -> Iterator[str]:
    """Compare the condition number with that of the standardized columns, if that is better."""
    known = found.landscape
    if known.scaling is None and known.other_condition < known.hessian.condition / 2:
        yield (
            "With --standardize, far fewer epochs are needed: it lowers the condition number "
            f"({MEANING}) from {condition(known.hessian.condition)} to "
            f"{condition(known.other_condition)}."
        )


def _why_some_fail(found: Study) -> Iterator[str]:
    for run in found.shown():
        if run.regime != "diverges":
            continue
        overflow, _ = found.overflow(run)
        until = "" if overflow is None else f"; at epoch {overflow:,} the loss overflows"
        yield (
            f"α = {run.lr!r} diverges, because it is above the limit, "
            f"{found.landscape.hessian.limit:.4g}: each step overshoots the minimum and ends "
            f"{run.contraction:.3g} times as far from it as it began{until}."
        )


def _why_one_lags(found: Study) -> Iterator[str]:
    lags = lag(found)
    if lags is None:
        return
    early = "w" if lags.late == "b" else "b"
    yield (
        f"{lags.late} lags behind {early}: at α = {lags.lr!r}, {early} is 99 % of the way there "
        f"after {epochs(lags.early_epochs)}, {lags.late} only after {lags.late_epochs:,}. "
        f"{100 * lags.share:.0f} % of the error of {lags.late} lies along "
        f"{_mixture(found.directions[-1], found.data)}, the direction in which the loss is "
        f"flattest: there it curves {condition(found.landscape.hessian.condition)} times less "
        "than in the steepest direction."
    )


def speed_table(found: Study) -> Table:
    """Return the predicted and the measured speed of every run."""
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
            *([short(run.backend, run.verdict.precision)] if several else []),
        )
    return table


def _measured_epochs(run: Run, made: int) -> str:
    if run.measured_epochs is None and run.epochs is not None:
        return f"> {made:,}"
    return count(run.measured_epochs)


def speed_legend(found: Study) -> Iterator[str]:
    """Explain the columns of the speed table."""
    yield (
        "regime: what a rate does. A slow rate is below a tenth of the fastest; a stable one "
        "approaches the minimum from one side; an oscillating one overshoots it, but still comes "
        f"closer; a rate of 2/λmax = {found.landscape.hessian.limit:.4g} or more diverges. λmax is "
        "the curvature of the loss in its steepest direction."
    )
    yield (
        "ρ: the factor that multiplies the error in each epoch in the long run, predicted, then "
        "measured over the last tenth of the run. epochs to 1 %: until the loss is within 1 % of "
        "the least, predicted, then measured. agrees: whether the run agrees with the exact "
        "trajectory, within what rounding allows."
    )


def result_table(found: Study, most_weights: int = MOST_WEIGHTS) -> Table:
    """Return the final w, b and loss of every rate, its overflow, and the least squares."""
    d, runs = len(found.data.features), found.shown()
    shown = min(d, most_weights)
    names = [f"w[{name}]" for name in distinct(found.data.features[:shown], 10)]
    overflows = [found.overflow(run) for run in runs]
    some = any(inf is not None for inf, _ in overflows)
    table = empty_table("α", *names, "b", "loss", *(["first epoch\nof inf, nan"] * some))
    for run, epoch in zip(runs, overflows, strict=True):
        assert run.trajectory is not None
        _, w, b, loss = found.original(run.trajectory)
        overflow = "" if epoch == (None, None) else ", ".join(map(count, epoch))
        table.add_row(
            f"{run.lr!r}", *_five_digits(w[-1][:shown], b[-1], loss[-1]), *([overflow] * some)
        )
    table.add_section()
    best = found.landscape.original_least_squares
    table.add_row("least", *_five_digits(best.w[:shown], best.b, best.loss))
    if shown < d:
        table.caption = f"{more_weights(d - shown)} in history.parquet"
    return table


def _five_digits(w: Floats, b: float, loss: float) -> list[str]:
    return [f"{value:.5g}" for value in (*w, b, loss)]


def direction_table(found: Study) -> Table:
    """Return a row for each of the steepest and flattest directions.

    It has the curvature, the share of the error, and the time constants.

    A rate that diverges has no time constants; if there are many rates, the last three are shown.
    """
    stable = [lr for lr in found.rates if lr < found.landscape.hessian.limit][-MOST_CONSTANTS:]
    constants = [f"τ at\n{lr!r}" for lr in stable]
    heads = ("direction", "curvature", "w error", "b error", *constants)
    table = empty_table(*heads, prose=("direction",))
    along = found.directions
    rows = along if len(along) <= MOST_DIRECTIONS else [along[0], *along[1 - MOST_DIRECTIONS :]]
    for direction in rows:
        table.add_row(
            Text(_mixture(direction, found.data, 12, "\n")),
            f"{direction.curvature:.3g}",
            f"{direction.share_of_w:.0%}",
            f"{direction.share_of_b:.0%}",
            *(_time_constant(direction, lr) for lr in stable),
        )
    if len(rows) < len(along):
        table.caption = f"{len(along) - len(rows)} directions between these are in rates.json"
    return table


DIRECTION_LEGEND = (
    "direction: a combination of w and b whose error shrinks independently of the other "
    "directions, the steepest first. w error, b error: the share of the initial error of w or b "
    "that lies along it. τ, the time constant: the number of epochs in which the error along it "
    "falls to 1/e, 37 %."
)


def _mixture(direction: Direction, data: Samples, longest: int = 50, between: str = " ") -> str:
    """Name the largest parts of a direction: 0.99 b − 0.15 w[x]."""
    names = [f"w[{name}]" for name in distinct(data.features, longest)] + ["b"]
    vector = direction.vector * np.sign(direction.vector[np.abs(direction.vector).argmax()])
    parts = [j for j in np.argsort(-np.abs(vector))[:MOST_PARTS] if abs(vector[j]) >= 0.05]
    words = [f"{'−' if vector[j] < 0 else '+'} {abs(vector[j]):.2f} {names[j]}" for j in parts]
    return between.join(words).removeprefix("+ ")


def _time_constant(direction: Direction, lr: float) -> str:
    constant = direction.time_constant(lr)
    if constant is None:
        return NONE
    if constant >= LONGEST:
        return "never"
    return f"{constant:,.0f}" if constant < 1e6 else f"{constant:.1e}"
