"""Both yardsticks accept every correct order of addition on any data, and reject every bug."""

from collections.abc import Iterable
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from gradrace import backends
from gradrace.backends.interface import Floats, Trajectory
from gradrace.bench.data.samples import Dataset, reference_line, synthetic
from gradrace.bench.learning.curvature import hessian
from gradrace.bench.proof.agreement import judge, piece_fault
from gradrace.bench.proof.exercise import PIECES_LR
from gradrace.bench.proof.oracle import ExactTrajectory, exact_trajectory
from gradrace.bench.proof.problems import Problem
from gradrace.bench.proof.returns import longest_chains
from gradrace.bench.proof.steps import Steps
from tests.variants import (
    CORRECT,
    WRONG,
    WRONG_WHEN_DIVERGING,
    Ascent,
    FactorTwoMissing,
    HalfLoss,
    LastUpdateMissing,
    Loop,
    LossOfOneEpochLost,
    LossOverNMinusOne,
    StopsEarly,
)

EPOCHS, LONG = 100, 400  # the second is enough for α = 0.1 to reach nan, at 374

Kind = type[Loop]


def paths(
    X: Floats, y: Floats, lr: float, epochs: int, *start: Any, kinds: Iterable[Kind] = CORRECT
) -> dict[str, Trajectory]:
    """Return what correct loops and all backends compute, from a start if one is given."""
    w0, b0 = start or (None, 0.0)
    found = {kind.__name__: kind().train(X, y, lr, epochs, w0, b0) for kind in kinds}
    for name in backends.names():
        module = backends.load(name)
        data = module.prepare(X, y)
        found[name] = module.train(data, lr=lr, epochs=epochs, w0=w0, b0=b0)
    return found


@pytest.fixture(scope="module")
def converging() -> ExactTrajectory:
    data = reference_line()
    return exact_trajectory(data.X, data.y, lr=0.005, epochs=EPOCHS)


@pytest.fixture(scope="module")
def diverging() -> ExactTrajectory:
    data = reference_line()
    return exact_trajectory(data.X, data.y, lr=0.1, epochs=LONG)


@pytest.fixture(scope="module")
def steps() -> Steps:
    data = reference_line()
    return Steps.of(data.X, data.y)


@pytest.mark.parametrize("kind", CORRECT)
def test_correct_on_the_reference_line(
    kind: Kind, line: Dataset, converging: ExactTrajectory, steps: Steps
) -> None:
    path = kind().train(line.X, line.y, 0.005, EPOCHS)
    assert steps.fault(path, 0.005, np.zeros(1), 0.0) == ""
    verdict = judge("", path, converging)
    assert verdict.agrees, verdict.reason
    for part in (verdict.w, verdict.b, verdict.loss):
        assert part is not None
        assert part.multiple is not None
        assert part.multiple < 0.1, part  # far from the bound: it is a worst case


@pytest.mark.parametrize("kind", CORRECT)
def test_correct_when_diverging(kind: Kind, line: Dataset, diverging: ExactTrajectory) -> None:
    verdict = judge("", kind().train(line.X, line.y, 0.1, LONG), diverging)
    assert verdict.agrees, verdict.reason


@pytest.mark.parametrize("kind", WRONG)
def test_wrong_is_rejected(
    kind: Kind, line: Dataset, converging: ExactTrajectory, steps: Steps
) -> None:
    path = kind().train(line.X, line.y, 0.005, EPOCHS)
    assert steps.fault(path, 0.005, np.zeros(1), 0.0)
    verdict = judge("", path, converging)
    assert not verdict.agrees
    assert "× the bound" in verdict.reason or "nothing can overflow yet" in verdict.reason


# their mistakes occur where this run is inf or nan anyway, or never occur in it
INVISIBLE = (LossOfOneEpochLost, LastUpdateMissing, StopsEarly)


