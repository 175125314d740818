"""What a backend returned, declared or raised, in the form in which it is judged."""

import traceback
from pathlib import Path
from typing import Any, NamedTuple, cast

import numpy as np

from gradrace.backends.interface import Backend, Floats, Trajectory, recorded_epochs
from gradrace.bench.proof.precision import BY_UNIT, FLOAT64, Precision

_LONGEST = 200  # characters of a message


class BackendError(Exception):
    """The backend returned no trajectory; the message says what happened instead."""


class Chains(NamedTuple):
    """The most additions in a row that a sample takes part in."""

    gradient: int
    loss: int


def describe(error: BaseException) -> str:
    """Name the error and the line of the backend that raised it, on one line."""
    try:
        text = str(error)
    except Exception:  # its own __str__ may raise anything
        text = "without a word"
    message = " ".join(f"raised {type(error).__name__}: {text}".split())
    message = message if len(message) <= _LONGEST else f"{message[:_LONGEST]} …"
    last = traceback.extract_tb(error.__traceback__)[-1]
    if Path(last.filename).parent == Path(__file__).parent:
        return message
    return f"{message} ({Path(last.filename).name}, line {last.lineno})"


def four_values(result: Any) -> tuple[Any, Any, Any, Any]:
    """Return the (epoch, w, b, loss) that `train` returned.

    Raises:
        BackendError: it is something else.

    """
    try:
        epoch, w, b, loss = result
    except (TypeError, ValueError):
        raise BackendError(
            f"train returned {type(result).__name__}, not the four values (epoch, w, b, loss)"
        ) from None
    return epoch, w, b, loss


def as_trajectory(
    result: Any, epochs: int, d: int, every: int = 1, precision: Precision = FLOAT64
) -> Trajectory:
    """Return the result of `train` as a `Trajectory` of float64 arrays.

    Arrays of float32 are right if that is the precision of the backend.

    Raises:
        BackendError: it is not (epoch, w, b, loss) with the right shapes, epochs and types.

    """
    epoch, w, b, loss = four_values(result)
    recorded = recorded_epochs(epochs, every)
    rows = len(recorded)
    path = Trajectory(
        epoch=cast(Any, np.asarray(epoch)),
        w=as_floats("w", w, (rows, d), precision),
        b=as_floats("b", b, (rows,), precision),
        loss=as_floats("loss", loss, (rows,), precision),
    )
    if not np.array_equal(path.epoch, recorded):
        few = [*map(str, recorded[:2]), "…", str(recorded[-1])] if rows > 3 else map(str, recorded)
        raise BackendError(f"epoch is not {', '.join(few)}")
    return path._replace(epoch=recorded)


def as_floats(
    name: str, values: Any, shape: tuple[int, ...], precision: Precision = FLOAT64
) -> Floats:
    """Return what a backend calls `name` as a float64 array of this shape.

    Raises:
        BackendError: it has another shape or type.

    """
    try:
        array = np.asarray(values)
    except ValueError:
        raise BackendError(f"{name} has rows of unequal length") from None
    if array.dtype.newbyteorder("=").name not in ("float64", precision.name):
        hint = "; a backend that computes in float32 must declare UNIT_ROUNDOFF = 2.0**-24"
        found = "a structured dtype" if array.dtype.names else f"dtype {array.dtype}"
        raise BackendError(
            f"{name} has {found}, not {precision.name}" + hint * (array.dtype == "f4")
        )
    if array.shape != shape:
        raise BackendError(f"{name} has shape {array.shape}, not {shape}")
    return array.astype(np.float64)  # a copy: the backend may use its buffer again


def longest_chains(backend: Backend, n: int, d: int) -> Chains:
    """Return the longest chains of additions that a backend declares, or n if it declares none.

    That of the loss is n if the backend passes over the samples only once per call, because its
    loss may come from a factorization.

    Raises:
        BackendError: it is not an integer of at least 1.

    """
    if not hasattr(backend, "longest_chain"):
        return Chains(n, n)
    chain = backend.longest_chain(n, d)
    if isinstance(chain, bool) or not isinstance(chain, int | np.integer) or chain < 1:
        raise BackendError(f"longest_chain returned {chain!r:.80}, not a positive integer")
    chain = min(int(chain), n)
    return Chains(chain, n if getattr(backend, "PASSES_ONCE", False) is True else chain)


def precision_of(backend: Backend) -> Precision:
    """Return the precision that a backend declares as UNIT_ROUNDOFF; float64 if it declares none.

    Raises:
        BackendError: that is the unit roundoff of neither float64 nor float32.

    """
    unit = getattr(backend, "UNIT_ROUNDOFF", FLOAT64.unit)
    known = BY_UNIT.get(float(unit)) if isinstance(unit, float | np.floating) else None
    if known is None:
        raise BackendError(
            f"UNIT_ROUNDOFF is {unit!r:.80}, not 2.0**-53 (float64) or 2.0**-24 (float32)"
        )
    return known
