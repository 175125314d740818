"""Which mistakes can still hide: `python -m gradrace.bench.studies.blindspots` counts them.

The suite of small problems finds mistakes that are made at every size. A mistake that is made
only at large sizes must show in what a race judges there: the raced samples, from any start, and
integers of that size (see `gradrace.bench.data.samples`). So this study makes mistakes of each
kind, from large to small, on random samples and features, and prints the smallest mistake that was
caught in every trial. It also counts correct loops, in other orders of addition, that were
rejected; there must be none. With `--chain-of NAME`, all are held to the chain of additions that
this backend declares, and the correct loop is that backend.
"""

import argparse
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from gradrace import backends
from gradrace.backends.interface import Floats, Trajectory
from gradrace.bench.data.samples import Dataset, integers
from gradrace.bench.proof.returns import longest_chains
from gradrace.bench.proof.steps import Steps
from gradrace.bench.race.cases import make_case
from gradrace.bench.race.contestant import known_steps
from gradrace.bench.race.one_size import integer_rate
from gradrace.bench.studies.mistakes import report

FEATURES = 2
TRIES = 10
"""Trials per mistake, and orders of addition."""
_RIGHT = ("numpy", "numba", "numba-simd", "numba-parallel", "gram")


@dataclass(frozen=True)
class Field:
    """Samples, how they are judged, and where a trial starts."""

    data: Dataset
    steps: Steps
    lr: float
    varied: bool
    """Whether b0 varies from call to call; integers are exact only if it is zero."""
    chain: int
    """The longest chain of additions"""

    def start(self, rng: np.random.Generator) -> float:
        """Return a b0."""
        return float(rng.uniform()) if self.varied else 0.0

    def caught(self, sums: Floats, b0: float) -> bool:
        """Whether an epoch from (0, b0) with these Σ rᵢxᵢ, Σ rᵢ and Σ rᵢ² is found to be wrong."""
        n, d = self.data.X.shape
        theta = np.append(np.zeros(d), b0)
        after = theta - self.lr * (2 / n * sums[:-1])
        losses = [float(sums[-1]) / n, self.steps.loss(after)]
        path = Trajectory(
            np.arange(2),
            np.vstack([theta[:-1], after[:-1]]),
            np.array([b0, after[-1]]),
            np.array(losses),
        )
        return bool(self.steps.fault(path, self.lr, np.zeros(d), b0, self.chain))


def terms(X: Floats, y: Floats, b0: float) -> Floats:
    """Return a row of rᵢxᵢ, rᵢ and rᵢ² for each of these samples, at w = 0 and b = b0."""
    r = b0 - y
    return np.column_stack([r[:, None] * X, r, r * r])


def _added(rows: Floats) -> Floats:
    return np.asarray(rows.sum(axis=0))


Mistake = Callable[[Field, float, float, np.random.Generator], Floats]
"""The sums of a wrong loop, for a mistake of this size, from this b0."""


def _sums(X: Floats, y: Floats, b0: float) -> Floats:
    r = b0 - y
    return np.array([*(r @ X), r.sum(), r @ r], dtype=np.float64)


def _gradient(field: Field, size: float, b0: float, rng: np.random.Generator) -> Floats:
    sums = _sums(field.data.X, field.data.y, b0)
    sums[rng.integers(FEATURES + 1)] *= 1 + size
    return sums


def _loss(field: Field, size: float, b0: float, _rng: np.random.Generator) -> Floats:
    sums = _sums(field.data.X, field.data.y, b0)
    sums[-1] *= 1 + size
    return sums


def _lost(field: Field, size: float, b0: float, rng: np.random.Generator) -> Floats:
    X, y = field.data.X, field.data.y
    some = rng.choice(len(y), int(size), replace=False)
    return _sums(X, y, b0) - _added(terms(X[some], y[some], b0))


def _twice(field: Field, size: float, b0: float, rng: np.random.Generator) -> Floats:
    return 2 * _sums(field.data.X, field.data.y, b0) - _lost(field, size, b0, rng)


def _stored(field: Field, size: float, b0: float, _rng: np.random.Generator) -> Floats:
    X, y = (rounded(values, int(size)) for values in (field.data.X, field.data.y))
    return _sums(X, y, b0)


def _features_stored(field: Field, size: float, b0: float, _rng: np.random.Generator) -> Floats:
    return _sums(rounded(field.data.X, int(size)), field.data.y, b0)


def _products(field: Field, size: float, b0: float, _rng: np.random.Generator) -> Floats:
    return _added(rounded(terms(field.data.X, field.data.y, b0), int(size)))


