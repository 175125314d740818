"""A table: columns by name, read on demand, from which samples are taken."""

import re
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from gradrace.backends.interface import Floats, InputValueError
from gradrace.bench.data.samples import Dataset
from gradrace.bench.data.sources import readable

_NUMERIC = (
    pa.types.is_integer,
    pa.types.is_floating,
    pa.types.is_boolean,
    pa.types.is_decimal,
)


class Reading(NamedTuple):
    """How a table is read, as far as the file itself does not say."""

    decimal: str = "."
    """The decimal point of text"""
    encoding: str = "utf-8"
    """The encoding of text"""
    drop_missing: bool = False
    """Whether rows with a missing value are left out"""

    @classmethod
    def of(cls, decimal: str, encoding: str, *, drop_missing: bool) -> "Reading":
        """Return these after a check.

        Raises:
            InputValueError: the decimal point is neither a point nor a comma.

        """
        if decimal not in (".", ","):
            raise InputValueError(f"--decimal: must be . or a comma, got {decimal!r}")
        return cls(decimal, encoding, drop_missing)

    @property
    def options(self) -> tuple[str, ...]:
        """The options of a command that reads the same way."""
        return (
            *(("--decimal", self.decimal) if self.decimal != "." else ()),
            *(("--encoding", self.encoding) if self.encoding != "utf-8" else ()),
            *(("--drop-missing",) if self.drop_missing else ()),
        )


PLAIN = Reading()


class ColumnError(InputValueError):
    """A column holds what is not a finite number; in training, there is a remedy for that."""

    def __init__(self, problem: str, remedy: str, column: str = "") -> None:
        """Take the problem as a sentence, the option that helps, and the column to leave out."""
        super().__init__(problem)
        self.remedy, self.column = remedy, column


LEAVE_OUT = "--features can leave the column out"


@dataclass(frozen=True)
class Table:
    """The columns of a file, by name; they are read on demand."""

    name: str
    kind: str
    columns: tuple[str, ...]
    headless: bool
    """Whether the columns are called x1, x2, … because the file has no names for them"""
    _batches: Callable[[list[str]], Iterator[pa.RecordBatch]]
    reading: Reading = PLAIN
    unnamed: str = ""
    """What is not among the columns, because it only numbers or names the rows; empty if nothing"""

    @property
    def listing(self) -> str:
        """The names of the columns, at most the first twenty."""
        return _listed(self.columns)

    def rows(self, columns: Sequence[str]) -> list[Floats]:
        """Return these columns as float64, in consecutive blocks (rows, len(columns)).

        Raises:
            InputValueError: a column is missing, or has values that are not finite numbers; the
                message names the column and, if possible, the row.
            ColumnError: the same, where leaving out a column or rows would help.

        """
        require_columns(self.name, self.columns, columns)
        blocks: list[Floats] = []
        done = 0
        with readable(self.name, self.kind):
            for batch in self._batches(list(columns)):
                chosen = batch.select(list(columns))
                _require_numbers(self.name, chosen)
                missing = _missing(chosen)
                if missing.any() and not self.reading.drop_missing:
                    raise self._what_is_missing(columns)
                kept = chosen.filter(pa.array(~missing)) if missing.any() else chosen
                blocks.append(_numbers(self.name, kept, done + 1 + np.flatnonzero(~missing)))
                done += batch.num_rows
        return blocks

    def count(self, columns: Sequence[str]) -> int:
        """Return how many rows these columns have, with those that miss a value."""
        return sum(batch.num_rows for batch in self._batches(list(columns)))

    def _what_is_missing(self, columns: Sequence[str]) -> ColumnError:
        """Name the first missing value, and count the rows and columns that miss something."""
        first, rows, gaps, incomplete = "", 0, 0, set[str]()
        for batch in self._batches(list(columns)):
            chosen = batch.select(list(columns))
            flags = {name: _is_missing(chosen.column(name)) for name in columns}
            places = {name: int(np.argmax(found)) for name, found in flags.items() if found.any()}
            if places and not first:
                name = min(places, key=places.__getitem__)
                first = f"column {name!r}, row {rows + places[name] + 1}: a value is missing"
            incomplete |= places.keys()
            gaps += int(_missing(chosen).sum())
            rows += batch.num_rows
        if gaps == 1:
            return ColumnError(f"{self.name}: {first}", "--drop-missing leaves the row out")
        names = _listed([repr(name) for name in columns if name in incomplete])
        return ColumnError(
            f"{self.name}: {first}; {gaps:,} of {rows:,} rows miss something, in {names}",
            "--drop-missing leaves them out",
        )


def _missing(batch: pa.RecordBatch) -> NDArray[np.bool_]:
    """Return which rows miss a value."""
    found: NDArray[np.bool_] = np.zeros(batch.num_rows, dtype=bool)
    for values in batch.columns:
        found |= _is_missing(values)
    return found


def _is_missing(values: Any) -> NDArray[np.bool_]:
    found: NDArray[np.bool_] = pc.is_null(values, nan_is_null=True).to_numpy(zero_copy_only=False)
    return found


