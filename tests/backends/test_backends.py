"""What every built-in backend does: the four pieces, training, divergence, and its source."""

import importlib
import math
import re
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gradrace import backends
from gradrace.backends.interface import Backend, Floats, Trajectory
from gradrace.backends.support.dask_reading import Partitions
from gradrace.bench.data.samples import Dataset, reference_line, synthetic
from gradrace.bench.learning.curvature import hessian
from gradrace.bench.learning.least_squares import least_squares
from gradrace.bench.proof.agreement import judge
from gradrace.bench.proof.oracle import ExactTrajectory, exact_trajectory
from tests.conftest import ROOT, assert_same_bits

# Two samples of two features, worked by hand: ŷ = (1·3 + 2·4 + 5, 3·3 + 4·4 + 5) = (16, 30),
# r = (6, 10), L = (36 + 100)/2, ∂L/∂w = (1·6 + 3·10, 2·6 + 4·10), ∂L/∂b = 6 + 10.
X2, Y2, W2, B2 = [[1.0, 2.0], [3.0, 4.0]], [10.0, 20.0], [3.0, 4.0], 5.0


@cache
def exact_path(n: int, d: int, lr: float, epochs: int) -> ExactTrajectory:
    """The exact trajectory of synthetic samples or, for n = 0, of the reference line."""
    data = reference_line() if n == 0 else synthetic(n, d)
    return exact_trajectory(data.X, data.y, lr=lr, epochs=epochs)


def train(backend: Backend, data: Dataset, lr: float, epochs: int, **job: Any) -> Trajectory:
    return backend.train(backend.prepare(data.X, data.y), lr=lr, epochs=epochs, **job)


def native(backend: Backend, w: list[float]) -> Any:
    """The weights in the container that the backend's pieces take."""
    return w if isinstance(backend.prepare(X2, Y2)[0], list) else np.array(w)


def prepared(backend: Backend, X: Any, y: Any) -> Any:
    """Return X and y as `prepare` leaves them; partitions are recipes, so there X and y stay."""
    data = backend.prepare(X, y)
    return (np.array(X), np.array(y)) if isinstance(data, Partitions) else data[:2]


class TestPieces:
    def test_by_hand(self, backend: Backend) -> None:
        X, y = prepared(backend, X2, Y2)
        w, grad = native(backend, W2), native(backend, [36.0, 52.0])
        assert list(backend.predict(X, w, B2)) == [16.0, 30.0]
        assert backend.loss(X, y, w, B2) == 68.0
        grad_w, grad_b = backend.gradients(X, y, w, B2)
        assert (list(grad_w), grad_b) == ([36.0, 52.0], 16.0)
        new_w, new_b = backend.update(w, B2, grad, 16.0, 0.25)
        assert (list(new_w), new_b) == ([3.0 - 9.0, 4.0 - 13.0], 1.0)
        assert (list(w), list(grad)) == (W2, [36.0, 52.0])  # not changed

    def test_gradients_are_central_differences_of_the_loss(self, backend: Backend) -> None:
        data = synthetic(30, 4)
        X, y = prepared(backend, data.X, data.y)
        w, b, h = [0.5, -1.0, 2.0, 0.25], 0.75, 1e-3
        grad_w, grad_b = backend.gradients(X, y, native(backend, w), b)

        def loss(w: list[float], b: float) -> float:
            return backend.loss(X, y, native(backend, w), b)

        # exact for a quadratic except for rounding: u·L/h = 1e-16 · 60 / 1e-3
        assert grad_b == pytest.approx((loss(w, b + h) - loss(w, b - h)) / (2 * h), abs=1e-10)
        for j in range(4):
            up = [v + h * (i == j) for i, v in enumerate(w)]
            down = [v - h * (i == j) for i, v in enumerate(w)]
            slope = (loss(up, b) - loss(down, b)) / (2 * h)
            assert grad_w[j] == pytest.approx(slope, abs=1e-10)

    def test_one_epoch_of_train_is_one_use_of_the_pieces(
        self, backend: Backend, line: Dataset
    ) -> None:
        data = backend.prepare(line.X, line.y)
        X, y = prepared(backend, line.X, line.y)
        w, b = native(backend, [0.5]), 0.25
        path = backend.train(data, lr=0.005, epochs=1, w0=[0.5], b0=b)
        loss = backend.loss(X, y, w, b)
        new_w, new_b = backend.update(w, b, *backend.gradients(X, y, w, b), 0.005)
        assert path.loss[0] == pytest.approx(loss, rel=1e-15)
        assert path.w[1, 0] == pytest.approx(new_w[0], rel=1e-15)
        assert path.b[1] == pytest.approx(new_b, rel=1e-15)


