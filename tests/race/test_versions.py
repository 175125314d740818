"""Two versions in one race: what changed, what can be ruled out, and what fails a gate."""

from collections.abc import Callable
from pathlib import Path

import pytest
from gradrace.bench.race.schema import LeftOut, ResultFile
from gradrace.bench.race.versions import changes
from gradrace.bench.report.formats import race_junit
from gradrace.bench.report.race import race_summary
from gradrace.bench.report.versions import gate

from gradrace.backends import ABSENT
from gradrace.bench.race import statistics
from gradrace.bench.race.conclusions import conclude
from gradrace.bench.race.statistics import Estimate

THEN = {"100x1": 1e-6, "1000x1": 1e-5}
Race = Callable[..., ResultFile]


@pytest.fixture
def raced(tmp_path: Path) -> Race:
    """Race `numba` against `before`, with these ratios of their times."""

    from tests.runs import write_run

    def write(*ratios: float, spread: float = 1e-3, sessions: int = 10) -> ResultFile:
        times = {
            case: {"numba": ratio * then, "before": then}
            for (case, then), ratio in zip(THEN.items(), ratios, strict=True)
        }
        return write_run(
            tmp_path / "race.json",
            times,
            spread=spread,
            sessions=sessions,
            versions={"before": "numba"},
        )

    return write


def test_one_percent_is_seen_where_the_sessions_allow(raced: Race) -> None:
    slower, faster = changes(raced(1.01, 0.99))
    assert (slower.verdict, faster.verdict) == (statistics.SLOWER, statistics.FASTER)
    assert slower.ratio.low < 1.01 < slower.ratio.high


def test_equal_code_is_not_called_different(raced: Race) -> None:
    assert {change.verdict for change in changes(raced(1.0, 1.0))} == {statistics.UNDECIDED}


def test_the_noise_of_equal_copies_hides_a_difference(raced: Race) -> None:
    content = raced(1.01, 1.01, spread=1e-4)
    for arm in content["benchmarks"]:
        if arm["extra_info"]["duplicate"]:
            arm["stats"]["data"][:] = [1.02 * value for value in arm["stats"]["data"]]
    assert {change.verdict for change in changes(content)} == {statistics.UNDECIDED}


def test_a_single_session_judges_nothing(raced: Race) -> None:
    assert {change.verdict for change in changes(raced(2.0, 1.0, sessions=1))} == {
        statistics.UNJUDGED
    }


def test_a_change_of_precision_is_said_first(raced: Race) -> None:
    content = raced(0.5, 0.5)
    content["gradrace"]["backends"]["numba"]["precision"] = "float32"
    assert str(race_summary(content)[0]).startswith(
        "numba computes in float32, and at before in float64. numba is faster than it was at "
    )


def test_the_answer_comes_first(raced: Race) -> None:
    first = str(race_summary(raced(1.02, 1.0))[0])
    assert first.startswith(
        "numba is slower than it was at before: 2.0 % more time (1.9 to 2.1 %) on 100 × 1. "
    )
    assert "No difference is shown on 1,000 × 1; a slowdown of more than 0." in first


