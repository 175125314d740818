"""Convert the columns of any table to float64, or say which column and row prevents it, and why."""

import re
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from gradrace.backends.interface import Floats, InputValueError, Setting

_SHOWN = 30  # characters of a cell
_MARKS = "'’\u00a0\u202f"  # of thousands, as the Swiss and the French write them
_WORDS = {
    "(large_)?string|dictionary": "text",
    "date|timestamp|time": "dates",
    "duration": "durations",
    "(large_|fixed_size_)?list": "lists",
    "struct|map": "records",
    "(large_|fixed_size_)?binary": "bytes",
}
"""What the types of Arrow hold that are not numbers, by the beginnings of their names"""
_LOOKED_AT = 1_000  # cells of a column of text


class Use(NamedTuple):
    """Which columns are wanted, and what for."""

    columns: tuple[str, ...]
    """Of a block, in this order"""
    target: str = ""
    """The last of them, if they are to train on"""
    by_default: bool = False
    """Whether it is the target only because it is the last column"""
    optional: bool = False
    """Whether the last column may hold anything, which becomes NaN"""
    drop_missing: bool = False


class _NotNumbersError(Exception):
    """What a column holds instead, and its cells, if it is text."""

    def __init__(self, what: str, cells: Sequence[Any] = ()) -> None:
        super().__init__(what)
        self.what, self.cells = what, cells


def block_of(
    name: str, columns: Sequence[Any], use: Use, before: int
) -> tuple[Floats, NDArray[np.bool_] | None]:
    """Return columns as one block (rows, len(columns)) of float64, and which rows miss a value.

    What is missing is NaN; the second value is None if nothing is. A column is an array, a `Series`
    of pandas or an array of Arrow; `before` rows come before them in the table of this name. Raises
    `InputValueError` if a column does not hold numbers, or holds one that is not finite.
    """
    block = np.empty((len(columns[0]), len(columns)), order="F")  # as the columns come
    odd: dict[str, _NotNumbersError] = {}
    with np.errstate(over="ignore"):  # a long double beyond float64 becomes inf
        for j, (column, values) in enumerate(zip(use.columns, columns, strict=True)):
            try:
                block[:, j] = _floats(values)
            except _NotNumbersError as found:
                if use.optional and j == len(columns) - 1:
                    block[:, j] = np.nan
                else:
                    odd[column] = found
    if odd:
        raise InputValueError(f"{name}: ", *_complaint(odd, use, before))
    with np.errstate(over="ignore", invalid="ignore"):
        if np.isfinite(block.sum()):
            return block, None
    if use.optional:
        block[np.isinf(block[:, -1]), -1] = np.nan
    if (infinite := np.argwhere(np.isinf(block))).size:
        i, j = (int(k) for k in infinite[0])
        place = f"column {use.columns[j]!r}, row {before + i + 1:,}"
        raise InputValueError(f"{name}: {place}: {block[i, j]} is not finite")
    needed = block[:, :-1] if use.optional else block
    missing: Any = np.isnan(needed).any(axis=1)
    return block, missing if missing.any() else None


def is_number(text: str) -> bool:
    """Whether a text is a number as float64 writes it."""
    try:
        float(text)
    except ValueError:
        return False
    return "_" not in text and text.isascii()


def oddity(values: Any) -> str:
    """Say what a column holds instead of numbers; empty if it holds them, or nothing."""
    try:
        _floats(values)
    except _NotNumbersError as found:
        return found.what
    return ""


def without(names: Sequence[str]) -> Setting:
    """Return the argument that leaves these columns out."""
    return Setting("exclude", names[0] if len(names) == 1 else list(names))


def listed(names: Sequence[str]) -> str:
    """Return names, the first twenty of many."""
    return ", ".join(names[:20]) + (", …" if len(names) > 20 else "")


