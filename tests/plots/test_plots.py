"""Every picture is drawn from a saved file; what is drawn is checked, not only that it is."""

import json
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import ClassVar

import numpy as np
import pyarrow as pa
import pyarrow.compute
import pyarrow.parquet
import pytest
from matplotlib.axes import Axes
from matplotlib.container import ErrorbarContainer
from matplotlib.contour import QuadContourSet
from matplotlib.figure import Figure
from matplotlib.text import Annotation

from bench.data.files import write_json
from bench.data.samples import Dataset, reference_line, synthetic
from bench.findings.conclusions import conclude
from bench.findings.pictures import draw as draw_race
from bench.findings.results import read
from bench.learning.model import save
from bench.learning.rates import save as save_study
from bench.learning.rates import study
from bench.learning.training import train
from bench.proof.agreement import Checked, judge
from bench.proof.oracle import exact_trajectory
from bench.race.verification import error_table
from plots import agreement, breakeven, fastest, fit, loss, path, roofline, speed, speedup, style
from tests.machine.test_roofline import MACHINE
from tests.runs import known, write_run
from tests.variants import Forward, Loop, Reversed


def curves(axes: Axes) -> dict[str, np.ndarray]:
    """The labeled lines of a plot: their x and y as rows."""
    lines = {str(line.get_label()): np.array(line.get_data()) for line in axes.get_lines()}
    return {label: data for label, data in lines.items() if not label.startswith("_")}


def assert_drawable(figure: Figure) -> None:
    """Every axis has finite limits, and every line something finite to show."""
    figure.canvas.draw()
    for axes in figure.axes:
        assert np.isfinite([*axes.get_xlim(), *axes.get_ylim()]).all()
        for line in axes.get_lines():
            assert np.isfinite(np.array(line.get_data(), dtype=float)).any()


def is_png(path: Path) -> bool:
    return path.read_bytes().startswith(b"\x89PNG") and path.stat().st_size > 5_000


@pytest.fixture
def saved(tmp_path: Path, line: Dataset) -> Path:
    list(save(train(line, lr=0.005, epochs=200), tmp_path))
    return tmp_path


class TestFit:
    def test_one_feature(self, saved: Path, line: Dataset) -> None:
        figure = fit.figure(saved / "fit.parquet")
        (axes,) = figure.axes
        assert_drawable(figure)
        assert (axes.get_xlabel(), axes.get_ylabel()) == ("x", "y")
        assert set(curves(axes)) == {"learned", "least squares"}
        points = np.asarray(axes.collections[0].get_offsets())
        np.testing.assert_array_equal(points, np.column_stack([line.X[:, 0], line.y]))
        model = json.loads((saved / "model.json").read_text("utf-8"))
        ends = curves(axes)["learned"]
        np.testing.assert_allclose(ends[1], ends[0] * model["w"][0] + model["b"], rtol=1e-14)

    def test_many_features(self, tmp_path: Path) -> None:
        data = synthetic(80, 4)
        result = train(data, lr=0.1, epochs=200)
        list(save(result, tmp_path))
        figure = fit.figure(tmp_path / "fit.parquet")
        (axes,) = figure.axes
        assert_drawable(figure)
        assert (axes.get_xlabel(), axes.get_ylabel()) == ("actual y", "predicted y")
        drawn = {str(c.get_label()): np.asarray(c.get_offsets()) for c in axes.collections}
        assert set(drawn) == {"learned", "least squares"}
        predicted = data.X @ result.trajectory.w[-1] + result.trajectory.b[-1]
        np.testing.assert_allclose(drawn["learned"], np.column_stack([data.y, predicted]))

    def test_of_very_many_samples_some_are_drawn(self, tmp_path: Path) -> None:
        data = synthetic(20_001, 1)
        list(save(train(data, lr=0.1, epochs=5), tmp_path))
        axes = fit.figure(tmp_path / "fit.parquet").axes[0]
        assert 2_500 < len(np.asarray(axes.collections[0].get_offsets())) <= fit.MOST_POINTS

    @pytest.mark.parametrize("name", [r"$\foo$", "price in $", "価格", "x" * 300, "_a$b$", "[/b]"])
    def test_any_column_name(self, tmp_path: Path, line: Dataset, name: str) -> None:
        data = Dataset("odd", (name,), name + "2", line.X, line.y)
        list(save(train(data, lr=0.005, epochs=50), tmp_path))
        assert is_png(tmp_path / "fit.png")
        shown = fit.figure(tmp_path / "fit.parquet").axes[0].get_xlabel()
        assert shown.replace("\\$", "$") in (name, name[:49] + "…")


