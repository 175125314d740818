"""Which rows of a trajectory are kept and shown."""

import numpy as np
import pytest

from gradrace.backends.interface import Trajectory
from gradrace.bench.data.samples import Dataset
from gradrace.bench.learning.training import train
from gradrace.bench.learning.trajectories import milestones, thinned, until_not_finite
from gradrace.bench.report.training import way_table


def path_of(epoch: list[int], loss: list[float] | None = None) -> Trajectory:
    rows = len(epoch)
    losses = np.ones(rows) if loss is None else np.array(loss)
    return Trajectory(np.array(epoch), np.zeros((rows, 1)), np.zeros(rows), losses)


@pytest.mark.parametrize("epochs", [0, 1, 2, 7, 10, 99, 10_000, 123_456])
def test_milestones_lead_from_the_first_epoch_to_the_last(epochs: int) -> None:
    shown = milestones(path_of(list(range(epochs + 1)))).epoch.tolist()
    assert (shown[0], shown[-1]) == (0, epochs)
    assert shown == sorted(set(shown))
    assert len(shown) <= 12
    assert len(shown) == 12 or epochs < 1000


def test_milestones_of_the_reference_line(line: Dataset) -> None:
    path = milestones(train(line, lr=0.005, epochs=10_000).trajectory)
    assert path.epoch.tolist() == [0, 1, 2, 5, 20, 50, 100, 200, 1000, 2000, 5000, 10_000]
    assert (path.loss[0], path.loss[-1]) == pytest.approx((401.845, 0.8149), abs=1e-3)


def test_milestones_of_a_thinned_history_are_epochs_that_it_holds() -> None:
    path = path_of([*range(0, 100_000, 7), 100_000])
    shown = milestones(path).epoch
    assert set(shown) <= set(path.epoch)
    assert (shown[0], shown[-1]) == (0, 100_000)


def test_a_path_ends_with_its_first_loss_that_is_not_finite() -> None:
    inf, nan = float("inf"), float("nan")
    assert len(until_not_finite(path_of([0, 1, 2, 3], [1, inf, 2, nan])).loss) == 2
    assert len(until_not_finite(path_of([0, 1, 2], [nan, 1, 1])).loss) == 1
    assert len(until_not_finite(path_of([0, 1, 2])).loss) == 3


def test_thinning_keeps_the_last_row() -> None:
    assert thinned(path_of([0, 1, 2, 3, 4, 5]), 3).epoch.tolist() == [0, 3, 5]


def test_of_many_features_the_first_are_shown() -> None:
    wide = Dataset("wide", tuple("abcdefg"), "y", np.eye(7), np.arange(7.0))
    heads = [str(column.header) for column in way_table(train(wide, epochs=5)).columns]
    assert heads == ["epoch", "loss", "w[a]", "w[b]", "w[c]", "b"]
