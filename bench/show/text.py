"""Texts for people: how a cell is written, which option an argument is, what is safe to show.

Names of columns, backends and files may hold anything. Whatever is shown passes through `visible`;
files keep the names as they are.
"""

import shlex
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from gradrace.backends.interface import Setting
from gradrace.bench.parts import Bytes, Caution, Cell, Number, Ratio, Sentence, Share, Table, Time
from gradrace.plots.numbers import percent, ratio, seconds, si

NONE = "–"
"""An unknown value."""

Word = Callable[[Setting], str]
"""How a front writes an argument."""


def visible(text: str) -> str:
    """Return a text on one line, with ? for characters that control a terminal or are invisible.

    These are control and escape codes, marks that change the direction of writing, characters
    without width, and halves of surrogate pairs. A line break or a tab becomes a space.
    """
    if text.isprintable():
        return text
    return "".join(" " if c.isspace() else c if c.isprintable() else "?" for c in text)


def as_option(setting: Setting) -> str:
    """Write an argument as the command line takes it: --standardize, --encoding cp1252."""
    name, value = f"--{setting.name.replace('_', '-')}", setting.value
    if value is None or value is True:
        return name
    if value is False:
        return name.replace("--", "--no-", 1)
    values = value if isinstance(value, list | tuple) else [value]
    return " ".join([name, *(shlex.quote(str(one)) for one in values)])


def worded(pieces: Iterable[Any], word: Word = str) -> str:
    """Return the text of a message; `word` writes its arguments, by default as Python does."""
    return visible(
        "".join(word(piece) if isinstance(piece, Setting) else str(piece) for piece in pieces)
    )


def said(sentence: Sentence, word: Word = str) -> str:
    """Return a sentence as text; a warning says that it is one."""
    text = worded(sentence.pieces, word)
    return f"Warning: {text}." if isinstance(sentence, Caution) else text


def written(cell: Cell) -> str:
    """Write a value with its unit: 1.23 ms, 4.71 (4.65–4.77), 35 %, 1.23 GB, 10,000."""
    match cell:
        case None:
            return NONE
        case Time(value):
            return seconds(value)
        case Ratio(value, low, high):
            return ratio(value, low, high)
        case Share(value):
            return percent(value)
        case Bytes(value):
            return si(value, "B")
        case Number(value, digits):
            return f"{value:.{digits}g}"
        case str():
            return visible(cell)
        case int():
            return f"{cell:,}"
        case float():
            return f"{cell:.5g}"
    return " ".join(filter(None, map(written, cell)))


def columns_of(table: Table) -> list[list[str]]:
    """Return the texts of each column; values beside each other in a cell are aligned."""
    return [_aligned([row[j] for row in table.rows]) for j in range(len(table.columns))]


def _aligned(cells: Sequence[Cell]) -> list[str]:
    lines = [_values(cell) for cell in cells]
    most = max(map(len, lines), default=0)
    if most < 2:
        return ["".join(line) for line in lines]
    lines = [[*line, *[""] * (most - len(line))] for line in lines]
    widths = [max(len(line[i]) for line in lines) for i in range(most)]
    return [
        " ".join(f"{text:>{width}}" for text, width in zip(line, widths, strict=True)).rstrip()
        for line in lines
    ]


def _values(cell: Any) -> list[str]:
    several = type(cell) is tuple  # the others are tuples with names
    return list(map(written, cell)) if several else [written(cell)]