class TestTrain:
    def test_agrees_with_the_exact_trajectory(self, backend: Backend, line: Dataset) -> None:
        """And reproduces the published numbers, whose author truncated the digits."""
        path = train(backend, line, 0.005, 10_000)
        verdict = judge("", path, exact_path(0, 1, 0.005, 10_000))
        assert verdict.agrees, verdict.reason
        assert math.floor(path.w[-1, 0] * 1000) == 3015
        assert math.floor(path.b[-1] * 1000) == 1811
        assert math.floor(path.loss[0] * 100) == 40184
        assert math.floor(path.loss[9900] * 100) == 81

    def test_converges_to_least_squares(self, backend: Backend) -> None:
        data = synthetic(500, 5)
        best, path = least_squares(data), train(backend, data, 0.4, 200)
        np.testing.assert_allclose(path.w[-1], best.w, rtol=1e-12)
        assert path.b[-1] == pytest.approx(best.b, rel=1e-12)
        assert path.loss[-1] == pytest.approx(best.loss, rel=1e-13)

    @pytest.mark.parametrize("d", [1, 2, 3, 7, 20])
    def test_any_number_of_features(self, backend: Backend, d: int) -> None:
        path = train(backend, synthetic(50, d), 0.05, 100)
        verdict = judge("", path, exact_path(50, d, 0.05, 100))
        assert path.w.shape == (101, d)
        assert verdict.agrees, verdict.reason

    def test_one_sample(self, backend: Backend) -> None:
        path = backend.train(backend.prepare([[2.0]], [1.0]), lr=0.125, epochs=1)
        # r = −1 at zero; ∂L/∂w = 2·2·(−1), ∂L/∂b = 2·(−1)
        assert (path.w[:, 0].tolist(), path.b.tolist()) == ([0.0, 0.5], [0.0, 0.25])
        assert path.loss.tolist() == [1.0, (2 * 0.5 + 0.25 - 1) ** 2]

    def test_ill_conditioned_polynomial(self, backend: Backend) -> None:
        # Wampler1 of NIST's Statistical Reference Datasets: y = 1 + x + … + x⁵, x = 0 … 20
        x = np.arange(21.0)
        X = np.column_stack([x**power for power in range(1, 6)])
        y = 1 + X.sum(axis=1)
        lr = 0.9 * hessian(X).limit
        path = backend.train(backend.prepare(X, y), lr=lr, epochs=500)
        verdict = judge("", path, exact_trajectory(X, y, lr=lr, epochs=500))
        assert verdict.agrees, verdict.reason

    def test_starts_where_it_is_told(self, backend: Backend) -> None:
        path = train(backend, synthetic(20, 3), 0.1, 2, w0=[1.0, -2.0, 0.5], b0=4.0)
        assert (path.w[0].tolist(), path.b[0]) == ([1.0, -2.0, 0.5], 4.0)

    @pytest.mark.parametrize("every", [1, 2, 3, 7, 10, 99, 100, 1000])
    def test_thinning_keeps_first_and_last(
        self, backend: Backend, line: Dataset, every: int
    ) -> None:
        data = backend.prepare(line.X, line.y)
        whole = backend.train(data, lr=0.005, epochs=100)
        thin = backend.train(data, lr=0.005, epochs=100, every=every)
        assert thin.epoch.tolist() == sorted({*range(0, 101, every), 100})
        assert_same_bits(thin, Trajectory._make(rows[thin.epoch] for rows in whole))

    def test_chunks_make_the_same_trajectory(self, backend: Backend) -> None:
        sample = synthetic(64, 3)
        whole = train(backend, sample, 0.1, 60)
        w, b = whole.w[0], float(whole.b[0])
        for start, end in pairwise([0, 1, 2, 9, 33, 60]):
            piece = train(backend, sample, 0.1, end - start, w0=w, b0=b)
            for mine, expected in zip(piece[1:], whole[1:], strict=True):
                np.testing.assert_array_equal(mine, expected[start : end + 1])
            w, b = piece.w[-1], float(piece.b[-1])

    def test_the_same_bits_every_time(self, backend: Backend) -> None:
        first, again = (train(backend, synthetic(1000, 7), 0.1, 50) for _ in range(2))
        assert_same_bits(first, again)

    @pytest.mark.parametrize("epochs", [0, 3])
    def test_returns_arrays_of_the_promised_types(self, backend: Backend, epochs: int) -> None:
        path = backend.train(backend.prepare(X2, Y2), lr=0.01, epochs=epochs)
        assert isinstance(path, Trajectory)
        assert path.epoch.tolist() == list(range(epochs + 1))
        assert [rows.dtype for rows in path] == [np.int64, np.float64, np.float64, np.float64]
        assert [rows.shape[1:] for rows in path] == [(), (2,), (), ()]


