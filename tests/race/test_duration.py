"""The announced duration of a race."""

from dataclasses import replace
from typing import Any

import pytest

from gradrace.bench.race.cases import grid, parse
from gradrace.bench.race.duration import START, announcement, duration, in_words, measured_start
from gradrace.bench.race.settings import Settings, choose


@pytest.mark.parametrize(
    "longer",
    [
        {"sessions": 4},
        {"repetitions": 1_000},
        {"spacing": 60.0},
        {"cases": tuple(grid([10, 20], [1]))},
        {"cases": (parse("1e6x10"),)},
        {"backends": ("numpy", "numba", "gram")},
    ],
)
def test_more_of_anything_takes_longer(longer: dict[str, Any]) -> None:
    base = Settings(backends=("numpy", "numba"), cases=tuple(grid([10], [1])))
    assert duration(base, START) < duration(replace(base, **longer), START)


def test_a_slower_start_announces_more() -> None:
    assert duration(choose(), START) < duration(choose(), 2 * START)


def test_no_session_but_the_last_is_shorter_than_its_spacing() -> None:
    settings = choose(backends=["numpy"], sizes=[10], features=[1])
    assert duration(settings, START) > (settings.sessions - 1) * settings.spacing


def test_an_interpreted_loop_takes_longer_unless_it_is_left_out() -> None:
    numpy, python, left_out = (
        duration(choose(backends=[backend], sizes=[n], features=[10], epochs=9), START)
        for backend, n in (("numpy", 100_000), ("python", 100_000), ("python", 10_000_000))
    )
    assert numpy < python
    rival = duration(choose(backends=["numpy"], sizes=[10_000_000], features=[10], epochs=9), START)
    assert left_out == pytest.approx(rival)


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (1, "5 seconds"),
        (41, "40 seconds"),
        (119, "120 seconds"),
        (130, "2.2 minutes"),
        (599, "10 minutes"),
        (7_300, "2.0 hours"),
        (40_000, "11 hours"),
    ],
)
def test_in_round_numbers(seconds: float, words: str) -> None:
    assert in_words(seconds) == words


def test_the_announcement() -> None:
    settings = choose(sessions=1, sizes=[10], features=[2], backends=["numpy"])
    assert announcement(settings, START).startswith(
        "custom run: 1 size, 1 backend, 1 session; takes about "
    )
    assert "quick run: 4 sizes, 5 backends, 3 sessions; " in announcement(choose(), START)
    assert measured_start() > 0
