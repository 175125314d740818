"""Two versions of a backend, in one race or in two: what changed, and what fails a gate."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from gradrace.backends import ABSENT
from gradrace.backends.interface import InputValueError, Setting
from gradrace.bench.parts import Answer, Caution, Table
from gradrace.bench.race import run
from gradrace.bench.race.settings import QUICK_SETTINGS
from gradrace.bench.race.verdict import statistics
from gradrace.bench.race.verdict.change import (
    Change,
    changes,
    gate,
    missing,
    require_limits,
    sentences,
)
from gradrace.bench.race.verdict.comparison import Comparison, compare
from gradrace.bench.race.verdict.race import Race
from gradrace.bench.race.verdict.result import EVERY, LeftOut, ResultFile
from gradrace.bench.race.verdict.statistics import Estimate
from gradrace.bench.show.text import as_option, worded
from tests.runs import drop, write_run

THEN = {"100x1": 1e-6, "1000x1": 1e-5}
Raced = Callable[..., ResultFile]


def duplicates_slower(content: ResultFile, ratio: float) -> ResultFile:
    """Make identical copies differ by a ratio."""
    for one in content.benchmarks:
        if one.extra_info.duplicate:
            one.stats.data[:] = [ratio * value for value in one.stats.data]
    return content


class TestInOneRace:
    """`numba` against `before`, its earlier version."""

    @pytest.fixture
    def raced(self, tmp_path: Path) -> Raced:
        def write(*ratios: float, spread: float = 1e-3, sessions: int = 10) -> ResultFile:
            times = {
                case: {"numba": ratio * then, "before": then}
                for (case, then), ratio in zip(THEN.items(), ratios, strict=True)
            }
            versions = {"before": "numba"}
            path = tmp_path / "race.json"
            return write_run(path, times, spread=spread, sessions=sessions, versions=versions)

        return write

    def judged(self, content: ResultFile, limits: dict[str, float]) -> tuple[bool, list[str]]:
        return gate(changes(content), limits, missing(content, limits))

    def test_one_percent_is_seen_where_the_sessions_allow(self, raced: Raced) -> None:
        slower, faster = changes(raced(1.01, 0.99))
        assert (slower.verdict, faster.verdict) == (statistics.SLOWER, statistics.FASTER)
        assert slower.slowdown.low < 1.01 < slower.slowdown.high
        assert slower.old == pytest.approx(slower.new * slower.speed_up.value)

    @pytest.mark.parametrize(
        ("ratio", "copies", "sessions", "verdict"),
        [
            (1.0, 1.0, 10, statistics.UNDECIDED),
            (1.01, 1.02, 10, statistics.UNDECIDED),  # equal copies differ by more
            (2.0, 1.0, 1, statistics.UNJUDGED),
        ],
    )
    def test_equal_code_is_not_called_different(
        self, raced: Raced, ratio: float, copies: float, sessions: int, verdict: str
    ) -> None:
        content = duplicates_slower(raced(ratio, ratio, spread=1e-4, sessions=sessions), copies)
        assert {change.verdict for change in changes(content)} == {verdict}

    def test_the_answer_says_how_much(self, raced: Raced) -> None:
        (first,) = sentences(raced(1.02, 1.0))
        assert str(first).startswith(
            "numba is slower than it was at before: 2.0 % more time (1.9 to 2.1 %) on 100 × 1. "
            "No difference is shown on 1,000 × 1; a slowdown of more than 0."
        )

    def test_a_change_of_precision_is_said_first(self, raced: Raced) -> None:
        content = raced(0.5, 0.5)
        content.gradrace.backends["numba"].precision = "float32"
        (first,) = sentences(content)
        assert str(first).startswith("numba computes in float32, and at before in float64. ")

    def test_the_verdict_stands_before_table_and_warnings(self, raced: Raced) -> None:
        race = Race("race.json", raced(1.02, 1.0), {"": 0.01})
        first, *others = race.parts()
        assert isinstance(first, Answer)
        assert str(first).startswith("Failed: ")
        (table,) = (part for part in others if isinstance(part, Table))
        titles = [column.title for column in table.columns]
        assert titles[2:4] == ["times as fast (95 %)", "verdict"]
        assert not race.passed
        assert Race("race.json", race.content, {"": 0.05}).passed

    def test_an_earlier_version_is_nobodys_fault(self, raced: Raced) -> None:
        content = raced(1.0, 1.0)
        content.gradrace.left_out = [
            LeftOut("100x1", backend, "is wrong", fault=True) for backend in ("numba", "before")
        ]
        assert Race("race.json", content).faults == ["numba on 100x1: is wrong"]

    @pytest.mark.parametrize(
        ("limits", "passed", "words"),
        [
            ({}, True, []),
            ({"": 0.01}, False, ["Failed: numba on 100 × 1 is slower than before by more than 1"]),
            (
                {"": 0.01, "100x1": 0.05},
                True,
                ["Passed: every slowdown above the limit is ruled out."],
            ),
            ({"1000x1": 0.05}, True, ["Passed: every slowdown above the limit is ruled out."]),
            (
                {"100x1": 0.02},
                True,
                [
                    "Undecided: numba on 100 × 1 may be slower than before by more than 2 %",
                    "No slowdown above the limit is shown.",
                ],
            ),
        ],
    )
    def test_the_whole_interval_must_exceed_the_limit(
        self, raced: Raced, limits: dict[str, float], passed: bool, words: list[str]
    ) -> None:
        found, lines = self.judged(raced(1.02, 1.0), limits)
        assert found is passed
        assert len(lines) == len(words)
        for line, word in zip(lines, words, strict=True):
            assert line.startswith(word)

    def test_an_interval_that_holds_the_limit_decides_nothing(self, raced: Raced) -> None:
        content = raced(1.03, 1.0, spread=0.03)
        slowdown = changes(content)[0].slowdown
        assert self.judged(content, {"100x1": (slowdown.low + slowdown.value) / 2 - 1})[0]
        assert not self.judged(content, {"100x1": slowdown.low - 1.001})[0]

    def test_what_equal_copies_differ_by_is_not_ruled_out(self, raced: Raced) -> None:
        content = duplicates_slower(raced(1.0, 1.0, spread=1e-4), 1.02)
        passed, lines = self.judged(content, {"": 0.01})
        assert passed
        assert lines[0].startswith(
            "Undecided: numba on 100 × 1 may be slower than before by more than 1 %"
        )
        assert lines[-1] == "No slowdown above the limit is shown."

    def test_what_is_open_says_how_many_sessions_decide(self, raced: Raced) -> None:
        passed, lines = self.judged(raced(1.0, 1.0, spread=0.05), {"": 0.01})
        assert passed
        assert "sessions would rule that out" in lines[0]

    def left_out(self, content: ResultFile, backend: str, *sizes: str) -> ResultFile:
        reason = "too slow: a call of one epoch takes 3 s"
        content.gradrace.left_out += [LeftOut(size, backend, reason, False) for size in sizes]
        return drop(content, backend, *sizes)

    def test_nothing_compared_is_no_success(self, raced: Raced) -> None:
        content = self.left_out(raced(1.0, 1.0), "before", *THEN)
        assert self.judged(content, {"": 0.1})[0]  # it was too slow then
        content = self.left_out(content, "numba", *THEN)
        passed, lines = self.judged(content, {"": 0.1})
        assert not passed
        assert lines[:2] == [
            "Failed: nothing was compared.",
            "Not compared: before on 100 × 1: a call of one epoch takes 3 s.",
        ]

    def test_what_cannot_be_timed_any_more_is_a_failure(self, raced: Raced) -> None:
        content = self.left_out(raced(1.0, 1.0), "numba", "1000x1")
        passed, lines = self.judged(content, {"": 0.1})
        assert not passed
        assert lines == [
            "Failed: numba on 1,000 × 1 is not timed any more: a call of one epoch takes 3 s."
        ]
        assert self.judged(content, {"100x1": 0.1})[0]  # the other size has no limit

    def test_what_could_not_be_timed_then_is_said(self, raced: Raced) -> None:
        content = self.left_out(raced(1.0, 1.0), "before", "1000x1")
        assert self.judged(content, {"": 0.1}) == (
            True,
            [
                "Not compared: before on 1,000 × 1: a call of one epoch takes 3 s.",
                "No slowdown above the limit is shown.",
            ],
        )

    def test_a_single_session_is_no_success(self, raced: Raced) -> None:
        assert self.judged(raced(1.0, 1.0, sessions=1), {"": 0.1}) == (
            False,
            ["Failed: too few sessions to compare versions; that takes two or more."],
        )

    def test_a_new_backend_passes(self, raced: Raced) -> None:
        content = raced(1.0, 1.0)
        content.benchmarks = []
        content.gradrace.left_out = [LeftOut(EVERY, "before", f"{ABSENT} 0", fault=True)]
        assert self.judged(content, {"": 0.1}) == (True, ["Passed: no earlier version exists."])

    def test_where_no_backend_has_changed_nothing_is_raced(self, tmp_path: Path) -> None:
        settings = replace(QUICK_SETTINGS, backends=("numpy",))
        race = run.unchanged(tmp_path, settings, "v1.0")
        assert Race(tmp_path).about == race.about
        assert list(map(str, race.parts()))[:1] == [
            "No backend has changed since v1.0, so nothing was raced."
        ]
        held = Race(tmp_path, limits={"": 0.01})
        assert held.passed
        assert str(next(held.parts())) == "Passed: no backend has changed."
        assert not [part for part in held.parts(detail=True) if isinstance(part, Caution)]

    def test_a_revision_is_named(self, raced: Raced) -> None:
        change: Change = changes(raced(1.02, 1.0))[0]
        at = Change(**{**vars(change), "earlier": "v1.0"})
        assert gate([at], {"": 0.01})[1] == [
            "Failed: numba on 100 × 1 is slower than at v1.0 by more than 1 %."
        ]


@pytest.mark.parametrize(
    ("limits", "versions", "message"),
    [
        ({"": 0.1}, False, "--fail-above: needs an earlier version; add --against or NAME@REV"),
        ({"9x9": 0.1}, True, "--fail-above: the size 9x9 is not in the race"),
    ],
)
def test_limits_that_cannot_be_held(limits: dict[str, float], versions: bool, message: str) -> None:
    """Each front words the argument: --fail-above here, fail_above in Python."""
    require_limits({}, [], versions=False)
    require_limits({"": 0.1, "1x1": 0.2}, ["1x1"], versions=True)
    with pytest.raises(InputValueError) as caught:
        require_limits(limits, ["1x1"], versions=versions)
    assert worded(caught.value.args, as_option) == message
    assert str(caught.value) == message.replace("--fail-above", str(Setting("fail_above"))).replace(
        "--against", str(Setting("against"))
    )


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


OLD = {
    "100x1": {"python": 4e-5, "numpy": 8e-6, "numba": 1e-7},
    "1000x1": {"python": 4e-4, "numpy": 1e-5, "numba": 1e-6},
}
Pair = Callable[..., tuple[Path, Path]]


def changed(**times: float) -> dict[str, dict[str, float]]:
    return {**OLD, "100x1": {**OLD["100x1"], **times}}


class TestInTwoRaces:
    @pytest.fixture
    def pair(self, tmp_path: Path) -> Pair:
        """Write an old and a new run and return their paths."""

        def write(new: dict[str, dict[str, float]], **options: Any) -> tuple[Path, Path]:
            write_run(tmp_path / "old.json", OLD, sessions=5, seed=1)
            write_run(tmp_path / "new.json", new, **{"sessions": 5, "seed": 2, **options})
            return tmp_path / "old.json", tmp_path / "new.json"

        return write

    def said(self, found: Comparison, kind: type = Answer) -> list[str]:
        return [str(part) for part in found.parts() if isinstance(part, kind)]

    def test_nothing_changed(self, pair: Pair) -> None:
        found = compare(*pair(OLD))
        assert {change.verdict for change in found.changes} == {"no difference shown"}
        assert (found.differences, found.comparable, found.passed) == ([], True, True)
        assert [part for part in found.parts() if isinstance(part, Answer | Caution)] == []

    def test_what_became_faster_and_slower(self, pair: Pair) -> None:
        files = pair(changed(numpy=4e-6, numba=1.3e-7))
        found = compare(*files, limit=0.2)
        verdicts = {(c.case.name, c.backend): c.verdict for c in found.changes}
        assert verdicts.pop(("100x1", "numpy")) == "faster"
        assert verdicts.pop(("100x1", "numba")) == "slower"
        assert set(verdicts.values()) == {"no difference shown"}
        slower = next(c for c in found.changes if c.verdict == "slower")
        assert slower.speed_up.value == pytest.approx(1 / 1.3, rel=0.02)
        assert not found.passed
        assert self.said(found) == [
            "Failed: numba on 100 × 1 is slower than before by more than 20 %."
        ]
        assert compare(*files, limit=0.4).passed

    def test_less_than_five_percent_is_not_shown(self, pair: Pair) -> None:
        found = compare(*pair(changed(numba=1.03e-7), spread=0.001))
        assert {change.verdict for change in found.changes} == {"no difference shown"}

    def test_what_cannot_be_ruled_out_is_said_first(self, pair: Pair) -> None:
        passed = "Passed: every slowdown above the limit is ruled out."
        assert self.said(compare(*pair(OLD), limit=0.3)) == [passed]
        found = compare(*pair(OLD, spread=0.4), limit=0.1)
        assert found.passed
        first, *_, last = self.said(found)
        assert first.startswith("Undecided: python on 100 × 1 may be slower than before by more ")
        assert last == "No slowdown above the limit is shown."
        single = compare(*pair(OLD, sessions=1), limit=0.1)
        assert not single.passed
        assert self.said(single)[0].startswith("Failed: too few sessions to compare versions; ")

    def test_what_is_gone_fails(self, pair: Pair) -> None:
        found = compare(*pair({"100x1": OLD["100x1"]}), limit=1.0)
        assert self.said(found) == [
            f"Failed: {name} on 1,000 × 1 is not timed any more: missing." for name in OLD["1000x1"]
        ]

    def test_the_machine_may_have_changed(self, pair: Pair) -> None:
        slower = {case: {b: 1.2 * t for b, t in times.items()} for case, times in OLD.items()}
        (warning,) = self.said(compare(*pair(slower)), Caution)
        assert "20 % or more slower" in warning

    def test_other_threads_make_times_incomparable(self, pair: Pair) -> None:
        files = pair(OLD, threads=2)
        found = compare(*files)
        assert not found.comparable
        assert "threads: 1 → 2" in found.differences
        with pytest.raises(InputValueError, match="fail_above: the runs used different machines"):
            compare(*files, limit=0.1)

    @pytest.mark.parametrize(
        ("change", "words", "comparable"),
        [
            (lambda c: c["machine_info"].update(node="elsewhere"), "host: ", True),
            (lambda c: c["machine_info"]["cpu"].update(brand_raw="x"), "processor: ", False),
            (lambda c: c["machine_info"]["caches"].update(L3=1), "caches: ", False),
            (lambda c: c["machine_info"]["cores"].update(usable=[0] * 9), "usable cores: ", False),
            (
                lambda c: [s["libraries"].update(numpy="3.0") for s in c["gradrace"]["sessions"]],
                "numpy: 2.0 → 3.0",
                True,
            ),
            (lambda c: c["gradrace"].update(interrupted=True), "new.json: partial, 5 of 5", True),
            (
                lambda c: c["gradrace"]["settings"]["cases"][0].update(epochs=77),
                "different epochs or learning rates: 100x1",
                True,
            ),
            (lambda c: c["benchmarks"].pop(2), "only in the old run: numba on 100x1", True),
            (
                lambda c: c["gradrace"]["fingerprints"].update(numba="other"),
                "numba: its file or library has changed",
                True,
            ),
            (
                lambda c: c["gradrace"]["backends"]["numba"].update(precision="float32"),
                "precision of numba: float64 → float32",
                True,
            ),
        ],
    )
    def test_what_else_differs_is_said(
        self, pair: Pair, change: Callable[[Any], object], words: str, comparable: bool
    ) -> None:
        old, new = pair(OLD)
        content = json.loads(new.read_text("utf-8"))
        change(content)
        new.write_text(json.dumps(content), "utf-8")
        found = compare(old, new)
        assert [difference for difference in found.differences if words in difference]
        assert found.comparable == comparable

    def test_nothing_in_common(self, pair: Pair) -> None:
        with pytest.raises(InputValueError, match="have no backend and size in common"):
            compare(*pair({"20x2": {"python": 1.0}}))

    def test_a_set_up_is_not_compared_over_other_epochs(self, tmp_path: Path) -> None:
        """Its share of the time per epoch depends on the epochs of a call."""
        times = {"numpy": 8e-6, "gram": 1e-8}
        for name, epochs in (("old", 500), ("new", 5_000)):
            write_run(tmp_path / f"{name}.json", {f"100x1@{epochs}": times})
        found = compare(tmp_path / "old.json", tmp_path / "new.json")
        assert [change.backend for change in found.changes] == ["numpy"]
        assert "not compared, because the set-up counts: gram" in found.differences
