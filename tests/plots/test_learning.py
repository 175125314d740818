"""The pictures of a training and of a study: fit.png, loss.png and path.png."""

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute
import pytest
from matplotlib.contour import QuadContourSet
from PIL import Image, ImageSequence

from gradrace.bench.data.samples import Dataset, reference_line, synthetic
from gradrace.bench.learning.rates import Rates, study
from gradrace.bench.learning.training import Fit, train
from gradrace.plots import (
    animation,
    fit,
    loss,
    path,
    residuals,
)
from gradrace.plots.canvas import Figure
from tests.plots.looks import assert_drawable, curves


@pytest.fixture(scope="module")
def trained() -> Fit:
    return train(reference_line(), lr=0.005, epochs=200)


class TestFit:
    def test_one_feature(self, trained: Fit, line: Dataset) -> None:
        figure = fit.figure(trained.points())
        (axes,) = figure.axes
        assert_drawable(figure)
        assert (axes.get_xlabel(), axes.get_ylabel()) == ("x", "y")
        assert set(curves(axes)) == {"learned", "least squares"}
        points = np.asarray(axes.collections[0].get_offsets())
        np.testing.assert_array_equal(points, np.column_stack([line.X[:, 0], line.y]))
        ends = curves(axes)["learned"]
        np.testing.assert_allclose(ends[1], ends[0] * trained.w[0] + trained.b, rtol=1e-14)

    def test_many_features(self) -> None:
        data = synthetic(80, 4)
        result = train(data, lr=0.1, epochs=200)
        figure = fit.figure(result.points())
        (axes,) = figure.axes
        assert_drawable(figure)
        assert (axes.get_xlabel(), axes.get_ylabel()) == ("actual y", "predicted y")
        drawn = {str(c.get_label()): np.asarray(c.get_offsets()) for c in axes.collections}
        assert set(drawn) == {"learned", "least squares"}
        predicted = data.X @ result.trajectory.w[-1] + result.trajectory.b[-1]
        np.testing.assert_allclose(drawn["learned"], np.column_stack([data.y, predicted]))

    def test_of_very_many_samples_some_are_drawn(self) -> None:
        axes = train(synthetic(20_001, 1), lr=0.1, epochs=5).plot().axes[0]
        assert 2_500 < len(np.asarray(axes.collections[0].get_offsets())) <= fit.MOST_POINTS

    @pytest.mark.parametrize("name", [r"$\foo$", "price in $", "価格", "x" * 300, "_a$b$", "[/b]"])
    def test_any_column_name(self, line: Dataset, name: str) -> None:
        data = Dataset("odd", (name,), name + "2", line.X, line.y)
        figure = train(data, lr=0.005, epochs=50).plot()
        assert figure._repr_png_()
        shown = figure.axes[0].get_xlabel()
        assert shown.replace("\\$", "$") in (name, name[:49] + "…")


class TestResiduals:
    def test_every_sample(self, trained: Fit, line: Dataset) -> None:
        figure = residuals.figure(trained.points())
        (axes,) = figure.axes
        assert_drawable(figure)
        predicted = line.X[:, 0] * trained.w[0] + trained.b
        points = np.asarray(axes.collections[0].get_offsets())
        np.testing.assert_allclose(points, np.column_stack([predicted, line.y - predicted]))
        assert axes.get_xlabel() == "predicted y"


class TestLoss:
    def test_one_run(self, trained: Fit) -> None:
        figure = loss.figure([trained.history()])
        (axes,) = figure.axes
        assert_drawable(figure)
        assert (axes.get_xscale(), axes.get_yscale()) == ("log", "log")
        drawn = curves(axes)
        np.testing.assert_array_equal(drawn["α = 0.005"][1], trained.trajectory.loss)
        assert drawn["least squares, 0.8149"][1] == pytest.approx([0.8149047, 0.8149047])

    def test_several_runs_one_diverging(self, line: Dataset) -> None:
        figure = loss.figure(
            [train(line, lr=lr, epochs=500).history() for lr in (0.001, 0.005, 0.1)]
        )
        (axes,) = figure.axes
        assert_drawable(figure)
        drawn = curves(axes)
        diverging = "α = 0.1, overflows at epoch 186"
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
    def test_extreme_losses(self, values: list[float]) -> None:
        table = pa.table({"epoch": np.arange(len(values)), "loss": np.array(values)})
        loss.figure([table]).draw_without_rendering()


@pytest.fixture(
    scope="module", params=["line", "many features", "standardized", "rounding only", "far units"]
)
def source(request: pytest.FixtureRequest) -> pa.Table:
    """The paths of a study."""
    line = reference_line()
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
    return found.path()


