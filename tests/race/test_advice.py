"""Advice: what the nearest measured size says of a job."""

import os
import re
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest

from gradrace.backends.interface import InputValueError
from gradrace.bench.parts import Answer, Caution, Command, Table
from gradrace.bench.race.verdict import beyond_memory
from gradrace.bench.race.verdict.advice import Advice, advise, advise_from
from gradrace.bench.race.verdict.race import Race
from gradrace.bench.show.text import as_option, worded
from tests.runs import write_run

SIZES = [(n, d) for d in (1, 10) for n in (100, 10_000, 100_000)]


def law(n: int, d: int) -> dict[str, float]:
    """Seconds per epoch of machines without surprises: a + bn + cnd."""
    return {
        "python": 1e-6 + n * (2e-7 + 1e-7 * d),
        "numpy": 6e-6 + n * (1e-9 + 5e-10 * d),
        "numba": 2e-8 + n * (8e-10 + 5e-10 * d),
    }


@pytest.fixture(scope="module")
def race(tmp_path_factory: pytest.TempPathFactory) -> Race:
    path = tmp_path_factory.mktemp("advice") / "run.json"
    write_run(path, {f"{n}x{d}": law(n, d) for n, d in SIZES}, spread=0.002)
    return Race(path)


def raced(path: Path, times: dict[str, dict[str, float]], **options: Any) -> Race:
    write_run(path / "run.json", times, **options)
    return Race(path / "run.json")


def answer(advice: Advice) -> list[str]:
    return [str(part) for part in advice.parts() if isinstance(part, Answer)]


@pytest.mark.parametrize(
    ("job", "nearest"),
    [
        ((100, 1), (100, 1)),
        ((50_000, 10), (100_000, 10)),
        ((1_100, 1), (10_000, 1)),
        ((900, 1), (100, 1)),
        ((10_000, 5), (10_000, 10)),
        ((10_000, 2), (10_000, 1)),
    ],
)
def test_the_nearest_size_answers(
    race: Race, job: tuple[int, int], nearest: tuple[int, int]
) -> None:
    advice = advise(race, n=job[0], d=job[1], epochs=9)
    assert (advice.nearest.n, advice.nearest.d) == nearest
    assert advice.measured == (job == nearest)
    for option in advice.options:
        truth = law(*nearest)[option.backend]
        assert option.epoch == pytest.approx(truth, rel=0.01)
        assert option.steady.value == pytest.approx(10 * truth, rel=0.01)
        assert option.steady.low <= option.steady.value <= option.steady.high


@pytest.mark.parametrize(("n", "d"), [(9, 1), (1_000_001, 1), (1_000, 221)])
def test_far_from_all_sizes_there_is_no_advice(race: Race, n: int, d: int) -> None:
    with pytest.raises(InputValueError, match="too far from what"):
        advise(race, n=n, d=d, epochs=10)


@pytest.mark.parametrize("name", ["n", "d", "epochs", "runs"])
def test_numbers_below_one(race: Race, name: str) -> None:
    job = {"n": 1_000, "d": 1, "epochs": 10, "runs": 1, name: 0}
    with pytest.raises(InputValueError, match=f"{name}: must be at least 1, got 0"):
        advise(race, **job)


def test_the_shorter_the_job_the_less_compiling_pays(race: Race) -> None:
    short, long, huge = (advise(race, n=100, d=1, epochs=e) for e in (100, 10**5, 10**7))
    assert {one.best.backend for one in (short, long, huge)} == {"numba"}
    assert short.best_cached.backend == short.best_cold.backend == "numpy"
    assert (long.best_cached.backend, long.best_cold.backend) == ("numba", "numpy")
    assert huge.best_cold.backend == "numba"
    assert answer(short)[0].startswith("Use numpy: one run of 100 epochs on 100 × 1 takes about ")
    # 200 ms to load machine code, 6 µs saved per pass, 101 passes a run
    assert re.fullmatch(r"With 3[23]\d runs or more in one process, numba is .*", answer(short)[1])
    assert answer(long)[0].startswith("Use numba")
    assert answer(long)[1].startswith("If nothing is compiled yet, numpy is faster")
    assert answer(huge)[1:] == ["The very first time takes 5.50 s, because it compiles."]


def test_a_size_that_was_not_measured_says_so_and_how_to_measure_it(race: Race) -> None:
    advice = advise(race, n=900, d=1, epochs=100)
    first, *_, last = answer(advice)
    assert first.startswith(
        "Use numpy. At the nearest measured size, one run of 100 epochs on 100 × 1 takes about "
    )
    assert last == "900 × 1 itself was not measured; to measure it:"
    (command,) = (part for part in advice.parts() if isinstance(part, Command))
    assert command.text == "gradrace advise --n 900 --d 1 --epochs 100 --measure"
    measured = advise(race, n=100, d=1, epochs=100)
    assert not [part for part in measured.parts() if isinstance(part, Command)]


