"""How good is the rate of `--lr auto`? `python -m gradrace.bench.studies.rates [TABLE …]` answers.

It trains on the tables (those in tests/tables if none is named; the last column is the target),
the reference line and synthetic problems, with and without standardizing, for 300, 1,000 and 10,000
epochs, at three rates: the classic one, the one that comes within 1 % of the least loss first,
whatever its final loss, and `best_rate`. The classic rate is 2/(μ + λmax), where μ is
λmin, but at least 10 λmax/epochs: the fastest in the long run, held back in a short one.
"""

import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np

from gradrace import backends
from gradrace.bench.data.reader import read_table
from gradrace.bench.data.samples import Dataset, reference_line, synthetic, unnamed
from gradrace.bench.learning.landscape import Landscape, best_rate, candidates
from gradrace.bench.learning.rates import measured_epochs
from gradrace.bench.parts import Column, Table
from gradrace.bench.show import terminal

TABLES = Path("tests/tables")
EPOCHS = 300, 1_000, 10_000
ROUNDING = 1e-14  # as a share of the first loss; losses that differ by less are equal


class Outcome(NamedTuple):
    """How one run went."""

    arrival: int | None
    """The first epoch within 1 % of the least loss; None if there is none"""
    left: float
    """By how much the last loss exceeds the least one, as a share of the first one"""


def problems(tables: list[Path]) -> Iterator[Dataset]:
    """Yield the tables, the reference line, and problems of good and bad condition."""
    yield from map(read_table, tables)
    yield reference_line()
    for n, d in ((100, 1), (60, 4), (1000, 10), (200, 50)):
        yield synthetic(n, d)
    data = synthetic(200, 6)
    yield replace(data, X=data.X * [1, 3, 0.3, 10, 0.1, 1] + 2)
    yield replace(data, X=data.X + 3 * data.X[:, :1])
    x = np.linspace(0, 1, 21)
    for degree in (2, 3, 5):
        X = x[:, None] ** np.arange(1, degree + 1)
        yield Dataset(f"degree {degree}", unnamed(degree), "y", X, np.exp(x) * np.sin(8 * x))


def rates(known: Landscape, epochs: int) -> dict[str, float]:
    """Return the rate that each rule chooses."""
    H = known.hessian
    held_back = 2 / (max(H.smallest, H.largest * min(1.0, 10 / epochs)) + H.largest)
    arrivals = [(known.epochs_needed(lr), H.contraction(lr), lr) for lr in candidates(H)]
    in_time = [(k, rho, lr) for k, rho, lr in arrivals if k is not None]
    return {
        "2/(μ + λmax)": held_back,
        "quickest to 1 %": min(in_time)[-1] if in_time else held_back,
        "best_rate": best_rate(known, epochs),
    }


def outcome(known: Landscape, lr: float, epochs: int) -> Outcome:
    """Train at a rate, and return how far it comes."""
    numba = backends.load("numba")
    path = numba.train(known.samples.for_training(numba), lr=lr, epochs=epochs)
    least = known.least_squares.loss
    left = max(float(path.loss[-1]) - least, 0.0) / known.first_loss
    return Outcome(measured_epochs(path, least + known.goal), left)


def comparison(tables: list[Path]) -> Table:
    """Compare each rule with the first one over all problems."""
    heads = (
        "columns",
        "epochs",
        "rule",
        "within 1 %",
        "epochs to 1 % mean",
        " worst",
        "excess loss mean",
        " worst",
    )
    rows: list[list[str]] = []
    found = list(problems(tables))
    for standardize in (False, True):
        landscapes = [Landscape.of(data, standardize=standardize) for data in found]
        for epochs in EPOCHS:
            taken = [rates(known, epochs) for known in landscapes]
            runs = {
                rule: [
                    outcome(known, lr[rule], epochs)
                    for known, lr in zip(landscapes, taken, strict=True)
                ]
                for rule in taken[0]
            }
            columns = "standardized" if standardize else "as they are"
            first = next(iter(runs.values()))
            for rule, outcomes in runs.items():
                rows.append([columns, f"{epochs:,}", rule, *_summary(outcomes, first)])
    note = f"{len(found)} problems; epochs and excess loss relative to the rate 2/(μ + λmax)"
    return Table([Column(head) for head in heads], rows, note, keys=3)


def _summary(outcomes: list[Outcome], first: list[Outcome]) -> list[str]:
    """Return how many come within 1 %, and epochs and excess losses relative to `first`."""
    pairs = list(zip(outcomes, first, strict=True))
    arrivals = [
        max(a.arrival, 1) / max(b.arrival, 1)
        for a, b in pairs
        if a.arrival is not None and b.arrival is not None
    ]
    left = [max(a.left, ROUNDING) / max(b.left, ROUNDING) for a, b in pairs]
    cells = [str(sum(a.arrival is not None for a in outcomes))]
    for ratios in (arrivals, left):
        cells += [f"{np.exp(np.mean(np.log(ratios))):.2f}", f"{max(ratios):,.2f}"]
    return cells


def main() -> None:
    """Print the comparison."""
    tables = [Path(word) for word in sys.argv[1:]] or sorted(TABLES.glob("*.csv"))
    terminal.show(comparison(tables))


if __name__ == "__main__":
    main()
