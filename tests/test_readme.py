"""The READMEs are correct: their commands, their code, their links."""

import doctest
import re
import shlex
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from gradrace.bench.cli.commands import COMMANDS
from gradrace.bench.cli.parser import names_of
from gradrace.bench.proof.problems import number, suite
from tests.conftest import ROOT
from tests.variants import CORRECT, WRONG

FOLDERS = ("backends", "bench", "plots", "tests")
READMES = [
    ROOT / "README.md",
    ROOT / ".github" / "CONTRIBUTING.md",
    *sorted(
        p for f in FOLDERS for p in (ROOT / f).rglob("README.md") if "__pycache__" not in p.parts
    ),
]
TOP = READMES[0].read_text("utf-8")
OPTIONS = {
    command.name: {name for option in command.every for name in names_of(option)}
    for command in COMMANDS
}

readmes = pytest.mark.parametrize("path", READMES, ids=lambda path: str(path.relative_to(ROOT)))


def blocks(text: str, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)


def test_quick_start_holds_the_two_commands() -> None:
    quick_start = TOP.split("## Quick start")[1].split("\n## ")[0]
    assert quick_start.count("```sh\n") == len(blocks(TOP, "sh")) == 2
    assert all("pip install -e ." in block for block in blocks(TOP, "sh"))


def test_the_top_one_stays_short() -> None:
    assert len(TOP.splitlines()) <= 185


@readmes
def test_the_code_prints_what_it_says(path: Path) -> None:
    failed, tried = doctest.testfile(str(path), module_relative=False)
    assert failed == 0
    assert sum(b.count(">>> ") for b in blocks(path.read_text("utf-8"), "python")) == tried


def test_the_loop_is_the_one_that_is_raced() -> None:
    from gradrace import reference_line

    (loop,) = (block for block in blocks(TOP, "python") if ">>> " not in block)
    names: dict[str, Any] = {}
    exec(loop, names)
    line = reference_line()
    w, b = names["train"](line.X, line.y, 0.005, 10_000)
    assert (w.round(6).tolist(), b.round(6)) == ([3.015326], 1.811861)


@readmes
def test_links_lead_somewhere(path: Path) -> None:
    targets = set(re.findall(r"\]\(([^)#]+)\)", path.read_text("utf-8")))
    relative = {target for target in targets if not target.startswith("https://")}
    assert [target for target in relative if not (path.parent / target).exists()] == []


@readmes
def test_the_commands_and_their_options_exist(path: Path) -> None:
    text = path.read_text("utf-8")
    quoted = re.findall(r"`(gradrace [^`]+)`", text)
    shown = re.findall(r"^\$ (gradrace .*)$", text, re.MULTILINE)
    for line in [*quoted, *shown]:
        command, *words = shlex.split(line.replace("\n", " ").partition("&&")[0])[1:]
        if command in ("COMMAND", "--help"):
            continue
        assert {word for word in words if word.startswith("--")} <= {*OPTIONS[command], "--help"}


@readmes
def test_the_modules_it_runs_exist(path: Path) -> None:
    for name in re.findall(r"python -m ([a-z_.]+[a-z])", path.read_text("utf-8")):
        assert find_spec(name) is not None, name


def test_the_loops_are_counted() -> None:
    proof = (ROOT / "bench/proof/README.md").read_text("utf-8")
    assert f"{len(WRONG)} wrong loops" in proof
    assert f"{len(CORRECT)} orders of evaluation" in proof
    assert f"{number(suite())} small problems" in proof
    assert f"{number(suite())} small problems" in TOP
