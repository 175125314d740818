"""Studies of learning rates, checks and races from Python; each says itself what it found."""

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.table import Table

from gradrace.backends.interface import InputValueError
from gradrace.bench.api import display
from gradrace.bench.learning import rates as learning_rates
from gradrace.bench.learning import rates_files
from gradrace.bench.report.rates import about_study, figures
from gradrace.bench.report.rates import advice as study_advice
from gradrace.bench.report.training import MOST_WEIGHTS

if TYPE_CHECKING:
    from gradrace.plots.canvas import Figure


class Rates(display.Shown, learning_rates.Study):
    """What each learning rate does, and which one to use; `recommended` is that rate."""

    def path_plot(self) -> "Figure":
        """Return a picture of the paths that descent takes at each rate.

        Raises:
            InputValueError: descent moves along a straight line.

        """
        from gradrace.plots import path as path_plot

        return self._drawn(rates_files.PATHS, path_plot.figure)

    def loss_plot(self) -> "Figure":
        """Return a picture of the loss against the epoch at each rate."""
        from gradrace.plots import loss as loss_plot

        return self._drawn(rates_files.HISTORY, lambda source: loss_plot.figure([source]))

    def _drawn(self, name: str, draw: Any) -> "Figure":
        with tempfile.TemporaryDirectory(prefix="gradrace-") as folder:
            for path in rates_files.save_tables(self, Path(folder)):
                if path.name == name:
                    figure: Figure = draw(path)
                    return figure
        raise InputValueError("descent moves along a straight line, so its path is not drawn")

    def save(self, folder: str | Path, *, animate: bool = False) -> list[Path]:
        """Write what `gradrace rates` writes: numbers, pictures, a page; return the paths.

        With `animate`, also descent.gif, the fit and its path as they move.

        Raises:
            OSError: the folder cannot be written to.

        """
        from gradrace.bench.data.files import writable_folder
        from gradrace.bench.report.learning_page import rates_page
        from gradrace.bench.report.page import PAGE, write

        place = writable_folder(Path(folder))
        written = list(rates_files.save(self, place, animate=animate))
        return [*written, write(rates_page(self), place / PAGE)]

    def _parts(self) -> Iterator[str | Table]:
        yield from about_study(self)
        yield ""
        yield from study_advice(self)
        yield from figures(self, MOST_WEIGHTS)

    def _pictures(self) -> "Iterator[tuple[Figure, str]]":
        if len(self.directions) > 1:
            yield (
                self.path_plot(),
                "The path of descent over the contours of the loss at each rate.",
            )
