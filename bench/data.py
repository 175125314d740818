"""The samples to train on: a data set, the reference line, and synthetic problems."""

from dataclasses import dataclass

import numpy as np

from backends.interface import Floats

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
    headless: bool = False
    """Whether the names are ours, x1, x2, …, because the source has none"""


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
    """Return how many epochs, from 10 to 1,000, take about ten seconds.

    Plain Python takes O(nd) for each, and the exact trajectory O(d²) decimals.
    """
    n, d = data.X.shape
    return int(np.clip(min(10**8 // (n * (d + 1)), 4 * 10**7 // d**2), 10, 1_000))
