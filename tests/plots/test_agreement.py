"""agreement.png: the errors of the backends, under the rounding bound."""

from pathlib import Path

import numpy as np
import pyarrow.compute
import pyarrow.parquet
import pytest

from gradrace.backends.interface import Trajectory
from gradrace.bench.data.samples import Dataset
from gradrace.bench.proof.agreement import Checked, judge
from gradrace.bench.proof.oracle import exact_trajectory
from gradrace.bench.proof.precision import FLOAT32
from gradrace.bench.race.verification import error_table
from gradrace.plots import agreement
from tests.plots.looks import assert_drawable, curves, is_png
from tests.variants import Forward, Loop, Reversed


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

    def test_float32_is_drawn_under_its_own_bound(self, line: Dataset, tmp_path: Path) -> None:
        exact = exact_trajectory(line.X, line.y, lr=0.005, epochs=300)
        path = Forward().train(line.X, line.y, 0.005, 300)
        rough = Trajectory(path.epoch, *(v.astype("f4").astype(float) for v in path[1:]))
        single = judge("half.py", rough, exact.held_to(100, FLOAT32))
        checked = [Checked(judge("python", path, exact), path), Checked(single, rough)]
        pyarrow.parquet.write_table(error_table(checked, exact), tmp_path / "a.parquet")
        for axes in agreement.figure(tmp_path / "a.parquet").axes:
            drawn = curves(axes)
            bound = drawn["rounding bound of float32"]
            x, error = drawn["half.py (float32)"]
            assert (error < np.interp(x, *bound)).all()
            assert (bound[1] > 1e6 * drawn["rounding bound of float64"][1]).all()

    def test_png(self, table: Path, tmp_path: Path) -> None:
        agreement.draw(table, tmp_path / "a.png")
        assert is_png(tmp_path / "a.png")