@pytest.mark.parametrize("kind", sorted({*WRONG, *WRONG_WHEN_DIVERGING} - {*INVISIBLE}, key=str))
def test_wrong_is_rejected_when_diverging(
    kind: Kind, line: Dataset, diverging: ExactTrajectory
) -> None:
    verdict = judge("", kind().train(line.X, line.y, 0.1, LONG), diverging)
    assert not verdict.agrees


@st.composite
def problems(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray, float]:
    """Samples with d = 1 … 20, columns of unlike size, and a rate up to past 2/λmax."""
    d = draw(st.integers(1, 20))
    n = draw(st.integers(1, 60))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    X = rng.standard_normal((n, d)) * 10.0 ** rng.uniform(-3, 3, d) + draw(st.floats(-10, 10))
    noise = draw(st.sampled_from([0.0, 1e-8, 1.0]))
    X *= draw(st.sampled_from([1.0, 1.0, 1e-8, 1e-150, 1e70]))
    y = X @ rng.standard_normal(d) + draw(st.floats(-1e3, 1e3)) + noise * rng.standard_normal(n)
    share = draw(st.sampled_from([1e-3, 0.1, 0.5, 0.9, 0.999, 1.0, 1.001, 1.1, 10.0, 1e6]))
    return X, y, share * hessian(X).limit


@pytest.mark.slow
@settings(max_examples=40, deadline=None)
@given(
    problem=problems(),
    epochs=st.integers(0, 80),
    start=st.sampled_from([0.0, 1.0, 1e6]),
    kinds=st.sets(st.sampled_from(CORRECT), min_size=3, max_size=3),
)
def test_correct_on_any_data(
    problem: tuple[np.ndarray, np.ndarray, float], epochs: int, start: float, kinds: set[Kind]
) -> None:
    """By the exact trajectory, and where nothing overflows, step by step."""
    X, y, lr = problem
    w0, b0 = np.linspace(-start, start, X.shape[1]), start
    exact = exact_trajectory(X, y, lr=lr, epochs=epochs, w0=w0, b0=b0)
    by_steps = Steps.of(X, y)
    for name, path in paths(X, y, lr, epochs, w0, b0, kinds=kinds).items():
        verdict = judge(name, path, exact)
        assert verdict.agrees, f"{name}: {verdict.reason}"
        if np.isfinite(path.loss).all():
            assert by_steps.fault(path, lr, w0, b0) == "", name


@pytest.mark.parametrize("lr", [1e-18, 8e-9, 1e-5])
def test_steps_far_below_the_last_digit(line: Dataset, lr: float) -> None:
    """Here every epoch rounds w and b once, and hardly anything else is rounded."""
    exact = exact_trajectory(line.X, line.y, lr=lr, epochs=30, w0=[1e3], b0=-7e5)
    for name, path in paths(line.X, line.y, lr, 30, np.array([1e3]), -7e5).items():
        verdict = judge(name, path, exact)
        assert verdict.agrees, f"{name}: {verdict.reason}"


def test_one_sample_and_no_sum_at_all() -> None:
    rng = np.random.default_rng(11)
    for _ in range(60):
        X, y = rng.standard_normal((1, 1)) * 10.0 ** rng.integers(-3, 4), rng.standard_normal(1)
        lr = float(rng.uniform(0.01, 1.2)) * hessian(X).limit
        w0, b0 = rng.standard_normal(1), float(rng.standard_normal())
        exact = exact_trajectory(X, y, lr=lr, epochs=30, w0=w0, b0=b0)
        verdict = judge("", Loop().train(X, y, lr, 30, w0, b0), exact)
        assert verdict.agrees, verdict.reason