class TestLoss:
    def test_one_run(self, saved: Path) -> None:
        figure = loss.figure([saved / "history.parquet"])
        (axes,) = figure.axes
        assert_drawable(figure)
        assert (axes.get_xscale(), axes.get_yscale()) == ("log", "log")
        history = pyarrow.parquet.read_table(saved / "history.parquet")
        drawn = curves(axes)
        np.testing.assert_array_equal(drawn["α = 0.005"][1], history.column("loss").to_numpy())
        assert drawn["least squares, 0.8149"][1] == pytest.approx([0.8149047, 0.8149047])

    def test_several_runs_one_diverging(self, tmp_path: Path, line: Dataset) -> None:
        for lr in (0.001, 0.005, 0.1):
            (tmp_path / str(lr)).mkdir()
            list(save(train(line, lr=lr, epochs=500), tmp_path / str(lr)))
        figure = loss.figure([tmp_path / str(lr) / "history.parquet" for lr in (0.001, 0.005, 0.1)])
        (axes,) = figure.axes
        assert_drawable(figure)
        drawn = curves(axes)
        diverging = "α = 0.1, inf at epoch 186"
        assert {"α = 0.001", "α = 0.005", diverging, "least squares, 0.8149"} <= set(drawn)
        assert axes.get_ylim()[1] == pytest.approx(1e3 * drawn["α = 0.005"][1][0])  # not 1e200
        colors = [line.get_color() for line in axes.get_lines() if "α" in str(line.get_label())]
        assert len(set(colors)) == 3
        crosses = [line for line in axes.get_lines() if line.get_marker() == "x"]
        assert len(crosses) == 1
        assert drawn[diverging][1].max() < 1e200

    @pytest.mark.parametrize(
        "values", [[0.0], [1.0, 0.0, 0.0], [1e308, np.inf], [np.inf], [5e-324]]
    )
    def test_extreme_losses(self, tmp_path: Path, values: list[float]) -> None:
        table = pa.table({"epoch": np.arange(len(values)), "loss": np.array(values)})
        pyarrow.parquet.write_table(table, tmp_path / "h.parquet")
        loss.draw([tmp_path / "h.parquet"], tmp_path / "l.png")
        assert is_png(tmp_path / "l.png")


class TestAgreement:
    @pytest.fixture(params=[0.005, 0.1], ids=["converging", "diverging"])
    def table(self, request: pytest.FixtureRequest, tmp_path: Path, line: Dataset) -> Path:
        exact = exact_trajectory(line.X, line.y, lr=request.param, epochs=300)
        checked = []
        for name, kind in (("python", Forward), ("numpy", Loop), ("mine.py", Reversed)):
            path = kind().train(line.X, line.y, request.param, 300)
            checked.append(Checked(judge(name, path, exact), path))
        checked.append(Checked(judge("broken", path, exact)))
        pyarrow.parquet.write_table(error_table(checked, exact), tmp_path / "a.parquet")
        return tmp_path / "a.parquet"

    def test_a_panel_per_quantity_a_curve_per_backend(self, table: Path) -> None:
        figure = agreement.figure(table)
        assert_drawable(figure)
        assert [axes.get_title() for axes in figure.axes] == ["w", "b", "loss"]
        for axes in figure.axes:
            drawn = curves(axes)
            assert set(drawn) == {"rounding bound", "python", "numpy", "mine.py"}
            bound = drawn.pop("rounding bound")
            for x, error in drawn.values():
                assert (error < np.interp(x, *bound)).all()
        assert len(figure.legends) == 1

    def test_png(self, table: Path, tmp_path: Path) -> None:
        agreement.draw(table, tmp_path / "a.png")
        assert is_png(tmp_path / "a.png")