class TestDivergence:
    def test_finite_then_inf_then_nan(self, backend: Backend, line: Dataset) -> None:
        path = train(backend, line, 0.1, 500)
        inf, nan = int(np.isinf(path.loss).argmax()), int(np.isnan(path.loss).argmax())
        assert (inf, nan) == (186, 374)
        assert np.isfinite(path.loss[:inf]).all()
        assert (path.loss[inf:nan] == np.inf).all()
        assert np.isnan(path.loss[nan:]).all()
        assert np.isnan(path.w[-1]).all()

    @pytest.mark.parametrize("lr", [0.03, 0.1, 5.0, 1e10, 1e300])
    def test_alike_in_every_backend(self, backend: Backend, line: Dataset, lr: float) -> None:
        mine, python = train(backend, line, lr, 400), train(backends.load("python"), line, lr, 400)
        for kind in (np.isnan, np.isinf):
            np.testing.assert_array_equal(kind(mine.loss), kind(python.loss))
        # w or b may overflow an epoch sooner, where α is multiplied before 1/n
        verdict = judge("", mine, exact_path(0, 1, lr, 400))
        assert verdict.agrees, verdict.reason


class TestNumbaIsPython:
    """On x86-64 the compiled loop rounds exactly as the interpreted one does."""

    @given(
        seed=st.integers(0, 2**32 - 1),
        n=st.integers(1, 40),
        d=st.integers(1, 6),
        rate=st.floats(1e-6, 1e3),
        scale=st.floats(-150, 150),
    )
    def test_bit_for_bit(self, seed: int, n: int, d: int, rate: float, scale: float) -> None:
        rng = np.random.default_rng(seed)
        X = rng.standard_normal((n, d)) * 10.0 ** rng.uniform(-3, 3, d)
        y = rng.standard_normal(n) * 10.0**scale
        python, numba = backends.load("python"), backends.load("numba")
        w0 = rng.standard_normal(d)
        assert_same_bits(
            python.train(python.prepare(X, y), lr=rate, epochs=40, w0=w0, b0=0.5),
            numba.train(numba.prepare(X, y), lr=rate, epochs=40, w0=w0, b0=0.5),
        )

    @pytest.mark.parametrize("lr", [0.001, 0.005, 0.1])
    def test_on_the_reference_line(self, line: Dataset, lr: float) -> None:
        python, numba = (train(backends.load(n), line, lr, 10_000) for n in ("python", "numba"))
        assert_same_bits(python, numba)

    def test_the_pieces_too(self, line: Dataset) -> None:
        python, numba = backends.load("python"), backends.load("numba")
        rows, targets, *_ = python.prepare(line.X, line.y)
        X, y = numba.prepare(line.X, line.y)
        w, b = [0.3], 0.7
        assert python.predict(rows, w, b) == list(numba.predict(X, np.array(w), b))
        assert python.loss(rows, targets, w, b) == numba.loss(X, y, np.array(w), b)
        grad_w, grad_b = numba.gradients(X, y, np.array(w), b)
        assert python.gradients(rows, targets, w, b) == (list(grad_w), grad_b)


