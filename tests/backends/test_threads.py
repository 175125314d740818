"""Threads that help with a part of a call, and the numbers they share without a lock."""

import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from numba import njit

from gradrace.backends.interface import Integers
from gradrace.backends.support import instructions, threads
from gradrace.backends.support.threads import helped_by


def test_others_run_their_parts_meanwhile() -> None:
    met = threading.Barrier(2)
    with helped_by([lambda: met.wait(60)]):
        met.wait(60)  # would be broken if nobody came


def test_what_has_not_begun_is_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    """The only thread is busy with the first part until the block has ended."""
    team = ThreadPoolExecutor(1)
    monkeypatch.setattr(threads, "_team", lambda _: team)
    begun, ended, ran = threading.Event(), threading.Event(), []

    def first() -> None:
        begun.set()
        ended.wait(60)

    with helped_by([first, lambda: ran.append("second")]):
        begun.wait(60)
    ended.set()
    team.shutdown()
    assert ran == []


def test_the_block_runs_even_if_no_thread_can_be_started(monkeypatch: pytest.MonkeyPatch) -> None:
    team = ThreadPoolExecutor(1)
    team.shutdown()
    monkeypatch.setattr(threads, "_team", lambda _: team)
    ran = []
    with helped_by([lambda: ran.append("helper")]):
        ran.append("block")
    assert ran == ["block"]


def test_a_failure_of_the_block_is_passed_on() -> None:
    with pytest.raises(MemoryError), helped_by([lambda: None]):
        raise MemoryError


MANY = 100_000


@njit(nogil=True)
def claim_all(marks: Integers, me: int) -> int:
    """Return how many were free."""
    mine = 0
    for i in range(len(marks)):
        mine += instructions.claim(marks, i, me)
    return mine


@njit(nogil=True)
def count_in_turn(numbers: Integers, turn: Integers, me: int) -> int:
    """Count up to 2 len(numbers), every other number by the other one of two threads."""
    for i in range(len(numbers)):
        while instructions.read(turn, 0) != 2 * i + me:
            pass
        numbers[0] += 1
        instructions.write(turn, 0, 2 * i + me + 1)
    return instructions.read(turn, 0)


def test_every_mark_is_claimed_by_one_thread() -> None:
    marks = np.zeros(MANY, dtype=np.int64)
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda me: claim_all(marks, me), (1, 2, 3, 4)))
    assert found == [np.count_nonzero(marks == me) for me in (1, 2, 3, 4)]
    assert sum(found) == MANY
    assert claim_all(marks, 5) == 0


def test_what_was_stored_before_a_write_is_seen_after_a_read() -> None:
    numbers, turn = np.zeros(50, dtype=np.int64), np.zeros(1, dtype=np.int64)
    with ThreadPoolExecutor(2) as pool:
        found = list(pool.map(lambda me: count_in_turn(numbers, turn, me), (0, 1)))
    assert numbers[0] == 100
    assert max(found) == turn[0] == 100
