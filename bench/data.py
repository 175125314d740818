"""The samples to train on: the reference line, synthetic problems, and a person's own table."""

import re
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet

from backends.interface import Floats, InputValueError

REFERENCE_LR = 0.005
REFERENCE_EPOCHS = 10_000


@dataclass(frozen=True)
class Dataset:
    """Samples X (n, d) and y (n,) with the names of their columns."""

    name: str
    features: tuple[str, ...]
    target: str
    X: Floats
    y: Floats


def reference_line() -> Dataset:
    """Return the project's default data: 100 points of y = 3x + 2 + N(0, 1), 1 ≤ x ≤ 10, seed 42.

    Learned in 10,000 epochs with α = 0.005 from zero: w = 3.0153, b = 1.8118, loss 0.8149.
    """
    rng = np.random.RandomState(42)
    x = np.linspace(1, 10, 100)
    y = 3 * x + 2 + rng.randn(100)
    return Dataset("reference line", ("x",), "y", x.reshape(-1, 1), y)


def synthetic(n: int, d: int, seed: int = 0) -> Dataset:
    """Return n samples of d standard normal features, y = Xw + 2 + N(0, 1) with wⱼ = j + 1.

    The Hessian is close to 2I, so any α well below 1 is stable if n is much greater than d.
    """
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((n, d))
    y = X @ np.arange(1.0, d + 1) + 2 + rng.standard_normal(n)
    return Dataset(f"synthetic {n} × {d}", tuple(f"x{j}" for j in range(1, d + 1)), "y", X, y)


