"""Tables of text: what the first lines say about their columns, and how pandas reads the rest.

The columns are divided by the character under which most lines have the same number of cells and
most cells below the first line are numbers. The first line holds the names if it differs from the
lines below where these hold numbers, as in Python's `csv.Sniffer` and in DuckDB.
"""

import csv
import io
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from functools import partial
from itertools import pairwise
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from gradrace.backends.interface import InputValueError
from gradrace.bench.data.blocks import is_number
from gradrace.bench.data.samples import unnamed
from gradrace.bench.data.sources import Reading, Source, readable
from gradrace.bench.data.table import File

if TYPE_CHECKING:
    from pandas import DataFrame, Series

MOST_OF_LINE = 2**26  # characters
BLANKS = r"\s+"
MISSING = (
    *("", "#N/A", "#N/A N/A", "#NA", "-1.#IND", "-1.#QNAN", "-NaN", "-nan", "1.#IND", "1.#QNAN"),
    *("<NA>", "N/A", "NA", "NULL", "NaN", "None", "n/a", "nan", "null"),  # pandas' own
    *("?", "-", ".", "#DIV/0!", "#VALUE!", "#REF!", "#NAME?", "#NUM!", "#NULL!"),
)
_SEPARATORS = ("\t", ";", ",", "|", BLANKS)
_SNIFFED_LINES, _SNIFFED = 100, 2**18  # lines, and characters of them
_CHUNK = 2**19  # cells that are read at once
_PACKED = 5  # times as large is a compressed text, by a guess
_FLAGS = ("true", "false")
_YEARS = range(1500, 2200)

Rows = list[tuple[int, list[str]]]
"""Rows of cells, each with the number of lines before it."""


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
    """Whether there are comments among the rows: lines that begin with #"""
    remarks: tuple[str, ...]
    line: float
    """The mean length of the first lines, in characters"""


def text_file(source: Source, reading: Reading) -> File:
    """Return a text whose columns are read by pandas.

    Raises:
        InputValueError: as `dialect_of`.

    """
    dialect = dialect_of(source, reading)
    size = source.path.stat().st_size if source.path else len(source.content or b"")
    rows = size * (_PACKED if source.packed else 1) / max(1.0, dialect.line)
    return File(
        source.name,
        dialect.names,
        partial(_columns, source, dialect, reading),
        headless=dialect.headless,
        remarks=dialect.remarks,
        estimate=rows,
    )


def _columns(
    source: Source,
    dialect: Dialect,
    reading: Reading,
    _groups: Sequence[int] | None,
    places: Sequence[int],
) -> Iterator[list[Any]]:
    """Yield the columns at these places as numbers, or, where they are something else, as text.

    Raises:
        InputValueError: as `frames`, or a column mixes numbers with true and false.

    """
    flags: dict[int, bool] = {}
    for frame in frames(source, dialect, reading):
        found = [as_numbers(frame[place], reading) for place in places]
        for place, values in zip(places, found, strict=True):
            kind = values.dtype.kind
            if kind == "O" or (kind == "f" and np.isnan(values.to_numpy()).all()):
                continue
            if flags.setdefault(place, kind == "b") != (kind == "b"):
                raise InputValueError(
                    f"{source.name}: column {dialect.names[place].strip()!r}, row "
                    f"{frame.index[0] + 1:,}: mixes numbers with true and false"
                )
        yield found


