"""Check backends on any samples: compute the exact trajectory, then a verdict on each backend."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from math import inf
from typing import Any

import msgspec

from gradrace import backends
from gradrace.bench.data.samples import Samples, affordable_epochs
from gradrace.bench.learning.landscape import Landscape, Rate, best_rate
from gradrace.bench.learning.summary import exactly_summed, problem_of
from gradrace.bench.machine.progress import Progress, silent
from gradrace.bench.parts import (
    Answer,
    Cell,
    Column,
    Heading,
    Note,
    Part,
    Result,
    Sentence,
    Table,
    joined,
)
from gradrace.bench.proof.agreement import Deviation, Verdict, check_backends
from gradrace.bench.proof.oracle import YARDSTICK, trajectory_of
from gradrace.bench.proof.precision import BY_NAME
from gradrace.bench.proof.problems import number, suite
from gradrace.bench.race.cases import Case
from gradrace.bench.race.one_size import fault_at, sizes_of
from gradrace.plots.numbers import short


@dataclass(repr=False)
class Check(Result):
    """What was checked, and the verdicts so far; its truth value is whether all agree."""

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

    def __bool__(self) -> bool:
        return self.agree

    def content(self) -> dict[str, Any]:
        """Return what is checked, how the exact values are computed, and the verdicts, for JSON."""
        n, d = self.data.n, len(self.data.features)
        return {
            **{"data": self.data.name, "n": n, "d": d, "lr": self.lr, "epochs": self.epochs},
            "yardstick": YARDSTICK,
            "cases": [case.name for case in self.cases],
            "verdicts": msgspec.to_builtins(self.verdicts),
        }

    def parts(self, *, detail: bool = False) -> Iterator[Part]:  # noqa: ARG002 (this is all)
        """Yield which backends agree, what is wrong with the others, and the errors of each."""
        n, d = self.data.n, len(self.data.features)
        about = f"{self.data.name}: n = {n:,}, d = {d:,}, α = {self.lr:.6g}, {self.epochs:,} epochs"
        if self.verdicts:
            yield from map(Answer, self._answer())
            yield Heading("What was checked?")
        yield Sentence(about)
        yield from map(Sentence, self.data.remarks if self.verdicts else ())
        if self.verdicts:
            yield self._table()
            baseline = (
                " = python: whether w, b and every loss equal those of python bit for bit."
                if self._with_baseline
                else ""
            )
            yield Note(
                "w, b, loss: the largest error, as a share of the most that rounding can cause, "
                "@ the epoch where it occurs. The exact trajectory is computed with exact sums and "
                f"50-digit arithmetic.{baseline}"
            )

    def _answer(self) -> Iterator[str]:
        """Say how many backends agree, and what is wrong with the others."""
        agreeing, judged = sum(one.agrees for one in self.verdicts), len(self.verdicts)
        if judged == 1 and not agreeing:
            yield f"{short(self.verdicts[0].backend)} does not agree with the exact trajectory:"
            yield self.verdicts[0].reason
            return
        who = f"{agreeing} of {judged} backends" if agreeing else "No backend"
        if agreeing == judged:
            who = {1: "The backend", 2: "Both backends"}.get(judged, f"All {judged} backends")
        agree = "agrees" if agreeing < 2 else "agree"
        sizes = joined([case.size for case in self.cases]) if self.cases else ""
        also = f", and at {sizes}" if sizes else ""
        yield (
            f"{who} {agree} with the exact trajectory on this data and on {self.problems:,} small "
            f"problems that expose mistakes{also}."
        )
        for one in self.verdicts:
            if not one.agrees:
                yield f"{one.backend}: {one.reason}"
            elif one.precision != "float64" and one.digits:
                kept = one.digits.kept
                yield f"{short(one.backend)} computes in {one.precision}. {kept} on this data."
            elif one.precision != "float64":
                yield (
                    f"{short(one.backend)} computes in {one.precision}, which overflows on this "
                    "data from the first epoch on, so there is nothing to compare."
                )

    @property
    def _with_baseline(self) -> bool:
        return any(one.bitwise is not None for one in self.verdicts)

    def _table(self) -> Table:
        """Return a row per backend: agreement, worst errors, equality with `python`, overflow."""
        diverges = any(one.first_inf is not None for one in self.verdicts)
        heads = ["backend", "agrees", "w", "b", "loss"]
        heads += ["= python"] if self._with_baseline else []
        heads += ["first inf", "first nan"] if diverges else []
        rows = []
        for one in self.verdicts:
            agrees = "yes" if one.agrees else "NO"
            cells: list[Cell] = [short(one.backend, one.precision), agrees]
            cells += map(_share, (one.w, one.b, one.loss))
            if self._with_baseline:
                cells.append({None: None, True: "yes", False: "no"}[one.bitwise])
            if diverges:
                cells += [one.first_inf, one.first_nan]
            rows.append(cells)
        return Table([Column(head) for head in heads], rows)


def _share(deviation: Deviation | None) -> str | None:
    """Return the worst error as a share of its bound, and its epoch: 0.71% @ 1."""
    if deviation is None:
        return None
    multiple = inf if deviation.multiple is None else deviation.multiple
    if multiple > 1:
        return f"{multiple:.2g} × @ {deviation.epoch:,}"
    return f"{100 * multiple:.2g}% @ {deviation.epoch:,}"


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
                    verdict = msgspec.structs.replace(verdict, agrees=False, reason=fault)
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
