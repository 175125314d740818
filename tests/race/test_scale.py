"""Exponents and crossovers, from times whose growth is known."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from gradrace.bench.race.scale import NUMBERS, SIZES
from gradrace.bench.report.race_page import scale_page
from gradrace.bench.report.scale import crossover_lines, exponent_table

from gradrace.bench.machine import facts
from gradrace.bench.race import exponents, results, scale
from gradrace.bench.race.cases import make_case
from gradrace.bench.race.settings import QUICK_SETTINGS
from gradrace.plots import scale as picture
from tests.runs import write_run

TIMES = {
    f"{n}x1": {"python": 1e-7 * n, "numpy": 3e-6 + 1e-9 * n, "numba-simd": 2e-10 * n**1.1}
    for n in (10, 100, 1_000, 10_000, 100_000)
}


def test_cases_are_one_feature_and_one_product() -> None:
    found = scale.cases()
    assert {case.n for case in found if case.d == 1} >= set(SIZES)
    assert {case.n * case.d for case in found if case.d > 1} == {NUMBERS}
    assert len({case.name for case in found}) == len(found)


@pytest.mark.parametrize(
    ("cores", "counts"),
    [(1, [1]), (2, [1, 2]), (3, [1, 2, 3]), (6, [1, 2, 4, 6]), (8, [1, 2, 4, 8])],
)
def test_threads_are_doubled_up_to_all_cores(cores: int, counts: list[int]) -> None:
    assert scale.thread_counts(cores) == counts


def test_the_exponent_is_that_of_the_sizes_where_the_data_count(tmp_path: Path) -> None:
    content = write_run(tmp_path / "b.json", TIMES, spread=0.0)
    found = {exponent.backend: exponent for exponent in exponents.exponents(content)}
    assert found["python"].power == pytest.approx(1)
    assert found["numba-simd"].power == pytest.approx(1.1)
    assert found["numpy"].start == 10_000
    assert found["numpy"].power == pytest.approx(0.9, abs=0.02)
    assert exponent_table(list(found.values()), content["gradrace"]).row_count == 3


def test_where_one_overtakes_another(tmp_path: Path) -> None:
    content = write_run(tmp_path / "b.json", TIMES, spread=0.0)
    (crossover,) = exponents.crossovers(content)
    assert (crossover.before, crossover.after) == ("python", "numpy")
    assert crossover.n == pytest.approx(30, rel=0.05)  # 1e-7 n = 3e-6
    assert crossover_lines([crossover]) == ["numpy overtakes python at n ≈ 31"]


def test_the_picture_has_times_and_speed_ups(tmp_path: Path) -> None:
    paths = [tmp_path / "scale-1.json", tmp_path / "scale-2.json"]
    write_run(paths[0], {**TIMES, "100x10": TIMES["1000x1"], "10x100": TIMES["1000x1"]})
    sizes = ("100000x1", "1000000x1")
    write_run(paths[1], {n: {"numba-simd": 2e-5, "numba-parallel": 1e-5} for n in sizes}, threads=2)
    along_n, along_d, by_threads = picture.figure(paths).axes
    assert len(along_n.lines) == len(along_d.lines) == 3
    np.testing.assert_array_equal(along_d.lines[0].get_xdata(), [1, 10, 100])
    assert by_threads.lines[0].get_ydata() == pytest.approx([2, 2], rel=0.05)
    html = scale_page([results.read(path) for path in paths], paths)
    assert "Threads: 2" in html
    assert "∝ n^" in html
    picture.draw(paths, tmp_path / "scale.png")
    assert (tmp_path / "scale.png").stat().st_size > 10_000


@pytest.mark.slow
def test_a_race_per_number_of_threads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(facts, "affinity", lambda: [0, 1])
    monkeypatch.setattr(scale, "single", lambda: ("python", "numpy"))
    monkeypatch.setattr(scale, "threaded", lambda: ("numpy",))
    base = replace(QUICK_SETTINGS, sessions=1, repetitions=4, spacing=0.0, limit=False)
    races = scale.scale(tmp_path, base, [make_case(30, 1, 60)])
    files = [path.name for race in races for path in race.files]
    assert files == ["scale-1.json", "scale-2.json"]
    raced = [[row["backend"] for row in race.about["cases"][0]["arms"]] for race in races]
    assert raced == [["python", "numpy"], ["numpy"]]
    assert [race.about["settings"]["threads"] for race in races] == [1, 2]


@pytest.mark.slow
def test_ctrl_c_keeps_what_is_finished(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scale, "single", lambda: ("numpy",))

    def interrupt(doing: str, _done: int, _all: int) -> None:
        if doing.startswith("session 2 of 2"):
            raise KeyboardInterrupt

    base = replace(QUICK_SETTINGS, sessions=2, repetitions=4, spacing=0.0, limit=False)
    (only,) = scale.scale(tmp_path, base, [make_case(30, 1, 60)], interrupt)
    assert (only.interrupted, only.finished) == (True, 1)
    assert only.files == [tmp_path / "scale-1.json"]
    assert results.read(only.files[0])["gradrace"]["interrupted"] is True
