"""What a result says: sentences, tables, figures and notes, in order, the answer first.

A result yields parts, and `bench.show` renders them for a terminal, as Markdown, CSV, a page, or in
a notebook. A result knows no renderer, and a renderer knows no result.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal, NamedTuple

from gradrace.backends.interface import Setting

if TYPE_CHECKING:
    from gradrace.plots.canvas import Figure as Drawing


class Time(NamedTuple):
    """A time in seconds."""

    value: float


class Ratio(NamedTuple):
    """A ratio, and its 95 % interval if there is one."""

    value: float
    low: float | None = None
    high: float | None = None


class Share(NamedTuple):
    """A fraction of 1, which is shown in percent."""

    value: float


class Bytes(NamedTuple):
    """A size in memory."""

    value: int


class Number(NamedTuple):
    """A number that is shown with this many digits; a plain one gets five."""

    value: float
    digits: int


Cell = str | int | float | Number | Time | Ratio | Share | Bytes | None | tuple["Cell", ...]
"""None is unknown; a tuple holds several values, one beside the other."""


class Column(NamedTuple):
    """A column of a table."""

    title: str | None
    """For people, broken between words if need be; None if only programs get it"""
    name: str = ""
    """For programs, in CSV, with the unit; empty if only people get it"""
    kind: Literal["value", "prose", "interval"] = "value"
    """Prose may be broken between words; an interval is three columns of a CSV"""


@dataclass(frozen=True)
class Table:
    """Rows of cells; the first `keys` columns name the row."""

    columns: Sequence[Column]
    rows: Sequence[Sequence[Cell]]
    note: str = ""
    """What the table leaves out, below it"""
    keys: int = 1

    def for_people(self) -> "Table":
        """Return the table without the columns that only programs get."""
        shown = [j for j, column in enumerate(self.columns) if column.title is not None]
        rows = [[row[j] for j in shown] for row in self.rows]
        return Table([self.columns[j] for j in shown], rows, self.note, self.keys)


@dataclass(frozen=True, init=False)
class Sentence:
    """A sentence, in pieces: texts, and the arguments that it names."""

    pieces: tuple[str | Setting, ...]

    def __init__(self, *pieces: str | Setting) -> None:
        object.__setattr__(self, "pieces", pieces)

    def __str__(self) -> str:
        return "".join(map(str, self.pieces))


class Answer(Sentence):
    """A sentence that answers the question of whoever asked for the result."""


class Note(Sentence):
    """A sentence that explains a table or a figure."""


class Caution(Sentence):
    """A reason not to trust a figure, as a clause: the machine was busy."""


@dataclass(frozen=True)
class Figure:
    """A picture, and what it shows in words; its file is called `name`.png."""

    name: str
    words: str
    draw: "Callable[[], Drawing]" = field(repr=False)


@dataclass(frozen=True)
class Heading:
    """What the parts up to the next heading are about; in a terminal, a blank line."""

    text: str


@dataclass(frozen=True)
class Command:
    """A command to type."""

    text: str


@dataclass(frozen=True)
class Tool:
    """Something to play with on a page: a function of page.js, and the data that it gets."""

    name: Literal["rate", "total"]
    words: str
    """What can be tried"""
    data: Mapping[str, Any]


Part = Sentence | Table | Figure | Heading | Command | Tool


class Result:
    """What says itself what it found: as text, and in a notebook as HTML."""

    as_text: ClassVar[Callable[[Iterable[Part]], str]] = staticmethod(lambda parts: str([*parts]))
    as_html: ClassVar[Callable[[Iterable[Part]], str]]
    as_files: ClassVar[Callable[[str, Iterable[Part], Path], Iterator[Path]]]
    """Pictures, and a page with this title, in a folder; `bench.show` sets all three"""

    def parts(self, *, detail: bool = False) -> Iterator[Part]:
        """Yield what there is to say, the answer first; with `detail`, all of it."""
        raise NotImplementedError

    def __str__(self) -> str:
        return Result.as_text(self.parts()).rstrip("\n")

    def __repr__(self) -> str:
        return str(self)

    def _repr_html_(self) -> str:
        return Result.as_html(self.parts())


class Report(Result):
    """Parts that were found already."""

    def __init__(self, parts: Iterable[Part]) -> None:
        self._parts = list(parts)

    def parts(self, *, detail: bool = False) -> Iterator[Part]:  # noqa: ARG002 (there is no more)
        """Yield the parts."""
        yield from self._parts


def joined(names: Sequence[str]) -> str:
    """Write a list: a, b and c."""
    *others, last = names
    return f"{', '.join(others)} and {last}" if others else last


def counted(number: int, noun: str) -> str:
    """Write a number with its noun: 1 epoch, 1,038 epochs."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"
