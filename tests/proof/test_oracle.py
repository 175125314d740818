"""The oracle against rational arithmetic, and against results known in advance."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from gradrace.backends.interface import Floats, InputError
from gradrace.bench.data.samples import Dataset, synthetic
from gradrace.bench.proof import exact_sums
from gradrace.bench.proof.exact_sums import exact_gram
from gradrace.bench.proof.oracle import Exact, exact_trajectory

finite = st.floats(allow_nan=False, allow_infinity=False)


def rational(exact: Exact, *index: int) -> Fraction:
    return Fraction(float(exact.near[index])) + Fraction(float(exact.rest[index]))


def rational_descent(
    X: Floats, y: Floats, lr: float, epochs: int
) -> list[tuple[list[Fraction], Fraction, Fraction]]:
    """The loop of `backends/pure_python.py` in exact rational numbers: (w, b, loss) per epoch."""
    rows = [[Fraction(v) for v in row] for row in X.tolist()]
    targets, alpha = [Fraction(v) for v in y.tolist()], Fraction(lr)
    n, d = len(rows), len(rows[0])
    w, b, path = [Fraction(0)] * d, Fraction(0), []
    for _ in range(epochs + 1):
        r = [
            sum(x * v for x, v in zip(row, w, strict=True)) + b - target
            for row, target in zip(rows, targets, strict=True)
        ]
        path.append((w, b, sum((v * v for v in r), Fraction(0)) / n))
        slopes = [
            Fraction(2, n) * sum(v * row[j] for v, row in zip(r, rows, strict=True))
            for j in range(d)
        ]
        w = [v - alpha * slope for v, slope in zip(w, slopes, strict=True)]
        b = b - alpha * Fraction(2, n) * sum(r)
    return path


def assert_gram_is_exact(M: Floats) -> None:
    K, q = exact_gram(M)
    columns = [[Fraction(value) for value in column] for column in M.T.tolist()]
    for j, a in enumerate(columns):
        for k, b in enumerate(columns):
            expected = sum((x * y for x, y in zip(a, b, strict=True)), Fraction(0))
            assert Fraction(int(K[j, k])) * Fraction(2) ** int(q[j] + q[k]) == expected


@settings(deadline=None, max_examples=50)
@given(arrays(np.float64, st.tuples(st.integers(1, 9), st.integers(1, 4)), elements=finite))
def test_gram_is_exact_for_any_floats(M: Floats) -> None:
    assert_gram_is_exact(M)


def test_gram_is_exact_over_many_blocks() -> None:
    rng = np.random.default_rng(7)
    M = rng.standard_normal((9000, 2)) * 10.0 ** rng.integers(-9, 9, (9000, 2))
    M[4096:8192] = 0.0  # a block without any digits
    assert_gram_is_exact(M)


@pytest.mark.parametrize("lr", [0.001, 0.1, 3.0])
@pytest.mark.parametrize("d", [1, 3])
def test_iterates_are_exact_to_100_bits(d: int, lr: float) -> None:
    data = synthetic(8, d)
    exact = exact_trajectory(data.X, data.y, lr=lr, epochs=25)
    for k, (w, b, loss) in enumerate(rational_descent(data.X, data.y, lr, 25)):
        pairs = [(rational(exact.w, k, j), w[j]) for j in range(d)]
        pairs += [(rational(exact.b, k), b), (rational(exact.loss, k), loss)]
        for found, expected in pairs:
            assert abs(found - expected) <= abs(expected) * Fraction(1, 2**100), (
                k,
                float(expected),
            )


@pytest.mark.parametrize("room", [3, 4, 50])
def test_sums_of_many_blocks_are_exact(room: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """However often the 64-bit sums fill up, and however many slices a block has."""
    monkeypatch.setattr(exact_sums, "_BLOCK", 4)
    monkeypatch.setattr(exact_sums, "_ROOM", room)
    M = synthetic(103, 3).X
    M[7:9], M[50] = M[7:9] * 1e-20, 0.0
    assert_gram_is_exact(M)


def test_the_largest_sums_fit_in_64_bits() -> None:
    largest, n = 1 - 2.0**-53, 1_100 * 4_096
    K, q = exact_gram(np.full((n, 1), largest))
    assert Fraction(int(K[0, 0])) * Fraction(2) ** int(2 * q[0]) == n * Fraction(largest) ** 2


def test_published_numbers(line: Dataset) -> None:
    exact = exact_trajectory(line.X, line.y, lr=0.005, epochs=10_000)
    found = (exact.w.near[-1, 0], exact.b.near[-1], exact.loss.near[0], exact.loss.near[9900])
    assert [f"{v:.9f}" for v in found] == [
        "3.015325855",
        "1.811861276",
        "401.845494242",
        "0.814904713",
    ]


def test_the_sums_of_one_trajectory_serve_another(line: Dataset) -> None:
    first = exact_trajectory(line.X, line.y, lr=0.005, epochs=3)
    alone = exact_trajectory(line.X, line.y, lr=0.02, epochs=50)
    shared = exact_trajectory(line.X, line.y, lr=0.02, epochs=50, sums=first.sums)
    for a, b in ((alone.w, shared.w), (alone.b, shared.b), (alone.loss, shared.loss)):
        np.testing.assert_array_equal(a.near, b.near)
        np.testing.assert_array_equal(a.rest, b.rest)
        np.testing.assert_array_equal(a.bound, b.bound)


def test_zero_epochs_and_the_start(line: Dataset) -> None:
    exact = exact_trajectory(line.X, line.y, lr=0.1, epochs=0, w0=[0.1], b0=-0.3)
    assert (exact.w.near.tolist(), exact.b.near.tolist()) == ([[0.1]], [-0.3])
    assert (exact.w.bound.tolist(), exact.b.bound.tolist()) == ([[0.0]], [0.0])
    assert 0 < exact.loss.bound[0] < 1e-10


def test_bounds_are_of_the_order_of_rounding(line: Dataset) -> None:
    exact = exact_trajectory(line.X, line.y, lr=0.005, epochs=10_000)
    assert 1e-14 < exact.w.bound[1, 0] < 1e-13
    assert exact.w.bound.max() < 1e-12
    assert exact.b.bound.max() < 1e-11
    assert exact.loss.bound.max() < 1e-10
    assert (exact.w.bound[1:] > 0).all()


def test_overflow_is_foreseen(line: Dataset) -> None:
    exact = exact_trajectory(line.X, line.y, lr=0.1, epochs=500)
    may, must = (int(f.argmax()) for f in (exact.loss.may_overflow, exact.loss.must_overflow))
    assert 0 < may <= 186 <= must <= may + 2  # the loss is inf from epoch 186 on
    may, must = (int(f.argmax()) for f in (exact.b.may_overflow, exact.b.must_overflow))
    assert 0 < may <= 373 <= must <= may + 5  # w and b from 373 on


@pytest.mark.parametrize("scale", [1e200, 1e150, 1e-200, 1e-320])
def test_huge_and_tiny_values_have_a_bound_at_the_start(scale: float) -> None:
    X, y = np.array([[1.0], [2.0], [3.0]]) * scale, np.array([1.0, 2.0, 4.0])
    exact = exact_trajectory(X, y, lr=0.01, epochs=3)
    assert exact.loss.near[0] == 7.0
    assert 0 < exact.loss.bound[0] < 1e-13
    assert not np.isnan(exact.w.bound).any()
    assert not np.isnan(exact.loss.bound).any()


def test_refuses_what_a_backend_refuses(line: Dataset) -> None:
    with pytest.raises(InputError, match="lr: must be greater than 0"):
        exact_trajectory(line.X, line.y, lr=0, epochs=1)
    with pytest.raises(InputError, match="y: needs one value per row"):
        exact_trajectory(line.X, line.y[1:], lr=0.1, epochs=1)
