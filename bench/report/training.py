"""What the terminal says about a training run: its progress, its result, and what to beware of."""

from collections.abc import Iterator

import numpy as np
from rich.table import Table

from gradrace.bench.learning.convergence import close_enough
from gradrace.bench.learning.least_squares import digits
from gradrace.bench.learning.rate_choice import best_rate
from gradrace.bench.learning.stopping import STALLED
from gradrace.bench.learning.training import Fit
from gradrace.bench.learning.trajectories import milestones
from gradrace.bench.learning.uncertainty import noise
from gradrace.bench.report.learning import LONGEST, MEANING, heading, underflow
from gradrace.bench.report.tables import NONE, condition, empty_table, epochs, more_weights
from gradrace.plots.numbers import distinct, percent, short, three_digits

MOST_WEIGHTS = 20
_EXACT = 1e-15  # of the first loss; less is as good as none
MOST_WAY_WEIGHTS = 3
STRANGE = 3  # standard errors; one estimate in 370 is further from the truth


def report(fit: Fit, *, auto: bool) -> Iterator[str | Table]:
    """Say what was trained, show the progress, and compare the result with the least squares."""
    yield from about_fit(fit, auto=auto)
    yield way_table(fit)
    if not fit.diverged:
        yield fit_table(fit)
        yield from remarks(fit)


def about_fit(fit: Fit, *, auto: bool) -> list[str]:
    """Say what was trained, on what, and how."""
    n, d = fit.data.n, len(fit.data.features)
    rate = f"α = {fit.lr:.6g}" + (" (auto, the best for this many epochs)" * auto)
    made = epochs(int(fit.trajectory.epoch[-1]))
    name = short(fit.backend, fit.precision)
    return heading(fit.landscape, f"n = {n:,}, d = {d:,}, {rate}, {made}, {name}")


def way_table(fit: Fit) -> Table:
    """Return a table of a dozen epochs: loss, b and the first weights."""
    shown = min(len(fit.w), MOST_WAY_WEIGHTS)
    names = [f"w[{name}]" for name in distinct(fit.data.features[:shown], 10)]
    table = empty_table("epoch", "loss", *names, "b")
    path = milestones(fit.trajectory)
    for epoch, w, b, loss in zip(path.epoch, path.w, path.b, path.loss, strict=True):
        weights = (f"{value:.5g}" for value in w[:shown])
        table.add_row(f"{epoch:,}", f"{loss:.5g}", *weights, f"{b:.5g}")
    if shown < len(fit.w):
        table.caption = f"{more_weights(len(fit.w) - shown)} in history.parquet"
    return table


def fit_table(fit: Fit) -> Table:
    """Compare learned w, b and loss with the least squares, and with the truth if it is known."""
    best, truth = fit.least_squares, fit.data.truth
    heads = ("", "learned", "least squares", "matching\ndigits")
    table = empty_table(*heads, *(() if truth is None else ("truth",)))
    true = [NONE] * (len(fit.w) + 1) if truth is None else [f"{v:g}" for v in (*truth.w, truth.b)]
    names = [*(f"w[{name}]" for name in fit.data.features), "b"]
    learned, exact = [*fit.w, fit.b], [*best.w, best.b]
    rows = [
        (name, f"{a:.10g}", f"{b:.10g}", str(digits(a, b)), *(() if truth is None else (c,)))
        for name, a, b, c in zip(names, learned, exact, true, strict=True)
    ]
    for row in [*rows[:-1][:MOST_WEIGHTS], rows[-1]]:
        table.add_row(*row)
    if len(fit.w) > MOST_WEIGHTS:
        table.caption = f"{more_weights(len(fit.w) - MOST_WEIGHTS)} in model.json"
    rounding = max(fit.loss, best.loss) < close_enough(0.0, float(fit.trajectory.loss[0]))
    right = NONE if rounding else str(digits(fit.loss, best.loss))
    table.add_row("loss", f"{fit.loss:.10g}", f"{best.loss:.10g}", right)
    return table


def remarks(fit: Fit) -> Iterator[str]:
    """Say why a run that did not diverge ended, and what remains to be done, if anything."""
    best, limit = fit.least_squares, fit.hessian.limit
    if not np.isfinite([*best.w, best.b]).all():
        yield "The least-squares weights overflow float64; change the units of the columns."
    if fit.stopped:
        yield f"Training stopped after epoch {fit.trajectory.epoch[-1]:,}: {fit.stopped}."
    elif fit.tol is not None and not fit.interrupted:
        yield (
            f"The norm of the gradient has not yet fallen to {fit.tol:g} of its first value; "
            "train longer."
        )
    if tiny := underflow(fit.data):
        yield tiny
    elif fit.lr >= limit:
        yield (
            f"With more epochs this run would diverge: α = {fit.lr:g} exceeds 2/λmax = "
            f"{limit:.6g}, where λmax is the curvature of the loss in its steepest direction. "
            "Choose a rate below that."
        )
    elif unfinished := not_there_yet(fit):
        yield unfinished
    elif fit.is_there and best.null is None and np.isfinite(best.w).all() and (late := _late(fit)):
        yield (
            f"The loss is within 1 % of the least, but not one digit of {late} is right yet; "
            "train longer."
        )
    yield from _why_b_is_not_the_truth(fit)