def rounded(values: Floats, bits: int) -> Floats:
    """Return the values rounded to `bits` bits, as storing them in a narrower float does."""
    mantissa, exponent = np.frexp(values)
    narrow: Floats = np.ldexp(np.rint(np.ldexp(mantissa, bits)), exponent - bits)
    return narrow


_SHARES = [10.0**-k for k in range(3, 16)]
_COUNTS = [1e3, 1e2, 1e1, 1e0]
_BITS = [8.0, 11.0, 16.0, 20.0, 24.0, *map(float, range(25, 53))]

KINDS: dict[str, tuple[Mistake, Sequence[float], str]] = {
    "one component of the gradient too large by": (_gradient, _SHARES, "{:.0e}"),
    "the loss too large by": (_loss, _SHARES, "{:.0e}"),
    "samples lost": (_lost, _COUNTS, "{:.0f}"),
    "samples counted twice": (_twice, _COUNTS, "{:.0f}"),
    "samples stored with this many bits": (_stored, _BITS, "{:.0f}"),
    "features stored with this many bits": (_features_stored, _BITS, "{:.0f}"),
    "products rᵢxᵢ rounded to this many bits": (_products, _BITS, "{:.0f}"),
}
"""Name → what it does, sizes of the mistake from large to small, and how to write them."""


def fields(n: int, chain_of: str | None = None) -> list[Field]:
    """Return what a race judges at this size."""
    chain = n if chain_of is None else longest_chains(backends.load(chain_of), n, FEATURES).gradient
    case = make_case(n, FEATURES)
    on_samples, on_integers = known_steps(case)
    return [
        Field(case.samples(), on_samples, case.lr, varied=True, chain=chain),
        Field(
            integers(n, FEATURES), on_integers, integer_rate(FEATURES), varied=False, chain=chain
        ),
    ]


def smallest(name: str, judged: Sequence[Field]) -> float | None:
    """Return the smallest mistake of a kind that is caught in every trial, if any is."""
    mistake, sizes, _ = KINDS[name]
    found = None
    for size in sizes:
        if size > len(judged[0].data.y) // 2:
            continue
        for number in range(TRIES):
            rng = np.random.default_rng([number, len(judged[0].data.y)])
            starts = [field.start(rng) for field in judged]
            if not any(
                field.caught(mistake(field, size, b0, rng), b0)
                for field, b0 in zip(judged, starts, strict=True)
            ):
                return found
        found = size
    return found


def rejected(judged: Sequence[Field], orders: int, right: Sequence[str]) -> Iterator[str]:
    """Yield every correct loop that is rejected: in other orders, and of these backends."""
    for field in judged:
        X, y = field.data.X, field.data.y
        for number in range(orders):
            rng = np.random.default_rng(number)
            b0 = field.start(rng)
            order = rng.permutation(len(y))
            in_blocks = np.array_split(order, rng.integers(1, 1 + len(y) // 64))
            sums = sum(_sums(X[block], y[block], b0) for block in in_blocks)
            if field.caught(np.asarray(sums), b0):
                yield f"{field.data.name}, in {len(in_blocks)} blocks"
        for name in right:
            module, b0 = backends.load(name), field.start(np.random.default_rng(0))
            path = module.train(module.prepare(X, y), lr=field.lr, epochs=1, b0=b0)
            if field.steps.fault(path, field.lr, np.zeros(FEATURES), b0, field.chain):
                yield f"{field.data.name}, {name}"


def main() -> None:
    """Print a Markdown table of the smallest mistakes that are always caught."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--size", nargs="+", action="extend", metavar="N", dest="sizes")
    parser.add_argument("--chain-of", metavar="NAME")
    given = parser.parse_args()
    sizes, chain_of = given.sizes or ["100", "1e4", "1e6", "1e7"], given.chain_of
    columns: list[list[str]] = [[*KINDS, "right loops rejected"]]
    for n in (int(float(text)) for text in sizes):
        judged = fields(n, chain_of)
        found = [(smallest(name, judged), KINDS[name][2]) for name in KINDS]
        orders, right = (TRIES, _RIGHT) if chain_of is None else (0, (chain_of,))
        wrong = list(rejected(judged, orders, right))
        tried = len(judged) * (orders + len(right))
        columns.append(
            [
                *("–" if size is None else layout.format(size) for size, layout in found),
                f"{len(wrong)} of {tried}",
            ]
        )
    head = ["smallest mistake that is always caught", *(f"n = {int(float(n)):,}" for n in sizes)]
    for cells in (head, ["---"] * len(head), *zip(*columns, strict=True)):
        print("| " + " | ".join(cells) + " |")
    if chain_of is None:
        print("\nMistakes of other kinds, at the sizes of the small problems:\n")
        sys.exit(not report())


if __name__ == "__main__":
    main()
