"""The samples to train on: a data set, the reference line, and synthetic problems."""

from dataclasses import dataclass, replace
from typing import Any, NamedTuple, Protocol, Self

import numpy as np

from gradrace.backends.interface import Backend, Floats, Integers
from gradrace.bench.data.columns import mean_and_deviation, row_blocks, triangular_factor

REFERENCE_LR = 0.005
REFERENCE_EPOCHS = 10_000

_LOW_BITS, _THIRD = np.int64(2**29 - 1), np.int64(0x0AAAAAAA)  # 29 bits, and 0101… in them
_OUTLIER = 8.0
_KINDS, _LARGE_BITS = 14, 25


class Truth(NamedTuple):
    """The weights and the bias that generated the targets, before noise was added."""

    w: tuple[float, ...]
    b: float


class Samples(Protocol):
    """Samples X (n, d) and y (n,), whether or not they are in memory: what training asks of them.

    Arrays of d + 1 values hold those of the features and, last, that of the target.
    """

    @property
    def name(self) -> str:
        """Where they are from, for messages."""

    @property
    def features(self) -> tuple[str, ...]:
        """The names of the d features."""

    @property
    def target(self) -> str:
        """The name of the target."""

    @property
    def headless(self) -> bool:
        """Whether the names are x1, x2, … because the source has none."""

    @property
    def truth(self) -> Truth | None:
        """What generated the targets, if that is known."""

    @property
    def options(self) -> tuple[str, ...]:
        """The options of a command that reads the file the same way."""

    @property
    def remarks(self) -> tuple[str, ...]:
        """What was left out when they were read, in sentences."""

    @property
    def n(self) -> int:
        """The number of samples."""

    @property
    def extremes(self) -> tuple[Floats, Floats]:
        """The smallest and the largest value of every column, (d + 1,) each."""

    @property
    def mean_square(self) -> float:
        """(1/n) Σ yᵢ², the loss at w = 0 and b = 0; inf where float64 overflows."""

    def moments(self) -> tuple[Floats, Floats]:
        """Return mean and standard deviation of every column, (d + 1,); 1 if it is constant.

        Raises `InputValueError` if a column spans more than float64 can hold.
        """

    def scaled(self, mean: Floats, deviation: Floats) -> Self:
        """Return the samples with every column x replaced by (x − mean)/deviation."""

    def factor(self, unit: float) -> Floats:
        """Return an R (m, d + 1) with RᵀR = AᵀA/unit², A = [X 1]."""

    def centered_factor(self) -> Floats:
        """Return an R (m, d + 1) with RᵀR = [X y]ᵀ[X y], for columns whose mean is 0."""

    def loss(self, w: Floats, b: float) -> float:
        """Return (1/n) ‖Xw + b − y‖²."""

    def points(self) -> tuple[Floats, Floats]:
        """Return the samples, or enough of them for a picture."""

    def for_training(self, module: Backend) -> Any:
        """Return what the `train` of this backend takes."""


@dataclass(frozen=True)
class Dataset:
    """Samples in memory, with the names of their columns; see `Samples`."""

    name: str
    features: tuple[str, ...]
    target: str
    X: Floats
    y: Floats
    headless: bool = False
    truth: Truth | None = None
    remarks: tuple[str, ...] = ()
    options: tuple[str, ...] = ()

    @property
    def n(self) -> int:
        """The number of samples."""
        return len(self.y)

    @property
    def extremes(self) -> tuple[Floats, Floats]:
        """The smallest and the largest value of every column, (d + 1,) each."""
        X, y = self.X, self.y
        return np.append(X.min(axis=0), y.min()), np.append(X.max(axis=0), y.max())

    @property
    def mean_square(self) -> float:
        """(1/n) Σ yᵢ²; inf where float64 overflows."""
        with np.errstate(over="ignore"):
            return float(np.mean(self.y**2))

    def moments(self) -> tuple[Floats, Floats]:
        """Return mean and standard deviation of every column, as `Samples.moments`."""
        columns = zip((*self.features, self.target), (*self.X.T, self.y), strict=True)
        found = [mean_and_deviation(self.name, name, values) for name, values in columns]
        mean, deviation = np.array(found).T
        return mean, deviation

    def scaled(self, mean: Floats, deviation: Floats) -> Self:
        """Return the samples with every column x replaced by (x − mean)/deviation."""
        X = (self.X - mean[:-1]) / deviation[:-1]
        y = (self.y - mean[-1]) / deviation[-1]
        return replace(self, X=X, y=y, truth=None)

    def factor(self, unit: float) -> Floats:
        """Return R (m, d + 1) of [X 1]/unit."""
        return triangular_factor(
            np.column_stack([rows, np.ones(len(rows))]) / unit for rows in row_blocks(self.X)
        )

    def centered_factor(self) -> Floats:
        """Return R (m, d + 1) of [X y]."""
        blocks = zip(row_blocks(self.X), row_blocks(self.y), strict=True)
        return triangular_factor(map(np.column_stack, blocks))

    def loss(self, w: Floats, b: float) -> float:
        """Return (1/n) ‖Xw + b − y‖²."""
        with np.errstate(all="ignore"):
            r = self.X @ w + b - self.y
            return float(r @ r) / len(r)

    def points(self) -> tuple[Floats, Floats]:
        """Return the samples."""
        return self.X, self.y

    def for_training(self, module: Backend) -> Any:
        """Return copies of the samples as the backend prepares them, condensed if it does that."""
        prepared = module.prepare(self.X.copy(), self.y.copy())
        return module.condense(prepared) if hasattr(module, "condense") else prepared


