"""Small problems made to expose mistakes, and the order of calls that does the same.

A single easy problem hides mistakes. A loop that forgets the samples after the last whole block is
right if there are none; a loop with a hard-coded rate is right if that happens to be the rate asked
for; a loop that keeps something from call to call is right the first time. Such loops fail in the
`suite`, which takes a backend about a second.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from typing import Any, Literal, get_args

import numpy as np

from gradrace.backends.interface import Floats
from gradrace.bench.data.samples import synthetic

Memory = Literal[
    "in C order",
    "in Fortran order",
    "read-only",
    "with gaps",
    "in a wider table",
    "in a longer table",
    "y in a table",
]
"""How X and y lie in memory. With gaps, only every second place of each axis is used. A wider
table, in C order, has another column; a longer one, in Fortran order, another row."""
Start = Literal[
    "an array",
    "read-only",
    "a view",
    "a list",
    "a tuple",
    "integers",
    "a list of integers",
    "float32",
]
"""What w0 is."""


@dataclass(frozen=True, eq=False)
class Problem:
    """A training job: `epochs` updates at the rate lr from (w0, b0), recording every `every`-th."""

    name: str
    """What a verdict calls it; empty for the job that a verdict is about."""
    X: Floats = field(repr=False)
    y: Floats = field(repr=False)
    lr: float
    epochs: int
    w0: Floats | None = None
    """None for zeros."""
    b0: float = 0.0
    every: int = 1
    pieces: bool = False
    """Whether predict, loss, gradients and update are also checked at (w0, b0)."""
    start: Start = "an array"
    memory: Memory = "in C order"
    roundings: int = 0
    """For integers, the most times a term may be rounded in the first epoch, fewer than for other
    samples; 0 otherwise. Such a run is judged step by step."""
    sums_fit: bool = False
    """Whether these are positive integers whose products float64 adds without rounding. Such a run
    is judged step by step, too: with many features, exact arithmetic takes too long."""
    prepared: Any = None
    """What `prepare` would return, if the samples are not in memory; then X and y have no rows."""
    size: int = 0
    """The number of samples, if they are not in memory; 0 otherwise."""

    @property
    def n(self) -> int:
        """The number of samples."""
        return self.size or len(self.y)


_TAILS = {1: range(1, 41), 2: (*range(1, 20), 31), 3: (1, 2, 4, 7, 11, 17, 23, 37), 8: (1, 3)}
"""Features: numbers of samples that do not fill blocks of up to 32."""
_BLOCKS = {
    1: [2**k + more for k in range(6, 12) for more in (-1, 0, 3)],
    2: [63, 65, 129, 257, 511, 513, 515, 1_025, 1_027, 2_049, 4_095, 4_097, 4_099, 8_193, 65_537],
    3: [block + more for block in (100, 200, 250, 500, 1_000, 2_000, 4_000) for more in (-1, 1)],
    13: [127, 1_027, 8_209],
}
"""Features: numbers of samples just below, at and just above the sizes of blocks."""
_LARGE_BLOCKS = [2**k + 3 for k in range(12, 19)]  # 65,539 and 262,147 are prime
_FULL = {
    1: [96, 160, 768, 3_000, 3_072, 10_000, 12_288, 61_440, 64_000, 100_000],
    2: [8, 64, 100, 200, 256, 500, 512, 1_000, 1_024, 4_096, 8_192, 65_536],
    8: [8, 24, 32, 256, 1_000, 2_000, 4_000, 4_096],
}
"""Features: numbers of samples that are whole multiples of the sizes of blocks."""
_WIDE = (*range(4, 41), 64, 65, 100, 127, 128)
"""Numbers of features around the sizes of register blocks, and beyond."""
_FULL_WIDE = [(64, 32), (100, 100), (128, 64), (1_000, 100), (64, 128)]
_WIDEST = [(262, 256), (263, 257), (8, 1_000), (16, 1_024)]
"""Samples and features"""
_PIECES = (256, 257, 499, 512, 513, 1_000, 1_001, 1_024, 1_027, 2_000, 4_000, 4_096, 4_099)
"""Numbers of samples at which the optional functions are checked, too."""
_THINNED = [(0, 1), (0, 3), (1, 1), (1, 2), (2, 2), (6, 3), (6, 1), (7, 3), (5, 9), (300, 7)]
"""Pairs of epochs and `every`, which is 1, a divisor of the epochs, or neither."""
_THINNED_ELSEWHERE = {(1_027, 3): [(0, 3), (4, 3), (2, 9)], (20, 17): [(0, 1), (5, 3), (2, 9)]}
"""Samples and features: some of these pairs"""
_LONG = [(4_096, 64, 100), (32_768, 10_000, 1_000), (70_000, 7, 1_000)]
"""Epochs, `every`, and the divisor of the rate, which keeps w moving to the end."""
_CALLS = 40
_TURNS = [(29, 2), (40, 33), (2_000, 12), (66_001, 1)]
"""Samples and features of data sets that are easily mistaken for one another."""


@cache
def properties() -> dict[str, tuple[Problem, ...]]:
    """Return what every backend must get right → the problems that show whether it does."""
    return {
        "sizes that do not fill blocks": (*_tails(), *_blocks()),
        "sizes that fill blocks": tuple(_full()),
        "many features": tuple(_wide()),
        "any start, and only some epochs": tuple(_starts()),
        "many epochs": tuple(_long()),
        "samples anywhere in memory": tuple(_placed()),
        "columns of unlike size, zeros, large rates": tuple(_odd()),
        "samples that invite shortcuts": (*_still(), *_alike(), *_whole(), *_tiny()),
        "divergence": tuple(_diverging()),
        "data at both ends of float64": tuple(_ends()),
        "many calls, on data sets in turn": (*_again(), *_turns()),
    }


@cache
def suite() -> tuple[Problem, ...]:
    """Return the calls that every backend must get right before it may race.

    A problem that occurs several times is called again.
    """
    return tuple(problem for group in properties().values() for problem in group)


def number(problems: Sequence[Problem]) -> int:
    """Return the number of distinct problems."""
    return len(set(problems))


def _tails() -> Iterator[Problem]:
    for d, sizes in _TAILS.items():
        for n in sizes:
            yield _problem(n, d, epochs=2, pieces=n % 8 == 3)


def _blocks() -> Iterator[Problem]:
    for d, sizes in _BLOCKS.items():
        for n in sizes:
            yield _problem(n, d, epochs=1, pieces=n in _PIECES)
    for n in _LARGE_BLOCKS:
        yield from [_problem(n, 1, epochs=1)] * (1 if n > 50_000 else 2)
    yield _problem(65_539, 4, epochs=1)


def _full() -> Iterator[Problem]:
    for d, sizes in _FULL.items():
        for n in sizes:
            yield _problem(n, d, epochs=1, pieces=n in _PIECES)


def _wide() -> Iterator[Problem]:
    for d in _WIDE:
        yield _problem(d + 6, d, epochs=1, pieces=d <= 40 or d in (100, 128))
        if d % 4 == 1 or d == 24:
            yield _problem(1 + d // 2, d, epochs=2)  # more features than samples
    for n, d in _FULL_WIDE:
        yield _problem(n, d, epochs=1)
    for n, d in _WIDEST:
        X, y = _integers(n, d), _integers(n, 1)[:, 0]
        w0 = np.resize([0.5, -0.25, 0.75], d)
        name = f"on {n:,} × {d:,} integers"
        yield Problem(name, X, y, 0.125 / d, 1, w0, 0.5, sums_fit=True)


def _starts() -> Iterator[Problem]:
    for (n, d), thinned in {(23, 2): _THINNED, **_THINNED_ELSEWHERE}.items():
        few = _problem(n, d, epochs=1)
        for epochs, every in thinned:
            given = replace(few, name=_name(n, d, epochs, every), epochs=epochs, every=every)
            yield given
            yield replace(given, name=f"{given.name}, b0 = 0", b0=0.0)
            yield from [replace(given, name=f"{given.name}, w0 = None", w0=None)] * 2
            name = f"{given.name}, w0 = None, b0 = 0"
            yield from [replace(given, name=name, w0=None, b0=0.0)] * 2
    whole: list[Start] = ["integers", "a list of integers", "float32"]
    free: list[Start] = ["read-only", "a view", "a list", "a tuple"]
    for d in (2, 17):
        some = _problem(31, d, epochs=5, every=2)
        w0 = np.resize([2.0, -1.0, 3.0], d)
        for start in (*whole, *free):
            job = replace(some, name=f"{some.name}, w0 is {start}", start=start)
            yield replace(job, w0=w0, b0=1) if start in whole else job
        for start in free:
            name = f"{_name(31, d, 0, 1)}, w0 is {start}"
            yield replace(some, name=name, epochs=0, every=1, start=start)
        yield replace(some, name=f"{some.name}, w0 = None, b0 = 1", w0=None, b0=1)
    yield _problem(301, 3, epochs=40, every=7)


def _long() -> Iterator[Problem]:
    few = _problem(3, 1, epochs=10_007)
    for epochs, every, slower in _LONG:
        name = _name(3, 1, epochs, every)
        yield replace(few, name=name, lr=few.lr / slower, epochs=epochs, every=every)
    settling = np.array([[0.0], [0.3], [0.6]])  # at the end, a step is 10⁻¹³ of w
    name = f"{_name(3, 1, 10_007, 1_000)}, that settle"
    yield replace(few, name=name, X=settling, lr=0.05, every=1_000)
    many = _problem(7, 2, epochs=2_500)
    for rate, slower in (("a small rate", 100), ("a smaller rate", 200)):
        yield replace(many, name=f"{many.name}, at {rate}", lr=many.lr / slower)


def _placed() -> Iterator[Problem]:
    for n, d in ((19, 3), (19, 1), (256, 8), (1_027, 2), (4_096, 5), (8_209, 2)):
        given = _problem(n, d, epochs=1, pieces=n in (19, 1_027))
        for memory in get_args(Memory)[1:]:
            yield replace(given, name=f"{given.name}, {memory}", memory=memory)


def _odd() -> Iterator[Problem]:
    """Yield problems that are special in something other than size or schedule."""
    few = _problem(19, 3, epochs=9)
    scaled = few.X * np.array([1e-6, 1e3, 1.0])
    yield _of(few, "with columns of unlike size", scaled, few.y, lr=1e-7)
    blank = few.X * np.array([1.0, 0.0, 1.0])
    yield _of(few, "with a column of zeros", blank, few.y, lr=few.lr)
    yield _of(few, "with targets of 0", few.X, np.zeros(19), lr=few.lr)
    many = _problem(1_201, 2, epochs=9)
    yield _of(many, "at a large rate", many.X, many.y, lr=0.87654321)
    yield Problem("on 19 × 3 from zero", few.X, few.y, few.lr, 9)


def _still() -> Iterator[Problem]:
    """Yield runs in which something does not move, does not move yet, or has almost stopped."""
    pairs = np.array([[1.0], [-1.0], [2.0], [-2.0]])
    flat, odd = np.full(4, 5.0), np.array([3.0, -3.0, 5.0, -5.0])
    signs = np.array([[1.0], [-1.0], [1.0], [-1.0]])
    line, zeros, three = 0.75 * signs[:, 0] + 0.5, np.zeros(4), np.full(1, 3.0)
    for job in (
        Problem("on 4 × 1 whose ∂L/∂w is 0", pairs, flat, 0.1, 9),
        Problem("on 4 × 1 whose ∂L/∂b is 0", pairs, odd, 0.1, 9),
        Problem("on 4 × 1 that start at the minimum", pairs, 3 * pairs[:, 0], 0.1, 9, three),
        # w falls to 10⁻¹⁹⁰, all digits still right, and L to 0
        Problem("on 4 × 1 that fit perfectly", signs, zeros, 0.3, 480, np.full(1, 0.75), -0.3),
        Problem("on 4 × 1 on a line", signs, line, 0.3, 60),
    ):
        yield from [job] * 2
    # L = 1/2 + 9w²/8, and w doubles every 56 epochs: for 1,200 epochs, L does not change
    X, y = np.array([[0.0], [0.0], [1.5], [-1.5]]), np.array([1.0, -1.0, 0.0, 0.0])
    w0 = np.full(1, 1e-15)
    yield Problem("on 4 × 1 after a plateau", X, y, 2.0125 / 2.25, 3_000, w0, every=50)


def _alike() -> Iterator[Problem]:
    """Yield samples of which some equal others, or nearly do, or are 0."""
    few = _problem(20, 3, epochs=9)
    one = replace(few, w0=np.full(1, 0.25))
    x = few.X[:, :1]
    X: Floats = np.full((20, 1), 3.0)
    yield _of(one, "with nothing but 3", X, few.y, lr=0.05)
    yield _of(few, "with repeated rows", few.X[np.arange(20) // 4], few.y, lr=few.lr)
    twice = np.arange(20) % 10
    yield _of(few, "with samples that occur twice", few.X[twice], few.y[twice], lr=few.lr)
    yield _of(few, "with equal columns", few.X[:, [0, 0, 2]], few.y, lr=few.lr)
    nearly = few.X[:, [0, 0, 2]] * (1 + 1e-6 * few.X[:, [2, 1, 0]])
    yield _of(few, "with nearly equal columns", nearly, few.y, lr=few.lr)
    yield _of(one, "whose entries are nearly equal", 2e9 + 1e3 * x, few.y, lr=1e-20)
    yield _of(one, "whose first entry is 0", x * np.sign(np.arange(20))[:, None], few.y, lr=few.lr)
    for what, where, value in (
        *((f"whose column {j} is 1", (slice(None), j), 1.0) for j in range(3)),
        ("with a column of 3", (slice(None), 1), 3.0),
        ("whose last rows are 0", (slice(17, None),), 0.0),
        ("whose last row is minus the first", (-1,), -few.X[0]),
        ("that are mostly 0", (few.X < 0.8,), 0.0),
    ):
        X = few.X.copy()
        X[where] = value
        yield _of(few, what, X, few.y, lr=few.lr / 4)
    negative = -np.abs(few.X)
    negative[[3, 8]] = [[0.0], [-0.0]]
    yield _of(few, "without positive entries", negative, few.y, lr=few.lr)
    X, y = np.full((65_539, 1), 0.1), np.full(65_539, 0.7)
    yield Problem("on 65,539 × 1 equal samples", X, y, 0.03, 1, np.full(1, 0.3))


def _whole() -> Iterator[Problem]:
    """Yield integers that overflow 8 to 64 bits, or whose squares do, or sums of squares."""
    few = _integers(19, 2)
    y = few[:, 1] - few[:, 0]
    for power in (4, 12, 17, 32, 57):
        lr = 2.0 ** -(2 * power + 8)
        X = 2.0**power * (few + 6) + few[::-1] * 2.0 ** max(power - 50, 0)
        yield Problem(f"on 19 × 2 integers of about 2^{power + 4}", X, y, lr, 5)


def _tiny() -> Iterator[Problem]:
    """Yield columns, and entries of a column, so small that they look like rounding errors."""
    few = _problem(19, 6, epochs=1)
    X = few.X * np.array([1.0, 1e-5, 1e-9, 1e-14, 1e-20, 1e-100])
    yield replace(few, name="on 19 × 6 with columns down to 10⁻¹⁰⁰", X=X, w0=None, b0=0.0)
    x, y = few.X[:, :1].copy(), few.y.copy()
    x[::3], y[::3] = 1e-14 * x[::3], 1e14 * y[::3]
    yield replace(few, name="on 19 × 1 with entries of 10⁻¹⁴", X=x, y=y, w0=None, b0=0.0)


def _diverging() -> Iterator[Problem]:
    few = _problem(19, 3, epochs=9)
    yield from [_of(few, "that diverges", few.X, few.y, lr=40.0, epochs=200), few] * 2
    yield Problem("on 1 × 1 that diverges", few.X[:1, :1], few.y[:1], 40.0, 200)
    many = _problem(300, 2, epochs=1)
    yield _of(many, "that diverges", many.X, many.y, lr=1e60, epochs=12)


def _ends() -> Iterator[Problem]:
    """Yield samples whose squares are close to the largest and to the smallest float64."""
    few = _problem(19, 3, epochs=9)
    for words, scale in (("of about 10¹⁵⁰", 2.0**500), ("of about 10⁻¹⁵⁰", 2.0**-500)):
        lr = few.lr / scale / scale
        yield from [_of(few, words, few.X * scale, few.y * scale, lr=lr)] * 2


def _again() -> Iterator[Problem]:
    """Yield many starts and rates, alternating between two data sets, to expose state."""
    first, second = _problem(29, 2, epochs=3), _problem(29, 3, epochs=3)
    for call in range(1, _CALLS + 1):
        like = first if call % 2 else second
        w0, b0 = np.linspace(-1, 1, like.X.shape[1]) + call / 64, like.b0 - call / 64
        lr = like.lr * (1 + call / 4096)
        yield Problem(f"{like.name}, call {call}", like.X, like.y, lr, 3, w0, b0)


def _turns() -> Iterator[Problem]:
    """Yield four data sets in turn, twice, then two more, in the memory of two of them.

    All have the same shape, the same first and last rows, and nearly all the same values in each
    column: two of the targets, two of the entries, or both are exchanged.
    """
    for n, d in _TURNS:
        first = replace(_problem(n, d, epochs=2 if n < 10_000 else 1), w0=None, b0=0.0)
        middle = n // 20 * 10  # no multiple of 10 is exchanged
        second = _exchanged(first, "two targets exchanged", y=middle + 3)
        third = _exchanged(first, "two entries exchanged", X=middle + 3)
        fourth = _exchanged(first, "both exchanged", X=middle + 3, y=middle + 3)
        yield from (first, second, third, fourth, second, first)
        for like in (fourth, third):
            name = f"{like.name}, from a start, at another rate"
            w0 = np.linspace(-1, 1, d)
            yield replace(like, name=name, lr=0.7 * like.lr, w0=w0, b0=0.5)
        yield from (third, second)
        yield _exchanged(first, "two other targets exchanged", y=middle + 4)
        yield _exchanged(first, "two other entries exchanged", X=middle + 4)


def _exchanged(like: Problem, what: str, X: int | None = None, y: int | None = None) -> Problem:
    """Exchange two targets, or two entries of the first column, at this index and four later."""
    new = replace(like, name=f"{like.name}, {what}", X=like.X.copy(), y=like.y.copy())
    for values, start in ((new.X[:, 0], X), (new.y, y)):
        if start is not None:
            values[[start, start + 4]] = values[[start + 4, start]]
    return new


def _integers(n: int, d: int) -> Floats:
    """Return samples (n, d) of 1, …, 9, in an order without a period."""
    values: Floats = np.random.default_rng([n, d]).integers(1, 10, (n, d)).astype(np.float64)
    return values


def _problem(n: int, d: int, epochs: int, every: int = 1, *, pieces: bool = False) -> Problem:
    """Return n samples of d features, with a start and a rate that no loop hard-codes."""
    rng = np.random.default_rng([n, d, epochs, every])
    data = synthetic(n, d, seed=n + d)
    lr = float(rng.uniform(0.02, 0.04)) / (1 + d / n)
    w0, b0 = rng.uniform(-1, 1, d), float(rng.uniform(-1, 1))
    name = _name(n, d, epochs, every)
    return Problem(name, data.X, data.y, lr, epochs, w0, b0, every, pieces)


def _name(n: int, d: int, epochs: int, every: int) -> str:
    thinned = f", every = {every:,}" if every > 1 else ""
    return f"on {n:,} × {d:,}, {epochs:,} epoch{'s' * (epochs != 1)}{thinned}"


def _of(like: Problem, what: str, X: Floats, y: Floats, lr: float, epochs: int = 9) -> Problem:
    n, d = X.shape
    return Problem(f"on {n:,} × {d:,} {what}", X, y, lr, epochs, like.w0, like.b0)
