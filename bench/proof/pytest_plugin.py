"""The proof as tests of pytest: `pytest --gradrace-backend mine.py`.

Each property that a backend must have is a test; what it says when it fails is what the backend
returned, and what is right. pytest finds this plugin once gradrace is installed; without the option
it does nothing, and imports nothing.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from gradrace.bench.proof.problems import Problem

_WORD, _OPTION = "--gradrace-backend", "gradrace_backend"
_TIMEOUT = 300.0  # seconds per property


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the option."""
    parser.getgroup("gradrace").addoption(
        _WORD,
        dest=_OPTION,
        action="append",
        default=[],
        metavar="NAME|FILE.py|MODULE",
        help="A backend to test: that it computes the exact trajectory of gradient descent; "
        "repeatable.",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Refuse a second file after the option, which pytest would take for tests, and drop others."""
    words = config.invocation_params.args
    for option, first, second in zip(words, words[1:], words[2:], strict=False):
        name = Path(second).name
        if option == _WORD and name.endswith(".py") and not name.startswith("test_"):
            raise pytest.UsageError(
                f"{second}: if this is a backend, too, write {_WORD} {first} {_WORD} {second}; "
                f"if it holds tests, write it in front of {_WORD}"
            )


@pytest.hookimpl(tryfirst=True)  # so that -k can choose among these tests, too
def pytest_collection_modifyitems(
    session: pytest.Session, config: pytest.Config, items: list[pytest.Item]
) -> None:
    """Add a test for each property of each backend."""
    for spec in config.getoption(_OPTION):
        items.extend(_tests(session, spec))


def _tests(session: pytest.Session, spec: str) -> Iterator[pytest.Item]:
    from gradrace import backends
    from gradrace.backends.interface import InputError
    from gradrace.bench.data.samples import REFERENCE_LR, reference_line
    from gradrace.bench.proof.problems import Problem, properties

    try:
        backends.require(spec)
    except InputError as error:
        raise pytest.UsageError(str(error)) from None
    line = reference_line()
    reference = Problem("on the reference line", line.X, line.y, REFERENCE_LR, 1_000)
    yield ConformanceTest.of(session, spec, "the reference line, every epoch", [reference])
    pieces = [p for group in properties().values() for p in group if p.pieces]
    name = "predict, loss, gradients and update"
    yield ConformanceTest.of(session, spec, name, pieces, only="pieces")
    for name, problems in properties().items():
        yield ConformanceTest.of(session, spec, name, problems)
    name = "the arguments stay as they are"
    yield ConformanceTest.of(session, spec, name, pieces, only="purity")


class ConformanceTest(pytest.Item):
    """One property of one backend."""

    spec: str
    problems: "Sequence[Problem]"
    only: str
    """What is judged: only the "pieces", none of the results ("purity"), or all of them ("")."""

    @classmethod
    def of(
        cls,
        session: pytest.Session,
        spec: str,
        name: str,
        problems: "Sequence[Problem]",
        only: str = "",
    ) -> "ConformanceTest":
        """Return the test of a property by these problems."""
        item: ConformanceTest = cls.from_parent(session, name=name, nodeid=f"{spec}::{name}")
        item.spec, item.problems, item.only = spec, problems, only
        return item

    def runtest(self) -> None:
        """Run the backend in a process of its own, and judge all that it returns."""
        from gradrace.bench.proof.agreement import fault_on
        from gradrace.bench.proof.isolation import run_isolated
        from gradrace.bench.proof.returns import BackendError

        try:
            outcome = run_isolated(self.spec, self.problems, _TIMEOUT)
        except BackendError as error:  # there is nothing to judge
            raise NonconformingError(str(error)) from None
        if self.only != "purity" and (fault := fault_on(self.problems, outcome, self.only)):
            raise NonconformingError(fault)
        if outcome.failure:
            raise NonconformingError(outcome.failure)
        if self.only == "pieces" and not any(outcome.pieces):
            pytest.skip("it has none of these functions, which are optional")

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: Any = None) -> str:
        """Say in one line what the backend did wrong."""
        if isinstance(excinfo.value, NonconformingError):
            return f"{self.spec}: {excinfo.value}"
        return str(super().repr_failure(excinfo, style))

    def reportinfo(self) -> tuple[str, None, str]:
        """Say what is tested."""
        return self.spec, None, self.name


class NonconformingError(Exception):
    """A backend lacks a property; the message says what it did."""
