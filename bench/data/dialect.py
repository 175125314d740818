"""Find from the first lines of a text how it is divided into columns, and their names.

The separator is the one under which most lines have the same number of cells and most cells below
the first line are numbers. The first line holds the names if it differs from the lines below where
these hold numbers, as in Python's `csv.Sniffer` and in DuckDB.
"""

import csv
import re
from collections import Counter
from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

from gradrace.backends.interface import InputValueError, Setting
from gradrace.bench.data.blocks import is_number
from gradrace.bench.data.samples import unnamed
from gradrace.bench.data.sources import Reading

BLANKS = r"\s+"
MISSING = (
    *("", "#N/A", "#N/A N/A", "#NA", "-1.#IND", "-1.#QNAN", "-NaN", "-nan", "1.#IND", "1.#QNAN"),
    *("<NA>", "N/A", "NA", "NULL", "NaN", "None", "n/a", "nan", "null"),  # pandas' own
    *("?", "-", ".", r"\N", "#DIV/0!", "#VALUE!", "#REF!", "#NAME?", "#NUM!", "#NULL!"),
)
FLAGS = ("true", "false")
_SEPARATORS = ("\t", ";", ",", "|", BLANKS)
_YEARS = range(1500, 2200)
_ODD = re.compile(r"[+-]?(\d[\d.,'’]*|\d{1,3}([ \u00a0\u202f]\d{3})+([.,]\d+)?)")
"""A number with separators that an option may read"""


class Dialect(NamedTuple):
    """How a text is divided."""

    delimiter: str
    names: tuple[str, ...]
    """Of every column; empty where it has none"""
    above: int
    """The lines above the first row"""
    headless: bool
    """Whether the names are x1, x2, … because the text has none"""
    comments: bool
    """Whether lines that begin with # are left out"""
    remarks: tuple[str, ...]
    line: float
    """The mean length of the first lines, in characters"""
    ends: bool
    """Whether each row ends with a separator, so that the last column must be empty"""


class _Row(NamedTuple):
    above: int
    """The lines before it"""
    cells: list[str]
    raw: str
    """The line in which it begins"""


def is_comment(line: str) -> bool:
    """Whether a line begins with # and a blank, or is # alone."""
    return line.startswith("#") and line[1:2] in ("", " ", "\t", "\r", "\n", "#")


def plain(text: str, reading: Reading) -> str:
    """Return a number without its separators of thousands, and with a decimal point."""
    if reading.thousands and reading.thousands in text:
        comma, mark = re.escape(reading.decimal), re.escape(reading.thousands)
        if re.fullmatch(rf"[+-]?\d{{1,3}}({mark}\d{{3}})+({comma}\d*)?", text):
            text = text.replace(reading.thousands, "")
    if reading.decimal == ".":
        return text
    return "" if "." in text else text.replace(reading.decimal, ".")


def dialect_of(name: str, lines: Sequence[str], reading: Reading) -> Dialect:
    """Return how a text is divided that begins with these lines, below those to skip.

    An `InputValueError` says that it is empty, or why the lines are not a table.
    """
    above, delimiter = reading.skip_rows, reading.delimiter
    if lines and (marked := re.fullmatch(r'\ufeff?"?sep=(.)"?\s*', lines[0])):  # Excel
        above, delimiter, lines = above + 1, delimiter or marked[1], lines[1:]
    divided = {d: _rows(lines, above, d) for d in ([delimiter] if delimiter else _SEPARATORS)}
    delimiter = max(divided, key=lambda d: _fitness(divided[d], reading))
    rows = divided[delimiter]
    width = _width(rows)
    kept = [row for row in rows if not row.raw.startswith("#") or len(_full(row.cells)) == width]
    comments = len(kept) < len(rows) or any(map(is_comment, lines))
    if named := _names_in_comment(lines, above, delimiter, kept, reading):
        kept, width = [named, *kept], len(named.cells)
    if not kept:
        raise InputValueError(f"{name}: is empty")
    _check(name, kept, width, reading)
    header, remark = (True, "") if named else _is_header(kept, width, reading)
    names, unused = _names(name, kept, width) if header else (_no_names(name, kept, width), "")
    first = kept[0] if not header else (kept[1:] or [_Row(above + len(lines), [], "")])[0]
    content = [line for line in lines if line.strip() and not is_comment(line)]
    length = sum(map(len, content)) / max(1, len(content))
    ends = not names[-1] and not any(row.cells[-1:] != [""] for row in kept[header:])
    remarks = tuple(filter(None, (remark, unused)))
    return Dialect(delimiter, names, first.above, not header, comments, remarks, length, ends)


