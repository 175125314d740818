"""What follows from the times of a race: figures, verdicts, warnings."""

from collections.abc import Callable
from pathlib import Path

import pytest
from msgspec.structs import replace

from gradrace.bench.race.verdict.conclusions import conclude
from gradrace.bench.race.verdict.result import Preparing, ResultFile
from tests.runs import calm_session, drop, entries, known, write_run

TIMES = {
    "100x1": {"python": 4e-5, "numpy": 8e-6, "numba": 1e-7},
    "1000x1": {"python": 4e-4, "numpy": 1e-5, "numba": 1e-5},
}


@pytest.fixture
def run(tmp_path: Path) -> ResultFile:
    return write_run(tmp_path / "run.json", TIMES)


class TestFigures:
    def test_times(self, run: ResultFile) -> None:
        numpy = entries(run, "100x1")["numpy"]
        assert numpy.time.median == pytest.approx(8e-6, rel=0.01)
        assert numpy.time.minimum <= numpy.time.median
        assert set(numpy.time.sessions) == {1, 2, 3}
        assert numpy.time.interval.low < 8e-6 < numpy.time.interval.high
        assert numpy.rate == pytest.approx(100 / numpy.time.median)
        assert numpy.run == pytest.approx(10_001 * numpy.time.median)

    def test_speed_ups_and_verdicts(self, run: ResultFile) -> None:
        found = entries(run, "100x1")
        assert (found["python"].verdict, found["python"].speed_up) == ("baseline", None)
        assert known(found["numba"].speed_up).value == pytest.approx(400, rel=0.02)
        assert found["numba"].speed_up_of_bests == pytest.approx(400, rel=0.02)
        assert found["numba"].verdict == found["numpy"].verdict == "faster"

    @pytest.mark.parametrize(("seconds", "counted"), [(0.003, 0.0), (0.05, 0.05)])
    def test_preparing_counts_where_it_does_more_than_convert(
        self, tmp_path: Path, seconds: float, counted: float
    ) -> None:
        times = {"1000000x1@9": {"numpy": 2e-3, "numba": 1e-3}}
        slow = {"numba": Preparing(seconds, copying=0.002)}
        before, after = (
            entries(write_run(tmp_path / "run.json", times, preparing=preparing), "1000000x1")
            for preparing in ({}, slow)
        )
        then, now = before["numba"], after["numba"]
        assert (then.prepare, now.prepare) == (None, seconds)
        assert now.setup == pytest.approx(counted)
        assert now.per_pass == pytest.approx(then.per_pass)
        assert now.run == pytest.approx(then.run + counted)
        ratio = known(then.speed_up).value / known(now.speed_up).value
        assert ratio == pytest.approx(1 + counted / 10 / 1e-3, rel=1e-3)

    def test_the_noise_is_that_of_the_duplicate(self, run: ResultFile) -> None:
        first, second = run.gradrace.cases
        assert (first.doubled, second.doubled) == ("numba", "numpy")
        assert 0 < known(first.noise) < 0.1

    def test_break_even(self, run: ResultFile) -> None:
        found = entries(run, "100x1")
        assert found["numpy"].break_even == {}
        # 4 s of compiling, 80 ms a run saved against numpy, 400 ms against python
        pays = found["numba"].break_even
        assert pays["numpy"].cold == pytest.approx(51, abs=1)
        assert pays["numpy"].cached == 3
        assert pays["python"].cold == pytest.approx(11, abs=1)
        assert pays["python"].cached == 1

    def test_another_baseline(self, run: ResultFile) -> None:
        run.gradrace.settings = replace(run.gradrace.settings, baseline="numba")
        conclude(run)
        python = entries(run, "100x1")["python"]
        assert python.verdict == "slower"
        assert known(python.speed_up).value == pytest.approx(1 / 400, rel=0.02)

    def test_a_baseline_that_was_left_out(self, run: ResultFile) -> None:
        numba = entries(drop(run, "python"), "100x1")["numba"]
        assert (numba.speed_up, numba.verdict) == (None, "")

    def test_one_session_shows_nothing(self, tmp_path: Path) -> None:
        run = write_run(tmp_path / "run.json", TIMES, sessions=1)
        numba = entries(run, "100x1")["numba"]
        assert (known(numba.speed_up).low, numba.verdict) == (0.0, "not judged")
        assert run.gradrace.warnings[0].startswith("fewer than two sessions")


