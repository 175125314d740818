"""The suite rejects every loop that is wrong somewhere, and no correct loop."""

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
import pytest

from gradrace.backends.interface import Floats, Trajectory, recorded_epochs
from gradrace.bench.proof.agreement import fault_on
from gradrace.bench.proof.isolation import Outcome
from gradrace.bench.proof.precision import FLOAT64
from gradrace.bench.proof.problems import Problem, suite
from gradrace.bench.proof.returns import Chains

Samples = tuple[Floats, Floats]
Change = Callable[[Any], Any]


def train(problem: Problem, **changes: Change) -> Trajectory:
    """Descend, with some of `samples`, `rate`, `start`, `gradient` and `path` changed."""

    def change(what: str, value: Any) -> Any:
        return changes.get(what, lambda same: same)(value)

    X, y = change("samples", (problem.X, problem.y))
    n, d = problem.X.shape
    w, b = (np.zeros(d) if problem.w0 is None else problem.w0.copy()), float(problem.b0)
    w, b = change("start", (w, b))
    rate, kept = change("rate", problem.lr), recorded_epochs(problem.epochs, problem.every)
    states = []
    with np.errstate(all="ignore"):
        for _ in range(problem.epochs + 1):
            r = X @ w + b - y
            states.append((w, b, float(r @ r) / n))
            grad_w, grad_b = change("gradient", (2 / n * (r @ X), 2 / n * r.sum()))
            w, b = w - rate * grad_w, b - rate * grad_b
    path = Trajectory(kept, *(np.array(part)[kept] for part in zip(*states, strict=True)))
    changed: Trajectory = change("path", path)
    return changed


right = cache(train)


def is_same(problem: Problem, what: str, change: Change) -> bool:
    """Whether a change leaves everything as it is on this problem."""
    d = problem.X.shape[1]
    if what == "path":
        before: Any = right(problem)
    else:
        before = {
            "samples": (problem.X, problem.y),
            "rate": problem.lr,
            "start": (np.zeros(d) if problem.w0 is None else problem.w0, problem.b0),
            "gradient": (np.ones(d), 1.0),
        }[what]
    after = change(before)
    pairs = [(before, after)] if what == "rate" else zip(before, after, strict=True)
    return all(np.array_equal(a, b, equal_nan=True) for a, b in pairs)


def betrayed(**changes: Change) -> str:
    """What is said of a loop with these changes, on the first problem on which it is wrong."""
    for problem in dict.fromkeys(suite()):
        if changes and all(is_same(problem, *change) for change in changes.items()):
            continue  # what is right is told by `test_a_right_loop_is_not`
        chains = [Chains(problem.n, problem.n)]
        path = train(problem, **changes) if changes else right(problem)
        outcome = Outcome([path], [{}], chains, FLOAT64, "")
        if fault := fault_on([problem], outcome):
            return fault
    return ""