@pytest.fixture(
    scope="module", params=["line", "many features", "standardized", "rounding only", "far units"]
)
def source(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The paths of a study."""
    line, folder = reference_line(), tmp_path_factory.mktemp("study")
    match request.param:
        case "line":
            found = study(line, [0.001, 0.005, 0.1], epochs=500)
        case "many features":
            found = study(synthetic(40, 5), epochs=100)
        case "far units":
            far = Dataset("far", ("x",), "y", line.X * 1e-60, line.y * 1e90)
            found = study(far, epochs=20)
        case "standardized":
            found = study(line, [0.1, 0.5], epochs=20, standardize=True)
        case _:
            zero = Dataset("zero", ("x",), "y", line.X, np.zeros(100))
            found = study(zero, [0.005], epochs=20)
    list(save_study(found, folder))
    return folder / "path.parquet"


class TestPath:
    def test_a_panel_per_rate_all_of_the_same_section(self, source: Path) -> None:
        figure = path.figure(source)
        assert_drawable(figure)
        table = pyarrow.parquet.read_table(source)
        rates = dict.fromkeys(table.column("lr").to_pylist())
        assert [axes.get_title().split(":")[0] for axes in figure.axes] == [
            f"α = {lr:g}" for lr in rates
        ]
        assert len({(axes.get_xlim(), axes.get_ylim()) for axes in figure.axes}) == 1

    def test_the_drawn_path_is_the_saved_one(self, source: Path) -> None:
        table = pyarrow.parquet.read_table(source)
        for axes, lr in zip(
            path.figure(source).axes, dict.fromkeys(table["lr"].to_pylist()), strict=True
        ):
            rows = table.filter(pyarrow.compute.field("lr") == lr)
            x, y = curves(axes)["path, a dot per epoch"]
            np.testing.assert_array_equal(x, rows["x"].to_numpy()[: len(x)])
            np.testing.assert_array_equal(y, rows["y"].to_numpy()[: len(x)])

    def test_the_slow_axis_goes_through_the_optimum(self, source: Path) -> None:
        plane = json.loads(pyarrow.parquet.read_table(source).schema.metadata[b"plane"])
        for axes in path.figure(source).axes:
            x, y = curves(axes)["slow axis"]
            along = np.array([x[1] - x[0], y[1] - y[0]])
            to_optimum = np.array(plane["optimum"]) - [x[0], y[0]]
            cross = along[0] * to_optimum[1] - along[1] * to_optimum[0]
            assert cross == pytest.approx(0, abs=1e-9 * float(along @ along))
            # the gradient H·slow is parallel to slow: it is an eigenvector
            slow = np.array(plane["slow"])
            bent = np.array(plane["hessian"]) @ slow
            assert slow[0] * bent[1] - slow[1] * bent[0] == pytest.approx(0, abs=1e-9)

    def test_the_contours_are_those_of_the_loss(self, source: Path) -> None:
        plane = json.loads(pyarrow.parquet.read_table(source).schema.metadata[b"plane"])
        H = np.array(plane["hessian"])
        axes = path.figure(source).axes[0]
        (contours,) = (c for c in axes.collections if isinstance(c, QuadContourSet))
        for line in contours.get_paths()[3:]:
            away = np.asarray(line.vertices) - plane["optimum"]
            excess = np.einsum("ij,jk,ik->i", away, H, away)
            assert excess.max() < 1.1 * excess.min()

    def test_a_diverging_path_leaves_the_section(self, tmp_path: Path, line: Dataset) -> None:
        list(save_study(study(line, [0.1], epochs=500), tmp_path))
        (axes,) = path.figure(tmp_path / "path.parquet").axes
        assert "outside from epoch 1 on" in [text.get_text() for text in axes.texts]
        x, _ = curves(axes)["path, a dot per epoch"]
        assert np.isfinite(x).all()
        assert x[1] > axes.get_xlim()[1]
        assert x[2] < axes.get_xlim()[0]

    def test_png(self, source: Path, tmp_path: Path) -> None:
        path.draw(source, tmp_path / "p.png")
        assert is_png(tmp_path / "p.png")


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
        drawn = {str(bar.get_label()): bar.lines[0] for bar in bars}
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
        starts = [times[0] for times in drawn if len(times) > 2]
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
        assert "gram" not in lines
        np.testing.assert_array_equal(lines["numba-simd"].get_xdata(), [1600, 160_000])
        rates = np.asarray(lines["numba-simd"].get_ydata())
        assert rates == pytest.approx([1600 / 3e-8, 160_000 / 2e-6])
        texts = {text.get_text() for text in axes.texts}
        assert {"read, one core", "read, 2 cores", "multiply-adds, one core", "L2"} <= texts
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
        assert "limit of a pass" in {text.get_text() for text in axes.texts}

    def test_without_a_measured_limit_there_is_no_roof(self, source: Path) -> None:
        assert not roofline.drawable({**read(source)["gradrace"]})

    def test_what_has_no_data_is_left_out(self, tmp_path: Path) -> None:
        write_run(tmp_path / "b.json", {"100x1": {"numpy": 1e-5}})
        assert [path.name for path in draw_race(tmp_path / "b.json", tmp_path)] == ["speed.png"]

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
        (axes,) = figure.axes
        right = max(text.xy[0] for text in axes.texts if isinstance(text, Annotation))
        assert right < axes.get_xlim()[1]

    def test_many_backends_and_levels_stay_readable(self, tmp_path: Path) -> None:
        times = {f"mine{i}.py": 1e-5 * (1 + 0.01 * i) for i in range(9)}
        write_run(tmp_path / "b.json", {f"100x{d}": times for d in (1, 2, 3, 4, 5, 6)})
        figure = speed.figure(tmp_path / "b.json")
        assert_drawable(figure)
        assert len(figure.axes) == speed.MOST_PANELS
        heights = sorted(text.get_window_extent().y0 for text in figure.axes[-1].texts)
        assert np.diff(heights).min() > 10  # no label lies on another


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.0, "0.00 ns"), (1.23e-9, "1.23 ns"), (9.996e-7, "1.00 µs"), (1e-6, "1.00 µs"),
     (1.234e-5, "12.3 µs"), (0.1234, "123 ms"), (0.99949, "999 ms"), (0.9996, "1.00 s"),
     (1234.5, "1,234 s"),
     (88037.0, "24.5 h")],
)  # fmt: skip
def test_seconds_in_si_units(value: float, text: str) -> None:
    assert style.seconds(value) == text


def test_a_backend_has_one_color_everywhere() -> None:
    names = ["numba", "a.py", "python", "b.py", "a.py"]
    others = style.foreign(names)
    assert others == ["a.py", "b.py"]
    assert len({style.color(name, others) for name in names}) == 4


Draw = Callable[[Path, Path], None]


@pytest.mark.parametrize("draw", [fit.draw, agreement.draw, speed.draw])
def test_a_missing_file_leaves_nothing_behind(draw: Draw, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        draw(tmp_path / "nothing", tmp_path / "picture.png")
    assert list(tmp_path.iterdir()) == []
