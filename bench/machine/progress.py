"""How a long job reports its progress."""

from collections.abc import Callable

Progress = Callable[[str, int, int], None]
"""Gets what is being done, how many steps are done, and their total, 0 if not known yet."""


def silent(_doing: str, _done: int, _all: int) -> None:
    """Say nothing."""
