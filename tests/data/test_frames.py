"""Tables in Python: frames, dictionaries, records, arrays, with columns of any type."""

from collections.abc import Callable
from decimal import Decimal
from fractions import Fraction
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
import scipy.sparse  # type: ignore[import-untyped]  # it has no types

from gradrace.backends.interface import InputValueError
from gradrace.bench.data.frames import samples_of
from gradrace.bench.data.sources import Reading

X, Y = [1.0, 2.0, 4.0], [3.0, 1.0, 2.0]
WHOLE = [1, 2, 4]
COLUMNS: dict[str, Any] = {
    "big-endian": np.array(X, ">f8"),
    "long double": np.array(X, "g"),
    "half": np.array(X, "f2"),
    "objects": np.array([1, Decimal(2), Fraction(4)], dtype=object),
    "of 128 bits": [2**70, 2**71, 2**72],
    "nullable": pd.array(WHOLE, dtype="Int64"),
    "Arrow in pandas": pd.array(X, dtype="float64[pyarrow]"),
    "Arrow decimals in pandas": pd.array(
        [Decimal(x) for x in WHOLE], pd.ArrowDtype(pa.decimal128(9, 2))
    ),
    "sparse": pd.arrays.SparseArray(X),
    "categories": pd.Categorical(X),
    "masked, of nothing": np.ma.array(X, mask=[False] * 3),
    "Arrow": pa.array(X),
    "Arrow dictionary": pa.array(X).dictionary_encode(),
    "Polars": pl.Series(X),
    "Polars, 128 bits": pl.Series([2**70, 2**71, 2**72], dtype=pl.Int128),
}


@pytest.mark.parametrize("name", COLUMNS)
@pytest.mark.parametrize("frame", [dict, pd.DataFrame])
def test_columns_of_any_type(name: str, frame: Callable[[Any], Any]) -> None:
    if frame is pd.DataFrame and name in (
        "Arrow",
        "Arrow dictionary",
        "Polars",
        "Polars, 128 bits",
    ):
        return
    values = COLUMNS[name] if frame is dict else pd.Series(COLUMNS[name])
    unit = 2.0**70 if "128" in name else 1.0
    data = samples_of(frame({"x": values, "y": Y}))
    assert (data.X.ravel() / unit).tolist() == X
    beside = samples_of({"x": X}, values)
    assert (beside.y / unit).tolist() == X


def test_what_is_masked_is_missing() -> None:
    x: Any = np.ma.masked_equal(X, 2.0)
    objects = pd.DataFrame({"x": pd.array([1, pd.NA, 4], dtype=object), "y": Y})
    dropping = Reading(drop_missing=True)
    for table in ({"x": x, "y": Y}, objects):
        with pytest.raises(InputValueError, match="column 'x', row 2: a value is missing"):
            samples_of(table)
        assert samples_of(table, reading=dropping).y.tolist() == [3.0, 2.0]
    matrix: Any = np.ma.masked_equal(np.array([X]).T, 1.0)
    whole = samples_of(matrix, Y, reading=dropping)
    assert (whole.X.ravel().tolist(), whole.y.tolist()) == ([2.0, 4.0], [1.0, 2.0])


def test_arrow_decimals_are_the_nearest_float() -> None:
    cents = [Decimal(f"{i}.{i % 100:02}") for i in range(1000, 1999)]
    data = samples_of(pa.table({"x": pa.array(cents, pa.decimal128(15, 2)), "y": cents}))
    assert data.X.ravel().tolist() == [float(cent) for cent in cents] == data.y.tolist()


def test_records_are_a_table() -> None:
    records = np.array([(1, 3), (2, 1), (4, 2)], dtype=[("x", ">i4"), ("y", "f4")])
    data = samples_of(records)
    assert (data.features, data.target, data.X.ravel().tolist()) == (("x",), "y", X)


def test_what_is_sparse_is_made_dense_up_to_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    sparse = scipy.sparse.csr_array(np.array([X]).T)
    assert samples_of(sparse, Y).X.ravel().tolist() == X
    frame = pd.DataFrame({"x": X, "y": Y}).astype(pd.SparseDtype(float, 0.0))
    assert samples_of(frame).X.ravel().tolist() == X
    monkeypatch.setattr("psutil.virtual_memory", lambda: SimpleNamespace(available=40))
    for X_, y in ((sparse, Y), (frame, None)):
        with pytest.raises(
            InputValueError, match=r"X: is sparse; dense, it takes .*, more than ha"
        ):
            samples_of(X_, y)


INDEXES = ([2, 1, 0], ["a", "b", "c"], pd.date_range("2026", periods=3))


@pytest.mark.parametrize("index", INDEXES, ids=["turned", "text", "dates"])
def test_a_frame_and_a_series_must_have_the_same_index(index: Any) -> None:
    frame, y = pd.DataFrame({"x": X}), pd.Series(Y, index=index)
    first = next(iter(pd.Index(index)))
    with pytest.raises(InputValueError) as caught:
        samples_of(frame, y)
    assert f"their indexes differ: row 1 is 0 in X and {first!r} in y" in str(caught.value)
    assert samples_of(frame, y.to_numpy()).y.tolist() == Y
    assert samples_of(frame.set_index(pd.Index(index)), y).y.tolist() == Y
    assert samples_of(frame.set_index(pd.Index(index)), y.to_frame()).y.tolist() == Y


ODD: dict[str, tuple[Any, str]] = {
    "complex": ([1j, 2j, 3j], "complex values"),
    "dates": (pd.date_range("2026", periods=3), "dates"),
    "durations": (pd.to_timedelta([1, 2, 3]), "durations"),
    "lists": (pd.Series([[1], [2], [3]]), "lists"),
    "text": (list("abc"), "text such as 'a'"),
    "categories": (pd.Categorical(list("abc")), "text such as 'a'"),
    "Polars categories": (pl.Series(list("abc"), dtype=pl.Categorical), "text such as 'a'"),
    "a signaling NaN and text": (np.array([Decimal("sNaN"), "b", "c"], object), "text such as 'b'"),
}


@pytest.mark.parametrize("name", ODD)
def test_what_is_no_number_is_named(name: str) -> None:
    values, what = ODD[name]
    with pytest.raises(InputValueError) as caught:
        samples_of({"x": values, "y": Y})
    assert str(caught.value) == (
        f"the table: column 'x' holds {what}, not numbers (exclude='x' leaves it out)"
    )


def test_a_name_twice_matters_only_if_it_is_used() -> None:
    frame = pd.DataFrame([[1, 2, 3.0, 4], [2, 3, 1.0, 5]], columns=["x", "x", "z", " y "])
    with pytest.raises(InputValueError, match="has more than one column 'x'"):
        samples_of(frame)
    data = samples_of(frame, target=" y ", features=["z"])
    assert (data.features, data.target) == (("z",), "y")
