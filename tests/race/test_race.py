"""The race: every backend is verified before it is timed; only those that agree get a time."""

import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import chain, repeat
from pathlib import Path

import pytest
from msgspec.structs import replace

from gradrace.backends.interface import InputValueError
from gradrace.backends.support import finding
from gradrace.bench.machine import facts
from gradrace.bench.machine.roofline import Roofline
from gradrace.bench.machine.usage import Usage
from gradrace.bench.proof.agreement import Verdict
from gradrace.bench.proof.problems import suite
from gradrace.bench.race import run, sessions, trial, verification
from gradrace.bench.race.cases import grid
from gradrace.bench.race.plan import Plan, interleaved
from gradrace.bench.race.session import Block, Event, Judged, Session, Timings
from gradrace.bench.race.settings import QUICK_SETTINGS
from gradrace.bench.race.verdict import record
from gradrace.bench.race.verdict.race import PREVIOUS, Race
from gradrace.bench.race.verdict.result import EVERY, RESULT
from tests.conftest import FOREIGN
from tests.runs import MACHINE, timed

WRONG = str(FOREIGN / "wrong.py")
SMALL = replace(
    QUICK_SETTINGS,
    kind="custom",
    cases=tuple(grid([30], [1, 3], epochs=60)),
    sessions=2,
    repetitions=4,
    spacing=0.0,
    limit=False,
)


@contextmanager
def machine(speed: float) -> Iterator[list[int]]:
    """Let the limit be so many times that of `MACHINE`; yield for how many threads it was asked."""
    asked: list[int] = []

    def measured(threads: int, _cache: Path) -> Roofline:
        asked.append(threads)
        read = {count: [speed * rate for rate in rates] for count, rates in MACHINE.read.items()}
        fma = {count: speed * rate for count, rate in MACHINE.fma.items()}
        return replace(MACHINE, read=read, read_again=read, fma=fma, fma_again=fma)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(run, "measured", measured)
        yield asked