class TestPath:
    def test_a_panel_per_rate_all_of_the_same_section(self, source: pa.Table) -> None:
        figure = path.figure(source)
        assert_drawable(figure)
        rates = dict.fromkeys(source.column("lr").to_pylist())
        assert [axes.get_title().split(":")[0] for axes in figure.axes] == [
            f"α = {lr:g}" for lr in rates
        ]
        assert len({(axes.get_xlim(), axes.get_ylim()) for axes in figure.axes}) == 1

    def test_the_drawn_path_is_the_saved_one(self, source: pa.Table) -> None:
        for axes, lr in zip(
            path.figure(source).axes, dict.fromkeys(source["lr"].to_pylist()), strict=True
        ):
            rows = source.filter(pyarrow.compute.field("lr") == lr)
            x, y = curves(axes)["path, one dot per epoch"]
            np.testing.assert_array_equal(x, rows["x"].to_numpy()[: len(x)])
            np.testing.assert_array_equal(y, rows["y"].to_numpy()[: len(x)])

    def test_the_slowest_direction_goes_through_the_optimum(self, source: pa.Table) -> None:
        plane = json.loads(source.schema.metadata[b"plane"])
        for axes in path.figure(source).axes:
            x, y = curves(axes)["slowest direction"]
            along = np.array([x[1] - x[0], y[1] - y[0]])
            to_optimum = np.array(plane["optimum"]) - [x[0], y[0]]
            cross = along[0] * to_optimum[1] - along[1] * to_optimum[0]
            assert cross == pytest.approx(0, abs=1e-9 * float(along @ along))
            # the gradient H·slow is parallel to slow: it is an eigenvector
            slow = np.array(plane["slow"])
            bent = np.array(plane["hessian"]) @ slow
            assert slow[0] * bent[1] - slow[1] * bent[0] == pytest.approx(0, abs=1e-9)

    def test_the_contours_are_those_of_the_loss(self, source: pa.Table) -> None:
        plane = json.loads(source.schema.metadata[b"plane"])
        H = np.array(plane["hessian"])
        axes = path.figure(source).axes[0]
        (contours,) = (c for c in axes.collections if isinstance(c, QuadContourSet))
        for line in contours.get_paths()[3:]:
            away = np.asarray(line.vertices) - plane["optimum"]
            excess = np.einsum("ij,jk,ik->i", away, H, away)
            assert excess.max() < 1.1 * excess.min()

    def test_a_diverging_path_leaves_the_section(self, line: Dataset) -> None:
        *_, axes = study(line, [0.1], epochs=500).path_plot().axes
        assert "leaves for good at epoch 1" in [text.get_text() for text in axes.texts]
        x, _ = curves(axes)["path, one dot per epoch"]
        assert np.isfinite(x).all()
        assert x[1] > axes.get_xlim()[1]
        assert x[2] < axes.get_xlim()[0]

    def test_the_flattest_direction_lies_across_and_the_end_hides_nothing(self) -> None:
        found = study(synthetic(40, 3), ["auto"], epochs=20)
        (axes,) = found.path_plot().axes
        along = np.ptp(curves(axes)["slowest direction"], axis=1)
        assert along[0] > 1e6 * along[1]
        start = np.array([curves(axes)["path, one dot per epoch"][:, 0]])
        steep, flat = found.directions[0], found.directions[-1]
        np.testing.assert_allclose(start, [[flat.error, steep.error]])
        (end,) = (line for line in axes.get_lines() if line.get_label() == "end")
        assert end.get_markerfacecolor() == "none"

    def test_each_axis_reaches_as_far_as_the_start(self) -> None:
        plain = synthetic(40, 1)
        data = Dataset("unlike", ("a", "b"), "y", np.hstack([plain.X * 1e4, plain.X**2]), plain.y)
        found = study(data, ["auto"], epochs=20)
        (axes,) = found.path_plot().axes
        steep, flat = found.directions[0], found.directions[-1]
        assert axes.get_xlim()[1] == pytest.approx(1.35 * abs(flat.error))
        assert axes.get_ylim()[1] == pytest.approx(1.35 * abs(steep.error))


@pytest.fixture(params=[1, 3], scope="module")
def moving(request: pytest.FixtureRequest) -> Rates:
    return study(synthetic(80, request.param), [0.1, 2.0], epochs=400)


def scene(found: Rates) -> tuple[Figure, list[int], animation.Move]:
    return animation.scene(found.history(), found.samples(), found.path())


class TestAnimation:
    def test_moves_from_epoch_0_to_the_last_and_rests_there(
        self, moving: Rates, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(animation, "FRAMES", 5)
        target = tmp_path / "descent.gif"
        animation.save(moving.history(), moving.samples(), moving.path(), target)
        with Image.open(target) as film:
            frames = [int(frame.info["duration"]) for frame in ImageSequence.Iterator(film)]
        _, epochs, _ = scene(moving)
        assert (epochs[0], epochs[-1]) == (0, 400)
        assert len(frames) <= len(epochs)  # equal ones are joined
        assert frames[-1] >= 10 * frames[0]

    def test_shows_the_model_and_its_path_at_an_epoch(self, moving: Rates) -> None:
        data, history = moving.data, moving.history()
        assert isinstance(data, Dataset)
        names = [*(f"w[{name}]" for name in data.features), "b"]
        theta = np.array([history.column(name)[7].as_py() for name in names])  # α = 0.1, epoch 7
        figure, _, move = scene(moving)
        move(7)
        fit_axes, path_axes = figure.axes
        x, y = curves(fit_axes)["α = 0.1"]
        if len(data.features) == 1:
            np.testing.assert_allclose(y, x * theta[0] + theta[1], rtol=1e-12)
            head = np.asarray(path_axes.lines[-5].get_xydata())  # of the first rate
            np.testing.assert_allclose(head, [theta])
        else:
            np.testing.assert_allclose(y, data.X @ theta[:-1] + theta[-1], rtol=1e-12)
            np.testing.assert_array_equal(x, data.y)

    def test_a_run_that_diverges_leaves_the_picture(self, moving: Rates) -> None:
        figure, epochs, move = scene(moving)
        move(epochs[-1])
        head = figure.axes[1].lines[-1].get_xydata()
        assert len(np.asarray(head)) == 0
        assert_drawable(figure)
