"""The rung `dask`: partitions of any kind, on threads or a cluster, always the same bits."""

from typing import Any

import dask.array as da
import numpy as np
import pytest

from gradrace.backends import dask_partitions as dask_rung
from gradrace.backends import gram
from gradrace.backends.interface import Floats, InputError, InputValueError
from gradrace.backends.support.dask_reading import Batches, Partitions
from gradrace.bench.data.samples import synthetic
from gradrace.bench.proof.agreement import judge
from gradrace.bench.proof.oracle import exact_trajectory
from tests.backends.partitions import RECIPES, SOURCE, generated, whole
from tests.conftest import assert_same_bits


@pytest.mark.parametrize("partitions", [1, 2, 7, 40])
@pytest.mark.parametrize(("n", "d"), [(1, 1), (31, 1), (23, 4), (3, 5), (5_000, 2)])
def test_agrees_however_the_samples_are_divided(n: int, d: int, partitions: int) -> None:
    """With 40 partitions, most of the small ones are empty."""
    data = synthetic(n, d)
    source = dask_rung.prepare(data.X, data.y, partitions=partitions)
    assert len(source.recipes) == partitions
    job: dict[str, Any] = {"lr": 0.02 / (1 + d / n), "epochs": 40}
    exact = exact_trajectory(data.X, data.y, **job)
    assert judge("dask", dask_rung.train(source, **job), exact).reason == ""


SOME = synthetic(60, 2)
EXTREME: dict[str, tuple[Any, Any, Any]] = {
    "tiny": (SOME.X * (1e-300, 1.0), SOME.y, None),
    "huge and tiny": (SOME.X * (1e180, 1e-170), SOME.y, None),
    "with few digits": (SOME.X * (5e-324, 1e-310), SOME.y, None),
    "nothing": (SOME.X * 0.0, SOME.y, None),
    "tiny, with huge weights": (SOME.X * 1e-321, SOME.y * 1e-13, [1.5e308, -1e308]),
    "unlike in each partition": (
        np.repeat([1e-200, 0.0, 1.0, 1e-310], 25)[:, None],
        np.tile([1.0, -2.0], 50),
        None,
    ),
}


@pytest.mark.parametrize("name", EXTREME)
@pytest.mark.parametrize("partitions", [1, 4, 7])
def test_columns_whose_squares_leave_float64(name: str, partitions: int) -> None:
    X, y, w0 = EXTREME[name]
    source = dask_rung.prepare(X, y, partitions=partitions)
    path = dask_rung.train(source, lr=0.1, epochs=9, w0=w0)
    assert judge("dask", path, exact_trajectory(X, y, lr=0.1, epochs=9, w0=w0)).reason == ""
    assert np.isfinite(path.loss).all() == (name != "huge and tiny")


def test_batches_of_any_length_give_the_same_bits() -> None:
    def at_once(seed: int, n: int) -> Batches:
        yield whole(Partitions(generated, [(seed, n)], 3)) if n else (np.empty((0, 3)), np.empty(0))

    expected = dask_rung.train(SOURCE, lr=0.01, epochs=20)
    assert_same_bits(dask_rung.train(SOURCE._replace(read=at_once), lr=0.01, epochs=20), expected)


def test_the_samples_are_read_once_for_all_calls() -> None:
    read: list[int] = []

    def counted(seed: int, n: int) -> Batches:
        read.append(seed)
        return generated(seed, n)

    source = SOURCE._replace(read=counted, here=True)
    condensed = dask_rung.condense(source)
    first = dask_rung.train(condensed, lr=0.01, epochs=20)
    assert_same_bits(first, dask_rung.train(condensed, lr=0.01, epochs=20))
    assert sorted(read) == list(range(20))
    assert_same_bits(first, dask_rung.train(source, lr=0.01, epochs=20))


def test_what_is_condensed_is_what_gram_has() -> None:
    X, y = whole(SOURCE)
    ours, theirs = dask_rung.condense(SOURCE), gram.condense(gram.prepare(X, y))
    np.testing.assert_allclose(ours.S, theirs.S, rtol=1e-12, atol=1e-10)
    np.testing.assert_allclose(ours.R @ ours.R.T, theirs.S, rtol=1e-12, atol=1e-10)


class TestDaskArrays:
    @pytest.mark.parametrize("chunks", [(100, 4), (30, 4), (30, 2), ((1, 0, 99), 4)])
    def test_agree_and_have_the_bits_of_equal_partitions(self, chunks: Any) -> None:
        data = synthetic(100, 4)
        X, y = da.from_array(data.X, chunks=chunks), da.from_array(data.y, chunks=33)
        source = dask_rung.prepare(X * 2 - X, y)
        path = dask_rung.train(source, lr=0.02, epochs=30)
        exact = exact_trajectory(data.X, data.y, lr=0.02, epochs=30)
        assert judge("dask", path, exact).reason == ""

    def test_whose_blocks_do_not_correspond_are_refused(self) -> None:
        X, y = da.ones((9, 2), chunks=3), da.ones(9, chunks=3)
        odd = y[da.arange(9, chunks=3) > 0]  # dask does not know how many are left
        with pytest.raises(InputValueError, match="per row of X, 3, got 2 in a block"):
            dask_rung.condense(dask_rung.prepare(X[y > 0], odd))

    @pytest.mark.parametrize(
        ("X", "y", "message"),
        [
            (np.ones((4, 1)), np.ones(5), "y: needs one value per row of X, 4, got 5"),
            (np.ones(4), np.ones(4), "X, y: need shapes"),
            (np.full((4, 1), np.nan), np.ones(4), "X: must be finite"),
            (np.ones((4, 1)), np.full(4, np.inf), "y: must be finite"),
        ],
    )
    def test_that_cannot_be_used_say_why(self, X: Floats, y: Floats, message: str) -> None:
        with pytest.raises(InputValueError, match=message):
            dask_rung.train(dask_rung.prepare(da.asarray(X), da.asarray(y)), lr=0.1, epochs=1)


@pytest.mark.parametrize("recipes", [[(0, 0), (1, 0)], []])
def test_no_samples_at_all_are_refused(recipes: list[tuple[int, int]]) -> None:
    with pytest.raises(InputValueError, match="needs at least one row"):
        dask_rung.train(Partitions(generated, recipes, 3), lr=0.1, epochs=1)


def test_arguments_are_checked_before_anything_is_read() -> None:
    def never(*_: Any) -> Batches:
        raise AssertionError

    with pytest.raises(InputError, match="lr"):
        dask_rung.train(Partitions(never, RECIPES, 3), lr=-1.0, epochs=1)
