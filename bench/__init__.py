"""The harness: the proof, the study of learning rates, the race. README.md is a map of it.

The names below are for use from Python; `import gradrace` offers the same ones.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bench.data.samples import Dataset, reference_line
    from bench.data.tables import read_table
    from bench.findings.advice import advise
    from bench.findings.comparison import compare
    from bench.learning.rates import study as rates
    from bench.learning.training import Fit, fit
    from bench.proof.oracle import exact_trajectory
    from bench.race.checking import check
    from bench.race.run import resume, run
    from bench.race.scale import study as scale

__all__ = [
    "Dataset",
    "Fit",
    "advise",
    "check",
    "compare",
    "exact_trajectory",
    "fit",
    "rates",
    "read_table",
    "reference_line",
    "resume",
    "run",
    "scale",
]

_HOMES = {
    "Dataset": "bench.data.samples:Dataset",
    "Fit": "bench.learning.training:Fit",
    "advise": "bench.findings.advice:advise",
    "check": "bench.race.checking:check",
    "compare": "bench.findings.comparison:compare",
    "exact_trajectory": "bench.proof.oracle:exact_trajectory",
    "fit": "bench.learning.training:fit",
    "rates": "bench.learning.rates:study",
    "read_table": "bench.data.tables:read_table",
    "reference_line": "bench.data.samples:reference_line",
    "resume": "bench.race.run:resume",
    "run": "bench.race.run:run",
    "scale": "bench.race.scale:study",
}


def __getattr__(name: str) -> Any:
    """Import a name when it is first used, so that `gradrace --help` stays fast."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module, _, attribute = _HOMES[name].partition(":")
    return getattr(import_module(module), attribute)
