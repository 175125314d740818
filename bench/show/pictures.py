"""The pictures of a result, each in a file of its own, or all in one PDF."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Literal

from gradrace.bench.data.files import replacing
from gradrace.bench.parts import Figure, Part, Result
from gradrace.bench.show.html import PAGE, write_page

Kind = Literal["png", "svg", "pdf"]


def save_pictures(parts: Iterable[Part], folder: Path, kind: Kind = "png") -> Iterator[Path]:
    """Draw every figure among the parts into `folder`; yield what was written.

    Raises:
        OSError: the folder cannot be written to.

    """
    from gradrace.plots import style

    for part in parts:
        if isinstance(part, Figure):
            target = folder / f"{part.name}.{kind}"
            with replacing(target) as temporary:
                style.save(part.draw(), temporary, kind)
            yield target


def save_shown(title: str, parts: Iterable[Part], folder: Path) -> Iterator[Path]:
    """Write the pictures of a result, and its page; yield what was written.

    Raises:
        OSError: the folder cannot be written to.

    """
    found = list(parts)
    yield from save_pictures(found, folder)
    yield write_page(title, found, folder / PAGE)


def save_book(parts: Iterable[Part], target: Path) -> Path:
    """Draw every figure among the parts as a page of one PDF; return its path.

    Raises:
        OSError: the file cannot be written.

    """
    from gradrace.plots import style

    with replacing(target) as temporary:
        style.save_book((part.draw() for part in parts if isinstance(part, Figure)), temporary)
    return target


Result.as_files = staticmethod(save_shown)
