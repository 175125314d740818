"""Damaged files: every reader says in one line what is wrong, and none crashes.

One value at a time is replaced, at every place of a file. Whatever a reader accepts, it must be
able to process completely.
"""

import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from gradrace.backends.interface import InputError, InputValueError
from gradrace.bench.data import reading
from gradrace.bench.learning import model_file
from gradrace.bench.learning.prediction import read_model
from gradrace.bench.machine import facts
from gradrace.bench.race import pictures, results, schema
from gradrace.bench.race import run as race
from gradrace.bench.race.advice import advise
from gradrace.bench.race.comparison import compare, drift_warning
from gradrace.bench.report import advice, comparison, formats
from tests.cli.conftest import MODEL
from tests.conftest import Command
from tests.files import predicted
from tests.machine.test_roofline import MACHINE
from tests.runs import write_run

TIMES = {"100x1": {"python": 4e-5, "numba": 1e-7}, "1000x1": {"python": 4e-4, "numba": 1e-6}}
DAMAGES = {
    "null": "null",
    "empty text": '""',
    "text": '"x"',
    "escape codes": r'"\u001b[31m$\\frac$"',
    "half a character": r'"\ud800"',
    "endless text": f'"{"y" * 10_000}"',
    "list": "[]",
    "object": "{}",
    "true": "true",
    "negative": "-1",
    "zero": "0",
    "tiny": "1e-320",
    "fraction": "2.5",
    "many": "1000000000000",
    "huge": "1e308",
    "beyond float64": "1e400",
    "400 digits": "9" * 400,
    "5,000 digits": "9" * 5_000,
    "NaN": "NaN",
    "infinite": "-Infinity",
    "deep": "[" * 900 + "]" * 900,
    "bottomless": "[" * 100_000 + "]" * 100_000,
}
SYNTAX = ("half a character", "beyond float64", "5,000 digits", "NaN", "infinite", "bottomless")
"""What is never valid JSON, wherever it stands."""
MARK = "here"

Place = tuple[str | int, ...]


def places(value: Any, place: Place = ()) -> Iterator[Place]:
    """Every place of a JSON tree; in a list, only the first value."""
    yield place
    if isinstance(value, dict):
        for key in value:
            yield from places(value[key], (*place, key))
    elif isinstance(value, list | tuple) and value:
        yield from places(value[0], (*place, 0))


def replaced(value: Any, place: Place, new: Callable[[Any], Any]) -> Any:
    """The tree with another value at a place; None deletes it."""
    if not place:
        return new(value)
    key, *rest = place
    pairs = value.items() if isinstance(value, dict) else enumerate(value)
    changed = {k: replaced(v, tuple(rest), new) if k == key else v for k, v in pairs}
    kept = {k: v for k, v in changed.items() if v is not DELETED}
    return kept if isinstance(value, dict) else list(kept.values())


DELETED = object()


def mutants(content: Any, kind: Any) -> Iterator[tuple[Place, str, str]]:
    """Every place that is read in this kind of file, a damage, and the text of the file.

    Each damage is tried at every second place, in turn; trying all would take twice as long.
    """
    for i, place in enumerate(places(msgspec.convert(content, type=kind))):
        text = json.dumps(replaced(content, place, lambda _: MARK))
        for j, (name, token) in enumerate(DAMAGES.items()):
            if len(place) == 1 or (name not in SYNTAX and (i + j) % 2):
                yield place, name, text.replace(f'"{MARK}"', token)
        if place:
            yield place, "deleted", json.dumps(replaced(content, place, lambda _: DELETED))
        found: list[Any] = []
        replaced(content, place, found.append)
        if isinstance(found[0], list):
            for name, change in (("doubled", lambda v: v + v), ("cut", lambda v: v[:-1])):
                yield place, name, json.dumps(replaced(content, place, change))
        if isinstance(found[0], dict):
            again = json.dumps(found[0])[:-1] + f', "{next(iter(found[0]), "x")}": null}}'
            yield place, "a key twice", text.replace(f'"{MARK}"', again)