class TestSideBySide:
    """Two files can be read side by side: same functions, same order, same formula comments."""

    FILES = tuple(  # all that spell out a loop: for large data, it is that of `gram`
        ROOT / "backends" / f"{rung.module}.py"
        for rung in backends.LADDER.values()
        if not rung.for_large_data
    )
    PIECES = ("prepare", "predict", "loss", "gradients", "update")
    TAG = re.compile(r"#\s*((?:ŷ|r|L|∂L/∂w|∂L/∂b|w|b) (?:=|←) .*)$")

    def outline(self, file: Path) -> list[tuple[str, str]]:
        """The functions of the interface, and the formulas in the loop of `train`, in order."""
        place, found = "", []
        for text in file.read_text("utf-8").splitlines():
            if definition := re.match(r"def (\w+)\(", text):
                name = definition[1]
                place = name if name in self.PIECES else "train"
                if name in (*self.PIECES, "train"):
                    found.append((place, "def"))
            if tag := self.TAG.search(text):
                found += [(place, formula.split(" ")[0]) for formula in tag[1].split("; ")]
        return list(dict.fromkeys(found))  # a backend may repeat the loop for special cases

    @pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
    def test_same_functions_and_formulas_in_the_same_order(self, file: Path) -> None:
        formulas = {"predict": "ŷ", "loss": "r L", "gradients": "r ∂L/∂w ∂L/∂b", "update": "w b"}
        pieces = [("prepare", "def")]
        for name, tags in formulas.items():
            pieces += [(name, tag) for tag in ("def", *tags.split())]
        loop = [("train", tag) for tag in ("def", "ŷ", "r", "L", "∂L/∂w", "∂L/∂b", "w", "b")]
        imported = self.imported(file)
        passes = [("train", tag) for tag in ("ŷ", "r") if "sums" in imported]
        own = [entry for entry in pieces if entry[0] not in imported]
        assert self.outline(file) == own + [entry for entry in loop if entry not in passes]

    def imported(self, file: Path) -> set[str]:
        """What is imported from the backend below; "sums" stands for the pass over the samples."""
        text = file.read_text("utf-8")
        module = importlib.import_module(f"gradrace.backends.{file.stem}")
        names = {
            name for name in self.PIECES if getattr(module, name).__module__ != module.__name__
        }
        return names | {"sums"} if re.search(r"\w+\.sums_of_\w+\(", text) else names

    def test_the_same_formula_reads_the_same_everywhere(self) -> None:
        formulas = {
            formula
            for file in self.FILES
            for text in file.read_text("utf-8").splitlines()
            if (tag := self.TAG.search(text))
            for formula in tag[1].split("; ")
        }
        assert len(formulas) == 7, formulas


def test_input_is_never_changed(backend: Backend) -> None:
    X, y = np.array(X2), np.array(Y2)
    w0 = np.array([0.5, 0.5])
    backend.train(backend.prepare(X, y), lr=0.01, epochs=5, w0=w0)
    assert (X.tolist(), y.tolist(), w0.tolist()) == (X2, Y2, [0.5, 0.5])


def stored(X: Floats, tmp_path: Path) -> Floats:
    np.save(tmp_path / "X.npy", X)
    mapped: Floats = np.load(tmp_path / "X.npy", mmap_mode="r")
    return mapped


FORMS = ["list", "int64", "int8", "float32", ">f8", "bool", "fortran", "strided", "reversed"]
FORMS += ["read-only", "memory-mapped", "subclass"]


@pytest.mark.parametrize("form", FORMS)
def test_every_form_of_the_same_numbers(backend: Backend, form: str, tmp_path: Path) -> None:
    # zeros and ones are exact in each of these types
    X = np.array([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0], [0.0, 0.0]])
    y = np.array([1.0, 0.0, 1.0, 1.0])
    read_only = X.copy()
    read_only.setflags(write=False)
    forms: dict[str, Any] = {
        "list": X.tolist(),
        "fortran": np.asfortranarray(X),
        "strided": np.repeat(np.repeat(X, 2, axis=0), 3, axis=1)[::2, ::3],
        "reversed": X[::-1].copy()[::-1],
        "read-only": read_only,
        "memory-mapped": stored(X, tmp_path),
        "subclass": X.view(np.recarray),
    }
    given = forms[form] if form in forms else X.astype(form)
    before = np.array(given, copy=True)
    expected = backend.train(backend.prepare(X, y), lr=0.1, epochs=20)
    assert_same_bits(backend.train(backend.prepare(given, y), lr=0.1, epochs=20), expected)
    np.testing.assert_array_equal(np.asarray(given), before)
