"""No picture, whatever it shows, has text that is cut off or lies on other text."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from gradrace.bench.data.samples import Dataset, synthetic
from gradrace.bench.learning.rates import study
from gradrace.bench.learning.training import train
from gradrace.bench.race.cases import parse
from gradrace.bench.race.verdict.conclusions import conclude
from gradrace.bench.race.verdict.result import Compile, ResultFile
from gradrace.plots import (
    agreement,
    breakeven,
    loss,
    roofline,
    scale,
    speed,
    speedup,
)
from tests.plots.looks import assert_clean, footer
from tests.plots.test_race import ROOFLINE
from tests.runs import write_run

RACE: list[Any] = [speed, speedup, breakeven, roofline]
LADDER = {"python": 3e-5, "numpy": 3e-6, "numba": 1e-7, "numba-simd": 3e-8, "gram": 4e-9}
FOREIGN = {
    "a_very_long_name_of_a_backend_that_somebody_wrote.py": 3e-6,
    "package_with_a_long_name.module_with_a_long_name": 3e-6,
    "my_$loop$.py": 3.001e-6,
    "$\\frac$.py": 3e-6,
    "_.py": 3.002e-6,
}
COMPILED = [
    Compile(name, load=0.2, cold=cold, cached=0.2)
    for name, cold in (("numba", 2.0), ("numba-simd", 1.0), ("gram", 3.0))
]


def grown(times: dict[str, float], *sizes: str) -> dict[str, dict[str, float]]:
    """The times at 100 × 1 as they are at other sizes."""
    return {
        size: {name: time * parse(size).n * parse(size).d / 100 for name, time in times.items()}
        for size in sizes
    }


SIZES = [f"{10**k}x{d}" for d in (1, 10, 100) for k in (2, 4, 6)][:8]
RACES: dict[str, dict[str, dict[str, float]]] = {
    "a quick race": grown(LADDER, "100x1", "100000x1", "10000x10"),
    "a full race": grown(LADDER, *SIZES),
    "a single size": grown({**LADDER, "_.py": 3e-6}, "100x1"),
    "ten backends": grown({**LADDER, **FOREIGN}, "100x1", "10000x1"),
    "twenty backends": grown({f"mine{i}.py": 1e-5 * (1 + 0.01 * i) for i in range(20)}, "100x1"),
    "the least times": {"1x1": {"python": 1e-14, "numba": 2e-15}, "2x1": {"python": 3e-14}},
    "the most time": {"1000000x100": {"python": 9e5, "numba": 1e3, "gram": 1e-3}},
    "wide ratios": {"100x1": {"python": 9e5, "gram": 1e-12, "numpy": 1e-5}},
}


@pytest.mark.parametrize("name", RACES)
def test_a_race(name: str, tmp_path: Path) -> None:
    race = write_run(tmp_path / "b.json", RACES[name], compiled=COMPILED, roofline=ROOFLINE)
    assert_all_clean(race)


def test_an_interrupted_race(tmp_path: Path) -> None:
    race = write_run(tmp_path / "b.json", RACES["a quick race"], sessions=1, compiled=COMPILED)
    race.benchmarks = [one for one in race.benchmarks if one.group == "100x1"][:2]
    race.gradrace.interrupted = True
    conclude(race)
    assert_all_clean(race)


def test_an_interval_without_end(tmp_path: Path) -> None:
    race = write_run(tmp_path / "b.json", {"100x1": {"python": 1e-5, "numpy": 2e-5}})
    wild, calm = (one.stats.data for one in race.benchmarks[:2])
    wild[:5], calm[:5] = [1e-9] * 5, [1e3] * 5  # of the first session
    wild[5:10], calm[5:10] = [1e3] * 5, [1e-9] * 5
    conclude(race)
    assert_all_clean(race)


def assert_all_clean(race: ResultFile) -> None:
    drawn = [module.figure(race) for module in RACE if module.drawable(race.gradrace)]
    assert drawn
    for figure in drawn:
        assert_clean(figure)


def test_a_study_of_scale(tmp_path: Path) -> None:
    sizes = ("1x1", "1000x1", "1000000x1", "100000x10", "10000x100")
    alone = write_run(tmp_path / "1.json", grown({**LADDER, **FOREIGN}, *sizes), roofline=ROOFLINE)
    both = grown({"numba-simd": 3e-8, "numba-parallel": 2e-8}, "1x1", "1000x1", "1000000x1")
    shared = [write_run(tmp_path / "n.json", both, threads=threads) for threads in (2, 4, 8)]
    figure = scale.figure([alone, *shared])
    assert_clean(figure)
    assert "1–8 threads" in footer(figure)


@pytest.mark.parametrize("count", [1, 12])
def test_errors(count: int) -> None:
    epoch = np.arange(1, 101)
    rows = [
        {"backend": np.full(100, f"{'long' * i}_{i}.py"), "epoch": epoch}
        | {f"{q}_error": 1e-16 * epoch for q in agreement.QUANTITIES}
        | {f"{q}_bound": 1e-13 * epoch for q in agreement.QUANTITIES}
        for i in range(count)
    ]
    colors = {name: "#0072B2" for row in rows for name in set(row["backend"].tolist())}
    table = pa.concat_tables([pa.table(row) for row in rows])
    assert_clean(agreement.figure(table.replace_schema_metadata({"colors": json.dumps(colors)})))


LONG = "a column with a long name, and a price in $"


@pytest.mark.parametrize("features", [1, 3])
@pytest.mark.parametrize("scaled", [1.0, 1e-9, 1e9])
def test_a_training(features: int, scaled: float) -> None:
    data = synthetic(50, features)
    names = tuple(f"{LONG} {j}" for j in range(features))
    trained = train(Dataset("far", names, LONG, data.X, data.y * scaled), lr=0.1, epochs=100)
    assert_clean(trained.loss_plot())
    assert_clean(trained.plot())


@pytest.mark.parametrize("rates", [[0.001, 0.005, 0.1], [0.0026223776223776223, 1e-7]])
def test_a_study_of_rates(rates: list[float], line: Dataset) -> None:
    data = Dataset("odd", (LONG,), "y", line.X, line.y)
    found = study(data, rates, backends=("numpy",), epochs=200)
    assert_clean(found.loss_plot())
    assert_clean(found.path_plot())


class TestFooter:
    def test_of_a_race(self, tmp_path: Path) -> None:
        race = write_run(
            tmp_path / "b.json", RACES["a quick race"], compiled=COMPILED, roofline=ROOFLINE
        )
        race.machine_info.cpu["brand_raw"] = "A $processor$ " + "x" * 300
        for module in RACE:
            said = footer(module.figure(race))
            assert said.startswith(r"A \$processor\$ x")
            assert " · 1 thread · " in said
            assert f"Python {race.machine_info.python_version}" in said
            assert f"gradrace {race.gradrace.version}" in said
            assert said.endswith(race.datetime[:10])
        assert_clean(speedup.figure(race))

    def test_of_a_training(self, line: Dataset) -> None:
        trained = train(line, lr=0.005, epochs=20)
        for figure in (trained.loss_plot(), trained.plot(), trained.path_plot()):
            assert " · Python 3." in footer(figure)
            assert " · gradrace " in footer(figure)

    def test_of_a_table_without_origin_there_is_none(self) -> None:
        table = pa.table({"epoch": [0, 1], "loss": [2.0, 1.0]})
        assert footer(loss.figure([table])) == ""
