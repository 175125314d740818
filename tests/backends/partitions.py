"""Partitions that are generated where they are read, for the tests of `dask`."""

import contextlib
import os
import signal

import numpy as np

from gradrace.backends.interface import Samples
from gradrace.backends.support.dask_reading import Batches, Partitions


def generated(seed: int, n: int) -> Batches:
    """A partition of n samples that come in batches of unequal length."""
    rng = np.random.default_rng(seed)
    X, y = rng.normal(size=(n, 3)), rng.normal(size=n)
    for start in range(0, n, 777):
        yield X[start : start + 777], y[start : start + 777]


def fatal_once(marker: str, seed: int, n: int) -> Batches:
    """The same, but the first process that reads partition 3 dies of it."""
    if seed == 3 and not os.path.exists(marker):
        with contextlib.suppress(OSError), open(marker, "w"):
            pass
        os.kill(os.getpid(), signal.SIGKILL)
    return generated(seed, n)


RECIPES = [(seed, 0 if seed % 4 == 1 else 2_000) for seed in range(20)]
SOURCE = Partitions(generated, RECIPES, 3)


def whole(source: Partitions) -> Samples:
    batches = [batch for recipe in source.recipes for batch in source.read(*recipe)]
    X, y = (np.concatenate(parts) for parts in zip(*batches, strict=True))
    return X, y
