"""Which backends agree with the exact trajectory."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from rich.table import Table

from gradrace.bench.report.tables import NONE, count, empty_table, yes_no
from gradrace.plots.numbers import short

if TYPE_CHECKING:  # importing all of it takes longer than `train` takes to train
    from gradrace.bench.proof.agreement import Deviation, Verdict
    from gradrace.bench.race.checking import Check


def check_report(found: "Check") -> list[str | Table]:
    """Say what was checked, which backends agree, and what is wrong with the others."""
    n, d = found.data.n, len(found.data.features)
    about = f"{found.data.name}: n = {n:,}, d = {d:,}, α = {found.lr:.6g}, {found.epochs:,} epochs"
    if not found.verdicts:
        return [about]
    return [
        *_answer(found),
        "",
        about,
        *found.data.remarks,
        verdict_table(found.verdicts),
        "w, b, loss: the largest error, as a share of the most that rounding can cause, @ the "
        "epoch where it occurs. The exact trajectory is computed with exact sums and 50-digit "
        "arithmetic."
        + " = python: whether w, b and every loss equal those of python bit for bit."
        * _with_baseline(found.verdicts),
    ]


def _answer(found: "Check") -> Iterator[str]:
    """Say how many backends agree, and what is wrong with the others."""
    agreeing, judged = sum(v.agrees for v in found.verdicts), len(found.verdicts)
    count = f"{agreeing} of {judged} backends" if agreeing else "No backend"
    if judged == 1 and not agreeing:
        yield f"{short(found.verdicts[0].backend)} does not agree with the exact trajectory:"
        yield found.verdicts[0].reason
        return
    if agreeing == judged:
        count = {1: "The backend", 2: "Both backends"}.get(judged, f"All {judged} backends")
    sizes = " and ".join(f"{case.n:,} × {case.d:,}" for case in found.cases)
    also = f", and at {sizes}" if sizes else ""
    yield (
        f"{count} agree{'s' * (agreeing < 2)} with the exact trajectory on this data and on "
        f"{found.problems:,} small problems that expose mistakes{also}."
    )
    for verdict in found.verdicts:
        if not verdict.agrees:
            yield f"{verdict.backend}: {verdict.reason}"
        elif verdict.precision != "float64" and not verdict.digits:
            yield (
                f"{short(verdict.backend)} computes in {verdict.precision}, which overflows on "
                "this data from the first epoch on, so there is nothing to compare."
            )
        elif verdict.precision != "float64" and verdict.digits:
            kept = digits_kept(verdict.digits.state, verdict.digits.loss)
            yield f"{short(verdict.backend)} computes in {verdict.precision}. {kept} on this data."


def digits_kept(state: float, loss: float) -> str:
    """Say how many digits are right, without a full stop."""
    return f"It keeps {state:.1f} digits in w and b, and {loss:.1f} in the loss"


def verdict_table(verdicts: "Sequence[Verdict]") -> Table:
    """Return a row per backend: agreement, worst errors, equality with `python`, overflow."""
    table = empty_table("backend", "agrees", "w", "b", "loss")
    bitwise = _with_baseline(verdicts)
    if bitwise:
        table.add_column("= python")
    diverges = any(verdict.first_inf is not None for verdict in verdicts)
    if diverges:
        table.add_column("inf, nan @")
    for verdict in verdicts:
        cells = [_share(part) for part in (verdict.w, verdict.b, verdict.loss)]
        if bitwise:
            cells.append({None: NONE, True: "yes", False: "no"}[verdict.bitwise])
        if diverges:
            cells.append(f"{count(verdict.first_inf)}, {count(verdict.first_nan)}")
        name = short(verdict.backend, verdict.precision)
        table.add_row(name, yes_no(verdict.agrees), *cells)
    return table


def _with_baseline(verdicts: "Sequence[Verdict]") -> bool:
    """Whether any trajectory was compared with that of `python`."""
    return any(verdict.bitwise is not None for verdict in verdicts)


def _share(deviation: "Deviation | None") -> str:
    """Return the worst error as a share of its bound, and its epoch: 0.71% @ 1."""
    if deviation is None:
        return NONE
    if deviation.multiple > 1:
        return f"{deviation.multiple:.2g} × @ {deviation.epoch:,}"
    return f"{100 * deviation.multiple:.2g}% @ {deviation.epoch:,}"