def dataset_of(table: Table, target: str | None = None, features: Sequence[str] = ()) -> Dataset:
    """Return the samples that some columns of a table hold.

    Raises:
        InputValueError: as `Table.rows`, with what helps; or a column is used twice, or there are
            fewer than two columns or rows.

    """
    *chosen, target = choose(table.name, table.columns, target, tuple(features))
    try:
        blocks = table.rows([*chosen, target])
    except ColumnError as error:
        raise InputValueError(remedied(error, target)) from None
    n = sum(map(len, blocks))
    if n < 2:
        raise InputValueError(f"{table.name}: needs at least two rows, has {n}")
    y = np.concatenate([block[:, -1] for block in blocks])
    X = np.empty((n, len(chosen)))
    while blocks:  # each is freed once it is copied, so large tables are not held twice
        block = blocks.pop()
        X[n - len(block) : n] = block[:, :-1]
        n -= len(block)
    dropped = table.count([*chosen, target]) - len(y) if table.reading.drop_missing else 0
    unused = (f"Not used: {table.unnamed}.",) if table.unnamed else ()
    remarks = unused + left_out(dropped)
    return Dataset(
        table.name,
        tuple(chosen),
        target,
        X,
        y,
        table.headless,
        remarks=remarks,
        options=table.reading.options,
    )


def remedied(error: ColumnError, target: str) -> str:
    """Return the message of an error with its remedy; a target cannot be left out."""
    return str(error) if error.column == target else f"{error} ({error.remedy})"


def left_out(rows: int) -> tuple[str, ...]:
    """Say how many rows were left out, if any."""
    if not rows:
        return ()
    return (f"Left out: {rows:,} row{'s' * (rows != 1)} with a missing value.",)


def require_columns(table: str, names: Collection[str], wanted: Sequence[str]) -> None:
    """Make sure that a table, which has columns of these names, has those that are wanted.

    Raises:
        InputValueError: one is missing.

    """
    missing = [name for name in wanted if name not in names]
    if missing:
        listed = _listed(tuple(names))
        raise InputValueError(f"{table}: has no column {missing[0]!r}; it has {listed}")


def choose(
    table: str, names: Sequence[str], target: str | None, features: tuple[str, ...]
) -> list[str]:
    """Return the names of the columns to use, with the target last; the table has these `names`.

    Raises:
        InputValueError: there are fewer than two columns, or one is used twice.

    """
    if len(names) < 2:
        raise InputValueError(
            f"{table}: needs a feature and a target, has {', '.join(map(repr, names))} alone"
        )
    target = names[-1] if target is None else target
    if target in _split(names, features):
        raise InputValueError(f"{table}: {target!r} is the target, so it cannot be a feature, too")
    chosen = [*(_split(names, features) or [name for name in names if name != target]), target]
    if len(set(chosen)) < len(chosen):
        raise InputValueError(f"{table}: a column is used twice: {_listed(chosen)}")
    return chosen


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names[:20]) + (", …" if len(names) > 20 else "")


def _split(names: Sequence[str], features: tuple[str, ...]) -> list[str]:
    """Split at commas whatever is not a column name, since one string may hold several names."""
    return [
        name
        for words in features
        for name in ([words] if words in names else map(str.strip, words.split(",")))
    ]


def _require_numbers(name: str, batch: pa.RecordBatch) -> None:
    """Make sure that all columns of a batch hold numbers."""
    for column, values in zip(batch.schema.names, batch.columns, strict=True):
        if not is_numeric(values.type):
            kind = values.type.value_type if pa.types.is_dictionary(values.type) else values.type
            word = re.sub("large_string|string_view", "string", str(kind)) + _example(values, kind)
            problem = f"{name}: column {column!r} holds {word}, not numbers"
            raise ColumnError(problem, LEAVE_OUT, column)


def _example(values: Any, kind: pa.DataType) -> str:
    """Quote the first text of a column that is not a number, if there is one."""
    if not str(kind).endswith(("string", "string_view")):
        return ""
    texts = (text for text in values.to_pylist() if text is not None and not _is_number(text))
    found = next(texts, "")
    return f" such as {found[:30]!r}" if found else ""


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def is_numeric(kind: pa.DataType) -> bool:
    """Whether values of this type are numbers, or true and false."""
    if pa.types.is_dictionary(kind):
        return is_numeric(kind.value_type)
    return any(is_kind(kind) for is_kind in _NUMERIC)


def _numbers(name: str, batch: pa.RecordBatch, places: NDArray[np.int64]) -> Floats:
    """Return a batch as one array of finite numbers; `places` are the rows in the file."""
    rows = np.empty((batch.num_rows, batch.num_columns))
    for j, values in enumerate(batch.columns):
        rows[:, j] = _plain(values).to_numpy(zero_copy_only=False)
    if not np.isfinite(rows).all():
        i, j = (int(k) for k in np.argwhere(~np.isfinite(rows))[0])
        place = f"column {batch.schema.names[j]!r}, row {places[i]}"
        raise InputValueError(f"{name}: {place}: {rows[i, j]} is not finite")
    return rows


def _plain(values: Any) -> Any:
    """Return decimals as floats, and dictionary-encoded values as plain ones."""
    if pa.types.is_dictionary(values.type):
        values = values.dictionary_decode()
    return values.cast(pa.float64()) if pa.types.is_decimal(values.type) else values


def without_index(names: Sequence[str]) -> tuple[str, ...]:
    """Leave out the row names that pandas adds; they are not columns of the user's table."""
    return tuple(name for name in names if not re.fullmatch(r"__index_level_\d+__", name))