def dialect_of(source: Source, reading: Reading) -> Dialect:
    """Return how a text is divided.

    Raises:
        InputValueError: it is empty or in another encoding, a line is too long, or the first lines
            are no table.

    """
    lines = _first_lines(source, reading)
    above, delimiter = reading.skip_rows, reading.delimiter
    if marked := re.fullmatch(r'"?sep=(.)"?\s*', "".join(lines[above : above + 1])):  # Excel
        above, delimiter = above + 1, delimiter or marked[1]
    begin = above
    while begin < len(lines) and (lines[begin].startswith("#") or not lines[begin].strip()):
        begin += 1
    title = next((i for i in reversed(range(above, begin)) if lines[i].startswith("#")), None)
    body = lines[begin:]
    comments = any(line.startswith("#") for line in body)
    divided = {
        option: _rows(body, begin, option)
        for option in ([delimiter] if delimiter else _SEPARATORS)
        if option != reading.decimal
    }
    delimiter = max(divided, key=lambda option: _fitness(divided[option], option, reading))
    rows = divided[delimiter]
    if title is not None:
        words = _rows([lines[title].removeprefix("# ")], title, delimiter, comments=True)
        named = not rows or not _is_header(rows, reading)[0]
        if named and words and (not rows or len(words[0][1]) == _width(rows)):
            rows, begin = words + rows, title  # as numpy.savetxt writes the names
    if not rows:
        raise InputValueError(f"{source.name}: is empty")
    rows, width = _checked(source.name, rows, reading)
    names, headless, remark = _names(source.name, rows, width, reading)
    first = rows[0] if headless else (rows[1:] or [(len(lines), [])])[0]
    length = sum(map(len, body)) / max(1, len(body))
    return Dialect(delimiter, names, first[0], headless, comments, remark, length)


