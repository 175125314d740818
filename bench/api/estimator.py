"""Gradient descent as an estimator of scikit-learn."""

import warnings
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike

try:
    from sklearn.base import BaseEstimator, RegressorMixin
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.utils.validation import check_is_fitted, validate_data
except ImportError as error:
    raise ImportError(
        "GradientDescentRegressor needs scikit-learn: pip install 'gradrace[scikit-learn]'"
    ) from error

from gradrace import backends
from gradrace.backends.interface import Floats, InputValueError
from gradrace.bench import options
from gradrace.bench.data.frames import require_same_index
from gradrace.bench.data.samples import Dataset, unnamed
from gradrace.bench.learning.landscape import Rate
from gradrace.bench.learning.training import train

_MOST_LOSSES = 499


# scikit-learn has no types, so its classes are Any to mypy
class GradientDescentRegressor(RegressorMixin, BaseEstimator):  # type: ignore[misc]
    """Linear regression by gradient descent on the mean squared error.

    Parameters
    ----------
    backend : str
        What computes: a name that `gradrace backends` lists, a .py file or a module.
    lr : float > 0 or "auto"
        The learning rate; "auto" is the best for this many epochs.
    epochs : int ≥ 0
        The number of updates, each of which uses all samples.
    standardize : bool
        Whether to train on columns with mean 0 and standard deviation 1. `coef_` and `intercept_`
        are in the original units anyway.
    tol : float > 0, optional
        Stop early when the norm of the gradient has fallen to this share of its first value.

    Attributes
    ----------
    coef_ : array (n_features_in_,)
        The weights w.
    intercept_ : float
        The bias b.
    loss_curve_ : array
        The mean of the squared errors on the training data, at the start, after every k-th epoch,
        so that there are at most 500 values, and at the end.
    n_iter_ : int
        The number of updates that were made.
    n_features_in_ : int
    feature_names_in_ : array of str
        Only if X had names.

    """

    _OPTIONS = ("backend", "lr", "epochs", "standardize", "tol")

    def __init__(
        self,
        *,
        backend: str = backends.DEFAULT,
        lr: Rate = "auto",
        epochs: int = 10_000,
        standardize: bool = True,
        tol: float | None = None,
    ) -> None:
        self.backend = backend
        self.lr = lr
        self.epochs = epochs
        self.standardize = standardize
        self.tol = tol

    def fit(self, X: ArrayLike, y: ArrayLike) -> Self:
        """Train on samples X (n, d) and targets y (n,).

        Raises:
            ValueError: X, y or a parameter cannot be used, or the training diverged.

        """
        require_same_index(X, y)
        given = {name: getattr(self, name) for name in self._OPTIONS}
        chosen = options.read(options.FIT, given)
        samples: Floats
        samples, targets = validate_data(
            self, X, y, dtype=np.float64, order="C", y_numeric=True, ensure_min_samples=2
        )
        names = tuple(getattr(self, "feature_names_in_", ())) or unnamed(samples.shape[1])
        data = Dataset("the samples", names, "y", samples, np.asarray(targets, dtype=np.float64))
        fit = train(data, **chosen)
        if fit.diverged:
            raise ValueError(str(fit.failure))
        if unfinished := fit.unfinished:
            warnings.warn(str(unfinished), ConvergenceWarning, stacklevel=2)
        self.coef_, self.intercept_ = fit.w, fit.b
        losses = fit.trajectory.loss
        self.loss_curve_ = np.append(losses[: -1 : -(-len(losses) // _MOST_LOSSES)], losses[-1])
        self.n_iter_ = int(fit.trajectory.epoch[-1])
        self._center, self._height = fit.center, fit.height  # not `fit`, which has the samples
        return self

    def predict(self, X: ArrayLike) -> Floats:
        """Return ŷ = Xw + b, shape (m,), for samples X (m, d)."""
        check_is_fitted(self)
        samples: Any = validate_data(self, X, dtype=np.float64, reset=False)
        with np.errstate(over="ignore", invalid="ignore"):
            y_hat: Floats = (samples - self._center) @ self.coef_ + self._height
        if not np.isfinite(y_hat).all():
            raise InputValueError("X: a prediction is beyond float64")
        return y_hat
