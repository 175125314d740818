"""A session: one fresh process that times what the plan says, whatever a backend does to it."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from gradrace.bench.race.session_files import Event

from gradrace.bench.race.cases import parse
from gradrace.bench.race.plan import Arm, Plan
from gradrace.bench.race.session import Session, time_arms
from gradrace.bench.race.timed_backend import write_steps
from tests.conftest import FOREIGN, write_forger

GOOD, BAD = str(FOREIGN / "good.py"), str(FOREIGN / "bad.py")
CASE = "20x1@50"

Timer = Callable[..., Session]

pytestmark = pytest.mark.slow


@pytest.fixture
def timer(tmp_path: Path) -> Timer:
    """Time backends on a small case, or arms."""

    def run(*field: str | Arm, timeout: float = 600, threads: int = 1, **plan: Any) -> Session:
        arms = [
            arm if isinstance(arm, Arm) else Arm(CASE, arm, calls=4, repetitions=3) for arm in field
        ]
        return time_arms(
            Plan(tuple(arms), "seed", **plan),
            threads=threads,
            cache=tmp_path / "cache",
            timeout=timeout,
            on_event=lambda event: events.append(event),
        )

    events: list[Event] = []
    return run


def backends_of(session: Session) -> list[str]:
    return [arm["extra_info"]["backend"] for arm in session.results["benchmarks"]]


def test_times_what_the_plan_says(timer: Timer) -> None:
    session = timer(
        Arm(CASE, "numpy", calls=5, repetitions=4),
        Arm(CASE, "numpy", duplicate=True, calls=5, repetitions=4),
        Arm(CASE, "python", epochs=7, calls=1, repetitions=2),
    )
    assert session.failure == ""
    numpy, again, python = session.results["benchmarks"]
    assert numpy["stats"]["iterations"] == again["stats"]["iterations"] == 5 * 51
    assert python["stats"]["iterations"] == 1 * 8
    assert numpy["extra_info"]["repetitions"] == [0, 1, 2, 3]
    assert (again["name"], again["extra_info"]["duplicate"]) == (
        "test_train[20x1-numpy (A/A)]",
        True,
    )
    assert python["extra_info"]["epochs"] == 7
    assert python["extra_info"]["repetitions"] == [0, 2]
    assert {**python["options"]}["disable_gc"] is True


def test_reports_verdicts_and_blocks_as_they_happen(timer: Timer) -> None:
    session = timer("numpy", "python")
    assert [event["event"] for event in session.events].count("verdict") == 2
    blocks = [(e["arm"], e["repetition"]) for e in session.events if e["event"] == "block"]
    assert sorted(blocks) == [(arm, r) for arm in ("numpy", "python") for r in range(3)]
    assert blocks != sorted(blocks)  # interleaved


def test_libraries_get_the_threads(timer: Timer) -> None:
    session = timer("numpy", "numba", threads=2)
    libraries = session.results["machine_info"]["libraries"]
    assert libraries["numba_threads"] in (1, 2)  # on one core, there is one
    assert {pool["num_threads"] for pool in libraries["pools"]} <= {1, 2}


def test_nothing_is_compiled_while_it_is_timed(timer: Timer) -> None:
    (arm,) = timer("numba").results["benchmarks"]
    before, after = arm["extra_info"]["signatures"]
    assert before == after > 0


def test_the_exact_sums_may_lie_in_a_folder(timer: Timer, tmp_path: Path) -> None:
    write_steps(parse(CASE), tmp_path)
    assert backends_of(timer("numpy", exact=str(tmp_path))) == ["numpy"]


def test_a_budget_takes_epochs_from_slow_arms(timer: Timer) -> None:
    arm = Arm("2000x2@500", "python", repetitions=1)
    session = timer(arm, budget=0.02)
    (timed,) = session.results["benchmarks"]
    assert 1 <= timed["extra_info"]["epochs"] < 100
    assert timed["stats"]["iterations"] == timed["extra_info"]["epochs"] + 1  # of one call
    (event,) = session.verdicts
    assert (event["verdict"]["agrees"], event["too_slow"]) == (True, "")


def test_an_arm_that_no_budget_allows_is_not_timed(timer: Timer) -> None:
    session = timer(Arm("5000x5@50", "python", repetitions=1), budget=1e-5, longest=1e-4)
    assert session.results["benchmarks"] == []
    assert session.verdicts[0]["too_slow"].startswith("too slow: a call of one epoch takes ")
    assert session.failure == ""


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


@pytest.mark.parametrize(
    ("how", "reason"),
    [
        ("raises", "raised ZeroDivisionError: on purpose"),
        ("exits", "raised SystemExit: 0"),
        ("returns three", "train returned tuple, not the four values"),
        ("raises the second time", "raised RuntimeError: not again (bad.py, line "),
        ("raises the tenth time", "raised RuntimeError: not again (bad.py, line "),
    ],
)
def test_a_backend_that_fails_is_a_verdict(
    monkeypatch: pytest.MonkeyPatch, timer: Timer, how: str, reason: str
) -> None:
    monkeypatch.setenv("GRADRACE_TEST_HOW", how)
    session = timer(BAD, "numpy")
    reasons = {event["arm"]: event["verdict"]["reason"] for event in session.verdicts}
    assert reasons[BAD].startswith(reason)
    assert reasons["numpy"] == session.failure == ""
    assert backends_of(session) == ["numpy"]


def test_a_backend_that_changes_its_input_hurts_no_other(
    monkeypatch: pytest.MonkeyPatch, timer: Timer
) -> None:
    monkeypatch.setenv("GRADRACE_TEST_HOW", "changes its input")
    session = timer(BAD, "numpy")
    assert [event["verdict"]["reason"] for event in session.verdicts] == ["", ""]


def test_the_users_pytest_settings_do_not_matter(
    monkeypatch: pytest.MonkeyPatch, timer: Timer, tmp_path: Path
) -> None:
    (tmp_path / "pytest.ini").write_text("[pytest]\naddopts = --no-such-option\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTEST_ADDOPTS", "--another-unknown-option")
    monkeypatch.setenv("PYTEST_XDIST_WORKER", "gw0")  # which disables benchmarks
    session = timer("numpy")
    assert (session.failure, backends_of(session)) == ("", ["numpy"])


def test_interrupting_ends_the_process(tmp_path: Path) -> None:
    def interrupt(_event: Event) -> None:
        raise KeyboardInterrupt

    plan = Plan((Arm(CASE, "numpy", calls=10**6, repetitions=100),), "0")
    with pytest.raises(KeyboardInterrupt):
        time_arms(plan, threads=1, cache=tmp_path, timeout=1e4, on_event=interrupt)


def test_usage_is_recorded(timer: Timer) -> None:
    usage = timer("numpy").usage
    assert usage["seconds"] > 0
    assert json.loads(json.dumps(usage)) == usage


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


@pytest.fixture(scope="module")
def judged(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[Any]]:
    """The result of one session for all of them: per name, whether it agrees, why not, blocks."""
    folder = tmp_path_factory.mktemp("cheats")
    for name in (*WRONG_CALLS, *RIGHT_CALLS):
        (folder / f"{name}.py").write_text(
            f"import sys\nsys.path.append({str(FOREIGN)!r})\n"
            f"from cheats import prepare, {name} as train\n"
        )
    files = [str(folder / f"{name}.py") for name in (*WRONG_CALLS, *RIGHT_CALLS)]
    arms = tuple(
        Arm(CASE, file, calls=4, repetitions=14) for file in files
    )  # by chance, once in 2¹⁴
    session = time_arms(Plan(arms, "seed"), threads=1, cache=folder, timeout=600)
    assert session.failure == ""
    verdicts = {Path(event["arm"]).stem: event["verdict"] for event in session.verdicts}
    timed = [Path(arm["extra_info"]["backend"]).stem for arm in session.results["benchmarks"]]
    return {name: [v["agrees"], v["reason"], name in timed] for name, v in verdicts.items()}


@pytest.mark.parametrize("name", WRONG_CALLS)
def test_being_fast_without_working_has_no_figure(judged: dict[str, list[Any]], name: str) -> None:
    agrees, reason, timed = judged[name]
    assert (agrees, timed) == (False, False)
    assert reason


@pytest.mark.parametrize("name", RIGHT_CALLS)
def test_what_works_for_its_result_is_timed(judged: dict[str, list[Any]], name: str) -> None:
    assert judged[name] == [True, "", True]


def test_a_wrong_call_is_named(judged: dict[str, list[Any]]) -> None:
    assert judged["float32_once_warm"][1].startswith("a timed call returned a wrong result: ")


FORGED = {
    "log.jsonl": [b"garbage\n", b"[]\n", b'{"event": "block"}\n', b"[" * 100_000 + b"\n"],
    "timings.json": [b"garbage", b"[]", b'{"benchmarks": [{}]}', b"[" * 100_000],
}


@pytest.mark.parametrize(("name", "what"), [(n, w) for n, ws in FORGED.items() for w in ws])
def test_what_a_session_leaves_is_not_believed(
    timer: Timer, tmp_path: Path, name: str, what: bytes
) -> None:
    """The backend writes its own files, and ends its process with status 0."""
    folder = "pathlib.Path(sys.argv[sys.argv.index('--log') + 1]).parent"
    session = timer(write_forger(tmp_path / "forger.py", folder, name, what))
    assert session.failure.startswith("its process ")
    assert session.results["benchmarks"] == []
