"""The pytest plugin of the race: interleave the contenders, and make one benchmark of each.

A contender is a backend at one size. Every timed block is a separate test:
`test_train[100x1-numpy-3]` is repetition 3. The blocks run in the shuffled order of
`plan.interleaved`. When all have run, the blocks of a contender become one benchmark,
`test_train[100x1-numpy]`, with one value per repetition in its `stats.data`. So the table, the JSON
file and `pytest-benchmark compare` work as usual.
"""

from collections.abc import Callable, Generator, Iterable
from pathlib import Path
from statistics import median

import msgspec
import pytest
from pytest_benchmark.stats import Metadata

from gradrace import backends
from gradrace.bench.machine.facts import libraries, machine_info
from gradrace.bench.race.cases import QUICK, parse
from gradrace.bench.race.plan import Contender, Plan, interleaved
from gradrace.bench.race.session import Event

_PLAN = pytest.StashKey[Plan]()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options for users, and --plan and --log, which `session.py` uses."""
    group = parser.getgroup("gradrace")
    group.addoption(
        "--backend",
        action="append",
        metavar="NAME|FILE.py|MODULE",
        help="A backend to race; repeatable. Default: all built-in ones.",
    )
    group.addoption(
        "--case",
        action="append",
        metavar="NxD[@EPOCHS]",
        help="A size, like 10000x10; repeatable. Default: the sizes of gradrace run --quick.",
    )
    group.addoption(
        "--repetitions", type=int, default=10, metavar="N", help="Timed blocks per contender."
    )
    group.addoption("--seed", default="0", help="Seed for shuffling the order of the blocks.")
    group.addoption(
        "--plan", type=Path, metavar="FILE", help="A plan as JSON; overrides the other options."
    )
    group.addoption(
        "--log", type=Path, metavar="FILE", help="Append a line of JSON to FILE as things happen."
    )


def pytest_configure(config: pytest.Config) -> None:
    """Make the plan."""
    path: Path | None = config.getoption("--plan")
    if path is not None:
        config.stash[_PLAN] = Plan.read(path)
        return
    cases = [parse(text) for text in config.getoption("--case") or ()] or QUICK
    contenders = [
        Contender(case.spec, backend, repetitions=config.getoption("--repetitions"))
        for case in cases
        for backend in config.getoption("--backend") or backends.installed()
    ]
    config.stash[_PLAN] = Plan(tuple(contenders), config.getoption("--seed"))


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Make a test for every block, in the order of the plan."""
    if "repetition" in metafunc.fixturenames:
        plan = metafunc.config.stash[_PLAN]
        blocks = [
            (turn.contender.job.name, turn.contender.label, turn.repetition)
            for turn in interleaved(plan.contenders, plan.seed)
        ]
        metafunc.parametrize(("case", "backend", "repetition"), blocks)


@pytest.fixture(scope="session")
def plan(request: pytest.FixtureRequest) -> Plan:
    """Return what this session is to do."""
    return request.config.stash[_PLAN]


@pytest.fixture
def contender(plan: Plan, case: str, backend: str) -> Contender:
    """Return the contender of this test."""
    return next(one for one in plan.contenders if (one.job.name, one.label) == (case, backend))


@pytest.fixture(scope="session")
def log(request: pytest.FixtureRequest) -> Callable[[Event], None]:
    """Return a function that appends an event to the file of --log."""
    path: Path | None = request.config.getoption("--log")

    def report(event: Event) -> None:
        if path is not None:
            with path.open("ab") as lines:
                lines.write(msgspec.json.encode(event) + b"\n")

    return report


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_sessionfinish(session: pytest.Session) -> Generator[None, None, None]:
    """Merge the blocks before pytest-benchmark, whose hook is also a wrapper, saves and shows."""
    blocks: list[Metadata] = vars(session.config)["_benchmarksession"].benchmarks
    blocks[:] = merged(blocks)
    yield


def merged(blocks: list[Metadata]) -> list[Metadata]:
    """Return one benchmark per contender, its data in order of the repetition, in the plan's order.

    The block in which pytest-benchmark calibrated a contender is not timed like the others, so it
    counts only if there is no other. If a block fails, all its blocks are discarded. An iteration
    of pytest-benchmark becomes one epoch, so that its own tables can compare backends with calls of
    different length. A call of k epochs counts as k + 1, because it passes over the samples once
    more to record the last loss.
    """
    contenders: dict[str, list[Metadata]] = {}
    for block in blocks:
        contenders.setdefault(_without_repetition(block.name), []).append(block)
    sound = {
        name: [part for part in parts if part]
        for name, parts in contenders.items()
        if not any(part.has_error for part in parts)
    }
    result = []
    for name, parts in sorted(sound.items(), key=lambda found: found[1][0].extra_info["place"]):
        parts.sort(key=lambda part: part.params["repetition"])
        timed = [part for part in parts if not part.extra_info["calibrates"]] or parts
        first = timed[0]
        first.name, first.fullname = name, _without_repetition(first.fullname)
        first.param = f"{first.params['case']}-{first.params['backend']}"
        first.extra_info["repetitions"] = [part.params["repetition"] for part in timed]
        first.extra_info["cores"] = median(part.extra_info["cores"] for part in timed)
        first.extra_info["changed"] = sorted(
            {what for part in parts for what in part.extra_info["changed"]}
        )
        first.extra_info["signatures"] = _most_compiled(
            part.extra_info["signatures"] for part in parts
        )
        epochs = first.extra_info["epochs"] + 1
        first.iterations *= epochs
        first.stats.data[:] = [value / epochs for part in timed for value in part.stats.data]
        first.params = {key: first.params[key] for key in ("case", "backend")}
        result.append(first)
    return result


def _most_compiled(counts: Iterable[list[int]]) -> list[int]:
    """Return the counts of signatures before and after the block in which most were compiled."""
    return max(counts, key=lambda pair: pair[1] - pair[0])


def _without_repetition(name: str) -> str:
    """test_train[100x1-numpy-3] → test_train[100x1-numpy]."""
    return name.rpartition("-")[0] + "]"


def pytest_benchmark_generate_machine_info(config: pytest.Config) -> dict[str, object]:
    """Describe the machine, and the threads really used, which only the timing process knows.

    With a plan, `gradrace run` has already described the machine, once for all sessions.
    """
    if config.getoption("--plan"):
        return {"libraries": msgspec.to_builtins(libraries())}
    about: dict[str, object] = msgspec.to_builtins(machine_info())
    return {**about, "libraries": msgspec.to_builtins(libraries())}
