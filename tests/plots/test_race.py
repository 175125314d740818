"""The pictures of a race: what is drawn is what the race found."""

from pathlib import Path
from typing import ClassVar

import numpy as np
import pyarrow as pa
import pytest
from matplotlib.container import ErrorbarContainer

from gradrace.backends.interface import InputValueError, Trajectory
from gradrace.bench.data.files import write_table
from gradrace.bench.data.samples import Dataset
from gradrace.bench.machine.roofline import Roofline
from gradrace.bench.proof.agreement import Checked, judge
from gradrace.bench.proof.oracle import ExactTrajectory, exact_trajectory
from gradrace.bench.proof.precision import FLOAT32
from gradrace.bench.race.verdict.race import Race
from gradrace.bench.race.verdict.race_parts import ERRORS
from gradrace.bench.race.verdict.result import ResultFile
from gradrace.bench.race.verification import error_table
from gradrace.bench.show.pictures import save_pictures
from gradrace.plots import agreement, breakeven, roofline, scale, speed, speedup
from gradrace.plots.canvas import Figure
from tests.plots.looks import curves, is_png
from tests.runs import entries, known, write_run
from tests.variants import Forward, Loop, Reversed

READ = {"1": [100e9, 50e9, 10e9, 10e9], "2": [200e9, 100e9, 12e9, 12e9]}
FMA = {"1": 10e9, "2": 20e9}
CACHES = {"L1d": 1_000, "L2": 10_000}
ROOFLINE = Roofline([1_000, 10_000, 100_000, 1_000_000], READ, READ, FMA, FMA, CACHES)

TIMES = {
    "100x1": {"python": 4e-5, "numpy": 8e-6, "numba": 1e-7, "mine.py": 4.01e-5},
    "10000x1": {"python": 4e-3, "numpy": 1e-5, "numba": 1e-5},
    "100x7": {"python": 1e-4, "numpy": 9e-6, "numba": 5e-7},
}


@pytest.fixture
def race(tmp_path: Path) -> ResultFile:
    return write_run(tmp_path / "benchmark.json", TIMES)


def names(figure: Figure) -> list[str]:
    """The backends that are listed beside the plots."""
    return [text.get_text() for text in figure.legends[0].get_texts()]


class TestSpeed:
    def test_time_against_n_in_a_panel_per_d(self, race: ResultFile) -> None:
        figure = speed.figure(race)
        assert [axes.get_title() for axes in figure.axes] == ["d = 1", "d = 7"]
        assert names(figure) == ["mine.py", "python", "numpy", "numba"]  # as high as they lie
        bars = [c for c in figure.axes[0].containers if isinstance(c, ErrorbarContainer)]
        mine, _, _, numba = (bar.lines[0] for bar in bars)
        np.testing.assert_array_equal(numba.get_xdata(), [100, 10_000])
        medians = [entries(race, size)["numba"].time.median for size in ("100x1", "10000x1")]
        np.testing.assert_array_equal(numba.get_ydata(), medians)
        np.testing.assert_array_equal(mine.get_xdata(), [100])
        assert numba.get_color() == race.gradrace.backends["numba"].color

    def test_the_bars_are_the_range_of_the_sessions(self, race: ResultFile) -> None:
        container = speed.figure(race).axes[0].containers[0]
        assert isinstance(container, ErrorbarContainer)
        (segment, *_) = container.lines[2][0].get_segments()
        sessions = entries(race, "100x1")["mine.py"].time.sessions.values()
        assert segment[:, 1].tolist() == pytest.approx([min(sessions), max(sessions)])

    def test_the_machine_limit_is_that_of_a_pass(self, tmp_path: Path) -> None:
        run = write_run(tmp_path / "b.json", TIMES, roofline=ROOFLINE)
        (limit,) = curves(speed.figure(run).axes[0]).values()
        least = [entries(run, size)["numba"].limit for size in ("100x1", "10000x1")]
        assert limit.tolist() == [[100, 10_000], [known(each).seconds for each in least]]

    def test_of_many_panels_some_are_drawn(self, tmp_path: Path) -> None:
        run = write_run(tmp_path / "b.json", {f"100x{d}": {"numpy": 1e-5} for d in range(1, 7)})
        titles = [axes.get_title() for axes in speed.figure(run).axes]
        assert titles == ["d = 1", "d = 2", "d = 4", "d = 6"]


