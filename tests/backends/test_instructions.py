"""Numbers that several threads read and write without a lock."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
from numba import njit

from gradrace.backends.interface import Integers
from gradrace.backends.support import instructions

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
    with ThreadPoolExecutor(4) as threads:
        found = list(threads.map(lambda me: claim_all(marks, me), (1, 2, 3, 4)))
    assert found == [np.count_nonzero(marks == me) for me in (1, 2, 3, 4)]
    assert sum(found) == MANY
    assert claim_all(marks, 5) == 0


def test_what_was_stored_before_a_write_is_seen_after_a_read() -> None:
    numbers, turn = np.zeros(200, dtype=np.int64), np.zeros(1, dtype=np.int64)
    with ThreadPoolExecutor(2) as threads:
        found = list(threads.map(lambda me: count_in_turn(numbers, turn, me), (0, 1)))
    assert numbers[0] == 400
    assert max(found) == turn[0] == 400
