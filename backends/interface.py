"""The rules of the race: the mathematics, the interface, and what counts as valid input.

The mathematics, once for every backend
---------------------------------------
Samples X (n, d) and targets y (n,), weights w (d,) and bias b (a scalar), all float64.

    ŷ     = Xw + b
    r     = ŷ − y
    L     = (1/n) Σ rᵢ²
    ∂L/∂w = (2/n) Xᵀr
    ∂L/∂b = (2/n) Σ rᵢ
    w     ← w − α ∂L/∂w
    b     ← b − α ∂L/∂b

Both gradients are taken at the *old* (w, b). α is the learning rate, `lr` in the code. Row k of a
trajectory holds (w, b, L) *after* k updates; row 0 is the start. With A = [X 1] the Hessian of L
is H = (2/n) AᵀA, and descent is stable for 0 < α < 2/λmax(H) (Nocedal and Wright, *Numerical
Optimization*, 2nd ed., §3.3).

The interface
-------------
A rung has all functions of `Backend`. Someone else's backend needs `prepare` and `train`, and
nothing from here; a plain tuple (epoch, w, b, loss) can stand in for a `Trajectory`. README.md says
what a backend may rely on, what else it may offer, and what its attributes ONE_CORE, PASSES_ONCE
and UNIT_ROUNDOFF mean.
"""

import math
from numbers import Integral, Real
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

MOST_EPOCHS = 10**15  # more than any machine will ever run, and within a 64-bit integer

_BOOLEAN = (bool, np.bool_)
_REAL, _INTEGER = (float, int, Real), (int, Integral)  # the abstract types are slow to check

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
Samples = tuple[Floats, Floats]
"""X (n, d) and y (n,)."""
Start = ArrayLike | None
"""The weights to begin with, of shape (d,); zeros if None."""


class Setting(NamedTuple):
    """An argument, and maybe its value, in a message: epochs, standardize=True."""

    name: str
    value: Any = None

    def __str__(self) -> str:
        return self.name if self.value is None else f"{self.name}={self.value!r}"


class InputError(Exception):
    """An argument cannot be used; the message says which, and what would be right.

    `args` are the pieces of the message: texts, and a `Setting` for each argument, which the
    command line words as an option.
    """

    def __str__(self) -> str:
        return "".join(map(str, self.args))


class InputValueError(InputError, ValueError):
    """The argument has the right type but an unusable value."""


class InputTypeError(InputError, TypeError):
    """The argument has the wrong type."""


class ClusterError(InputValueError):
    """The machines that a backend computes on failed; the samples are not to blame."""


class Trajectory(NamedTuple):
    """The recorded path of one training run: m rows, ordered by epoch."""

    epoch: Integers
    """(m,) number of updates so far; the first is 0, the last is the number of epochs."""
    w: Floats
    """(m, d) weights after that many updates."""
    b: Floats
    """(m,) bias after that many updates."""
    loss: Floats
    """(m,) L at this w and b."""


class Backend(Protocol):
    """What a backend module offers; `data` is whatever its `prepare` returned."""

    def prepare(self, X: ArrayLike, y: ArrayLike) -> Any:
        """Convert the samples to the backend's own containers; not part of the timed calls."""

    def predict(self, X: Any, w: Any, b: float) -> Any:
        """ŷ = Xw + b, shape (n,)."""

    def loss(self, X: Any, y: Any, w: Any, b: float) -> float:
        """L = (1/n) Σ rᵢ²."""

    def gradients(self, X: Any, y: Any, w: Any, b: float) -> tuple[Any, float]:
        """(∂L/∂w of shape (d,), ∂L/∂b)."""

    def update(self, w: Any, b: float, grad_w: Any, grad_b: float, lr: float) -> tuple[Any, float]:
        """(w − α ∂L/∂w, b − α ∂L/∂b)."""

    def train(
        self,
        data: Any,
        *,
        lr: float,
        epochs: int,
        w0: Start = None,
        b0: float = 0.0,
        every: int = 1,
    ) -> Trajectory:
        """Make `epochs` updates; record the first state, every `every`-th, and the last.

        Raises:
            InputTypeError, InputValueError: as `check_schedule`.

        """


class Schedule(NamedTuple):
    """The validated arguments of `train`."""

    lr: float
    epochs: int
    w0: Floats
    """(d,) a copy, which the loop may overwrite."""
    b0: float
    every: int


