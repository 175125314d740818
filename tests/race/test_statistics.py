"""The statistics, on data whose true values are known."""

import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gradrace.bench.race.verdict import statistics
from gradrace.bench.race.verdict.statistics import (
    FASTER,
    SLOWER,
    UNDECIDED,
    UNJUDGED,
    Estimate,
    Times,
)

Sessions = dict[int, dict[int, float]]


class Machine:
    """A machine with everything that spoils timings; only the ratio of two arms is reliable.

    It has drift within a session, two speeds that sometimes change in the middle of a pair, spikes,
    noise in every block, and an effect that lasts as long as a process (memory layout).
    """

    def __init__(self, seed: int, layout: float = 0.02, noise: float = 0.01) -> None:
        self.draw, self.layout, self.noise = random.Random(seed), layout, noise

    def race(
        self, ratios: dict[str, float], sessions: int, blocks: int = 20
    ) -> dict[str, Sessions]:
        """Return arm → session → repetition → seconds; `ratios` are speeds against 1 s."""
        found: dict[str, Sessions] = {arm: {} for arm in ratios}
        for session in range(sessions):
            kept = {arm: self.draw.gauss(0, self.layout) for arm in ratios}
            drift, slow = self.draw.uniform(-0.3, 0.3), False
            for block in range(blocks):
                for arm in self.draw.sample(list(ratios), len(ratios)):
                    slow ^= self.draw.random() < 0.1
                    seconds = math.exp(kept[arm] + drift * block / blocks) / ratios[arm]
                    seconds *= (1.6 if slow else 1.0) * math.exp(self.draw.gauss(0, self.noise))
                    if self.draw.random() < 0.05:
                        seconds *= 1 + self.draw.expovariate(0.5)
                    found[arm].setdefault(session, {})[block] = seconds
        return found


class TestPairedLogRatio:
    def test_what_slows_both_drops_out(self) -> None:
        drift = {r: 1.5**r for r in range(10)}
        slow, fast = ({r: k * t for r, t in drift.items()} for k in (3.0, 1.0))
        assert statistics.paired_log_ratio(slow, fast) == pytest.approx(math.log(3))

    def test_a_few_spikes_do_nothing(self) -> None:
        base = {r: 2.0 + 50 * (r in (3, 7)) for r in range(9)}
        other = {r: 1.0 + 90 * (r == 5) for r in range(9)}
        assert statistics.paired_log_ratio(base, other) == pytest.approx(math.log(2))

    def test_only_pairs_count(self) -> None:
        base: Times = {0: 2.0, 5: 2.0, 9: 2.0}
        assert statistics.paired_log_ratio(base, {r: float(r) for r in range(1, 9)}) == (
            pytest.approx(math.log(2 / 5))
        )
        assert statistics.paired_log_ratio(base, {1: 1.0}) is None


class TestSpeedUp:
    def test_is_the_geometric_mean_of_the_sessions(self) -> None:
        base = {1: {0: 2.0}, 2: {0: 8.0}, 3: {0: 5.0}}
        other = {1: {0: 1.0}, 2: {0: 1.0}, 4: {0: 1.0}}
        ratio = statistics.speed_up(base, other)
        assert ratio is not None
        assert ratio.value == pytest.approx(4.0)
        half = 12.7062 * (math.log(8) - math.log(2)) / math.sqrt(2) / math.sqrt(2)
        assert ratio.low == pytest.approx(4 / math.exp(half), rel=1e-4)
        assert ratio.high == pytest.approx(4 * math.exp(half), rel=1e-4)

    def test_one_session_has_no_interval(self) -> None:
        assert statistics.speed_up({1: {0: 3.0}}, {1: {0: 1.5}}) == Estimate(2.0, 0.0, math.inf)

    def test_nothing_in_common(self) -> None:
        assert statistics.speed_up({1: {0: 3.0}}, {2: {0: 1.5}}) is None

    @pytest.mark.parametrize("sessions", [3, 8])
    def test_the_interval_covers_the_truth_in_95_of_100_runs(self, sessions: int) -> None:
        machine, truth, covered = Machine(seed=sessions), 1.7, 0
        for _ in range(400):
            times = machine.race({"base": 1.0, "other": truth}, sessions)
            ratio = statistics.speed_up(times["base"], times["other"])
            assert ratio is not None
            covered += ratio.low <= truth <= ratio.high
        assert 360 <= covered <= 396


