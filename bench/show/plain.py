"""Parts as plain text, as wide as a terminal."""

import re
import textwrap
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from rich.cells import cell_len

from gradrace.bench.parts import Command, Heading, Part, Result, Sentence, Table
from gradrace.bench.show.text import Word, columns_of, said, visible

_GAP = 2  # blanks between columns
_BETWEEN_WORDS: Any = {"break_long_words": False, "break_on_hyphens": False}
_INSEPARABLE = re.compile(r"(?<=[0-9]) (?=[×%]|[mµn]?s\b)|(?<=[×=]) (?=\w)")


def plain(parts: Iterable[Part], width: int = 80, word: Word = str) -> str:
    """Return parts as lines of text; what needs a page or a picture is left out."""
    return "".join(f"{line}\n" for line in lines(parts, width, word))


def lines(parts: Iterable[Part], width: int, word: Word = str) -> Iterator[str]:
    """Yield the lines of parts; of blank ones, never two in a row."""
    blank = True
    for part in parts:
        for line in _lines(part, width, word):
            if line or not blank:
                yield line
            blank = not line


def _lines(part: Part, width: int, word: Word = str) -> Iterator[str]:
    """Yield the lines of a part; a long one is wrapped between words."""
    match part:
        case Sentence():
            yield from wrapped(said(part, word), width)
        case Command(text):
            yield visible(text)
        case Heading():
            yield ""
        case Table():
            yield from _table(part.for_people(), width)


def wrapped(text: str, width: int) -> list[str]:
    """Return the lines of a text, wrapped between words, but not between a number and its unit."""
    whole = _INSEPARABLE.sub("\N{NO-BREAK SPACE}", text)
    lines = textwrap.wrap(whole, width, **_BETWEEN_WORDS) or [""]
    return [line.replace("\N{NO-BREAK SPACE}", " ") for line in lines]  # as one would search it


def _table(table: Table, width: int) -> Iterator[str]:
    """Yield a table, in parts that fit the width; each has the columns that name the rows.

    No number and no name is ever broken, so a part of few columns may be wider.
    """
    columns = [_Column.of(table, j, texts) for j, texts in enumerate(columns_of(table))]
    keys, others = columns[: table.keys], columns[table.keys :]
    yield ""
    for chosen in _split(keys, others, width):
        yield from _grid(chosen, table.keys, width)
        yield ""
    if table.note:
        yield from wrapped(visible(table.note), width)


@dataclass
class _Column:
    """A column as text, and how wide it is."""

    head: list[str]
    texts: list[str]
    prose: bool
    right: bool
    width: int

    @classmethod
    def of(cls, table: Table, j: int, texts: list[str]) -> "_Column":
        """Return a column; its heading is broken if it is wider than what stands below it."""
        title, prose = visible(table.columns[j].title or ""), table.columns[j].kind == "prose"
        longest = 0 if prose else max(map(cell_len, texts), default=0)
        word = cell_len(title) if prose else max(map(cell_len, title.split()), default=0)
        head = textwrap.wrap(title, max(longest, word, 1), **_BETWEEN_WORDS) or [""]
        right = j >= table.keys and not any(isinstance(row[j], str) for row in table.rows)
        return cls(head, texts, prose, right, max(longest, *map(cell_len, head)))

    def line(self, text: str) -> str:
        """Return a text with blanks on its left or right."""
        room = " " * (self.width - cell_len(text))
        return room + text if self.right else text + room


def _split(
    keys: Sequence[_Column], others: Sequence[_Column], width: int
) -> Iterator[list[_Column]]:
    """Yield the columns that stand side by side, each time with those that name the rows."""
    chosen = list(keys)
    for column in others:
        if len(chosen) > len(keys) and _width([*chosen, column]) > width:
            yield chosen
            chosen = list(keys)
        chosen.append(column)
    yield chosen


def _width(columns: Sequence[_Column]) -> int:
    return sum(column.width + _GAP for column in columns) - _GAP


def _grid(columns: Sequence[_Column], keys: int, width: int) -> Iterator[str]:
    """Yield heading, rule and rows; what names a row is not repeated from row to row."""
    for column in columns:
        if column.prose:
            longest = max(map(cell_len, column.texts), default=0)
            column.width += max(0, min(longest - column.width, width - _width(columns)))
    tallest = max(len(column.head) for column in columns)
    for i in range(-tallest, 0):
        yield _line(
            columns, [column.head[i] if -i <= len(column.head) else "" for column in columns]
        )
    yield "─" * _width(columns)
    before: list[str] = []
    for k in range(len(columns[0].texts)):
        cells = [column.texts[k] for column in columns]
        group = cells[: keys - 1]
        shown = [*[""] * len(group), *cells[len(group) :]] if group == before else cells
        before = group
        broken = [
            textwrap.wrap(text, column.width, **_BETWEEN_WORDS) if column.prose else [text]
            for text, column in zip(shown, columns, strict=True)
        ]
        for i in range(max(map(len, broken))):
            yield _line(columns, [found[i] if i < len(found) else "" for found in broken])


def _line(columns: Sequence[_Column], texts: Sequence[str]) -> str:
    cells = (column.line(text) for column, text in zip(columns, texts, strict=True))
    return (" " * _GAP).join(cells).rstrip()


Result.as_text = staticmethod(plain)
