"""What all pictures share."""

import numpy as np
import pytest

from plots import style


def test_a_backend_has_one_color_everywhere() -> None:
    names = ["numba", "a.py", "python", "b.py", "a.py"]
    others = style.foreign(names)
    assert others == ["a.py", "b.py"]
    assert len({style.color(name, others) for name in names}) == 4


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
