"""Damaged files: commands say in one line what is wrong, and process whatever they accept."""

import json
import os
import reprlib
from collections.abc import Callable, Iterator
from itertools import cycle
from pathlib import Path
from typing import Any

import pytest

from gradrace.bench.data import reading
from tests.cli.conftest import MODEL
from tests.conftest import Command
from tests.runs import MACHINE, write_run

TIMES = {"100x1": {"python": 4e-5, "numba": 1e-7}, "1000x1": {"python": 4e-4, "numba": 1e-6}}
COMMANDS = (
    "show run.json --details",
    "compare run.json run.json",
    "advise run.json --n 3000 --d 1 --epochs 1000",
    "run --resume run.json",
    "plot run.json --format svg",
    "report run.json",
)

Content = dict[str, Any]
Change = Callable[[Content], object]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> str:
    """What a result file holds."""
    path = tmp_path_factory.mktemp("whole") / "run.json"
    write_run(path, TIMES, sessions=2, roofline=MACHINE, setups={"numba": 1e-4})
    return path.read_text("utf-8")


@pytest.fixture
def run(whole: str, tmp_path: Path) -> Path:
    path = tmp_path / "run.json"
    path.write_text(whole, "utf-8")
    return path


def rewrite(path: Path, change: Change) -> None:
    content = json.loads(path.read_text("utf-8"))
    change(content)
    path.write_text(json.dumps(content), "utf-8")


def refusal(gradrace: Command, words: str) -> str:
    """Return the line in which a command refuses its file."""
    done = gradrace(*words.split())
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.isascii() or done.stderr.rstrip("\n").isprintable()
    assert done.stderr.count("\n") == 1
    return done.stderr.removeprefix("gradrace: run.json: ").rstrip("\n")


def settings(content: Content) -> Content:
    found: Content = content["gradrace"]["settings"]
    return found


def info(content: Content) -> Content:
    found: Content = content["benchmarks"][0]["extra_info"]
    return found


