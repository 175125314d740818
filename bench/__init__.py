"""The harness: the exact oracle, the verdict on each backend, the laboratory, the race.

`from bench import fit` trains on your own arrays.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bench.training import Fit, fit

__all__ = ["Fit", "fit"]


def __getattr__(name: str) -> Any:
    """Import `fit` and `Fit` when they are asked for, so that `gradrace --help` stays quick."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from bench import training

    return getattr(training, name)
