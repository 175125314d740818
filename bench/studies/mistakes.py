"""Natural mistakes of every kind, each in a loop that is right nearly everywhere.

`python -m gradrace.bench.studies.mistakes` has the suite judge each of them, and prints which
problem or call betrays it. A mistake that is missed is reported, and the exit status is 1.
"""

from collections.abc import Iterator, Sequence
from itertools import chain
from typing import Any, ClassVar, NamedTuple, cast

import numpy as np
import typer

from gradrace.backends.interface import Backend, Floats
from gradrace.bench.proof.agreement import fault_on
from gradrace.bench.proof.isolation import outcome_here
from gradrace.bench.proof.problems import Problem, suite

Samples = tuple[Floats, Floats]


class Epoch(NamedTuple):
    """What a loop knows of an epoch."""

    k: int
    loss: float
    grad_w: Floats


_TURNS = "many calls, on data sets in turn"


class Right:
    """The loop as it should be."""

    kind = ""
    """The property that it lacks, as `problems.properties` calls it"""

    def prepare(self, X: Any, y: Any) -> Any:
        """Keep the samples."""
        return np.asarray(X), np.asarray(y)

    def start(self, d: int, w0: Any, b0: float) -> tuple[Any, float]:
        """Return (w, b) to begin with."""
        return np.zeros(d) if w0 is None else np.array(w0, dtype=float), float(b0)

    def sums(self, X: Floats, r: Floats) -> tuple[Floats, float]:
        """Return Xᵀr and Σ rᵢ."""
        return X.T @ r, float(r.sum())

    def stops(self, _at: Epoch) -> bool:
        """Whether nothing changes from here on."""
        return False

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
                stopped = stopped or self.stops(Epoch(k, loss, grad_w))
                if not stopped and k < epochs:
                    w -= lr * 2 / n * grad_w
                    b -= lr * 2 / n * grad_b
        return tuple(np.array(column) for column in zip(*rows, strict=True))


# --- state between calls ------------------------------------------------------------------------


class KeptById(Right):
    """samples kept by id(X), which a later array may get."""

    kind = _TURNS

    def __init__(self) -> None:
        """Know nothing."""
        self.known: dict[Any, Any] = {}

    def key(self, samples: Samples) -> Any:
        """Return what the samples are recognized by."""
        return id(samples[0])

    def prepare(self, X: Any, y: Any) -> Any:
        """Copy the samples, unless they are known."""
        return self.known.setdefault(self.key((X, y)), (X.copy(), y.copy()))


class KeptByFingerprint(KeptById):
    """samples recognized by their shape, first row and last row."""

    def key(self, samples: Samples) -> Any:
        """Return a fingerprint."""
        X, y = samples
        return X.shape, X[0].tobytes(), X[-1].tobytes(), y[0], y[-1]


class KeptByTotals(KeptById):
    """samples recognized by their sums."""

    def key(self, samples: Samples) -> Any:
        """Return sums, in an order that depends on nothing."""
        X, y = samples
        return X.shape, *np.sort(X, axis=0).sum(axis=0), np.sort(y).sum()


class OneWorkspace(Right):
    """samples copied to a workspace for each shape, which the next `prepare` fills again."""

    kind = _TURNS

    def __init__(self) -> None:
        """Have no workspace."""
        self.known: dict[Any, Any] = {}

    def prepare(self, X: Any, y: Any) -> Any:
        """Fill the workspace."""
        space = self.known.setdefault(X.shape, (np.empty(X.shape), np.empty(len(y))))
        space[0][:], space[1][:] = X, y
        return space


class SameBuffers(Right):
    """the arrays of a trajectory used again by the next call of that shape."""

    kind = _TURNS

    def __init__(self) -> None:
        """Have no buffers."""
        self.buffers: dict[Any, Any] = {}

    def train(self, data: Any, **job: Any) -> Any:
        """Copy the result to the buffers."""
        path = super().train(data, **job)
        kept = self.buffers.setdefault(path[1].shape, tuple(map(np.empty_like, path)))
        for buffer, values in zip(kept, path, strict=True):
            buffer[:] = values
        return kept


class ResidualsInPlace(Right):
    """r computed in the memory of y, from 1,000 samples on."""

    kind = _TURNS

    def prepare(self, X: Any, y: Any) -> Any:
        """Copy the samples."""
        return X.copy(), y.copy()

    def train(self, data: Any, **job: Any) -> Any:
        """Overwrite y."""
        path = super().train(data, **job)
        if len(data[1]) >= 1_000:
            data[1][:] -= path[1][-1] @ data[0].T
        return path


