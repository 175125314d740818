"""The result of a race for people to read: the summary and, on request, all details."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rich.table import Table

from gradrace.bench.report.details import details
from gradrace.bench.report.summary import finished_sessions, only_versions, sentences
from gradrace.bench.report.summary_table import summary_heading, summary_legend, summary_tables
from gradrace.bench.report.versions import version_lines, version_parts

if TYPE_CHECKING:  # importing all of it takes longer than `train` takes to train
    from gradrace.bench.race.schema import ResultFile

_MOST_WARNINGS = 3


def race_summary(content: "ResultFile", width: int = 80) -> list[str | Table]:
    """Return the answer of a race, one table and the warnings, for a terminal of this width.

    `content` is a result file, as `findings.results.read` returns it.
    """
    parts: list[str | Table] = [*version_lines(content), *sentences(content)]
    about = content["gradrace"]
    if versions := version_parts(content):
        parts += ["", *versions]
    if content["benchmarks"] and not (versions and only_versions(about)):
        parts += ["", *summary_heading(content), *summary_tables(content, width)]
        parts += [legend] if (legend := summary_legend(about)) else []
    warnings = about["warnings"]
    parts += [f"Warning: {warning}." for warning in warnings[:_MOST_WARNINGS]]
    if more := len(warnings) - _MOST_WARNINGS:
        parts += [f"{more} more warning{'s' * (more > 1)} with --details."] if more > 0 else []
    return parts


def race_details(content: "ResultFile", width: int = 80) -> list[str | Table]:
    """Return the summary, then all that is known: intervals, limits, compile times, memory."""
    parts = race_summary(content, width)
    if version_parts(content) and only_versions(content["gradrace"]):
        parts += ["", *summary_heading(content), *summary_tables(content, width)]
    if content["benchmarks"]:
        parts += details(content)
    parts += [
        f"Warning: {warning}." for warning in content["gradrace"]["warnings"][_MOST_WARNINGS:]
    ]
    return parts


def saved(paths: Sequence[Path], result: Path) -> list[str]:
    """Name the files of a race, folder by folder, and the command that shows more of it."""
    folders: dict[Path, list[str]] = {}
    for path in paths:
        folders.setdefault(path.parent, []).append(path.name)
    lines = [f"Saved in {folder}: {', '.join(names)}." for folder, names in folders.items()]
    if result in paths:
        lines.append(
            f"For intervals, limits, compile times, memory: gradrace show {result} --details"
        )
    return lines


def how_to_complete(content: "ResultFile", result: Path) -> list[str]:
    """Say which command times the missing sessions, if there are any."""
    unfinished = content["gradrace"]["interrupted"]
    return [f"To time the rest: gradrace run --resume {result}"] if unfinished else []


def what_is_kept(content: "ResultFile", result: Path) -> str:
    """Say which sessions of an interrupted run are saved, and how to go on."""
    about = content["gradrace"]
    if finished := finished_sessions(about):
        return (
            f"finished sessions are saved, {finished} of {about['settings']['sessions']}; "
            f"gradrace run --resume {result} times the rest"
        )
    return "nothing was timed" + f" ({result} is from an earlier run)" * result.exists()


def finished_already(result: Path) -> str:
    """Say that there is nothing to resume, and what can be done instead."""
    return (
        f"{result} is finished, so nothing was timed; gradrace show {result} prints it, "
        f"gradrace plot {result} draws it again, gradrace run starts another race"
    )
