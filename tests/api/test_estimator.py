"""`GradientDescentRegressor` is an estimator as scikit-learn wants them."""

import pickle
import subprocess
import sys
import warnings
from typing import Any, cast

import numpy as np
import pandas as pd
import pytest
from sklearn.datasets import load_diabetes
from sklearn.exceptions import ConvergenceWarning
from sklearn.metrics import r2_score
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

from gradrace import GradientDescentRegressor, fit
from tests.conftest import FOREIGN


@pytest.fixture(scope="module")
def diabetes() -> Any:
    return load_diabetes(as_frame=True, scaled=False)


@pytest.mark.filterwarnings("ignore::UserWarning")
@parametrize_with_checks(  # type: ignore[untyped-decorator]  # scikit-learn has no types
    [
        GradientDescentRegressor(epochs=1_000),
        GradientDescentRegressor(backend="numpy", epochs=1_000, standardize=False),
    ]
)
def test_every_check_of_scikit_learn(estimator: Any, check: Any) -> None:
    check(estimator)


def test_finds_the_least_squares(diabetes: Any) -> None:
    X, y = diabetes.data, diabetes.target
    model = GradientDescentRegressor().fit(X, y)
    best, *_ = np.linalg.lstsq(np.column_stack([X, np.ones(len(y))]), y, rcond=None)
    assert np.append(model.coef_, model.intercept_) == pytest.approx(best, rel=1e-3)
    assert model.score(X, y) == pytest.approx(0.5177, abs=1e-3)
    assert model.feature_names_in_.tolist() == list(X.columns)
    assert model.loss_curve_[-1] < model.loss_curve_[0]
    assert model.n_iter_ == 10_000


def test_in_a_pipeline_and_a_search(diabetes: Any) -> None:
    X, y = diabetes.data, diabetes.target
    piped = make_pipeline(StandardScaler(), GradientDescentRegressor(standardize=False))
    assert cross_val_score(piped, X, y, cv=3).mean() > 0.4
    search = GridSearchCV(piped, {"gradientdescentregressor__epochs": [1, 2_000]}, cv=3)
    with pytest.warns(ConvergenceWarning):
        search.fit(X, y)
    assert search.best_params_ == {"gradientdescentregressor__epochs": 2_000}


def test_says_what_is_left(diabetes: Any) -> None:
    model = GradientDescentRegressor(standardize=False, epochs=100)
    with pytest.warns(ConvergenceWarning, match="With standardize=True, fewer epochs"):
        model.fit(diabetes.data[["bmi"]], diabetes.target)


def test_divergence_is_an_error() -> None:
    with pytest.raises(ValueError, match="diverged"):
        GradientDescentRegressor(lr=10.0).fit([[1.0], [2.0], [4.0]], [1.0, 2.0, 3.0])


def test_any_backend() -> None:
    frame = pd.DataFrame({"a": [1.0, 2, 4], "b": [0.0, 1, 1]})
    model = GradientDescentRegressor(backend=str(FOREIGN / "good.py")).fit(frame, [1.0, 2, 4])
    assert model.predict(frame) == pytest.approx([1, 2, 4], rel=1e-3)


def test_without_scikit_learn_it_says_what_to_install() -> None:
    code = (
        "import sys; sys.modules['sklearn'] = None; from gradrace import GradientDescentRegressor"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=False,
    )
    assert "needs scikit-learn: pip install 'gradrace[scikit-learn]'" in done.stderr


def test_its_pickle_holds_the_model_and_no_samples(diabetes: Any) -> None:
    X, y = diabetes.data, diabetes.target
    model = GradientDescentRegressor(epochs=5_000, tol=1e-9).fit(X, y)
    kept = pickle.dumps(model)
    assert len(kept) < 10_000 + 8 * X.shape[1]
    assert X.to_numpy()[7, 3].tobytes() not in kept
    np.testing.assert_array_equal(pickle.loads(kept).predict(X), model.predict(X))
    assert 2 < len(model.loss_curve_) <= 500


def test_parameters_are_taken_as_fit_takes_them(diabetes: Any) -> None:
    X, y = diabetes.data, diabetes.target
    whole = GradientDescentRegressor(epochs=1_000).fit(X, y)
    np.testing.assert_array_equal(
        GradientDescentRegressor(epochs=cast(int, 1e3)).fit(X, y).coef_, whole.coef_
    )
    for wrong in ({"standardize": "no"}, {"epochs": 2.5}, {"lr": "fast"}):
        with pytest.raises((ValueError, TypeError), match=next(iter(wrong))):
            GradientDescentRegressor(**wrong).fit(X, y)
    with pytest.raises(ValueError, match="their indexes differ: row 1 is 0 in X and 441 in y"):
        GradientDescentRegressor().fit(X, y[::-1])


@pytest.mark.parametrize("y", [[0.1] * 4, [7.0] * 4, [-1e9] * 4])
def test_r_squared_of_a_constant_target_is_that_of_scikit_learn(y: list[float]) -> None:
    X = [[1.0], [2.0], [4.0], [3.0]]
    for model in (fit(X, y, standardize=True), fit(X, y, lr=0.01, epochs=9_000)):
        perfect = model.predict(X).tolist() == y
        assert model.score(X, y) == (1.0 if perfect else 0.0)
        if float(np.mean(y)) == y[0]:  # or scikit-learn does not notice that y is constant
            assert model.score(X, y) == r2_score(y, model.predict(X))
        assert model.score() in (0.0, 1.0)
        assert f"R² = {model.score():.4g}" in repr(model)


def test_what_has_reached_tol_is_there(diabetes: Any) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model = fit(diabetes.data, diabetes.target, standardize=True, tol=0.05)
        GradientDescentRegressor(tol=0.05).fit(diabetes.data, diabetes.target)
    assert model.stopped
    assert "Not there yet" not in str(model.summary())
