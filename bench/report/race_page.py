"""The pages of a race and of the study of sizes, from their result files."""

import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gradrace.bench.race.exponents import crossovers, exponents
from gradrace.bench.race.pictures import ERRORS
from gradrace.bench.report.details import details
from gradrace.bench.report.page import Bar, Section, page
from gradrace.bench.report.race import race_summary
from gradrace.bench.report.scale import crossover_lines, exponent_table
from gradrace.bench.report.summary import about_race, joined, sentences
from gradrace.bench.report.summary_table import summary_heading, summary_legend, summary_tables
from gradrace.bench.report.tables import NONE, named, size
from gradrace.bench.report.text import visible
from gradrace.bench.report.versions import version_lines, version_parts
from gradrace.plots.numbers import seconds, short, three_digits

if TYPE_CHECKING:
    from gradrace.bench.race.schema import About, CaseFindings, ResultFile, Row


def race_page(content: "ResultFile", source: Path) -> str:
    """Return the page of a race, from its result file and what lies beside it."""
    answer = [*version_lines(content), *sentences(content)]
    sections = [
        Section("What was raced?").add(_words(content)),
        _speed(content, source),
        _total(content),
        _proof(source.parent),
        _warnings(content["gradrace"]),
        Section("All figures").add(*(details(content) if content["benchmarks"] else ())),
        _again(content),
    ]
    about = content["gradrace"]
    sizes = _few([size(case) for case in about["cases"]], "sizes")
    names = _few([named(name, about) for name in about["settings"]["backends"]], "backends")
    return page(f"Which of {names} is the fastest on {sizes}?", answer, sections)


def scale_page(contents: "Sequence[ResultFile]", files: Sequence[Path]) -> str:
    """Return the page of `gradrace scale`, from its result files, that of one thread first."""
    from gradrace.plots import scale
    from gradrace.plots.svg import svg

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
    return page("How does the time grow with the job?", answer, [growth, *races])


_MOST_NAMED = 3


def _few(names: Sequence[str], kind: str) -> str:
    return joined(names) if len(names) <= _MOST_NAMED else f"{len(names)} {kind}"


def _words(content: "ResultFile") -> str:
    """Explain what was raced to those who have not read the README."""
    baseline = short(content["gradrace"]["settings"]["baseline"])
    return (
        "Linear regression by gradient descent: y is predicted as Xw + b, and every epoch moves w "
        "and b a step against the gradient of the mean squared error. A backend is one way to "
        "program this same loop. n × d means n samples of d features. A call is one training run "
        "from the start, and speed-ups compare whole calls; the time per epoch leaves out the "
        "set-up, which is what a call does before its first epoch. Every backend is compared with "
        f"the baseline, {baseline}. Before it was timed, it had to compute w, b and the loss of "
        "every epoch to within the error that rounding can cause. The exact values come from sums "
        "without rounding and 50-digit arithmetic."
    )


def _speed(content: "ResultFile", source: Path) -> Section:
    from gradrace.plots import breakeven, fastest, roofline, speed, speedup
    from gradrace.plots.sources import read_race
    from gradrace.plots.svg import svg

    about = content["gradrace"]
    section = Section("How fast is each backend?").add(*version_parts(content))
    if content["benchmarks"]:
        section.add(summary_heading(content)[1], *summary_tables(content, 10**6))
        section.add(summary_legend(about), role="muted")
        _add_intervals(section, about)
    race = read_race(source)
    for plot, words in (
        (speed, "Time per epoch against the number of samples, set-up included."),
        (speedup, "How many times as fast as the baseline each backend is, with 95 % intervals."),
        (fastest, "The fastest backend at each size."),
        (breakeven, "Total time against the number of training runs, compiling included."),
        (roofline, "How close each backend comes to what the machine can read and compute."),
    ):
        if plot.drawable(race["gradrace"]):
            section.draw(svg(plot.figure(source), words), words)
    return section


