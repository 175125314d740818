"""How times grow with the job: exponents and crossovers, from times whose growth is known."""

from collections.abc import Callable
from pathlib import Path

import pytest

from gradrace.bench.machine import facts
from gradrace.bench.parts import Answer, Heading, Table
from gradrace.bench.race import growth, run
from gradrace.bench.race.growth import NUMBERS, SIZES, Scaling
from gradrace.bench.race.settings import Settings
from gradrace.bench.race.verdict.race import Race
from tests.runs import write_run

TIMES = {
    f"{n}x1": {"python": 1e-7 * n, "numpy": 3e-6 + 1e-9 * n, "numba-simd": 2e-10 * n**1.1}
    for n in (10, 100, 1_000, 10_000, 100_000)
}


def test_cases_are_one_feature_and_one_product() -> None:
    found = growth.cases()
    assert {case.n for case in found if case.d == 1} >= set(SIZES)
    assert {case.n * case.d for case in found if case.d > 1} == {NUMBERS}
    assert len({case.name for case in found}) == len(found)


@pytest.mark.parametrize(
    ("cores", "counts"),
    [(1, [1]), (2, [1, 2]), (3, [1, 2, 3]), (6, [1, 2, 4, 6]), (8, [1, 2, 4, 8])],
)
def test_threads_are_doubled_up_to_all_cores(cores: int, counts: list[int]) -> None:
    assert growth.thread_counts(cores) == counts


@pytest.fixture(scope="module")
def race(tmp_path_factory: pytest.TempPathFactory) -> Race:
    path = tmp_path_factory.mktemp("growth") / "scale-1.json"
    write_run(path, TIMES, spread=0.0)
    return Race(path)


def test_the_exponent_is_that_of_the_sizes_where_the_data_count(race: Race) -> None:
    found = {exponent.backend: exponent for exponent in growth.exponents(race.content)}
    assert found["python"].power == pytest.approx(1)
    assert found["numba-simd"].power == pytest.approx(1.1)
    assert found["numpy"].start == 10_000
    assert found["numpy"].power == pytest.approx(0.9, abs=0.02)


def test_where_one_overtakes_another(race: Race) -> None:
    (crossover,) = growth.crossovers(race.content)
    assert (crossover.before, crossover.after) == ("python", "numpy")
    assert crossover.n == pytest.approx(30, rel=0.05)  # 1e-7 n = 3e-6


def test_the_answer_the_exponents_then_each_race(race: Race) -> None:
    parts = list(Scaling([race, race]).parts())
    assert isinstance(parts[0], Answer)
    assert str(parts[0]) == "numpy overtakes python at n ≈ 31"
    (exponents, *_) = (part for part in parts if isinstance(part, Table))
    assert exponents.rows[0] == ("python", "∝ n^1.00", 100)
    headings = [part.text for part in parts if isinstance(part, Heading)]
    assert headings.count("Threads: 1") == 2


def test_the_picture_has_times_and_speed_ups(tmp_path: Path) -> None:
    paths = [tmp_path / "scale-1.json", tmp_path / "scale-2.json"]
    write_run(paths[0], {**TIMES, "100x10": TIMES["1000x1"], "10x100": TIMES["1000x1"]})
    sizes = ("100000x1", "1000000x1")
    write_run(paths[1], {n: {"numba-simd": 2e-5, "numba-parallel": 1e-5} for n in sizes}, threads=2)
    along_n, along_d, by_threads = Scaling(list(map(Race, paths))).picture().draw().axes
    assert len(along_n.lines) == len(along_d.lines) == 3
    assert along_d.lines[0].get_xdata() == pytest.approx([1, 10, 100])
    assert by_threads.lines[0].get_ydata() == pytest.approx([2, 2], rel=0.05)


class TestRaces:
    """What is raced on how many threads, without a race."""

    @pytest.fixture
    def raced(self, monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, Settings]]:
        found: list[tuple[str, Settings]] = []

        def measure(path: Path, settings: Settings, _progress: Callable[..., None]) -> Race:
            found.append((path.name, settings))
            race = Race(path, content=object())  # type: ignore[arg-type]
            race.interrupted = len(found) == 2
            return race

        monkeypatch.setattr(run, "measure", measure)
        monkeypatch.setattr(facts, "affinity", lambda: [0, 1, 2, 3])
        return found

    def test_a_race_per_number_of_threads_until_an_interrupt(
        self, raced: list[tuple[str, Settings]], tmp_path: Path
    ) -> None:
        races = growth.scale(tmp_path)
        assert [race.file.name for race in races] == ["scale-1.json", "scale-2.json"]
        assert [(name, one.threads) for name, one in raced] == [
            ("scale-1.json", 1),
            ("scale-2.json", 2),
        ]
        single, several = (set(settings.backends) for _, settings in raced)
        assert {"python", "numpy", "numba-simd"} <= single
        assert "numba-parallel" in several - single
        assert "python" not in several
        assert {settings.kind for _, settings in raced} == {"scale"}
        assert {settings.cases for _, settings in raced} == {growth.cases()}
