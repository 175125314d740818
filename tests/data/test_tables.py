"""Every table that people really have: what is right, for the reader, Python and the command line.

`found.json` and the files in `found` are shaped like public data sets and bug reports;
`variations.json` has further tables of text, written out, and what is right for them.
"""

import json
import shlex
import typing
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest

import gradrace
from gradrace.backends.interface import InputValueError
from gradrace.bench.api import learning
from gradrace.bench.api.inputs import ReadingOptions, reading_of
from gradrace.bench.cli.main import main
from gradrace.bench.data import reader
from gradrace.bench.data.samples import Dataset
from gradrace.bench.show.text import as_option, worded
from tests.files import open_files

HERE = Path(__file__).parent
FOUND = json.loads((HERE / "found.json").read_text())
VARIATIONS = json.loads((HERE / "variations.json").read_text())
CASES = [*FOUND, *VARIATIONS["cases"]]


class Asked(NamedTuple):
    """The options of a case, as Python takes them."""

    target: str | None
    features: list[str]
    exclude: list[str]
    reading: ReadingOptions


def asked(options: str) -> Asked:
    found: dict[str, Any] = {}
    current = ""
    for word in shlex.split(options):
        if word in ("--header", "--no-header", "--drop-missing"):
            found[word[2:].removeprefix("no-").replace("-", "_")] = not word.startswith("--no")
            current = ""
        elif word.startswith("--"):
            current = word[2:].replace("-", "_")
        elif current in ("features", "exclude"):
            found.setdefault(current, []).append(word)
        else:
            found[current] = int(word) if current == "skip_rows" else word
    columns = found.pop("target", None), found.pop("features", []), found.pop("exclude", [])
    return Asked(*columns, typing.cast(ReadingOptions, found))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with all tables."""
    folder = tmp_path_factory.mktemp("tables")
    for name, text in VARIATIONS["files"].items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(text.encode())
    for path in (HERE / "found").iterdir():
        (folder / path.name).symlink_to(path)
    return folder


cases = pytest.mark.parametrize(
    "case", CASES, ids=[f"{case['input']} {case['options']}" for case in CASES]
)


def read(path: Path, options: str) -> Dataset | str:
    """Return what is read, or the message."""
    target, features, exclude, given = asked(options)
    reading = reading_of(given)
    try:
        return reader.read_table(path, target, features, exclude=exclude, reading=reading)
    except InputValueError as error:
        return worded(error.args, as_option)


def wrong(found: Dataset | str, right: dict[str, Any]) -> str:
    """Say what is not right; empty if all is."""
    if isinstance(found, str):
        if "\n" in found:
            return f"is not one line: {found}"
        absent = [words not in found for words in right.get("message_has", [])]
        return found if "n" in right or any(absent) else ""
    shape = (found.n, found.target, list(found.features))
    if "n" not in right or shape != (right["n"], right["target"], right["features"]):
        return f"read {shape}"
    A = np.column_stack([found.X, np.ones(found.n)])
    scale = np.abs(A).max(axis=0)
    best = np.linalg.lstsq(A / scale, found.y, rcond=None)[0] / scale
    right_ones = np.array(right["least_squares"])
    close = np.allclose(best, right_ones, rtol=1e-5, atol=1e-6 * np.abs(right_ones).max())
    loss = np.mean((A @ best - found.y) ** 2)
    close &= bool(np.isclose(loss, right["loss"], rtol=1e-4, atol=1e-9))
    return "" if close else f"least squares {best}, loss {loss}"


class Captured(BaseException):
    """The samples that a command would train on."""


def captured(data: Dataset, **_: object) -> None:
    raise Captured(data)


@cases
def test_what_is_right_is_the_same_in_python_and_on_the_command_line(
    folder: Path,
    case: dict[str, Any],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """And what is said, but for the names of the options."""
    monkeypatch.chdir(folder)
    expected = read(Path(case["input"]), case["options"])
    faults = [wrong(expected, right) for right in (case["expect"], *case.get("or", []))]
    assert "" in faults, (case["why"], faults[0])
    target, features, exclude, reading = asked(case["options"])
    monkeypatch.setattr(learning, "train", captured)
    words = ["train", case["input"], *shlex.split(case["options"]), "--backend", "numpy"]
    with pytest.raises((Captured, SystemExit)) as ended:
        main(words)

    def read_by_python() -> Dataset:
        return gradrace.read_table(case["input"], target, features, exclude=exclude, **reading)

    if isinstance(expected, str):
        assert ended.value.args == (2,)
        assert capsys.readouterr().err == f"gradrace: {expected}\n"
        with pytest.raises(InputValueError) as caught:
            read_by_python()
        assert worded(caught.value.args, as_option) == expected
        return
    assert isinstance(ended.value, Captured), capsys.readouterr().err
    for samples in (ended.value.args[0], read_by_python()):
        assert_same(samples, expected)
        assert samples.remarks == expected.remarks


def assert_same(found: Dataset, expected: Dataset) -> None:
    assert (found.features, found.target) == (expected.features, expected.target)
    np.testing.assert_array_equal(found.X, expected.X)
    np.testing.assert_array_equal(found.y, expected.y)


@cases
def test_in_parts_a_folder_of_it_gives_the_same(
    folder: Path, case: dict[str, Any], tmp_path: Path
) -> None:
    """So a model that was trained on a folder predicts a file of it."""
    path = folder / case["input"]
    expected = read(path, case["options"])
    target, features, exclude, given = asked(case["options"])
    reading = reading_of(given)
    several = path.is_dir()
    if isinstance(expected, str) or path.suffix in (".npz", ".zip", ".data", ".txt", ".dat"):
        return
    if not several:
        (tmp_path / path.name).symlink_to(path)
    opened = open_files(path if several else tmp_path, target, features, exclude, reading=reading)
    parts = [
        batch for recipe in opened.partitions.recipes for batch in opened.partitions.read(*recipe)
    ]
    assert (opened.features, opened.target) == (expected.features, expected.target)
    np.testing.assert_array_equal(np.concatenate([X for X, _ in parts]), expected.X)
    np.testing.assert_array_equal(np.concatenate([y for _, y in parts]), expected.y)
