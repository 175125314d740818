"""The harness: the proof, the study of learning rates, the race. README.md is a map of it.

The names below are for use from Python; `import gradrace` offers the same ones.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from backends.interface import InputError
    from bench.api.estimator import GradientDescentRegressor
    from bench.api.inputs import read_table
    from bench.api.models import Fit, UnfinishedWarning, fit, load
    from bench.api.studies import Race, Rates, Verdicts, advise, check, compare, race, rates
    from bench.data.samples import Dataset, reference_line
    from bench.proof.isolation import BackendError
    from bench.proof.oracle import exact_trajectory
    from bench.race.run import resume, run
    from bench.race.scale import study as scale

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
    "BackendError": "bench.proof.isolation:BackendError",
    "Dataset": "bench.data.samples:Dataset",
    "Fit": "bench.api.models:Fit",
    "GradientDescentRegressor": "bench.api.estimator:GradientDescentRegressor",
    "InputError": "backends.interface:InputError",
    "Race": "bench.api.studies:Race",
    "Rates": "bench.api.studies:Rates",
    "UnfinishedWarning": "bench.api.models:UnfinishedWarning",
    "Verdicts": "bench.api.studies:Verdicts",
    "advise": "bench.api.studies:advise",
    "check": "bench.api.studies:check",
    "compare": "bench.api.studies:compare",
    "exact_trajectory": "bench.proof.oracle:exact_trajectory",
    "fit": "bench.api.models:fit",
    "load": "bench.api.models:load",
    "race": "bench.api.studies:race",
    "rates": "bench.api.studies:rates",
    "read_table": "bench.api.inputs:read_table",
    "reference_line": "bench.data.samples:reference_line",
    "resume": "bench.race.run:resume",
    "run": "bench.race.run:run",
    "scale": "bench.race.scale:study",
}


def __getattr__(name: str) -> Any:
    """Import a name when it is first used, so that `gradrace --help` stays fast."""
    if name not in _HOMES:
        raise AttributeError(f"gradrace has no {name!r}; it has {', '.join(__all__)}")
    module, _, attribute = _HOMES[name].partition(":")
    return getattr(import_module(module), attribute)