def recorded_epochs(epochs: int, every: int) -> Integers:
    """Return the epochs a trajectory holds: 0, every, 2·every, …, and always the last."""
    multiples = np.arange(0, epochs + 1, every, dtype=np.int64)
    if multiples[-1] == epochs:
        return multiples
    return np.append(multiples, np.int64(epochs))


def check_samples(X: ArrayLike, y: ArrayLike) -> Samples:
    """Return X (n, d) and y (n,) as native, C-ordered, writable float64; n, d ≥ 1, all finite.

    The caller's arrays are never changed. Integers, booleans and floats of any width or byte
    order are converted.

    Raises:
        InputTypeError: complex numbers, text, dates, objects or a masked array.
        InputValueError: a wrong shape, no samples, unequal lengths, NaN or inf.

    """
    X = _finite_array("X", X, ndim=2, shape="(n, d), one row per sample")
    y = _finite_array("y", y, ndim=1, shape="(n,), one value per sample")
    if len(X) != len(y):
        raise InputValueError(f"y: needs one value per row of X, {len(X)}, got {len(y)}")
    return X, y


def check_schedule(
    d: int, lr: float, epochs: int, w0: Start = None, b0: float = 0.0, every: int = 1
) -> Schedule:
    """Return the validated arguments of `train` for d features; a w0 of None means zeros.

    Raises:
        InputTypeError: lr or b0 is not a real number, epochs or every is not an integer, or w0 is
            not an array of real numbers.
        InputValueError: lr ≤ 0 or not finite, epochs < 0, every < 1, either one above 10¹⁵, w0 not
            of shape (d,), or a start that is not finite.

    """
    rate = finite_number("lr", lr)
    if rate <= 0:
        raise InputValueError(f"lr: must be greater than 0, got {lr!r}")
    if w0 is None:
        start = np.zeros(d)
    else:
        start = _finite_array("w0", w0, ndim=1, shape=f"({d},), one weight per feature").copy()
        if len(start) != d:
            raise InputValueError(f"w0: needs one weight per feature, {d}, got {len(start)}")
    return Schedule(
        lr=rate,
        epochs=_integer("epochs", epochs, least=0),
        w0=start,
        b0=finite_number("b0", b0),
        every=_integer("every", every, least=1),
    )


def _finite_array(name: str, value: ArrayLike, ndim: int, shape: str) -> Floats:
    if isinstance(value, np.ma.MaskedArray):
        raise InputTypeError(f"{name}: is a masked array; fill or drop the masked entries first")
    try:
        array = np.asarray(value)
    except ValueError:
        raise InputValueError(f"{name}: needs shape {shape}, got rows of unequal length") from None
    if array.dtype.kind not in "biuf":
        raise InputTypeError(f"{name}: needs real numbers, got dtype {array.dtype}")
    if array.ndim != ndim:
        hints = {
            (2, 1): "; for one feature, X.reshape(-1, 1); for one sample, X.reshape(1, -1)",
            (1, 2): f"; for one column, np.ravel({name})",
        }
        hint = hints.get((ndim, array.ndim), "")
        raise InputValueError(f"{name}: needs shape {shape}, got {array.shape}{hint}")
    if array.size == 0:
        raise InputValueError(f"{name}: needs at least one value, got shape {array.shape}")
    with np.errstate(over="ignore"):  # a long double beyond float64 becomes inf, caught below
        native = np.require(array, np.float64, ["C", "A", "W", "E"])
    if not np.isfinite(native).all():
        where = tuple(int(i) for i in np.argwhere(~np.isfinite(native))[0])
        index = ", ".join(map(str, where))
        raise InputValueError(f"{name}: must be finite, got {native[where]} at {name}[{index}]")
    return native


def finite_number(name: str, value: float) -> float:
    """Return the argument called `name` as a float.

    Raises:
        InputTypeError: it is not a real number.
        InputValueError: it is not finite.

    """
    if isinstance(value, _BOOLEAN) or not isinstance(value, _REAL):
        raise InputTypeError(f"{name}: needs a real number, got {value!r}")
    try:
        number = float(value)
    except OverflowError:
        number = math.inf
    if not math.isfinite(number):
        raise InputValueError(f"{name}: must be finite, got {value!r}")
    return number


def _integer(name: str, value: int, least: int) -> int:
    if isinstance(value, _BOOLEAN) or not isinstance(value, _INTEGER):
        raise InputTypeError(f"{name}: needs an integer, got {value!r}")
    if value < least:
        raise InputValueError(f"{name}: must be at least {least}, got {value!r}")
    if value > MOST_EPOCHS:
        raise InputValueError(f"{name}: must be at most {MOST_EPOCHS}, got {value!r}")
    return int(value)
