"""How `numba-parallel` shares the samples among threads: the same bits, whoever sums what."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, nullcontext
from typing import Any

import numpy as np
import pytest

from gradrace import backends
from gradrace.backends.interface import Trajectory
from gradrace.bench.data.samples import synthetic
from gradrace.bench.proof.agreement import judge
from gradrace.bench.proof.oracle import exact_trajectory
from tests.backends.two_threads import SIZES, run, train
from tests.conftest import assert_same_bits

sizes = pytest.mark.parametrize(("n", "d"), SIZES)


@pytest.fixture(scope="module")
def twice(tmp_path_factory: pytest.TempPathFactory) -> list[Any]:
    """What two processes of two threads each train with the code that this one compiled."""
    folder = tmp_path_factory.mktemp("twice")
    with pytest.MonkeyPatch.context() as patched:  # even on a single core
        patched.setattr(TestShares.module, "get_num_threads", lambda: 2)
        for size in SIZES:
            train(*size)
    paths = [folder / f"{i}.npz" for i in range(2)]
    for path in paths:
        run(f"save({str(path)!r})")
    return [dict(np.load(path)) for path in paths]


@pytest.mark.slow
@sizes
def test_two_threads_agree_and_give_the_same_bits_every_time(
    twice: list[Any], n: int, d: int
) -> None:
    first, second = (Trajectory(*(arrays[f"{n}x{d}.{i}"] for i in range(4))) for arrays in twice)
    assert_same_bits(first, second)
    data = synthetic(n, d)
    found = judge("", first, exact_trajectory(data.X, data.y, lr=0.1, epochs=30))
    assert found.agrees, found.reason
    alone = train(n, d, "numba-simd")
    assert not np.array_equal(first.loss, alone.loss)  # the work was divided


def test_a_forked_process_has_threads_of_its_own() -> None:
    assert run("fork()") == "2\n"


class TestShares:
    """How `numba-parallel` divides an epoch, whichever thread gets to run."""

    module: Any = backends.load("numba-parallel")

    @pytest.fixture(autouse=True)
    def three_threads(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(self.module, "get_num_threads", lambda: 3)

    @pytest.mark.parametrize(
        ("samples", "numbers", "shares", "threads"),
        [
            (8_191, 16_382, 1, 1),  # less than two shares
            (8_192, 16_384, 2, 2),
            (16_384, 32_768, 3, 3),  # as many for every thread
            (10**6, 10**7, 12, 3),
            (127, 10**6, 1, 1),  # few samples, of many features
            (192, 10**6, 3, 3),
            (11_001, 22_002, 2, 2),  # the third would get too little
        ],
    )
    def test_every_thread_gets_some_or_stays_out(
        self, samples: int, numbers: int, shares: int, threads: int
    ) -> None:
        assert self.module._division(samples, numbers) == (shares, threads)

    @pytest.mark.parametrize("team", ["none", "claims_and_stops", "runs_first"])
    @sizes
    def test_the_bits_are_the_same_whoever_runs(
        self, n: int, d: int, team: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        together = train(n, d)
        monkeypatch.setattr(self.module, "helped_by", OTHERS[team])
        assert_same_bits(train(n, d), together)

    @pytest.mark.parametrize("every", [1, 7, 100])
    def test_later_epochs_get_another_board(
        self, every: int, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        together = train(9_001, 3, every=every)
        monkeypatch.setattr(self.module, "_BOARD", 500)
        assert_same_bits(train(9_001, 3, every=every), together)

    def test_the_others_leave_if_it_fails(self, monkeypatch: pytest.MonkeyPatch) -> None:
        found: Parts = []

        def keep(parts: Parts) -> nullcontext[None]:
            found.extend(parts)
            return nullcontext()

        monkeypatch.setattr(self.module, "helped_by", keep)
        monkeypatch.setattr(self.module, "_take_part", failing)
        with pytest.raises(MemoryError):
            train(9_001, 9)
        _, marks = found[0].args[6:8]
        assert marks[-1, 0] == 2

    def test_callers_in_two_threads_do_not_disturb_each_other(self) -> None:
        expected = train(9_001, 9)
        with ThreadPoolExecutor(2) as callers:
            for found in callers.map(lambda _: train(9_001, 9), range(8)):
                assert_same_bits(found, expected)


Parts = list[Any]
"""partial(_take_part, …, board, marks, me, w, b) of every helping thread"""


@contextmanager
def claims_and_stops(parts: Parts) -> Iterator[None]:
    """The others claim every share of every epoch, and never sum any."""
    board, marks = parts[0].args[6:8]
    marks[:, :: board.shape[2]] = 1
    yield


@contextmanager
def runs_first(parts: Parts) -> Iterator[None]:
    """Thread 2 makes all epochs before thread 0, which finds everything on the board."""
    parts[-1]()
    yield


OTHERS: dict[str, Callable[[Parts], Any]] = {
    "none": lambda _: nullcontext(),
    "claims_and_stops": claims_and_stops,
    "runs_first": runs_first,
}


def failing(*_: object) -> float:
    raise MemoryError
