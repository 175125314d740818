"""The check that every backend must pass before it is timed, and the table of its errors."""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa

from gradrace import backends
from gradrace.backends.interface import InputValueError
from gradrace.bench.data.files import write_table
from gradrace.bench.proof.agreement import Checked, check_backends
from gradrace.bench.proof.oracle import ExactTrajectory, exact_trajectory
from gradrace.bench.proof.precision import BY_NAME
from gradrace.bench.proof.problems import Problem, number, suite
from gradrace.bench.race.cases import REFERENCE
from gradrace.bench.race.verdict.race import Counter, Race
from gradrace.bench.race.verdict.race_parts import ERRORS
from gradrace.bench.race.verdict.result import EVERY, JudgedCase, LeftOut

_TIMEOUT = 300.0  # seconds per backend; some compile for every shape of the samples

_NOT_A_BACKEND = ("cannot be imported", "has no function", backends.ABSENT)
"""How the messages of `backends.load` begin."""


def check(race: Race, folder: Path, steps: Counter) -> list[str]:
    """Judge all on the reference line, each in a separate process; return those that agree.

    Raises:
        InputValueError: a backend cannot be imported, or lacks a function.

    """
    data, lr, epochs = REFERENCE.samples(), REFERENCE.lr, REFERENCE.epochs
    steps("computing the exact trajectory", 0)
    exact = exact_trajectory(data.X, data.y, lr=lr, epochs=epochs)
    checked: list[Checked] = []
    others = suite()
    race.about.problems = number(others)
    steps("checking the backends", 0)
    for result in check_backends(
        race.about.settings.backends,
        Problem("", data.X, data.y, lr, epochs),
        exact=exact,
        others=others,
        timeout=_TIMEOUT,
    ):
        checked.append(result)
        steps("checking the backends")
        verdict = result.verdict
        facts = race.about.backends[verdict.backend]
        if verdict.reason.startswith(_NOT_A_BACKEND) and not facts.version_of:
            raise InputValueError(f"backend {verdict.backend}: {verdict.reason}")
        facts.precision, facts.digits = verdict.precision, verdict.digits
        if not verdict.agrees:
            race.about.verdicts.append(JudgedCase(REFERENCE.name, verdict))
            race.about.left_out.append(
                LeftOut(EVERY, verdict.backend, _reason(verdict.reason), fault=True)
            )
    if any(result.trajectory is not None for result in checked):
        for name in (ERRORS, "agreement.png"):
            (folder / name).unlink(missing_ok=True)  # one from an earlier run
        race.files.append(folder / ERRORS)  # first: Ctrl-C may come as soon as it is there
        write_table(error_table(checked, exact), folder / ERRORS)
    agreeing = {result.verdict.backend for result in checked if result.verdict.agrees}
    return [spec for spec in race.about.settings.backends if spec in agreeing]


def _reason(reason: str) -> str:
    """Say where a backend failed, unless it could not even be loaded."""
    return reason if reason.startswith(_NOT_A_BACKEND) else f"on {REFERENCE.name}, {reason}"


def error_table(checked: Sequence[Checked], exact: ExactTrajectory) -> pa.Table:
    """Return a row per backend and epoch: backend, epoch, and |error| and bound of w, b and loss.

    If there are several weights, the largest |error| and the largest bound. The metadata hold the
    colors and precisions of the backends.
    """
    tables = []
    for result in checked:
        if result.trajectory is None:
            continue
        epoch, w, b, loss = result.trajectory
        held = exact.held_to(exact.job.chain, BY_NAME[result.verdict.precision])
        columns = {
            "backend": np.full(len(epoch), result.verdict.backend),
            "epoch": epoch,
            "w_error": exact.w.error(w).max(axis=1),
            "w_bound": held.w.bound.max(axis=1),
            "b_error": exact.b.error(b),
            "b_bound": held.b.bound,
            "loss_error": exact.loss.error(loss),
            "loss_bound": held.loss.bound,
        }
        tables.append(pa.table(columns))
    colors = backends.colors(result.verdict.backend for result in checked)
    precisions = {result.verdict.backend: result.verdict.precision for result in checked}
    metadata = {"colors": json.dumps(colors), "precisions": json.dumps(precisions)}
    return pa.concat_tables(tables).replace_schema_metadata(metadata)
