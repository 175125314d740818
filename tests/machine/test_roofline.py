"""The limit of a pass: what the machine reads, multiplies and adds, and what follows from it."""

from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import asdict, replace

from gradrace.backends.interface import Floats
from gradrace.bench.machine import peak, roofline
from gradrace.bench.machine.roofline import Roofline
from gradrace.bench.race.verdict.conclusions import conclude
from gradrace.bench.race.verdict.race import Race
from gradrace.bench.race.verdict.result import Growth
from gradrace.bench.show.plain import plain
from tests.runs import MACHINE, known, write_run


def limit(
    n: int, epochs: int = 10, threads: int = 1, once: bool = False, machine: Roofline = MACHINE
) -> Any:
    """The limit of a pass over n samples of one feature."""
    return roofline.limit(machine, n, 1, epochs, threads, once=once)


class TestLimit:
    def test_in_memory_it_is_reading(self) -> None:
        # 16 bytes a sample at 10 GB/s
        assert asdict(limit(50_000)) == {"seconds": pytest.approx(80e-6), "by": "memory"}

    def test_in_the_first_cache_it_is_multiplying(self) -> None:
        # three multiply-adds a sample at 10 G/s, against 16 bytes at 100 GB/s
        assert asdict(limit(60)) == {"seconds": pytest.approx(18e-9), "by": "FMA"}

    def test_between_two_sizes_the_faster_rate_counts(self) -> None:
        found = limit(4_000)  # 64,000 bytes, at 50 GB/s
        assert asdict(found) == {"seconds": pytest.approx(1.28e-6), "by": "memory"}

    def test_float32_reads_half_the_bytes_and_adds_twice_as_fast(self) -> None:
        for n, threads in ((50_000, 1), (60, 1), (50_000, 2)):
            single = known(roofline.limit(MACHINE, n, 1, 10, threads, once=False, number=4))
            assert single.seconds == pytest.approx(limit(n, threads=threads).seconds / 2)

    @pytest.mark.parametrize(("threads", "seconds"), [(1, 80e-6), (2, 800e-6 / 12)])
    def test_more_cores_read_faster(self, threads: int, seconds: float) -> None:
        assert limit(50_000, threads=threads).seconds == pytest.approx(seconds)

    def test_more_threads_than_cores_do_not(self) -> None:
        assert limit(50_000, threads=9) == limit(50_000, threads=2)

    def test_of_a_backend_that_passes_once_per_call(self) -> None:
        short, long = (limit(50_000, epochs, once=True) for epochs in (1, 10**9))
        assert short.seconds == pytest.approx(40e-6, rel=1e-3)
        assert short.by == "memory"
        assert long.seconds == pytest.approx(6 / 10e9, rel=1e-3)
        assert long.by == "FMA"

    @pytest.mark.parametrize(
        ("machine", "n"),
        [
            (replace(MACHINE, read_again={"1": [80e9, 49e9, 10e9, 10e9]}), 60),
            (replace(MACHINE, read_again={"1": [99e9, 49e9, 9e9, 10e9]}), 50_000),
            (replace(MACHINE, fma_again={"1": 8e9}), 50_000),
        ],
    )
    def test_what_no_second_repetition_confirms_is_not_known(
        self, machine: Roofline, n: int
    ) -> None:
        assert limit(n, machine=machine) is None
        assert limit(n, once=True, machine=machine) is None


class TestReport:
    def test_every_entry_has_its_share(self, tmp_path: Path) -> None:
        times = {"50000x1@10": {"numba-simd": 160e-6, "gram": 1e-6}}
        write_run(tmp_path / "b.json", times, roofline=MACHINE, spread=0.0)
        race = Race(tmp_path / "b.json")
        assert known(race.about.cases[0].entries[0].limit).share == pytest.approx(0.5)
        said = " ".join(plain(race.parts(detail=True), 200).split())
        assert "80.0 µs memory 50 %" in said
        assert "gram reads them once per training run, and is compared with its own limit" in said

    def test_without_a_measured_limit_there_is_none(self, tmp_path: Path) -> None:
        write_run(tmp_path / "b.json", {"100x1": {"numba": 1e-7}})
        race = Race(tmp_path / "b.json")
        assert race.about.cases[0].entries[0].limit is None
        assert "Least time:" not in plain(race.parts(detail=True))


@pytest.fixture(scope="module")
def found() -> Roofline:
    return roofline.measured(2)


