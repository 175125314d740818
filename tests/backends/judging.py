"""Backends beside the exact trajectory."""

from collections.abc import Iterable
from typing import Any

from gradrace import backends
from gradrace.bench.learning.curvature import hessian
from gradrace.bench.proof.agreement import judge
from gradrace.bench.proof.oracle import exact_trajectory


def assert_agree(
    names: Iterable[str], X: Any, y: Any, *, share: float = 0.5, epochs: int, **job: Any
) -> None:
    """Each agrees, by default at a share of the limit of stability; `job` may give lr, w0, b0."""
    job = {"lr": share * hessian(X).limit, "epochs": epochs, **job}
    exact = exact_trajectory(X, y, **job)
    for name in names:
        module = backends.load(name)
        verdict = judge(name, module.train(module.prepare(X, y), **job), exact)
        assert verdict.agrees, f"{name}: {verdict.reason}"