def not_there_yet(fit: Fit) -> str:
    """Say how much of the way to the least loss is left, and what helps; empty if it is there."""
    exact = fit.loss <= _EXACT * float(fit.trajectory.loss[0])
    reached = fit.stopped and not fit.stopped.startswith(STALLED)  # what `tol` asked for
    if fit.is_there or exact or reached or fit.lr >= fit.hessian.limit or underflow(fit.data):
        return ""
    return (
        f"Not there yet: the loss is {fit.loss:.4g}; the least possible is "
        f"{fit.least_squares.loss:.4g}. {_way_left(fit)}{_what_helps(fit)}"
    )


def _way_left(fit: Fit) -> str:
    """Say which of w and b is the furthest from the least squares, as a share of its whole way."""
    path, best = fit.trajectory, fit.least_squares
    goal = np.append(best.w, best.b)
    whole = np.abs(np.append(path.w[0], path.b[0]) - goal)
    left = np.abs(np.append(fit.w, fit.b) - goal)
    moves = np.isfinite(whole) & (whole > 0)
    if best.null is not None or not moves.any():
        return ""
    share = np.divide(left, whole, out=np.zeros_like(left), where=moves)
    j = int(np.argmax(share))
    name = f"w[{fit.data.features[j]}]" if j < len(fit.w) else "b"
    if share[j] > 1:
        return f"{name} is further from there than at the start. "
    return f"{name} has {percent(float(share[j]))} of its way left. "


def _what_helps(fit: Fit) -> str:
    """Say how many more epochs are needed, and whether standardized columns need fewer."""
    missing = fit.epochs_missing()
    never = missing is None or missing > LONGEST
    helps = (
        "More epochs would not change that in a reasonable time."
        if never
        else f"Another {epochs(missing or 0)} will bring it within 1 %."
    )
    if not never and not fit.interrupted and (better := _better_rate(fit, missing or 0)):
        helps += better
    if (
        fit.scaling is None
        and (scaled := fit.landscape.other_condition) < fit.hessian.condition / 2
    ):
        helps += (
            f" With --standardize, fewer epochs are needed: it lowers the condition number "
            f"({MEANING}) from {condition(fit.hessian.condition)} to {condition(scaled)}."
        )
    return helps


def _better_rate(fit: Fit, missing: int) -> str:
    """Say that the automatic rate is much faster, if it is."""
    made = int(fit.trajectory.epoch[-1])
    auto = best_rate(fit.landscape, made)
    needed = fit.landscape.epochs_needed(auto)
    if needed is None or needed > (made + missing) / 2:
        return ""
    return f" With --lr auto, which is {auto!r}, {epochs(needed)} are enough from the start."


def _late(fit: Fit) -> str:
    """Name a w or b that matters but has no correct digit yet; empty if there is none."""
    best, largest = fit.least_squares, np.abs(fit.data.extremes).max(axis=0)
    if digits(fit.b, best.b) < 1 and abs(best.b) > 1e-9 * largest[-1]:
        return "b"
    matter = 1e-9 * largest[-1] / np.maximum(largest[:-1], 1e-300)
    for name, learned, exact, least in zip(fit.data.features, fit.w, best.w, matter, strict=True):
        if digits(learned, exact) < 1 and abs(exact) > least:
            return f"w[{name}]"
    return ""


def _why_b_is_not_the_truth(fit: Fit) -> Iterator[str]:
    """Compare the gap between the least-squares b and the true one with its standard error."""
    truth, found = fit.data.truth, noise(fit.landscape)
    if truth is None or found is None:
        return
    b, n = fit.least_squares.b, fit.data.n
    beyond = abs(b - truth.b) / found.error_of_b if found.error_of_b else np.inf
    meaning = (
        "so this is noise, not a bug: more samples would bring b closer, more epochs would not."
        if beyond <= STRANGE
        else f"but here by {beyond:.0f} times as much, which noise alone can hardly explain."
    )
    yield (
        f"The least-squares b is {b:.3g}; the true b is {truth.b:g}. With noise of standard "
        f"deviation {three_digits(found.deviation)} on {n:,} samples, b is typically off by "
        f"{found.error_of_b:.2g}, {meaning}"
    )
