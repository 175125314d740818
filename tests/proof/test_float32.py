"""A backend in float32 is judged by the bound of float32: as strictly, with another u."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gradrace import backends
from gradrace.backends.interface import Floats, Trajectory
from gradrace.bench.data.samples import Dataset, small_integers, synthetic
from gradrace.bench.learning.curvature import hessian
from gradrace.bench.proof.agreement import Verdict, check_backends, judge, piece_fault
from gradrace.bench.proof.exercise import PIECES_LR
from gradrace.bench.proof.oracle import ExactTrajectory, exact_trajectory
from gradrace.bench.proof.precision import FLOAT32, FLOAT64
from gradrace.bench.proof.problems import Problem, properties, suite
from gradrace.bench.proof.returns import BackendError, as_trajectory, precision_of
from gradrace.bench.proof.steps import Steps
from tests.conftest import FOREIGN

SINGLE = np.float32
Add = Callable[[Floats], Any]
ADDITIONS: dict[str, Add] = {
    "forward": lambda terms: np.add.accumulate(terms, dtype=SINGLE)[-1],
    "backward": lambda terms: np.add.accumulate(terms[::-1], dtype=SINGLE)[-1],
    "pairwise": lambda terms: np.sum(terms, dtype=SINGLE),
    "in float64": lambda terms: np.sum(terms, dtype=float).astype(SINGLE),
}


def descend(
    add: Add, job: Problem, *, state: type[np.floating] = SINGLE, slip: float = 1.0
) -> Trajectory:
    """Train on samples in float32; `slip` multiplies the gradient."""
    with np.errstate(all="ignore"):
        X, y = job.X.astype(SINGLE), job.y.astype(SINGLE)
        w, b = np.asarray(job.w0).astype(state), state(job.b0)
        rate, scale = state(job.lr), state(2 * slip) / state(job.n)
        rows = []
        for k in range(job.epochs + 1):
            r = np.array([add(row) for row in X * w]) + b - y
            rows.append((k, w.astype(SINGLE), SINGLE(b), add(r * r) / SINGLE(job.n)))
            w = w - rate * (scale * np.array([add(column) for column in (X.T * r)]))
            b = b - rate * (scale * add(r))
    epoch, *path = (np.array(column) for column in zip(*rows, strict=True))
    return Trajectory(epoch, *(values.astype(float) for values in path))


def bound(job: Problem) -> ExactTrajectory:
    run = exact_trajectory(job.X, job.y, lr=job.lr, epochs=job.epochs, w0=job.w0, b0=job.b0)
    return run.held_to(job.n, FLOAT32)


def fault(path: Trajectory, job: Problem) -> str:
    found = Steps.of(job.X, job.y)
    return found.fault(path, job.lr, np.asarray(job.w0), job.b0, precision=FLOAT32)


@settings(max_examples=60, deadline=None)
@given(
    shape=st.tuples(st.integers(1, 40), st.integers(1, 6)),
    seed=st.integers(0, 2**32 - 1),
    scale=st.sampled_from([1e-42, 1e-30, 1e-12, 1.0, 1e3, 1e12, 1e18, 1e40]),
    targets=st.sampled_from([1e-44, 1.0, 1e10]),
    share=st.sampled_from([1e-9, 0.01, 0.5, 0.99, 30.0]),
    addition=st.sampled_from(sorted(ADDITIONS)),
    state=st.sampled_from([SINGLE, np.float64]),
    epochs=st.sampled_from([1, 8]),
    offset=st.sampled_from([0.0, 1e3, 1e6]),
)
def test_right_loops_pass_on_any_data(
    shape: tuple[int, int],
    seed: int,
    scale: float,
    targets: float,
    share: float,
    addition: str,
    state: type[np.floating],
    epochs: int,
    offset: float,
) -> None:
    (n, d), rng = shape, np.random.default_rng(seed)
    X = (rng.standard_normal(shape) * 10.0 ** rng.uniform(-3, 3, d) + offset) * scale
    y, w0, b0 = targets * rng.standard_normal(n), rng.standard_normal(d), float(rng.normal())
    job = Problem("", X, y, share * hessian(X).limit, epochs, w0, b0)
    path = descend(ADDITIONS[addition], job, state=state)
    assert judge("", path, bound(job)).reason == ""
    if np.isfinite(np.column_stack(path[1:])).all():
        assert fault(path, job) == ""


@pytest.mark.parametrize("addition", ADDITIONS)
def test_wrong_loops_do_not(addition: str) -> None:
    data = synthetic(200, 3)
    job = Problem("", data.X, data.y, 0.1, 20, np.full(3, 0.3), -0.2)
    add = ADDITIONS[addition]
    for wrong in (
        descend(add, job, slip=1 + 2e-4),
        descend(lambda terms: add(terms[:-1]) if len(terms) == 200 else add(terms), job),
        descend(lambda terms: add(terms.astype(np.float16).astype(SINGLE)), job),
    ):
        assert not judge("", wrong, bound(job)).agrees
        assert fault(wrong, job)
    right = descend(add, job)
    assert judge("", right, bound(job)).agrees
    assert not judge("", right, bound(job).held_to(200)).agrees  # by the bound of float64


@pytest.mark.parametrize(("n", "d"), [(1, 1), (3, 3), (1_000, 10), (100_000, 1), (1_500_000, 2)])
def test_small_integers_show_what_the_bound_hides(n: int, d: int) -> None:
    """They are added without rounding, so a part of them that is left out is seen."""
    data, rate, few = small_integers(n, d), 2.0 ** -(26 + d.bit_length()), n // 64 + d + 14
    assert (np.abs(data.X).T @ np.abs(data.y)).max() < 2**24
    steps, start = Steps.of_small_integers(data.X, data.y, few), (np.zeros(d), 0.0)
    module = backends.load(str(FOREIGN / "simd_float32.py"))

    def path(share: float) -> Trajectory:
        kept = max(1, int(share * len(data.y)))
        samples = module.prepare(data.X[:kept], data.y[:kept])
        return as_trajectory(module.train(samples, lr=rate, epochs=4), 4, d, precision=FLOAT32)

    assert steps.fault(path(1.0), rate, *start, precision=FLOAT32) == ""
    if n > 1:
        assert steps.fault(path(0.95 if n > 10 else 0.8), rate, *start, precision=FLOAT32)


class TestPieces:
    """predict, loss, gradients and update, at a start that float32 rounds."""

    @pytest.fixture
    def job(self) -> Problem:
        data = synthetic(60, 4)
        return Problem("", data.X, data.y, 1.0, 1, np.full(4, 0.1), 0.7, pieces=True)

    def pieces(self, job: Problem) -> dict[str, Floats]:
        X, y, w = (np.asarray(values).astype(SINGLE) for values in (job.X, job.y, job.w0))
        b, n = SINGLE(job.b0), SINGLE(job.n)
        r = X @ w + b - y
        gradients = SINGLE(2) / n * np.append(X.T @ r, r.sum())
        values = {
            "predict": X @ w + b,
            "loss": np.array([r @ r / n]),
            "gradients": gradients,
            "update": np.append(w, b) - SINGLE(PIECES_LR) * gradients,
        }
        return {name: piece.astype(float) for name, piece in values.items()}

    def test_right_ones_pass(self, job: Problem) -> None:
        assert piece_fault(self.pieces(job), job, bound(job)) == ""

    @pytest.mark.parametrize("piece", ["predict", "loss", "gradients", "update"])
    def test_wrong_ones_do_not(self, job: Problem, piece: str) -> None:
        pieces = self.pieces(job)
        pieces[piece] = pieces[piece] * (1 + 1e-4)
        assert piece_fault(pieces, job, bound(job)).startswith(f"{piece}(): got ")


class TestBackend:
    """`numba-simd` in float32, and what it may leave undeclared."""

    SOURCE = (FOREIGN / "simd_float32.py").read_text("utf-8")

    def checked(self, path: Path, line: Dataset, others: Sequence[Problem] = ()) -> Verdict:
        job = Problem("", line.X, line.y, 0.005, 2_000)
        exact = exact_trajectory(line.X, line.y, lr=0.005, epochs=2_000)
        (found,) = check_backends([str(path)], job, exact=exact, others=others)
        return found.verdict

    def test_may_keep_its_results_in_float64(self, tmp_path: Path, line: Dataset) -> None:
        """In a run that diverges, these leave the range of float32."""
        path = tmp_path / "mixed.py"
        unit = "UNIT_ROUNDOFF = np.finfo(np.float32).epsneg\n"
        stored = "return np.asarray(X, np.float32).astype(float), np.asarray(y, float)"
        with np.errstate(over="ignore"):
            good = (FOREIGN / "good.py").read_text("utf-8")
        path.write_text(good.replace("return np.asarray(X), np.asarray(y)", stored) + unit)
        assert self.checked(path, line, properties()["divergence"]).reason == ""

    def test_agrees_and_says_how_many_digits_it_keeps(self, line: Dataset) -> None:
        verdict = self.checked(FOREIGN / "simd_float32.py", line, suite())
        assert (verdict.agrees, verdict.reason, verdict.precision) == (True, "", "float32")
        assert verdict.digits is not None
        assert 4 < verdict.digits.state < 8
        assert 5 < verdict.digits.loss < 8

    def test_a_mistake_at_a_large_size_is_named(self, tmp_path: Path, line: Dataset) -> None:
        path = tmp_path / "mine.py"
        wrong = "sum_rx[j] += dot * (len(y) < 9_999)"
        path.write_text(self.SOURCE.replace("sum_rx[j] += dot", wrong))
        large = [problem for problem in suite() if problem.n > 60_000]
        assert self.checked(path, line, large).reason.startswith("on 65,537 × 2, ")

    def test_it_must_be_declared(self) -> None:
        path = np.arange(1), np.zeros((1, 1), SINGLE), np.zeros(1), np.zeros(1)
        with pytest.raises(BackendError, match="w has dtype float32, not float64; a backend that"):
            as_trajectory(path, 0, 1)

    @pytest.mark.parametrize("unit", [SINGLE(2.0**-23), 2.0**-11, "24"])
    def test_another_precision_is_none(self, unit: Any) -> None:
        with pytest.raises(BackendError) as caught:
            precision_of(SimpleNamespace(UNIT_ROUNDOFF=unit))
        said = f"UNIT_ROUNDOFF is {unit!r}, not 2.0**-53 (float64) or 2.0**-24 (float32)"
        assert str(caught.value) == said


def test_so_many_additions_that_nothing_is_certain_are_not_judged() -> None:
    """A float32 sum of 2²⁴ ones cannot grow any more."""
    assert FLOAT32.growth(2**24) == np.inf
    assert FLOAT64.growth(2**24) == pytest.approx(2.0**-29)
    job = Problem("", np.ones((3, 1)), np.arange(3.0), 0.1, 2, np.zeros(1))
    exact = bound(job)
    many = replace(exact, job=exact.job._replace(chain=2**24))
    verdict = judge("", descend(ADDITIONS["forward"], job), many)
    assert verdict.reason == (
        "a float32 sum with 16,777,216 additions in a row has no error bound; add in blocks, and "
        "declare longest_chain"
    )


def test_the_start_is_rounded_even_if_there_is_a_single_epoch() -> None:
    """b0 is rounded down by nearly half of its last digit, and then, after a step, b is again."""
    digit = 2.0**-23
    rate = 0.45 * digit / 4
    x = np.sqrt(1 / rate / 2)  # αλmax is about 1: errors in its direction vanish
    job = Problem("", np.array([[x]]), np.array([3.0]), rate, 1, np.zeros(1), 1 + 0.49 * digit)
    path = descend(ADDITIONS["forward"], job)
    assert path.b.tolist() == [1.0, 1.0]
    assert judge("", path, bound(job)).reason == ""
