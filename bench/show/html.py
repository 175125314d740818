"""Parts as HTML: a page to hand around, which loads nothing from anywhere, and in a notebook.

A page reads without JavaScript; with it, tables can be sorted, and sliders answer questions. All
texts from outside, such as names of columns and messages of backends, are escaped by Jinja2.
"""

import base64
import json
import math
from collections.abc import Callable, Iterable, Sequence
from functools import cache
from html import escape
from itertools import takewhile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gradrace.bench.data.files import replacing
from gradrace.bench.data.origin import version
from gradrace.bench.parts import (
    Answer,
    Caution,
    Cell,
    Command,
    Figure,
    Heading,
    Note,
    Part,
    Ratio,
    Result,
    Sentence,
    Table,
    Tool,
)
from gradrace.bench.show.text import Word, as_option, columns_of, said, visible

if TYPE_CHECKING:
    from jinja2 import Environment

_HERE = Path(__file__).parent
_ROLES = {Answer: "answer", Note: "muted", Caution: "warning"}

PAGE = "report.html"
"""What is written beside the pictures"""


def page(title: str, parts: Iterable[Part]) -> str:
    """Return a page: the answer, then a section for each heading that has parts."""
    from gradrace.plots.svg import svg

    found = list(parts)
    answer = list(takewhile(lambda part: not isinstance(part, Heading), found))
    sections: list[dict[str, Any]] = []
    for part in found[len(answer) :]:
        if isinstance(part, Heading):
            sections.append({"heading": visible(part.text), "parts": []})
        else:
            sections[-1]["parts"].append(_described(part, _of_figure(svg), as_option))
    return str(
        _templates()
        .get_template("page.html")
        .render(
            title=visible(title),
            answer=[_described(part, _of_figure(svg), as_option) for part in answer],
            sections=[section for section in sections if section["parts"]],
            origin=f"Made by gradrace {version()}.",
            script=(_HERE / "page.js").read_text(encoding="utf-8"),
        )
    )


def write_page(title: str, parts: Iterable[Part], path: Path) -> Path:
    """Write a page; return its path.

    Raises:
        OSError: the file cannot be written; nothing is left half-written.

    """
    return write_text(page(title, parts), path)


def write_text(html: str, path: Path) -> Path:
    """Write HTML; return the path."""
    with replacing(path) as temporary:
        temporary.write_text(html, encoding="utf-8")
    return path


def in_notebook(parts: Iterable[Part]) -> str:
    """Return parts as HTML for a notebook; pictures stand beside the rest, if there is room."""
    texts: list[dict[str, Any]] = []
    pictures: list[dict[str, Any]] = []
    for part in parts:
        chosen = pictures if isinstance(part, Figure) else texts
        chosen.append(_described(part, _of_figure(_png), str))
    boxes = [box for box in (texts, pictures) if box]
    return str(_templates().get_template("notebook.html").render(boxes=boxes))


@cache
def _templates() -> "Environment":
    from jinja2 import Environment, FileSystemLoader, StrictUndefined  # here: --help needs none

    return Environment(
        loader=FileSystemLoader(_HERE),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def _png(figure: Any, words: str) -> str:
    data = base64.b64encode(figure._repr_png_()).decode()
    return f"<img alt='{escape(words)}' src='data:image/png;base64,{data}'>"


def _of_figure(draw: Callable[[Any, str], str]) -> Callable[[Figure], str]:
    return lambda part: draw(part.draw(), visible(part.words))


def _described(part: Part, picture: Callable[[Figure], str], word: Word) -> dict[str, Any]:
    """Return what the template needs to know of a part."""
    match part:
        case Sentence():
            return {"kind": "text", "text": said(part, word), "role": _ROLES.get(type(part), "")}
        case Command(text):
            return {"kind": "code", "text": visible(text)}
        case Figure():
            return {"kind": "picture", "picture": picture(part), "text": visible(part.words)}
        case Tool(name, words, data):
            text = json.dumps(data).replace("<", "\\u003c").replace("&", "\\u0026")
            return {"kind": "tool", "name": name, "text": visible(words), "data": text}
        case Heading(text):
            return {"kind": "text", "text": visible(text), "role": ""}
        case Table():
            return _table(part.for_people())


def _table(table: Table) -> dict[str, Any]:
    """Describe a table; a column of intervals is followed by one of bars."""
    bars = [column.kind == "interval" for column in table.columns]
    place = _scale([cell for row in table.rows for cell in row])
    words = [
        j < table.keys or all(isinstance(row[j], str) for row in table.rows)
        for j in range(len(table.columns))
    ]
    texts = zip(*columns_of(table), strict=True)
    return {
        "kind": "table",
        "heads": [
            {"text": visible(column.title or ""), "word": words[j], "bars": bars[j]}
            for j, column in enumerate(table.columns)
        ],
        "rows": [
            [
                {"text": text, "word": words[j], "bars": bars[j], "at": place(row[j])}
                for j, text in enumerate(line)
            ]
            for row, line in zip(table.rows, texts, strict=True)
        ],
        "note": visible(table.note),
    }


def _scale(cells: Sequence[Cell]) -> Callable[[Cell], dict[str, float] | None]:
    """Return where the parts of a bar lie, from 2 to 98, on one logarithmic scale that has 1."""
    known = [cell for cell in cells if isinstance(cell, Ratio) and cell.low and cell.high]
    ends = [math.log(value) for cell in known for value in (cell.low, cell.high) if value]
    low, high = min([*ends, 0.0]), max([*ends, 0.0])

    def at(value: float) -> float:
        return round(2 + 96 * (math.log(value) - low) / ((high - low) or 1.0), 1)

    def place(cell: Cell) -> dict[str, float] | None:
        if not isinstance(cell, Ratio) or not cell.low or not cell.high:
            return None
        return {"one": at(1.0), "low": at(cell.low), "value": at(cell.value), "high": at(cell.high)}

    return place


Result.as_html = staticmethod(in_notebook)
