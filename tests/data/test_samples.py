"""The data that the project makes itself."""

import numpy as np
import pytest

from gradrace.bench.data.samples import (
    Dataset,
    affordable_epochs,
    reference_line,
    synthetic,
    unnamed,
)


def test_the_reference_line() -> None:
    data = reference_line()
    assert (data.X.shape, data.y.shape, data.features, data.target) == (
        (100, 1),
        (100,),
        ("x",),
        "y",
    )
    # y = 3x + 2 + the first normal numbers of seed 42, 0.496714 and −0.234587 the last
    assert data.y[0] == pytest.approx(5 + 0.4967141530112327, abs=1e-15)
    assert data.X[[0, -1], 0].tolist() == [1.0, 10.0]


def test_synthetic_data_are_the_same_every_time() -> None:
    np.testing.assert_array_equal(synthetic(10, 3).X, synthetic(10, 3).X)
    assert not np.array_equal(synthetic(10, 3).X, synthetic(10, 3, seed=1).X)


@pytest.mark.parametrize(
    ("n", "d", "epochs"), [(5, 2, 1000), (100_000, 9, 100), (10**6, 99, 10), (10**6, 1, 50)]
)
def test_the_epochs_that_plain_python_can_afford(n: int, d: int, epochs: int) -> None:
    X = np.broadcast_to(1.0, (n, d))
    assert affordable_epochs(Dataset("", unnamed(d), "", X, X[:, 0])) == epochs