def _floats(values: Any) -> Any:
    """Return a column as an array of numbers; what is missing becomes NaN."""
    if not hasattr(values, "dtype"):  # an array of Arrow
        return _of_arrow(values)
    if isinstance(values, np.ma.MaskedArray):
        return np.ma.filled(values.astype(np.float64), np.nan)
    dtype = values.dtype
    kind = getattr(dtype, "kind", "O")
    if hasattr(dtype, "pyarrow_dtype"):
        import pyarrow as pa

        return _of_arrow(pa.array(values.array))
    if hasattr(dtype, "categories"):
        if odd := oddity(dtype.categories.to_series()):
            raise _NotNumbersError(odd, values.astype(object).tolist())
        return np.append(_floats(dtype.categories.to_series()), np.nan)[values.cat.codes]
    if kind in "biuf":
        if hasattr(dtype, "itemsize") and isinstance(values, np.ndarray):
            return values
        return values.to_numpy(dtype=np.float64, na_value=np.nan)
    if kind in "UO" or str(dtype) in ("string", "str"):
        return _of_objects(values.tolist())
    words = {"c": "complex values", "M": "dates", "m": "durations", "S": "bytes", "V": "records"}
    raise _NotNumbersError(words.get(kind, str(dtype)))


def _of_arrow(values: Any) -> Any:
    import pyarrow as pa
    import pyarrow.compute as pc

    kind = values.type
    if pa.types.is_floating(kind) or pa.types.is_integer(kind):
        if isinstance(values, pa.Array) and not values.null_count:
            return np.from_dlpack(values)  # `to_numpy` imports pandas, which takes 0.3 s
        return values.to_numpy(zero_copy_only=False)
    if isinstance(kind, pa.BaseExtensionType):
        return _of_arrow(values.cast(kind.storage_type))
    if pa.types.is_run_end_encoded(kind):
        decoded = pc.run_end_decode(values)  # type: ignore[attr-defined]  # not in the stubs
        return _of_arrow(decoded)
    if pa.types.is_dictionary(kind) and not oddity(pa.array([], kind.value_type)):
        return _of_arrow(values.cast(kind.value_type))
    if pa.types.is_decimal(kind):  # a direct cast may be off in the last place
        return _of_arrow(values.cast(pa.string()).cast(pa.float64()))
    if pa.types.is_boolean(kind) or pa.types.is_null(kind):
        return _of_arrow(values.cast(pa.float64()))
    found = next((word for start, word in _WORDS.items() if re.match(start, str(kind))), str(kind))
    raise _NotNumbersError(
        found, values.slice(0, _LOOKED_AT).to_pylist() if found == "text" else ()
    )


def _of_objects(cells: Sequence[Any]) -> Floats:
    """Return objects as numbers: those of Python, NumPy, `decimal` and `fractions`."""
    if {*map(type, cells)} <= {int, float, bool, type(None)}:
        try:
            return np.array(cells, dtype=np.float64)
        except OverflowError:  # which becomes inf, below
            pass
    found = np.full(len(cells), np.nan)
    for i, cell in enumerate(cells):
        if isinstance(cell, str):
            raise _NotNumbersError("text", cells)
        if not _is_missing(cell):
            found[i] = _of_object(cell)
    return found


def _is_missing(cell: Any) -> bool:
    return cell is None or type(cell).__name__ in ("NAType", "NaTType")


def _of_object(cell: Any) -> float:
    kind = type(cell)
    words = {
        "complex values": isinstance(cell, complex),
        "dates": hasattr(cell, "isoformat"),
        "durations": hasattr(cell, "total_seconds"),
        "lists": isinstance(cell, list | tuple | np.ndarray),
        "records": isinstance(cell, dict),
        f"objects of type {kind.__name__}": not hasattr(cell, "__float__"),
    }
    if odd := next((word for word, is_odd in words.items() if is_odd), ""):
        raise _NotNumbersError(odd)
    try:
        return float(cell)
    except OverflowError:
        return np.inf
    except ValueError:  # a signaling NaN
        return np.nan


