"""Parts of a trajectory: up to an overflow, every k-th epoch, or a dozen milestones."""

import numpy as np

from gradrace.backends.interface import Trajectory

MILESTONES = 12


def until_not_finite(path: Trajectory) -> Trajectory:
    """Return the rows up to and including the first loss that is not finite."""
    broken = ~np.isfinite(path.loss)
    end = int(np.argmax(broken)) + 1 if broken.any() else len(broken)
    return Trajectory._make(rows[:end] for rows in path)


def thinned(path: Trajectory, every: int) -> Trajectory:
    """Return every `every`-th epoch and the last one."""
    kept = path.epoch % every == 0
    kept[-1] = True
    return Trajectory._make(rows[kept] for rows in path)


def milestones(path: Trajectory, count: int = MILESTONES) -> Trajectory:
    """Return the first row, the last one, and about `count` − 2 between them.

    Their epochs are round numbers, 1, 2, 5, 10, 20, 50, …; some are left out if there are too many.
    If the trajectory does not hold such an epoch, the next one that it holds is taken.
    """
    last = int(path.epoch[-1])
    powers = range(len(str(last)))
    rounds = [k for k in (m * 10**p for p in powers for m in (1, 2, 5)) if k < last]
    keep = np.unique(np.linspace(0, len(rounds) - 1, min(count - 2, len(rounds))).round())
    wanted = np.array([0, *(rounds[int(i)] for i in keep), last])
    rows = np.unique(np.searchsorted(path.epoch, wanted))
    return Trajectory._make(values[rows] for values in path)