def _rows(lines: Sequence[str], above: int, delimiter: str) -> list[_Row]:
    """Divide lines into rows of cells, without comments, and without a row that may go on."""
    texts = ["\n" if is_comment(line) else line for line in lines]
    if delimiter == BLANKS:
        delimiter, texts = " ", [text.replace("\t", " ").strip() + "\n" for text in texts]
    counted = csv.reader(texts, delimiter=delimiter, skipinitialspace=True)
    rows: list[_Row] = []
    done, last = 0, [""]
    try:
        for last in counted:
            if any(last):
                cells = [" ".join(cell.split()) for cell in last]
                rows.append(_Row(above + done, cells, lines[done]))
            done = counted.line_num
    except csv.Error:  # a cell is too long for the module
        return rows
    if len(rows) > 1 and any("\n" in cell for cell in last):
        rows.pop()
    return rows


def _names_in_comment(
    lines: Sequence[str], above: int, delimiter: str, rows: Sequence[_Row], reading: Reading
) -> _Row | None:
    """Return the names that a comment right above the numbers holds, as numpy.savetxt writes it."""
    last = rows[0].above - above if rows else len(lines)
    found = [i for i, line in enumerate(lines[:last]) if line.strip()]
    if not found or not is_comment(lines[found[-1]]) or reading.header is False:
        return None
    words = _rows([lines[found[-1]].lstrip("#").strip() + "\n"], above + found[-1], delimiter)
    if not words or (rows and len(words[0].cells) != _width(rows)):
        return None
    numbers = all(_kind(cell, reading) == "number" for cell in words[0].cells)
    own = bool(rows) and _is_header(rows, _width(rows), reading._replace(header=None))[0]
    return None if numbers or own else words[0]


def _full(cells: list[str]) -> list[str]:
    """Return cells without empty ones at the end."""
    while cells and not cells[-1]:
        cells = cells[:-1]
    return cells


def _width(rows: Sequence[_Row]) -> int:
    """Return the commonest number of cells below the first row, or of that if it is alone."""
    counts = Counter(len(row.cells) for row in rows[1:] or rows)
    return counts.most_common(1)[0][0] if counts else 0


def _fitness(rows: Sequence[_Row], reading: Reading) -> float:
    """Return the share of rows with the commonest number of cells, times that of numbers there."""
    if (width := _width(rows)) < 2:
        return 0.0
    every = rows[1:] or rows
    below = [row.cells for row in every if len(row.cells) == width]
    kinds = Counter(_kind(cell, reading) for cells in below for cell in cells)
    numbers = kinds["number"] + 0.7 * kinds["odd"]
    known = kinds["number"] + kinds["odd"] + kinds["text"] + 0.1 * kinds["missing"]
    short = width - len(_full(rows[0].cells))
    names = 1.0 if short == 0 or len(rows[0].cells) == width else 0.9 if short == 1 else 0.5
    return len(below) / len(every) * names * (0.01 + numbers / max(1, known))


def _kind(cell: str, reading: Reading) -> str:
    """Return number, odd (a number with other separators), text or missing."""
    if cell in MISSING:
        return "missing"
    if cell.lower() in FLAGS or is_number(plain(cell, reading)):
        return "number"
    return "odd" if _ODD.fullmatch(cell) else "text"


def _check(name: str, rows: Sequence[_Row], width: int, reading: Reading) -> None:
    """Refuse a title above the table, and a row with fewer or more cells than most."""
    for row in rows[:-1]:
        filled = sum(map(bool, row.cells))
        if width == 1 or any(_kind(cell, reading) in ("number", "odd") for cell in row.cells):
            break
        below = [r.cells for r in rows[1:]]
        short = _are_row_names([cells[0] for cells in below]) or not any(c[-1] for c in below)
        if filled >= max(2, width - 1) and (len(row.cells) >= width or short):
            break
    if len(rows) > 1 and row.above > rows[0].above:
        raise InputValueError(f"{name}: ", *_title(rows[0], row.above))
    for row in rows[1:]:
        if len(row.cells) > width or (len(row.cells) < width and not reading.drop_missing):
            count = "1 cell" if len(row.cells) == 1 else f"{len(row.cells)} cells"
            where = f"{name}: line {row.above + 1:,}"
            raise InputValueError(f"{where} has {count}; the table has {width} columns")


def _title(row: _Row, lines: int) -> tuple[str | Setting, ...]:
    first = next(filter(None, row.cells))[:40]
    said = f"the first line, {first!r}, does not seem to be part of the table; "
    return said, Setting("skip_rows", lines), " skips what is above it"


def _no_names(name: str, rows: Sequence[_Row], width: int) -> tuple[str, ...]:
    """Return x1, x2, …; where each row ends with a separator, no column follows it."""
    first = rows[0].cells
    if len(first) < width:
        raise InputValueError(f"{name}: ", *_title(rows[0], (rows[1:] or rows)[0].above))
    if len(first) > width:
        raise InputValueError(f"{name}: its first row has {len(first)} cells, others have {width}")
    ends = len(rows) > 1 and not any(row.cells[-1] for row in rows if len(row.cells) == width)
    return (*unnamed(width - 1), "") if ends else unnamed(width)