@pytest.mark.slow
class TestMeasured:
    def test_has_a_rate_for_every_size_and_number_of_threads(self, found: Roofline) -> None:
        assert set(found.read) == set(found.fma) == {"1", "2"}
        for rates in (*found.read.values(), *found.read_again.values()):
            assert len(rates) == len(found.sizes)
        assert found.sizes[-1] >= min(4 * max(found.caches.values(), default=0), 2**28)

    def test_a_process_that_fails_says_why(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(roofline, "_CHILD", "raise SystemExit('no numba')")
        with pytest.raises(RuntimeError, match="no numba"):
            roofline.measured(1)


def test_the_two_best_of_all_repetitions_count(monkeypatch: pytest.MonkeyPatch) -> None:
    """The rates of five repetitions are 1, 2, 3, 4 and 5 passes per second."""
    kernel = peak._Kernel(lambda _x, _passes: 0.0, lambda _x, _passes, _results: None)
    rounds: Counter[tuple[int, int]] = Counter()

    def rate(_kernel: object, x: Floats, count: int) -> float:
        rounds[len(x), count] += 1
        reading = len(x) != 512  # two kernels take turns in each repetition
        return (rounds[len(x), count] + reading) // (1 + reading)

    monkeypatch.setattr(peak, "_KERNELS", (kernel, kernel, kernel))
    monkeypatch.setattr(peak, "_rate", rate)
    found = peak.measure(2)
    for count in ("1", "2"):
        assert found.read[count] == [5 * size for size in found.sizes]
        assert found.read_again[count] == [4 * size for size in found.sizes]
        per_pass = int(count) * 16 * 512
        assert (found.fma[count], found.fma_again[count]) == (5 * per_pass, 4 * per_pass)


def test_of_two_measurements_the_higher_rates_count() -> None:
    slower = replace(
        MACHINE,
        read={"1": [1e9] * 4, "2": [300e9, 99e9, 1e9, 1e9]},
        read_again={"1": [1e9] * 4, "2": [250e9, 1e9, 1e9, 1e9]},
    )
    found = roofline.best(slower, MACHINE)
    assert (found.read["1"], found.read_again["1"]) == (
        MACHINE.read["1"],
        MACHINE.read_again["1"],
    )
    assert found.read["2"] == [300e9, 100e9, 12e9, 12e9]
    assert found.read_again["2"] == [250e9, 99e9, 12e9, 11e9]
    assert (found.fma, found.fma_again) == ({"1": 10e9, "2": 20e9}, {"1": 10e9, "2": 20e9})
    assert roofline.best(None, MACHINE) is MACHINE


class TestImpossible:
    """An impossibly fast backend has no verdict, and is a fault."""

    def race(self, tmp_path: Path, seconds: float, **more: Any) -> Race:
        times = {"50000x1@10": {"numpy": 400e-6, "numba-simd": seconds}}
        content = write_run(tmp_path / "b.json", times, roofline=MACHINE, spread=0.0, **more)
        return Race(tmp_path / "b.json", content)

    def test_within_the_uncertainty_it_is_a_warning(self, tmp_path: Path) -> None:
        race = self.race(tmp_path, 70e-6)  # the limit is 80
        (warning,) = (w for w in race.about.warnings if w.startswith("above the limit"))
        assert warning.startswith("above the limit: numba-simd on 50000x1 (114 %); ")
        assert race.faults == []

    def test_beyond_it_is_a_fault(self, tmp_path: Path) -> None:
        race = self.race(tmp_path, 40e-6)
        (entry,) = (e for e in race.about.cases[0].entries if e.backend == "numba-simd")
        assert (entry.verdict, entry.speed_up) == ("impossible", None)
        assert race.faults == [
            "numba-simd on 50000x1: 2 times as fast as this machine can go through the samples; a "
            "backend that does so only once per call must set PASSES_ONCE"
        ]

    def test_in_one_session_it_is_none(self, tmp_path: Path) -> None:
        race = self.race(tmp_path, 40e-6)
        for one in race.content.benchmarks:
            slow = [s == 2 for s in one.extra_info.sessions]
            data = one.stats.data
            data[:] = [3 * t if late else t for t, late in zip(data, slow, strict=True)]
        conclude(race.content)
        assert race.faults == []

    def test_who_passes_once_a_call_has_a_limit_of_his_own(self, tmp_path: Path) -> None:
        assert self.race(tmp_path, 50e-6, once=("numba-simd",)).faults == []

    @pytest.mark.parametrize(
        ("whole", "more", "faults"),
        [
            (500e-6, 1e-6, 1),
            (500e-6, -1e-6, 1),
            (500e-6, 90e-6, 0),
            (5e-3, 1e-6, 0),
            (50e-6, 20e-6, 1),
            (50e-6, 43e-6, 0),  # the machine was faster than when its limit was measured
        ],
    )
    @pytest.mark.parametrize("once", [True, False])
    def test_who_works_beforehand_is_as_fast_on_all_samples(
        self, tmp_path: Path, whole: float, more: float, faults: int, once: bool
    ) -> None:
        """Reading them takes 80 µs, which would not be visible in a call of 5 ms."""
        race = self.race(
            tmp_path,
            500e-6,
            once=("numba-simd",) if once else (),
            growths={"numba-simd": Growth(whole, more)},
        )
        assert len(race.faults) == faults
        for fault in race.faults:
            assert fault.startswith("numba-simd on 50000x1: its time hardly grows with the samples")

    def test_who_uses_one_core_is_measured_by_what_one_core_can(self, tmp_path: Path) -> None:
        """Reading takes 80 µs on one core, and 67 µs on two."""
        shares = []
        for one_core in ((), ("mine.py",)):
            content = write_run(
                tmp_path / "b.json",
                {"50000x1@10": {"numpy": 400e-6, "mine.py": 80e-6}},
                roofline=MACHINE,
                spread=0.0,
                threads=2,
                one_core=one_core,
            )
            entries = {entry.backend: entry for entry in content.gradrace.cases[0].entries}
            shares.append(known(entries["mine.py"].limit).share)
            assert known(entries["numpy"].limit).share == pytest.approx(1 / 6)
        assert shares == [pytest.approx(5 / 6), pytest.approx(1.0)]

    def test_nobody_is_judged_by_such_a_baseline(self, tmp_path: Path) -> None:
        race = self.race(tmp_path, 40e-6)
        race.about.settings = replace(race.about.settings, baseline="numba-simd")
        conclude(race.content)
        verdicts = {entry.backend: entry.verdict for entry in race.about.cases[0].entries}
        assert verdicts == {"numpy": "not judged", "numba-simd": "impossible"}
