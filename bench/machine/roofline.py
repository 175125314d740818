"""The limit: how fast this machine reads, multiplies and adds, and how fast a pass can be.

A pass over the samples reads n(d + 1) numbers and makes n(2d + 1) multiply-adds: d for ŷ, d for
Xᵀr, one for Σ rᵢ². It can be no faster than the slower of the two, whatever the code (Williams,
Waterman and Patterson, "Roofline: an insightful visual performance model for multicore
architectures", *Communications of the ACM* 52 (2009)). Both rates are measured, on one core and on
as many as there are threads, for working sets from the first cache to four times the last, up to
256 MB. Where the data of a size fit a cache, that cache's rate counts, because the previous
pass has left them there.
"""

import os
import subprocess
from pathlib import Path
from typing import Annotated

import msgspec
from msgspec import Meta, Struct

from gradrace.bench.machine import child, facts
from gradrace.bench.machine.ranges import Caches, Count, Rate, Threads

_PATIENCE = 120  # seconds


class Roofline(Struct, frozen=True):
    """What the machine can do at best, at each number of threads and size of a working set.

    For each number of threads (as text, because JSON has no other keys), `read` has the bytes per
    second at each of the `sizes` in bytes, and `fma` the multiply-adds per second; `read_again` and
    `fma_again` have the same of the second-best repetition. `caches` as in `facts.Machine`.
    """

    sizes: Annotated[list[Count], Meta(min_length=1)]
    read: dict[Threads, list[Rate]]
    read_again: dict[Threads, list[Rate]]
    fma: dict[Threads, Rate]
    fma_again: dict[Threads, Rate]
    caches: Caches


class Limit(Struct, frozen=True):
    """The least seconds per pass over the samples, and what sets them."""

    seconds: float
    by: str


_AGREE = 1.1
"""The largest ratio of the best repetition to the second best at which the best is trusted."""


def measured(threads: int, cache: Path | None = None) -> Roofline:
    """Measure in a fresh process with this many threads; `cache` is Numba's.

    Raises:
        RuntimeError: that process failed; the message is the last line it wrote.

    """
    environment = {**os.environ, **facts.thread_environment(threads)}
    if cache is not None:
        environment["NUMBA_CACHE_DIR"] = str(cache)
    process = child.start(_CHILD, str(threads), output=subprocess.PIPE, environment=environment)
    try:
        output, _ = process.communicate(timeout=_PATIENCE)
    except subprocess.TimeoutExpired:
        raise RuntimeError(f"no result after {_PATIENCE} s") from None
    finally:
        child.end(process)
    last = (output.decode(errors="replace").strip().splitlines() or ["no result"])[-1]
    if process.returncode:
        raise RuntimeError(last)
    return msgspec.json.decode(last, type=Roofline)


_CHILD = (
    "import msgspec; from gradrace.bench.machine import peak; "
    "print(msgspec.json.encode(peak.measure(int(sys.argv[1]))).decode())"
)


def best(first: Roofline | None, second: Roofline) -> Roofline:
    """Return the two best rates of two measurements: other processes can only lower them."""
    if first is None:
        return second
    read, read_again, fma, fma_again = {}, {}, {}, {}
    for count in second.read:
        rates = [roofline for one in (first, second) for roofline in (one.read, one.read_again)]
        sizes = zip(*(rate[count] for rate in rates), strict=True)
        best_two = [sorted(at_size)[:-3:-1] for at_size in sizes]
        read[count], read_again[count] = map(list, zip(*best_two, strict=True))
        peaks = [rate[count] for one in (first, second) for rate in (one.fma, one.fma_again)]
        fma[count], fma_again[count] = sorted(peaks)[:-3:-1]
    return Roofline(second.sizes, read, read_again, fma, fma_again, second.caches)


def limit(
    roofline: Roofline, n: int, d: int, epochs: int, threads: int, *, once: bool, number: int = 8
) -> Limit | None:
    """Return the least `seconds` per pass over n samples of d features, and what sets them, `by`.

    `threads` are those that the backend uses. What sets the limit is the cache, "L1d", "L2", …,
    "memory", or "FMA", the multiply-adds. A backend that passes over the samples only `once` per
    call makes a multiply-add in that pass for each product of two columns; each epoch is then as
    much work as with d + 2 samples. None if no two repetitions of the measurement agree.

    A `number` takes 8 bytes, or 4 in float32, of which a vector register holds twice as many.
    """
    count = _count(roofline, threads)
    data, adds = number * n * (d + 1), number / 8
    if not once:
        return _pass(roofline, count, data, adds * n * (2 * d + 1))
    first = _pass(roofline, count, data, adds * n * (d * (d + 3) // 2 + 1))
    every = _pass(roofline, count, number * (d + 2) * (d + 3) / 2, adds * (d + 1) * (d + 2))
    if first is None or every is None:
        return None
    longer = max(every, first, key=lambda part: part.seconds / (1 if part is every else epochs))
    return Limit(every.seconds + first.seconds / (epochs + 1), longer.by)


def least_pass(roofline: Roofline, n: int, d: int, threads: int, number: int = 8) -> float:
    """Return the seconds that reading the samples once takes at least; 0 if that is not known."""
    values = n * (d + 1)
    found = _pass(roofline, _count(roofline, threads), number * values, number / 8 * values)
    return 0.0 if found is None else found.seconds


def _count(roofline: Roofline, threads: int) -> str:
    most = max(map(int, roofline.read))  # more threads than cores read no faster
    return str(min(threads, most))


def _pass(roofline: Roofline, count: str, size: float, multiply_adds: float) -> Limit | None:
    """Return the seconds these bytes and multiply-adds take at least, and what sets them.

    Between measured sizes the higher of the two rates counts: nothing may be faster than a limit.
    """
    sizes, rates = roofline.sizes, roofline.read[count]
    above = next((i for i, other in enumerate(sizes) if other >= size), len(sizes) - 1)
    around = {max(above - 1, 0), above}
    confirmed = [(rates[i], roofline.read_again[count][i]) for i in around]
    confirmed.append((roofline.fma[count], roofline.fma_again[count]))
    if any(rate > _AGREE * again for rate, again in confirmed):
        return None
    reading = size / max(rates[i] for i in around)
    computing = multiply_adds / roofline.fma[count]
    if computing > reading:
        return Limit(computing, "FMA")
    caches = roofline.caches
    fits = (name for name in sorted(caches, key=caches.__getitem__) if caches[name] >= size)
    return Limit(reading, next(fits, "memory") if caches else "reading")
