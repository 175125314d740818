"""What all tables share: their look, and what stands for nothing, yes and no."""

import textwrap

from rich.box import SIMPLE_HEAD
from rich.table import Table
from rich.text import Text

NONE = "–"


def wrapped(text: str, width: int = 80) -> list[str]:
    """Return the lines of a text for a terminal of this width, broken between words only."""
    return textwrap.wrap(text, width - 1, break_long_words=False, break_on_hyphens=False)


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


def condition(kappa: float) -> str:
    """Write a condition number; float64 cannot tell those above 10²⁸ apart."""
    return f"{kappa:,.0f}" if kappa < 1e6 else f"{kappa:.2g}" if kappa < 1e28 else "over 1e28"


def factor(value: float) -> str:
    """Write what the error is multiplied by per epoch."""
    return f"{value:.6f}" if value < 10 else f"{value:.4g}"


def epochs(number: int) -> str:
    """Write a number of epochs with its unit: 1 epoch, 1,038 epochs."""
    return f"{number:,} epoch" + ("s" if number != 1 else "")
