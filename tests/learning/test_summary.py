"""A summary of samples in files against the same samples in memory."""

import itertools
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import dask.threaded
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gradrace.backends import dask_partitions
from gradrace.backends.interface import Floats, InputValueError
from gradrace.backends.support import dask_reading, dask_tasks
from gradrace.bench.data.blocks import Use
from gradrace.bench.data.reader import Files
from gradrace.bench.data.samples import Dataset, unnamed
from gradrace.bench.data.table import Table
from gradrace.bench.learning.landscape import Landscape
from gradrace.bench.learning.rates import study
from gradrace.bench.learning.summary import MOST_POINTS, Summary, summarize
from gradrace.bench.learning.training import train
from gradrace.bench.proof.exact_sums import exact_sums
from tests.files import open_files


def in_files(X: Floats, y: Floats, parts: int = 3) -> Files:
    """Samples as though they lay in files; they are read in `parts`."""
    recipes = dask_reading.of_arrays(X, y, parts)
    columns = (*unnamed(X.shape[1]), "y")
    return Files(Table("folder", ()), Use(columns, "y"), recipes, "dask", ())


def in_memory(X: Floats, y: Floats) -> Dataset:
    return Dataset("folder", unnamed(X.shape[1]), "y", X, y)


@st.composite
def samples(draw: st.DrawFn) -> tuple[Floats, Floats, int]:
    """Samples with columns of unlike size and place, constant and dependent ones among them."""
    d = draw(st.integers(1, 6))
    n = draw(st.integers(d + 8, 60))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    X: Floats = rng.standard_normal((n, d)) * 10.0 ** rng.integers(-3, 4, d) + rng.integers(
        -9, 10, d
    )
    kind = draw(st.sampled_from(["plain", "constant", "dependent", "zero"]))
    if kind == "constant":
        X[:, 0] = 7.25
    if kind == "zero":
        X[:, -1] = 0.0
    if kind == "dependent" and d > 1:
        X[:, 0] = rng.standard_normal(n)  # far from 0, what rounding adds is not negligible
        X[:, -1] = 2 * X[:, 0] + 1
    y: Floats = X @ rng.standard_normal(d) + rng.standard_normal(n)
    return X, y, draw(st.integers(1, 9))


@settings(max_examples=40, deadline=None)
@given(samples(), st.booleans())
def test_all_that_training_asks_is_the_same(
    given: tuple[Floats, Floats, int], standardize: bool
) -> None:
    X, y, parts = given
    there = Landscape.of(summarize(in_files(X, y, parts)), standardize=standardize)
    here = Landscape.of(in_memory(X, y), standardize=standardize)
    for a, b in zip(there.data.moments(), here.data.moments(), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-12)
    np.testing.assert_array_equal(there.data.extremes, here.data.extremes)
    largest = here.hessian.largest
    np.testing.assert_allclose(
        there.hessian.values, here.hessian.values, rtol=1e-7, atol=1e-13 * largest
    )
    assert there.least_squares.dependent == here.least_squares.dependent
    assert (there.least_squares.null is None) == (here.least_squares.null is None)
    assert there.first_loss == pytest.approx(here.first_loss, rel=1e-11)
    first = max(here.first_loss, 1e-300)
    assert there.least_squares.loss == pytest.approx(
        here.least_squares.loss, rel=1e-7, abs=1e-20 * first
    )
    w, bias = here.least_squares.w, here.least_squares.b
    assert there.samples.loss(w, bias) == pytest.approx(
        here.samples.loss(w, bias), rel=1e-7, abs=1e-18 * first
    )


@pytest.mark.parametrize("standardize", [False, True])
def test_training_is_the_same(standardize: bool) -> None:
    rng = np.random.default_rng(5)
    X = rng.normal(size=(4_000, 3)) * [1.0, 2.0, 30.0] + [0.0, 5.0, 100.0]
    y = X @ [1.0, -2.0, 0.5] + 3 + rng.normal(size=4_000)
    there = train(summarize(in_files(X, y)), backend="dask", standardize=standardize)
    here = train(in_memory(X, y), backend="gram", standardize=standardize)
    assert there.lr == here.lr
    np.testing.assert_allclose(there.w, here.w, rtol=1e-11)
    assert [there.b, there.loss] == pytest.approx([here.b, here.loss], rel=1e-10)
    np.testing.assert_allclose(there.predict(X), here.predict(X), rtol=1e-10)


