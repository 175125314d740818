"""Advice: times carried over to another size, with an honest range."""

import os
import re
from pathlib import Path

import pytest
from gradrace.bench.report.advice import advice_lines, measure_command
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gradrace.backends.interface import InputValueError
from gradrace.bench.race.advice import advise, advise_from
from tests.runs import write_run

SIZES = [(n, d) for d in (1, 10) for n in (100, 10_000, 100_000)]


def law(n: int, d: int) -> dict[str, float]:
    """Seconds per epoch of machines without surprises: a + bn + end."""
    return {
        "python": 1e-6 + n * (2e-7 + 1e-7 * d),
        "numpy": 6e-6 + n * (1e-9 + 5e-10 * d),
        "numba": 2e-8 + n * (8e-10 + 5e-10 * d),
    }


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("advice") / "run.json"
    write_run(path, {f"{n}x{d}": law(n, d) for n, d in SIZES}, spread=0.002)
    return path


@given(st.integers(100, 100_000), st.integers(1, 10), st.integers(1, 10**6))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=50)
def test_between_the_sizes_the_time_is_right(run: Path, n: int, d: int, epochs: int) -> None:
    advice = advise(run, n=n, d=d, epochs=epochs)
    assert advice.extrapolated == ""
    for option in advice.options:
        truth = law(n, d)[option.backend]
        assert option.epoch.value == pytest.approx(truth, rel=0.02)
        assert option.epoch.low <= truth * 1.01
        assert option.epoch.high >= truth / 1.01
        assert option.steady.value == pytest.approx(option.epoch.value * (epochs + 1))


@pytest.mark.parametrize("power", [0.5, 2.0])
def test_the_range_holds_what_is_not_linear(tmp_path: Path, power: float) -> None:
    def curved(n: int) -> float:
        return float(1e-9 * n**power)

    path = tmp_path / "run.json"
    write_run(path, {f"{n}x1": {"numpy": curved(n)} for n in (100, 10_000)}, spread=0)
    epoch = advise(path, n=1_000, d=1, epochs=1).best.epoch
    assert epoch.low <= curved(1_000) * 1.001
    assert epoch.high >= curved(1_000) / 1.001
    assert epoch.low <= epoch.value <= epoch.high


@given(st.integers(10, 10**6), st.integers(1, 100))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=50)
def test_beyond_them_it_is_in_the_range(run: Path, n: int, d: int) -> None:
    advice = advise(run, n=n, d=d, epochs=10)
    inside = 100 <= n <= 100_000 and d <= 10
    assert (advice.extrapolated == "") == inside
    for option in advice.options:
        assert option.epoch.low <= 1.02 * law(n, d)[option.backend]
        assert option.epoch.high >= law(n, d)[option.backend] / 1.02
        assert option.epoch.low <= option.epoch.value <= option.epoch.high


@pytest.mark.parametrize(("n", "d"), [(9, 1), (1_000_001, 1), (1_000, 101)])
def test_far_beyond_them_there_is_no_advice(run: Path, n: int, d: int) -> None:
    with pytest.raises(InputValueError, match="too far from what"):
        advise(run, n=n, d=d, epochs=10)


def test_the_shorter_the_job_the_less_compiling_pays(run: Path) -> None:
    short, long, huge = (advise(run, n=1_000, d=1, epochs=e) for e in (100, 10**5, 10**7))
    assert {short.best.backend, long.best.backend, huge.best.backend} == {"numba"}
    assert short.best_cached.backend == short.best_cold.backend == "numpy"
    assert (long.best_cached.backend, long.best_cold.backend) == ("numba", "numpy")
    assert huge.best_cold.backend == "numba"
    assert advice_lines(short)[0].startswith("Use numpy: one run of 100 epochs on 1,000 × 1 takes")
    # 200 ms to load machine code, 6.2 µs saved per pass, 101 passes a run
    assert re.fullmatch(
        r"With 3[12]\d runs or more in one process, numba is .*", advice_lines(short)[1]
    )
    assert advice_lines(long)[0].startswith("Use numba")
    assert advice_lines(long)[1].startswith("If nothing is compiled yet, numpy is faster")
    assert advice_lines(huge)[1:] == ["The very first time takes 17.2 s, because it compiles."]


def test_what_is_close_is_told(tmp_path: Path) -> None:
    path = tmp_path / "run.json"
    write_run(path, {f"{n}x1": {"numpy": 1.1e-8 * n, "numba": 1e-8 * n} for n in (100, 10_000)})
    lines = advice_lines(advise(path, n=5_000, d=1, epochs=10**7))
    assert (
        "numba and numpy are too close to call; to be sure: gradrace advise --n 5000 --d 1"
        in lines[2]
    )
    write_run(path, {"10000x1": {"numpy": 1.01e-4, "numba": 1e-4}}, spread=0.3)
    measured = " ".join(advice_lines(advise(path, n=10_000, d=1, epochs=10**7)))
    assert "are too close to call." in measured


