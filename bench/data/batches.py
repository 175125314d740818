"""Read a part of a file: its columns as float64, block by block, and what they miss."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from gradrace.backends.interface import Floats, InputValueError, Samples, Setting
from gradrace.bench.data.blocks import Use, block_of, listed

Columns = Callable[[Sequence[int] | None, Sequence[int]], Iterator[list[Any]]]
"""Yields the columns at some places, of some groups of rows or of all, batch by batch."""


Part = tuple[tuple[int, ...] | None, int, int | None]
"""Some rows of a file: its groups, or all if None; the rows before them; how many, if known."""


class Chosen(NamedTuple):
    """The columns of a file that are used, without what else is known of it."""

    name: str
    """Of the file, for messages"""
    columns: Columns
    places: tuple[int, ...]
    """Of those that are in the file itself"""
    folders: dict[str, str | None]
    """The values of those that are not"""


class GapError(InputValueError):
    """Values are missing, and may not be."""

    def __init__(self, problem: str, *remedy: str | Setting) -> None:
        """Take the problem, and what can be done about it."""
        super().__init__(problem, *remedy)
        self.problem = problem


def blocks(
    use: Use, file: Chosen, groups: tuple[int, ...] | None, before: int, rows: int | None
) -> Iterator[tuple[Floats, int]]:
    """Yield the columns of a part as float64, block by block, each with its number of rows there.

    Rows that miss a value are left out if they may be. An `InputValueError` with file, column and
    row says what cannot be used: a file that is damaged, or has another number of rows than it
    says; a column that does not hold numbers, or misses a value.
    """
    own = [name for name in use.columns if name not in file.folders]
    gaps, done = _Gaps(use), 0
    for found in file.columns(groups, file.places):
        n = len(found[0])
        given = dict(zip(own, found, strict=False))  # all may be of folders
        given |= {name: _repeated(value, n) for name, value in file.folders.items()}
        block, missing = block_of(
            file.name, [given[name] for name in use.columns], use, before + done
        )
        done += n
        if missing is not None and use.drop_missing:
            block = np.asfortranarray(block[~missing])
        elif missing is not None:
            gaps.add(block, missing, before + done - n)
        if not gaps.first:
            yield block, n
    if gaps.first:
        raise gaps.error(file.name, None if groups else done)
    if rows is not None and done != rows:
        raise InputValueError(f"{file.name}: has {done:,} rows, but its metadata says {rows:,}")


def samples_in(use: Use, files: Sequence[Chosen], i: int, *part: Any) -> Iterator[Samples]:
    """Yield the samples of a part of a file, batch by batch."""
    for block, _ in blocks(use, files[i], *part):
        yield block[:, :-1], block[:, -1]


def _repeated(value: str | None, n: int) -> Any:
    """Return the value of a folder as a column."""
    try:
        return np.full(n, np.nan if value is None else float(value))
    except ValueError:
        return np.full(n, value, dtype=object)


class _Gaps:
    """The missing values of a part."""

    def __init__(self, use: Use) -> None:
        self.use, self.first, self.rows, self.columns = use, "", 0, set[int]()

    def add(self, block: Floats, missing: Any, before: int) -> None:
        gaps = np.isnan(block)
        if not self.first:
            i, j = (int(k) for k in np.argwhere(gaps & missing[:, None])[0])
            self.first = f"column {self.use.columns[j]!r}, row {before + i + 1:,}"
        self.rows += int(missing.sum())
        self.columns |= set(np.flatnonzero(gaps.any(axis=0)).tolist())

    def error(self, file: str, rows: int | None) -> GapError:
        said = f"{file}: {self.first}: a value is missing"
        if not self.use.target:
            return GapError(said, "; the model needs it")
        if self.rows == 1:
            return GapError(said, " (", Setting("drop_missing", True), " leaves the row out)")
        names = [repr(self.use.columns[j]) for j in sorted(self.columns)]
        of = f"{self.rows:,} rows" if rows is None else f"{self.rows:,} of {rows:,} rows"
        many = f"{of} miss a value, in {listed(names)}"
        drop = Setting("drop_missing", True)
        return GapError(f"{said}; {many}", " (", drop, " leaves them out)")
