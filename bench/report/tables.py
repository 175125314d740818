"""The common format of all tables, and how they fit a width."""

from collections.abc import Collection

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

NONE = "–"


_UNLIMITED = 10_000  # characters, more than any table is wide
_EDGE = 1  # a space at the right end of a table, which is not printed


def empty_table(*columns: str, prose: Collection[str] = ()) -> Table:
    """Return an empty table without needless lines or spaces.

    Cells are never broken, except in the columns named in `prose`, whose text wraps between words.
    Headings may have several lines.
    """
    table = Table(box=SIMPLE_HEAD, pad_edge=False, collapse_padding=True)
    for column in columns:
        wraps = column in prose
        table.add_column(Text(column), no_wrap=not wraps, overflow="fold" if wraps else "ignore")
    return table


def least_width(table: Table) -> int:
    """Return the least width of a table in characters, with no number or name broken."""
    console = Console(width=_UNLIMITED, markup=False, emoji=False)
    for column in table.columns:
        if column.no_wrap:
            texts = (column.header, *column.cells)
            column.min_width = max(
                Measurement.get(console, console.options, text).maximum for text in texts
            )
    return Measurement.get(console, console.options, table).minimum - _EDGE


def stacked(table: Table, width: int) -> list[Table]:
    """Split a table into tables that fit `width`, each starting with the first column.

    A table of two columns is never split, even if it is too wide.
    """
    if least_width(table) <= width:
        return [table]
    first, *others = range(len(table.columns))
    groups = [[first]]
    for column in others:
        if len(groups[-1]) > 1 and least_width(_columns(table, [*groups[-1], column])) > width:
            groups.append([first])
        groups[-1].append(column)
    return [_columns(table, group) for group in groups]


def _columns(table: Table, chosen: list[int]) -> Table:
    """Return a table of some columns of another one."""
    part = Table(box=table.box, pad_edge=table.pad_edge, collapse_padding=table.collapse_padding)
    for number in chosen:
        column = table.columns[number]
        part.add_column(
            column.header, justify=column.justify, no_wrap=column.no_wrap, overflow=column.overflow
        )
    cells = zip(*(table.columns[number].cells for number in chosen), strict=True)
    for row, texts in zip(table.rows, cells, strict=True):
        part.add_row(*texts, end_section=row.end_section)
    return part


def yes_no(value: bool) -> str:
    """Write whether something agrees."""
    return "yes" if value else "NO"


def count(epoch: int | None) -> str:
    """Write an epoch, or a dash for none."""
    return NONE if epoch is None else f"{epoch:,}"


def condition(kappa: float) -> str:
    """Write a condition number; float64 cannot distinguish those above 10²⁸."""
    return f"{kappa:,.0f}" if kappa < 1e6 else f"{kappa:.2g}" if kappa < 1e28 else "over 1e28"


def factor(value: float) -> str:
    """Write the factor that multiplies the error in each epoch."""
    return f"{value:.6f}" if value < 10 else f"{value:.4g}"


def more_weights(number: int) -> str:
    """Begin to say where the weights are that a table leaves out."""
    return f"{number:,} more weight{'s are' if number != 1 else ' is'}"


def epochs(number: int) -> str:
    """Write a number of epochs with its unit: 1 epoch, 1,038 epochs."""
    return f"{number:,} epoch" + ("s" if number != 1 else "")