ODD = "\x1b[31m\n" + "y" * 999
WRONG: dict[str, tuple[Change, str]] = {
    # of another type, or out of range
    "a number for a truth": (
        lambda c: c["gradrace"].update(interrupted=7),
        "Expected `bool`, got `int` - at `$.gradrace.interrupted`",
    ),
    "nothing for a number": (
        lambda c: settings(c)["cases"][0].update(lr=None),
        "Expected `float`, got `null` - at `$.gradrace.settings.cases[0].lr`",
    ),
    "a time that is missing": (
        lambda c: c["benchmarks"][0]["stats"].pop("data"),
        "Object missing required field `data` - at `$.benchmarks[0].stats`",
    ),
    "a time of nothing": (
        lambda c: c["benchmarks"][0]["stats"]["data"].append(0.0),
        "Expected `float` >= 1e-15 - at `$.benchmarks[0].stats.data[10]`",
    ),
    "no choice, not quoted": (
        lambda c: info(c)["agreement"].update(precision=ODD),
        "Invalid enum value - at `$.benchmarks[0].extra_info.agreement.precision`",
    ),
    "a color that is none": (
        lambda c: c["gradrace"]["backends"]["numba"].update(color="red"),
        "Expected `str` matching regex '^#[0-9A-F]{6}$' - at `$.gradrace.backends[...].color`",
    ),
    "a billion sessions": (
        lambda c: settings(c).update(sessions=10**9),
        "Expected `int` <= 10000 - at `$.gradrace.settings.sessions`",
    ),
    "a trillion repetitions": (
        lambda c: c["gradrace"]["arms"][0].update(repetitions=10**12),
        "Expected `int` <= 10000 - at `$.gradrace.arms[0].repetitions`",
    ),
    # contradictions
    "a case twice": (
        lambda c: settings(c)["cases"].append(settings(c)["cases"][0]),
        "the case '100x1' appears twice",
    ),
    "an arm twice": (
        lambda c: c["benchmarks"].append(c["benchmarks"][0]),
        "the timed arm ('100x1', 'python', False) appears twice",
    ),
    "a session twice": (
        lambda c: c["gradrace"]["sessions"].append(c["gradrace"]["sessions"][0]),
        "the session 1 appears twice",
    ),
    "another size": (
        lambda c: settings(c)["cases"][0].update(n=7),
        "'python' on 100x1 is not in the settings",
    ),
    "a backend too many": (
        lambda c: settings(c)["backends"].append("gram"),
        "the fingerprints do not match the backends",
    ),
    "facts about another backend": (
        lambda c: c["gradrace"]["backends"].update(x=c["gradrace"]["backends"].pop("numba")),
        "what it says of the backends is not about those in its settings",
    ),
    "an unknown backend": (
        lambda c: info(c).update(backend=ODD),
        f"{reprlib.repr(ODD)} on 100x1 is not in the settings",
    ),
    "an unknown case": (
        lambda c: c["gradrace"]["trials"][0].update(case="7x7"),
        "'python' on 7x7 is not in the settings",
    ),
    "a time too few": (
        lambda c: c["benchmarks"][0]["stats"]["data"].pop(),
        "'python' on 100x1 has different numbers of times, sessions and repetitions",
    ),
    "a repetition twice": (
        lambda c: info(c).update(repetitions=[0] * 10),
        "'python' on 100x1 has two times for the same repetition",
    ),
    "an unfinished session": (
        lambda c: c["gradrace"]["sessions"].pop(),
        "'python' on 100x1 has times from sessions that did not finish",
    ),
    "a rate too few": (
        lambda c: c["gradrace"]["roofline"]["sizes"].pop(),
        "the roofline has different numbers of sizes and rates",
    ),
    "no rate for one thread": (
        lambda c: c["gradrace"]["roofline"]["read"].pop("1"),
        "the roofline has no rates for this number of threads",
    ),
    "rates for other threads": (
        lambda c: c["gradrace"]["roofline"]["fma"].pop("2"),
        "the rates of the roofline are for different numbers of threads",
    ),
    "another job": (
        lambda c: c["gradrace"]["arms"][0].update(case="100x1@7"),
        "its contenders and its settings have different cases",
    ),
    "another rate": (
        lambda c: settings(c)["cases"][0].update(lr=7.0),
        "its contenders and its settings have different cases",
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_is_wrong_is_named(run: Path, gradrace: Command, name: str) -> None:
    change, message = WRONG[name]
    rewrite(run, change)
    assert refusal(gradrace, "run --resume run.json") == f"is damaged: {message}"


@pytest.mark.parametrize("words", COMMANDS)
def test_every_command_refuses_it(run: Path, gradrace: Command, words: str) -> None:
    rewrite(run, lambda c: c["gradrace"].update(interrupted=7))
    assert refusal(gradrace, words).startswith("is damaged: Expected `bool`, got `int` - at ")
    assert [path.name for path in run.parent.iterdir()] == ["run.json"]


def instead(path: Path, make: Callable[[], object]) -> None:
    path.unlink()
    make()


NO_JSON = "is not JSON, or cut off"
SPOILED: dict[str, tuple[Callable[[Path], object], str]] = {
    "empty": (lambda path: path.write_bytes(b""), NO_JSON),
    "cut off": (lambda path: path.write_bytes(path.read_bytes()[:-20]), NO_JSON),
    "another encoding": (lambda path: path.write_text(MODEL, "utf-16"), NO_JSON),
    "a byte order mark": (lambda path: path.write_text(MODEL, "utf-8-sig"), NO_JSON),
    "bytes": (lambda path: path.write_bytes(b'{"gradrace": "\xff"}'), NO_JSON),
    "half a character": (lambda path: path.write_text(r'{"gradrace": "\ud800"}'), NO_JSON),
    "NaN": (lambda path: path.write_text('{"gradrace": NaN}'), NO_JSON),
    "beyond float64": (
        lambda path: path.write_text('{"gradrace": 1e400}'),
        "holds a number beyond float64",
    ),
    "deep": (lambda path: path.write_text("[" * 51 + "]" * 51), "is nested too deeply"),
    "bottomless": (lambda path: path.write_text("[" * 100_000), "is nested too deeply"),
    "a folder": (lambda path: instead(path, path.mkdir), "has no "),
    "a pipe": (lambda path: instead(path, lambda: os.mkfifo(path)), "is not a regular file"),
    "a device": (
        lambda path: instead(path, lambda: path.symlink_to("/dev/zero")),
        "is not a regular file",
    ),
    "endless": (
        lambda path: os.truncate(path, reading.LARGEST_FILE + 1),
        "is larger than 256 MB",
    ),
}


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes with names on this system")
@pytest.mark.parametrize("name", SPOILED)
@pytest.mark.parametrize("words", ["show run.json", "predict run.json t.csv"])
def test_what_is_no_file_of_ours_at_all(
    run: Path, gradrace: Command, words: str, name: str
) -> None:
    run.with_name("t.csv").write_text("size,age\n1,2\n")
    spoil, message = SPOILED[name]
    spoil(run)
    assert refusal(gradrace, words).startswith(message)


LIMITS: dict[str, tuple[float, float]] = {
    **dict.fromkeys(("data", "median"), (1e-15, 1e6)),
    **dict.fromkeys(("load", "first", "cold", "cached", "setup", "whole", "seconds"), (0.0, 1e6)),
    **dict.fromkeys(("budget", "longest", "spacing", "block", "copying"), (0.0, 1e6)),
    **dict.fromkeys(("read", "read_again", "fma", "fma_again"), (1.0, 1e18)),
    "more": (-1e6, 1e6),
    "cores": (0.0, 1e9),
    "lr": (5e-324, 1.7e308),
    "seed": (-(10**4_000), 10**4_000),
    "iterations": (1, 2**40),
}
"""The least and the greatest number that a file may hold, by its key"""


def at_limits(value: Any, ends: Iterator[int], key: str = "") -> Any:
    """Return a tree of JSON whose numbers are at one of their two limits."""
    if isinstance(value, dict):
        return {k: at_limits(v, ends, k if k in LIMITS else key) for k, v in value.items()}
    if isinstance(value, list):
        return [at_limits(v, ends, key) for v in value]
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return LIMITS[key][next(ends)] if number and key in LIMITS else value


ENDS = {"least": [0], "greatest": [1], "either": [0, 1, 1, 0, 1]}


@pytest.mark.parametrize(
    ("ends", "words"),
    [*((ends, words) for ends in ENDS for words in COMMANDS[:3]), ("either", "report run.json")],
)
def test_extreme_numbers_are_processed(run: Path, gradrace: Command, words: str, ends: str) -> None:
    own, either = ("benchmarks", "gradrace"), cycle(ENDS[ends])
    rewrite(run, lambda c: c.update({key: at_limits(c[key], either) for key in own}))
    done = gradrace(*words.split())
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout


def test_what_a_file_concludes_is_not_believed(run: Path, gradrace: Command) -> None:
    before = gradrace("show", "run.json", "--details").stdout

    def forge(content: Content) -> None:
        for row in content["gradrace"]["cases"][0]["arms"]:
            row["time"]["median"] *= 1_000

    rewrite(run, forge)
    assert gradrace("show", "run.json", "--details").stdout == before
    rewrite(run, lambda c: c["gradrace"].update(cases=[-1], warnings="none"))
    assert gradrace("show", "run.json", "--details").stdout == before


@pytest.mark.parametrize("job", [(10**13, 1, 10), (10, 1, 10**13)])
def test_more_than_the_memory_is_not_resumed(
    tmp_path: Path, gradrace: Command, job: tuple[int, int, int]
) -> None:
    n, d, epochs = job
    write_run(tmp_path / "run.json", {"10x1@10": {"numpy": 1e-5}})
    text = (tmp_path / "run.json").read_text("utf-8")
    content = json.loads(text.replace("10x1@10", f"{n}x{d}@{epochs}").replace("10x1", f"{n}x{d}"))
    settings(content)["cases"][0].update(n=n, d=d, epochs=epochs)
    (tmp_path / "run.json").write_text(json.dumps(content))
    assert "GB of memory, and" in gradrace("run", "--resume", "run.json").stderr


def test_nothing_named_in_a_file_runs_before_it_is_known_to_be_the_same(
    tmp_path: Path, gradrace: Command
) -> None:
    mine = tmp_path / "mine.py"
    mine.write_text(f"open({str(tmp_path / 'it ran')!r}, 'w')\n")
    write_run(tmp_path / "run.json", {"10x1@10": {str(mine): 1e-5}})
    rewrite(tmp_path / "run.json", lambda c: c["gradrace"].update(interrupted=True))
    mine.write_text(mine.read_text() + "# changed\n")
    assert "mine.py has changed since" in gradrace("run", "--resume", "run.json").stderr
    assert not (tmp_path / "it ran").exists()