@pytest.mark.parametrize(
    ("scale_x", "scale_y", "lr"),
    [
        (1.0, 1e-300, 0.1),
        (300.0, 1e-111, 1e-201),
        (1e-160, 1.0, 1e300),
        (1e-200, 1e-200, 1.0),
        (1e160, 1.0, 1e-3),
        (1e165, 1e-2, 1e-3),
        (1e155, 1e-117, 1e124),
        (1.0, 1e160, 0.1),
        (1e10, 1e10, 5e-324),
        (1e3, 1e3, 1e-318),
        (1e8, 1e-300, 1e-16),
        (1e160, 1.0, 1e-323),
        (1.0, 1.0, 1e160),
        (1.0, 1.0, 1e250),
        (1e150, 1e150, 1e-301),
        (1e150, 1e10, 1e3),
        (1.0, 1.0, 1e308),
        (1.0, 1.0, 5e-324),
    ],
)
def test_correct_at_both_ends_of_float64(scale_x: float, scale_y: float, lr: float) -> None:
    rng = np.random.default_rng(5)
    X, y = rng.standard_normal((15, 3)) * scale_x, rng.standard_normal(15) * scale_y
    exact = exact_trajectory(X, y, lr=lr, epochs=40)
    for name, path in paths(X, y, lr, 40).items():
        verdict = judge(name, path, exact)
        assert verdict.agrees, f"{name}: {verdict.reason}"


OVERFLOWING: dict[str, tuple[list[float], list[float], float, float]] = {
    "sums that cancel, but not in float64": ([1.0, 2.0**-54, -1.0], [1e290] * 3, 1e40, 0.0),
    "w grows beyond float64 without diverging": ([0.01, -0.01], [1e307, -1e307], 0.4, 0.0),
    "w starts at the largest float64": ([1e-10], [0.8e308], 1.0, 1.7976931348623157e308),
}


@pytest.mark.parametrize("name", OVERFLOWING)
def test_correct_at_the_edge_of_overflow(name: str) -> None:
    x, targets, lr, start = OVERFLOWING[name]
    X, y, w0 = np.array(x).reshape(-1, 1), np.array(targets), np.array([start])
    exact = exact_trajectory(X, y, lr=lr, epochs=3000, w0=w0)
    for backend in backends.names():
        module = backends.load(backend)
        path = module.train(module.prepare(X, y), lr=lr, epochs=3000, w0=w0)
        verdict = judge(backend, path, exact)
        assert verdict.agrees, f"{backend}: {verdict.reason}"


def test_an_invented_trajectory_is_rejected_where_only_the_hessian_overflows() -> None:
    X, y = np.array([[1e160], [2e160]]), np.array([1.0, 2.0])
    exact = exact_trajectory(X, y, lr=1e-323, epochs=4)
    path = Loop().train(X, y, 1e-323, 4)
    assert judge("", path, exact).agrees
    assert not judge("", path._replace(w=path.w + 7.0), exact).agrees


@settings(max_examples=50, deadline=None)
@given(problem=problems())
def test_gross_mistakes_show_in_one_epoch_of_any_data(
    problem: tuple[np.ndarray, np.ndarray, float],
) -> None:
    X, y, lr = problem
    assume(len(y) > 1 and np.abs(y).min() > 1e-3)
    exact = exact_trajectory(X, y, lr=lr, epochs=1)
    for kind in (FactorTwoMissing, Ascent, LossOverNMinusOne, HalfLoss):
        assert not judge("", kind().train(X, y, lr, 1), exact).agrees, kind


