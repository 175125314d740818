"""gradrace: one gradient-descent loop in Python, NumPy and Numba, proved equal, then timed.

The names below are what it offers to Python; bench/api/README.md explains them.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gradrace.backends.interface import InputError
    from gradrace.bench.api.estimator import GradientDescentRegressor
    from gradrace.bench.api.inputs import read_table
    from gradrace.bench.api.models import Fit, UnfinishedWarning, fit, load
    from gradrace.bench.api.studies import (
        Race,
        Rates,
        Verdicts,
        advise,
        check,
        compare,
        race,
        rates,
    )
    from gradrace.bench.data.samples import Dataset, reference_line
    from gradrace.bench.proof.isolation import BackendError
    from gradrace.bench.proof.oracle import exact_trajectory
    from gradrace.bench.race.run import resume, run
    from gradrace.bench.race.scale import study as scale

__all__ = [
    "BackendError",
    "Dataset",
    "Fit",
    "GradientDescentRegressor",
    "InputError",
    "Race",
    "Rates",
    "UnfinishedWarning",
    "Verdicts",
    "advise",
    "check",
    "compare",
    "exact_trajectory",
    "fit",
    "load",
    "race",
    "rates",
    "read_table",
    "reference_line",
    "resume",
    "run",
    "scale",
]

_HOMES = {
    "BackendError": "gradrace.bench.proof.isolation:BackendError",
    "Dataset": "gradrace.bench.data.samples:Dataset",
    "Fit": "gradrace.bench.api.models:Fit",
    "GradientDescentRegressor": "gradrace.bench.api.estimator:GradientDescentRegressor",
    "InputError": "gradrace.backends.interface:InputError",
    "Race": "gradrace.bench.api.studies:Race",
    "Rates": "gradrace.bench.api.studies:Rates",
    "UnfinishedWarning": "gradrace.bench.api.models:UnfinishedWarning",
    "Verdicts": "gradrace.bench.api.studies:Verdicts",
    "advise": "gradrace.bench.api.studies:advise",
    "check": "gradrace.bench.api.studies:check",
    "compare": "gradrace.bench.api.studies:compare",
    "exact_trajectory": "gradrace.bench.proof.oracle:exact_trajectory",
    "fit": "gradrace.bench.api.models:fit",
    "load": "gradrace.bench.api.models:load",
    "race": "gradrace.bench.api.studies:race",
    "rates": "gradrace.bench.api.studies:rates",
    "read_table": "gradrace.bench.api.inputs:read_table",
    "reference_line": "gradrace.bench.data.samples:reference_line",
    "resume": "gradrace.bench.race.run:resume",
    "run": "gradrace.bench.race.run:run",
    "scale": "gradrace.bench.race.scale:study",
}
_FOLDERS = ("backends", "bench", "plots")


def __getattr__(name: str) -> Any:
    """Import a name when it is first used, so that `gradrace --help` stays fast."""
    if name in _FOLDERS:
        return import_module(f"gradrace.{name}")
    if name not in _HOMES:
        raise AttributeError(f"gradrace has no {name!r}; it has {', '.join(__all__)}")
    module, _, attribute = _HOMES[name].partition(":")
    return getattr(import_module(module), attribute)


def __dir__() -> list[str]:
    """List also the names that are not imported yet, so that a shell can complete them."""
    return sorted({*globals(), *__all__, *_FOLDERS})
