"""The limit: how fast this machine reads memory and multiplies and adds, and what follows for us.

A pass over the samples reads n(d + 1) numbers and makes n(2d + 1) multiply-adds: d for ŷ, d for
Xᵀr, one for Σ rᵢ². It can be no faster than the slower of the two, whatever the code (Williams,
Waterman and Patterson, "Roofline: an insightful visual performance model for multicore
architectures", *Communications of the ACM* 52 (2009)). Both rates are measured, on one core and on
as many as there are threads, for working sets from the first cache to four times the last, up to
256 MB. Where the data of a size fit a cache, that cache's rate counts, since the pass before has
left them there.

`python -m bench.roofline` prints what it finds.
"""

import json
import os
import subprocess
from pathlib import Path
from typing import Any

from bench import child, machine

_PATIENCE = 120  # seconds

Roofline = dict[str, Any]
"""`sizes` in bytes; `read` and `fma`: per number of threads, as text since JSON has no other keys,
the bytes a second at each size, and the multiply-adds a second. `caches` as in `machine.facts`."""


def measured(threads: int, cache: Path | None = None) -> Roofline:
    """Measure in a fresh process that may use so many threads; `cache` is Numba's.

    Raises:
        RuntimeError: that process failed; the message is the last line it wrote.

    """
    environment = {**os.environ, **machine.thread_environment(threads)}
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
    found: Roofline = json.loads(last)
    return found


_CHILD = "import json; from bench import peak; print(json.dumps(peak.measure(int(sys.argv[1]))))"


def best(first: Roofline | None, second: Roofline) -> Roofline:
    """Return the higher rates of two measurements: other users of the machine only take away."""
    if first is None:
        return second
    return {
        **second,
        "read": {
            count: [max(pair) for pair in zip(first["read"][count], rates, strict=True)]
            for count, rates in second["read"].items()
        },
        "fma": {count: max(first["fma"][count], rate) for count, rate in second["fma"].items()},
    }


def limit(roofline: Roofline, backend: str, n: int, d: int, epochs: int, threads: int) -> Any:
    """Return the least `seconds` per pass over n samples of d features, and what sets them, `by`.

    That is the cache, "L1d", "L2", …, "memory", or "FMA", the multiply-adds. `gram` reads the
    samples once per call at least, makes (d + 2)² multiply-adds with each, and then has as much to
    do in an epoch as with d + 2 samples.
    """
    most = max(map(int, roofline["read"]))  # more threads than cores read no faster
    count = str(min(threads, most) if backend not in _ON_ONE_CORE else 1)
    if backend != "gram":
        return _pass(roofline, count, 8 * n * (d + 1), n * (2 * d + 1))
    once = _pass(roofline, count, 8 * n * (d + 1), n * (d + 2) ** 2)
    every = _pass(roofline, count, 4 * (d + 2) * (d + 3), (d + 1) * (d + 2))
    longer = max(every, once, key=lambda part: part["seconds"] / (1 if part is every else epochs))
    return {"seconds": every["seconds"] + once["seconds"] / (epochs + 1), "by": longer["by"]}


_ON_ONE_CORE = ("python", "numba", "numba-simd", "gram")


def _pass(roofline: Roofline, count: str, size: float, multiply_adds: float) -> dict[str, Any]:
    """Return the seconds to read so many bytes and make so many multiply-adds, and what sets them.

    Between measured sizes the higher of the two rates counts: nothing may be faster than a limit.
    """
    sizes, rates = roofline["sizes"], roofline["read"][count]
    above = next((i for i, other in enumerate(sizes) if other >= size), len(sizes) - 1)
    reading = size / max(rates[max(above - 1, 0)], rates[above])
    computing = multiply_adds / roofline["fma"][count]
    if computing > reading:
        return {"seconds": computing, "by": "FMA"}
    caches = roofline["caches"]
    fits = (name for name in sorted(caches, key=caches.__getitem__) if caches[name] >= size)
    return {"seconds": reading, "by": next(fits, "memory") if caches else "reading"}


def main() -> None:
    """Print what this machine can do."""
    from bench import terminal
    from bench.report import roofline_table

    terminal.show(roofline_table(measured(len(machine.affinity()))))


if __name__ == "__main__":
    main()