class ZerosKept(Right):
    """zeros to start from made once, and changed in place."""

    kind = _TURNS

    def __init__(self) -> None:
        """Have no zeros."""
        self.zeros: dict[int, Floats] = {}

    def start(self, d: int, w0: Any, b0: float) -> tuple[Any, float]:
        """Return the kept zeros."""
        return (
            super().start(d, w0, b0)
            if w0 is not None
            else (self.zeros.setdefault(d, np.zeros(d)), b0)
        )


# --- sizes, counts ------------------------------------------------------------------------------


class ColumnsBy32(Right):
    """columns in blocks of 32; the rest is counted again where there is none."""

    kind = "many features"

    def sums(self, X: Floats, r: Floats) -> tuple[Floats, float]:
        """Add the last block."""
        grad_w, grad_b = super().sums(X, r)
        if X.shape[1] % 32 == 0:
            grad_w[-32:] *= 2
        return grad_w, grad_b


class RowsBy(Right):
    """the last block of 1,000 rows lost if it is full."""

    kind = "sizes that fill blocks"
    block: ClassVar = 1_000

    def sums(self, X: Floats, r: Floats) -> tuple[Floats, float]:
        """Add up to the last block."""
        end = len(r) - self.block if len(r) % self.block == 0 else len(r)
        return super().sums(X[:end], r[:end])


class RowsBy4096(RowsBy):
    """the last block of 4,096 rows lost if it is full."""

    block = 4_096