class TestSpeedUp:
    def test_the_dots_with_their_intervals(self, race: ResultFile) -> None:
        figure = speedup.figure(race)
        titles = [axes.get_title(loc="left") for axes in figure.axes]
        assert titles == ["n = 100, d = 1", "n = 10,000, d = 1", "n = 100, d = 7"]
        dot, bar, *_ = figure.axes[0].get_lines()
        ratio = known(entries(race, "100x1")["numpy"].speed_up)
        assert dot.get_xdata() == pytest.approx([ratio.value])
        assert bar.get_xdata() == pytest.approx([ratio.low, ratio.high])
        labels = [tick.get_text() for tick in figure.axes[0].get_yticklabels()]
        assert labels == ["numpy", "numba", "mine.py"]

    def test_a_verdict_unless_it_is_faster(self, race: ResultFile) -> None:
        numpy, _, mine = (text.get_text() for text in speedup.figure(race).axes[0].texts)
        assert numpy.startswith("5")
        assert numpy.endswith(")")
        assert mine.endswith("no difference shown")


class TestBreakEven:
    def test_lines_from_the_first_run_and_a_mark_at_each_crossing(self, race: ResultFile) -> None:
        figure = breakeven.figure(race)
        assert len(figure.axes) == 2  # the smallest and the largest case
        lines = [line for line in figure.axes[0].get_lines() if len(np.asarray(line.get_xdata()))]
        known_times = entries(race, "100x1")
        starts = [line.get_ydata()[0] for line in lines if line.get_marker() == "None"]  # type: ignore[index]
        run = {name: entry.run for name, entry in known_times.items()}
        assert starts == pytest.approx(
            [run["python"], run["numpy"], 4 + run["numba"], 0.2 + run["numba"], run["mine.py"]]
        )
        marks = {float(np.asarray(m.get_xdata())[0]) for m in lines if m.get_zorder() == 5}
        pays = known_times["numba"].break_even.values()
        assert marks == {count for kinds in pays for count in (kinds.cold, kinds.cached)} - {1}


class TestRoofline:
    ROOFED: ClassVar = {
        "100x1": {"numba-simd": 3e-8, "gram": 4e-9},
        "10000x1": {"numba-simd": 2e-6, "gram": 5e-9},
        "1000x10": {"numba-simd": 3e-6, "gram": 5e-8},
    }

    def test_below_the_roof_are_all_that_pass_over_the_samples(self, tmp_path: Path) -> None:
        run = write_run(tmp_path / "b.json", self.ROOFED, roofline=ROOFLINE, spread=0.0)
        figure = roofline.figure(run)
        assert names(figure) == ["numba-simd"]
        (axes,) = figure.axes
        drawn = curves(axes)
        np.testing.assert_array_equal(drawn["reads, 2 cores"], [ROOFLINE.sizes, READ["2"]])
        (line, *_) = (line for line in axes.get_lines() if line.get_marker() == "o")
        np.testing.assert_array_equal(line.get_xdata(), [1600, 160_000])
        assert line.get_ydata() == pytest.approx([1600 / 3e-8, 160_000 / 2e-6])
        assert drawn["multiply-adds, 1 core"][1] == pytest.approx(10e9 * 16 / 3)
        assert [text.get_text() for text in axes.texts] == ["L1 cache", "L2 cache"]

    def test_without_a_measured_limit_there_is_no_roof(self, race: ResultFile) -> None:
        assert not roofline.drawable(race.gradrace)


def test_scale(tmp_path: Path) -> None:
    sizes = ("1000x1", "100000x1", "1000x100", "10000x10")
    alone = write_run(tmp_path / "1.json", {size: {"numba-simd": 2e-5} for size in sizes})
    times = {"numba-simd": 2e-5, "numba-parallel": 1e-5}
    both = write_run(tmp_path / "2.json", dict.fromkeys(sizes[:2], times), threads=2)
    along_n, along_d, by_threads = scale.figure([alone, both]).axes
    assert [axes.get_title() for axes in (along_n, along_d)] == ["d = 1", "n · d = 100,000"]
    np.testing.assert_array_equal(along_n.get_lines()[0].get_xdata(), [1000, 100_000])
    np.testing.assert_array_equal(along_d.get_lines()[0].get_xdata(), [1, 10, 100])
    assert along_d.get_lines()[0].get_ydata() == pytest.approx([2e-5, 2e-5, 2e-5], rel=0.02)
    assert curves(by_threads)["speed-up with 2 threads"][1] == pytest.approx([2, 2], rel=0.05)