def test_the_command_to_type_keeps_ones_own_backends(tmp_path: Path) -> None:
    write_run(tmp_path / "run.json", {"100x1": {"numba": 1e-8, "my own.py": 2e-8}})
    advice = advise(tmp_path / "run.json", n=150, d=1, epochs=500, runs=3)
    assert measure_command(advice) == (
        "gradrace advise --n 150 --d 1 --epochs 500 --runs 3 --measure --backend numba "
        "--backend 'my own.py'"
    )


def test_more_runs_take_longer(run: Path) -> None:
    one, ten = (advise(run, n=500, d=5, epochs=100, runs=runs) for runs in (1, 10))
    for a, b in zip(one.options, ten.options, strict=True):
        assert b.steady.value == pytest.approx(10 * a.steady.value)


def test_a_single_size_carries_in_proportion(tmp_path: Path) -> None:
    path = tmp_path / "run.json"
    write_run(path, {"1000x5": {"numpy": 1e-5}}, spread=0)
    larger = advise(path, n=2_000, d=5, epochs=9).best.epoch
    assert (larger.value, larger.low, larger.high) == pytest.approx((2e-5, 0.8e-5, 2.5e-5))
    smaller = advise(path, n=500, d=5, epochs=9).best.epoch
    assert (smaller.value, smaller.low, smaller.high) == pytest.approx((5e-6, 4e-6, 1.25e-5))


def test_at_a_measured_size_nothing_is_added(run: Path) -> None:
    epoch = advise(run, n=10_000, d=10, epochs=1).best.epoch
    assert epoch.high / epoch.low < 1.03


def test_a_machine_that_surprises_widens_the_range(tmp_path: Path) -> None:
    path = tmp_path / "run.json"
    times = {100: 1e-6, 1_000: 3e-5, 10_000: 1e-4}  # a jump at 1,000, as if a cache ended
    write_run(path, {f"{n}x1": {"numpy": time} for n, time in times.items()}, spread=0)
    epoch = advise(path, n=5_000, d=1, epochs=1).best.epoch
    assert epoch.high / epoch.value > 2.9  # 1,000 would be taken for 1e-5
    assert epoch.value / epoch.low > 2.9


def test_a_backend_that_was_too_slow_far_away_has_no_row(tmp_path: Path) -> None:
    path = tmp_path / "run.json"
    write_run(path, {"100x1": {"python": 1e-4, "numpy": 1e-5}, "100000x1": {"numpy": 1e-3}})
    assert [o.backend for o in advise(path, n=50_000, d=1, epochs=9).options] == ["numpy"]


@pytest.mark.parametrize("name", ["n", "d", "epochs", "runs"])
def test_numbers_below_one(run: Path, name: str) -> None:
    job = {"n": 1_000, "d": 1, "epochs": 10, "runs": 1, name: 0}
    with pytest.raises(InputValueError, match=f"{name}: must be at least 1, got 0"):
        advise(run, **job)


def test_what_a_call_sets_up_is_paid_once_a_run(tmp_path: Path) -> None:
    # calls of 1,000 epochs: 1 ms of setting up and 1 µs per epoch
    times = {f"{n}x1@1000": {"gram": 1e-6 + 1e-3 / 1001} for n in (100, 10_000)}
    write_run(tmp_path / "b.json", times, setups={"gram": 1e-3}, compiled=(), spread=0.0)
    found = [
        advise(tmp_path / "b.json", n=100, d=1, epochs=epochs, runs=runs).best.steady.value
        for epochs, runs in ((9, 1), (99_999, 1), (9, 20))
    ]
    assert found == pytest.approx([1e-3 + 10e-6, 1e-3 + 0.1, 20 * (1e-3 + 10e-6)])


def test_the_newest_result_that_covers_the_job_counts(tmp_path: Path) -> None:
    for age, (name, n) in enumerate({"newest": 10, "newer": 100, "old": 100}.items()):
        path = tmp_path / name / "benchmark.json"
        path.parent.mkdir()
        write_run(path, {f"{n}x1": law(n, 1)})
        os.utime(path, (1e9 - age, 1e9 - age))
    (tmp_path / "broken.json").write_text("{")
    used, advice = advise_from(tmp_path, n=900, d=1, epochs=9)
    assert used == tmp_path / "newer" / "benchmark.json"
    assert advice.best.backend == "numba"
    with pytest.raises(InputValueError, match=r"too far from .*newest/.*; --measure races"):
        advise_from(tmp_path, n=10**6, d=1, epochs=9)
