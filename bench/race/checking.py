"""Check backends on any samples: compute the exact trajectory, then a verdict on each backend."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from gradrace import backends
from gradrace.bench.data.samples import Samples, affordable_epochs
from gradrace.bench.learning.landscape import Landscape
from gradrace.bench.learning.rate_choice import Rate, best_rate
from gradrace.bench.learning.summary import exactly_summed, problem_of
from gradrace.bench.machine.progress import Progress, silent
from gradrace.bench.proof.agreement import Verdict, check_backends
from gradrace.bench.proof.oracle import YARDSTICK, trajectory_of
from gradrace.bench.proof.precision import BY_NAME
from gradrace.bench.proof.problems import number, suite
from gradrace.bench.race.cases import Case
from gradrace.bench.race.one_size import fault_at, sizes_of


@dataclass
class Check:
    """What was checked, and the verdicts so far."""

    data: Samples
    backends: tuple[str, ...]
    lr: float
    epochs: int
    problems: int
    """How many small problems each backend also had to solve."""
    cases: tuple[Case, ...] = ()
    """The sizes at which each was also judged."""
    verdicts: list[Verdict] = field(default_factory=list)
    interrupted: bool = False

    @property
    def agree(self) -> bool:
        """Whether all backends judged so far agree."""
        return all(verdict.agrees for verdict in self.verdicts)

    def content(self) -> dict[str, Any]:
        """Return what is checked, how the exact values are computed, and the verdicts, for JSON."""
        n, d = self.data.n, len(self.data.features)
        return {
            **{"data": self.data.name, "n": n, "d": d, "lr": self.lr, "epochs": self.epochs},
            "yardstick": YARDSTICK,
            "cases": [case.name for case in self.cases],
            "verdicts": [asdict(verdict) for verdict in self.verdicts],
        }


def check(
    data: Samples,
    specs: Sequence[str] = (),
    *,
    lr: Rate = "auto",
    epochs: int | None = None,
    cases: Sequence[str] = (),
    timeout: float | None = 120.0,
    on_progress: Progress = silent,
) -> Check:
    """Judge backends, all built-in ones by default, on `data` and on the small problems.

    With `cases`, such as "1e6x10", also on synthetic samples of these sizes, as before a race.

    `epochs` is 1,000 by default, or fewer if the data are large; `timeout` is in seconds per
    backend, None for no limit. Samples in files must have been summed without rounding; the backend
    reads them once more. Ctrl-C keeps the verdicts so far, and sets `interrupted`.

    Raises:
        InputValueError: the rate or the epochs are out of range, no rate is stable, or a case
            cannot be read or needs too much memory.

    """
    specs, sizes = tuple(dict.fromkeys(specs)) or backends.installed(), sizes_of(cases)
    epochs = affordable_epochs(data) if epochs is None else epochs
    rate = _rate(lr, data, epochs)
    others = suite()
    found = Check(data, specs, rate, epochs, number(others), sizes)
    try:
        on_progress("computing the exact trajectory", 0, len(specs))
        exact = trajectory_of(exactly_summed(data), lr=rate, epochs=epochs)
        on_progress("checking the backends", 0, len(specs))
        for checked in check_backends(
            specs,
            problem_of(data, rate, epochs, afresh=True),
            exact=exact,
            others=others,
            timeout=timeout,
        ):
            verdict = checked.verdict
            for case in sizes if verdict.agrees else ():
                on_progress(
                    f"checking {verdict.backend} on {case.name}", len(found.verdicts), len(specs)
                )
                fault = fault_at(case, verdict.backend, BY_NAME[verdict.precision], timeout)
                if fault:
                    verdict = replace(verdict, agrees=False, reason=fault)
                    break
            found.verdicts.append(verdict)
            on_progress("checking the backends", len(found.verdicts), len(specs))
    except KeyboardInterrupt:
        found.interrupted = True
    return found


def _rate(lr: Rate, data: Samples, epochs: int) -> float:
    """Return the given rate, or the automatic one for the data."""
    if lr != "auto":
        return float(lr)
    return best_rate(Landscape.of(data), epochs)
