"""A race as Markdown, for pasting, as CSV, for programs, and as JUnit's XML, for CI systems."""

import csv
import io
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal
from xml.etree import ElementTree

from rich.table import Table

from gradrace.bench.race.versions import changes, not_compared, too_slow
from gradrace.bench.report.race import race_details, race_summary
from gradrace.bench.report.text import markdown_cell, visible
from gradrace.bench.report.versions import slowdown
from gradrace.plots.numbers import short

if TYPE_CHECKING:
    from gradrace.bench.race.schema import (
        About,
        CaseFindings,
        Compile,
        LeftOut,
        ResultFile,
        Row,
    )

COLUMNS = (
    "n",
    "d",
    "backend",
    "precision",
    "verdict",
    "epochs_per_call",
    "prepare_seconds",
    "setup_seconds",
    "median_seconds_per_epoch",
    "best_seconds_per_epoch",
    "samples_per_second",
    "baseline",
    "speed_up",
    "speed_up_low",
    "speed_up_high",
    "speed_up_of_bests",
    "noise_share",
    "limit_seconds_per_epoch",
    "limit_share",
    "import_seconds",
    "compile_seconds",
    "load_compiled_seconds",
    "memory_added_bytes",
    "not_timed_because",
)
"""The columns of the CSV; intervals are 95 % intervals, shares are fractions of 1.

Times per epoch do not include the set-up of a call; speed-ups and limits do.
"""


def race_report(
    content: "ResultFile",
    layout: Literal["text", "md", "csv", "junit"] = "text",
    *,
    full: bool = False,
    width: int = 80,
    limits: "Mapping[str, float] | None" = None,
) -> list[str | Table]:
    """Return a result file as text for a terminal of `width` characters, Markdown, CSV or JUnit.

    `full` adds the details to text and Markdown; the CSV always has all figures. `limits` are those
    of `versions.gate`; JUnit's XML has a failure for each slowdown above them.
    """
    if layout == "text":
        return (race_details if full else race_summary)(content, width)
    if layout == "md":
        return [*race_markdown(content, full=full)]
    if layout == "junit":
        return [race_junit(content, limits or {})]
    return [*race_csv(content)]


def race_markdown(content: "ResultFile", *, full: bool = False) -> list[str]:
    """Return the lines of a race in Markdown: the summary, or all details."""
    unlimited = 10**6  # so that no table is split
    parts = (race_details if full else race_summary)(content, unlimited)
    lines: list[str] = []
    for part in parts:
        lines += (
            ["", *_markdown_table(part), ""]
            if isinstance(part, Table)
            else ["", markdown_cell(part)]
        )
    return [line for i, line in enumerate(lines) if line or (i and lines[i - 1])]


def _markdown_table(table: Table) -> list[str]:
    heads = [" ".join(str(column.header).split()) for column in table.columns]
    rows = zip(*(map(str, column.cells) for column in table.columns), strict=True)
    lines = [heads, ["---"] * len(heads), *rows]
    return [
        "| " + " | ".join(" ".join(markdown_cell(cell).split()) for cell in line) + " |"
        for line in lines
    ]


