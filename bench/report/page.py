"""A result as one page to hand around: a single file of HTML that loads nothing from anywhere.

Everything reads without JavaScript; with it, tables can be sorted, and sliders answer questions.
All texts from outside, such as names of columns and messages of backends, are escaped by Jinja2.
"""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup
from rich.table import Table

from bench.data.files import replacing
from bench.report.text import visible

if TYPE_CHECKING:
    from bench.findings.schema import ResultFile
    from bench.learning.rates import Study
    from bench.learning.training import Fit
    from plots.canvas import Figure

_HERE = Path(__file__).parent


@dataclass
class Section:
    """A part of a page under a heading."""

    heading: str
    parts: list[dict[str, Any]] = field(default_factory=list)

    def add(self, *said: str | Table, role: str = "") -> "Section":
        """Add sentences and tables."""
        for part in said:
            if isinstance(part, Table):
                self.parts.append(_table(part))
            elif part:
                self.parts.append({"kind": "text", "text": visible(part), "role": role})
        return self

    def draw(self, svg: str, words: str) -> "Section":
        """Add a picture, and what it shows in words."""
        self.parts.append({"kind": "picture", "svg": svg, "text": visible(words)})
        return self

    def tool(self, name: str, data: Mapping[str, Any]) -> "Section":
        """Add something to play with: a function of page.js, and the data that it gets."""
        text = json.dumps(data).replace("<", "\\u003c").replace("&", "\\u0026")
        self.parts.append({"kind": "tool", "name": name, "data": Markup(text)})
        return self

    def code(self, command: str) -> "Section":
        """Add a command."""
        self.parts.append({"kind": "code", "text": visible(command)})
        return self


def _table(table: Table) -> dict[str, Any]:
    rows = list(zip(*(column.cells for column in table.columns), strict=True))
    grouped = any(str(row[0]).startswith(" ") for row in rows)  # below the name of their group
    return {
        "kind": "table",
        "heads": [visible(" ".join(str(column.header).split())) for column in table.columns],
        "rows": [[visible(str(cell)) for cell in row] for row in rows],
        "sortable": not grouped,
        "caption": visible(str(table.caption or "")),
    }


