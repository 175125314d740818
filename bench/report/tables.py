"""What all tables share: their look, and what stands for nothing, yes and no."""

import textwrap

from rich.box import SIMPLE_HEAD
from rich.table import Table
from rich.text import Text

NONE = "–"


def wrapped(text: str) -> list[str]:
    """Return the lines of a text for a terminal of 80 columns."""
    return textwrap.wrap(text, 79)


def empty_table(*columns: str, no_wrap: bool = False) -> Table:
    """Return an empty table without needless lines or spaces."""
    table = Table(box=SIMPLE_HEAD, pad_edge=False, collapse_padding=True)
    for column in columns:
        table.add_column(Text(column), no_wrap=no_wrap, overflow="fold")  # may have two lines
    return table


def yes_no(value: bool) -> str:
    """Write whether something agrees."""
    return "yes" if value else "NO"


def count(epoch: int | None) -> str:
    """Write an epoch, or a dash for none."""
    return NONE if epoch is None else f"{epoch:,}"
