"""The statistics: what a set of timing sessions shows, and what it does not.

Every function is pure: times in, figures out. A session is a fresh process. It brings what no
repetition inside it can average away: where memory landed, how busy the machine was. So the session
is the unit, and its repetitions only make its own figure more precise (Kalibera and Jones,
"Rigorous Benchmarking in Reasonable Time", ISMM 2013).

Inside a session, two backends are timed in pairs, one shortly after the other, in a shuffled order.
Whatever slows the machine for seconds slows both, and cancels in their ratio. The noise of a run is
how much two identical copies seem to differ in it.
"""

import math
from collections.abc import Mapping, Sequence
from functools import cache
from statistics import NormalDist, fmean, median, stdev
from typing import Final, Literal

from msgspec import Struct

from gradrace.bench.machine.ranges import MOST_SESSIONS
from gradrace.bench.parts import Ratio

LEAST_EFFECT = 0.05
"""Smaller differences, as a share, are never reported; they change from day to day."""

FASTER: Final = "faster"
SLOWER: Final = "slower"
UNDECIDED: Final = "no difference shown"
UNJUDGED: Final = "not judged"

SpeedVerdict = Literal["faster", "slower", "no difference shown", "not judged"]
"""What a ratio of two speeds shows; see `verdict`"""

Times = Mapping[int, float]
"""Repetition → seconds, of one entry in one session."""


class Estimate(Struct, frozen=True):
    """A positive figure with its 95 % interval."""

    value: float
    low: float
    """0 where a single session gives no interval"""
    high: float
    """inf where a single session gives no interval"""

    @property
    def ratio(self) -> Ratio:
        """The figure as a cell of a table."""
        return Ratio(self.value, self.low, self.high) if self.low else Ratio(self.value)

    def __truediv__(self, divisor: float) -> "Estimate":
        """Return the estimate in another unit."""
        return Estimate(self.value / divisor, self.low / divisor, self.high / divisor)


def paired_log_ratio(base: Times, other: Times) -> float | None:
    """Return the median of ln(base/other) over the repetitions of one session that have both."""
    both = base.keys() & other.keys()
    return median(math.log(base[r] / other[r]) for r in both) if both else None


def speed_up(base: Mapping[int, Times], other: Mapping[int, Times]) -> Estimate | None:
    """Return how many times as fast `other` is as `base`; both map session → repetition → seconds.

    exp of the mean over the K sessions of their median paired log-ratio, with the t-interval of
    K − 1 degrees of freedom. None if no session has both.
    """
    shared = sorted(base.keys() & other.keys())
    logs = [paired_log_ratio(base[s], other[s]) for s in shared]
    return geometric_mean([math.exp(value) for value in logs if value is not None])


def geometric_mean(values: Sequence[float]) -> Estimate | None:
    """Return exp(mean ± t₀.₉₇₅ s/√K) of the logarithms of K positive values; None if K = 0."""
    if not values:
        return None
    logs = [math.log(value) for value in values]
    center, half = fmean(logs), math.inf
    if len(logs) > 1:
        half = t_quantile(0.975, len(logs) - 1) * stdev(logs) / math.sqrt(len(logs))
    return Estimate(_exp(center), _exp(center - half), _exp(center + half))


def change(old: Sequence[float], new: Sequence[float]) -> Estimate | None:
    """Return new/old with its 95 % interval, from the session figures of two separate runs.

    The sessions of two runs are not paired, so this is Welch's t-interval of the difference of the
    mean logarithms (Welch, Biometrika 34, 1947). None if one of them is empty.
    """
    if not (old and new):
        return None
    logs = [[math.log(value) for value in values] for values in (old, new)]
    difference = fmean(logs[1]) - fmean(logs[0])
    if min(len(old), len(new)) < 2:
        return Estimate(_exp(difference), 0.0, math.inf)
    parts = [stdev(values) ** 2 / len(values) for values in logs]
    if sum(parts) == 0:
        return Estimate(*[_exp(difference)] * 3)
    freedom = sum(parts) ** 2 / sum(
        part**2 / (len(values) - 1) for part, values in zip(parts, logs, strict=True)
    )
    half = t_quantile(0.975, max(1, math.floor(freedom))) * math.sqrt(sum(parts))
    return Estimate(_exp(difference), _exp(difference - half), _exp(difference + half))


