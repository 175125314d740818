"""Natural mistakes, each in a loop that is otherwise right.

`python -m gradrace.bench.studies.mistakes` tries each of them on the suite, and prints which
problem exposes it. The exit status is 1 if one is missed, or if the correct loop is rejected.
"""

import sys
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, cast

import numpy as np

from gradrace.backends.interface import Backend, Floats
from gradrace.bench.proof.agreement import fault_on
from gradrace.bench.proof.isolation import outcome_here
from gradrace.bench.proof.problems import Problem, suite


class Loop:
    """The loop as it should be; `changes` replace some of its functions."""

    def __init__(self, **changes: Any) -> None:
        """Make these changes."""
        vars(self).update(changes)

    def prepare(self, X: Any, y: Any) -> Any:
        """Return the samples."""
        return np.asarray(X), np.asarray(y)

    def start(self, d: int, w0: Any, b0: float) -> tuple[Floats, float]:
        """Return (w, b) to begin with."""
        return np.zeros(d) if w0 is None else np.array(w0, dtype=float), float(b0)

    def sums(self, X: Floats, r: Floats) -> tuple[Floats, float]:
        """Return Xᵀr and Σ rᵢ."""
        return X.T @ r, float(r.sum())

    def stops(self, _k: int, _loss: float, _grad_w: Floats) -> bool:
        """Whether w and b stay as they are from now on."""
        return False

    def result(self, path: Any, _data: Any, _w0: Any) -> Any:
        """Return the recorded path."""
        return path

    def train(
        self, data: Any, *, lr: float, epochs: int, w0: Any = None, b0: float = 0.0, every: int = 1
    ) -> Any:
        """Run gradient descent."""
        X, y = data
        n, d = X.shape
        w, b = self.start(d, w0, b0)
        rows, stopped = [], False
        with np.errstate(all="ignore"):
            for k in range(epochs + 1):
                r = X @ w + b - y
                loss = float(np.mean(r * r))
                if k % every == 0 or k == epochs:
                    rows.append((k, w.copy(), b, loss))
                grad_w, grad_b = self.sums(X, r)
                stopped = stopped or self.stops(k, loss, grad_w)
                if not stopped and k < epochs:
                    w -= lr * 2 / n * grad_w
                    b -= lr * 2 / n * grad_b
        path = tuple(np.array(column) for column in zip(*rows, strict=True))
        return self.result(path, data, w0)


Changes = dict[str, Any]


def _kept(key: Callable[[Floats, Floats], Any]) -> Changes:
    known: dict[Any, Any] = {}
    return {"prepare": lambda X, y: known.setdefault(key(X, y), (X.copy(), y.copy()))}


def _ends(X: Floats, y: Floats) -> Any:
    return X.shape, X[0].tobytes(), X[-1].tobytes(), y[0], y[-1]


def _totals(X: Floats, y: Floats) -> Any:
    return X.shape, *np.sort(X, axis=0).sum(axis=0), np.sort(y).sum()


def _refilled(spaces: dict[Any, Any], arrays: Sequence[Floats]) -> Any:
    """Copy arrays into arrays kept from earlier calls with the same shape."""
    space = spaces.setdefault(arrays[1].shape, [np.empty_like(array) for array in arrays])
    for kept, array in zip(space, arrays, strict=True):
        kept[:] = array
    return space


def _one_workspace() -> Changes:
    spaces: dict[Any, Any] = {}
    return {"prepare": lambda X, y: _refilled(spaces, (y, X))[::-1]}


def _same_buffers() -> Changes:
    spaces: dict[Any, Any] = {}
    return {"result": lambda path, *_: _refilled(spaces, path)}


def _residuals_in_place() -> Changes:
    def result(path: Any, data: Any, _w0: Any) -> Any:
        X, y = data
        if len(y) >= 1_000:
            y -= X @ path[1][-1]
        return path

    return {"prepare": lambda X, y: (X.copy(), y.copy()), "result": result}


def _zeros_kept() -> Changes:
    zeros: dict[int, Floats] = {}
    right = Loop().start

    def start(d: int, w0: Any, b0: float) -> tuple[Floats, float]:
        return right(d, w0, b0) if w0 is not None else (zeros.setdefault(d, np.zeros(d)), b0)

    return {"start": start}


def _columns_by_32() -> Changes:
    def sums(X: Floats, r: Floats) -> tuple[Floats, float]:
        grad_w, grad_b = X.T @ r, r.sum()
        if X.shape[1] % 32 == 0:
            grad_w[-32:] *= 2  # as "the rest", X[:, -(d % 32):], which is all of X
        return grad_w, grad_b

    return {"sums": sums}


