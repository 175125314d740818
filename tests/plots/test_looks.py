"""No picture, whatever its file holds, has text that is cut off, on other text or on a line."""

import json
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from gradrace.bench.race.results import read
from gradrace.bench.race.schema import Compile

from gradrace.bench.data.files import write_json, write_table
from gradrace.bench.data.samples import Dataset, synthetic
from gradrace.bench.learning.rates import study
from gradrace.bench.learning.training import train
from gradrace.bench.race.cases import parse
from gradrace.bench.race.conclusions import conclude
from gradrace.plots import (
    agreement,
    breakeven,
    fastest,
    loss,
    roofline,
    scale,
    speed,
    speedup,
)
from tests.machine.test_roofline import MACHINE
from tests.plots.looks import assert_clean, box, crosses, footer
from tests.runs import write_run

RACE = [speed, speedup, breakeven, fastest, roofline]
LADDER = {"python": 3e-5, "numpy": 3e-6, "numba": 1e-7, "numba-simd": 3e-8, "gram": 4e-9}
FOREIGN = {
    "a_very_long_name_of_a_backend_that_somebody_wrote.py": 3e-6,
    "package_with_a_long_name.module_with_a_long_name": 3e-6,
    "my_$loop$.py": 3.001e-6,
    "good.py": 3e-6,
    "_.py": 3.002e-6,
}
COMPILED: list[Compile] = [
    {"backend": name, "load": 0.2, "cold": cold, "cached": 0.2}
    for name, cold in (("numba", 2.0), ("numba-simd", 1.0), ("gram", 3.0))
]


def grown(times: dict[str, float], *sizes: str) -> dict[str, dict[str, float]]:
    """The times at 100 × 1 as they are at other sizes."""
    return {
        size: {name: time * parse(size).n * parse(size).d / 100 for name, time in times.items()}
        for size in sizes
    }


SIZES = [f"{10**k}x{d}" for d in (1, 10, 100) for k in range(2, 7)][:14]
RACES: dict[str, dict[str, dict[str, float]]] = {
    "a quick race": grown(LADDER, "100x1", "100000x1", "100x10", "10000x10"),
    "a full race": grown(LADDER, *SIZES),
    "a single size": grown(LADDER, "100x1"),
    "a single backend": grown({"numpy": 3e-6}, *SIZES[:6]),
    "ten backends": grown({**LADDER, **FOREIGN}, "100x1", "10000x1"),
    "close times": grown({"numpy": 1e-6, "x.py": 1.01e-6, "python": 1.02e-6}, "100x1", "300x1"),
    "the least times": {"1x1": {"python": 1e-14, "numba": 2e-15}, "2x1": {"python": 3e-14}},
    "the most time": {"1000000x100": {"python": 9e5, "numba": 1e3, "gram": 1e-3}},
    "wide ratios": {"100x1": {"python": 9e5, "gram": 1e-12, "numpy": 1e-5}},
}


