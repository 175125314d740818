"""A result as one page to hand around: a single file of HTML that loads nothing from anywhere.

Everything reads without JavaScript; with it, tables can be sorted, and sliders answer questions.
All texts from outside, such as names of columns and messages of backends, are escaped by Jinja2.
"""

import json
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gradrace.bench.data.files import replacing
from gradrace.bench.data.origin import version
from gradrace.bench.report.text import visible

if TYPE_CHECKING:
    from rich.table import Table

_HERE = Path(__file__).parent
PAGE = "report.html"
"""What is written beside the pictures"""


@dataclass(frozen=True)
class Bar:
    """An interval, low ≤ value ≤ high, all greater than 0, to be drawn in a cell."""

    low: float
    value: float
    high: float


@dataclass
class Section:
    """A part of a page under a heading."""

    heading: str
    parts: list[dict[str, Any]] = field(default_factory=list)

    def add(self, *said: "str | Table", role: str = "") -> "Section":
        """Add sentences and tables."""
        for part in said:
            if not isinstance(part, str):
                self.parts.append(_table(part))
            elif part:
                self.parts.append({"kind": "text", "text": visible(part), "role": role})
        return self

    def grid(
        self, heads: Sequence[str], rows: Sequence[Sequence[str | Bar]], words: int = 1
    ) -> "Section":
        """Add a table of texts and bars, whose first columns hold words, the others numbers.

        The bars have a common logarithmic scale.
        """
        place = _scale([cell for row in rows for cell in row if isinstance(cell, Bar)])
        self.parts.append(
            {
                "kind": "table",
                "heads": list(map(visible, heads)),
                "rows": [
                    [place(cell) if isinstance(cell, Bar) else visible(cell) for cell in row]
                    for row in rows
                ],
                "sortable": True,
                "words": words,
                "caption": "",
            }
        )
        return self

    def draw(self, svg: str, words: str) -> "Section":
        """Add a picture, and what it shows in words."""
        self.parts.append({"kind": "picture", "svg": svg, "text": visible(words)})
        return self

    def tool(self, name: str, data: Mapping[str, Any]) -> "Section":
        """Add something to play with: a function of page.js, and the data that it gets."""
        text = json.dumps(data).replace("<", "\\u003c").replace("&", "\\u0026")
        self.parts.append({"kind": "tool", "name": name, "data": text})
        return self

    def code(self, command: str) -> "Section":
        """Add a command."""
        self.parts.append({"kind": "code", "text": visible(command)})
        return self


def _scale(bars: Sequence[Bar]) -> Callable[[Bar], dict[str, float]]:
    """Return where the parts of a bar lie, from 2 to 98, as on a scale from the least to the most.

    The scale includes 1.
    """
    ends = [math.log(value) for bar in bars for value in (bar.low, bar.high)]
    low, high = min([*ends, 0.0]), max([*ends, 0.0])

    def at(value: float) -> float:
        return round(2 + 96 * (math.log(value) - low) / ((high - low) or 1.0), 1)

    return lambda bar: {
        "one": at(1.0),
        "low": at(bar.low),
        "value": at(bar.value),
        "high": at(bar.high),
    }


def _table(table: "Table") -> dict[str, Any]:
    rows = list(zip(*(column.cells for column in table.columns), strict=True))
    grouped = any(str(row[0]).startswith(" ") for row in rows)  # below the name of their group
    return {
        "kind": "table",
        "heads": [visible(" ".join(str(column.header).split())) for column in table.columns],
        "rows": [[visible(str(cell)) for cell in row] for row in rows],
        "sortable": not grouped,
        "words": 1,
        "caption": visible(str(table.caption or "")),
    }


def page(title: str, answer: Iterable[str], sections: Sequence[Section]) -> str:
    """Return the page; sections without parts are left out."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined  # here: --help needs none

    environment = Environment(
        loader=FileSystemLoader(_HERE),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("page.html").render(
        title=visible(title),
        answer=[visible(sentence) for sentence in answer if sentence],
        sections=[section for section in sections if section.parts],
        origin=f"Made by gradrace {version()}.",
        script=(_HERE / "page.js").read_text(encoding="utf-8"),
    )


def write(html: str, path: Path) -> Path:
    """Write a page; return its path.

    Raises:
        OSError: the file cannot be written; nothing is left half-written.

    """
    with replacing(path) as temporary:
        temporary.write_text(html, encoding="utf-8")
    return path