def page(title: str, answer: Iterable[str], sections: Sequence[Section], origin: str) -> str:
    """Return the page; sections without parts are left out."""
    environment = Environment(
        loader=FileSystemLoader(_HERE),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("page.html").render(
        title=visible(title),
        answer=[visible(sentence) for sentence in answer if sentence],
        sections=[section for section in sections if section.parts],
        origin=visible(origin),
        script=(_HERE / "page.js").read_text(encoding="utf-8"),
    )


def race_page(content: "ResultFile", source: Path) -> str:
    """Return the page of a race, from its result file and what lies beside it."""
    from bench.report.details import details
    from bench.report.summary import about_race, sentences
    from bench.report.summary_table import summary_heading, summary_legend, summary_tables
    from bench.report.versions import version_lines, version_parts

    about = content["gradrace"]
    answer = [*version_lines(content), *sentences(content)]
    speed = Section("How fast is each backend?").add(*version_parts(content))
    if content["benchmarks"]:
        speed.add(summary_heading(content)[1], *summary_tables(content, 10**6))
        speed.add(summary_legend(about), role="muted")
    speed.parts += [part for svg, words in _race_pictures(source) for part in [_drawn(svg, words)]]
    total = Section("What does a job of mine take?")
    if data := _totals(content):
        total.add(
            f"For {data['job']}, compiling included; choose the number of runs and epochs:"
        ).tool("total", data)
    proof = Section("Do all compute the same thing?")
    proof.parts += [part for svg, words in _proof(source.parent) for part in [_drawn(svg, words)]]
    more = Section("All figures")
    if content["benchmarks"]:
        more.add(*details(content))
    warnings = Section("Warnings")
    for warning in about["warnings"]:
        warnings.add(f"{warning}.", role="warning")
    commit = content["commit_info"].get("id", "") if content["commit_info"] else ""
    again = Section("Where, with what, and how to repeat it").add(about_race(content))
    again.add(f"Commit: {commit}" * bool(commit), f"Date: {content['datetime'][:19]}")
    again.code(_command(content))
    sections = [speed, total, proof, warnings, more, again]
    return page("Which backend is the fastest, and do all agree?", answer, sections, _origin())


def scale_page(contents: "Sequence[ResultFile]", files: Sequence[Path]) -> str:
    """Return the page of `gradrace scale`, from its result files, that of one thread first."""
    from bench.findings.exponents import crossovers, exponents
    from bench.report.race import race_summary
    from bench.report.scale import crossover_lines, exponent_table
    from plots import scale
    from plots.svg import svg

    first = contents[0]
    words = "Time against samples and features, and the speed-up by threads."
    growth = Section("How does the time grow?").draw(svg(scale.figure(files), words), words)
    growth.add(exponent_table(exponents(first), first["gradrace"]))
    growth.add("* the time of a call divided by its epochs, set-up included", role="muted")
    races = [
        Section(f"Threads: {content['gradrace']['settings']['threads']}").add(
            *race_summary(content, 10**6)
        )
        for content in contents
    ]
    answer = crossover_lines(crossovers(first))
    return page("How does the time grow with the job?", answer, [growth, *races], _origin())


def _drawn(svg: str, words: str) -> dict[str, Any]:
    return {"kind": "picture", "svg": svg, "text": words}


def _race_pictures(source: Path) -> Iterator[tuple[str, str]]:
    from plots import breakeven, fastest, roofline, speed, speedup
    from plots.sources import read_race
    from plots.svg import svg

    race = read_race(source)
    for plot, words in (
        (speed, "Time per epoch against the number of samples, set-up included."),
        (speedup, "How many times as fast as the baseline each backend is, with 95 % intervals."),
        (fastest, "The fastest backend at each size."),
        (breakeven, "Total time against the number of training runs, compiling included."),
        (roofline, "How close each backend comes to what the machine can read and compute."),
    ):
        if plot.drawable(race["gradrace"]):
            yield svg(plot.figure(source), words), words


def _proof(folder: Path) -> Iterator[tuple[str, str]]:
    from bench.findings.pictures import ERRORS
    from plots import agreement
    from plots.svg import svg

    if (folder / ERRORS).is_file():
        words = "The error of each backend in every epoch, below the largest that rounding causes."
        yield svg(agreement.figure(folder / ERRORS), words), words


def _totals(content: "ResultFile") -> dict[str, Any]:
    """Return what each backend takes on the last case that was timed, for the slider."""
    from bench.report.tables import named, size

    about = content["gradrace"]
    timed = [case for case in about["cases"] if case["arms"]]
    if not timed:
        return {}
    case, starts = timed[-1], {entry["backend"]: entry for entry in about["compile"]}
    return {
        "job": size(case),
        "epochs": case["run_epochs"],
        "backends": [
            {
                "name": visible(named(row["backend"], about)),
                "setup": row["setup"],
                "pass": row["per_pass"],
                "cold": starts[row["backend"]]["cold"] if row["backend"] in starts else 0.0,
                "cached": starts[row["backend"]]["cached"] if row["backend"] in starts else 0.0,
            }
            for row in case["arms"]
            if not row["impossible"]
        ],
    }


def _command(content: "ResultFile") -> str:
    """Return the command that repeats a race."""
    import shlex

    settings = content["gradrace"]["settings"]
    cases = " ".join(f"{case['name']}@{case['epochs']}" for case in settings["cases"])
    names = " ".join(shlex.quote(name) for name in settings["backends"])
    return (
        f"gradrace run --case {cases} --backends {names} --sessions {settings['sessions']} "
        f"--threads {settings['threads']} --seed {settings['seed']}"
    )


def training_page(fit: "Fit", *, auto: bool) -> str:
    """Return the page of a training run."""
    import tempfile

    from bench.learning import model
    from bench.report.training import about_fit, fit_table, remarks, way_table
    from plots import fit as fit_plot
    from plots import loss, residuals, weights
    from plots.svg import svg

    about = about_fit(fit, auto=auto)
    answer = [*about, fit.failure] if fit.diverged else [*about, *remarks(fit)]
    answer.append(fit.least_squares.ambiguity)
    result = Section("What was learned?")
    way = Section("The way there").add(way_table(fit))
    with tempfile.TemporaryDirectory(prefix="gradrace-") as name:
        folder = Path(name)
        words = "The loss against the epoch."
        way.draw(svg(loss.figure([model.write_history(fit, folder)]), words), words)
        if not fit.diverged:
            result.add(fit_table(fit))
            points = model.write_points(fit, folder)
            for plot, source, words in (
                (fit_plot, points, "The samples, the learned model and the least squares."),
                (residuals, points, "What the model misses: actual minus predicted."),
                (weights, model.write_model(fit, folder), "How far each weight has come."),
            ):
                result.draw(svg(plot.figure(source), words), words)
    return page(f"A fit of {fit.data.target}", answer, [result, way], _origin())


def rates_page(found: "Study") -> str:
    """Return the page of a study of learning rates, with a rate to play with."""
    import tempfile

    from bench.learning import rates_files
    from bench.report.rates import about_study, advice, report
    from plots import loss, path
    from plots.svg import svg

    play = Section("Try a rate")
    if len(found.directions) > 1:
        play.tool("rate", rate_data(found))
    pictures = Section("Pictures")
    drawings: dict[str, tuple[Callable[[Path], Figure], str]] = {
        rates_files.HISTORY: (lambda source: loss.figure([source]), "The loss at each rate."),
        rates_files.PATHS: (path.figure, "The path over the contours of the loss at each rate."),
    }
    with tempfile.TemporaryDirectory(prefix="gradrace-") as name:
        for source in rates_files.save_tables(found, Path(name)):
            draw, words = drawings[source.name]
            pictures.draw(svg(draw(source), words), words)
    said = list(report(found))
    more = Section("All figures").add(*said[said.index("") + 1 + len([*advice(found)]) :])
    answer = [*advice(found), *about_study(found), found.landscape.least_squares.ambiguity]
    title = f"Which learning rate for {found.data.target}?"
    return page(title, answer, [play, pictures, more], _origin())


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


def write(html: str, path: Path) -> Path:
    """Write a page; return its path.

    Raises:
        OSError: the file cannot be written; nothing is left half-written.

    """
    with replacing(path) as temporary:
        temporary.write_text(html, encoding="utf-8")
    return path


def _origin() -> str:
    from bench.data.origin import version

    return f"Made by gradrace {version()}."