@pytest.fixture(scope="module")
def races(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Write the file of a race, each once."""
    folder = tmp_path_factory.mktemp("races")

    def written(name: str) -> Path:
        file = folder / f"{name}.json"
        if not file.exists():
            write_run(file, RACES[name], compiled=COMPILED, roofline=MACHINE)
        return file

    return written


@pytest.mark.parametrize("name", RACES)
@pytest.mark.parametrize("module", RACE)
def test_a_race(module: ModuleType, name: str, races: Callable[[str], Path]) -> None:
    source = races(name)
    if module.drawable(read(source)["gradrace"]):
        assert_clean(module.figure(source))


def test_an_interrupted_race(tmp_path: Path) -> None:
    run = write_run(tmp_path / "b.json", RACES["a quick race"], sessions=1, compiled=COMPILED)
    run["benchmarks"] = [arm for arm in run["benchmarks"] if arm["group"] == "100x1"][:2]
    run["gradrace"]["interrupted"] = True
    conclude(run)
    write_json(tmp_path / "b.json", run)
    for module in RACE:
        if module.drawable(run["gradrace"]):
            assert_clean(module.figure(tmp_path / "b.json"))


def test_the_label_of_a_line_that_ends_early_is_on_no_other(tmp_path: Path) -> None:
    times = {"python": 1e-3, "numba": 1e-6, "dask": 2e-6}
    seconds = {
        "1000x10": times,
        "100x100": {"python": 1e-3, "numba": 1e-6, "dask": 1.2e-6},
        "10x1000": {"python": 1e-3, "numba": 1.5e-6},
        "1000x1": times,
    }
    source = tmp_path / "scale-1.json"
    write_run(source, seconds)
    figure = scale.figure([source])
    figure.draw_without_rendering()
    along_d = figure.axes[1]
    (label,) = (text for text in along_d.texts if text.get_text() == "dask")
    assert not crosses(box(label), along_d)


def test_a_study_of_scale(tmp_path: Path) -> None:
    alone = grown(LADDER, "1x1", "1000x1", "1000000x1", "100000x10", "10000x100")
    both = grown({"numba-simd": 3e-8, "numba-parallel": 2e-8}, "1x1", "1000x1", "1000000x1")
    sources = [tmp_path / "1.json", tmp_path / "2.json"]
    write_run(sources[0], alone, compiled=COMPILED, roofline=MACHINE)
    write_run(sources[1], both, compiled=COMPILED, roofline=MACHINE, threads=2)
    figure = scale.figure(sources)
    assert_clean(figure)
    assert "1–2 threads" in footer(figure)


@pytest.mark.parametrize("count", [1, 3, 12])
def test_errors(count: int, tmp_path: Path) -> None:
    epoch = np.arange(1, 101)
    rows = [
        {"backend": np.full(100, f"{'long' * i}_{i}.py"), "epoch": epoch}
        | {f"{q}_error": 1e-16 * epoch for q in agreement.QUANTITIES}
        | {f"{q}_bound": 1e-13 * epoch for q in agreement.QUANTITIES}
        for i in range(count)
    ]
    colors = {name: "#0072B2" for row in rows for name in set(row["backend"].tolist())}
    table = pa.concat_tables([pa.table(row) for row in rows])
    table = table.replace_schema_metadata({"colors": json.dumps(colors)})
    write_table(table, tmp_path / "a.parquet")
    assert_clean(agreement.figure(tmp_path / "a.parquet"))


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
    def test_of_a_race(self, races: Callable[[str], Path]) -> None:
        source = races("a quick race")
        file = read(source)
        file["machine_info"]["cpu"]["brand_raw"] = "A $processor$ " + "x" * 300
        write_json(source, file)
        for module in RACE:
            figure = module.figure(source)
            assert_clean(figure)
            said = footer(figure)
            assert said.startswith(r"A \$processor\$ x")
            assert " · 1 thread · " in said
            assert f"Python {file['machine_info']['python_version']}" in said
            assert f"gradrace {file['gradrace']['version']}" in said
            assert said.endswith(file["datetime"][:10])

    def test_of_a_training(self, line: Dataset) -> None:
        trained = train(line, lr=0.005, epochs=20)
        for figure in (trained.loss_plot(), trained.plot(), trained.path_plot()):
            assert " · Python 3." in footer(figure)
            assert " · gradrace " in footer(figure)

    def test_of_a_table_without_origin_there_is_none(self) -> None:
        table = pa.table({"epoch": [0, 1], "loss": [2.0, 1.0]})
        assert footer(loss.figure([table])) == ""


@pytest.mark.parametrize("name", ["a quick race", "a single size", "ten backends"])
def test_no_number_of_break_even_lies_on_a_line(name: str, races: Callable[[str], Path]) -> None:
    figure = breakeven.figure(races(name))
    figure.draw_without_rendering()
    numbers = [(t, axes) for axes in figure.axes for t in axes.texts if t.get_text()[0].isdigit()]
    assert numbers
    assert not any(crosses(box(text), axes) for text, axes in numbers)


def test_every_label_of_a_single_size_has_its_mark(races: Callable[[str], Path]) -> None:
    (axes,) = speed.figure(races("a single size")).axes
    marks = [line for line in axes.get_lines() if line.get_marker() not in ("", "None", None)]
    heights = {float(np.asarray(line.get_ydata())[0]) for line in marks}
    labels: list[Any] = list(axes.texts)
    assert {label.get_text() for label in labels} == set(LADDER)
    assert {label.xy[1] for label in labels} <= heights
    (limit,) = (line for line in axes.get_lines() if "limit" in str(line.get_label()))
    assert limit in marks


def test_speed_ups_stand_beside_the_plot(races: Callable[[str], Path]) -> None:
    figure = speedup.figure(races("a full race"))
    figure.draw_without_rendering()
    for axes in figure.axes:
        assert all(box(text).x0 > axes.bbox.x1 for text in axes.texts)
