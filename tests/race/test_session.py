"""A session: one fresh process that times what the plan says, whatever a backend does to it."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from gradrace.bench.race import session as sessions
from gradrace.bench.race.cases import parse
from gradrace.bench.race.contestant import write_steps
from gradrace.bench.race.plan import Contender, Plan
from gradrace.bench.race.session import Block, Event, Session, time_plan
from gradrace.bench.race.verdict.result import Timed
from tests.conftest import FOREIGN, write_forger

BAD = str(FOREIGN / "bad.py")
CASE = "20x1@50"

Timer = Callable[..., Session]

pytestmark = pytest.mark.slow


@pytest.fixture
def timer(tmp_path: Path) -> Timer:
    """Time a backend on a small case."""

    def run(backend: str, timeout: float = 600) -> Session:
        plan = Plan((Contender(CASE, backend, calls=4, repetitions=3),), "seed")
        return time_plan(plan, threads=1, cache=tmp_path / "cache", timeout=timeout)

    return run


class TestSound:
    """One session of backends that agree."""

    @pytest.fixture(scope="class")
    @staticmethod
    def session(tmp_path_factory: pytest.TempPathFactory) -> tuple[Session, list[Event]]:
        folder, seen = tmp_path_factory.mktemp("session"), list[Event]()
        write_steps(parse(CASE), folder)
        (folder / "pytest.ini").write_text("[pytest]\naddopts = --no-such-option\n")
        contenders = (
            Contender(CASE, "numpy", calls=5, repetitions=4),
            Contender(CASE, "numpy", duplicate=True, calls=5, repetitions=4),
            Contender(CASE, "python", epochs=7, calls=1, repetitions=2),
            Contender(CASE, "numba", calls=2, repetitions=2),
        )
        with pytest.MonkeyPatch.context() as user:
            user.chdir(folder)
            user.setenv("PYTEST_ADDOPTS", "--another-unknown-option")
            user.setenv("PYTEST_XDIST_WORKER", "gw0")  # which disables benchmarks
            plan = Plan(contenders, "seed", exact=str(folder))
            found = time_plan(
                plan, threads=2, cache=folder / "cache", timeout=600, on_event=seen.append
            )
        return found, seen

    def entries(self, session: tuple[Session, list[Event]]) -> list[Timed]:
        return session[0].results.benchmarks

    def test_times_what_the_plan_says(self, session: tuple[Session, list[Event]]) -> None:
        """And nothing in the user's own settings of pytest changes that."""
        assert session[0].failure == ""
        numpy, again, python, _ = self.entries(session)
        assert numpy.stats.iterations == again.stats.iterations == 5 * 51
        assert python.stats.iterations == 1 * 8
        assert numpy.extra_info.repetitions == [0, 1, 2, 3]
        assert (again.name, again.extra_info.duplicate) == ("test_train[20x1-numpy (A/A)]", True)
        assert python.extra_info.epochs == 7
        assert python.extra_info.repetitions == [0, 2]
        assert python.options["disable_gc"] is True

    def test_reports_verdicts_and_blocks_as_they_happen(
        self, session: tuple[Session, list[Event]]
    ) -> None:
        found, seen = session
        assert seen == found.events[: len(seen)]
        assert [verdict.verdict.agrees for verdict in found.verdicts] == [True] * 4
        order = [(e.contender, e.repetition) for e in found.events if isinstance(e, Block)]
        assert len(set(order)) == len(order) == 4 + 4 + 2 + 2
        assert order != sorted(order)  # interleaved

    def test_libraries_get_the_threads(self, session: tuple[Session, list[Event]]) -> None:
        machine = session[0].results.machine_info
        assert machine is not None
        assert machine.libraries.numba_threads in (1, 2)  # on one core, there is one
        assert {pool.num_threads for pool in machine.libraries.pools} <= {1, 2}

    def test_nothing_is_compiled_while_it_is_timed(
        self, session: tuple[Session, list[Event]]
    ) -> None:
        before, after = self.entries(session)[-1].extra_info.signatures
        assert before == after > 0

    def test_usage_is_recorded(self, session: tuple[Session, list[Event]]) -> None:
        assert session[0].usage.seconds > 0