class TestAgreement:
    @pytest.fixture
    def exact(self, line: Dataset) -> ExactTrajectory:
        return exact_trajectory(line.X, line.y, lr=0.005, epochs=300)

    def test_a_panel_per_quantity_a_curve_per_backend(
        self, exact: ExactTrajectory, line: Dataset
    ) -> None:
        checked = []
        for name, kind in (("python", Forward), ("numpy", Loop), ("mine.py", Reversed)):
            path = kind().train(line.X, line.y, 0.005, 300)
            checked.append(Checked(judge(name, path, exact), path))
        checked.append(Checked(judge("broken", path, exact)))
        figure = agreement.figure(error_table(checked, exact))
        assert [axes.get_title() for axes in figure.axes] == ["w", "b", "loss"]
        for axes in figure.axes:
            drawn = curves(axes)
            assert set(drawn) == {"rounding bound", "python", "numpy", "mine.py"}
            bound = drawn.pop("rounding bound")
            for x, error in drawn.values():
                assert (error < np.interp(x, *bound)).all()

    def test_float32_is_drawn_under_its_own_bound(
        self, exact: ExactTrajectory, line: Dataset
    ) -> None:
        path = Forward().train(line.X, line.y, 0.005, 300)
        rough = Trajectory(path.epoch, *(v.astype("f4").astype(float) for v in path[1:]))
        single = judge("half.py", rough, exact.held_to(100, FLOAT32))
        checked = [Checked(judge("python", path, exact), path), Checked(single, rough)]
        for axes in agreement.figure(error_table(checked, exact)).axes:
            drawn = curves(axes)
            bound = drawn["rounding bound of float32"]
            x, error = drawn["half.py (float32)"]
            assert (error < np.interp(x, *bound)).all()
            assert (bound[1] > 1e6 * drawn["rounding bound of float64"][1]).all()

    def test_of_a_run_that_diverges(self, line: Dataset) -> None:
        exact = exact_trajectory(line.X, line.y, lr=0.1, epochs=300)
        path = Forward().train(line.X, line.y, 0.1, 300)
        table = error_table([Checked(judge("python", path, exact), path)], exact)
        for axes in agreement.figure(table).axes:
            assert curves(axes)["python"][1].max() < axes.get_ylim()[1] < 1e300

    @pytest.mark.usefixtures("race")
    def test_it_is_drawn_if_its_file_lies_beside_the_result(
        self, tmp_path: Path, exact: ExactTrajectory, line: Dataset
    ) -> None:
        path = Forward().train(line.X, line.y, 0.005, 300)
        table = error_table([Checked(judge("python", path, exact), path)], exact)
        write_table(table, tmp_path / ERRORS)
        assert drawn(tmp_path) == ["speed.png", "speedup.png", "breakeven.png", "agreement.png"]
        assert is_png(tmp_path / "agreement.png")

    @pytest.mark.parametrize(
        "table", [None, pa.table({"backend": ["numpy"], "epoch": [0]})], ids=["damaged", "older"]
    )
    @pytest.mark.usefixtures("race")
    def test_that_of_another_version_is_refused_in_a_line(
        self, tmp_path: Path, table: pa.Table | None
    ) -> None:
        (tmp_path / ERRORS).write_bytes(b"nothing")
        if table:
            write_table(table, tmp_path / ERRORS)
        with pytest.raises(InputValueError, match=f"{ERRORS}: is not the table of errors"):
            drawn(tmp_path)
        assert not (tmp_path / "agreement.png").exists()
        assert is_png(tmp_path / "speed.png")


def drawn(folder: Path) -> list[str]:
    """Draw all pictures of the race in a folder; return the names of their files."""
    parts = Race(folder).parts(detail=True)
    return [path.name for path in save_pictures(parts, folder)]


def test_what_has_no_data_is_left_out(tmp_path: Path) -> None:
    write_run(tmp_path / "benchmark.json", {"100x1": {"numpy": 1e-5}})
    assert drawn(tmp_path) == ["speed.png"]
