"""Every picture of a result file."""

import json
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import pyarrow.parquet

from gradrace.backends.interface import InputValueError
from gradrace.bench.data.files import replacing, write_json
from gradrace.bench.race import results

if TYPE_CHECKING:
    from gradrace.plots.canvas import Figure

Kind = Literal["png", "svg", "pdf"]

ERRORS = "agreement.parquet"
"""What agreement.png is drawn from, beside the result file."""

_COLUMNS = {"backend", "epoch"} | {
    f"{q}_{what}" for q in ["w", "b", "loss"] for what in ("error", "bound")
}


def redraw(source: Path, folder: Path, kind: Kind = "png") -> Iterator[Path]:
    """Draw what `draw` draws, and the agreement if its file lies beside the result file.

    Raises:
        InputValueError: it is not a result file, or agreement.parquet is not what a run writes.
        OSError: as `draw`.

    """
    from gradrace.plots import agreement, style

    yield from draw(source, folder, kind)
    if (source.parent / ERRORS).is_file():
        _require_errors(source.parent / ERRORS)
        with replacing(folder / f"agreement.{kind}") as target:
            style.save(agreement.figure(source.parent / ERRORS), target, kind)
        yield folder / f"agreement.{kind}"


def draw(source: Path, folder: Path, kind: Kind = "png") -> Iterator[Path]:
    """Draw every picture of a result file into `folder`; yield what was written.

    speed.png, speedup.png, breakeven.png, fastest.png, roofline.png, or of another kind. Those for
    which the file has no data are left out, and removed if they lie beside the file, from another
    run.

    Raises:
        InputValueError: it is not a result file.
        OSError: it cannot be read, or the folder cannot be written to.

    """
    from gradrace.plots import style

    for name, figure in _figures(source):
        picture = folder / f"{name}.{kind}"
        if figure is not None:
            with replacing(picture) as target:
                style.save(figure, target, kind)
            yield picture
        elif folder == source.parent:
            for kind_of_old in ("png", "svg", "pdf"):  # one of an earlier run would mislead
                picture.with_suffix(f".{kind_of_old}").unlink(missing_ok=True)


def draw_book(source: Path, target: Path) -> Path:
    """Draw what `redraw` draws as the pages of one PDF; return its path.

    Raises:
        InputValueError, OSError: as `redraw`.

    """
    from gradrace.plots import agreement, style

    figures = [figure for _, figure in _figures(source) if figure is not None]
    if (source.parent / ERRORS).is_file():
        _require_errors(source.parent / ERRORS)
        figures.append(agreement.figure(source.parent / ERRORS))
    with replacing(target) as temporary:
        style.save_book(figures, temporary)
    return target


def _figures(source: Path) -> "Iterator[tuple[str, Figure | None]]":
    """Yield the name of each picture of a result file, and the figure if there is data for it."""
    from gradrace.plots import breakeven, fastest, speed, speedup
    from gradrace.plots import roofline as roofline_plot

    content = results.read(source)
    with tempfile.TemporaryDirectory(prefix="gradrace-") as folder:
        concluded = Path(folder) / source.name  # from the data alone, whatever `source` concludes
        write_json(concluded, content)
        for module in (speed, speedup, breakeven, fastest, roofline_plot):
            name = module.__name__.rpartition(".")[-1]
            drawable = module.drawable(content["gradrace"])
            yield name, module.figure(concluded) if drawable else None


def draw_scale(files: Sequence[Path], folder: Path) -> Path:
    """Draw scale.png from the result files of `gradrace scale` into `folder`."""
    from gradrace.plots import scale

    with replacing(folder / "scale.png") as target:
        scale.draw(list(files), target)
    return folder / "scale.png"


def _require_errors(path: Path) -> None:
    """Raise InputValueError unless a file has the columns and colors of a table of errors."""
    try:
        table = pyarrow.parquet.ParquetFile(path).read()
        named = set(table.column("backend").to_pylist())
        colored = set(json.loads((table.schema.metadata or {})[b"colors"]))
        complete = named <= colored and set(table.column_names) >= _COLUMNS
    except (pyarrow.ArrowException, KeyError, ValueError, TypeError):
        complete = False
    if not complete:
        raise InputValueError(
            f"{path}: is not the table of errors that this version of gradrace run writes; without "
            "that file, the other pictures are drawn"
        )