def busy(run: ResultFile) -> None:
    run.gradrace.sessions[1].others = 0.8


def stolen(run: ResultFile) -> None:
    run.gradrace.sessions[1].stolen = 0.31


def broken(run: ResultFile) -> None:
    run.gradrace.sessions.append(replace(calm_session(4, 0, 1), failure="no end"))


def unstable(run: ResultFile) -> None:
    run.benchmarks[1].stats.data[:5] = [2 * value for value in run.benchmarks[1].stats.data[:5]]


def blurred(run: ResultFile) -> None:
    data = next(one for one in run.benchmarks if one.extra_info.duplicate).stats.data
    data[:5] = [1.4 * value for value in data[:5]]


def compiled(run: ResultFile) -> None:
    run.benchmarks[0].extra_info.signatures = [1, 2]


def mixed(run: ResultFile) -> None:
    run.benchmarks[0].options["mixed"] = True


def other_versions(run: ResultFile) -> None:
    known(run.gradrace.sessions[1].libraries).numpy = "2.1"


def many_threads(run: ResultFile) -> None:
    run.gradrace.settings = replace(run.gradrace.settings, threads=1024)


def a_pool(run: ResultFile) -> None:
    (pool,) = known(run.gradrace.sessions[0].libraries).pools
    known(run.gradrace.sessions[0].libraries).pools = [replace(pool, num_threads=7)]


def governor(run: ResultFile) -> None:
    run.machine_info = replace(run.machine_info, governor="powersave")


def short_blocks(run: ResultFile) -> None:
    run.benchmarks[0].stats.iterations = 1
    run.benchmarks[0].stats.median = 1e-3  # of one epoch, hence of the block


def cores(run: ResultFile) -> None:
    run.benchmarks[0].extra_info.cores[1] = 2.5


def neighbors(run: ResultFile) -> None:
    run.benchmarks[1].extra_info.changed = ["Numba's threads (2 → 1)"]


WARNINGS: dict[Callable[[ResultFile], None], str] = {
    busy: "the machine was busy: other processes used up to 0.8 cores in 1 of 3 sessions",
    stolen: "the host of this virtual machine took up to 31 % of a core",
    broken: "session 4 failed: no end",
    unstable: "unstable: the time of numpy on 100x1 differs by ",
    blurred: "the noise is above 5 % on 100x1 (",
    compiled: "python on 100x1: something was compiled while it was timed",
    mixed: "python on 100x1: timed with different options of pytest-benchmark",
    other_versions: "the sessions ran with different versions or threads",
    many_threads: "1024 threads on ",
    a_pool: "blas ran with 7 threads instead of 1",
    governor: "the frequency governor is powersave, not performance",
    short_blocks: "python on 100x1: timed blocks last less than 5 ms",
    cores: "python on 100x1 kept 2.5 cores busy, although each may use 1 thread",
    neighbors: "numpy changed settings that all backends in its process share: Numba's threads "
    "(2 → 1); ",
}


def test_a_calm_run_warns_of_nothing(run: ResultFile) -> None:
    run.machine_info = replace(run.machine_info, governor=None)
    conclude(run)
    assert run.gradrace.warnings == []


@pytest.mark.parametrize("spoil", WARNINGS, ids=lambda spoil: spoil.__name__)
def test_what_spoils_a_run_is_said(run: ResultFile, spoil: Callable[[ResultFile], None]) -> None:
    spoil(run)
    conclude(run)
    assert [w for w in run.gradrace.warnings if w.startswith(WARNINGS[spoil])]