def unnamed(count: int) -> tuple[str, ...]:
    """Return x1, x2, …, the names of columns that have none."""
    return tuple(f"x{j}" for j in range(1, count + 1))


def reference_line() -> Dataset:
    """Return the project's default data: 100 points of y = 3x + 2 + N(0, 1), 1 ≤ x ≤ 10, seed 42.

    After 10,000 epochs with α = 0.005 from zero: w = 3.0153, b = 1.8118, loss 0.8149.
    """
    rng = np.random.RandomState(42)
    x = np.linspace(1, 10, 100)
    y = 3 * x + 2 + rng.randn(100)
    return Dataset("reference line", ("x",), "y", x.reshape(-1, 1), y, truth=Truth((3.0,), 2.0))


def synthetic(n: int, d: int, seed: int = 0) -> Dataset:
    """Return n samples of d standard normal features, y = Xw + 2 + noise with wⱼ = j + 1.

    The Hessian is close to 2I, so any α well below 1 is stable if n is much greater than d.

    They are made to expose mistakes that would average out over many ordinary samples. Every
    mantissa ends in 0101…, so rounding it to 24 bits or more is off by a third of a unit, in the
    same direction everywhere. The noise is N(0, 1), but ±8 where blocks of samples may begin or
    end, so a sample that is lost or counted twice there makes a large difference.
    """
    rng = np.random.default_rng(seed)
    X = _ending_alike(rng.standard_normal((n, d)))
    noise = rng.standard_normal(n)
    borders = _borders(n)
    noise[borders] = np.where(np.arange(len(borders)) % 2, -_OUTLIER, _OUTLIER)
    y = _ending_alike(X @ np.arange(1.0, d + 1) + 2 + noise)
    return Dataset(f"synthetic {n} × {d}", unnamed(d), "y", X, y)


def integers(n: int, d: int) -> Dataset:
    """Return integers that float64 adds exactly in any order: 2ᵏ samples, 2ᵏ ≥ n.

    Half of the samples have features from 1 to 7 and odd targets of 25 bits; in the other half it
    is the reverse. There are fewer bits if the sum of all |xᵢⱼyᵢ| would otherwise reach 2⁵³. Every
    partial sum of a gradient at zero is an integer below that, and dividing by n, or multiplying by
    α = 2ᵏ, changes only the exponent. So float64 makes no error in it, whatever the order. There
    are only 14 different samples, so a backend that rounds one of them, or rounds a result
    computed from one, does so in many places.
    """
    n = 2 ** (n - 1).bit_length()
    bits = min(_LARGE_BITS, 53 - 3 - (n - 1).bit_length() - 1)
    rng = np.random.default_rng(d)
    small = rng.integers(1, 8, (_KINDS, d + 1))
    large = 2 * rng.integers(2 ** (bits - 2), 2 ** (bits - 1), (_KINDS, d + 1)) + 1
    target = np.arange(d + 1) == d
    kinds = np.where(target == (np.arange(_KINDS) % 2 == 0)[:, None], large, small)
    samples = kinds[rng.integers(0, _KINDS, n)].astype(np.float64)
    names = unnamed(d)
    X, y = np.ascontiguousarray(samples[:, :-1]), samples[:, -1].copy()
    return Dataset(f"integers {n} × {d}", names, "y", X, y)


def small_integers(n: int, d: int) -> Dataset:
    """Return integers that float32 adds exactly in any order: 2ᵏ samples, at least n or 2²².

    Features are 1 or 2. Targets are 1 in the first half of the samples and 2 in the second, so a
    backend that leaves out a part gets other means. A few evenly spaced samples have features or a
    target of 13 bits that end in 01, which formats with fewer bits round down. The sum of all xᵢⱼyᵢ
    is below 2²⁴.
    """
    n = min(2 ** (n - 1).bit_length(), 2**22)
    rng = np.random.default_rng(d)
    X = rng.integers(1, 3, (n, d)).astype(np.float64)
    y = np.repeat([1.0, 2.0], [n - n // 2, n // 2])
    count = min((2**24 - 3 * n) // 2**15, n // 4)
    large = 4.0 * rng.integers(2**10, 2**11, (count, d + 1)) + 1
    places = np.arange(count) * n // max(count, 1)
    X[places[::2]], y[places[1::2]] = large[::2, :-1], large[1::2, -1]
    return Dataset(f"small integers {n} × {d}", unnamed(d), "y", X, y)


def _ending_alike(values: Floats) -> Floats:
    """Return the values with 0101… in the last 29 bits of the mantissas, which float32 lacks."""
    bits = values.view(np.int64)
    ending: Floats = ((bits & ~_LOW_BITS) | _THIRD).view(np.float64)
    return ending


def _borders(n: int) -> Integers:
    """Return the indices of the first and last sample, and of those beside borders of 2ᵏ-blocks."""
    blocks = 2 ** np.arange(n.bit_length())
    last = n - n % blocks
    found = np.concatenate([[0, n - 1], blocks - 1, blocks, last - 1, last])
    return np.unique(found[(found >= 0) & (found < n)])


def affordable_epochs(data: Samples) -> int:
    """Return how many epochs, from 10 to 1,000, take about ten seconds.

    Each takes O(nd) operations in plain Python, which has only samples that are in memory, and
    O(d²) on decimals for the exact trajectory.
    """
    n, d = data.n if isinstance(data, Dataset) else 1, len(data.features)
    return int(np.clip(min(10**8 // (n * (d + 1)), 4 * 10**7 // d**2), 10, 1_000))
