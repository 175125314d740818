"""A table: files whose columns are found by name, and become float64 block by block."""

import re
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from gradrace.backends.interface import Floats, InputValueError, Setting
from gradrace.bench.data.batches import Chosen, Columns, GapError, Part, blocks
from gradrace.bench.data.blocks import Use, listed, without
from gradrace.bench.data.samples import Dataset
from gradrace.bench.data.sources import PLAIN, Reading

_PART = 2**24  # values of the columns used in a part of a file, 128 MB; more if there
_MOST_PARTS = 2**16  # would be more parts than this
_INDEX = re.compile(r"__index_level_\d+__|Unnamed: 0(\.\d+)*|__null_dask_index__")


@dataclass(frozen=True)
class File:
    """A file of a table, or a table in memory."""

    name: str
    names: tuple[str, ...]
    """Of the columns, without blanks around them; empty where one has none"""
    columns: Columns
    groups: tuple[int, ...] = ()
    """The rows of each group that can be read alone; () if that is not known"""
    headless: bool = False
    index: tuple[str, ...] = ()
    """Columns that number or name the rows"""
    remarks: tuple[str, ...] = ()
    estimate: float = 0
    """About how many rows there are, if that is not known"""
    folders: tuple[tuple[str, str | None], ...] = ()
    """Columns that the folders name, as year=2020, and their value"""

    @cached_property
    def unused(self) -> tuple[str, ...]:
        """The columns that are used only if they are named, as those that number the rows."""
        own = [name for name in self.names if name in self.index or _INDEX.fullmatch(name)]
        return (*own, *(name for name, _ in self.folders if name in self.index))

    @cached_property
    def offered(self) -> tuple[str, ...]:
        """The names of the columns to train on, those of the folders last."""
        left = {"", *self.unused}
        own = [name for name in self.names if name not in left]
        return (*own, *(name for name, _ in self.folders if name not in {*own, *left}))

    def has(self, columns: Sequence[str]) -> set[str]:
        """Return the names of all columns, if none of these is there twice."""
        if len(set(self.names)) < len(self.names):
            counts = Counter(self.names)
            if twice := [name for name in columns if counts[name] > 1]:
                raise InputValueError(f"{self.name}: has more than one column {twice[0]!r}")
        return {*self.offered, *self.unused}

    def chosen(self, columns: Sequence[str]) -> Chosen:
        """Return where these columns are."""
        places = {name: place for place, name in enumerate(self.names)}
        folders = {name: value for name, value in self.folders if name in set(columns) - {*places}}
        own = tuple(places[name] for name in columns if name not in folders)
        return Chosen(self.name, self.columns, own or (0,), folders)

    def parts(self, most: int) -> Iterator[Part]:
        """Yield the file in parts of at least `most` rows, as far as its groups allow."""
        if len(self.groups) < 2:
            yield None, 0, self.groups[0] if self.groups else None
            return
        ids: list[int] = []
        before = rows = 0
        for i, count in enumerate(self.groups):
            ids.append(i)
            rows += count
            if rows >= most or i == len(self.groups) - 1:
                yield tuple(ids), before, rows
                ids, before, rows = [], before + rows, 0