def _names(name: str, rows: Sequence[_Row], width: int) -> tuple[tuple[str, ...], str]:
    """Return the names in the first row, and whether the first column, without one, is unused."""
    first = rows[0].cells
    below = [row.cells for row in rows[1:] if len(row.cells) == width]
    if len(first) > width:
        first = _full(first)
    if len(first) == width - 1:
        if not any(cells[-1] for cells in below):  # a separator ends the rows, but not the names
            return (*first, ""), ""
        if _are_row_names([cells[0] for cells in below]):
            return ("", *first), "Not used: the first column, the names of the rows."
    if len(first) < width:
        raise InputValueError(f"{name}: ", *_title(rows[0], rows[1].above))
    if len(first) > width:
        raise InputValueError(f"{name}: has {len(first)} names for {width} columns")
    return tuple(first), ""


def _are_row_names(cells: Sequence[str]) -> bool:
    """Whether cells are distinct texts, or count from 0 or 1."""
    if all(cell.isdecimal() for cell in cells):
        values = list(map(int, cells))
        return values[0] in (0, 1) and values == list(range(values[0], values[0] + len(values)))
    return all(cells) and not any(map(is_number, cells))


def _is_header(rows: Sequence[_Row], width: int, reading: Reading) -> tuple[bool, str]:
    """Return whether the first row holds names, and what was assumed if it could be either."""
    first = rows[0].cells
    columns = list(zip(*(row.cells for row in rows[1:] if len(row.cells) == width), strict=True))
    if reading.header is not None:
        return reading.header, ""
    if not columns:
        return not any(_kind(cell, reading) == "number" for cell in first), ""
    kinds = [Counter(_kind(cell, reading) for cell in column) for column in columns]
    numeric = [kind["number"] + kind["odd"] > kind["text"] for kind in kinds]
    shift = max(0, width - len(first))
    above = [_kind(cell, reading).replace("odd", "number") for cell in first]
    words = [c for c, k, n in zip(first, above, numeric[shift:], strict=False) if n and k == "text"]
    numbers = [cell for cell, kind in zip(first, above, strict=True) if kind == "number"]
    if not any(numeric):
        return not numbers, ""
    if not first[0] and all(first[1:]) and _are_row_names(columns[0]):  # of a frame with an index
        return True, ""
    shown = ", ".join(filter(None, first[:5])) + ", …" * (len(first) > 5)
    names = f"The first line, {shown}, was read as names; --no-header reads it as a sample."
    sample = f"The first line, {shown}, was read as a sample; --header reads it as names."
    if words:
        if 2 * len(words) >= len(words) + len(numbers):
            return True, ""
        alike = _are_like_names(numbers) or all(re.match(r"[^\W\d_]\w\w", word) for word in words)
        return alike, names if alike else sample
    texts = any("text" in kind and not n for kind, n in zip(above, numeric[shift:], strict=False))
    counting = [c for c, is_numeric in zip(columns, numeric, strict=True) if is_numeric]
    if not _are_steps(numbers):
        return False, ""
    likely = _are_like_names(numbers) or (texts and len(numbers) > 2)
    header = likely and not _continue(numbers, counting[-len(numbers) :])
    return header, names if header else sample


def _whole(cells: Sequence[str]) -> list[int] | None:
    """Return whole numbers, which may be written 2020.0; None if one is something else."""
    if not all(re.fullmatch(r"(0|[1-9]\d*)(\.0)?", cell) for cell in cells):
        return None
    return [int(float(cell)) for cell in cells]


def _are_steps(cells: Sequence[str]) -> bool:
    """Whether numbers go up or down: by even steps, or as years."""
    values = _whole(cells)
    if values is None or len(values) < 2:
        return False
    steps = [b - a for a, b in pairwise(values)]
    if all(value in _YEARS for value in values):
        return min(steps) > 0 or max(steps) < 0
    return len(set(steps)) == 1 and steps[0] != 0 and (len(values) > 2 or values == [0, 1])


def _are_like_names(cells: Sequence[str]) -> bool:
    """Whether numbers are 0, 1, 2, … or years that go up or down."""
    values = _whole(cells) or []
    alike = values == list(range(len(values))) or all(value in _YEARS for value in values)
    return alike and _are_steps(cells)


def _continue(first: Sequence[str], columns: Sequence[Sequence[str]]) -> bool:
    """Whether the rows below go on as the first one begins: 0, 1 above 1, 3; years above years."""
    second = [column[0] for column in columns]
    if all(_whole(column) is not None for column in columns) and _are_steps(second):
        values, others = _whole(first) or [0], _whole(second) or [0]
        alike = values[1] - values[0] == others[1] - others[0]
        if alike and (values[0] != others[0] or all(value in _YEARS for value in others)):
            return True
    start = _whole([first[0], *columns[0]][:10]) or []
    return len(start) > 3 and {b - a for a, b in pairwise(start)} in ({1}, {-1})