def frames(source: Source, dialect: Dialect, reading: Reading) -> "Iterator[DataFrame]":
    """Yield the rows of a text, some 500,000 cells at a time, in columns 0, 1, 2 and so on.

    Raises:
        InputValueError: it is in another encoding, or a row has too many cells.

    """
    import pandas as pd

    width = len(dialect.names)
    exact = {} if _version(pd) >= (3, 1) else {"float_precision": "round_trip"}
    with readable(source.name, "text"), _opened(source, reading) as text:
        for _ in range(dialect.above):
            text.readline()
        try:
            yield from pd.read_csv(
                text,
                sep=dialect.delimiter,
                header=None,
                names=range(width),
                index_col=False,
                dtype=str if reading.thousands else None,
                na_values=list(MISSING),
                decimal=reading.decimal,
                comment="#" if dialect.comments else None,
                skipinitialspace=True,
                skip_blank_lines=width > 1,  # in a single column, an empty line is a value
                chunksize=max(1_000, _CHUNK // width),
                low_memory=False,
                **exact,
            )
        except UnicodeDecodeError:
            raise InputValueError(f"{source.name}: {_not_in(reading.encoding)}") from None
        except pd.errors.EmptyDataError:
            return
        except pd.errors.ParserError as error:
            found = re.search(r"Expected (\d+) fields in line (\d+), saw (\d+)", str(error))
            if not found:
                raise
            row = f"line {int(found[2]) + dialect.above:,} has {found[3]} cells"
            raise InputValueError(f"{source.name}: {row}; the table has {width} columns") from None


def as_numbers(values: "Series", reading: Reading) -> "Series":
    """Return a column of text as numbers, if it holds nothing else; true is 1 and false is 0."""
    if values.dtype.kind in "biuf":
        return values
    import pandas as pd

    cells = [cell.strip() if isinstance(cell, str) else cell for cell in values]
    cells = [None if isinstance(cell, str) and cell in MISSING else cell for cell in cells]
    if all(_is_empty(cell) or str(cell).lower() in _FLAGS for cell in cells):
        numbers = [None if _is_empty(c) else str(c).lower() == "true" for c in cells]
        return pd.Series(numbers, dtype="boolean" if any(n is not None for n in numbers) else float)
    texts = [None if _is_empty(cell) else plain(str(cell), reading) for cell in cells]
    if all(text is None or is_number(text) for text in texts):
        return pd.Series([None if t is None else float(t) for t in texts], dtype=float)
    found = [float(t) if t is not None and is_number(t) else None for t in texts]
    odd = [None if _is_empty(cell) else str(cell) for cell in cells]
    return pd.Series(
        [n if n is not None else c for n, c in zip(found, odd, strict=True)], dtype=object
    )


def plain(text: str, reading: Reading) -> str:
    """Return a number without its separators of thousands, and with a decimal point."""
    comma, mark = re.escape(reading.decimal), re.escape(reading.thousands)
    if mark and re.fullmatch(rf"[+-]?\d{{1,3}}({mark}\d{{3}})+({comma}\d*)?", text):
        text = text.replace(reading.thousands, "")
    if reading.decimal == ".":
        return text
    return "" if "." in text else text.replace(reading.decimal, ".")


def _is_empty(cell: object) -> bool:
    return cell is None or cell != cell


def _version(package: "Sequence[int]") -> tuple[int, ...]:
    return tuple(map(int, package.__version__.split(".")[:2]))  # type: ignore[attr-defined]


def _opened(source: Source, reading: Reading) -> io.TextIOWrapper:
    utf8 = reading.encoding.lower() in ("utf-8", "utf8")
    return io.TextIOWrapper(source.open(), "utf-8-sig" if utf8 else reading.encoding, newline="")


def _not_in(encoding: str) -> str:
    """Say that a text is not in an encoding, and guess a better one."""
    guess = "; try --encoding cp1252" * (encoding == "utf-8")
    return f"is not text in {encoding}{guess}"


def _first_lines(source: Source, reading: Reading) -> list[str]:
    """Return the first lines of a text, with their ends."""
    lines: list[str] = []
    with readable(source.name, source.packed or "text"), _opened(source, reading) as text:
        try:
            while len(lines) < _SNIFFED_LINES + reading.skip_rows and (
                len(lines) < 3 or sum(map(len, lines)) < _SNIFFED
            ):
                line = text.readline(MOST_OF_LINE + 1)
                if len(line) > MOST_OF_LINE:
                    most = f"{MOST_OF_LINE / 2**20:,.0f} MiB"
                    raise InputValueError(
                        f"{source.name}: is not a table: a line is longer than {most}"
                    )
                if not line:
                    break
                lines.append(line)
        except UnicodeError:
            raise InputValueError(f"{source.name}: {_not_in(reading.encoding)}") from None
    return lines


def _rows(lines: Sequence[str], before: int, delimiter: str, *, comments: bool = False) -> Rows:
    """Divide lines into rows of cells, without comments, and without a row that may go on."""
    if delimiter == BLANKS:
        lines = [" ".join(line.replace("\t", " ").split(" ")).strip() + "\n" for line in lines]
        delimiter = " "
    counted = csv.reader(lines, delimiter=delimiter, skipinitialspace=True)
    rows, done, last = [], 0, [""]
    try:
        for last in counted:
            if last and (comments or not last[0].startswith("#")):
                rows.append((before + done, [cell.strip() for cell in last]))
            done = counted.line_num
    except csv.Error:  # a cell is too long for the module
        return rows
    if len(rows) > 1 and any("\n" in cell for cell in last):
        rows.pop()
    return rows


def _width(rows: Rows) -> int:
    """Return the commonest number of cells below the first row, or of that if it is alone."""
    return Counter(len(cells) for _, cells in rows[1:] or rows).most_common(1)[0][0]


def _fitness(rows: Rows, delimiter: str, reading: Reading) -> float:
    """Return the share of rows with the commonest number of cells, times that of numbers there."""
    if not rows or (width := _width(rows)) < 2:
        return 0.0
    below = [cells for _, cells in rows[1:] or rows if len(cells) == width]
    kinds = [_kind(cell, reading, delimiter) for cells in below for cell in cells]
    known = max(1, len(kinds) - kinds.count("missing"))
    return len(below) / len(rows[1:] or rows) * (0.01 + kinds.count("number") / known)


def _kind(cell: str, reading: Reading, delimiter: str = ",") -> str:
    """Return number, text or missing; a number may have commas where these do not separate."""
    if cell in MISSING:
        return "missing"
    if cell.lower() in _FLAGS or is_number(plain(cell, reading)):
        return "number"
    odd = r"[+-]?\d[\d.,']*" if delimiter != "," else r"[+-]?\d{1,3}(,\d{3})+(\.\d+)?"
    return "number" if re.fullmatch(odd, cell) else "text"


def _checked(name: str, rows: Rows, reading: Reading) -> tuple[Rows, int]:
    """Return the rows without empty ones, and the number of columns.

    Raises:
        InputValueError: lines above the table do not belong to it, or a row has fewer or more
            cells than most.

    """
    width, begin = _width(rows), 0
    for number, (_, cells) in enumerate(rows[:-1]):
        if any(_kind(cell, reading) == "number" for cell in cells):
            break
        if width > 1 and 0 < sum(map(bool, cells)) < max(2, width - 1):
            begin = number + 1  # below a title
    if begin:
        title = next(cell for cell in rows[0][1] if cell)[:40]
        raise InputValueError(
            f"{name}: the table seems to begin below its first line, {title!r}; --skip-rows "
            f"{rows[begin][0]} skips what is above"
        )
    for above, cells in rows[1:]:
        if len(cells) != width and any(cells):
            count = f"{len(cells)} cell{'s' * (len(cells) != 1)}"
            raise InputValueError(
                f"{name}: line {above + 1:,} has {count}; the table has {width} columns"
            )
    return rows, width


def _names(
    name: str, rows: Rows, width: int, reading: Reading
) -> tuple[tuple[str, ...], bool, tuple[str, ...]]:
    """Return the names of the columns, whether they are made up, and what was assumed."""
    first, below = rows[0][1], [cells for _, cells in rows[1:] if len(cells) == width]
    header, remark = _is_header(rows, reading)
    if not header:
        if len(first) != width:
            raise InputValueError(f"{name}: has {len(first)} cells in its first row, then {width}")
        empty = bool(below) and not any(cells[-1] for cells in [first, *below])  # 1,2,
        return (*unnamed(width - empty), *[""] * empty), True, remark
    while len(first) > width and not first[-1]:
        first = first[:-1]
    if len(first) == width - 1:
        if not any(cells[-1] for cells in below):  # a separator ends the rows, but not the names
            return (*first, ""), False, remark
        return ("", *first), False, (*remark, "Not used: the names of the rows.")
    if len(first) != width:
        raise InputValueError(f"{name}: has {len(first)} names for {width} columns")
    return tuple(first), False, remark


def _is_header(rows: Rows, reading: Reading) -> tuple[bool, tuple[str, ...]]:
    """Return whether the first row holds names, and what was assumed if it could be either."""
    if reading.header is not None:
        return reading.header, ()
    first, width = rows[0][1], _width(rows)
    below = [cells for _, cells in rows[1:] if len(cells) == width]
    shift = max(0, width - len(first))
    kinds = [[_kind(cell, reading) for cell in column] for column in zip(*below, strict=True)]
    numeric = [column.count("number") > column.count("text") for column in kinds]
    above = [_kind(cell, reading) for cell in first]
    if any(
        is_numeric and kind == "text"
        for is_numeric, kind in zip(numeric[shift:], above, strict=False)
    ):
        return True, ()
    if not any(numeric):
        return "number" not in above, ()
    numbers = [cell for cell, kind in zip(first, above, strict=True) if kind == "number"]
    if not _are_like_names(numbers):
        return False, ()
    shown = ", ".join(numbers[:5]) + ", …" * (len(numbers) > 5)
    columns = [
        c for c, is_numeric in zip(zip(*below, strict=True), numeric, strict=True) if is_numeric
    ]
    if _continue(numbers, columns[-len(numbers) :]):
        return False, (
            f"The first line, {shown}, was taken for a sample; --header takes it for the names.",
        )
    return True, (
        f"The first line, {shown}, was taken for the names; --no-header takes it for a sample.",
    )


def _are_like_names(cells: Sequence[str]) -> bool:
    """Whether numbers are 0, 1, 2, … or evenly spaced years."""
    if len(cells) < 2 or not all(re.fullmatch(r"0|[1-9]\d*", cell) for cell in cells):
        return False
    values = list(map(int, cells))
    steps = {b - a for a, b in pairwise(values)}
    years = values[0] in _YEARS and values[-1] in _YEARS and len(steps) == 1 and min(steps) > 0
    return years or values == list(range(len(values)))


def _continue(first: Sequence[str], columns: Sequence[Sequence[str]]) -> bool:
    """Whether the rows below go on as the first one begins: 0, 1 above 1, 3; years above years."""
    whole = all(re.fullmatch(r"-?\d+", cell) for column in columns for cell in column)
    second = [column[0] for column in columns]
    if whole and _are_like_names(first) and second[0] != first[0]:
        steps = {int(b) - int(a) for a, b in pairwise(second)}
        if steps == {int(b) - int(a) for a, b in pairwise(first)}:
            return True
    start = [first[0], *columns[0]][:10]
    if len(start) < 4 or not all(re.fullmatch(r"-?\d+", cell) for cell in start):
        return False
    return {int(b) - int(a) for a, b in pairwise(start)} in ({1}, {-1})
