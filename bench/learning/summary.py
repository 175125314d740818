"""Samples that are not in memory: the one pass over them, and what it leaves for training.

The pass condenses the samples to n, S = AᵀA and R, A = [1 X y] = QR. All that is asked of samples
follows from R: the loss at any (w, b) is ‖Rθ‖²/n with θ = (b, w, −1), the curvature comes from its
singular values, and since the ones come first, its first row holds the means of the columns, times
√n, and the other rows are the triangular factor of the centered columns. So standardizing takes no
second pass. R is kept for columns from which a value amid them is subtracted, so that no digits are
lost if their mean is much larger than their deviation.
"""

from collections.abc import Callable, Iterator, MutableMapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, NamedTuple, Self
from zlib import crc32

import numpy as np

from gradrace import backends
from gradrace.backends.interface import Backend, Floats, InputValueError, Setting
from gradrace.bench.data.columns import spread
from gradrace.bench.data.reader import Files
from gradrace.bench.data.samples import Samples, Truth
from gradrace.bench.machine.progress import Progress, silent
from gradrace.bench.proof.exact_sums import ExactSums, Gathering, joined
from gradrace.bench.proof.oracle import Sums, in_decimals, sums_without_rounding
from gradrace.bench.proof.problems import Problem

Batches = Iterator[tuple[Floats, Floats]]

MOST_POINTS = 1_000  # of a sample to draw
MOST_VALUES = 2**15  # of them


@dataclass(frozen=True)
class Summary:
    """What is known of samples that are not in memory; as a `Samples`, without the samples."""

    files: Files
    condensed: Any
    """What the backend for large data trains on"""
    R: Floats
    """(d + 2, d + 2) the triangular factor of [1 X−x̃ y−ỹ]"""
    center: Floats
    """(d + 1,) x̃ and ỹ"""
    extremes: tuple[Floats, Floats]
    """The smallest and the largest value of every column, (d + 1,) each"""
    rows: Floats
    """(m, d + 1) some of the samples, at random"""
    exact: ExactSums | None = None
    """Sums without rounding, if they were asked for"""
    truth: Truth | None = None

    @property
    def name(self) -> str:
        """Where the samples are from."""
        return self.files.name

    @property
    def features(self) -> tuple[str, ...]:
        """The names of the d features."""
        return self.files.features

    @property
    def target(self) -> str:
        """The name of the target."""
        return self.files.target

    @property
    def headless(self) -> bool:
        """Whether the columns have no names."""
        return self.files.table.headless

    @property
    def options(self) -> tuple[str, ...]:
        """The options of a command that reads the files the same way."""
        return self.files.table.reading.options

    @property
    def remarks(self) -> tuple[str, ...]:
        """What is left out."""
        return self.files.remarks(self.n)

    @property
    def n(self) -> int:
        """The number of samples."""
        return int(self.condensed.n)

    @property
    def mean_square(self) -> float:
        """(1/n) Σ yᵢ²; inf where float64 overflows."""
        return self.loss(np.zeros(len(self.features)), 0.0)

    def moments(self) -> tuple[Floats, Floats]:
        """Return mean and standard deviation of every column, as `Samples.moments`."""
        low, high = self.extremes
        constant = low == high
        mean = np.where(constant, low, self.center + self.R[0, 1:] / self.R[0, 0])
        names = (*self.features, self.target)
        deviation = [
            1.0 if same else spread(self.name, name, column, self.n)
            for name, same, column in zip(names, constant, self.R[1:, 1:].T, strict=True)
        ]
        return mean, np.array(deviation)

    def scaled(self, mean: Floats, deviation: Floats) -> Self:
        """Return the samples with every column x replaced by (x − mean)/deviation."""
        low, high = self.extremes
        R = self.R.copy()
        R[0, 1:] += R[0, 0] * (self.center - mean)
        R[:, 1:] /= deviation
        R[:, 1:][:, low == high] = 0.0
        S = R.T @ R
        S[0, 0] = self.n
        units = np.ones(len(self.features))
        condensed = self.condensed._replace(S=S, R=np.ascontiguousarray(R.T), units=units)
        return replace(
            self,
            condensed=condensed,
            R=R,
            center=np.zeros_like(self.center),
            extremes=((low - mean) / deviation, (high - mean) / deviation),
            rows=(self.rows - mean) / deviation,
            exact=None,
        )

    def factor(self, unit: float) -> Floats:
        """Return R (d + 2, d + 1) with RᵀR = AᵀA/unit², A = [X 1]."""
        ones = self.R[:, :1]
        return np.hstack([self.R[:, 1:-1] + ones * self.center[:-1], ones]) / unit

    def centered_factor(self) -> Floats:
        """Return R (d + 1, d + 1) of [X y], for columns whose mean is 0."""
        return self.R[1:, 1:]

    def loss(self, w: Floats, b: float) -> float:
        """Return (1/n) ‖Xw + b − y‖²."""
        with np.errstate(all="ignore"):
            b = b + self.center[:-1] @ w - self.center[-1]
            r = self.R @ np.concatenate([[b], w, [-1.0]])
            return float(r @ r) / self.n

    def points(self) -> tuple[Floats, Floats]:
        """Return some of the samples, at random."""
        return self.rows[:, :-1], self.rows[:, -1]

    def for_training(self, module: Backend) -> Any:
        """Return what the backend for large data trains on.

        Raises:
            InputValueError: it is another one.

        """
        if module is not backends.load(self.files.backend):
            only = Setting("backend", self.files.backend)
            raise InputValueError(f"{self.name}: only ", only, " can train on it")
        return self.condensed