def test_values_that_are_far_from_zero_keep_their_digits() -> None:
    rng = np.random.default_rng(6)
    X = rng.normal(size=(500, 1)) + 1e8
    y = 3 * X[:, 0] + rng.normal(size=500)
    there = Landscape.of(summarize(in_files(X, y)), standardize=True).original_least_squares
    here = Landscape.of(in_memory(X, y), standardize=True).original_least_squares
    np.testing.assert_allclose(there.w, here.w, rtol=1e-13)


class TestTheRowsThatAreKept:
    X = np.arange(20_000.0).reshape(-1, 2)
    y = X[:, 0] * 10

    def rows(self, parts: int = 4) -> tuple[Floats, Floats]:
        return summarize(in_files(self.X, self.y, parts)).points()

    def test_are_rows_of_the_table_each_at_most_once(self) -> None:
        X, y = self.rows()
        assert len(y) == MOST_POINTS
        np.testing.assert_array_equal(y, X[:, 0] * 10)
        assert len(np.unique(y)) == len(y)

    def test_are_from_everywhere(self) -> None:
        """The means of 1,000 uniform numbers from 0 to 1 are 0.5 ± 0.009."""
        X, _ = self.rows()
        assert abs(X[:, 0].mean() / 20_000 - 0.5) < 0.05
        assert np.histogram(X[:, 0], 10)[0].min() > 50

    def test_are_all_if_there_are_few(self) -> None:
        X, y = self.X[:30], self.y[:30]
        found, _ = summarize(in_files(X, y, 7)).points()
        assert sorted(found.tolist()) == X.tolist()

    def test_are_fewer_of_wide_tables(self) -> None:
        X = np.random.default_rng(0).normal(size=(2_000, 127))
        found, _ = summarize(in_files(X, X[:, 0])).points()
        assert len(found) == 2**15 // 128


