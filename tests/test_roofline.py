"""The limit of a pass: what the machine reads, multiplies and adds, and what follows from it."""

import json
from pathlib import Path
from typing import Any

import pytest

from bench import roofline
from bench.report import limit_legend, limit_table, roofline_table
from bench.roofline import limit
from tests.runs import write_run

# 1,000 bytes fit the first cache, 10,000 the second; then comes memory
MACHINE: dict[str, Any] = {
    "sizes": [1_000, 10_000, 100_000, 1_000_000],
    "caches": {"L1d": 1_000, "L2": 10_000},
    "read": {"1": [100e9, 50e9, 10e9, 10e9], "2": [200e9, 100e9, 12e9, 12e9]},
    "fma": {"1": 10e9, "2": 20e9},
}


class TestLimit:
    def test_in_memory_it_is_reading(self) -> None:
        # 16 bytes a sample at 10 GB/s
        assert limit(MACHINE, "numba-simd", 50_000, 1, 10, 1) == {
            "seconds": pytest.approx(80e-6), "by": "memory",
        }  # fmt: skip

    def test_in_the_first_cache_it_is_multiplying(self) -> None:
        # three multiply-adds a sample at 10 G/s, against 16 bytes at 100 GB/s
        assert limit(MACHINE, "numba-simd", 60, 1, 10, 1) == {
            "seconds": pytest.approx(18e-9), "by": "FMA",
        }  # fmt: skip

    def test_between_two_sizes_the_faster_rate_counts(self) -> None:
        found = limit(MACHINE, "numpy", 4_000, 1, 10, 1)  # 64,000 bytes, at 50 GB/s
        assert found == {"seconds": pytest.approx(1.28e-6), "by": "memory"}

    @pytest.mark.parametrize(
        ("backend", "seconds"), [("numba-simd", 80e-6), ("numba-parallel", 800e-6 / 12)]
    )
    def test_only_some_backends_use_all_cores(self, backend: str, seconds: float) -> None:
        assert limit(MACHINE, backend, 50_000, 1, 10, 2)["seconds"] == pytest.approx(seconds)

    def test_gram_passes_once_per_call(self) -> None:
        short, long = (limit(MACHINE, "gram", 50_000, 1, epochs, 1) for epochs in (1, 10**9))
        assert short["seconds"] == pytest.approx(40e-6, rel=1e-3)
        assert short["by"] == "memory"
        assert long["seconds"] == pytest.approx(6 / 10e9, rel=1e-3)
        assert long["by"] == "FMA"


class TestReport:
    def test_every_row_has_its_share(self, tmp_path: Path) -> None:
        content = write_run(
            tmp_path / "b.json", {"50000x1@10": {"numba-simd": 160e-6, "gram": 1e-6}},
            roofline=MACHINE, spread=0.0,
        )  # fmt: skip
        (case,) = content["gradrace"]["cases"]
        assert case["arms"][0]["limit"]["share"] == pytest.approx(0.5)
        table = limit_table(content["gradrace"])
        assert table is not None
        assert [list(column.cells) for column in table.columns][:3] == [
            ["50,000 × 1"], ["80.0 µs memory"], ["50 %"],
        ]  # fmt: skip
        assert "gram reads the samples only when a call begins" in limit_legend(content["gradrace"])

    def test_without_a_measured_limit_there_is_none(self, tmp_path: Path) -> None:
        content = write_run(tmp_path / "b.json", {"100x1": {"numba": 1e-7}})
        assert content["gradrace"]["cases"][0]["arms"][0]["limit"] is None
        assert limit_table(content["gradrace"]) is None
        assert limit_legend(content["gradrace"]) == ""


@pytest.fixture(scope="module")
def found() -> dict[str, Any]:
    return roofline.measured(2)


@pytest.mark.slow
class TestMeasured:
    def test_has_a_rate_for_every_size_and_number_of_threads(self, found: dict[str, Any]) -> None:
        assert set(found["read"]) == set(found["fma"]) == {"1", "2"}
        for rates in found["read"].values():
            assert len(rates) == len(found["sizes"])
            assert min(rates) > 1e8
        assert found["sizes"][-1] >= min(4 * max(found["caches"].values(), default=0), 2**28)
        assert json.loads(json.dumps(found)) == found

    def test_its_table_has_a_row_per_size(self, found: dict[str, Any]) -> None:
        assert roofline_table(found).row_count == len(found["sizes"]) + 1

    def test_a_process_that_fails_says_why(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(roofline, "_CHILD", "raise SystemExit('no numba')")
        with pytest.raises(RuntimeError, match="no numba"):
            roofline.measured(1)


def test_of_two_measurements_the_higher_rates_count() -> None:
    slower = {**MACHINE, "read": {"1": [1e9] * 4, "2": [300e9, 1e9, 1e9, 1e9]}}
    found = roofline.best(slower, MACHINE)
    assert found["read"]["1"] == MACHINE["read"]["1"]
    assert found["read"]["2"] == [300e9, 100e9, 12e9, 12e9]
    assert roofline.best(None, MACHINE) is MACHINE


def test_what_is_above_the_limit_is_said(tmp_path: Path) -> None:
    content = write_run(
        tmp_path / "b.json", {"50000x1@10": {"numba-simd": 40e-6}}, roofline=MACHINE, spread=0.0
    )
    (warning,) = (w for w in content["gradrace"]["warnings"] if w.startswith("above the limit"))
    assert warning.startswith("above the limit: numba-simd on 50000x1 (200 %); ")
