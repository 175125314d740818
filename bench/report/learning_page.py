"""The pages of a training run and of a study of learning rates."""

import shlex
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gradrace.bench.data import origin
from gradrace.bench.data.samples import reference_line
from gradrace.bench.learning import model, rates_files
from gradrace.bench.report.page import Section, page
from gradrace.bench.report.rates import about_study, advice, figures
from gradrace.bench.report.tables import epochs
from gradrace.bench.report.training import MOST_WEIGHTS, about_fit, fit_table, remarks, way_table

if TYPE_CHECKING:
    from gradrace.bench.data.samples import Samples
    from gradrace.bench.learning.rates import Study
    from gradrace.bench.learning.training import Fit


def training_page(fit: "Fit", *, auto: bool) -> str:
    """Return the page of a training run."""
    from gradrace.plots import fit as fit_plot
    from gradrace.plots import loss, residuals, weights
    from gradrace.plots.svg import svg

    about = about_fit(fit, auto=auto)
    reached = (
        f"After {epochs(int(fit.trajectory.epoch[-1]))}, the loss is {fit.loss:.6g}; the least "
        f"possible is {fit.least_squares.loss:.6g}."
    )
    answer = [fit.failure, *about] if fit.diverged else [reached, *remarks(fit), *about]
    answer.append(fit.least_squares.ambiguity)
    result = Section("What was learned?")
    way = Section("How the loss fell").add(way_table(fit))
    with tempfile.TemporaryDirectory(prefix="gradrace-") as name:
        folder = Path(name)
        words = "The loss against the epoch."
        way.draw(svg(loss.figure([model.write_history(fit, folder)]), words), words)
        if not fit.diverged:
            result.add(fit_table(fit))
            points = model.write_points(fit, folder)
            for plot, source, words in (
                (fit_plot, points, "The samples, the learned model and the least-squares fit."),
                (residuals, points, "What the model misses: actual minus predicted."),
                (weights, model.write_model(fit, folder), "How far each weight has come."),
            ):
                result.draw(svg(plot.figure(source), words), words)
    options = ["--lr", repr(fit.lr), "--epochs", str(fit.planned)]
    options += ["--standardize"] * (fit.scaling is not None)
    options += [] if fit.tol is None else ["--tol", repr(fit.tol)]
    again = _again("train", fit.data, [*options, "--backend", fit.backend])
    return page(f"A fit of {fit.data.target}", answer, [result, way, again])


def rates_page(found: "Study") -> str:
    """Return the page of a study of learning rates, with a rate to play with."""
    from gradrace.plots import loss, path
    from gradrace.plots.svg import svg

    play = Section("Try a rate")
    if len(found.directions) > 1:
        play.tool("rate", rate_data(found))
    pictures = Section("Pictures")
    with tempfile.TemporaryDirectory(prefix="gradrace-") as name:
        for source in rates_files.save_tables(found, Path(name)):
            if source.name == rates_files.HISTORY:
                words = "The loss at each rate."
                pictures.draw(svg(loss.figure([source]), words), words)
            else:
                words = "The path over the contours of the loss at each rate."
                pictures.draw(svg(path.figure(source), words), words)
    more = Section("All figures").add(*figures(found, MOST_WEIGHTS))
    answer = [*advice(found), *about_study(found), found.landscape.least_squares.ambiguity]
    title = f"Which learning rate for {found.data.target}?"
    rates = ["--lr", *map(repr, found.rates), "--epochs", str(found.epochs)]
    options = rates + ["--standardize"] * (found.landscape.scaling is not None)
    raced = dict.fromkeys(run.backend for run in found.runs)
    options += [word for name in raced for word in ("--backend", name)]
    again = _again("rates", found.data, options)
    return page(title, answer, [play, pictures, more, again])


def _again(command: str, data: "Samples", options: Sequence[str]) -> Section:
    """Say where and with what a result was found, and how to repeat it."""
    table: list[str] | None = None
    if Path(data.name).exists():
        table = [data.name, "--target", data.target]
        table += [word for name in data.features for word in ("--features", name)]
        table += data.options
    elif data.name == reference_line().name:
        table = []
    again = ", and how to repeat this" * (table is not None)
    section = Section(f"Environment{again}").add("; ".join(origin.origin().values()))
    if table is not None:
        section.code(shlex.join(["gradrace", command, *table, *options]))
    return section


def rate_data(found: "Study") -> dict[str, Any]:
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
