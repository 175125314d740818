"""Threads that help with a part of a call, and sleep between two calls."""

import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from functools import cache


@contextmanager
def helped_by(parts: Iterable[Callable[[], object]]) -> Iterator[None]:
    """Let other threads run these parts while the block runs, as far as there are threads.

    The parts should release Python's global lock. The block does not wait for them. When it ends,
    parts that have not begun are dropped, and those that have begun go on.
    """
    helpers: list[Future[object]] = []
    try:
        with suppress(RuntimeError):  # no more threads can be started
            for part in parts:
                helpers.append(_team(os.getpid()).submit(part))
        yield
    finally:
        for helper in helpers:
            helper.cancel()


@cache
def _team(_process: int) -> ThreadPoolExecutor:
    """Return the threads of a process; one that was forked needs its own."""
    return ThreadPoolExecutor(os.cpu_count(), "helper")
