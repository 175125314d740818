"""What a training has shown: what was learned beside the least squares, and what to beware of."""

from collections.abc import Iterator

import numpy as np
from rich.table import Table

from bench.learning.theory import (
    close_enough,
    digits,
)
from bench.learning.training import Fit
from bench.report.learning import heading, underflow, what_helps
from bench.report.tables import NONE, empty_table

MOST_WEIGHTS = 20


def about_fit(fit: Fit, *, auto: bool) -> list[str]:
    """Say what was trained, on what, and how."""
    n, d = fit.data.X.shape
    rate = f"α = {fit.lr:.6g}" + (" (auto: the fastest stable rate for so many epochs)" * auto)
    how = f"n = {n:,}, d = {d:,}, {rate}, {fit.trajectory.epoch[-1]:,} epochs, {fit.backend}"
    return heading(fit.data, how, fit.least_squares, fit.hessian if fit.scaling else None)


def fit_table(fit: Fit) -> Table:
    """Lay learned w, b and loss beside the least squares; of many weights the first 20."""
    table = empty_table("", "learned", "least squares", "digits")
    best = fit.least_squares
    rows = list(zip((f"w[{name}]" for name in fit.data.features), fit.w, best.w, strict=True))
    for name, learned, exact in [*rows[:MOST_WEIGHTS], ("b", fit.b, best.b)]:
        table.add_row(name, f"{learned:.10g}", f"{exact:.10g}", str(digits(learned, exact)))
    if len(rows) > MOST_WEIGHTS:
        table.add_row(f"… {len(rows) - MOST_WEIGHTS} more weights in model.json", "", "", "")
    rounding = max(fit.loss, best.loss) < close_enough(0.0, float(fit.trajectory.loss[0]))
    right = NONE if rounding else str(digits(fit.loss, best.loss))
    table.add_row("loss", f"{fit.loss:.10g}", f"{best.loss:.10g}", right)
    return table


def remarks(fit: Fit) -> Iterator[str]:
    """Say why a run that did not diverge ended, and what it leaves to do, if anything."""
    best, limit = fit.least_squares, fit.hessian.limit
    goal = best.loss + close_enough(best.loss, float(fit.trajectory.loss[0]))
    if not np.isfinite([*best.w, best.b]).all():
        yield "the least-squares weights are beyond float64; change the units of the columns"
    if fit.stopped:
        yield f"stopped after epoch {fit.trajectory.epoch[-1]:,}: {fit.stopped}"
    elif fit.tol is not None and not fit.interrupted:
        yield f"the gradient has not yet fallen to {fit.tol:g} of its first value; more epochs"
    if tiny := underflow(fit.data):
        yield tiny
    elif fit.lr >= limit:
        yield (
            f"this run would diverge: α = {fit.lr:g} exceeds 2/λmax = {limit:.6g}; "
            "choose a rate below that"
        )
    elif fit.loss > goal:
        yield (
            f"not there yet: the loss is {fit.loss:.4g}, the least possible is {best.loss:.4g}; "
            + what_helps(fit)
        )
    elif best.null is None and np.isfinite(best.w).all() and (late := _late(fit)):
        yield f"the loss is within 1 % of the least, but {late} is not there yet; more epochs"


def _late(fit: Fit) -> str:
    """Name the w or b of which no digit is right yet, and that matters; empty if there is none."""
    best = fit.least_squares
    if digits(fit.b, best.b) < 1 and abs(best.b) > 1e-9 * float(np.abs(fit.data.y).max()):
        return "b"
    matter = 1e-9 * float(np.abs(fit.data.y).max()) / np.abs(fit.data.X).max(axis=0, initial=1e-300)
    for name, learned, exact, least in zip(fit.data.features, fit.w, best.w, matter, strict=True):
        if digits(learned, exact) < 1 and abs(exact) > least:
            return f"w[{name}]"
    return ""