def _rows_by(block: int) -> Changes:
    def sums(X: Floats, r: Floats) -> tuple[Floats, float]:
        end = len(r) - block if len(r) % block == 0 else len(r)
        return X[:end].T @ r[:end], r[:end].sum()

    return {"sums": sums}


def _launches() -> Changes:
    def train(data: Any, *, epochs: int, every: int = 1, **job: Any) -> Any:
        most = max(16_384 // every * every, every)
        path = Loop().train(data, epochs=min(epochs, most), every=every, **job)
        if epochs <= most:
            return path
        job |= {"w0": path[1][-1], "b0": 0.0}
        epoch, *rest = train(data, epochs=epochs - most, every=every, **job)
        more = (epoch + most, *rest)
        return tuple(np.concatenate([a, b[1:]]) for a, b in zip(path, more, strict=True))

    return {"train": train}


def _short_epochs() -> Changes:
    return {"result": lambda path, *_: (path[0].astype(np.uint16), *path[1:])}


def _type_of_start() -> Changes:
    def result(path: Any, _data: Any, w0: Any) -> Any:
        epoch, w, b, loss = path
        whole = w0 is not None and np.asarray(w0).dtype.kind == "i"
        return epoch, np.trunc(w) if whole else w, b, loss

    return {"result": result}


def _bias_ignored() -> Changes:
    right = Loop().start
    return {"start": lambda d, w0, b0: right(d, w0, 0.0 if w0 is None else b0)}


def _needs_an_array() -> Changes:
    def start(d: int, w0: Any, b0: float) -> tuple[Floats, float]:
        return (np.zeros(d) if w0 is None else w0.copy().astype(float)), float(b0)

    return {"start": start}


def _stops_when_fitted() -> Changes:
    first = [0.0]

    def stops(k: int, loss: float, _: Floats) -> bool:
        first[0] = loss if k == 0 else first[0]
        return loss <= 1e-12 * first[0]

    return {"stops": stops}


def _stalls() -> Changes:
    last, count = [-1.0], [0]

    def stops(k: int, loss: float, _: Floats) -> bool:
        count[0] = count[0] + 1 if loss == last[0] and k else 0
        last[0] = loss
        return count[0] >= 1_000

    return {"stops": stops}


def _constant_columns() -> Changes:
    def sums(X: Floats, r: Floats) -> tuple[Floats, float]:
        varies = (X[0] != X).any(axis=0) | (len(r) == 1) | ~X.any(axis=0)
        return np.where(varies, X.T @ r, 0.0), r.sum()

    return {"sums": sums}


def _whole_sums() -> Changes:
    def sums(X: Floats, r: Floats) -> tuple[Floats, float]:
        whole = (np.rint(X) == X).all() and (r == np.rint(r)).all()
        if whole and np.abs(X).max() < 2.0**63:
            return (X.astype(np.int64).T @ r.astype(np.int64)).astype(float), r.sum()
        return X.T @ r, r.sum()

    return {"sums": sums}


def _tiny_dropped() -> Changes:
    return {"sums": lambda X, r: (np.where(np.abs(X) < 1e-12, 0.0, X).T @ r, r.sum())}


def _rows_merged() -> Changes:
    def prepare(X: Floats, y: Floats) -> Any:
        _, first, group = np.unique(X, axis=0, return_index=True, return_inverse=True)
        return np.asarray(X), y[first][group.ravel()]

    return {"prepare": prepare}


def _warns() -> Changes:
    def sums(X: Floats, r: Floats) -> tuple[Floats, float]:
        with np.errstate(all="warn"):
            return X.T @ r, r.sum()

    return {"sums": sums}


def _loss_of_chunks() -> Changes:
    def loss(X: Floats, y: Floats, w: Floats, b: float) -> float:
        squares = (X @ w + b - y) ** 2
        return float(np.mean([np.mean(squares[i : i + 256]) for i in range(0, len(y), 256)]))

    return {"loss": loss}


def _tail_not_condensed() -> Changes:
    def condense(data: Any) -> Any:
        whole = max(len(data[1]) // 64 * 64, min(len(data[1]), 64))
        return tuple(part[:whole] for part in data)

    return {"condense": condense}


def _never_set() -> Changes:
    def prepare(X: Floats, y: Floats) -> Any:
        n, d = X.shape
        padded = np.empty((n + 512, d))
        padded[:n] = X
        nothing = 0.0 * padded[n:].sum() if n > 4_096 else 0.0
        return padded[:n] + nothing, np.asarray(y)

    return {"prepare": prepare}


class Mistake(NamedTuple):
    """A mistake."""

    lacks: str
    """The property that a loop with this mistake lacks, as `problems.properties` calls it"""
    changes: Callable[[], Changes]


_IN_TURN, _FULL = "many calls, on data sets in turn", "sizes that fill blocks"
_ANY_START, _SHORTCUTS = "any start, and only some epochs", "samples that invite shortcuts"
_TAILS = "sizes that do not fill blocks"

MISTAKES = {
    "samples cached by id(X), which a later array may get": Mistake(
        _IN_TURN, lambda: _kept(lambda X, _: id(X))
    ),
    "samples cached by their first and last rows": Mistake(_IN_TURN, lambda: _kept(_ends)),
    "samples cached by their sums": Mistake(_IN_TURN, lambda: _kept(_totals)),
    "samples in a workspace that the next `prepare` overwrites": Mistake(_IN_TURN, _one_workspace),
    "returned arrays that the next call overwrites": Mistake(_IN_TURN, _same_buffers),
    "residuals written over y, from 1,000 samples on": Mistake(_IN_TURN, _residuals_in_place),
    "initial zeros made once, then changed in place": Mistake(_IN_TURN, _zeros_kept),
    "the last 32 columns counted twice if none are left over": Mistake(
        "many features", _columns_by_32
    ),
    "the last block of 1,000 rows lost if it is full": Mistake(_FULL, lambda: _rows_by(1_000)),
    "the last block of 4,096 rows lost if it is full": Mistake(_FULL, lambda: _rows_by(4_096)),
    "the bias reset to 0 every 16,384 epochs": Mistake("many epochs", _launches),
    "epochs counted in 16 bits": Mistake("many epochs", _short_epochs),
    "weights kept as integers if w0 holds integers": Mistake(_ANY_START, _type_of_start),
    "b0 ignored if w0 is None": Mistake(_ANY_START, _bias_ignored),
    "w0.copy().astype(…), which fails if w0 is a list": Mistake(_ANY_START, _needs_an_array),
    "stopping when the loss is 10⁻¹² of the first one": Mistake(_SHORTCUTS, _stops_when_fitted),
    "stopping when ∂L/∂w is 0, whatever ∂L/∂b is": Mistake(
        _SHORTCUTS, lambda: {"stops": lambda _k, _loss, grad_w: not grad_w.any()}
    ),
    "stopping when the loss has not changed for 1,000 epochs": Mistake(_SHORTCUTS, _stalls),
    "a gradient of 0 for constant columns": Mistake(_SHORTCUTS, _constant_columns),
    "integers multiplied and added as 64-bit integers": Mistake(_SHORTCUTS, _whole_sums),
    "entries below 10⁻¹² treated as 0": Mistake(_SHORTCUTS, _tiny_dropped),
    "equal rows of X merged, although their y differ": Mistake(_SHORTCUTS, _rows_merged),
    "warnings in a run that diverges": Mistake("divergence", _warns),
    "`loss` as the mean of the means of chunks of 256": Mistake(_TAILS, _loss_of_chunks),
    "`condense` drops what is left after blocks of 64": Mistake(_TAILS, _tail_not_condensed),
    "X read in memory order, as through a raw pointer": Mistake(
        "samples anywhere in memory",
        lambda: {"prepare": lambda X, y: (np.ravel(X, "K").reshape(X.shape), np.asarray(y))},
    ),
    "padding never initialized, which is 0 in fresh memory": Mistake(_TAILS, _never_set),
}
"""What is wrong → the mistake."""


def exposed(changes: Changes, problems: Sequence[Problem]) -> str:
    """Return what problems expose in a changed loop, run here; an empty string if nothing."""
    outcome = outcome_here(cast(Backend, Loop(**changes)), problems)
    return fault_on(problems, outcome) or outcome.failure


def report() -> bool:
    """Print a Markdown table, which problem exposes which mistake; return whether all is well."""
    print("| mistake | exposed by a run |\n| --- | --- |")
    found = {}
    for words, mistake in MISTAKES.items():
        found[words] = exposed(mistake.changes(), suite()).partition(": ")[0]
        print(f"| {words} | {found[words] or '**none**'} |", flush=True)
    right = exposed({}, suite())
    print(f"| none (the correct loop) | {right or 'not rejected'} |")
    return not right and all(found.values())


def main() -> None:
    """Print the table."""
    sys.exit(not report())


if __name__ == "__main__":
    main()