def test_a_budget_takes_epochs_from_slow_backends(tmp_path: Path) -> None:
    """And who needs too long for a single epoch is not timed at all."""
    sleepy = tmp_path / "sleepy.py"
    sleepy.write_text(
        f"import sys, time\nsys.path.append({str(FOREIGN)!r})\n"
        "import good\nprepare = good.prepare\n"
        "def train(data, **job):\n    time.sleep(0.6)\n    return good.train(data, **job)\n"
    )
    contenders = [Contender("2000x2@500", name, repetitions=1) for name in ("python", str(sleepy))]
    plan = Plan(tuple(contenders), "seed", budget=0.02, longest=0.5)
    session = time_plan(plan, threads=1, cache=tmp_path / "cache", timeout=600)
    assert session.failure == ""
    (timed,) = session.results.benchmarks
    assert 1 <= timed.extra_info.epochs < 100
    assert timed.stats.iterations == timed.extra_info.epochs + 1  # of one call
    judged = {one.contender: one for one in session.verdicts}
    assert (judged["python"].verdict.agrees, judged["python"].too_slow) == (True, "")
    assert judged[str(sleepy)].too_slow.startswith("too slow: a call of one epoch takes 0.6")


@pytest.mark.parametrize(
    ("how", "failure"),
    [
        ("ends its process", "its process ended with status 3"),
        ("kills its process", "its process was killed by SIGKILL"),
        ("hangs", "its process did not end within 2 s"),
    ],
)
def test_a_session_that_breaks_off_says_why(
    monkeypatch: pytest.MonkeyPatch, timer: Timer, how: str, failure: str
) -> None:
    monkeypatch.setenv("GRADRACE_TEST_HOW", how)
    session = timer(BAD, timeout=2 if how == "hangs" else 600)
    assert session.failure.startswith(failure)
    assert session.timed_out == (how == "hangs")


def test_interrupting_ends_the_process(tmp_path: Path) -> None:
    def interrupt(_event: Event) -> None:
        raise KeyboardInterrupt

    plan = Plan((Contender(CASE, "numpy", calls=10**6, repetitions=100),), "0")
    with pytest.raises(KeyboardInterrupt):
        time_plan(plan, threads=1, cache=tmp_path, timeout=1e4, on_event=interrupt)


WRONG_CALLS = (
    "first_result_again",
    "result_by_job",
    "result_by_identity",
    "result_by_rounded_rate",
    "every_other_call",
    "fills_its_arrays_later",
    "float32_once_warm",
    "fewer_samples_once_warm",
    "stops_when_close",
    "every_other_epoch",
    "forgets_the_start",
    "forgets_the_last_bits_of_the_rate",
    "a_generator",
)
RIGHT_CALLS = (
    "computes_when_asked",
    "caches_what_never_comes_again",
    "keeps_float32_where_nothing_is_lost",
)
FAILING = {
    "raises": "raised ZeroDivisionError: on purpose",
    "exits": "raised SystemExit: 0",
    "returns three": "train returned tuple, not the four values",
    "raises the second time": "raised RuntimeError: not again (bad.py, line ",
    "raises the tenth time": "raised RuntimeError: not again (bad.py, line ",
}
CHANGING = "changes its input"