def _add_intervals(section: Section, about: "About") -> None:
    """Add a row per size and backend, to be sorted by any column, with its interval as a bar."""
    rows = [
        [
            size(case),
            named(row["backend"], about),
            *_speed_up(row),
            seconds(row["per_pass"]),
            NONE if row["prepare"] is None else seconds(row["prepare"]),
            seconds(row["setup"]) if row["setup"] else NONE,
            f"{row['epochs']:,}",
        ]
        for case in about["cases"]
        for row in case["arms"]
    ]
    if any(isinstance(cell, Bar) for row in rows for cell in row):
        ratio = f"times as fast as {short(about['settings']['baseline'])}"
        section.add(
            "The same figures; click a heading to sort. The speed-ups are those of whole calls, "
            "with their set-up, so they depend on the epochs per call. Each bar is a 95 % interval "
            "on a logarithmic scale; the thin line marks equal speed."
        )
        heads = ["n × d", "backend", ratio, "", "95 % interval", "time per epoch"]
        heads += ["prepare", "set-up", "epochs"]
        section.grid(heads, rows, words=2)


def _speed_up(row: "Row") -> list[str | Bar]:
    """Return a speed-up, its 95 % interval as a bar, and as text."""
    ratio = row["speed_up"]
    if ratio is None:
        return ["1" if row["verdict"] == "baseline" else NONE, "", ""]
    low, high = ratio["low"], ratio["high"]
    value = three_digits(ratio["value"])
    if low is None or high is None:
        return [value, "", NONE]
    interval = f"{three_digits(low)} to {three_digits(high)}"
    return [value, Bar(low, ratio["value"], high), interval]


def _total(content: "ResultFile") -> Section:
    section = Section("How long would my job take?")
    jobs = [job for case in content["gradrace"]["cases"] if (job := _job(case, content))]
    if jobs:
        section.add(
            "Choose a size, the number of training runs in one process, and the epochs of each. A "
            "compiled backend compiles the first time it is used on a machine; later processes "
            "load its saved machine code."
        )
        section.tool("total", {"jobs": jobs})
    return section


def _job(case: "CaseFindings", content: "ResultFile") -> dict[str, Any]:
    """Return what each backend takes on a case, for the sliders; empty if nothing was timed."""
    about = content["gradrace"]
    if not case["arms"]:
        return {}
    starts = {entry["backend"]: entry for entry in about["compile"]}
    return {
        "size": size(case),
        "epochs": case["epochs"],
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


def _proof(folder: Path) -> Section:
    from gradrace.plots import agreement
    from gradrace.plots.svg import svg

    section = Section("Do all backends compute the same thing?")
    if (folder / ERRORS).is_file():
        words = (
            "The error of each backend in every epoch on the reference line, 100 points of "
            "y = 3x + 2 plus noise, beside the largest error that rounding can cause. Each is also "
            "tried on small problems that expose mistakes, and on the sizes that were raced."
        )
        section.draw(svg(agreement.figure(folder / ERRORS), words), words)
    return section


def _warnings(about: "About") -> Section:
    section = Section("Warnings")
    for warning in about["warnings"]:
        section.add(f"{warning}.", role="warning")
    return section


def _again(content: "ResultFile") -> Section:
    """Say on which machine and when a race was run, and how to repeat it."""
    commit = content["commit_info"].get("id", "") if content["commit_info"] else ""
    section = Section("Environment, and how to repeat this").add(about_race(content))
    section.add(
        f"Commit: {commit}" * (commit not in ("", "unversioned")),
        f"Date: {content['datetime'][:19]}",
    )
    settings = content["gradrace"]["settings"]
    cases = " ".join(f"{case['name']}@{case['epochs']}" for case in settings["cases"])
    return section.code(
        f"gradrace run --case {cases} --backends {shlex.join(settings['backends'])} "
        f"--sessions {settings['sessions']} --threads {settings['threads']} "
        f"--seed {settings['seed']}"
    )
