"""The harness: the exact oracle, the verdict on each backend, the laboratory, the race.

`from bench import fit` trains on your own arrays. Where things are:

samples       data (synthetic ones), tables (files)
proof         oracle (the exact trajectory and the bound), problems (small ones), isolation (a
              process per backend), agreement (the verdict), steps (the verdict on any call);
              studies/blindspots counts what can still hide
limit         peak (what the machine can do), roofline (what follows), growth (with n, d, threads),
              figures (which figures are reached); peers/ is what people use instead
laboratory    theory (curvature and rates), scaling, stopping, training, model, rates; lessons is
              what the terminal says of them
race          settings and cases (what is raced), plan (in what order), trial (how long a call
              may be), session (a process that times), conftest, test_speed and contestant (what
              runs in it), machine (what it runs on), race (all of it in order)
conclusions   inference (the statistics), results and schema (the file), cautions, comparison,
              advice; report is what the terminal says of them; noise measures how good all this is
command line  cli, terminal, text (made fit to be shown), files, interrupts (signals), child
              (processes)
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bench.learning.training import Fit, fit

__all__ = ["Fit", "fit"]


def __getattr__(name: str) -> Any:
    """Import `fit` and `Fit` when they are asked for, so that `gradrace --help` stays quick."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from bench.learning import training

    return getattr(training, name)