class TestForeign:
    """One session of all kinds of backends: none stops the others."""

    @pytest.fixture(scope="class")
    @staticmethod
    def judged(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[str, bool]]:
        """Per backend: what is wrong with it, and whether it was timed."""
        folder = tmp_path_factory.mktemp("foreign")
        lines = {name: f"from cheats import prepare, {name} as train" for name in WRONG_CALLS}
        lines |= {name: f"from cheats import prepare, {name} as train" for name in RIGHT_CALLS}
        lines |= {
            how: f"import os\nos.environ['GRADRACE_TEST_HOW'] = {how!r}\n"
            "sys.modules.pop('bad', None)\nfrom bad import prepare, train"
            for how in (*FAILING, CHANGING)
        }
        for name, text in lines.items():
            path = folder / f"{name}.py"
            path.write_text(f"import sys\nsys.path.append({str(FOREIGN)!r})\n{text}\n")
        contenders = tuple(  # by chance, one is overlooked once in 2¹⁴
            Contender(CASE, str(folder / f"{name}.py"), calls=4, repetitions=14) for name in lines
        )
        plan = Plan((*contenders, Contender(CASE, "numpy", calls=4, repetitions=2)), "seed")
        session = time_plan(plan, threads=1, cache=folder, timeout=600)
        assert session.failure == ""
        timed = [Path(one.extra_info.backend).stem for one in session.results.benchmarks]
        verdicts = {Path(one.contender).stem: one.verdict for one in session.verdicts}
        return {
            name: ("" if one.agrees else one.reason, name in timed)
            for name, one in verdicts.items()
        }

    @pytest.mark.parametrize("name", WRONG_CALLS)
    def test_being_fast_without_working_has_no_figure(
        self, judged: dict[str, tuple[str, bool]], name: str
    ) -> None:
        reason, timed = judged[name]
        assert reason
        assert not timed

    @pytest.mark.parametrize("name", [*RIGHT_CALLS, CHANGING, "numpy"])
    def test_what_works_for_its_result_is_timed(
        self, judged: dict[str, tuple[str, bool]], name: str
    ) -> None:
        assert judged[name] == ("", True)

    @pytest.mark.parametrize("how", FAILING)
    def test_a_backend_that_fails_is_a_verdict(
        self, judged: dict[str, tuple[str, bool]], how: str
    ) -> None:
        reason, timed = judged[how]
        assert reason.startswith(FAILING[how])
        assert not timed

    def test_a_wrong_call_is_named(self, judged: dict[str, tuple[str, bool]]) -> None:
        reason, _ = judged["float32_once_warm"]
        assert reason.startswith("a timed call returned a wrong result: ")


class TestForged:
    """A backend writes the files of its own session, and ends its process with status 0."""

    def test_no_time_is_believed(self, timer: Timer, tmp_path: Path) -> None:
        folder = "pathlib.Path(sys.argv[sys.argv.index('--log') + 1]).parent"
        forger = write_forger(tmp_path / "forger.py", folder, "log.jsonl", b"garbage\n")
        session = timer(forger)
        assert session.failure == "its process left a log that cannot be read"
        assert session.results.benchmarks == []

    @pytest.mark.parametrize(
        "line", [b"garbage\n", b"[]\n", b'{"event": "block"}\n', b"[" * 100_000 + b"\n"]
    )
    def test_a_log_that_holds_anything_else(self, tmp_path: Path, line: bytes) -> None:
        log, block = tmp_path / "log.jsonl", Block("20x1", "numpy", 0)
        log.write_bytes(msgspec.json.encode(block) + b"\n" + line)
        assert sessions._events(log) == ([block], False)
        log.write_bytes(msgspec.json.encode(block) + b"\n" + line.rstrip())
        assert sessions._events(log) == ([block], True)  # the child may be writing it

    @pytest.mark.parametrize("content", [b"garbage", b"[]", b'{"benchmarks": [{}]}', b"[" * 10**5])
    def test_a_file_of_times_that_holds_anything_else(self, tmp_path: Path, content: bytes) -> None:
        (tmp_path / "timings.json").write_bytes(content)
        assert sessions._timings(tmp_path / "timings.json").benchmarks == []

    def test_times_that_are_missing(self) -> None:
        plan = Plan((Contender(CASE, "numpy", repetitions=3),), "0")
        blocks: list[Any] = [Block("20x1", "numpy", repetition) for repetition in range(3)]
        assert sessions._missing(plan, blocks[:2], sessions.Timings())
        assert sessions._missing(plan, blocks, sessions.Timings())
