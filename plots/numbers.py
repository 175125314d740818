"""How numbers and names are written, in the pictures as in the terminal. Needs no matplotlib."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

_SECONDS = ((1.0, "s"), (1e-3, "ms"), (1e-6, "µs"), (1e-9, "ns"))
_PREFIXES = ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k"))
_ROUNDS_UP = 0.9995
"""A value of at least this share of a unit is written as 1.00 of it."""


def seconds(value: float) -> str:
    """Write a time with three significant digits and an SI prefix: 1.23 ms."""
    if value >= 7200:
        return f"{_two_decimals(value / 3600)} h"
    amount, unit = _in_units(value)
    return f"{_two_decimals(amount)} {unit}"


def plain_seconds(value: float) -> str:
    """Write a round time, as on an axis: 10 µs; decades of seconds have no round hours."""
    amount, unit = _in_units(value)
    return f"{three_digits(amount)} {unit}"


def _in_units(value: float) -> tuple[float, str]:
    for factor, unit in _SECONDS:
        if value >= _ROUNDS_UP * factor:
            return value / factor, unit
    factor, unit = _SECONDS[-1]
    return value / factor, unit


def _two_decimals(value: float) -> str:
    digits = 2 if value < 9.995 else 1 if value < 99.95 else 0
    return f"{value:,.{digits}f}"


def three_digits(value: float) -> str:
    """Write a number with three significant digits and no exponent: 12,300."""
    return f"{float(f'{value:.3g}'):,.15g}"


def si(value: float, unit: str = "") -> str:
    """Write a number with three significant digits and an SI prefix: 1.23 GB, 10 k, 100."""
    for factor, prefix in _PREFIXES:
        if value >= _ROUNDS_UP * factor:
            return f"{three_digits(value / factor)} {prefix}{unit}"
    return f"{value:.3g} {unit}".rstrip()


def percent(share: float) -> str:
    """Write a share with two digits: 1.2 %."""
    return f"{100 * share:.2g} %" if share < 0.995 else f"{100 * share:,.0f} %"


def ratio(value: float, low: float | None, high: float | None, unit: str = "") -> str:
    """Write a ratio with its interval, if it has one: 4.71 (4.65–4.77)."""
    interval = f" ({three_digits(low)}–{three_digits(high)})" if low and high else ""
    return f"{three_digits(value)}{unit}{interval}"


def short(backend: str, precision: str = "float64") -> str:
    """Return a backend's name; of a path, the file's name; the revision stays.

    A precision other than float64 is added in parentheses.
    """
    path, found, revision = backend.partition(".py@")
    if found:
        name = f"{Path(path).name}.py@{revision}"
    else:
        name = Path(backend).name if backend.endswith(".py") else backend
    return name if precision == "float64" else f"{name} ({precision})"


def shortened(name: str, most: int) -> str:
    """Return a name, shortened to at most `most` characters."""
    return name if len(name) <= most else name[: most - 1] + "…"


def distinct(names: Sequence[str], most: int) -> list[str]:
    """Return names, shortened to at most `most` characters; those that begin alike keep their end.

    `most` is at least 6.
    """
    texts = [shortened(name, most) for name in names]
    same = {text for text, count in Counter(texts).items() if count > 1}
    return [
        f"{name[: most - 5]}…{name[-4:]}" if text in same and len(name) > most else text
        for name, text in zip(names, texts, strict=True)
    ]


def label(name: str, most: int = 50) -> str:
    """Return a name as text to draw: one line of limited length, without math markup."""
    visible = "".join(c if c.isprintable() else "?" for c in shortened(name, most))
    return visible.replace("$", r"\$")


def both_ends(name: str) -> str:
    """Shorten a name of more than 28 characters to its beginning and end."""
    return name if len(name) <= 28 else f"{name[:15]}…{name[-12:]}"


def backend_label(backend: str, precision: str = "float64") -> str:
    """Return a backend's name as text to draw; a long one is shortened to its beginning and end."""
    return label(short(both_ends(short(backend)), precision))