class TestGate:
    @pytest.mark.parametrize(
        ("limits", "passed", "words"),
        [
            ({}, True, ""),
            (
                {"": 0.01},
                False,
                "Failed: numba on 100 × 1 is slower than at before by more than 1 %.",
            ),
            ({"": 0.01, "100x1": 0.05}, True, "Passed: every slowdown above the limit is ruled"),
            ({"1000x1": 0.05}, True, "Passed"),
            ({"100x1": 0.02}, True, "Undecided: numba on 100 × 1"),
        ],
    )
    def test_the_whole_interval_must_exceed_the_limit(
        self, raced: Race, limits: dict[str, float], passed: bool, words: str
    ) -> None:
        found, lines = gate(raced(1.02, 1.0), limits)
        assert found is passed
        assert words in " ".join(lines)

    def test_an_interval_that_holds_the_limit_decides_nothing(self, raced: Race) -> None:
        content = raced(1.03, 1.0, spread=0.03)
        change = changes(content)[0]
        limit = (change.ratio.low + change.ratio.value) / 2 - 1
        assert gate(content, {"100x1": limit})[0]
        assert not gate(content, {"100x1": change.ratio.low - 1.001})[0]

    def test_what_equal_copies_differ_by_is_not_ruled_out(self, raced: Race) -> None:
        content = raced(1.0, 1.0, spread=1e-4)
        for arm in content["benchmarks"]:
            if arm["extra_info"]["duplicate"]:
                arm["stats"]["data"][:] = [1.02 * value for value in arm["stats"]["data"]]
        passed, lines = gate(content, {"": 0.01})
        assert passed
        assert lines[0] == "Passed: no slowdown above the limit is shown."
        assert lines[1].startswith(
            "Undecided: numba on 100 × 1 may be slower than at before by more than 1 %"
        )

    def test_what_is_open_says_how_many_sessions_decide(self, raced: Race) -> None:
        passed, lines = gate(raced(1.0, 1.0, spread=0.05), {"": 0.01})
        assert passed
        assert "sessions would rule that out" in " ".join(lines)

    def left_out(self, content: ResultFile, backend: str, *sizes: str) -> ResultFile:
        """Take away the times of a backend at some sizes."""
        content["benchmarks"][:] = [
            arm
            for arm in content["benchmarks"]
            if arm["extra_info"]["backend"] != backend or arm["group"] not in sizes
        ]
        for case in sizes:
            reason = "too slow: a call of one epoch takes 3 s"
            entry = LeftOut(case=case, backend=backend, reason=reason, fault=False)
            content["gradrace"]["left_out"].append(entry)
        conclude(content)
        return content

    def test_nothing_compared_is_no_success(self, raced: Race) -> None:
        content = self.left_out(raced(1.0, 1.0), "before", *THEN)
        content = self.left_out(content, "numba", *THEN)
        passed, lines = gate(content, {"": 0.1})
        assert not passed
        assert lines[0] == "Failed: nothing was compared."
        assert lines[1] == "Not compared: before on 100 × 1: a call of one epoch takes 3 s."

    def test_what_cannot_be_timed_any_more_is_a_failure(self, raced: Race) -> None:
        content = self.left_out(raced(1.0, 1.0), "numba", "1000x1")
        passed, lines = gate(content, {"": 0.1})
        assert not passed
        assert lines[0] == (
            "Failed: numba on 1,000 × 1 is not timed any more: a call of one epoch takes 3 s."
        )
        assert "Not compared" not in " ".join(lines)
        assert "<failure" in race_junit(content, {"": 0.1})
        assert gate(content, {"100x1": 0.1})[0]  # the other size has no limit
        assert "<failure" not in race_junit(content, {"100x1": 0.1})

    def test_what_was_wrong_then_passes(self, raced: Race) -> None:
        assert gate(self.left_out(raced(1.0, 1.0), "before", *THEN), {"": 0.1})[0]

    def test_what_could_not_be_timed_then_is_said(self, raced: Race) -> None:
        content = self.left_out(raced(1.0, 1.0), "before", "1000x1")
        passed, lines = gate(content, {"": 0.1})
        assert passed
        assert lines == [
            "Passed: no slowdown above the limit is shown.",
            "Not compared: before on 1,000 × 1: a call of one epoch takes 3 s.",
        ]

    def test_a_single_session_is_no_success(self, raced: Race) -> None:
        passed, (reason,) = gate(raced(1.0, 1.0, sessions=1), {"": 0.1})
        assert not passed
        assert reason == "Failed: too few sessions to compare versions; that takes two or more."

    def test_a_new_backend_passes(self, raced: Race) -> None:
        content = raced(1.0, 1.0)
        content["benchmarks"][:] = []
        content["gradrace"]["left_out"] = [
            {
                "case": "every case",
                "backend": "before",
                "reason": f"{ABSENT} 0",
                "fault": True,
            }
        ]
        assert gate(content, {"": 0.1}) == (True, ["Passed: no earlier version exists."])


@pytest.mark.parametrize("sessions", [2, 3, 10, 50])
def test_the_sessions_that_rule_a_limit_out(sessions: int) -> None:
    """With the spread that the interval shows, so many do, and noticeably fewer do not."""
    spread, limit, value = 0.01, 1.02, 1.005

    def high(number: int) -> float:
        half = statistics.t_quantile(0.975, number - 1) * spread / number**0.5
        return float(value * 2.718281828459045**half)

    seen = Estimate(value, value**2 / high(sessions), high(sessions))
    needed = statistics.sessions_below(seen, sessions, limit)
    assert needed is not None
    assert high(needed) < limit <= high(max(2, int(needed / 1.05) - 2)) or needed == 2
    assert statistics.sessions_below(seen, sessions, 1.004) is None