def without_tail(size: int) -> Change:
    return lambda s: tuple(part[: len(part) // size * size] for part in s)


def without_last_block(size: int) -> Change:
    def forget(samples: Samples) -> Samples:
        X, y = samples
        last = (len(y) - 1) // size * size
        return (X[:last], y[:last]) if last else samples

    return forget


def float32_above(most: int) -> Change:
    def store(samples: Samples) -> Samples:
        X, y = samples
        return (X.astype(np.float32).astype(np.float64), y) if len(y) > most else samples

    return store


def twice(i: int) -> Change:
    def count(samples: Samples) -> Samples:
        X, y = samples
        return (np.vstack([X, X[i]]), np.append(y, y[i])) if len(y) > i else samples

    return count


def wrong_from_feature(j: int) -> Change:
    def scale(gradient: tuple[Floats, float]) -> tuple[Floats, float]:
        grad_w, grad_b = gradient
        return np.append(grad_w[:j], grad_w[j:] * (1 + 1e-9)), grad_b

    return scale


def rounded_to(digits: int) -> Change:
    return lambda rate: round(rate, digits)


def stale_end(least: int) -> Change:
    """The last row repeats the one before it, in runs of more than `least` rows."""
    return lambda path: (
        Trajectory(path.epoch, *(np.concatenate([p[:-1], p[-2:-1]]) for p in path[1:]))
        if len(path.epoch) > least
        else path
    )


WRONG: dict[str, dict[str, Change]] = {
    **{f"no tail of {m}": {"samples": without_tail(m)} for m in (2, 3, 4, 8, 16, 32, 64, 100)},
    **{
        f"last block of {m} forgotten": {"samples": without_last_block(m)}
        for m in (32, 100, 256, 1_000, 1_024, 4_096, 10_000, 65_536, 100_000, 262_144)
    },
    **{f"float32 above {m}": {"samples": float32_above(m)} for m in (0, 99, 10_000, 200_000)},
    **{f"sample {i} twice": {"samples": twice(i)} for i in (0, 7, 63, 4_095, 262_143)},
    **{
        f"gradient wrong from feature {j}": {"gradient": wrong_from_feature(j)}
        for j in (0, 1, 8, 16, 17, 32, 64, 128, 200, 256)
    },
    **{f"stale end of {m} rows": {"path": stale_end(m)} for m in (1, 3, 7)},
    **{f"rate to {k} decimals": {"rate": rounded_to(k)} for k in (2, 3, 6, 12)},
    "rate in the code": {"rate": lambda _: 0.005},
    "rate in float32": {"rate": lambda a: float(np.float32(a))},
    "rate off by 1e-13": {"rate": lambda a: a * (1 + 1e-13)},
    "start from zero": {"start": lambda s: (0 * s[0], 0.0)},
    "bias from zero": {"start": lambda s: (s[0], 0.0)},
    "gradient off by 1e-13": {"gradient": lambda g: (g[0] * (1 + 1e-13), g[1])},
    "loss off by 1e-13": {"path": lambda p: p._replace(loss=p.loss * (1 + 1e-13))},
    "targets reversed": {"samples": lambda s: (s[0], s[1][::-1])},
    "never inf": {"path": lambda p: p._replace(loss=np.nan_to_num(p.loss))},
}


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_loop_is_betrayed(name: str) -> None:
    assert betrayed(**WRONG[name]).startswith("on ")


def tail_first(samples: Samples) -> Samples:
    """The tail that fills no block, then the blocks from the last to the first."""
    X, y = samples
    full = len(y) // 32 * 32
    return np.vstack([X[full:], X[:full][::-1]]), np.append(y[full:], y[:full][::-1])


RIGHT: dict[str, dict[str, Change]] = {
    "as it stands": {},
    "in another order": {"samples": tail_first},
}


@pytest.mark.parametrize("name", RIGHT)
def test_a_right_loop_is_not(name: str) -> None:
    assert betrayed(**RIGHT[name]) == ""


def test_there_is_every_kind_of_problem() -> None:
    problems = suite()
    assert {p.epochs for p in problems} >= {0, 1, 2, 300, 10_007, 70_000}
    assert {p.X.shape[1] for p in problems} >= {1, 2, 3, 17, 32, 100, 256, 257, 1_000, 1_024}
    for block in (8, 32, 64, 100, 256, 1_000, 1_024, 4_096):
        assert {0, 1} <= {bool(p.n % block) for p in problems if p.n > block}
    for w0 in (True, False):
        for b0 in (True, False):
            here = [p for p in problems if (p.w0 is None, p.b0 == 0) == (w0, b0)]
            assert {(min(p.epochs, 2), p.every > p.epochs) for p in here} >= {(1, True), (2, False)}
    assert any(p.X.shape[0] < p.X.shape[1] for p in problems)
    assert any(p.epochs % p.every for p in problems)
    assert any(p.every > 1 and p.epochs and not p.epochs % p.every for p in problems)
