"""The study of a pass: all ways compute the same sums, from files that hold what they should."""

from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from gradrace.backends import dask_partitions as rung
from gradrace.backends.support.dask_reading import Partitions
from gradrace.bench.studies import cluster


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    monkeypatch.setattr(cluster, "ROW_GROUP", 4_000)
    cluster.generate(tmp_path, 3 * 8 * 4_000 / 1e9, 3)
    return sorted(map(str, tmp_path.glob("*.parquet")))


def test_the_folder_has_as_many_rows_as_asked_for(files: list[str]) -> None:
    assert [pq.read_metadata(file).num_rows for file in files] == [1_000] * 3
    assert pq.read_schema(files[0]).names == ["x0", "x1", "x2", "y"]


def test_the_plain_loop_and_the_rung_find_the_same_sums(files: list[str]) -> None:
    S, R = cluster.plain(files)
    condensed = rung.condense(Partitions(cluster.read, [(file,) for file in files], 3))
    assert condensed.n == 3_000
    np.testing.assert_allclose(condensed.S, S, rtol=1e-12, atol=1e-9)
    np.testing.assert_allclose(R.T @ R, S, rtol=1e-12, atol=1e-9)
    np.testing.assert_allclose(condensed.R @ condensed.R.T, S, rtol=1e-12, atol=1e-9)


def test_empty_partitions_count_nothing() -> None:
    source = Partitions(cluster._hardly_any, [(i,) for i in range(50)], 10)
    assert rung.condense(source).n == 12
