"""`GradientDescentRegressor` is an estimator as scikit-learn wants them."""

import subprocess
import sys
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.datasets import load_diabetes
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

from gradrace import GradientDescentRegressor
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
