"""gradrace: one gradient-descent loop in Python, NumPy and Numba, proved equal, then timed.

`__all__` lists what it offers to Python; bench/api/README.md explains these names.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # with `as`, type checkers know that these names are public
    from gradrace.backends.interface import InputError as InputError
    from gradrace.bench.api.estimator import GradientDescentRegressor as GradientDescentRegressor
    from gradrace.bench.api.inputs import read_table as read_table
    from gradrace.bench.api.learning import UnfinishedWarning as UnfinishedWarning
    from gradrace.bench.api.learning import fit as fit
    from gradrace.bench.api.learning import load as load
    from gradrace.bench.api.learning import rates as rates
    from gradrace.bench.api.racing import advise as advise
    from gradrace.bench.api.racing import check as check
    from gradrace.bench.api.racing import compare as compare
    from gradrace.bench.api.racing import race as race
    from gradrace.bench.api.racing import resume as resume
    from gradrace.bench.data.samples import Dataset as Dataset
    from gradrace.bench.data.samples import reference_line as reference_line
    from gradrace.bench.learning.rates import Rates as Rates
    from gradrace.bench.learning.training import Fit as Fit
    from gradrace.bench.proof.oracle import exact_trajectory as exact_trajectory
    from gradrace.bench.proof.returns import BackendError as BackendError
    from gradrace.bench.race.checking import Check as Check
    from gradrace.bench.race.growth import scale as scale
    from gradrace.bench.race.run import run as run
    from gradrace.bench.race.verdict.race import Race as Race

_NAMES = {
    "backends.interface": "InputError",
    "bench.api.estimator": "GradientDescentRegressor",
    "bench.api.inputs": "read_table",
    "bench.api.learning": "UnfinishedWarning fit load rates",
    "bench.api.racing": "advise check compare race resume",
    "bench.data.samples": "Dataset reference_line",
    "bench.learning.rates": "Rates",
    "bench.learning.training": "Fit",
    "bench.proof.oracle": "exact_trajectory",
    "bench.proof.returns": "BackendError",
    "bench.race.checking": "Check",
    "bench.race.growth": "scale",
    "bench.race.verdict.race": "Race",
    "bench.race.run": "run",
}
_HOMES = {name: module for module, names in _NAMES.items() for name in names.split()}
_FOLDERS = ("backends", "bench", "plots")
__all__ = sorted(_HOMES)


def __getattr__(name: str) -> Any:
    """Import a name when it is first used, so that `gradrace --help` stays fast."""
    if name in _FOLDERS:
        return import_module(f"gradrace.{name}")
    if name not in _HOMES:
        raise AttributeError(f"gradrace has no {name!r}; it has {', '.join(__all__)}")
    for renderer in ("plain", "html", "pictures"):  # so that what is found shows itself
        import_module(f"gradrace.bench.show.{renderer}")
    return getattr(import_module(f"gradrace.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    """List also the names that are not imported yet, so that a shell can complete them."""
    return sorted({*globals(), *__all__, *_FOLDERS})
