"""What a result looks like: text in a terminal, tables and pictures in a notebook."""

import base64
from collections.abc import Iterable
from html import escape
from typing import TYPE_CHECKING, Any

from rich.table import Table

from gradrace.bench.api.wording import arguments
from gradrace.bench.report.terminal import plain
from gradrace.bench.report.text import visible

if TYPE_CHECKING:
    from gradrace.plots.canvas import Figure

_STYLE = "text-align:right;font-variant-numeric:tabular-nums;white-space:pre"


class Shown:
    """What says in sentences and tables what it found: as text, and in a notebook as HTML."""

    def _parts(self) -> Iterable[str | Table]:
        raise NotImplementedError

    def _pictures(self) -> "Iterable[tuple[Figure, str]]":
        """Yield what to draw beside the text, and words for those who cannot see it."""
        return ()

    def _said(self) -> list[str | Table]:
        """Return what it says, with the names of arguments instead of options."""
        return [arguments(part) if isinstance(part, str) else part for part in self._parts()]

    def __str__(self) -> str:
        return plain(self._said()).rstrip("\n")

    def __repr__(self) -> str:
        return str(self)

    def _repr_html_(self) -> str:
        drawn = "".join(picture(figure, words) for figure, words in self._pictures())
        return beside(html(self._said()), *([drawn] if drawn else []))


class Report(Shown):
    """Sentences and tables that were found already."""

    def __init__(self, parts: Iterable[str | Table]) -> None:
        self.parts = list(parts)

    def _parts(self) -> list[str | Table]:
        return self.parts


def html(parts: Iterable[str | Table]) -> str:
    """Return sentences and tables as HTML, with every text from outside escaped."""
    found = [_table(part) if isinstance(part, Table) else _paragraph(part) for part in parts]
    return "".join(found)


def _paragraph(text: str) -> str:
    return f"<p>{escape(visible(text))}</p>" if text else ""


def _table(table: Table) -> str:
    heads = "".join(f"<th>{_cell(column.header)}</th>" for column in table.columns)
    rows = zip(*(column.cells for column in table.columns), strict=True)
    lines = (
        "<tr>" + "".join(f"<td style='{_STYLE}'>{_cell(cell)}</td>" for cell in row) + "</tr>"
        for row in rows
    )
    return f"<table><thead><tr>{heads}</tr></thead><tbody>{''.join(lines)}</tbody></table>"


def _cell(text: Any) -> str:
    return escape("\n".join(map(visible, str(text).split("\n"))))


def picture(figure: "Figure", words: str) -> str:
    """Return a figure as HTML; `words` say what it shows, for those who cannot see it."""
    data = base64.b64encode(figure._repr_png_()).decode()
    return f"<img alt='{escape(words)}' src='data:image/png;base64,{data}'>"


def beside(*parts: str) -> str:
    """Return pieces of HTML side by side; in a narrow window, one below the other."""
    boxes = "".join(f"<div>{part}</div>" for part in parts)
    return f"<div style='display:flex;flex-wrap:wrap;gap:1.5em;align-items:start'>{boxes}</div>"