def race_junit(content: "ResultFile", limits: "Mapping[str, float]") -> str:
    """Return the XML that CI systems read: a test for each backend on each size.

    It fails if the backend is left out because it is wrong, or slower than `limits` allow, and is
    skipped if it was not timed for another reason.
    """
    about = content["gradrace"]
    slow = {
        (change.backend, change.case["name"]): slowdown(change, limits)
        for change in too_slow(changes(content), limits)
    }
    lost = {(e.backend, e.case["name"]) for e in not_compared(content, limits) if e.lost}
    suite = ElementTree.Element("testsuite", name="gradrace")
    for case in about["cases"]:
        rows = {row["backend"]: row for row in case["arms"]}
        for backend in about["settings"]["backends"]:
            name = f"{visible(short(backend))} on {case['name']}"
            test = ElementTree.SubElement(suite, "testcase", classname="gradrace", name=name)
            reason = visible(_reason(about["left_out"], case, backend))
            if backend in rows:
                reason = slow.get((backend, case["name"]), "")
                reason = reason or visible(rows[backend]["impossible"])
                test.set("time", f"{rows[backend]['run']:.9f}")
            failed = (backend, case["name"]) in lost or _counts_as_failure(about, case, backend)
            if reason and failed:
                ElementTree.SubElement(test, "failure", message=reason)
            elif reason or backend not in rows:
                ElementTree.SubElement(test, "skipped", message=reason or "not timed")
    failures = len(suite.findall(".//failure"))
    suite.attrib |= {"tests": str(len(suite)), "failures": str(failures)}
    return ElementTree.tostring(suite, encoding="unicode")


def _counts_as_failure(about: "About", case: "CaseFindings", backend: str) -> bool:
    """Whether a case counts against a backend: it is at fault, and not an earlier version."""
    wrong = (case["name"], backend), ("every case", backend)
    entries = {(e["case"], e["backend"]): e["fault"] for e in about["left_out"]}
    timed = any(row["backend"] == backend for row in case["arms"])
    return "version_of" not in about["backends"][backend] and (
        timed or any(entries.get(key) for key in wrong)
    )


def race_csv(content: "ResultFile") -> list[str]:
    """Return the lines of a CSV: the names of `COLUMNS`, then a row per size and backend."""
    about = content["gradrace"]
    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, COLUMNS, restval="", lineterminator="\n")
    writer.writeheader()
    compiled = {entry["backend"]: entry for entry in about["compile"]}
    for case in about["cases"]:
        rows = {row["backend"]: row for row in case["arms"]}
        for backend in about["settings"]["backends"]:
            cells: dict[str, Any] = {"n": case["n"], "d": case["d"], "backend": visible(backend)}
            if backend in rows:
                cells |= _figures(case, rows[backend], compiled.get(backend))
            else:
                cells["not_timed_because"] = visible(_reason(about["left_out"], case, backend))
            writer.writerow(cells)
    return buffer.getvalue().splitlines()


def _figures(case: "CaseFindings", row: "Row", compiled: "Compile | None") -> dict[str, Any]:
    """Return the figures of a backend at one size, by column; unknown ones are left out."""
    cells: dict[str, Any] = {
        "precision": row["precision"],
        "verdict": row["verdict"],
        "epochs_per_call": row["epochs"],
        "prepare_seconds": row["prepare"],
        "setup_seconds": row["setup"],
        "median_seconds_per_epoch": row["per_pass"],
        "best_seconds_per_epoch": row["per_pass"] * row["time"]["minimum"] / row["time"]["median"],
        "samples_per_second": row["rate"],
        "baseline": visible(case["baseline"]),
        "noise_share": case["floor"],
    }
    if speed_up := row["speed_up"]:
        cells["speed_up"] = speed_up["value"]
        cells["speed_up_low"], cells["speed_up_high"] = speed_up["low"], speed_up["high"]
        cells["speed_up_of_bests"] = speed_up["minima"]
    if limit := row["limit"]:
        cells["limit_seconds_per_epoch"] = limit["seconds"]
        cells["limit_share"] = limit["share"]
    if compiled:
        cells["import_seconds"] = compiled["load"]
        cells["compile_seconds"] = compiled["cold"]
        cells["load_compiled_seconds"] = compiled["cached"]
    if memory := row["memory"]:
        cells["memory_added_bytes"] = memory["added"]
    return cells


def _reason(left_out: "Sequence[LeftOut]", case: "CaseFindings", backend: str) -> str:
    """Return why a backend was not timed at one size, if the file gives a reason."""
    reasons = (
        entry["reason"]
        for entry in left_out
        if entry["backend"] == backend and entry["case"] in (case["name"], "every case")
    )
    return next(reasons, "")
