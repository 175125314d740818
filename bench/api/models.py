"""The model that `fit` returns."""

import tempfile
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from gradrace.backends.interface import Floats, InputTypeError, InputValueError, Trajectory
from gradrace.bench.api import display
from gradrace.bench.data.reader import columns_of
from gradrace.bench.learning import model as saved
from gradrace.bench.learning.convergence import regime
from gradrace.bench.learning.prediction import FAR, Model, far_from_training, labeled, r_squared
from gradrace.bench.learning.training import Fit as Training
from gradrace.bench.report.tables import epochs as counted
from gradrace.bench.report.training import fit_table, report

if TYPE_CHECKING:
    from gradrace.plots.canvas import Figure

_SHOWN = 5  # weights


class Fit(Training):
    """A trained model ŷ = Xw + b, with all that is known of its training.

    `w` (d,) and `b` are in the units of the data, standardized or not; `loss` is the mean of the
    squared errors on the training data, `trajectory` has w, b and the loss of every epoch, and
    `least_squares` is the solution to which training converges.
    """

    def predict(self, X: Any) -> Floats:
        """Return ŷ = Xw + b, shape (m,), for samples X (m, d) in the units of the training data.

        Of a table or a file, the columns that the model was trained on are used, in any order.

        Raises:
            InputTypeError, InputValueError: X cannot be used or lacks a column, or the training
                diverged.
            OSError: a file cannot be read.

        """
        samples = columns_of(X, self.features)
        predicted = super().predict(samples)
        if far := far_from_training(self._as_model(), samples):
            warnings.warn(f"{FAR}: {far}", stacklevel=3)
        return predicted

    def _as_model(self) -> "Model":
        (low, high), data = self.data.extremes, self.data
        return Model(
            data.features, data.target, self.w, self.center, self.height, low[:-1], high[:-1]
        )

    @property
    def features(self) -> tuple[str, ...]:
        """The names of the d features."""
        return self.data.features

    @property
    def target(self) -> str:
        """The name of the target."""
        return self.data.target

    def score(self, X: Any = None, y: Any = None) -> float:
        """Return R² = 1 − Σ(ŷ − y)² / Σ(y − ȳ)², on the training data by default.

        1 is a perfect fit, 0 is as good as predicting the mean, and less is worse; if all y are
        equal, it is 1 where ŷ = y and else 0, as in scikit-learn. Without y, the
        targets are a column of the table or file X.

        Raises:
            InputTypeError, InputValueError: X or y cannot be used.
            OSError: a file cannot be read.

        """
        if X is None:
            if y is not None:
                raise InputTypeError("score: needs X, too")
            low, high = (values[-1] for values in self.data.extremes)
            if low == high:
                return 0.0 if self.loss else 1.0
            return 1 - self.loss / float(self.data.moments()[1][-1]) ** 2
        samples, actual = labeled(X, y, self.data.features, self.data.target)
        return r_squared(self.predict(samples), actual)

    def summary(self) -> display.Report:
        """Return the course of the training, and w, b and loss beside the least squares."""
        return display.Report(report(self, auto=False))

    def plot(self) -> "Figure":
        """Return a picture of the fit: the line, or, of several features, predicted and actual.

        Raises:
            InputValueError: the training diverged.

        """
        from gradrace.plots import fit as fit_plot

        return self._of_points(fit_plot.figure)

    def residual_plot(self) -> "Figure":
        """Return a picture of actual minus predicted, against the prediction.

        Raises:
            InputValueError: the training diverged.

        """
        from gradrace.plots import residuals

        return self._of_points(residuals.figure)

    def _of_points(self, draw: "Callable[[Path], Figure]") -> "Figure":
        if self.diverged:
            raise InputValueError(f"cannot plot the model: {self.failure}")
        with tempfile.TemporaryDirectory(prefix="gradrace-") as folder:
            return draw(saved.write_points(self, Path(folder)))

    def loss_plot(self) -> "Figure":
        """Return a picture of the loss against the epoch."""
        from gradrace.plots import loss as loss_plot

        with tempfile.TemporaryDirectory(prefix="gradrace-") as folder:
            return loss_plot.figure([saved.write_history(self, Path(folder))])

    def path_plot(self) -> "Figure":
        """Return a picture of the path that descent takes over the contours of the loss.

        Raises:
            InputValueError: descent moves along a straight line.

        """
        from gradrace.bench.data.files import write_table
        from gradrace.bench.learning.rates_files import plane_table
        from gradrace.plots import path as path_plot

        if len(self.landscape.directions) < 2:
            raise InputValueError("descent moves along a straight line, so its path is not drawn")
        taken = (self.lr, regime(self.hessian, self.lr), self._on_training_columns())
        with tempfile.TemporaryDirectory(prefix="gradrace-") as folder:
            write_table(plane_table(self.landscape, [taken]), Path(folder, "path.parquet"))
            return path_plot.figure(Path(folder, "path.parquet"))

    def _on_training_columns(self) -> Trajectory:
        """Return the trajectory as the backend saw it: on standardized columns, if they were."""
        if self.scaling is None:
            return self.trajectory
        best, scaled, path = self.least_squares, self.landscape.least_squares, self.trajectory
        errors = [
            self.scaling.scaled_difference(w - best.w, b - best.b)
            for w, b in zip(path.w, path.b, strict=True)
        ]
        theta = np.append(scaled.w, scaled.b) + errors
        return path._replace(w=theta[:, :-1], b=theta[:, -1])

    def save(self, folder: str | Path) -> list[Path]:
        """Write what `gradrace train` writes: the model, pictures, a page; return the paths.

        The folder is made if it does not exist. A diverged run has no model.

        Raises:
            OSError: the folder cannot be written to.

        """
        from gradrace.bench.data.files import writable_folder
        from gradrace.bench.report.learning_page import training_page
        from gradrace.bench.report.page import PAGE, write

        place = writable_folder(Path(folder))
        old = [name for name in saved.OF_A_MODEL if self.diverged and (place / name).exists()]
        if old:
            warnings.warn(f"from an earlier model: {', '.join(old)}", stacklevel=2)
        written = list(saved.save(self, place))
        return [*written, write(training_page(self, auto=False), place / PAGE)]

    def __repr__(self) -> str:
        return "\n".join(self._lines())

    def _lines(self) -> list[str]:
        d, made = len(self.w), counted(int(self.trajectory.epoch[-1]))
        features = self.data.features[0] if d == 1 else f"{d:,} features"
        shown = [
            f"{name} {value:.6g}" for name, value in zip(self.data.features, self.w, strict=True)
        ]
        more = f", … {d - _SHOWN:,} more" * (d > _SHOWN)
        return [
            f"Fit of {self.data.target} by {features}: {made} at α = {self.lr:.4g}, {self.backend}",
            f"w: {', '.join(shown[:_SHOWN])}{more}; b: {self.b:.6g}",
            f"loss: {self.loss:.6g}; the least possible is {self.least_squares.loss:.6g}; "
            f"R² = {self.score():.4g}",
        ]

    def _repr_html_(self) -> str:
        head, *_, loss = self._lines()
        table = display.html([head, *([] if self.diverged else [fit_table(self)]), loss])
        words = f"The loss is {self.loss:.4g} after {self.trajectory.epoch[-1]:,} epochs."
        return display.beside(table, display.picture(self.loss_plot(), words))
