"""Tables of text, whose columns are read by pandas, some 500,000 cells at a time."""

import codecs
import csv
import io
import re
from collections.abc import Iterator, Sequence
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING, Any

import numpy as np

from gradrace.backends.interface import InputValueError, Setting
from gradrace.bench.data.blocks import is_number
from gradrace.bench.data.dialect import (
    BLANKS,
    FLAGS,
    MISSING,
    Dialect,
    dialect_of,
    is_comment,
    plain,
)
from gradrace.bench.data.sources import Reading, Source, readable
from gradrace.bench.data.table import File

if TYPE_CHECKING:
    from pandas import DataFrame, Series

MOST_OF_LINE = 2**26  # characters
_LINES, _CHARACTERS = 100, 2**18  # of the beginning, by which the columns are found
_CHUNK = 2**19  # cells that are read at once
_PACKED = 5  # times as large is a compressed text, by a guess


def text_file(source: Source, reading: Reading) -> File:
    """Return a text whose columns are read by pandas.

    An `InputValueError` says that it is empty or in another encoding, that a line is too long, or
    why the first lines are not a table.
    """
    dialect = dialect_of(source.name, _first_lines(source, reading), reading)
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


def _opened(source: Source, reading: Reading) -> io.TextIOWrapper:
    utf8 = codecs.lookup(reading.encoding).name == "utf-8"
    return io.TextIOWrapper(source.open(), "utf-8-sig" if utf8 else reading.encoding, newline="")


def _not_in(source: Source, reading: Reading) -> InputValueError:
    """Say that a text is not in an encoding, and guess a better one."""
    said = f"{source.name}: is not text in {reading.encoding}"
    if reading.encoding != "utf-8":
        return InputValueError(said)
    return InputValueError(said, "; try ", Setting("encoding", "cp1252"))


def _first_lines(source: Source, reading: Reading) -> list[str]:
    """Return lines below those to skip: a hundred of them hold more than a comment."""
    lines: list[str] = []
    rows = characters = 0
    with readable(source.name, source.packed or "text"), _opened(source, reading) as text:
        try:
            for _ in range(reading.skip_rows):
                text.readline()
            while rows < _LINES and (rows < 3 or characters < _CHARACTERS):
                line = text.readline(MOST_OF_LINE + 1)
                if len(line) > MOST_OF_LINE:
                    most = f"a line is longer than {MOST_OF_LINE / 2**20:,.0f} MiB"
                    raise InputValueError(f"{source.name}: is not a table: {most}")
                if not line:
                    break
                lines.append(line if lines else line.removeprefix("\ufeff"))
                if line.strip() and not is_comment(line):
                    rows, characters = rows + 1, characters + len(line)
        except UnicodeError:
            raise _not_in(source, reading) from None
    return lines


class _Rows(io.TextIOBase):
    """A text without its comments, as a file."""

    def __init__(self, text: io.TextIOWrapper, dialect: Dialect) -> None:
        blanks, width = dialect.delimiter == BLANKS, len(dialect.names)

        def is_row(line: str) -> bool:
            if is_comment(line) or not line.startswith("#"):
                return not is_comment(line)
            cells = csv.reader([line], delimiter=" " if blanks else dialect.delimiter)
            return len(line.split() if blanks else next(cells)) == width

        self._lines = filter(is_row, text)

    def read(self, _size: int | None = -1, /) -> str:
        return "".join(islice(self._lines, 1_000))


def _frames(source: Source, dialect: Dialect, reading: Reading) -> "Iterator[DataFrame]":
    """Yield the rows of a text, in columns 0, 1, 2 and so on."""
    import pandas as pd

    width = len(dialect.names)
    new = tuple(map(int, pd.__version__.split(".")[:2])) >= (3, 1)  # its parser is exact
    exact: dict[str, Any] = {} if new else {"float_precision": "round_trip"}
    with readable(source.name, "text"), _opened(source, reading) as text:
        for _ in range(dialect.above):
            text.readline()
        try:
            yield from pd.read_csv(
                _Rows(text, dialect) if dialect.comments else text,
                sep=dialect.delimiter,
                header=None,
                names=range(width),
                index_col=False,
                dtype=str if reading.thousands else None,
                na_values=list(MISSING),
                decimal=reading.decimal,
                skipinitialspace=True,
                skip_blank_lines=width > 1,  # in a single column, an empty line is a value
                chunksize=max(1_000, _CHUNK // width),
                low_memory=False,
                **exact,
            )
        except UnicodeDecodeError:
            raise _not_in(source, reading) from None
        except pd.errors.EmptyDataError:
            return
        except pd.errors.ParserError as error:
            found = re.search(r"Expected (\d+) fields in line (\d+), saw (\d+)", str(error))
            if not found:
                raise
            row = f"line {int(found[2]) + dialect.above:,} has {found[3]} cells"
            raise InputValueError(f"{source.name}: {row}; the table has {width} columns") from None


def _columns(
    source: Source,
    dialect: Dialect,
    reading: Reading,
    _groups: Sequence[int] | None,
    places: Sequence[int],
) -> Iterator[list[Any]]:
    """Yield the columns at these places as numbers, or, where they are something else, as text."""
    flags: dict[int, bool] = {}
    done = 0
    for frame in _frames(source, dialect, reading):
        where = f"{source.name}: row {done + 1:,} or below"
        done += len(frame)
        if dialect.ends and frame[len(dialect.names) - 1].notna().any():
            raise InputValueError(f"{where}: has a value in a column that has no name")
        found = [_as_numbers(frame[place], reading) for place in places]
        for place, values in zip(places, found, strict=True):
            kind = values.dtype.kind
            if kind == "O" or (kind == "f" and np.isnan(values.to_numpy()).all()):
                continue
            if flags.setdefault(place, kind == "b") != (kind == "b"):
                column = dialect.names[place]
                raise InputValueError(f"{where}: {column!r} mixes numbers with true and false")
        yield found


def _as_numbers(values: "Series", reading: Reading) -> "Series":
    """Return a column of text as numbers; a cell that is not a number remains text.

    True is 1 and false is 0, if there is nothing else; what is missing is NaN.
    """
    if values.dtype.kind in "biuf":
        return values
    import pandas as pd

    missing = frozenset(MISSING)
    cells = [str(cell).strip() if cell == cell is not None else "" for cell in values]
    if all(cell.lower() in FLAGS or cell in missing for cell in cells) and any(cells):
        flags = [None if cell in missing else cell.lower() == "true" for cell in cells]
        return pd.Series(flags, dtype="boolean" if any(f is not None for f in flags) else float)
    found: list[Any] = [
        None if cell in missing else float(text) if is_number(text) else cell
        for cell, text in zip(cells, (plain(cell, reading) for cell in cells), strict=True)
    ]
    odd = any(isinstance(cell, str) for cell in found)
    return pd.Series(found, dtype=object if odd else float)