class Launches(Right):
    """16,384 epochs at a time; the next ones start with a bias of 0."""

    kind = "many epochs"

    def train(self, data: Any, *, epochs: int, every: int = 1, **job: Any) -> Any:
        """Begin again where the weights were."""
        most = max(16_384 // every * every, every)
        path = super().train(data, epochs=min(epochs, most), every=every, **job)
        if epochs <= most:
            return path
        more = {**job, "w0": path[1][-1], "b0": 0.0}
        rest = self.train(data, epochs=epochs - most, every=every, **more)
        rest = (rest[0] + most, *rest[1:])
        return tuple(np.concatenate([a, b[1:]]) for a, b in zip(path, rest, strict=True))


class ShortEpochs(Right):
    """epochs counted in 16 bits."""

    kind = "many epochs"

    def train(self, data: Any, **job: Any) -> Any:
        """Let the count begin again."""
        epoch, *rest = super().train(data, **job)
        return epoch.astype(np.uint16), *rest


# --- starts -------------------------------------------------------------------------------------


class TypeOfStart(Right):
    """weights that stay integers if w0 is."""

    kind = "any start, and only some epochs"

    def train(self, data: Any, *, w0: Any = None, **job: Any) -> Any:
        """Truncate the recorded weights."""
        epoch, w, b, loss = super().train(data, w0=w0, **job)
        whole = w0 is not None and np.asarray(w0).dtype.kind == "i"
        return epoch, np.trunc(w) if whole else w, b, loss


class BiasIgnored(Right):
    """b0 ignored if there is no w0."""

    kind = "any start, and only some epochs"

    def start(self, d: int, w0: Any, b0: float) -> tuple[Any, float]:
        """Start from zero."""
        return super().start(d, w0, 0.0 if w0 is None else b0)


class NeedsAnArray(Right):
    """w0.copy(), which a list has, too."""

    kind = "any start, and only some epochs"

    def start(self, d: int, w0: Any, b0: float) -> tuple[Any, float]:
        """Copy the start."""
        return (np.zeros(d), b0) if w0 is None else (w0.copy().astype(float), b0)


# --- data ---------------------------------------------------------------------------------------


class StopsWhenFitted(Right):
    """stops once the loss is 10⁻¹² of the first one."""

    kind = "samples that invite shortcuts"
    first = 0.0

    def stops(self, _at: Epoch) -> bool:
        """Compare with the first loss."""
        self.first = _at.loss if _at.k == 0 else self.first
        return _at.loss <= 1e-12 * self.first


class StopsWithoutSlope(Right):
    """stops where ∂L/∂w is 0, whatever ∂L/∂b is."""

    kind = "samples that invite shortcuts"

    def stops(self, _at: Epoch) -> bool:
        """Look at w only."""
        return not _at.grad_w.any()


class Stalls(Right):
    """stops when the loss has not changed for 1,000 epochs."""

    kind = "samples that invite shortcuts"
    last, count = -1.0, 0

    def stops(self, _at: Epoch) -> bool:
        """Count how often it is the same."""
        self.count = self.count + 1 if _at.loss == self.last and _at.k else 0
        self.last = _at.loss
        return self.count >= 1_000


class ConstantColumn(Right):
    """no slope for constant columns."""

    kind = "samples that invite shortcuts"

    def sums(self, X: Floats, r: Floats) -> tuple[Floats, float]:
        """Leave them out."""
        grad_w, grad_b = super().sums(X, r)
        varies = (X[0] != X).any(axis=0) | (len(r) == 1) | ~X.any(axis=0)
        return np.where(varies, grad_w, 0.0), grad_b


class WholeSums(Right):
    """integers multiplied and added in 64 bits."""

    kind = "samples that invite shortcuts"

    def sums(self, X: Floats, r: Floats) -> tuple[Floats, float]:
        """Let them overflow."""
        grad_w, grad_b = super().sums(X, r)
        if (np.rint(X) == X).all() and (r == np.rint(r)).all() and np.abs(X).max() < 2.0**63:
            grad_w = (X.astype(np.int64).T @ r.astype(np.int64)).astype(float)
        return grad_w, grad_b


class TinyDropped(Right):
    """entries below 10⁻¹² taken for zeros."""

    kind = "samples that invite shortcuts"

    def sums(self, X: Floats, r: Floats) -> tuple[Floats, float]:
        """Drop them."""
        return super().sums(np.where(np.abs(X) < 1e-12, 0.0, X), r)


class RowsMerged(Right):
    """equal rows of X merged, with the target of the first."""

    kind = "samples that invite shortcuts"

    def prepare(self, X: Any, y: Any) -> Any:
        """Take the first of equal rows."""
        _, first, group = np.unique(X, axis=0, return_index=True, return_inverse=True)
        return np.asarray(X), y[first][group.ravel()]


class Warns(Right):
    """warnings in a run that diverges."""

    kind = "divergence"

    def sums(self, X: Floats, r: Floats) -> tuple[Floats, float]:
        """Forget the error state."""
        with np.errstate(all="warn"):
            return super().sums(X, r)


# --- functions, memory --------------------------------------------------------------------------


class LossOfChunks(Right):
    """`loss` is a mean of means over chunks of 256."""

    kind = "sizes that do not fill blocks"

    def loss(self, X: Floats, y: Floats, w: Floats, b: float) -> float:
        """Return the mean of means."""
        squares = (X @ w + b - y) ** 2
        return float(np.mean([np.mean(squares[i : i + 256]) for i in range(0, len(y), 256)]))


class TailNotCondensed(Right):
    """`condense` loses what is left of blocks of 64."""

    kind = "sizes that do not fill blocks"

    def condense(self, data: Any) -> Any:
        """Drop the tail."""
        X, y = data
        whole = max(len(y) // 64 * 64, min(len(y), 64))
        return X[:whole], y[:whole]


class OrderOfMemory(Right):
    """X read as it lies in memory, like C code that gets its address."""

    kind = "samples anywhere in memory"

    def prepare(self, X: Any, y: Any) -> Any:
        """Read n·d numbers."""
        return np.ravel(X, order="K").reshape(X.shape), np.asarray(y)


class NeverSet(Right):
    """rows added that are never set, and weigh nothing if they are finite."""

    kind = "sizes that do not fill blocks"

    def prepare(self, X: Any, y: Any) -> Any:
        """Add rows up to a multiple of 512."""
        n, d = X.shape
        self.more = np.empty((n + 512, d))
        self.more[:n] = X
        return self.more[:n] + (0 * self.more[n:].sum() if n > 4_096 else 0.0), np.asarray(y)


def mistakes() -> tuple[type[Right], ...]:
    """Return the wrong loops."""

    def below(one: type[Right]) -> Iterator[type[Right]]:
        yield from chain(*((two, *below(two)) for two in one.__subclasses__()))

    return tuple(below(Right))


def betrayal(backend: Right, problems: Sequence[Problem]) -> str:
    """Return what these problems show of a loop, in this process; an empty string if nothing."""
    outcome = outcome_here(cast(Backend, backend), problems)
    return fault_on(problems, outcome) or outcome.failure


def main() -> None:
    """Print a Markdown table: what betrays which mistake."""
    print("| mistake | what betrays it |\n| --- | --- |")
    missed = 0
    for mistake in mistakes():
        words = betrayal(mistake(), suite()).partition(": ")[0]
        missed += not words
        print(f"| {(mistake.__doc__ or '').rstrip('.')} | {words or '**nothing**'} |", flush=True)
    if problem := betrayal(Right(), suite()):
        print(f"| none: the loop is right | {problem} |")
    raise typer.Exit(bool(missed or problem))


if __name__ == "__main__":
    typer.run(main)