def _complaint(odd: dict[str, _NotNumbersError], use: Use, before: int) -> list[str | Setting]:
    """Say what columns hold instead of numbers, and what helps: all of them, or the first cell."""
    strays = [
        (row, column, text)
        for column, found in odd.items()
        for row, text in _strays(found.cells, before)
    ]
    whole = [column for column in odd if column not in {column for _, column, _ in strays}]
    if not whole:
        row, column, text = min(strays)
        said = f"column {column!r}, row {row:,}: {text[:_SHOWN]!r}"
        if hint := _hint(text):
            return [said, *hint]
        if not use.target:
            return [said, " is not a number; the model needs it"]
        if column == use.target:
            return [said, " is not a number"]
        return [said, " is not a number (", without([column]), " leaves the column out)"]
    others = [column for column in whole if column != use.target]
    several = "hold" if len(others) > 1 else "holds"
    names = f"column{'s' * (len(others) > 1)} {listed([repr(name) for name in others])}"
    about = f"{names} {several} {_example(odd[others[0]])}, not numbers" if others else ""
    if not use.target:
        return [f"{about}; the model needs {'them' if len(others) > 1 else 'it'}"]
    remedy: list[str | Setting] = []
    if others:
        them = "them" if len(others) > 1 else "it"
        remedy = [f"{about} (", without(others), f" leaves {them} out)"]
    if use.target not in whole:
        return remedy
    holds: list[str | Setting] = [
        f"{use.target!r} holds {_example(odd[use.target])}, not numbers",
    ]
    if use.by_default:
        holds = [
            f"{use.target!r}, the last column, was taken as the target, but holds "
            f"{_example(odd[use.target])}, not numbers; ",
            Setting("target"),
            " names another",
        ]
    return [*holds, "; ", *remedy] if remedy else holds


def _strays(cells: Sequence[Any], before: int) -> list[tuple[int, str]]:
    """Return the first text of a column, with its row, if most other cells are numbers."""
    odd = [(before + i, cell) for i, cell in enumerate(cells, 1) if isinstance(cell, str)]
    numbers = sum(not (isinstance(cell, str) or _is_missing(cell)) for cell in cells)
    looked_at = odd[:_LOOKED_AT]
    like = len(odd) * sum(bool(_hint(text)) for _, text in looked_at) / max(1, len(looked_at))
    return odd[:1] if len(odd) - like <= numbers + like else []


def _hint(text: str) -> list[str | Setting]:
    """Say which argument reads a number with commas or dots, if it is one."""
    comma, thousands = Setting("decimal", ","), Setting("thousands", ",")
    digits = text.strip().lstrip("+-")
    for mark in ",. " + _MARKS:
        decimal = {",": r"\.", ".": ","}.get(mark, "[.,]")
        whole = re.fullmatch(rf"\d{{1,3}}({re.escape(mark)}\d{{3}})+({decimal}\d+)?", digits)
        if not whole or (mark == "." and is_number(digits)):
            continue
        if mark == "," and not whole[2] and digits.count(",") == 1:
            return [
                " has a comma: ",
                thousands,
                " if it separates thousands; ",
                comma,
                " if decimals",
            ]
        found: list[str | Setting] = [" has separators of thousands: ", Setting("thousands", mark)]
        is_decimal = mark == "." or "," in (whole[2] or "")
        return [*found, " and ", comma] if is_decimal else found
    if re.fullmatch(r"\d+,\d+([eE][+-]?\d+)?", digits):
        return [" has a comma; if it is the decimal point: ", comma]
    if re.fullmatch(r"\d{1,3}\.\d{3}", digits):  # where the decimal point is a comma
        return [" has a dot: ", Setting("thousands", "."), " if it separates thousands"]
    return []


def _example(found: _NotNumbersError) -> str:
    """Name what a column holds, with an example of text."""
    texts = [cell for cell in found.cells if isinstance(cell, str)]
    text = next((text for text in texts if not is_number(text)), texts[0] if texts else "")
    if not text:
        return found.what
    is_date = re.match(r"\s*\d{1,4}[-/.]\d{1,2}[-/.]\d{1,4}", text)
    return f"{'dates' if is_date else found.what} such as {text[:_SHOWN]!r}"