class TestAnInterruptedPass:
    rng = np.random.default_rng(8)
    X, y = rng.normal(size=(3_000, 2)), rng.normal(size=3_000)

    @pytest.mark.parametrize("parts", [1, 2, 8, 9, 70])
    def test_goes_on_to_the_same_bits(self, parts: int) -> None:
        files = in_files(self.X, self.y, parts)
        whole = summarize(files)
        for stop in range(0, parts, 5):
            finished: dict[tuple[int, int], Any] = {}

            def interrupt(_doing: str, done: int, _steps: int, stop: int = stop) -> None:
                if done > stop:
                    raise KeyboardInterrupt

            with pytest.raises(KeyboardInterrupt):
                summarize(files, finished=finished, on_progress=interrupt)
            assert_same(summarize(files, finished=finished), whole)

    def test_does_not_read_again_what_is_finished(self) -> None:
        files = in_files(self.X, self.y, 20)
        finished: dict[tuple[int, int], Any] = {}
        whole = summarize(files, finished=finished)

        def read(*_recipe: object) -> Any:
            raise AssertionError("read again")

        again = files.partitions._replace(read=read)
        assert_same(summarize(replaced(files, again), finished=finished), whole)
        assert list(finished) == [(2, 0)]

    def test_joins_what_was_not_joined_any_more(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """The process was killed after the last of eight neighbors was kept."""
        files = in_files(self.X, self.y, 20)
        finished: dict[tuple[int, int], Any] = {}
        with monkeypatch.context() as patched:
            patched.setattr(dask_tasks._Tree, "_join_upward", lambda _tree, _node: None)
            with pytest.raises(KeyError):
                summarize(files, finished=finished)
        assert len(finished) == 20
        assert_same(summarize(files, finished=finished), summarize(files))

    def test_tells_how_far_it_is(self) -> None:
        told: list[tuple[str, int, int]] = []
        summarize(in_files(self.X, self.y, 5), on_progress=lambda *step: told.append(step))
        assert [done for _, done, _ in told] == [0, 1, 2, 3, 4, 5]
        assert told[-1] == ("reading: 0.00 of 0.00 GB, 3,000 rows", 5, 5)


def replaced(files: Files, partitions: Any) -> Files:
    return replace(files, partitions=partitions)


def assert_same(a: Summary, b: Summary) -> None:
    for left, right in ((a.R, b.R), (a.condensed.S, b.condensed.S), (a.rows, b.rows)):
        np.testing.assert_array_equal(left, right)
    np.testing.assert_array_equal(a.extremes, b.extremes)


@pytest.mark.parametrize("parts", [1, 4, 11])
def test_sums_without_rounding_do_not_depend_on_the_parts(parts: int) -> None:
    rng = np.random.default_rng(9)
    X = rng.normal(size=(500, 2)) * 10.0 ** rng.integers(-20, 20, (500, 2))
    X[100:200] = 0.0
    y = rng.normal(size=500)
    here = exact_sums(X, y)
    there = summarize(in_files(X, y, parts), exactly=True).exact
    assert there is not None
    assert there.n == here.n
    for j, k in itertools.product(range(4), repeat=2):
        values = [
            Fraction(int(sums.K[j, k])) * Fraction(2) ** int(sums.q[j] + sums.q[k])
            for sums in (here, there)
        ]
        assert values[0] == values[1]
    np.testing.assert_allclose(there.absolute.astype(float), here.absolute.astype(float))


def test_files_that_change_meanwhile_are_noticed(tmp_path: Path) -> None:
    for name in ("a", "b"):
        pq.write_table(pa.table({"x": [1.0, 2.0], "y": [3.0, 4.0]}), tmp_path / f"{name}.parquet")
    files = open_files(tmp_path)

    def touch(_doing: str, done: int, _steps: int) -> None:
        if done == 2:
            (tmp_path / "b.parquet").write_bytes(b"")

    with pytest.raises(InputValueError, match=r"b\.parquet: has changed while it was read"):
        summarize(files, on_progress=touch)


def test_two_rows_are_needed() -> None:
    one = np.ones((1, 1))
    with pytest.raises(InputValueError, match="folder: needs at least two rows, has 1"):
        summarize(in_files(one, one[:, 0], 2))


def test_what_reads_scaled_columns_reads_the_same_rows() -> None:
    X, y = TestAnInterruptedPass.X, TestAnInterruptedPass.y
    recipes = dask_reading.of_arrays(X, y, 3)
    scaled = dask_partitions.scaled(recipes, np.array([1.0, 2.0, 3.0]), np.array([2.0, 4.0, 8.0]))
    batches = [batch for recipe in scaled.recipes for batch in scaled.read(*recipe)]
    np.testing.assert_array_equal(np.concatenate([b for b, _ in batches]), (X - [1, 2]) / [2, 4])
    np.testing.assert_array_equal(np.concatenate([b for _, b in batches]), (y - 3) / 8)


def test_only_what_read_the_samples_trains_on_them() -> None:
    summary = summarize(in_files(TestAnInterruptedPass.X, TestAnInterruptedPass.y))
    with pytest.raises(InputValueError, match="folder: only backend='dask' can train on it"):
        train(summary, backend="numba")
    with pytest.raises(InputValueError, match="folder: only backend='dask' can train on it"):
        study(summary, [0.1])


def test_passes_at_the_same_time_wait_for_each_other(monkeypatch: pytest.MonkeyPatch) -> None:
    """Dask's callbacks and the number of BLAS threads belong to the whole process."""
    files = in_files(TestAnInterruptedPass.X, TestAnInterruptedPass.y, 20)
    whole, get, alone = summarize(files), dask.threaded.get, threading.Lock()

    def watched(*arguments: Any, **options: Any) -> Any:
        assert alone.acquire(blocking=False)
        try:
            return get(*arguments, **options)
        finally:
            alone.release()

    monkeypatch.setattr(dask.threaded, "get", watched)
    with ThreadPoolExecutor(4) as pool:
        for found in pool.map(lambda _: summarize(files), range(20)):
            assert_same(found, whole)
