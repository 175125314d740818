"""gradrace from Python. This folder is installed as `gradrace`; its names are those of `bench`."""

from typing import TYPE_CHECKING, Any

import bench

if TYPE_CHECKING:
    from bench import *  # noqa: F403 (all names, for type checkers)

__all__ = bench.__all__


def __getattr__(name: str) -> Any:
    """Import a name when it is first asked for."""
    return bench.__getattr__(name)  # not getattr: bench.race is also a folder