def sessions_below(ratio: Estimate, sessions: int, limit: float) -> int | None:
    """Return how many sessions it takes until the interval of a ratio lies below `limit`.

    The spread of the sessions is what the interval of the `sessions` so far shows, and is assumed
    to stay the same. None if the ratio is not below the limit, or has no interval.
    """
    room = math.log(limit) - math.log(ratio.value)
    if sessions < 2 or not 0 < ratio.high < math.inf or room <= 0:
        return None
    half = math.log(ratio.high / ratio.value)
    spread = half * math.sqrt(sessions) / t_quantile(0.975, sessions - 1)
    number = 2
    while t_quantile(0.975, number - 1) * spread / math.sqrt(number) >= room:
        number = math.ceil(1.05 * number)
        if number > MOST_SESSIONS:
            return None
    return number


def noise(duplicate: Estimate | None) -> float | None:
    """Return how far from 1 the interval of two identical entries reaches.

    0.02 means that this run cannot distinguish a difference of 2 % from none. None without an
    interval.
    """
    if duplicate is None or duplicate.low == 0:
        return None
    return max(duplicate.high, 1 / duplicate.low) - 1


def verdict(
    ratio: Estimate | None, blur: float | None, least: float = LEAST_EFFECT
) -> SpeedVerdict:
    """Say in words what a ratio of speeds shows; above 1 is faster.

    A difference is shown only if the interval excludes 1 and the effect exceeds both `least`, a
    share, and the noise of the same run, `blur`. Without an interval or a noise, nothing can be
    judged.
    """
    if ratio is None or blur is None or ratio.low == 0:
        return UNJUDGED
    if ratio.low <= 1 <= ratio.high:
        return UNDECIDED
    if max(ratio.value, 1 / ratio.value) - 1 <= max(least, blur):
        return UNDECIDED
    return FASTER if ratio.value > 1 else SLOWER


def break_even(first: float, steady: float, other: float) -> int | None:
    """Return after how many runs a backend has caught up with one that need not compile.

    The least N with first + (N − 1)·steady ≤ N·other, ⌈(first − steady)/(other − steady)⌉, at least
    1; None if it never does. All three are seconds per run; `first` includes compiling.
    """
    if other <= steady:
        return None
    return max(1, math.ceil((first - steady) / (other - steady)))


@cache  # every interval of a run asks for the same one
def t_quantile(probability: float, freedom: int) -> float:
    """Return the quantile above the median of Student's t-distribution with `freedom` degrees.

    Bisection of the distribution function, which for whole degrees is a finite sum (Abramowitz and
    Stegun, *Handbook of Mathematical Functions*, 26.7.3 and 26.7.4); beyond 200 degrees the normal
    quantile with its first correction (26.7.5).
    """
    z = NormalDist().inv_cdf(probability)
    if freedom > 200:
        return z + (z**3 + z) / (4 * freedom)
    low, high = z, 2 * z
    while _t_probability(high, freedom) < probability:
        high *= 2
    for _ in range(100):
        middle = (low + high) / 2
        if _t_probability(middle, freedom) < probability:
            low = middle
        else:
            high = middle
    return high


def _t_probability(t: float, freedom: int) -> float:
    """Return P(T ≤ t) for t ≥ 0."""
    angle = math.atan(t / math.sqrt(freedom))
    square, term, total = math.cos(angle) ** 2, 1.0, 0.0
    first = freedom % 2  # the sums differ for odd and even degrees of freedom
    for k in range(first, freedom - 1, 2):
        total += term
        term *= square * (k + 1) / (k + 2)
    if first:
        return 0.5 + (angle + math.sin(angle) * math.cos(angle) * total) / math.pi
    return 0.5 + math.sin(angle) * total / 2


def _exp(value: float) -> float:
    return math.exp(value) if value < 700 else math.inf
