"""Make foreign text safe to show.

Names of columns, backends and files may hold anything. Whatever goes to a terminal, a web page or
Markdown passes through here first; files keep the names as they are.
"""

import re


def visible(text: str) -> str:
    """Return a text on one line, with ? for characters that control a terminal or are invisible.

    These are control and escape codes, marks that change the direction of writing, characters
    without width, and halves of surrogate pairs. A line break or a tab becomes a space.
    """
    if text.isprintable():
        return text
    return "".join(" " if c.isspace() else c if c.isprintable() else "?" for c in text)


def markdown_cell(text: str) -> str:
    """Return a text as a cell of a Markdown table in which nothing is markup."""
    return re.sub(r"[\\`*\[\]<>|]", r"\\\g<0>", visible(text))
