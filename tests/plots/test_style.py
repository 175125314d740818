"""What all pictures share."""

from pathlib import Path

import numpy as np
import pytest

from gradrace import backends
from gradrace.plots import style
from tests.runs import write_run


def test_a_backend_has_one_color_everywhere(tmp_path: Path) -> None:
    names = ["numba", "a.py", "python", "b.py", *backends.names()[3:]]
    given = backends.colors(names)
    assert len(set(given.values())) == len(names)
    race = write_run(tmp_path / "b.json", {"100x1": dict.fromkeys(names, 1e-6)})
    assert {name: look.color for name, look in style.looks(race.gradrace).items()} == given
    among_others = backends.colors(["a.py", "numba"])["numba"]
    assert among_others == given["numba"] == backends.LADDER["numba"].color


@pytest.mark.parametrize(
    ("low", "high", "numbers"),
    [
        (0.7, 1.5, [0.7, 1, 1.5]),
        (10, 300, [10, 20, 50, 100, 200]),
        (1, 1e4, [1, 10, 100, 1e3, 1e4]),
    ],
)
def test_a_short_logarithmic_axis_has_numbers_too(
    low: float, high: float, numbers: list[float]
) -> None:
    found = np.array(style.log_locator(low, high).tick_values(low, high))
    shown = found[(found > low * 0.999) & (found < high * 1.001)]
    assert shown.tolist() == pytest.approx(numbers)
