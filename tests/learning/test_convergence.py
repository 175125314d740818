"""Regimes, time constants and predicted epochs, against runs."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gradrace.bench.data.samples import Dataset, synthetic
from gradrace.bench.learning.convergence import directions, epochs_needed, regime
from gradrace.bench.learning.curvature import Hessian, hessian
from gradrace.bench.learning.least_squares import least_squares
from gradrace.bench.learning.rates import measured_epochs
from gradrace.bench.learning.training import train


@pytest.mark.parametrize(
    ("share", "expected"),
    [
        (0.09, "slow"),
        (0.11, "stable"),
        (0.5, "stable"),
        (0.51, "oscillating"),
        (0.999, "oscillating"),
        (1.0, "diverges"),
        (5.0, "diverges"),
    ],
)
def test_regimes_by_the_share_of_the_limit(line: Dataset, share: float, expected: str) -> None:
    H = hessian(line.X)
    assert regime(H, share * H.limit) == expected


@settings(deadline=None, max_examples=40)
@given(st.integers(1, 4), st.integers(0, 10**6), st.floats(0.02, 0.98))
def test_predicted_epochs_are_those_of_a_run(d: int, seed: int, share: float) -> None:
    rng = np.random.default_rng(seed)
    plain = synthetic(15, d, seed)
    data = Dataset("mixed", plain.features, "y", plain.X * 3.0 ** rng.integers(-1, 2, d), plain.y)
    H, best = hessian(data.X), least_squares(data)
    lr = share * H.limit
    along = directions(H, -np.append(best.w, best.b))
    predicted = epochs_needed(along, lr, 0.01 * best.loss)
    path = train(data, lr=lr, epochs=20_000).trajectory
    assert measured_epochs(path, 1.01 * best.loss) == (
        predicted if predicted is not None and predicted <= 20_000 else None
    )


def test_time_constants_have_all_their_digits() -> None:
    (flat,) = directions(Hessian(np.array([3e-13]), np.eye(1)), np.ones(1))
    assert flat.time_constant(0.01) == pytest.approx(1 / 3e-15, rel=1e-12)
    assert flat.time_constant(1 / 3e-13) == 0
    assert flat.time_constant(3 / 3e-13) is None  # the error grows
    assert flat.time_constant(1e-300) == pytest.approx(1 / 3e-313, rel=1e-3)


def test_never_is_never(line: Dataset) -> None:
    H, best = hessian(line.X), least_squares(line)
    along = directions(H, -np.append(best.w, best.b))
    assert epochs_needed(along, 1.001 * H.limit, 1.0) is None
    assert epochs_needed(along, 0.01, 0.0) is None
    assert epochs_needed(along, 1e-300, 1.0) is None
    assert epochs_needed(along, 0.01, 1e9) == 0
