"""Threads that help with a part of a call."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from gradrace.backends.support import threads
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