class TestReport:
    def test_the_reason_names_value_epoch_and_both_numbers(
        self, line: Dataset, converging: ExactTrajectory
    ) -> None:
        path = Loop().train(line.X, line.y, 0.005, EPOCHS)
        path.loss[17] += 1e-6
        verdict = judge("mine", path, converging)
        assert not verdict.agrees
        assert verdict.reason.startswith(f"loss at epoch 17: got {path.loss[17]!s}, exact ")
        assert verdict.loss is not None
        assert verdict.loss.epoch == 17
        assert verdict.loss.error == pytest.approx(1e-6, rel=1e-6)

    def test_the_reason_is_the_first_thing_wrong(
        self, line: Dataset, converging: ExactTrajectory
    ) -> None:
        path = Loop().train(line.X, line.y, 0.005, EPOCHS)
        path.w[40, 0] += 1.0
        path.b[30] += 1e-9
        assert judge("", path, converging).reason.startswith("b at epoch 30: ")

    def test_a_weight_is_named_by_its_index(self) -> None:
        data = synthetic(20, 3)
        exact = exact_trajectory(data.X, data.y, lr=0.1, epochs=5)
        path = Loop().train(data.X, data.y, 0.1, 5)
        path.w[2, 1] = np.inf
        assert judge("", path, exact).reason.startswith("w[1] at epoch 2: got inf, exact ")

    def test_bits_are_compared_with_the_reference(
        self, line: Dataset, converging: ExactTrajectory
    ) -> None:
        path = Loop().train(line.X, line.y, 0.005, EPOCHS)
        nearly = path._replace(b=path.b.copy())
        nearly.b[5] = np.nextafter(path.b[5], 1)
        assert judge("", path, converging).bitwise is None
        assert judge("", path, converging, path).bitwise is True
        assert judge("", path, converging, nearly).bitwise is False

    def test_overflow_is_reported(self, line: Dataset, diverging: ExactTrajectory) -> None:
        verdict = judge("", Loop().train(line.X, line.y, 0.1, LONG), diverging)
        assert (verdict.first_inf, verdict.first_nan) == (186, 374)


class TestPieces:
    DATA = synthetic(40, 3)

    def problem(self, scale: float = 1.0) -> Problem:
        w = np.array([0.5, -2.0, 1.0]) * scale
        return Problem("", self.DATA.X, self.DATA.y, 1.0, 1, w, 0.25 * scale)

    def fault(self, pieces: dict[str, Floats], problem: Problem) -> str:
        exact = exact_trajectory(
            problem.X, problem.y, lr=1.0, epochs=1, w0=problem.w0, b0=problem.b0
        )
        return piece_fault(pieces, problem, exact)

    def pieces(self, problem: Problem, name: str = "numpy") -> dict[str, Floats]:
        module, X, y, w, b = backends.load(name), problem.X, problem.y, problem.w0, problem.b0
        with np.errstate(all="ignore"):
            grad_w, grad_b = module.gradients(X, y, w, b)
            return {
                "predict": np.array(module.predict(X, w, b)),
                "loss": np.array([module.loss(X, y, w, b)]),
                "gradients": np.append(grad_w, grad_b),
                "update": np.append(*module.update(w, b, grad_w, grad_b, PIECES_LR)),
            }

    @pytest.mark.parametrize("name", backends.names())
    @pytest.mark.parametrize("scale", [1.0, 1e-310, 1e152, 1e160, 1e306, 8e307])
    def test_right_pieces_pass_also_where_their_sums_overflow(
        self, name: str, scale: float
    ) -> None:
        problem = self.problem(scale)
        assert self.fault(self.pieces(problem, name), problem) == ""

    @pytest.mark.parametrize("piece", ["predict", "loss", "gradients", "update"])
    @pytest.mark.parametrize("scale", [1.0, 1e150])
    def test_one_part_in_1e12_is_wrong(self, piece: str, scale: float) -> None:
        problem = self.problem(scale)
        pieces = self.pieces(problem)
        pieces[piece] = pieces[piece] * (1 + 1e-12)
        assert self.fault(pieces, problem).startswith(f"{piece}(): got ")

    @pytest.mark.parametrize("piece", ["predict", "loss", "gradients", "update"])
    @pytest.mark.parametrize("value", [np.inf, np.nan])
    def test_where_nothing_overflows_inf_and_nan_are_wrong(self, piece: str, value: float) -> None:
        problem = self.problem()
        pieces = self.pieces(problem)
        pieces[piece][-1] = value
        assert self.fault(pieces, problem).startswith(f"{piece}(): got {value}")


