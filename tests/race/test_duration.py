"""The announced duration of a race is a range."""

from dataclasses import replace
from typing import Any

import pytest

from bench.race.cases import grid
from bench.race.duration import announcement, duration, in_words
from bench.race.settings import Settings, choose


def test_from_a_brisk_machine_to_a_slow_one() -> None:
    for settings in (choose(), choose(full=True), choose(backends=["numpy"], sizes=[10])):
        low, high = duration(settings)
        assert 0 < low < high


@pytest.mark.parametrize(
    "longer",
    [
        {"sessions": 4},
        {"repetitions": 1_000},
        {"spacing": 60.0},
        {"cases": tuple(grid([10, 20], [1]))},
        {"backends": ("numpy", "numba", "gram")},
    ],
)
def test_more_of_anything_takes_longer(longer: dict[str, Any]) -> None:
    base = Settings(backends=("numpy", "numba"), cases=tuple(grid([10], [1])))
    for less, more in zip(duration(base), duration(replace(base, **longer)), strict=True):
        assert less < more


def test_no_session_is_shorter_than_its_spacing() -> None:
    settings = choose(backends=["numpy"], sizes=[10], features=[1])
    assert duration(settings)[0] > settings.sessions * settings.spacing


def test_an_interpreted_loop_takes_longer_with_more_samples() -> None:
    """A foreign backend may be one: only the upper end of the range assumes so."""
    small, large = (
        [
            duration(choose(backends=[backend], sizes=[n], features=[10], epochs=9))
            for backend in ("python", "numpy", "mine.py")
        ]
        for n in (1_000, 1_000_000)
    )
    growth = [
        (after[0] > before[0], after[1] > before[1])
        for before, after in zip(small, large, strict=True)
    ]
    assert growth == [(True, True), (False, False), (False, True)]


@pytest.mark.parametrize(
    ("low", "high", "words"),
    [
        (41, 78, "40 to 80 seconds"),
        (44, 119, "40 to 120 seconds"),
        (50, 121, "50 seconds to 3 minutes"),
        (130, 599, "2 to 10 minutes"),
        (120, 7_300, "2 minutes to 3 hours"),
        (40, 40, "40 seconds"),
    ],
)
def test_the_words_hold_the_range(low: float, high: float, words: str) -> None:
    assert in_words(low, high) == words


def test_the_announcement() -> None:
    assert announcement(
        choose(sessions=1, sizes=[10], features=[2], backends=["numpy"])
    ).startswith("custom run: 1 size, 1 backend, 1 session; takes about ")
    assert "quick run: 4 sizes, 5 backends, 3 sessions; " in announcement(choose())
