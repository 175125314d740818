"""What is raced: sizes, backends, and how long that takes."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from gradrace import backends
from gradrace.backends.interface import InputValueError
from gradrace.bench.data.samples import reference_line
from gradrace.bench.learning.curvature import hessian
from gradrace.bench.race.cases import FULL, QUICK, REFERENCE, grid, make_case, parse
from gradrace.bench.race.duration import START, announcement, duration, in_words, measured_start
from gradrace.bench.race.settings import QUICK_SETTINGS, choose

SMALL_DATA = {name: rung for name, rung in backends.LADDER.items() if not rung.for_large_data}


class TestCases:
    def test_the_reference_case_is_the_reference_line(self) -> None:
        assert make_case(100, 1) == REFERENCE
        a, b = REFERENCE.samples(), reference_line()
        assert (a.X.tolist(), a.y.tolist()) == (b.X.tolist(), b.y.tolist())
        assert (REFERENCE.lr, REFERENCE.epochs) == (0.005, 10_000)

    @given(st.integers(1, 10**9), st.integers(1, 10**6), st.none() | st.integers(1, 10**9))
    def test_a_case_is_its_spec(self, n: int, d: int, epochs: int | None) -> None:
        case = make_case(n, d, epochs)
        assert replace(parse(case.spec), chosen=case.chosen) == case
        assert case.name == f"{n}x{d}"
        assert epochs in (None, case.epochs)

    @given(st.integers(1, 200), st.integers(1, 100))
    @settings(max_examples=60, deadline=None)
    def test_every_rate_is_stable(self, n: int, d: int) -> None:
        case = make_case(n, d)
        assert case.lr < hessian(case.samples().X).limit

    def test_a_grid_has_every_pair_once(self) -> None:
        names = [case.name for case in grid([20, 10, 20], [3, 1])]
        assert names == ["10x1", "20x1", "10x3", "20x3"]
        assert {case.epochs for case in grid([20], [1], epochs=7)} == {7}

    def test_the_presets_hold_the_reference_case(self) -> None:
        assert len(QUICK) == 4
        assert len(FULL) == 14
        assert REFERENCE in QUICK
        assert set(QUICK) < set(FULL)

    @pytest.mark.parametrize(
        "text", ["", "100", "100x", "x1", "-1x1", "1x1@", "100x1@x", "1.5x1", "exe", "1e999x1"]
    )
    def test_what_is_no_case(self, text: str) -> None:
        with pytest.raises(InputValueError, match="needs SAMPLESxFEATURES"):
            parse(text)

    @pytest.mark.parametrize("text", ["0x1", "1x0", "9999999999999999x1"])
    def test_sizes_out_of_range(self, text: str) -> None:
        with pytest.raises(InputValueError, match="must be from 1 to"):
            parse(text)


class TestChosen:
    def test_quick_is_the_default(self) -> None:
        found = choose()
        assert (found.kind, found.cases, found.sessions) == ("quick", tuple(QUICK), 3)
        alone = [name for name, rung in SMALL_DATA.items() if rung.on_one_thread is None]
        assert found.backends == tuple(alone)
        assert found.baseline == "python"

    def test_all_cores_race_where_there_are_several_threads(self) -> None:
        assert choose(threads=2).backends == tuple(SMALL_DATA)
        assert choose(backends=["numba-parallel"]).backends == ("numba-parallel",)

    def test_full(self) -> None:
        found = choose(full=True)
        assert (found.kind, found.cases, found.sessions) == ("full", tuple(FULL), 8)

    def test_sizes_of_ones_own(self) -> None:
        found = choose(sizes=[20, 10], features=[2], epochs=5)
        assert found.kind == "custom"
        assert [case.spec for case in found.cases] == ["10x2@5", "20x2@5"]
        assert {case.d for case in choose(sizes=[20]).cases} == {1, 10}
        assert {case.n for case in choose(features=[2]).cases} == {100, 10_000, 100_000}
        assert [case.name for case in choose(epochs=9).cases] == [case.name for case in QUICK]

    def test_the_baseline_is_the_first_without_python(self) -> None:
        assert choose(backends=["numba", "numpy", "numba"]).baseline == "numba"

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ({"baseline": "numpy", "backends": ["python"]}, "baseline numpy: is not in the race"),
            ({"backends": ["a/x.py", "b/x.py"]}, r"two files are called x\.py; rename one"),
            ({"sessions": 0}, "sessions: must be from 1 to 10,000, got 0"),
            ({"threads": 0}, "threads: must be from 1 to 10,000, got 0"),
            ({"sizes": [0]}, "n: must be from 1 to"),
            ({"sizes": [10**9], "features": [10**4]}, "these sizes need about"),
        ],
    )
    def test_what_cannot_be_raced(self, options: dict[str, Any], message: str) -> None:
        with pytest.raises(InputValueError, match=message):
            choose(**options)

    @pytest.mark.parametrize(
        ("change", "message"),
        [
            ({"longest": float("inf")}, "longest: must be from 0 to 1,000,000 seconds"),
            ({"sessions": 10_001}, "sessions: must be from 1 to 10,000, got 10001"),
            ({"cases": grid([10], [1], 5) + grid([10], [1], 9)}, "two have the same size"),
            ({"cases": grid([10], [1], 10**12)}, "these sizes need about"),
        ],
    )
    def test_what_no_result_file_could_hold(self, change: dict[str, Any], message: str) -> None:
        with pytest.raises(InputValueError, match=message):
            replace(QUICK_SETTINGS, **change).resolved()


class TestDuration:
    @pytest.mark.parametrize(
        "longer",
        [
            {"sessions": 4},
            {"repetitions": 1_000},
            {"spacing": 60.0},
            {"cases": tuple(grid([10, 20], [1]))},
            {"cases": (parse("1e6x10"),)},
            {"backends": ("numpy", "numba", "gram")},
        ],
    )
    def test_more_of_anything_takes_longer(self, longer: dict[str, Any]) -> None:
        base = replace(QUICK_SETTINGS, backends=("numpy", "numba"), cases=tuple(grid([10], [1])))
        assert duration(base, START) < duration(replace(base, **longer), START)

    def test_a_slower_start_announces_more(self) -> None:
        assert duration(choose(), START) < duration(choose(), 2 * START)

    def test_no_session_but_the_last_is_shorter_than_its_spacing(self) -> None:
        found = choose(backends=["numpy"], sizes=[10], features=[1])
        assert duration(found, START) > (found.sessions - 1) * found.spacing

    def test_an_interpreted_loop_takes_longer_unless_it_is_left_out(self) -> None:
        numpy, python, left_out, rival = (
            duration(choose(backends=[backend], sizes=[n], features=[10], epochs=9), START)
            for backend, n in (
                ("numpy", 100_000),
                ("python", 100_000),
                ("python", 10_000_000),
                ("numpy", 10_000_000),
            )
        )
        assert numpy < python
        assert left_out == pytest.approx(rival)

    @pytest.mark.parametrize(
        ("seconds", "words"),
        [
            (1, "5 seconds"),
            (41, "40 seconds"),
            (119, "120 seconds"),
            (130, "2.2 minutes"),
            (599, "10 minutes"),
            (7_300, "2.0 hours"),
            (40_000, "11 hours"),
        ],
    )
    def test_in_round_numbers(self, seconds: float, words: str) -> None:
        assert in_words(seconds) == words

    def test_the_announcement(self) -> None:
        found = choose(sessions=1, sizes=[10], features=[2], backends=["numpy"])
        words = "custom run: 1 size, 1 backend, 1 session; takes about "
        assert announcement(found, START).startswith(words)
        quick = f"quick run: 4 sizes, {len(choose().backends)} backends, 3 sessions; "
        assert announcement(choose(), START).startswith(quick)
        assert measured_start() > 0
