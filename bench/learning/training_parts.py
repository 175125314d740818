"""What a training run says: its result, its course, and what remains to be done, if anything."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from gradrace.backends.interface import Setting
from gradrace.bench.learning.curvature import close_enough
from gradrace.bench.learning.descent import STALLED, milestones
from gradrace.bench.learning.landscape import (
    LONGEST,
    MEANING,
    about,
    again,
    best_rate,
    condition,
    underflow,
)
from gradrace.bench.learning.least_squares import digits
from gradrace.bench.parts import (
    Answer,
    Caution,
    Cell,
    Column,
    Figure,
    Heading,
    Note,
    Number,
    Part,
    Sentence,
    Table,
    counted,
)
from gradrace.plots.numbers import distinct, percent, short, three_digits

if TYPE_CHECKING:
    from gradrace.bench.learning.training import Fit

MOST_WEIGHTS = 20
MOST_WAY_WEIGHTS = 3
STRANGE = 3  # standard errors; one estimate in 370 is further from the truth
_EXACT = 1e-15  # of the first loss; less is as good as none


def training_parts(fit: "Fit", *, detail: bool) -> Iterator[Part]:
    """Say what came out and what is left to do, how it compares, and how it came about."""
    yield from _answer(fit)
    yield from _about_fit(fit)
    if fit.least_squares.ambiguity:
        yield Caution(fit.least_squares.ambiguity)
    for part in _sections(fit):
        if detail or isinstance(part, Sentence | Table):
            yield part
    if detail:
        options = ["--lr", repr(fit.lr), "--epochs", str(fit.planned)]
        if fit.scaling is not None:
            options.append("--standardize")
        if fit.tol is not None:
            options += ["--tol", repr(fit.tol)]
        yield from again("train", fit.data, [*options, "--backend", fit.backend])


def _sections(fit: "Fit") -> Iterator[Part]:
    if not fit.diverged:
        yield Heading("What was learned?")
        yield fit_table(fit)
        yield from _why_b_is_not_the_truth(fit)
        words = "The samples, the learned model and the least-squares fit."
        yield Figure("fit", words, fit.plot)
        words = "What the model misses: actual minus predicted."
        yield Figure("residuals", words, fit.residual_plot)
    yield Heading("How the loss fell")
    yield way_table(fit)
    yield Figure("loss", "The loss against the epoch.", fit.loss_plot)


def _answer(fit: "Fit") -> Iterator[Sentence]:
    """Say what came out, why a run that did not diverge ended, and what remains to be done."""
    if fit.failure is not None:
        yield Answer(*fit.failure.pieces)
        return
    best, left = fit.least_squares, fit.unfinished
    if left is None:
        yield Answer(
            f"After {counted(fit.epochs, 'epoch')}, the loss is {fit.loss:.6g}; the least possible "
            f"is {best.loss:.6g}."
        )
    else:
        yield Answer(*left.pieces)
    yield from remarks(fit)


def remarks(fit: "Fit") -> Iterator[Sentence]:
    """Say why a run that did not diverge ended, and what else is wrong, if anything."""
    best, limit = fit.least_squares, fit.hessian.limit
    if not np.isfinite([*best.w, best.b]).all():
        yield Answer("The least-squares weights overflow float64; change the units of the columns.")
    if fit.stopped:
        yield Answer(f"Training stopped after epoch {fit.epochs:,}: {fit.stopped}.")
    elif fit.tol is not None and not fit.interrupted:
        yield Answer(
            f"The norm of the gradient has not yet fallen to {fit.tol:g} of its first value; "
            "train longer."
        )
    if tiny := underflow(fit.data):
        yield Answer(tiny)
    elif fit.lr >= limit:
        yield Answer(
            f"With more epochs this run would diverge: α = {fit.lr:g} exceeds 2/λmax = "
            f"{limit:.6g}, where λmax is the curvature of the loss in its steepest direction. "
            "Choose a rate below that."
        )
    elif fit.is_there and best.null is None and np.isfinite(best.w).all() and (late := _late(fit)):
        yield Answer(
            f"The loss is within 1 % of the least, but not one digit of {late} is right yet; "
            "train longer."
        )


def unfinished(fit: "Fit") -> Sentence | None:
    """Say how much of the way to the least loss is left, and what helps; None if it is there."""
    exact = fit.loss <= _EXACT * float(fit.trajectory.loss[0])
    reached = fit.stopped and not fit.stopped.startswith(STALLED)  # what `tol` asked for
    if fit.is_there or exact or reached or fit.lr >= fit.hessian.limit or underflow(fit.data):
        return None
    return Sentence(
        f"Not there yet: the loss is {fit.loss:.4g}; the least possible is "
        f"{fit.least_squares.loss:.4g}. {_way_left(fit)}",
        *_what_helps(fit),
    )


def _way_left(fit: "Fit") -> str:
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
    name = f"w[{fit.features[j]}]" if j < len(fit.w) else "b"
    if share[j] > 1:
        return f"{name} is further from there than at the start. "
    return f"{name} has {percent(float(share[j]))} of its way left. "


def _what_helps(fit: "Fit") -> Iterator[str | Setting]:
    """Say how many more epochs are needed, and whether standardized columns need fewer."""
    missing, kappa = fit.epochs_missing(), fit.hessian.condition
    if missing is None or missing > LONGEST:
        yield "More epochs would not change that in a reasonable time."
    else:
        yield f"Another {counted(missing, 'epoch')} will bring it within 1 %."
        if not fit.interrupted:
            yield from _better_rate(fit, missing)
    if fit.scaling is None and (scaled := fit.landscape.other_condition) < kappa / 2:
        yield " With "
        yield Setting("standardize", True)
        yield (
            f", fewer epochs are needed: it lowers the condition number ({MEANING}) from "
            f"{condition(kappa)} to {condition(scaled)}."
        )


def _better_rate(fit: "Fit", missing: int) -> Iterator[str | Setting]:
    """Say that the automatic rate is much faster, if it is."""
    auto = best_rate(fit.landscape, fit.epochs)
    needed = fit.landscape.epochs_needed(auto)
    if needed is not None and needed <= (fit.epochs + missing) / 2:
        yield " With "
        yield Setting("lr", "auto")
        yield f", which is {auto!r}, {counted(needed, 'epoch')} are enough from the start."


def _late(fit: "Fit") -> str:
    """Name a w or b that matters but has no correct digit yet; empty if there is none."""
    best, largest = fit.least_squares, np.abs(fit.data.extremes).max(axis=0)
    if digits(fit.b, best.b) < 1 and abs(best.b) > 1e-9 * largest[-1]:
        return "b"
    matter = 1e-9 * largest[-1] / np.maximum(largest[:-1], 1e-300)
    for name, learned, exact, least in zip(fit.features, fit.w, best.w, matter, strict=True):
        if digits(learned, exact) < 1 and abs(exact) > least:
            return f"w[{name}]"
    return ""


def _about_fit(fit: "Fit") -> Iterator[Sentence]:
    """Say what was trained, on what, and how."""
    n, d = fit.data.n, len(fit.w)
    chosen = " (auto, the best for this many epochs)" if fit.auto else ""
    made, name = counted(fit.epochs, "epoch"), short(fit.backend, fit.precision)
    how = f"n = {n:,}, d = {d:,}, α = {fit.lr:.6g}{chosen}, {made}, {name}"
    yield from about(fit.landscape, how)


def fit_table(fit: "Fit") -> Table:
    """Compare learned w, b and loss with the least squares, and with the truth if it is known."""
    best, truth = fit.least_squares, fit.data.truth
    names = [*(f"w[{name}]" for name in fit.features), "b"]
    learned, exact = [*fit.w.tolist(), fit.b], [*best.w.tolist(), best.b]
    rows: list[list[Cell]] = [
        [name, Number(a, 10), Number(b, 10), digits(a, b)]
        for name, a, b in zip(names, learned, exact, strict=True)
    ]
    rounding = max(fit.loss, best.loss) < close_enough(0.0, float(fit.trajectory.loss[0]))
    right = None if rounding else digits(fit.loss, best.loss)
    rows.append(["loss", Number(fit.loss, 10), Number(best.loss, 10), right])
    columns = list(map(Column, ("", "learned", "least squares", "matching digits")))
    if truth is not None:
        columns.append(Column("truth"))
        true = [*(Number(value, 6) for value in (*truth.w, truth.b)), None]
        rows = [[*row, value] for row, value in zip(rows, true, strict=True)]
    more = len(fit.w) - MOST_WEIGHTS
    if more <= 0:
        return Table(columns, rows)
    return Table(columns, [*rows[:MOST_WEIGHTS], *rows[-2:]], left_out(more, "model.json"))


def left_out(number: int, file: str) -> str:
    """Say where the weights are that a table leaves out."""
    return f"{counted(number, 'more weight')} {'is' if number == 1 else 'are'} in {file}"


def way_table(fit: "Fit") -> Table:
    """Return a table of a dozen epochs: loss, b and the first weights."""
    shown = min(len(fit.w), MOST_WAY_WEIGHTS)
    names = [f"w[{name}]" for name in distinct(fit.features[:shown], 10)]
    epoch, w, b, loss = milestones(fit.trajectory)
    rows = [
        [int(epoch[k]), float(loss[k]), *w[k, :shown].tolist(), float(b[k])]
        for k in range(len(epoch))
    ]
    note = left_out(len(fit.w) - shown, "history.parquet") if shown < len(fit.w) else ""
    return Table(list(map(Column, ("epoch", "loss", *names, "b"))), rows, note)


def _why_b_is_not_the_truth(fit: "Fit") -> Iterator[Note]:
    """Compare the gap between the least-squares b and the true one with its standard error."""
    truth, found = fit.data.truth, fit.landscape.noise()
    if truth is None or found is None:
        return
    b, n = fit.least_squares.b, fit.data.n
    beyond = abs(b - truth.b) / found.error_of_b if found.error_of_b else np.inf
    meaning = (
        "so this is noise, not a bug: more samples would bring b closer, more epochs would not."
        if beyond <= STRANGE
        else f"but here by {beyond:.0f} times as much, which noise alone can hardly explain."
    )
    yield Note(
        f"The least-squares b is {b:.3g}; the true b is {truth.b:g}. With noise of standard "
        f"deviation {three_digits(found.deviation)} on {n:,} samples, b is typically off by "
        f"{found.error_of_b:.2g}, {meaning}"
    )
