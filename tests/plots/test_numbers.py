"""How numbers and names are written."""

import pytest

from gradrace.plots import numbers


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "0.00 ns"),
        (1.23e-9, "1.23 ns"),
        (9.996e-7, "1.00 µs"),
        (1e-6, "1.00 µs"),
        (1.234e-5, "12.3 µs"),
        (0.1234, "123 ms"),
        (0.99949, "999 ms"),
        (0.9996, "1.00 s"),
        (1234.5, "1,234 s"),
        (88037.0, "24.5 h"),
    ],
)
def test_seconds_in_si_units(value: float, text: str) -> None:
    assert numbers.seconds(value) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [(1e-10, "0.1 ns"), (1e-9, "1 ns"), (2e-5, "20 µs"), (0.1, "100 ms"), (1e4, "10,000 s")],
)
def test_round_seconds(value: float, text: str) -> None:
    assert numbers.plain_seconds(value) == text


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (100, "", "100"),
        (100, "B", "100 B"),
        (1e4, "", "10 k"),
        (1_234_567, "B/s", "1.23 MB/s"),
        (999_600, "", "1 M"),
        (1e12, "B/s", "1 TB/s"),
        (0.5, "", "0.5"),
    ],
)
def test_si_prefixes(value: float, unit: str, text: str) -> None:
    assert numbers.si(value, unit) == text


def test_a_ratio_with_and_without_interval() -> None:
    assert numbers.ratio(4.7123, 4.65, 4.77, " ×") == "4.71 × (4.65–4.77)"
    assert numbers.ratio(12_345.0, None, None) == "12,300"


@pytest.mark.parametrize(
    ("backend", "text"),
    [
        ("numpy", "numpy"),
        ("/home/me/loop.py", "loop.py"),
        ("my_$x$.py", r"my_\$x\$.py"),
        ("two\nlines.py", "two?lines.py"),
        ("a_very_long_name_of_a_backend_of_mine.py", "a_very_long_nam…d_of_mine.py"),
    ],
)
def test_names_to_draw(backend: str, text: str) -> None:
    assert numbers.backend_label(backend) == text
