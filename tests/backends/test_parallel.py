"""How `numba-parallel` shares the samples among threads: the same bits, whoever sums what."""

import os
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gradrace import backends
from gradrace.backends.interface import Trajectory
from gradrace.bench.data.samples import synthetic
from tests.backends.test_ladder import trained, verdict
from tests.conftest import ROOT

SIZES = [(40_001, 1), (9_001, 9), (3_001, 30)]
SMALL = (11_001, 1)
Trained = dict[tuple[int, int], Trajectory]


IN_THREADS = """
import sys
import numpy as np
import numba
from gradrace import backends
from gradrace.bench.data.samples import synthetic
module, threads, arrays = backends.load("numba-parallel"), numba.get_num_threads(), {}
for size in sys.argv[2:]:
    data = synthetic(*map(int, size.split("x")))
    path = module.train(module.prepare(data.X, data.y), lr=0.1, epochs=30)
    assert numba.get_num_threads() == threads
    arrays |= {f"{size}.{field}": rows for field, rows in path._asdict().items()}
np.savez(sys.argv[1], **arrays)
"""


def in_threads(
    sizes: list[tuple[int, int]],
    file: Path,
    threads: int = 2,
    cache: Path | None = None,
) -> Trained:
    """Train in a process with this many threads, however many the machine has."""
    variables = {"NUMBA_NUM_THREADS": str(threads)}
    if cache is not None:
        variables["NUMBA_CACHE_DIR"] = str(cache)
    subprocess.run(
        [sys.executable, "-c", IN_THREADS, str(file), *(f"{n}x{d}" for n, d in sizes)],
        cwd=ROOT,
        check=True,
        env={**os.environ, **variables},
    )
    with np.load(file) as arrays:
        return {
            (n, d): Trajectory(*(arrays[f"{n}x{d}.{field}"] for field in Trajectory._fields))
            for n, d in sizes
        }


@pytest.fixture(scope="module")
def twice(tmp_path_factory: pytest.TempPathFactory) -> list[Trained]:
    """What two processes of two threads each train with the code that a third compiled."""
    folder = tmp_path_factory.mktemp("twice")
    _, *loaded = (in_threads(SIZES, folder / f"{i}.npz", cache=folder) for i in range(3))
    return loaded


@pytest.mark.slow
class TestParallel:
    @pytest.mark.parametrize(("n", "d"), SIZES)
    def test_two_threads_agree_and_give_the_same_bits_every_time(
        self, twice: list[Trained], n: int, d: int
    ) -> None:
        data = synthetic(n, d)
        first, second = (results[n, d] for results in twice)
        for p, q in zip(first, second, strict=True):
            np.testing.assert_array_equal(p, q)
        found = verdict(first, data.X, data.y, 0.1)
        assert found.agrees, found.reason
        alone = trained(backends.load("numba-simd"), data.X, data.y, 0.1, 30)
        assert not np.array_equal(first.loss, alone.loss)  # the work was divided

    def test_threads_that_would_get_too_little_stay_out(self, tmp_path: Path) -> None:
        """11,001 samples are worth two shares, however many threads there are."""
        two, four = (
            in_threads([SMALL], tmp_path / f"{threads}.npz", threads)[SMALL] for threads in (2, 4)
        )
        np.testing.assert_array_equal(two.loss, four.loss)


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
        ],
    )
    def test_every_thread_gets_some_or_stays_out(
        self, samples: int, numbers: int, shares: int, threads: int
    ) -> None:
        assert self.module._division(samples, numbers) == (shares, threads)

    def train(self, n: int, d: int, epochs: int = 30, every: int = 1) -> Trajectory:
        data = synthetic(n, d)
        prepared = self.module.prepare(data.X, data.y)
        path: Trajectory = self.module.train(prepared, lr=0.1, epochs=epochs, every=every)
        return path

    def assert_same(self, p: Trajectory, q: Trajectory) -> None:
        for a, b in zip(p, q, strict=True):
            np.testing.assert_array_equal(a, b)

    @pytest.mark.parametrize(("n", "d"), SIZES)
    def test_the_bits_are_the_same_if_no_other_thread_ever_runs(
        self, n: int, d: int, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        together = self.train(n, d)
        monkeypatch.setattr(self.module, "helped_by", lambda _: nullcontext())
        self.assert_same(self.train(n, d), together)

    @pytest.mark.parametrize(("n", "d"), SIZES)
    def test_shares_of_threads_that_have_stopped_are_taken_over(
        self, n: int, d: int, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The others claim all they can, and never come back."""
        together = self.train(n, d)
        monkeypatch.setattr(self.module, "helped_by", claim_and_stop)
        self.assert_same(self.train(n, d), together)

    @pytest.mark.parametrize("every", [1, 7, 100])
    def test_later_epochs_get_another_board(
        self, every: int, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        together = self.train(9_001, 3, epochs=30, every=every)
        monkeypatch.setattr(self.module, "_BOARD", 500)
        self.assert_same(self.train(9_001, 3, epochs=30, every=every), together)

    @pytest.mark.parametrize(("n", "d"), SIZES)
    def test_any_thread_can_make_all_epochs_by_itself(
        self, n: int, d: int, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Thread 2 begins, and thread 0 finds everything on the board."""
        together = self.train(n, d)
        monkeypatch.setattr(self.module, "helped_by", run_first)
        self.assert_same(self.train(n, d), together)

    @pytest.mark.skipif(not hasattr(os, "fork"), reason="Windows has no fork")
    def test_a_forked_process_has_threads_of_its_own(self) -> None:
        code = (
            "import os, threading\n"
            "from tests.backends.test_parallel import TestShares\n"
            "here = TestShares().train(9_001, 9)\n"
            "if os.fork() == 0:\n"
            "    TestShares().assert_same(TestShares().train(9_001, 9), here)\n"
            "    os._exit(threading.active_count())\n"
            "print(os.waitstatus_to_exitcode(os.wait()[1]))\n"
        )
        variables = {**os.environ, "NUMBA_NUM_THREADS": "2"}
        done = subprocess.run(
            [sys.executable, "-c", code],
            cwd=ROOT,
            check=True,
            env=variables,
            capture_output=True,
            text=True,
        )
        assert done.stdout == "2\n"

    def test_the_others_leave_if_it_fails(self, monkeypatch: pytest.MonkeyPatch) -> None:
        found: Parts = []

        def keep(parts: Parts) -> nullcontext[None]:
            found.extend(parts)
            return nullcontext()

        monkeypatch.setattr(self.module, "helped_by", keep)
        monkeypatch.setattr(self.module, "_take_part", failing)
        with pytest.raises(MemoryError):
            self.train(9_001, 9)
        _, marks = found[0].args[6:8]
        assert marks[-1, 0] == 2

    def test_callers_in_two_threads_do_not_disturb_each_other(self) -> None:
        expected = self.train(9_001, 9)
        with ThreadPoolExecutor(2) as callers:
            for found in callers.map(lambda _: self.train(9_001, 9), range(8)):
                self.assert_same(found, expected)


Parts = list[Any]
"""partial(_take_part, …, board, marks, me, w, b) of every helping thread"""


@contextmanager
def claim_and_stop(parts: Parts) -> Iterator[None]:
    """Claim every share of every epoch, and never sum any."""
    board, marks = parts[0].args[6:8]
    marks[:, :: board.shape[2]] = 1
    yield


@contextmanager
def run_first(parts: Parts) -> Iterator[None]:
    """Make all epochs before the thread that is being helped begins."""
    parts[-1]()
    yield


def failing(*_: object) -> float:
    raise MemoryError