@dataclass(frozen=True)
class Table:
    """Files with the same columns, in memory or not."""

    name: str
    """As the user calls it"""
    files: tuple[File, ...]
    reading: Reading = PLAIN
    paths: tuple[Path, ...] = ()
    """Of the files; none if it comes from a pipe, or is in memory"""
    kind: str = ""

    @property
    def in_parts(self) -> bool:
        """Whether it can be read in parts."""
        return bool(self.paths) and self.kind in ("Parquet", "Feather", "text")

    def memory(self, use: Use) -> int:
        """Return about how many bytes the columns used take as float64."""
        rows = sum(sum(file.groups) if file.groups else file.estimate for file in self.files)
        return int(rows * len(use.columns) * 8)

    @property
    def offered(self) -> tuple[str, ...]:
        """The names of the columns to train on, of all files together."""
        return tuple(dict.fromkeys(name for file in self.files for name in file.offered))

    @property
    def rows(self) -> int | None:
        """How many rows there are, with those that miss a value; None if they are text."""
        groups = [file.groups for file in self.files]
        return sum(map(sum, groups)) if all(groups) else None

    @property
    def headless(self) -> bool:
        """Whether the columns are called x1, x2, … because no file has names for them."""
        return all(file.headless for file in self.files)

    def remarks(self, use: Use) -> tuple[str, ...]:
        """Say what is assumed about the columns, and which ones are not used."""
        said = [remark for file in self.files for remark in file.remarks]
        unused = [
            name
            for file in self.files
            for name in file.unused
            if name in file.names and name not in use.columns
        ]
        if unused:
            own = [repr(name) for name in dict.fromkeys(unused) if not name.startswith("__")]
            names = f"{listed(own)}, {'indexes' if len(own) > 1 else 'an index'} of the rows"
            said.append(f"Not used: {names if own else 'the index that pandas saved'}.")
        blank = max(file.names.count("") for file in self.files)
        if blank and not any("names of the rows" in remark for remark in said):
            what = "a column" if blank == 1 else f"{blank} columns"
            said.append(f"Not used: {what} without a name.")
        return tuple(dict.fromkeys(said))

    def use(
        self,
        target: str | None = None,
        features: Sequence[str] = (),
        exclude: Sequence[str] = (),
    ) -> Use:
        """Return which columns to train on; one string may name several, separated by commas.

        Raises `InputValueError` if one is missing, if only in a file, or used twice, or if there
        are fewer than two.
        """
        known = dict.fromkeys((*self.offered, *(n for file in self.files for n in file.unused)))
        left = _split(known, exclude)
        chosen = _split(known, features)
        _require_columns(self.name, known, [*left, *chosen], known)
        if both := [name for name in (*chosen, target) if name in left]:
            raise InputValueError(f"{self.name}: {both[0]!r} is excluded, so it cannot be used")
        offered = [name for name in self.offered if name not in set(left)]
        by_default = target is None
        if target is not None and target not in known:
            target = target.strip()
        if target is None:
            self._require_same(chosen or offered, explained=not chosen)
            target = self._last(offered)
        chosen = chosen or [name for name in offered if name != target]
        if not chosen:
            has = ", ".join(map(repr, offered)) or "nothing"
            raise InputValueError(f"{self.name}: needs a feature and a target, has only {has}")
        if target in chosen:
            raise InputValueError(
                f"{self.name}: {target!r} is the target, so it cannot be a feature, too"
            )
        columns = (*chosen, target)
        if len(set(columns)) < len(columns):
            raise InputValueError(f"{self.name}: a column is used twice: {listed(columns)}")
        _require_columns(self.name, known, [target], known)
        self._require_same(columns, explained=not features)
        return Use(columns, target, by_default, drop_missing=self.reading.drop_missing)

    def _last(self, offered: Sequence[str]) -> str:
        """Return the last of the columns offered that is in the files themselves."""
        lasts: dict[str, str] = {}
        wanted = set(offered)
        for file in self.files:
            own = [name for name in file.names if name in wanted]
            lasts.setdefault((own or ["", *offered])[-1], file.name)
        if len(lasts) > 1:
            (a, one), (b, other), *_ = lasts.items()
            raise InputValueError(
                f"{self.name}: the last column of {one} is {a!r}, that of {other} is {b!r}; ",
                Setting("target"),
                " names the one to predict",
            )
        return next(iter(lasts))

    def needed(self, columns: Sequence[str], by: str) -> Use:
        """Return the columns that something, such as a model, needs, or say which is missing."""
        for file in self.files:
            _require_columns(file.name, file.has(columns), columns, file.offered, by)
        return Use(tuple(columns))

    def _require_same(self, columns: Sequence[str], *, explained: bool) -> None:
        """Make sure that every file has these columns; `explained` if they are not asked for."""
        for file in self.files:
            has = file.has(columns)
            if missing := [column for column in columns if column not in has]:
                column = missing[0]
                other = next(f for f in self.files if column in f.has(()))
                remedy: list[str | Setting] = []
                if file.headless != other.headless:
                    remedy = ["; ", Setting("header"), " says whether each file has names"]
                elif explained:
                    remedy = ["; ", without([column]), " leaves it out"]
                raise InputValueError(
                    f"{self.name}: {file.name} has no column {column!r}, which {other.name} has",
                    *remedy,
                )

    def parts(self, use: Use) -> list[tuple[int, *Part]]:
        """Return all rows in parts, each with the place of its file."""
        most = max(_PART // len(use.columns), (self.rows or 0) // _MOST_PARTS)
        return [(i, *part) for i, file in enumerate(self.files) for part in file.parts(most)]

    def blocks(self, use: Use) -> Iterator[tuple[Floats, int]]:
        """Yield these columns block by block, as `blocks`."""
        for i, groups, before, rows in self.parts(use):
            yield from blocks(use, self.files[i].chosen(use.columns), groups, before, rows)

    def _too_few(self, n: int, use: Use) -> InputValueError:
        """Say that there are too few rows, and which values are missing in those left out."""
        said = f"{self.name}: needs at least two rows, has {n}"
        try:
            for _ in self.blocks(use._replace(drop_missing=False)):
                pass
        except GapError as gap:
            problem = gap.problem.removeprefix(f"{self.name}: ")
            said = f"{said} without a missing value; {problem}"
        return InputValueError(said)

    def samples(self, use: Use) -> Dataset:
        """Read all samples into memory; raise as `blocks`, or if there are fewer than two rows."""
        found = list(self.blocks(use))
        parts = [block for block, _ in found]
        n = sum(map(len, parts))
        left, end = sum(rows for _, rows in found) - n, n
        del found
        if n < 2:
            raise self._too_few(n, use)
        X, y = np.empty((n, len(use.columns) - 1)), np.empty(n)
        while parts:  # each is freed once it is copied, so large tables are not held twice
            block = parts.pop()
            X[end - len(block) : end], y[end - len(block) : end] = block[:, :-1], block[:, -1]
            end -= len(block)
        *features, target = use.columns
        return Dataset(
            self.name,
            tuple(features),
            target,
            X,
            y,
            self.headless,
            remarks=(*self.remarks(use), *left_out(left)),
            options=self.reading.options,
        )


def left_out(rows: int) -> tuple[str, ...]:
    """Say how many rows were left out, if any."""
    if not rows:
        return ()
    return (f"Left out: {rows:,} row{'s' * (rows != 1)} with a missing value.",)


def _require_columns(
    name: str, has: Collection[str], wanted: Sequence[str], shown: Collection[str], by: str = ""
) -> None:
    """Make sure that a table has the columns that are wanted, or needed by something."""
    if missing := [column for column in wanted if column not in has]:
        listing = listed([column for column in shown if not column.startswith("__index_level_")])
        needed = f", which {by} needs" if by else ""
        raise InputValueError(
            f"{name}: has no column {missing[0][:100]!r}{needed}; it has {listing}"
        )


def _split(names: Collection[str], words: Sequence[str]) -> list[str]:
    """Split at commas whatever is not a column name, since one string may hold several names."""
    return [
        name
        for word in words
        for name in ([word] if word in names else map(str.strip, word.split(",")))
    ]
