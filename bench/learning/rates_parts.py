"""What learning rates do, in words and tables: which one to use, what each one does, and why."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from gradrace.backends.interface import Setting, Trajectory
from gradrace.bench.data.samples import Samples
from gradrace.bench.learning.curvature import NEAR, Direction
from gradrace.bench.learning.landscape import (
    LONGEST,
    MEANING,
    about,
    again,
    best_rate,
    condition,
    underflow,
    valley,
)
from gradrace.bench.learning.least_squares import LeastSquares
from gradrace.bench.learning.training_parts import MOST_WEIGHTS, left_out
from gradrace.bench.parts import (
    Answer,
    Caution,
    Cell,
    Column,
    Figure,
    Heading,
    Note,
    Part,
    Sentence,
    Table,
    Tool,
    counted,
)
from gradrace.plots.numbers import distinct, short

if TYPE_CHECKING:
    from gradrace.bench.learning.rates import Rates

PATH = "path"
LAGGING = 2  # w and b differ visibly from this condition number, or ratio of epochs, on
MOST_DIRECTIONS = 5
MOST_PARTS = 2
MOST_CONSTANTS = 3
AUTO, STANDARDIZE = Setting("lr", "auto"), Setting("standardize", True)


def rates_parts(found: "Rates", *, detail: bool) -> Iterator[Part]:
    """Say which rate to use, and what each one does; with `detail`, also why, and with pictures."""
    yield from answer(found)
    yield from _about_rates(found)
    if found.landscape.least_squares.ambiguity:
        yield Caution(found.landscape.least_squares.ambiguity)
    if found.runs:
        yield speed_table(found)
    for run in found.runs:
        if not run.verdict.agrees:
            yield Sentence(f"{run.backend}, α = {run.lr:g}: {run.verdict.reason}")
    if detail and found.runs:
        yield from _details(found)


def _details(found: "Rates") -> Iterator[Part]:
    yield from speed_legend(found)
    yield Heading("Why, and what other rates do")
    yield from why_some_fail(found)
    yield from why_one_lags(found)
    if len(found.directions) > 1:
        words = "What does a learning rate of your own do?"
        yield Tool("rate", words, rate_data(found))
    if found.shown():
        yield Figure("loss", "The loss at each rate.", found.loss_plot)
        if len(found.directions) > 1:
            words = "The path of descent over the contours of the loss at each rate."
            yield Figure(PATH, words, found.path_plot)
        yield Heading("What each rate has learned")
        yield result_table(found)
    yield Heading("Directions")
    yield direction_table(found)
    yield Note(
        "direction: a combination of w and b whose error shrinks independently of the other "
        "directions, the steepest first. w error, b error: the share of the initial error of w or "
        "b that lies along it. τ, the time constant: the number of epochs in which the error along "
        "it falls to 1/e, 37 %."
    )
    options = ["--lr", *map(repr, found.rates), "--epochs", str(found.epochs)]
    if found.landscape.scaling is not None:
        options.append("--standardize")
    for name in dict.fromkeys(run.backend for run in found.runs):
        options += ["--backend", name]
    yield from again("rates", found.data, options)


def answer(found: "Rates") -> Iterator[Answer]:
    """Say which rate to use, and what would help more."""
    if tiny := underflow(found.data):
        yield Answer(tiny)
    elif found.landscape.epochs_needed(found.recommended) == 0:
        yield Answer(
            "The start is already within 1 % of the least loss; there is nothing to learn."
        )
    elif standardizing := list(_standardize(found)):
        yield from standardizing
    else:
        yield _which_to_use(found)
        yield from _what_standardizing_does(found)


def _standardize(found: "Rates") -> Iterator[Answer]:
    """Say with which rate standardized columns arrive in time, if these do not."""
    known = found.landscape
    needed = known.epochs_needed(found.recommended)
    if known.scaling is not None or (needed is not None and needed <= found.epochs):
        return
    lr = best_rate(known.standardized, found.epochs)
    scaled = known.standardized.epochs_needed(lr)
    if scaled is None or (needed is not None and scaled > needed / 2):
        return
    yield Answer(
        "Use ",
        STANDARDIZE,
        f": at α = {lr!r}, the loss is then within 1 % of the least after "
        f"{counted(scaled, 'epoch')}.",
    )
    without = (
        "no rate comes within 1 % of that loss in a reasonable time"
        if needed is None
        else f"the best rate, α = {found.recommended!r}, needs {counted(needed, 'epoch')}"
    )
    yield Answer(
        f"Without it, {without}: {valley(known)} makes the loss a narrow valley. Standardizing "
        f"lowers the condition number ({MEANING}) from {condition(known.hessian.condition)} to "
        f"{condition(known.standardized.hessian.condition)}."
    )


def _which_to_use(found: "Rates") -> Answer:
    lr, needed = found.recommended, found.landscape.epochs_needed(found.recommended)
    made = counted(found.epochs, "epoch")
    closest = f": of all rates, it comes closest to the least loss in {made}. "
    if needed is None:
        said = f"{closest}No rate comes within 1 % of that loss in a reasonable time."
    else:
        others = [
            f"; {run.lr!r} needs {run.epochs:,}"
            for run in found.shown()
            if run.epochs is not None and run.lr != lr
        ]
        within = f"{counted(needed, 'epoch')}{''.join(others)}."
        said = f": it is within 1 % of the least loss after {within}"
        if needed > found.epochs:
            said = f"{closest}To come within 1 % of that loss, it needs {within}"
    return Answer(f"Use α = {lr!r}, the rate of ", AUTO, said)


def _what_standardizing_does(found: "Rates") -> Iterator[Answer]:
    """Compare the condition number with that of the standardized columns, if that is better."""
    known = found.landscape
    if known.scaling is None and known.other_condition < known.hessian.condition / 2:
        yield Answer(
            "With ",
            STANDARDIZE,
            f", far fewer epochs are needed: it lowers the condition number ({MEANING}) from "
            f"{condition(known.hessian.condition)} to {condition(known.other_condition)}.",
        )


def _about_rates(found: "Rates") -> Iterator[Sentence]:
    """Say what was studied, on what."""
    n, d = found.data.n, len(found.data.features)
    standardized = found.landscape.scaling is not None
    start = f"b = the mean of {found.data.target}" if standardized else "b = 0"
    made = counted(found.epochs, "epoch")
    yield from about(found.landscape, f"n = {n:,}, d = {d:,}, {made} from w = 0, {start}")


def why_some_fail(found: "Rates") -> Iterator[Sentence]:
    """Say how the rates that diverge do so."""
    for run in found.shown():
        if run.regime != "diverges":
            continue
        overflow, _ = found.overflow(run)
        until = "" if overflow is None else f"; at epoch {overflow:,} the loss overflows"
        yield Sentence(
            f"α = {run.lr!r} diverges, because it is above the limit, "
            f"{found.landscape.hessian.limit:.4g}: each step overshoots the minimum and ends "
            f"{run.contraction:.3g} times as far from it as it began{until}."
        )


def why_one_lags(found: "Rates") -> Iterator[Sentence]:
    """Say which of w and b arrives later, and why."""
    lags = lag(found)
    if lags is None:
        return
    early = "w" if lags.late == "b" else "b"
    yield Sentence(
        f"{lags.late} lags behind {early}: at α = {lags.lr!r}, {early} is 99 % of the way there "
        f"after {counted(lags.early_epochs, 'epoch')}, {lags.late} only after "
        f"{lags.late_epochs:,}. {100 * lags.share:.0f} % of the error of {lags.late} lies along "
        f"{_mixture(found.directions[-1], found.data)}, the direction in which the loss is "
        f"flattest: there it curves {condition(found.landscape.hessian.condition)} times less "
        "than in the steepest direction."
    )


def speed_table(found: "Rates") -> Table:
    """Return the predicted and the measured speed of every run."""
    heads = ["α", "regime", "exact", "ρ", "measured", "epochs to 1 %", "measured"]
    several = len({run.backend for run in found.runs}) > 1
    if several:
        heads.append("backend")
    rows: list[list[Cell]] = []
    for run in found.runs:
        measured = run.measured_contraction
        reached: Cell = run.measured_epochs
        if run.measured_epochs is None and run.epochs is not None:
            reached = f"> {found.epochs:,}"
        row: list[Cell] = [
            repr(run.lr),
            run.regime,
            "yes" if run.verdict.agrees else "NO",
            factor(run.contraction, found.landscape.hessian.shortfall(run.lr)),
            None if measured is None else factor(measured, 1 - measured),
            _needed(run.epochs),
            reached,
        ]
        if several:
            row.append(short(run.backend, run.verdict.precision))
        rows.append(row)
    return Table(list(map(Column, heads)), rows)


def _needed(epochs: int | None) -> Cell:
    """Write a predicted number of epochs; a huge one would push others out of the table."""
    if epochs is None:
        return "never"
    return epochs if epochs < 10**9 else f"{epochs:.1e}"


def factor(value: float, shortfall: float) -> str:
    """Write the factor that multiplies the error in each epoch; near 1, how far below it is."""
    if 0 < shortfall < 1e-4:
        return f"1 − {shortfall:.2g}"
    return f"{value:.6f}" if value < 10 else f"{value:.4g}"


def speed_legend(found: "Rates") -> Iterator[Note]:
    """Explain the columns of the speed table."""
    yield Note(
        "regime: what a rate does. A slow rate is below a tenth of the fastest; a stable one "
        "approaches the minimum from one side; an oscillating one overshoots it, but still comes "
        f"closer; a rate of 2/λmax = {found.landscape.hessian.limit:.4g} or more diverges. λmax is "
        "the curvature of the loss in its steepest direction."
    )
    yield Note(
        "ρ: the factor that multiplies the error in each epoch in the long run, predicted, then "
        "measured over the last tenth of the run; a run that is too short for the flattest "
        "direction to decide shows less. epochs to 1 %: until the loss is within 1 % of the least, "
        "predicted, then measured. exact: whether w, b and every loss are those of the exact "
        "trajectory, within what rounding allows."
    )


def result_table(found: "Rates") -> Table:
    """Return the final w, b and loss of every rate, its overflow, and the least squares."""
    d, runs = len(found.data.features), found.shown()
    shown = min(d, MOST_WEIGHTS)
    names = [f"w[{name}]" for name in distinct(found.data.features[:shown], 10)]
    heads, overflows = ["α", *names, "b", "loss"], [found.overflow(run) for run in runs]
    some = any(inf is not None for inf, _ in overflows)
    if some:
        heads += ["first inf", "first nan"]
    rows: list[list[Cell]] = []
    for run, overflow in zip(runs, overflows, strict=True):
        assert run.trajectory is not None
        _, w, b, loss = found.original(run.trajectory)
        row: list[Cell] = [repr(run.lr), *w[-1, :shown].tolist(), float(b[-1]), float(loss[-1])]
        rows.append([*row, *overflow] if some else row)
    best = found.landscape.original_least_squares
    least: list[Cell] = ["least", *best.w[:shown].tolist(), best.b, best.loss]
    rows.append([*least, None, None] if some else least)
    note = left_out(d - shown, "history.parquet") if shown < d else ""
    return Table(list(map(Column, heads)), rows, note)


def direction_table(found: "Rates") -> Table:
    """Return a row for each of the steepest and flattest directions.

    It has the curvature, the share of the error, and the time constants. A rate that diverges has
    no time constants; if there are many rates, the last three are shown.
    """
    stable = [lr for lr in found.rates if lr < found.landscape.hessian.limit][-MOST_CONSTANTS:]
    columns = [Column("direction", kind="prose"), *map(Column, ("curvature", "w error", "b error"))]
    columns += [Column(f"τ at {lr!r}") for lr in stable]
    along = found.directions
    shown = along if len(along) <= MOST_DIRECTIONS else [along[0], *along[1 - MOST_DIRECTIONS :]]
    rows: list[list[Cell]] = [
        [
            _mixture(direction, found.data, 12),
            f"{direction.curvature:.3g}",
            f"{direction.share_of_w:.0%}",
            f"{direction.share_of_b:.0%}",
            *(_time_constant(direction, lr) for lr in stable),
        ]
        for direction in shown
    ]
    note = ""
    if len(shown) < len(along):
        note = f"{len(along) - len(shown)} directions between these are in rates.json"
    return Table(columns, rows, note)


def _mixture(direction: Direction, data: Samples, longest: int = 50) -> str:
    """Name the largest parts of a direction: 0.99 b − 0.15 w[x]."""
    names = [f"w[{name}]" for name in distinct(data.features, longest)] + ["b"]
    vector = direction.vector * np.sign(direction.vector[np.abs(direction.vector).argmax()])
    parts = [j for j in np.argsort(-np.abs(vector))[:MOST_PARTS] if abs(vector[j]) >= 0.05]
    words = [f"{'−' if vector[j] < 0 else '+'} {abs(vector[j]):.2f} {names[j]}" for j in parts]
    return " ".join(words).removeprefix("+ ")


def _time_constant(direction: Direction, lr: float) -> Cell:
    constant = direction.time_constant(lr)
    if constant is None:
        return None
    if constant >= LONGEST:
        return "never"
    return f"{constant:,.0f}" if constant < 1e6 else f"{constant:.1e}"


def rate_data(found: "Rates") -> dict[str, Any]:
    """Return what the loss at any rate follows from: L(k) = L* + (u/2) Σ λᵢ (cᵢ (1 − αλᵢ)ᵏ)².

    The unit u is 1, or the variance of the target if the columns were standardized.
    """
    known = found.landscape
    return {
        "values": [direction.curvature for direction in found.directions],
        "errors": [direction.error for direction in found.directions],
        "least": known.original_least_squares.loss,
        "unit": 1.0 if known.scaling is None else known.scaling.target_deviation**2,
        "limit": known.hessian.limit,
        "recommended": found.recommended,
        "epochs": found.epochs,
    }


@dataclass(frozen=True)
class Lag:
    """w or b arrives much later than the other, because its error lies along a flat valley."""

    late: str
    """w or b"""
    lr: float
    """The rate at which both arrive first"""
    early_epochs: int
    late_epochs: int
    """The epochs after which each stays within 1 % of its way to the least-squares solution"""
    share: float
    """The share of the initial error of the late one that lies along the flattest direction"""


def lag(found: "Rates") -> Lag | None:
    """Return which of w and b lags in the run in which both arrive first.

    None if neither takes twice as long as the other, or if the flattest direction holds less than
    half of the late one's error, and so is not the reason.
    """
    known = found.landscape
    best = known.least_squares
    no_way = abs(best.b) < 1e-9 * float(np.abs(best.w).max())  # standardized: b starts optimal
    if no_way or known.hessian.condition < LAGGING:
        return None
    arrivals = [
        (*arrival(run.trajectory, best), run.lr)
        for run in found.shown()
        if run.trajectory is not None
    ]
    both = [(w, b, lr) for w, b, lr in arrivals if w is not None and b is not None]
    if not both:
        return None
    w, b, lr = min(both, key=lambda entry: max(entry[:2]))
    flat = found.directions[-1]
    late, share = ("b", flat.share_of_b) if b > w else ("w", flat.share_of_w)
    if share < 0.5 or max(w, b) < LAGGING * min(w, b):
        return None
    return Lag(late, lr, min(w, b), max(w, b), share)


def arrival(path: Trajectory, best: LeastSquares) -> tuple[int | None, int | None]:
    """Return the epochs after which w and b stay within 1 % of their way to the optimum."""
    with np.errstate(over="ignore", invalid="ignore"):
        w_way, b_way = NEAR * float(np.linalg.norm(best.w)), NEAR * abs(best.b)
        w_error = np.linalg.norm(path.w - best.w, axis=1)
    return _settled(path, w_error <= w_way), _settled(path, np.abs(path.b - best.b) <= b_way)


def _settled(path: Trajectory, near: NDArray[np.bool_]) -> int | None:
    """Return the first epoch from which all rows are near, None if the last one is not."""
    away = np.flatnonzero(~near)
    row = int(away[-1]) + 1 if len(away) else 0
    return int(path.epoch[row]) if row < len(near) else None
