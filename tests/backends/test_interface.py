"""Every backend refuses bad arguments in the same way: by name, before any work."""

from collections.abc import Callable
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from gradrace.backends.interface import Backend, InputError
from tests.conftest import assert_same_bits

X = [[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]]
Y = [1.0, 2.0, 3.0]
MASKED = np.ma.masked_greater(X, 5.0)

SAMPLES: dict[str, tuple[Any, Any, type[Exception], str]] = {
    "X is flat": ([1.0, 2.0], Y, ValueError, r"X: needs shape \(n, d\).*got \(2,\).*reshape"),
    "X is a number": (1.0, Y, ValueError, r"X: needs shape.*got \(\)"),
    "X has three axes": ([X], Y, ValueError, r"X: needs shape.*got \(1, 3, 2\)"),
    "X has no rows": (np.empty((0, 2)), [], ValueError, r"X: needs at least one.*\(0, 2\)"),
    "X has no columns": (np.empty((3, 0)), Y, ValueError, r"X: needs at least one.*\(3, 0\)"),
    "X is ragged": ([[1.0], [2.0, 3.0]], Y, ValueError, r"X: .*rows of unequal length"),
    "y has two axes": (X, [Y], ValueError, r"y: needs shape \(n,\).*got \(1, 3\)"),
    "y is short": (X, [1.0, 2.0], ValueError, r"y: needs one value per row of X, 3, got 2"),
    "X holds nan": ([[1.0, np.nan]], [1.0], ValueError, r"X: must be finite, got nan at X\[0, 1\]"),
    "X holds inf": ([[np.inf, 1.0]], [1.0], ValueError, r"X: must be finite, got inf at X\[0, 0\]"),
    "y holds nan": (X, [1.0, 2.0, np.nan], ValueError, r"y: must be finite, got nan at y\[2\]"),
    "X is complex": ([[1j]], [1.0], TypeError, r"X: needs real numbers, got dtype complex128"),
    "X is text": ([["1", "2"]], [1.0], TypeError, r"X: needs real numbers, got dtype <U1"),
    "X is objects": ([[None, 1.0]], [1.0], TypeError, r"X: needs real numbers, got dtype object"),
    "X is dates": (np.array([["2026-01-01"]], "M8[D]"), [1.0], TypeError, r"X: .*datetime64"),
    "X is masked": (MASKED, Y, TypeError, r"X: is a masked array; fill or drop"),
    "y is masked": (X, MASKED[:, 0], TypeError, r"y: is a masked array"),
    "X is missing": (None, Y, TypeError, r"X: needs real numbers, got dtype object"),
    "a long double too large": (
        np.array([[np.longdouble("1e4000")]]),
        [1.0],
        ValueError,
        r"X: must be finite, got inf",
    ),
}


@pytest.mark.parametrize("name", SAMPLES)
def test_samples_that_cannot_be_used(backend: Backend, name: str) -> None:
    X, y, error, message = SAMPLES[name]
    with pytest.raises(error, match=message) as caught:
        backend.prepare(X, y)
    assert isinstance(caught.value, InputError)


ARGUMENTS: dict[str, tuple[dict[str, Any], type[Exception], str]] = {
    "lr zero": ({"lr": 0}, ValueError, r"lr: must be greater than 0, got 0"),
    "lr negative": ({"lr": -0.1}, ValueError, r"lr: must be greater than 0, got -0.1"),
    "lr nan": ({"lr": np.nan}, ValueError, r"lr: must be finite, got nan"),
    "lr inf": ({"lr": np.inf}, ValueError, r"lr: must be finite, got inf"),
    "lr huge integer": ({"lr": 10**400}, ValueError, r"lr: must be finite"),
    "lr text": ({"lr": "0.1"}, TypeError, r"lr: needs a real number, got '0.1'"),
    "lr complex": ({"lr": 1j}, TypeError, r"lr: needs a real number, got 1j"),
    "lr bool": ({"lr": True}, TypeError, r"lr: needs a real number, got True"),
    "lr missing": ({"lr": None}, TypeError, r"lr: needs a real number, got None"),
    "lr array": ({"lr": np.array([0.1])}, TypeError, r"lr: needs a real number"),
    "epochs negative": ({"epochs": -1}, ValueError, r"epochs: must be at least 0, got -1"),
    "epochs float": ({"epochs": 10.0}, TypeError, r"epochs: needs an integer, got 10.0"),
    "epochs bool": ({"epochs": True}, TypeError, r"epochs: needs an integer, got True"),
    "epochs text": ({"epochs": "9"}, TypeError, r"epochs: needs an integer, got '9'"),
    "epochs beyond integers": ({"epochs": 10**30}, ValueError, r"epochs: must be at most 10+, got"),
    "every beyond integers": ({"every": 10**30}, ValueError, r"every: must be at most 10+, got"),
    "every zero": ({"every": 0}, ValueError, r"every: must be at least 1, got 0"),
    "every float": ({"every": 2.0}, TypeError, r"every: needs an integer, got 2.0"),
    "w0 short": ({"w0": [1.0]}, ValueError, r"w0: needs one weight per feature, 2, got 1"),
    "w0 a number": ({"w0": 1.0}, ValueError, r"w0: needs shape \(2,\).*got \(\)"),
    "w0 nan": ({"w0": [1.0, np.nan]}, ValueError, r"w0: must be finite, got nan at w0\[1\]"),
    "w0 text": ({"w0": ["1", "2"]}, TypeError, r"w0: needs real numbers"),
    "b0 inf": ({"b0": np.inf}, ValueError, r"b0: must be finite, got inf"),
    "b0 text": ({"b0": "0"}, TypeError, r"b0: needs a real number, got '0'"),
    "b0 array": ({"b0": [0.0]}, TypeError, r"b0: needs a real number, got \[0.0\]"),
}


@pytest.mark.parametrize("name", ARGUMENTS)
def test_arguments_that_cannot_be_used(backend: Backend, name: str) -> None:
    changed, error, message = ARGUMENTS[name]
    data = backend.prepare(X, Y)
    with pytest.raises(error, match=message) as caught:
        backend.train(data, **{"lr": 0.01, "epochs": 3, **changed})
    assert isinstance(caught.value, InputError)


NUMBERS: dict[str, Callable[[float], Any]] = {
    "float64": np.float64,
    "longdouble": np.longdouble,
    "Fraction": Fraction,
}


@pytest.mark.parametrize("kind", NUMBERS)
def test_any_real_number_will_do(backend: Backend, kind: str) -> None:
    data = backend.prepare(X, Y)
    expected = backend.train(data, lr=0.0078125, epochs=3, b0=0.5, every=2)
    number = NUMBERS[kind]
    job: dict[str, Any] = {"epochs": np.uint8(3), "every": np.int16(2)}
    same = backend.train(data, lr=number(0.0078125), b0=number(0.5), **job)
    assert_same_bits(same, expected)