def test_what_is_close_is_told(tmp_path: Path) -> None:
    race = raced(tmp_path, {"10000x1": {"numpy": 1.01e-4, "numba": 1e-4}}, spread=0.3)
    assert "are too close to call." in " ".join(answer(advise(race, n=10_000, d=1, epochs=10**7)))


def test_the_command_to_type_keeps_ones_own_backends(tmp_path: Path) -> None:
    race = raced(tmp_path, {"100x1": {"numba": 1e-8, "my own.py": 2e-8}})
    assert advise(race, n=150, d=1, epochs=500, runs=3).command == (
        "gradrace advise --n 150 --d 1 --epochs 500 --runs 3 --measure --backends numba 'my own.py'"
    )


def test_a_backend_that_was_too_slow_there_has_no_row(tmp_path: Path) -> None:
    race = raced(tmp_path, {"100x1": {"python": 1e-4, "numpy": 1e-5}, "100000x1": {"numpy": 1e-3}})
    advice = advise(race, n=50_000, d=1, epochs=9)
    (table,) = (part for part in advice.parts() if isinstance(part, Table))
    assert [row[0] for row in table.rows] == ["numpy"]


def test_what_a_call_sets_up_is_paid_once_a_run(tmp_path: Path) -> None:
    # calls of 1,000 epochs: 1 ms of setting up and 1 µs per epoch
    times = {f"{n}x1@1000": {"gram": 1e-6 + 1e-3 / 1001} for n in (100, 10_000)}
    race = raced(tmp_path, times, setups={"gram": 1e-3}, compiled=(), spread=0.0)
    found = [
        advise(race, n=100, d=1, epochs=epochs, runs=runs).best.steady.value
        for epochs, runs in ((9, 1), (99_999, 1), (9, 20))
    ]
    assert found == pytest.approx([1e-3 + 10e-6, 1e-3 + 0.1, 20 * (1e-3 + 10e-6)])


def test_what_has_changed_since_and_the_warnings_of_the_race_are_said(tmp_path: Path) -> None:
    race = raced(tmp_path, {"100x1": {"numpy": 1e-5, "numba": 1e-6}}, sessions=1)
    race.about.fingerprints["numpy"] = "an older file"
    advice = advise(race, n=100, d=1, epochs=9)
    warnings = [str(part) for part in advice.parts() if isinstance(part, Caution)]
    assert warnings == [
        "since that race, numpy has changed, so the times may be other ones",
        *race.about.warnings,
    ]
    assert race.about.warnings


def test_the_newest_result_that_covers_the_job_counts(tmp_path: Path) -> None:
    for age, (name, n) in enumerate({"newest": 10, "newer": 100, "old": 100}.items()):
        path = tmp_path / name / "benchmark.json"
        path.parent.mkdir()
        write_run(path, {f"{n}x1": law(n, 1)})
        os.utime(path, (1e9 - age, 1e9 - age))
    (tmp_path / "broken.json").write_text("{")
    advice = advise_from(tmp_path, n=900, d=1, epochs=9)
    assert advice.race.file == tmp_path / "newer" / "benchmark.json"
    with pytest.raises(InputValueError, match=r"too far from .*newest/") as caught:
        advise_from(tmp_path, n=10**6, d=1, epochs=9)
    assert worded(caught.value.args, as_option).endswith("; --measure races your job")
    assert str(caught.value).endswith("; measure=True races your job")


class TestBeyondMemory:
    """What is said of jobs whose samples do not fit in memory."""

    def test_it_is_needed_from_half_the_memory_on(self) -> None:
        total = psutil.virtual_memory().total
        assert beyond_memory.bytes_needed(1_000, 9) == 80_000
        assert not beyond_memory.is_needed(total // 40, 1)
        assert beyond_memory.is_needed(total // 16, 1)

    def test_the_pass_grows_with_the_samples_and_the_epochs_do_not(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """With a clock that says each call takes a second."""
        clock = iter(np.arange(1e6))
        monkeypatch.setattr("time.perf_counter", lambda: next(clock))
        monkeypatch.setattr(beyond_memory, "MEASURED_VALUES", 4_000)
        monkeypatch.setattr("numba.get_num_threads", lambda: 1)
        cost = beyond_memory.cost(10**9, 3, 20_000)
        assert cost.measured == 1_000
        assert (cost.seconds_of_pass, cost.seconds_of_epochs) == (1e6, 2.0)
        first, note, command = map(str, cost.parts())
        assert first.startswith("Use dask: 1,000,000,000 × 3 takes 32 GB as float64")
        assert "on 1,000 samples in memory" in note
        assert "gradrace train FOLDER --backend dask --epochs 20000" in command

    def test_too_many_features_are_refused(self) -> None:
        with pytest.raises(InputValueError, match="d: must be at most 2,000, got 2,001"):
            beyond_memory.cost(10**9, 2_001, 1)
