"""How a long job says how far it is."""

from collections.abc import Callable

Progress = Callable[[str, int, int], None]
"""Gets what is being done, how many steps are done, and how many there are; 0 if not known yet."""


def silent(_doing: str, _done: int, _all: int) -> None:
    """Say nothing."""
