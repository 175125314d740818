"""Tables of text: CSV, TSV and the like; where their columns are, and what in them is no number."""

import csv
import io
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv

from gradrace.backends.interface import InputValueError
from gradrace.bench.data.samples import unnamed
from gradrace.bench.data.sources import Source
from gradrace.bench.data.table import LEAVE_OUT, ColumnError

MOST_OF_LINE = 2**26  # bytes of text
NO_VALUE = ("?", "-")
"""Further marks of a missing value, besides those that pyarrow knows, such as NA"""
_SNIFFED_LINES = 10


@dataclass(frozen=True)
class Layout:
    """How a text is read, as its first lines look."""

    delimiter: str
    columns: int
    headless: bool
    """Whether the first line holds numbers instead of names"""
    quoted: bool
    """Whether there are quotes in the first lines"""
    longest: int
    """The bytes of the longest of them"""
    encoding: str = "utf-8"
    comments: int = 0
    """How many lines at the beginning are comments, which start with # and a blank"""

    @property
    def names(self) -> list[str] | None:
        """The names of the columns, if the text has none."""
        return list(unnamed(self.columns)) if self.headless else None

    def parse_options(self) -> pyarrow.csv.ParseOptions:
        """Return how the text is divided; in a single column, an empty line is a value."""
        return pyarrow.csv.ParseOptions(
            delimiter=self.delimiter,
            newlines_in_values=self.quoted,
            ignore_empty_lines=self.columns > 1,
        )

    def read_options(self) -> pyarrow.csv.ReadOptions:
        """Return the names, and how much is read at once."""
        size = max(2**20, 8 * self.longest)
        return pyarrow.csv.ReadOptions(
            block_size=size,
            column_names=self.names,
            encoding=self.encoding,
            skip_rows=self.comments,
        )


def layout(name: str, source: Source, decimal: str = ".", encoding: str = "utf-8") -> Layout:
    """Return how a text is read.

    Raises:
        InputValueError: it is empty or in another encoding, or a line is too long.

    """
    comments, lines = _first_lines(name, source)
    if not lines:
        raise InputValueError(f"{name}: is empty")
    delimiter = _delimiter(lines, decimal)
    first = _decoded(name, lines[0], encoding)
    cells = next(csv.reader([first], delimiter=delimiter))
    quoted = any(b'"' in line for line in lines)
    headless = all(_is_value(cell, decimal) for cell in cells)
    longest = max(map(len, lines))
    return Layout(delimiter, len(cells), headless, quoted, longest, encoding, comments)


def convert_options(decimal: str) -> pyarrow.csv.ConvertOptions:
    """Return how cells become values."""
    missing = [*(pyarrow.csv.ConvertOptions().null_values or ()), *NO_VALUE]
    return pyarrow.csv.ConvertOptions(
        null_values=missing, strings_can_be_null=True, decimal_point=decimal
    )


def _decoded(name: str, line: bytes, encoding: str) -> str:
    try:
        return line.decode("utf-8-sig" if encoding == "utf-8" else encoding)
    except LookupError:
        raise InputValueError(f"--encoding: there is no {encoding!r}; try cp1252") from None
    except UnicodeDecodeError:
        raise InputValueError(f"{name}: {not_in(encoding)}") from None


def not_in(encoding: str) -> str:
    """Say that a text is not in an encoding, and guess a better one."""
    guess = "; try --encoding cp1252" * (encoding == "utf-8")
    return f"is not text in {encoding}{guess}"


def refuse_text(
    name: str, batches: Iterator[pa.RecordBatch], flags: set[str], decimal: str = "."
) -> None:
    """Report the first entry that is not a number or, in the columns `flags`, not a boolean."""

    def is_number(text: str) -> bool:
        return _is_number(text, decimal)

    done = 0
    for batch in batches:
        for column, values in zip(batch.schema.names, batch.columns, strict=True):
            row, text = _first_odd(values, _is_flag if column in flags else is_number)
            if text is not None:
                where = f"{name}: column {column!r}, row {done + row}: {text!r}"
                if column in flags:
                    raise InputValueError(f"{where} is neither true nor false")
                raise _not_a_number(where, column, text, decimal)
        done += batch.num_rows


def _first_lines(name: str, source: Source) -> tuple[int, list[bytes]]:
    """Return how many comments there are, and the first other lines that are not empty.

    A line that is too long is rejected.
    """
    lines: list[bytes] = []
    comments = 0
    with io.BytesIO(source) if isinstance(source, bytes) else source.open("rb") as file:
        while len(lines) < _SNIFFED_LINES and (line := file.readline(MOST_OF_LINE + 1)):
            if len(line) > MOST_OF_LINE:
                most = f"{MOST_OF_LINE / 2**20:,.0f} MiB"
                raise InputValueError(f"{name}: is not a table: a line is longer than {most}")
            if not lines and line.removeprefix(b"\xef\xbb\xbf").startswith(b"# "):
                comments += 1
            elif line.strip():
                lines.append(line.rstrip(b"\r\n"))
    return comments, lines


def _delimiter(lines: list[bytes], decimal: str) -> str:
    """Return the delimiter: the character that occurs equally often in all of the first lines."""
    possible = "\t;,".replace(decimal, "")
    for delimiter in possible:
        counts = {re.sub(rb'"[^"]*"', b"", line).count(delimiter.encode()) for line in lines}
        if len(counts) == 1 and counts != {0}:
            return delimiter
    return max(
        possible[::-1], key=lambda delimiter: lines[0].count(delimiter.encode()) if lines else 0
    )


def _is_value(text: str, decimal: str) -> bool:
    return not text or text.lower() in ("true", "false") or _is_number(text, decimal)


def _is_number(text: str, decimal: str) -> bool:
    try:
        float(text.replace(decimal, ".") if "." not in text or decimal == "." else "")
    except ValueError:
        return False
    return "_" not in text


def _first_odd(values: Any, is_fine: Callable[[str], bool]) -> tuple[int, str | None]:
    """Return the row, counted from 1, and the text of the first value that is not fine."""
    odd = [text for text in pc.unique(values).to_pylist() if text is not None and not is_fine(text)]
    return min(((pc.index(values, text).as_py() + 1, text) for text in odd), default=(0, None))


def _is_flag(text: str) -> bool:
    return text.strip().lower() in ("true", "false", "0", "1")


def _not_a_number(where: str, column: str, text: str, decimal: str) -> InputValueError:
    if decimal == "." and re.fullmatch(r"\s*[+-]?[\d.]*,\d+\s*", text):
        comma = "has a comma; write thousands without it; if it is the decimal point: --decimal ,"
        return InputValueError(f"{where} {comma}")
    if decimal == "," and re.fullmatch(r"\s*[+-]?[\d.]*\.\d{3},\d+\s*", text):
        return InputValueError(f"{where} has a dot; write thousands without it")
    is_date = re.match(r"\s*\d{1,4}[-/.]\d{1,2}[-/.]\d{1,4}", text)
    return ColumnError(f"{where} is {'a date, ' * bool(is_date)}not a number", LEAVE_OUT, column)