def affordable_epochs(data: Dataset) -> int:
    """Return how many epochs, from 10 to 1,000, plain Python makes in about ten seconds."""
    n, d = data.X.shape
    return int(np.clip(10**8 // (n * (d + 1)), 10, 1_000))


def read_table(path: Path, target: str | None = None, features: Sequence[str] = ()) -> Dataset:
    """Read a CSV, TSV, Parquet or NPZ file with named columns of numbers.

    `target` defaults to the last column, `features` to all the others; one text may name several
    columns, separated by commas. An NPZ file holds either
    X (n, d) and y (n,), or one array (n,) per column.

    Raises:
        InputValueError: the file is missing or malformed, a column unknown or not of numbers, a
            value missing, or there are fewer than two rows; the message names the place.

    """
    if not path.exists():
        raise InputValueError(f"{path}: no such file")
    readers = {".csv": _read_csv, ".tsv": _read_csv, ".parquet": _read_parquet, ".npz": _read_npz}
    reader = readers.get(path.suffix.lower())
    if path.is_dir():
        raise InputValueError(f"{path}: is a folder")
    if reader is None:
        raise InputValueError(f"{path}: needs a file ending in {', '.join(readers)}")
    try:
        columns = reader(path, target, tuple(features))
    except InputValueError:
        raise
    except (pa.ArrowException, BadZipFile, EOFError, TypeError, ValueError, zlib.error) as error:
        reason = " ".join(str(error).split())
        raise InputValueError(f"{path}: is no readable {path.suffix} file: {reason}") from None
    return _dataset(path, columns)


Columns = dict[str, Floats]


def _dataset(path: Path, columns: Columns) -> Dataset:
    """Return the columns, the target last, as samples."""
    *features, target = columns
    n = len(columns[target])
    if n < 2:
        raise InputValueError(f"{path}: needs at least two rows, has {n}")
    for name, values in columns.items():
        if not np.isfinite(values).all():
            row = int(np.argmin(np.isfinite(values)))
            what = "a value is missing" if np.isnan(values[row]) else f"{values[row]} is not finite"
            raise InputValueError(f"{path}: column {name!r}, row {row + 1}: {what}")
    X = np.column_stack([columns[name] for name in features])
    return Dataset(str(path), tuple(features), target, X, columns[target])


def _choose(
    path: Path, names: Sequence[str], target: str | None, features: tuple[str, ...]
) -> list[str]:
    """Return the names of the columns to use, the target last."""
    repeated = sorted({name for name in names if list(names).count(name) > 1})
    if repeated:
        raise InputValueError(f"{path}: has more than one column {repeated[0]!r}")
    if len(names) < 2:
        hint = "; only commas separate the columns of a .csv file" if ";" in names[0] else ""
        raise InputValueError(f"{path}: needs a feature and a target, has {names[0]!r} alone{hint}")
    if all(_is_number(name) for name in names):
        raise InputValueError(f"{path}: the first line must hold the names of the columns")
    target = names[-1] if target is None else target
    chosen = [*(_split(names, features) or [name for name in names if name != target]), target]
    for name in chosen:
        if name not in names:
            raise InputValueError(f"{path}: has no column {name!r}; it has {', '.join(names)}")
    if len(set(chosen)) < len(chosen):
        raise InputValueError(f"{path}: a column is used twice: {', '.join(chosen)}")
    return chosen


def _split(names: Sequence[str], features: tuple[str, ...]) -> list[str]:
    """Cut what is no name of a column at its commas: several names can be given as one."""
    return [
        name
        for text in features
        for name in ([text] if text in names else map(str.strip, text.split(",")))
    ]


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _read_csv(path: Path, target: str | None, features: tuple[str, ...]) -> Columns:
    parse = pyarrow.csv.ParseOptions(delimiter="\t" if path.suffix.lower() == ".tsv" else ",")
    with pyarrow.csv.open_csv(path, parse_options=parse) as head:
        chosen = _choose(path, head.schema.names, target, features)

    def read(kind: pa.DataType) -> pa.Table:
        convert = pyarrow.csv.ConvertOptions(
            include_columns=chosen, column_types=dict.fromkeys(chosen, kind)
        )
        return pyarrow.csv.read_csv(path, parse_options=parse, convert_options=convert)

    try:
        table = read(pa.float64())
    except pa.ArrowInvalid:
        _refuse_text(path, read(pa.string()))
        raise
    return {name: _to_floats(path, name, table.column(name)) for name in chosen}


def _refuse_text(path: Path, table: pa.Table) -> None:
    """Name the first entry, column by column, that is no number."""
    for name in table.column_names:
        for row, text in enumerate(table.column(name).to_pylist(), 1):
            if text and not _is_number(text):
                raise InputValueError(
                    f"{path}: column {name!r}, row {row}: {text!r} is not a number "
                    "(--features can leave the column out)"
                )


def _read_parquet(path: Path, target: str | None, features: tuple[str, ...]) -> Columns:
    with pyarrow.parquet.ParquetFile(path) as file:
        index = re.compile(r"__index_level_\d+__")  # pandas' row names, no column of the person's
        names = [name for name in file.schema_arrow.names if not index.fullmatch(name)]
        chosen = _choose(path, names, target, features)
        table = file.read(columns=chosen)
    return {name: _to_floats(path, name, table.column(name)) for name in chosen}


def _to_floats(path: Path, name: str, column: "pa.ChunkedArray[Any]") -> Floats:
    """Return a column of numbers as float64; a missing value is refused with its row."""
    kind = column.type
    if not (pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_boolean(kind)):
        raise InputValueError(f"{path}: column {name!r} holds {kind}, not numbers")
    if column.null_count:
        row = pc.index(column.is_null(), pa.scalar(value=True)).as_py() + 1
        raise InputValueError(f"{path}: column {name!r}, row {row}: a value is missing")
    return column.to_numpy().astype(np.float64)


def _read_npz(path: Path, target: str | None, features: tuple[str, ...]) -> Columns:
    with np.load(path, allow_pickle=False) as file:
        names = list(file.files)
        if set(names) == {"X", "y"} and file["X"].ndim == 2:
            X = file["X"]
            arrays = {f"x{j}": X[:, j - 1] for j in range(1, X.shape[1] + 1)} | {"y": file["y"]}
            chosen = _choose(path, list(arrays), target, features)
        else:
            chosen = _choose(path, names, target, features)
            arrays = {name: np.asarray(file[name]) for name in chosen}
    n = len(arrays[chosen[-1]]) if arrays[chosen[-1]].ndim else 0
    for name in chosen:
        values = arrays[name]
        if values.ndim != 1 or values.dtype.kind not in "biuf":
            kind = f"{values.dtype} of shape {values.shape}"
            raise InputValueError(f"{path}: array {name!r} holds {kind}, not numbers of shape (n,)")
        if len(values) != n:
            raise InputValueError(
                f"{path}: {name!r} has {len(values)} rows, {chosen[-1]!r} has {n}"
            )
    return {name: arrays[name].astype(np.float64) for name in chosen}
