"""The problems that are raced."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gradrace.backends.interface import InputValueError
from gradrace.bench.data.samples import reference_line
from gradrace.bench.learning.curvature import hessian
from gradrace.bench.race.cases import FULL, QUICK, REFERENCE, grid, make_case, parse


def test_the_reference_case_is_the_reference_line() -> None:
    assert make_case(100, 1) == REFERENCE
    a, b = REFERENCE.samples(), reference_line()
    assert (a.X.tolist(), a.y.tolist()) == (b.X.tolist(), b.y.tolist())
    assert (REFERENCE.lr, REFERENCE.epochs) == (0.005, 10_000)


@given(st.integers(1, 10**9), st.integers(1, 10**6), st.none() | st.integers(1, 10**9))
def test_a_case_is_its_spec(n: int, d: int, epochs: int | None) -> None:
    case = make_case(n, d, epochs)
    assert parse(case.spec) == case
    assert case.name == f"{n}x{d}"
    assert epochs in (None, case.epochs)


@given(st.integers(1, 200), st.integers(1, 100))
@settings(max_examples=60, deadline=None)
def test_every_rate_is_stable(n: int, d: int) -> None:
    case = make_case(n, d)
    assert case.lr < hessian(case.samples().X).limit


def test_a_grid_has_every_pair_once() -> None:
    assert [case.name for case in grid([20, 10, 20], [3, 1])] == ["10x1", "20x1", "10x3", "20x3"]
    assert {case.epochs for case in grid([20], [1], epochs=7)} == {7}


def test_the_presets_hold_the_reference_case() -> None:
    assert len(QUICK) == 4
    assert len(FULL) == 14
    assert REFERENCE in QUICK
    assert set(QUICK) < set(FULL)


@pytest.mark.parametrize(
    "text", ["", "100", "100x", "x1", "-1x1", "1x1@", "100x1@x", "1.5x1", "exe", "1e999x1"]
)
def test_what_is_no_case(text: str) -> None:
    with pytest.raises(InputValueError, match="needs SAMPLESxFEATURES"):
        parse(text)


@pytest.mark.parametrize("text", ["0x1", "1x0", "9999999999999999x1"])
def test_sizes_out_of_range(text: str) -> None:
    with pytest.raises(InputValueError, match="must be from 1 to"):
        parse(text)
