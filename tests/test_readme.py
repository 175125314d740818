"""What the README says is true: its commands, its code, its links."""

import doctest
import re

import pytest

from bench.proof.problems import suite
from tests.conftest import ROOT
from tests.variants import CORRECT, WRONG

README = (ROOT / "README.md").read_text("utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", README, re.DOTALL | re.MULTILINE)


def test_quick_start_holds_the_two_commands() -> None:
    quick_start = README.split("## Quick start")[1].split("\n## ")[0]
    assert quick_start.count("```sh\n") == len(blocks("sh")) == 2
    assert all(block.startswith("pip install -e ") for block in blocks("sh"))


def test_the_code_prints_what_it_says() -> None:
    failed, tried = doctest.testfile(str(ROOT / "README.md"), module_relative=False)
    assert (failed, tried) == (0, 10)
    assert sum(block.count(">>> ") for block in blocks("python")) == tried


@pytest.mark.parametrize("target", sorted(set(re.findall(r"\]\(([^)#]+)\)", README))))
def test_links_lead_somewhere(target: str) -> None:
    assert target.startswith("https://") or (ROOT / target).is_file()


def test_the_loops_are_counted() -> None:
    assert f"{len(WRONG)} wrong loops" in README
    assert f"{len(CORRECT)} orders of evaluation" in README
    assert f"{len(suite())} small problems" in README