@pytest.fixture(scope="module")
def interrupted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a race that was interrupted in its second session."""
    folder = tmp_path_factory.mktemp("interrupted")

    def interrupt(doing: str, _done: int, _all: int) -> None:
        if doing.startswith("session 2 of 2: "):
            raise KeyboardInterrupt

    shutil.copy(FOREIGN / "good.py", folder)
    text = (FOREIGN / "wrong_while_timed.py").read_text()
    (folder / "later.py").write_text(f"{text}\nONE_CORE = PASSES_ONCE = True\n")
    names = ("numpy", "numba", WRONG, str(folder / "later.py"))
    (folder / RESULT).write_text("an earlier result", "utf-8")
    with machine(1e6) as measured, pytest.MonkeyPatch.context() as patched:
        patched.setattr(verification, "suite", lambda: suite()[:9])
        result = run.run(folder, replace(SMALL, backends=names, limit=True), interrupt)
    assert (result.interrupted, result.about.finished) == (True, 1)
    assert measured == [1]
    assert {path.name for path in result.files} == {"agreement.parquet", RESULT}
    return folder


@pytest.fixture(scope="module")
def finished(interrupted: Path, tmp_path_factory: pytest.TempPathFactory) -> Race:
    """The same race, resumed."""
    return run.resume(copied(interrupted, tmp_path_factory.mktemp("finished")))


def copied(interrupted: Path, folder: Path) -> Path:
    """Copy the race with its backends into a folder of its own; return its result file."""
    for name in ("good.py", "later.py", RESULT):
        text = (interrupted / name).read_text("utf-8")
        (folder / name).write_text(text.replace(str(interrupted), str(folder)), "utf-8")
    return folder / RESULT


def later(race: Race) -> str:
    return str(race.file.with_name("later.py"))


@pytest.mark.slow
class TestRun:
    def test_what_agrees_is_timed_and_nothing_else(self, finished: Race) -> None:
        timed = {
            case.name: [entry.backend for entry in case.entries] for case in finished.about.cases
        }
        assert timed == {"30x1": ["numpy", "numba", later(finished)], "30x3": ["numpy", "numba"]}
        assert (finished.about.finished, finished.about.interrupted) == (2, False)

    def test_what_is_left_out_says_why(self, finished: Race) -> None:
        always, at_one_size = finished.about.left_out
        assert (always.backend, always.case, always.fault) == (WRONG, EVERY, True)
        assert always.reason.startswith("on 100x1, loss at epoch 0: got 405.9")
        assert (at_one_size.backend, at_one_size.case) == (later(finished), "30x3")
        assert at_one_size.reason.startswith("w[2] at epoch 1: got 0.0")
        assert len(finished.faults) == 2

    def test_what_a_backend_declares_is_in_the_file(self, finished: Race) -> None:
        facts = finished.about.backends
        declared = {name: (one.one_core, one.passes_once) for name, one in facts.items()}
        assert declared[later(finished)] == (True, True)
        assert declared["numpy"] == (False, False)

    def test_the_file_is_pytest_benchmarks(self, finished: Race) -> None:
        content = json.loads(finished.file.read_text("utf-8"))
        assert {"machine_info", "commit_info", "benchmarks", "version", "datetime"} <= set(content)
        assert len(content["benchmarks"]) == 3 + 2 + 2  # with a duplicate per case
        for one in content["benchmarks"]:
            info, stats = one["extra_info"], one["stats"]
            assert info["agreement"]["agrees"] is True
            assert len(stats["data"]) == len(info["sessions"]) == len(info["repetitions"])
            assert stats["rounds"] == len(stats["data"]) >= 8
            assert set(info["sessions"]) == {1, 2}
            assert info["signatures"][0] == info["signatures"][1]
        shown = subprocess.run(
            [sys.executable, "-m", "pytest_benchmark", "compare", str(finished.file)],
            capture_output=True,
            text=True,
            check=True,
        )
        assert "benchmark '30x1': 4 tests" in shown.stdout
        assert "(A/A)" in shown.stdout

    def test_compiling_is_told_from_running(self, finished: Race) -> None:
        (start,) = finished.about.compile
        assert start.backend == "numba"
        assert start.cold > start.cached > 0
        numba = next(one for one in finished.about.cases[0].entries if one.backend == "numba")
        assert set(numba.break_even) == {"numpy", later(finished)}

    def test_every_entry_has_its_memory_and_its_limit(self, finished: Race) -> None:
        about = finished.about
        raced = {(case.name, one.backend) for case in about.cases for one in case.entries}
        assert {(one.case, one.backend) for one in about.trials} == raced
        assert all(one.memory.peak > 10**7 for one in about.trials)
        assert all(one.limit for case in about.cases for one in case.entries)

    def test_sessions_say_what_they_ran_on(self, finished: Race) -> None:
        for number, session in enumerate(finished.about.sessions, 1):
            assert (session.number, session.seed) == (number, f"0-{number}")
            assert session.failure == ""
            assert session.libraries
            assert session.libraries.numba_threads == 1

    def test_an_earlier_result_is_kept(self, interrupted: Path) -> None:
        assert (interrupted / PREVIOUS).read_text("utf-8") == "an earlier result"


@pytest.mark.slow
class TestResume:
    @pytest.fixture
    def partial(self, interrupted: Path, tmp_path: Path) -> Path:
        return copied(interrupted, tmp_path)

    def test_completes_the_file(self, interrupted: Path, finished: Race) -> None:
        before, after = Race(interrupted), Race(finished.file)
        assert (before.about.interrupted, after.about.interrupted) == (True, False)
        assert [session.number for session in after.about.sessions] == [1, 2]
        assert len(after.about.contenders) == len(before.about.contenders)
        pairs = zip(before.content.benchmarks, after.content.benchmarks, strict=True)
        for old, new in pairs:
            count = len(old.stats.data)
            assert new.stats.data[:count] == old.stats.data
            assert new.extra_info.sessions[count:] == [2] * count
            assert new.stats.iterations == old.stats.iterations
        assert finished.files == [finished.file]
        again = run.resume(finished.file)  # nothing is missing, so nothing is done
        assert (again.files, again.interrupted) == ([], False)
        assert again.content.benchmarks == after.content.benchmarks

    def test_does_not_mix_two_states_of_a_file(self, partial: Path) -> None:
        with (partial.parent / "later.py").open("a") as file:
            file.write("\n# faster\n")
        with pytest.raises(InputValueError, match=r"later\.py has changed since, so old and new"):
            run.resume(partial)

    def test_does_not_mix_two_states_of_a_neighbor(
        self, partial: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """What a backend imports from another file is part of it."""
        copy = partial.parent / "backends"
        shutil.copytree(finding.HERE, copy, ignore=shutil.ignore_patterns("__pycache__"))
        monkeypatch.setattr(finding, "HERE", copy)
        before = Race(partial).about.fingerprints
        assert record.fingerprints(list(before)) == before
        with (copy / "interface.py").open("a") as file:
            file.write("\n# wider\n")
        with pytest.raises(InputValueError, match=r"numpy has changed since, so old and new"):
            run.resume(partial)

    def test_does_not_mix_machines(self, partial: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        here = replace(facts.machine_info(), memory="1 GiB")
        monkeypatch.setattr(facts, "machine_info", lambda: here)
        with pytest.raises(InputValueError, match="was begun on another machine"):
            run.resume(partial)


class Sessions:
    """Sessions in no time: what each does is decided by the session's number; a trial's is 0."""

    def __init__(self) -> None:
        self.done: list[tuple[int, list[str]]] = []
        self.breaks: set[tuple[int, str]] = set()
        self.is_wrong: set[tuple[int, str]] = set()
        self.compiling: Iterator[float] = repeat(0.0)

    def __call__(
        self,
        plan: Plan,
        *,
        threads: int,
        cache: Path,
        timeout: float,
        on_event: Callable[[Event], None] = lambda _: None,
    ) -> Session:
        assert (threads, cache.name != "", timeout > 60) == (1, True, True)
        number = int(plan.seed.rpartition("-")[2])
        self.done.append((number, sorted({one.backend for one in plan.contenders})))
        fit = [one for one in plan.contenders if (number, one.backend) not in self.is_wrong]
        events: list[Event] = [
            Judged(
                one.job.name,
                one.label,
                Verdict(one.backend, agrees=one in fit, reason="" if one in fit else "is wrong"),
                "",
                one.job.epochs,
            )
            for one in plan.contenders
        ]
        failure = ""
        for turn in interleaved(fit, plan.seed):
            if (number, turn.contender.backend) in self.breaks:
                failure = "its process was killed by SIGKILL"
                break
            one = turn.contender
            events.append(Block(one.job.name, one.label, turn.repetition))
            on_event(events[-1])
        found = [timed(one, 1e-4, place) for place, one in enumerate(fit)]
        for entry in found:
            entry.extra_info.compile = next(self.compiling)
            entry.extra_info.signatures = [0, 0]
        usage = Usage(seconds=1.0, load_before=0.1, load_after=0.1, others=0.0, stolen=0.0)
        return Session(Timings(None, [] if failure else found), events, failure, False, usage)


class TestBreakingOff:
    """A session that fails costs only that session."""

    @pytest.fixture
    def made_up(self, monkeypatch: pytest.MonkeyPatch) -> Sessions:
        found = Sessions()
        monkeypatch.setattr(sessions, "time_plan", found)
        monkeypatch.setattr(trial, "time_plan", found)
        return found

    def race(self, path: Path, sessions: int = 3, kind: str = "custom") -> Race:
        settings = replace(
            SMALL,
            kind=kind,
            backends=("numpy", "gram"),
            sessions=sessions,
            cases=tuple(grid([30], [1], epochs=60)),
        )
        return run.measure(path / "b.json", settings)

    def test_the_others_count(self, made_up: Sessions, tmp_path: Path) -> None:
        made_up.breaks = {(2, "gram")}
        result = self.race(tmp_path)
        assert result.about.finished == 2
        assert [bool(one.failure) for one in result.about.sessions] == [False, True, False]
        (fault,) = result.faults
        assert fault == (
            "session 2 failed: its process was killed by SIGKILL (during gram on 30x1)"
        )
        assert set(result.content.benchmarks[0].extra_info.sessions) == {1, 3}
        assert [one for one in result.about.warnings if one.startswith("session 2 failed")]

    def test_resuming_tries_it_again(self, made_up: Sessions, tmp_path: Path) -> None:
        made_up.breaks = {(2, "gram")}
        assert self.race(tmp_path, sessions=2).about.interrupted
        made_up.breaks = set()
        result = run.resume(tmp_path / "b.json")
        assert (result.about.finished, result.faults) == (2, [])

    def test_who_does_it_twice_is_left_out(self, made_up: Sessions, tmp_path: Path) -> None:
        made_up.breaks = {(number, "gram") for number in (1, 2, 3, 4)}
        result = self.race(tmp_path, sessions=4)
        failed = [bool(one.failure) for one in result.about.sessions]
        assert failed == [True, True, False, False]
        (case,) = result.about.cases
        assert [entry.backend for entry in case.entries] == ["numpy"]

    def test_who_dies_in_the_trial_does_not_start(self, made_up: Sessions, tmp_path: Path) -> None:
        made_up.breaks = {(0, "gram")}
        result = self.race(tmp_path, sessions=2)
        (left_out,) = result.about.left_out
        assert (left_out.backend, left_out.fault) == ("gram", True)
        assert left_out.reason == "its process was killed by SIGKILL"
        assert result.about.finished == 2

    def test_who_is_wrong_once_is_not_trusted_before_or_after(
        self, made_up: Sessions, tmp_path: Path
    ) -> None:
        made_up.is_wrong = {(2, "gram")}
        result = self.race(tmp_path)
        assert {one.backend for one in result.content.benchmarks} == {"numpy"}
        assert result.faults == ["gram on 30x1: in session 2, is wrong"]
        assert made_up.done[-1] == (3, ["numpy"])

    def test_a_slow_moment_is_not_compiling(self, made_up: Sessions, tmp_path: Path) -> None:
        """Where Numba does not report it, a second cold start must confirm it."""
        made_up.compiling = chain([0.5, 0.0], repeat(0.0))
        assert self.race(tmp_path).about.compile == []
        made_up.compiling = chain([0.5, 0.5], repeat(0.0))
        (start,) = self.race(tmp_path).about.compile
        assert (start.backend, start.cold) == ("numpy", 0.5)

    @pytest.mark.usefixtures("made_up")
    def test_the_limit_is_measured_again_before_a_time_is_called_impossible(
        self, tmp_path: Path
    ) -> None:
        """On a machine that takes 480 µs to read 480 bytes, where a pass takes 100 µs."""
        cases = tuple(grid([30], [1], epochs=60))
        settings = replace(SMALL, limit=True, backends=("numpy",), cases=cases)
        with machine(1e-5) as asked:
            result = run.measure(tmp_path / "b.json", settings)
        assert asked == [1] * (1 + 3)
        (found,) = result.impossible
        assert found.startswith("numpy on 30x1: ")
        assert "times as fast as this machine can go through the samples" in found