class Fast(Loop):
    """Computes the residuals with BLAS."""

    def residuals(self, X: Floats, y: Floats, w: Floats, b: float) -> Floats:
        return X @ w + b - y


class OffBy(Fast):
    """Adds every component of the gradient up right, but for one part in 10¹⁰."""

    def gradients(self, X: Floats, r: Floats) -> tuple[Floats, float]:
        grad_w, grad_b = super().gradients(X, r)
        return grad_w * (1 + 1e-10), grad_b


@pytest.fixture(scope="module")
def many() -> ExactTrajectory:
    data = synthetic(1_000_000, 1)
    return exact_trajectory(data.X, data.y, lr=0.1, epochs=3)


class TestChains:
    """A backend that adds block by block is held to a bound that hardly grows with n."""

    def path(self, loop: type[Loop]) -> Trajectory:
        data = synthetic(1_000_000, 1)
        return loop().train(data.X, data.y, 0.1, 3)

    @pytest.mark.parametrize("name", ["gram", "dask"])
    def test_a_small_mistake_at_a_large_size_is_found(
        self, name: str, many: ExactTrajectory
    ) -> None:
        exact = many.held_to(longest_chains(backends.load(name), 1_000_000, 1).gradient)
        assert judge("", self.path(OffBy), many).agrees
        verdict = judge("", self.path(OffBy), exact)
        assert not verdict.agrees
        assert verdict.reason.startswith("w[0] at epoch 1: ")
        assert judge("", self.path(Fast), exact).agrees

    @pytest.mark.parametrize("name", ["gram", "dask"])
    def test_what_declares_a_chain_keeps_to_it(self, name: str, many: ExactTrajectory) -> None:
        module, data = backends.load(name), synthetic(1_000_000, 1)
        path = module.train(module.prepare(data.X, data.y), lr=0.1, epochs=3)
        verdict = judge(name, path, many.held_to(longest_chains(module, 1_000_000, 1).gradient))
        assert verdict.agrees, verdict.reason

    def test_what_it_declares_is_needed(self) -> None:
        """Most targets are just too small to change the sum of the block that they are added to."""
        y = np.full(10_240, 0.98 * 2.0**-52)
        y[np.arange(len(y)) % 1_024 < 64] = 1.0
        X = np.ones((len(y), 1))
        exact, gram = exact_trajectory(X, y, lr=0.5, epochs=1), backends.load("gram")
        path = gram.train(gram.prepare(X, y), lr=0.5, epochs=1)
        assert not judge("gram", path, exact.held_to(1)).agrees
        assert judge("gram", path, exact.held_to(longest_chains(gram, 10_240, 1).gradient)).agrees

    def test_steps_so_small_that_nothing_else_may_be_rounded(self) -> None:
        """Here `gram` must not insert the sums into the update: that would round once more."""
        data, gram = synthetic(100_000, 1), backends.load("gram")
        job: dict[str, Any] = {"lr": 3.197e-06, "epochs": 20, "w0": [8.592], "b0": 0.268}
        exact = exact_trajectory(data.X, data.y, **job)
        path = gram.train(gram.prepare(data.X, data.y), **job)
        assert judge("gram", path, exact.held_to(longest_chains(gram, 100_000, 1).gradient)).agrees

    def test_no_chain_is_longer_than_all_samples(self, converging: ExactTrajectory) -> None:
        assert converging.held_to(100) is converging.held_to(10**9) is converging
        shorter = converging.held_to(10)
        assert (shorter.w.bound[1:] < converging.w.bound[1:]).all()
        np.testing.assert_array_equal(shorter.w.near, converging.w.near)

    def test_the_chain_of_the_gradient_is_not_that_of_the_loss(self, line: Dataset) -> None:
        exact = exact_trajectory(line.X, line.y, lr=0.005, epochs=0)
        np.testing.assert_array_equal(exact.held_to(1).loss.bound, exact.loss.bound)