class Contribution(NamedTuple):
    """What some of the partitions contribute to a summary."""

    part: Any
    """As the backend condenses it"""
    low: Floats
    """(d + 1,) the smallest value of every column"""
    high: Floats
    """(d + 1,)"""
    keys: Floats
    """(m,) random numbers; the rows with the smallest ones are kept"""
    rows: Floats
    """(m, d + 1)"""
    exact: ExactSums | None


def summarize(
    files: Files,
    *,
    exactly: bool = False,
    finished: MutableMapping[tuple[int, int], Any] | None = None,
    on_progress: Progress = silent,
) -> Summary:
    """Make the pass over samples in files; with `exactly`, also sum them without rounding.

    Parts that are `finished` are not read again, and new ones are put there.

    Raises:
        InputValueError: a file cannot be read, holds what is not a number, or has changed in the
            meantime; there are fewer than two rows; or the cluster fails.

    """
    large: Any = backends.load(files.backend)
    p = len(files.features) + 2
    data, total = files.partitions, len(files.partitions.recipes)
    done = rows = 0

    def on_done(partitions: int, found: Contribution) -> None:
        nonlocal done, rows
        done, rows = done + partitions, rows + found.part.n
        share = f"{files.bytes * done / total / 1e9:,.2f} of {files.bytes / 1e9:,.2f} GB"
        on_progress(f"reading: {share}, {rows:,} rows", done, total)

    on_progress("reading", 0, total)
    each = partial(_contribution, p, large.part, Gathering if exactly else None)
    join = partial(_joined, large.join, joined)  # functions that are bound are sent to workers
    found: Contribution = large.over(data, each, join, finished=finished, on_done=on_done)
    files.require_unchanged()
    if found.part.n < 2:
        raise InputValueError(f"{files.name}: needs at least two rows, has {found.part.n}")
    condensed, (R, center) = large.condensed(found.part), large.centered(found.part)
    return Summary(files, condensed, R, center, (found.low, found.high), found.rows, found.exact)


def problem_of(samples: Samples, lr: float, epochs: int, *, afresh: bool = False) -> Problem:
    """Return the job of training on these samples; with `afresh`, those in files are read again."""
    if isinstance(samples, Summary):
        prepared = samples.files.partitions if afresh else samples.condensed
        nothing = np.empty((0, len(samples.features))), np.empty(0)
        return Problem("", *nothing, lr, epochs, prepared=prepared, size=samples.n)
    X, y = samples.points()
    return Problem("", X, y, lr, epochs)


def exactly_summed(samples: Samples) -> Sums:
    """Return the sums over these samples without rounding; a summary must have them."""
    if isinstance(samples, Summary):
        assert samples.exact is not None
        return in_decimals(samples.exact)
    return sums_without_rounding(*samples.points())


def _contribution(
    p: int,
    part_of: Callable[[int, Batches], Any],
    gathering: Callable[[int], Gathering] | None,
    batches: Batches,
) -> Contribution:
    """Return what the samples of a partition contribute; this runs on a worker."""
    seen = _Seen(p, gathering and gathering(p))
    part = part_of(p, seen.watched(batches))
    exact = seen.exact.sums() if seen.exact else None
    return Contribution(part, seen.low, seen.high, seen.keys, seen.rows, exact)


def _joined(
    join: Callable[[Sequence[Any]], Any],
    join_exact: Callable[[Sequence[ExactSums]], ExactSums],
    found: Sequence[Contribution],
) -> Contribution:
    """Return what several contribute together; this runs on a worker, too."""
    keys, rows = (np.concatenate([getattr(c, name) for c in found]) for name in ("keys", "rows"))
    exact = [c.exact for c in found if c.exact is not None]
    return Contribution(
        join([c.part for c in found]),
        np.min([c.low for c in found], axis=0),
        np.max([c.high for c in found], axis=0),
        *_fewest(keys, rows),
        join_exact(exact) if exact else None,
    )


class _Seen:
    """What is noticed about the samples of a partition while they are condensed."""

    def __init__(self, p: int, exact: Gathering | None) -> None:
        self.low, self.high = np.full(p - 1, np.inf), np.full(p - 1, -np.inf)
        self.keys, self.rows = np.empty(0), np.empty((0, p - 1))
        self.exact = exact

    def watched(self, batches: Batches) -> Batches:
        for X, y in batches:
            if len(y):
                self._look_at(X, y)
            if self.exact:
                self.exact.add(X, y)
            yield X, y

    def _look_at(self, X: Floats, y: Floats) -> None:
        columns = *X.T, y
        self.low = np.minimum(self.low, [values.min() for values in columns])
        self.high = np.maximum(self.high, [values.max() for values in columns])
        first = np.append(X[0], y[0])
        keys = np.random.default_rng(crc32(first.tobytes())).random(len(y))
        if len(self.keys) == _most_points(X.shape[1] + 1):
            chosen = np.flatnonzero(keys < self.keys.max())
        else:
            chosen = np.arange(len(y))
        rows = np.column_stack([X[chosen], y[chosen]])
        self.keys, self.rows = _fewest(
            np.concatenate([self.keys, keys[chosen]]), np.concatenate([self.rows, rows])
        )


def _fewest(keys: Floats, rows: Floats) -> tuple[Floats, Floats]:
    """Return the rows with the smallest keys, as many as are kept, in the order of the keys."""
    order = np.argsort(keys, kind="stable")[: _most_points(rows.shape[1])]
    return keys[order], rows[order]


def _most_points(columns: int) -> int:
    return max(50, min(MOST_POINTS, MOST_VALUES // columns))
