"""Options of the timing suite: what to race, and where to report what happens."""

import json
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
from pytest_benchmark import plugin

import backends
from bench.agreement import Verdict
from bench.cases import CASES


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add --backend, --case and --verdicts."""
    group = parser.getgroup("gradrace")
    group.addoption(
        "--backend",
        action="append",
        metavar="NAME|FILE.py|MODULE",
        help="A backend to race; repeatable. Default: all built-in ones.",
    )
    group.addoption(
        "--case", action="append", choices=list(CASES), help="A size; repeatable. Default: all."
    )
    group.addoption(
        "--verdicts",
        type=Path,
        metavar="FILE",
        help="Append a line of JSON per verdict to FILE as soon as it is known.",
    )


_MACHINE = pytest.StashKey[dict[str, Any]]()


def pytest_configure(config: pytest.Config) -> None:
    """Look at the machine now: it takes a second that nobody has after Ctrl-C."""
    look: Callable[[], dict[str, Any]] = plugin.pytest_benchmark_generate_machine_info
    config.stash[_MACHINE] = look()


def pytest_benchmark_generate_machine_info(config: pytest.Config) -> dict[str, Any]:
    """Hand pytest-benchmark what was found."""
    return config.stash[_MACHINE]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Race every backend on every case, case by case."""
    if "backend" in metafunc.fixturenames:
        chosen = metafunc.config.getoption("--backend") or backends.names()
        cases = metafunc.config.getoption("--case") or list(CASES)
        arms = [(case, backend) for case in cases for backend in chosen]
        metafunc.parametrize(("case", "backend"), arms)


@pytest.fixture
def report_verdict(request: pytest.FixtureRequest) -> Callable[[str, Verdict], None]:
    """Return a function that takes the case and the verdict and reports them."""
    log: Path | None = request.config.getoption("--verdicts")

    def report(case: str, verdict: Verdict) -> None:
        if log is not None:
            with log.open("a", encoding="utf-8") as lines:
                lines.write(json.dumps({"case": case, "verdict": asdict(verdict)}) + "\n")

    return report
