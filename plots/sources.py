"""Read the files that pictures are drawn from, and their origin for the footers."""

import json
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from gradrace.plots.numbers import label

if TYPE_CHECKING:
    from gradrace.bench.race.verdict.result import ResultFile


def metadata(table: pa.Table) -> dict[str, str]:
    """Return the metadata of a Parquet file, by key."""
    return {key.decode(): value.decode() for key, value in (table.schema.metadata or {}).items()}


def values(table: pa.Table, column: str | int) -> np.ndarray:
    """Return a column without gaps as an array; `to_numpy` would import pandas, for 0.3 s."""
    return np.from_dlpack(table.column(column).combine_chunks())


def race_origin(*files: "ResultFile") -> list[str]:
    """Return where, when and with which versions races took place: one machine, one day."""
    first = files[0]
    machine = first.machine_info
    threads = [file.gradrace.settings.threads for file in files]
    range_ = dict.fromkeys((str(min(threads)), str(max(threads))))
    return [
        label(machine.processor_name or "unknown processor"),
        _count(str(len(machine.cores.usable)), "core"),
        _count("–".join(range_), "thread"),
        f"Python {machine.python_version}",
        f"gradrace {label(first.gradrace.version, 20)}",
        label(first.datetime[:10]),
    ]


def table_origin(table: pa.Table) -> list[str]:
    """Return the same for a Parquet file, as far as it is known."""
    origin: dict[str, str] = json.loads(metadata(table).get("origin", "{}"))
    return [label(part) for part in origin.values()]


def _count(number: str, what: str) -> str:
    return f"{number} {what}" if number == "1" else f"{number} {what}s"
