"""Parts as Markdown, for pasting, and tables as CSV, for programs."""

import csv
import io
import re
from collections.abc import Iterable, Iterator

from gradrace.bench.parts import Cell, Command, Heading, Part, Sentence, Table
from gradrace.bench.show.text import Word, columns_of, said, visible


def markdown(parts: Iterable[Part], word: Word = str) -> Iterator[str]:
    """Yield the lines of parts in Markdown, in which no text from outside is markup."""
    blank = True
    for part in parts:
        for line in ["", *_lines(part, word)]:
            if line or not blank:
                yield line
            blank = not line


def _lines(part: Part, word: Word) -> Iterator[str]:
    match part:
        case Sentence():
            yield _safe(said(part, word))
        case Command(text):
            yield _code(visible(text))
        case Table():
            table = part.for_people()
            heads = [column.title or "" for column in table.columns]
            rows = zip(*columns_of(table), strict=True)
            for line in [heads, ["---"] * len(heads), *rows]:
                yield "| " + " | ".join(" ".join(_safe(cell).split()) for cell in line) + " |"
            if table.note:
                yield ""
                yield _safe(table.note)
        case Heading():
            pass


def _code(text: str) -> str:
    """Return a text as code; more backticks around it than anywhere in it."""
    fence = "`" * (1 + max(map(len, re.findall("`+", text)), default=0))
    blank = " " if text.startswith("`") or text.endswith("`") else ""
    return f"{fence}{blank}{text}{blank}{fence}"


def _safe(text: str) -> str:
    return re.sub(r"[\\`*\[\]<>|]", r"\\\g<0>", visible(text))


def csv_of(table: Table) -> str:
    """Return a table as CSV with all digits, and nothing for an unknown value."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    columns = [(j, column) for j, column in enumerate(table.columns) if column.name]
    names: list[str] = []
    for _, column in columns:
        ends = ("", "_low", "_high") if column.kind == "interval" else ("",)
        names += [column.name + end for end in ends]
    writer.writerow(names)
    for row in table.rows:
        cells: list[object] = []
        for j, column in columns:
            cells += _raw(row[j], 3 if column.kind == "interval" else 1)
        writer.writerow(cells)
    return buffer.getvalue()


def _raw(cell: Cell, number: int) -> list[object]:
    """Return the values of a cell, which takes so many columns."""
    if isinstance(cell, str):
        return [visible(cell)]
    if type(cell) is tuple:  # several values, of which a program gets the first
        return _raw(cell[0], number)
    values = cell if isinstance(cell, tuple) else (cell,)
    return list[object](values)[:number] + [None] * (number - len(values))
