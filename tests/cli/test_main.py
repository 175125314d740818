"""The commands and their options: complete, the same in Python, and quick to ask about."""

import inspect
import subprocess
import sys
from collections.abc import Callable, Sequence
from typing import Any

import pytest

import gradrace as g
from gradrace import backends
from gradrace.bench import options
from gradrace.bench.api.inputs import ReadingOptions
from gradrace.bench.cli.commands import COMMANDS
from gradrace.bench.cli.parser import Command as Declared
from gradrace.bench.cli.parser import names_of
from gradrace.bench.options import Option
from tests.conftest import Command

COMMANDS_BY_NAME = {command.name: command for command in COMMANDS}
every_command = pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command.name)


class TestHelp:
    def test_names_every_command(self, gradrace: Command) -> None:
        done = gradrace("--help")
        assert (done.returncode, done.stderr) == (0, "")
        assert all(f"\n  {command.name} " in done.stdout for command in COMMANDS)
        assert done.stdout == gradrace().stdout

    @every_command
    def test_of_a_command_is_complete_and_80_columns_wide(
        self, gradrace: Command, command: Declared
    ) -> None:
        done = gradrace(command.name, "x.csv", "--help")
        assert (done.returncode, done.stderr) == (0, "")
        assert done.stdout.startswith(f"Usage: gradrace {command.name} ")
        assert all(f"  {', '.join(names_of(option))}" in done.stdout for option in command.every)
        assert max(map(len, done.stdout.splitlines())) <= 80

    def test_imports_nothing_that_takes_long(self) -> None:
        code = "from gradrace.bench.cli.main import main; main(['train', '--help'])"
        code += "; import sys; print(*sys.modules)"
        done = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=True
        )
        loaded = set(done.stdout.splitlines()[-1].split())
        assert not loaded & {"numpy", "numba", "rich", "msgspec", "pandas", "pyarrow", "dask"}


def test_version(gradrace: Command) -> None:
    assert gradrace("--version").stdout.startswith("gradrace 0.")


def test_backends(gradrace: Command) -> None:
    done = gradrace("backends")
    assert done.returncode == 0
    lines = done.stdout.splitlines()[2:]
    rows = [line.split()[0] for line in lines if line.strip() and line[0] != " "]
    assert rows == list(backends.names())


FUNCTIONS: list[tuple[Callable[..., Any], Sequence[Option]]] = [
    (g.fit, options.FIT),
    (g.rates, options.RATES),
    (g.check, options.CHECK),
    (g.race, options.RACE),
    (g.advise, options.JOB),
]


@pytest.mark.parametrize(
    ("function", "declared"), FUNCTIONS, ids=[function.__name__ for function, _ in FUNCTIONS]
)
def test_a_function_has_the_declared_options_and_defaults(
    function: Callable[..., Any], declared: Sequence[Option]
) -> None:
    parameters = dict(inspect.signature(function).parameters)
    text = " ".join((inspect.getdoc(function) or "").split())
    for option in declared:
        if option.name not in ReadingOptions.__annotations__:
            default = parameters[option.name].default
            assert default in (option.default, inspect.Parameter.empty), option.name
        assert option.name in text or " those of `fit`" in text, option.name


@pytest.mark.parametrize(
    ("name", "declared"),
    [
        ("train", options.FIT),
        ("rates", options.RATES),
        ("check", options.CHECK),
        ("run", options.RACE),
        ("scale", options.SCALE),
        ("advise", options.JOB),
    ],
)
def test_a_command_has_the_options_of_its_function(name: str, declared: Sequence[Option]) -> None:
    assert {*declared} <= {*COMMANDS_BY_NAME[name].every}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        *(("1e5", 100_000), ("12", 12), ("-3", -3), ("1e-3", 1e-3), ("2.0", 2)),
        *(("10000000000000001", 10**16 + 1), ("x", None), ("", None), ("1e400", float("inf"))),
    ],
)
def test_numbers_as_people_write_them(text: str, value: float | None) -> None:
    found = options.number(text)
    assert (found, type(found)) == (value, type(value))


@pytest.mark.parametrize(
    ("value", "expected"), [("10%", 0.1), ("150%", 1.5), ("0.1", 0.1), (0.1, 0.1), (0, 0.0)]
)
def test_shares_as_people_write_them(value: Any, expected: float) -> None:
    assert options.share("limit", value) == pytest.approx(expected)


@pytest.mark.parametrize(
    "words",
    [
        "--lr 0.1 0.2 auto --backends numba good.py",
        "--lr 0.1 --lr=0.2 --lr auto --backend numba --backend good.py",
        "--lr 0.1,0.2,auto --backends numba --backend good.py",
    ],
)
def test_several_values(words: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from gradrace.bench.cli.parser import arguments_of

    monkeypatch.setattr(backends, "require", lambda _: None)
    found = arguments_of(COMMANDS_BY_NAME["rates"], ["t.csv", *words.split()])
    chosen = {"lr": [0.1, 0.2, "auto"], "backends": ["numba", "good.py"]}
    assert found == {"file": "t.csv", **chosen}


@pytest.mark.parametrize(
    "words",
    [
        "t.csv --header --standardize --features a,b c",
        "--standardize t.csv --header --features a,b c",
        "--features a,b c --header t.csv --standardize",
    ],
)
def test_a_file_may_stand_where_it_cannot_be_mistaken(words: str) -> None:
    from gradrace.bench.cli.parser import arguments_of

    found = arguments_of(COMMANDS_BY_NAME["train"], words.split())
    flags = {"header": True, "standardize": True}
    assert found == {"file": "t.csv", "features": ["a,b", "c"], **flags}
