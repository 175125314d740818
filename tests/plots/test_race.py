"""The pictures of a race: what is drawn is checked, not only that something is drawn."""

from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import ClassVar

import numpy as np
import pyarrow as pa
import pytest
from gradrace.bench.race.pictures import ERRORS, redraw
from gradrace.bench.race.pictures import draw as draw_race
from gradrace.bench.race.results import read
from matplotlib.container import ErrorbarContainer

from gradrace.backends.interface import InputValueError
from gradrace.bench.data.files import write_json, write_table
from gradrace.bench.data.samples import reference_line
from gradrace.bench.proof.agreement import Checked, judge
from gradrace.bench.proof.oracle import exact_trajectory
from gradrace.bench.race.conclusions import conclude
from gradrace.bench.race.verification import error_table
from gradrace.plots import (
    agreement,
    breakeven,
    fastest,
    roofline,
    speed,
    speedup,
)
from tests.machine.test_roofline import MACHINE
from tests.plots.looks import assert_clean, assert_drawable, is_png
from tests.runs import known, write_run
from tests.variants import Forward


class TestRace:
    """The pictures of a race."""

    TIMES: ClassVar = {
        "100x1": {"python": 4e-5, "numpy": 8e-6, "numba": 1e-7, "mine.py": 3e-5},
        "10000x1": {"python": 4e-3, "numpy": 1e-5, "numba": 1e-5},
        "100x7": {"python": 1e-4, "numpy": 9e-6, "numba": 5e-7},
    }

    @pytest.fixture
    def source(self, tmp_path: Path) -> Path:
        write_run(tmp_path / "b.json", self.TIMES)
        return tmp_path / "b.json"

    def test_time_against_n_in_a_panel_per_d(self, source: Path) -> None:
        figure = speed.figure(source)
        assert_drawable(figure)
        assert [axes.get_title() for axes in figure.axes] == ["d = 1", "d = 7"]
        bars = [c for c in figure.axes[0].containers if isinstance(c, ErrorbarContainer)]
        drawn = {str(bar.get_label()).removeprefix("_"): bar.lines[0] for bar in bars}
        assert len(bars) == len(drawn) == 4
        np.testing.assert_array_equal(drawn["numba"].get_xdata(), [100, 10_000])
        assert np.asarray(drawn["numba"].get_ydata()) == pytest.approx([1e-7, 1e-5], rel=0.02)
        np.testing.assert_array_equal(drawn["mine.py"].get_xdata(), [100])

    def test_the_bars_are_the_range_of_the_sessions(self, source: Path) -> None:
        container = speed.figure(source).axes[0].containers[0]
        assert isinstance(container, ErrorbarContainer)
        (case,) = (c for c in read(source)["gradrace"]["cases"] if c["name"] == "100x1")
        sessions = case["arms"][0]["time"]["sessions"].values()
        (segment, *_) = container.lines[2][0].get_segments()
        assert segment[:, 1].tolist() == pytest.approx([min(sessions), max(sessions)])

    def test_speed_ups_with_their_intervals(self, source: Path) -> None:
        figure = speedup.figure(source)
        assert_drawable(figure)
        titles = [axes.get_title(loc="left") for axes in figure.axes]
        assert titles == ["n = 100, d = 1", "n = 10,000, d = 1", "n = 100, d = 7"]
        row = read(source)["gradrace"]["cases"][0]["arms"][1]
        dots = [line for line in figure.axes[0].get_lines() if line.get_marker() == "o"]
        bars = [line for line in figure.axes[0].get_lines() if line.get_marker() != "o"]
        assert dots[0].get_xdata() == pytest.approx([known(row["speed_up"])["value"]])
        ends = [known(row["speed_up"])["low"], known(row["speed_up"])["high"]]
        assert bars[0].get_xdata() == pytest.approx(ends)
        labels = [tick.get_text() for tick in figure.axes[0].get_yticklabels()]
        assert labels == ["numpy", "numba", "mine.py"]

    def test_without_a_verdict_the_speed_up_says_so(self, tmp_path: Path) -> None:
        write_run(tmp_path / "b.json", {"100x1": {"python": 1e-5, "numpy": 1e-5}})
        (axes,) = speedup.figure(tmp_path / "b.json").axes
        assert "no difference shown" in axes.texts[0].get_text()

    def test_break_even_at_the_crossing(self, source: Path) -> None:
        figure = breakeven.figure(source)
        assert_drawable(figure)
        assert len(figure.axes) == 2  # the smallest and the largest case
        (case, *_) = read(source)["gradrace"]["cases"]
        numba = next(row for row in case["arms"] if row["backend"] == "numba")
        counts = {
            f"{count:,}" for kinds in numba["break_even"].values() for count in kinds.values()
        } - {"1"}
        assert counts <= {text.get_text() for text in figure.axes[0].texts}
        drawn = [np.asarray(line.get_ydata()) for line in figure.axes[0].get_lines()]
        starts = [times[0] for times in drawn if len(times) > 20]  # the lines, without their points
        assert len(starts) == 4 + 1  # numba twice: dashed with its machine code cached
        assert max(starts) == pytest.approx(4 + numba["run"])

    def test_the_map_names_the_fastest_and_its_lead(self, source: Path) -> None:
        figure = fastest.figure(source)
        assert_drawable(figure)
        texts = [text.get_text() for text in figure.axes[0].texts]
        assert [text.split("\n")[0] for text in texts][::2] == ["numba", "numba"]
        assert "≈" in texts[1]
        ticks = [tick.get_text() for tick in figure.axes[0].get_xticklabels()]
        assert ticks == ["100", "10,000"]

    @pytest.mark.parametrize("module", [speed, speedup, breakeven, fastest])
    def test_png(self, module: ModuleType, source: Path, tmp_path: Path) -> None:
        assert module.drawable(read(source)["gradrace"])
        module.draw(source, tmp_path / "p.png")
        assert is_png(tmp_path / "p.png")

    ROOFED: ClassVar = {
        "100x1": {"numba-simd": 3e-8, "gram": 4e-9},
        "10000x1": {"numba-simd": 2e-6, "gram": 5e-9},
        "1000x10": {"numba-simd": 3e-6, "gram": 5e-8},
    }

    @pytest.fixture
    def roofed(self, tmp_path: Path) -> Path:
        write_run(tmp_path / "roofed.json", self.ROOFED, roofline=MACHINE, spread=0.0)
        return tmp_path / "roofed.json"

    def test_below_the_roof_are_all_that_pass_over_the_data(self, roofed: Path) -> None:
        (axes,) = roofline.figure(roofed).axes
        lines = {str(line.get_label()): line for line in axes.get_lines()}
        assert "gram" not in "".join(lines)
        np.testing.assert_array_equal(lines["_numba-simd, d = 1"].get_xdata(), [1600, 160_000])
        rates = np.asarray(lines["_numba-simd, d = 1"].get_ydata())
        assert rates == pytest.approx([1600 / 3e-8, 160_000 / 2e-6])
        texts = {text.get_text() for text in axes.texts}
        assert {"reads, 1 core", "reads, 2 cores", "multiply-adds, 1 core", "L2 cache"} <= texts
        roofs = [line for line in axes.get_lines() if len(np.asarray(line.get_xdata())) == 4]
        np.testing.assert_array_equal(roofs[0].get_ydata(), MACHINE["read"]["1"])
        roofline.draw(roofed, roofed.with_suffix(".png"))
        assert is_png(roofed.with_suffix(".png"))

    def test_the_limit_of_a_pass_lies_below_the_times(self, roofed: Path) -> None:
        axes = speed.figure(roofed).axes[0]
        (limit,) = (line for line in axes.get_lines() if line.get_linestyle() == "--")
        cases = read(roofed)["gradrace"]["cases"]
        np.testing.assert_array_equal(limit.get_xdata(), [100, 10_000])
        assert np.asarray(limit.get_ydata()).tolist() == [
            known(case["arms"][0]["limit"])["seconds"] for case in cases if case["d"] == 1
        ]
        assert str(limit.get_label()).startswith("machine limit")

    def test_without_a_measured_limit_there_is_no_roof(self, source: Path) -> None:
        assert not roofline.drawable(read(source)["gradrace"])

    def test_what_has_no_data_is_left_out(self, tmp_path: Path) -> None:
        write_run(tmp_path / "b.json", {"100x1": {"numpy": 1e-5}})
        assert [path.name for path in draw_race(tmp_path / "b.json", tmp_path)] == ["speed.png"]

    def test_the_errors_are_drawn_again_if_their_file_is_there(
        self, source: Path, tmp_path: Path
    ) -> None:
        race = [path.name for path in redraw(source, tmp_path / "new")]
        assert race == ["speed.png", "speedup.png", "breakeven.png", "fastest.png"]
        line = reference_line()
        exact = exact_trajectory(line.X, line.y, lr=0.005, epochs=5)
        trajectory = Forward().train(line.X, line.y, 0.005, 5)
        checked = [Checked(judge("python", trajectory, exact), trajectory)]
        write_table(error_table(checked, exact), tmp_path / ERRORS)
        assert [path.name for path in redraw(source, tmp_path / "new")] == [*race, "agreement.png"]
        assert is_png(tmp_path / "new" / "agreement.png")

    @pytest.mark.parametrize("content", [b"nothing", b"no colors"])
    def test_errors_of_another_version_are_refused_in_a_line(
        self, source: Path, tmp_path: Path, content: bytes
    ) -> None:
        (tmp_path / ERRORS).write_bytes(content)
        if content == b"no colors":
            write_table(pa.table({"backend": ["numpy"], "epoch": [0]}), tmp_path / ERRORS)
        with pytest.raises(InputValueError, match=f"{ERRORS}: is not the table of errors"):
            list(redraw(source, tmp_path / "new"))
        assert not (tmp_path / "new" / "agreement.png").exists()
        assert (tmp_path / "new" / "fastest.png").exists()

    @pytest.mark.parametrize("name", ["$\\frac$.py", "_$x$.py", f"{'long' * 60}.py"])
    def test_a_file_may_have_any_name(self, tmp_path: Path, name: str) -> None:
        write_run(tmp_path / "b.json", {f"{n}x1": {"numpy": 1e-5, name: 2e-5} for n in (10, 100)})
        names = {path.name for path in draw_race(tmp_path / "b.json", tmp_path)}
        assert names == {"speed.png", "speedup.png", "fastest.png"}

    def test_an_interval_without_end_leaves_room_for_the_panel(self, tmp_path: Path) -> None:
        run = write_run(tmp_path / "b.json", {"100x1": {"python": 1e-5, "numpy": 2e-5}})
        wild, calm = (arm["stats"]["data"] for arm in run["benchmarks"][:2])
        wild[:5], calm[:5] = [1e-9] * 5, [1e3] * 5  # of the first session
        wild[5:10], calm[5:10] = [1e3] * 5, [1e-9] * 5
        conclude(run)
        write_json(tmp_path / "b.json", run)
        figure = speedup.figure(tmp_path / "b.json")
        assert_drawable(figure)
        assert_clean(figure)

    def test_many_backends_and_levels_stay_readable(self, tmp_path: Path) -> None:
        times = {f"mine{i}.py": 1e-5 * (1 + 0.01 * i) for i in range(9)}
        write_run(tmp_path / "b.json", {f"100x{d}": times for d in (1, 2, 3, 4, 5, 6)})
        figure = speed.figure(tmp_path / "b.json")
        assert_drawable(figure)
        assert len(figure.axes) == speed.MOST_PANELS
        heights = sorted(text.get_window_extent().y0 for text in figure.axes[-1].texts)
        assert np.diff(heights).min() > 10  # no label lies on another


Draw = Callable[[Path, Path], None]


@pytest.mark.parametrize("draw", [agreement.draw, speed.draw])
def test_a_missing_file_leaves_nothing_behind(draw: Draw, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        draw(tmp_path / "nothing", tmp_path / "picture.png")
    assert list(tmp_path.iterdir()) == []