ACCEPTED, REFUSED = "accepted", "refused"


def outcome(read: Callable[[Path], object], path: Path) -> str:
    """Return ACCEPTED, REFUSED if in one short line, or the unexpected error."""
    try:
        read(path)
    except (InputError, OSError) as error:
        message = str(error)
        fine = message.isprintable() and len(message) < 300
        return REFUSED if fine else f"says {message[:300]!r}"
    except Exception as error:
        return f"raised {type(error).__name__}: {error}"[:300]
    return ACCEPTED


class StoppedError(Exception):
    """The race would begin now."""


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """What the result file of an unfinished run holds."""
    path = tmp_path_factory.mktemp("whole") / "run.json"
    write_run(path, TIMES, sessions=2, roofline=MACHINE, setups={"numba": 1e-4})
    return path.read_bytes().replace(b'"interrupted": false', b'"interrupted": true')


@pytest.fixture
def run(whole: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A result file, and a race that stops before anything runs."""

    def stop(*_: object) -> None:
        raise StoppedError

    path = tmp_path / "run.json"
    path.write_bytes(whole)
    monkeypatch.setattr(facts, "machine_info", lambda: json.loads(whole)["machine_info"])
    monkeypatch.setattr(race, "_set_up", stop)
    return path


def compare_and_tell(path: Path) -> None:
    found = compare(path, path)
    comparison.comparison_table(found)
    comparison.comparison_markdown(found)
    drift_warning(found)
    found.unseen(0.1)


def advise_and_tell(path: Path) -> None:
    found = advise(path, n=3_000, d=1, epochs=1_000, runs=3)
    advice.advice_report(found, results.read(path))


def resume_and_tell(path: Path) -> None:
    try:
        race.resume(path)
    except StoppedError:
        content = results.read(path)
        formats.race_report(content, full=True)
        formats.race_csv(content)


def draw(path: Path) -> None:
    list(pictures.draw(path, path.parent / "pictures"))


READERS = (compare_and_tell, advise_and_tell, resume_and_tell)


@pytest.mark.slow
def test_no_damage_surprises_a_reader_of_result_files(run: Path) -> None:
    damaged, accepted = run.with_name("damaged.json"), 0
    surprises: list[tuple[Place, str, str]] = []
    (run.parent / "pictures").mkdir()
    for place, name, text in mutants(json.loads(run.read_text("utf-8")), schema.MeasuredFile):
        damaged.write_text(text, "utf-8")
        found = {outcome(results.read, damaged)}
        if found == {ACCEPTED}:
            accepted += 1
            drawn = [draw] if accepted % 75 == 0 else []  # drawing takes a while
            found = {outcome(read, damaged) for read in (*READERS, *drawn)}
        surprises += [(place, name, words) for words in found - {ACCEPTED, REFUSED}]
    assert surprises == []
    assert accepted > 100


@pytest.mark.parametrize("text", ["y" * 10_000, "'\x1b[31m\n"])
def test_what_is_no_choice_is_not_quoted(run: Path, text: str) -> None:
    content = json.loads(run.read_text("utf-8"))
    content["benchmarks"][0]["extra_info"]["agreement"]["precision"] = text
    run.write_text(json.dumps(content), "utf-8")
    with pytest.raises(InputValueError, match=r"Invalid enum value - at `\$\.benchmarks\[0\]\."):
        results.read(run)


@pytest.mark.parametrize("damage", [name for name in DAMAGES if name not in SYNTAX])
def test_what_is_not_read_may_hold_anything_but_depths(run: Path, damage: str) -> None:
    content = json.loads(run.read_text("utf-8"))
    content["more"] = content["gradrace"]["cases"] = content["commit_info"] = MARK
    content["benchmarks"][0]["stats"]["mean"] = content["gradrace"]["warnings"] = MARK
    run.write_text(json.dumps(content).replace(f'"{MARK}"', DAMAGES[damage]), "utf-8")
    if damage == "deep":
        with pytest.raises(InputValueError, match="is nested too deeply"):
            results.read(run)
    else:
        assert {**results.read(run)}["more"] == json.loads(DAMAGES[damage])


@pytest.mark.parametrize("read", [*READERS, draw])
def test_every_reader_refuses_what_one_of_them_refuses(
    run: Path, read: Callable[[Path], object]
) -> None:
    run.write_text(run.read_text("utf-8").replace('"duplicate": true', '"duplicate": null', 1))
    with pytest.raises(
        InputValueError, match=r"run\.json: is damaged: Expected `bool`, got `null`"
    ):
        read(run)


def test_no_damage_surprises_a_reader_of_models(tmp_path: Path) -> None:
    damaged, table = tmp_path / "model.json", tmp_path / "t.csv"
    table.write_text("size,age\n1,2\n")
    for place, name, text in mutants(json.loads(MODEL), model_file.ModelFile):
        damaged.write_text(text, "utf-8")
        found = outcome(lambda path: predicted(read_model(path), table), damaged)
        assert found in (ACCEPTED, REFUSED), (place, name)


def contradict(change: Callable[[dict[str, Any]], object], run: Path) -> str:
    """Return the error message for a file changed in this way."""
    content = json.loads(run.read_text("utf-8"))
    change(content)
    run.write_text(json.dumps(content))
    with pytest.raises(InputValueError) as caught:
        race.resume(run)
    return str(caught.value).removeprefix(f"{run}: is damaged: ")


def settings(content: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = content["gradrace"]["settings"]
    return found


def info(content: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = content["benchmarks"][0]["extra_info"]
    return found


CONTRADICTIONS: dict[str, tuple[Callable[[dict[str, Any]], object], str]] = {
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
        "the name of the case 100x1 does not match its n and d",
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
        lambda c: info(c).update(backend="x"),
        "'x' on 100x1 is not in the settings",
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
    "another job": (
        lambda c: c["gradrace"]["arms"][0].update(case="100x1@7"),
        "its arms and its settings have different cases",
    ),
    "another rate": (
        lambda c: settings(c)["cases"][0].update(lr=7.0),
        "its arms and its settings have different cases",
    ),
    "a billion sessions": (
        lambda c: settings(c).update(sessions=10**9),
        "Expected `int` <= 10000 - at `$.gradrace.settings.sessions`",
    ),
    "a color that is none": (
        lambda c: c["gradrace"]["backends"]["numba"].update(color="red"),
        "Expected `str` matching regex '^#[0-9A-F]{6}$' - at `$.gradrace.backends[...].color`",
    ),
    "a trillion repetitions": (
        lambda c: c["gradrace"]["arms"][0].update(repetitions=10**12),
        "Expected `int` <= 10000 - at `$.gradrace.arms[0].repetitions`",
    ),
}


@pytest.mark.parametrize("name", CONTRADICTIONS)
def test_what_contradicts_the_rest_is_named(run: Path, name: str) -> None:
    change, message = CONTRADICTIONS[name]
    assert contradict(change, run) == message


@pytest.mark.parametrize("job", [(10**13, 1, 10), (10, 1, 10**13)])
def test_a_file_that_asks_for_more_than_the_memory_is_not_resumed(
    tmp_path: Path, job: tuple[int, int, int]
) -> None:
    write_run(tmp_path / "run.json", {"10x1@10": {"numpy": 1e-5}})
    n, d, epochs = job
    text = (tmp_path / "run.json").read_text("utf-8")
    content = json.loads(text.replace("10x1@10", f"{n}x{d}@{epochs}").replace("10x1", f"{n}x{d}"))
    settings(content)["cases"][0].update(n=n, d=d, epochs=epochs)
    (tmp_path / "run.json").write_text(json.dumps(content))
    with pytest.raises(InputValueError, match="GB of memory, and"):
        race.resume(tmp_path / "run.json")


def test_nothing_named_in_a_file_runs_before_it_is_known_to_be_the_same(tmp_path: Path) -> None:
    mine = tmp_path / "mine.py"
    mine.write_text(f"open({str(tmp_path / 'it ran')!r}, 'w')\n")
    path = tmp_path / "run.json"
    write_run(path, {"10x1@10": {str(mine): 1e-5}})
    text = path.read_text("utf-8")
    path.write_text(text.replace('"interrupted": false', '"interrupted": true'), "utf-8")
    mine.write_text(mine.read_text() + "# changed\n")
    with pytest.raises(InputValueError, match=r"mine\.py has changed since"):
        race.resume(tmp_path / "run.json")
    assert not (tmp_path / "it ran").exists()


def test_pictures_show_the_data_not_what_a_file_concludes(run: Path) -> None:
    folders = [run.with_name("before"), run.with_name("after")]
    for folder in folders:
        folder.mkdir()
    list(pictures.draw(run, folders[0]))
    content = json.loads(run.read_text("utf-8"))
    for case in content["gradrace"]["cases"]:
        case["fastest"]["backend"] = "mine"
        for row in case["arms"]:
            row["time"]["median"] *= 1_000
            if row["speed_up"]:
                row.update(backend="mine", speed_up={"value": 1e6, "low": 1e6, "high": 1e6})
    run.write_text(json.dumps(content))
    list(pictures.draw(run, folders[1]))
    before, after = ({p.name: p.read_bytes() for p in f.iterdir()} for f in folders)
    assert before == after
    assert {"speed.png", "speedup.png", "fastest.png"} <= before.keys()


def instead(path: Path, make: Callable[[], object]) -> None:
    path.unlink()
    make()


Spoil = Callable[[Path], object]
SPOILED: dict[str, tuple[Spoil, str]] = {
    "empty": (lambda path: path.write_bytes(b""), "is not JSON, or cut off"),
    "cut off": (
        lambda path: path.write_bytes(path.read_bytes()[:-20]),
        "is not JSON, or cut off",
    ),
    "another encoding": (
        lambda path: path.write_text(path.read_text("utf-8"), "utf-16"),
        "is not JSON, or cut off",
    ),
    "a byte order mark": (
        lambda path: path.write_text(path.read_text("utf-8"), "utf-8-sig"),
        "is not JSON, or cut off",
    ),
    "bytes": (lambda path: path.write_bytes(b'{"gradrace": "\xff"}'), "is not JSON, or cut off"),
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
@pytest.mark.parametrize("read", [results.read, read_model])
def test_what_is_no_file_of_ours_at_all(
    tmp_path: Path, read: Callable[[Path], object], name: str
) -> None:
    path = tmp_path / "f.json"
    path.write_text(MODEL)
    spoil, message = SPOILED[name]
    spoil(path)
    with pytest.raises(InputValueError) as caught:
        read(path)
    assert str(caught.value).startswith(f"{path}: {message}")


@pytest.mark.parametrize(
    "words",
    [
        ("compare", "run.json", "run.json"),
        ("plot", "run.json"),
        ("advise", "run.json", "--n", "100", "--d", "1", "--epochs", "9"),
        ("run", "--resume", "run.json"),
    ],
)
def test_a_damaged_file_is_one_line_and_status_2(
    run: Path, gradrace: Command, words: tuple[str, ...]
) -> None:
    run.write_text(run.read_text("utf-8").replace('"interrupted": ', '"interrupted": 7, "x": '))
    done = gradrace(*words)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == (
        "gradrace: run.json: is damaged: Expected `bool`, got `int` - at `$.gradrace.interrupted`\n"
    )