class TestVerdict:
    @pytest.mark.parametrize(
        ("ratio", "floor", "words"),
        [
            (Estimate(1.30, 1.20, 1.40), 0.02, FASTER),
            (Estimate(0.70, 0.60, 0.80), 0.02, SLOWER),
            (Estimate(1.30, 0.99, 1.80), 0.02, UNDECIDED),  # the interval holds 1
            (Estimate(1.04, 1.03, 1.05), 0.01, UNDECIDED),  # below 5 %
            (Estimate(0.96, 0.95, 0.97), 0.01, UNDECIDED),
            (Estimate(1.06, 1.05, 1.07), 0.01, FASTER),
            (Estimate(1.30, 1.20, 1.40), 0.31, UNDECIDED),  # below the A/A floor
            (Estimate(1.30, 1.20, 1.40), None, UNJUDGED),
            (Estimate(9.00, 0.00, math.inf), 0.01, UNJUDGED),  # one session
            (None, 0.01, UNJUDGED),
        ],
    )
    def test_the_rule(self, ratio: Estimate | None, floor: float | None, words: str) -> None:
        assert statistics.verdict(ratio, floor) == words

    @given(st.floats(1.001, 100), st.floats(1.0, 1.5), st.floats(0, 0.5))
    def test_faster_one_way_is_slower_the_other(
        self, value: float, width: float, floor: float
    ) -> None:
        ratio = Estimate(value, value / width, value * width)
        inverse = Estimate(1 / value, 1 / ratio.high, 1 / ratio.low)
        opposite = {FASTER: SLOWER, SLOWER: FASTER, UNDECIDED: UNDECIDED}
        assert statistics.verdict(inverse, floor) == opposite[statistics.verdict(ratio, floor)]

    @pytest.mark.parametrize("sessions", [3, 8])
    def test_identical_code_is_rarely_told_apart(self, sessions: int) -> None:
        machine, wrong = Machine(seed=40 + sessions, layout=0.04), 0
        for _ in range(200):
            times = machine.race({"base": 1.0, "same": 1.0, "a": 1.0, "aa": 1.0}, sessions)
            floor = statistics.noise(statistics.speed_up(times["a"], times["aa"]))
            ratio = statistics.speed_up(times["base"], times["same"])
            wrong += statistics.verdict(ratio, floor) != UNDECIDED
        assert wrong < 0.05 * 200

    def test_a_real_difference_is_seen(self) -> None:
        machine, seen = Machine(seed=9), 0
        for _ in range(100):
            times = machine.race({"base": 1.0, "other": 1.2, "again": 1.2}, sessions=8)
            floor = statistics.noise(statistics.speed_up(times["other"], times["again"]))
            ratio = statistics.speed_up(times["base"], times["other"])
            seen += statistics.verdict(ratio, floor) == FASTER
        assert seen > 0.95 * 100


class TestFloor:
    def test_is_the_farther_end_of_the_interval(self) -> None:
        assert statistics.noise(Estimate(1.01, 0.98, 1.04)) == pytest.approx(0.04)
        assert statistics.noise(Estimate(0.99, 0.90, 1.02)) == pytest.approx(1 / 0.9 - 1)

    def test_needs_an_interval(self) -> None:
        assert statistics.noise(Estimate(1.0, 0.0, math.inf)) is None
        assert statistics.noise(None) is None


class TestChange:
    def test_welchs_interval(self) -> None:
        # sleep's two groups of Student (1908): t = −1.8608 with 17.776 degrees of freedom
        one = [0.7, -1.6, -0.2, -1.2, -0.1, 3.4, 3.7, 0.8, 0.0, 2.0]
        two = [1.9, 0.8, 1.1, 0.1, -0.1, 4.4, 5.5, 1.6, 4.6, 3.4]
        found = statistics.change([math.exp(x) for x in one], [math.exp(x) for x in two])
        assert found is not None
        assert math.log(found.value) == pytest.approx(1.58)
        # R's t.test gives [−0.2055, 3.3655]; whole degrees of freedom, 17, widen it a little
        assert math.log(found.low) == pytest.approx(-0.2055, abs=0.01)
        assert math.log(found.high) == pytest.approx(3.3655, abs=0.01)

    def test_without_any_scatter(self) -> None:
        assert statistics.change([1.0, 1.0], [2.0, 2.0]) == Estimate(2.0, 2.0, 2.0)

    def test_one_session_has_no_interval(self) -> None:
        found = statistics.change([1.0], [2.0, 2.1])
        assert found is not None
        assert (found.low, found.high) == (0.0, math.inf)

    def test_nothing(self) -> None:
        assert statistics.change([], [1.0]) is None


class TestBreakEven:
    @given(st.floats(0, 100), st.floats(0.01, 10), st.floats(0.01, 10))
    def test_is_the_first_run_that_is_ahead(
        self, compiling: float, steady: float, other: float
    ) -> None:
        count = statistics.break_even(compiling + steady, steady, other)
        if other <= steady:
            assert count is None
            return
        assert count is not None
        slack = 1e-9 * (compiling + count * other)
        assert compiling + count * steady <= count * other + slack
        if count > 1:
            assert compiling + (count - 1) * steady >= (count - 1) * other - slack


class TestTQuantile:
    @pytest.mark.parametrize(
        ("freedom", "value"),  # any table of Student's t, two-sided 95 %
        [
            *((1, 12.706), (2, 4.303), (3, 3.182), (4, 2.776), (7, 2.365)),
            *((10, 2.228), (30, 2.042), (120, 1.980), (1000, 1.962)),
        ],
    )
    def test_the_table(self, freedom: int, value: float) -> None:
        assert statistics.t_quantile(0.975, freedom) == pytest.approx(value, abs=5e-4)
