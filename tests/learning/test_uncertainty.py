"""The standard error of b, against textbook formulas and against many samples."""

import numpy as np
import pytest

from gradrace.bench.data.samples import Dataset
from gradrace.bench.learning.landscape import Landscape
from gradrace.bench.learning.uncertainty import noise


def line_with_noise(seed: int) -> Dataset:
    x = np.linspace(1, 10, 100)
    noise = np.random.default_rng(seed).standard_normal(100)
    return Dataset("line", ("x",), "y", x.reshape(-1, 1), 3 * x + 2 + noise)


@pytest.mark.parametrize("standardize", [False, True])
def test_of_a_line_is_the_textbook_formula(line: Dataset, standardize: bool) -> None:
    x, y = line.X[:, 0], line.y
    w, b = np.polyfit(x, y, 1)
    s = np.sqrt(np.sum((w * x + b - y) ** 2) / 98)
    found = noise(Landscape.of(line, standardize=standardize))
    assert found is not None
    assert found.deviation == pytest.approx(s)
    assert found.error_of_b == pytest.approx(
        s * np.sqrt(1 / 100 + x.mean() ** 2 / np.sum((x - x.mean()) ** 2))
    )


def test_is_how_far_estimates_stray() -> None:
    landscapes = [Landscape.of(line_with_noise(seed)) for seed in range(500)]
    strayed = np.std([known.least_squares.b for known in landscapes])
    said = [found.error_of_b for known in landscapes if (found := noise(known))]
    assert np.mean(said) == pytest.approx(strayed, rel=0.1)


def test_is_unknown_where_samples_are_too_few_or_columns_depend() -> None:
    x = np.arange(5.0)
    two = Dataset("two", ("x",), "y", x[:2, None], x[:2])
    twice = Dataset("twice", ("a", "b"), "y", np.column_stack([x, x]), x)
    assert noise(Landscape.of(two)) is None
    assert noise(Landscape.of(twice)) is None
