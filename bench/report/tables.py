"""What all tables share: their look, and how numbers are written."""

import textwrap
from typing import TYPE_CHECKING

from rich.box import SIMPLE_HEAD
from rich.table import Table
from rich.text import Text

from plots.style import times

if TYPE_CHECKING:  # all of it together takes longer to be imported than `train` to train
    from bench.findings.schema import Interval

NONE = "–"


def wrapped(text: str) -> list[str]:
    """Return the lines of a text for a terminal of 80 columns."""
    return textwrap.wrap(text, 79)


def spread(ratio: "Interval") -> str:
    """Write a ratio with its interval: 4.71 (4.65–4.77)."""
    return times(ratio).replace(" ×", "")


def percent(share: float) -> str:
    """Write a share with two digits: 1.2 %."""
    return f"{100 * share:.2g} %" if share < 0.995 else f"{100 * share:,.0f} %"


def si(value: float) -> str:
    """Write a number with three digits and an SI prefix: 1.23 G."""
    for factor, unit in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if value >= 0.9995 * factor:
            return f"{value / factor:.3g} {unit}"
    return f"{value:.3g} "


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
