"""The result file: how sessions are merged, what is read back, and what is refused."""

import json
from pathlib import Path

import msgspec
import pytest

from gradrace.backends.interface import InputValueError
from gradrace.bench.race.plan import Contender
from gradrace.bench.race.verdict.race import Race
from gradrace.bench.race.verdict.result import Benchmark, merge, write
from tests.runs import timed, write_run

TIMES = {"100x1": {"python": 4e-5, "numpy": 8e-6}, "1000x1": {"python": 4e-4, "numpy": 1e-5}}
A, B = Contender("10x1@9", "a"), Contender("10x1@9", "b")


class TestMerge:
    def test_every_value_keeps_its_session_and_repetition(self) -> None:
        merged: list[Benchmark] = []
        for session in (1, 2):
            merge(merged, session, [timed(A, session * 1e-3)])
        (one,) = merged
        assert one.extra_info.sessions == [1] * 5 + [2] * 5
        assert one.extra_info.repetitions == [0, 1, 2, 3, 4] * 2
        assert one.stats.data == pytest.approx([1e-3] * 5 + [2e-3] * 5)
        assert one.stats.median == pytest.approx(1.5e-3)
        assert one.times()[2] == pytest.approx(dict.fromkeys(range(5), 2e-3))

    def test_entries_keep_their_places(self) -> None:
        merged: list[Benchmark] = []
        merge(merged, 1, [timed(B, 1e-3, place=1)])
        merge(merged, 2, [timed(A, 1e-3, place=0)])
        assert [one.backend for one in merged] == ["a", "b"]

    def test_signatures_are_those_of_the_session_that_compiled(self) -> None:
        merged: list[Benchmark] = []
        for session, signatures in enumerate([(2, 2), (1, 3), (2, 2)]):
            merge(merged, session, [timed(A, 1e-3, signatures=signatures)])
        assert merged[0].extra_info.signatures == [1, 3]

    def test_other_options_in_another_session_are_noted(self) -> None:
        merged: list[Benchmark] = []
        first, second = timed(A, 1e-3), timed(A, 1e-3)
        second.options = {"warmup": True}
        merge(merged, 1, [first])
        assert merged[0].options == {}
        merge(merged, 2, [second])
        assert merged[0].options == {"mixed": True}


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("result") / "run.json"
    write_run(path, TIMES)
    return path


def test_what_is_written_is_read_back(path: Path, tmp_path: Path) -> None:
    race = Race(path)
    write(tmp_path / "again.json", race.content)
    assert (tmp_path / "again.json").read_bytes() == path.read_bytes()


def test_pytest_benchmark_finds_its_figures(path: Path) -> None:
    (first, *_) = json.loads(path.read_text("utf-8"))["benchmarks"]
    stats = first["stats"]
    assert (stats["rounds"], stats["min"], stats["max"]) == (
        15,
        min(stats["data"]),
        max(stats["data"]),
    )


def test_findings_are_not_trusted_but_drawn_again(path: Path, tmp_path: Path) -> None:
    content = json.loads(path.read_text("utf-8"))
    content["gradrace"]["cases"] = [{"lies": True}]
    content["gradrace"]["warnings"] = ["nonsense"]
    (tmp_path / "edited.json").write_text(json.dumps(content), "utf-8")
    assert Race(tmp_path / "edited.json").about == Race(path).about


def test_a_folder_means_the_result_in_it(path: Path, tmp_path: Path) -> None:
    with pytest.raises(InputValueError, match=r"has no benchmark\.json"):
        Race(tmp_path)
    (tmp_path / "benchmark.json").write_bytes(path.read_bytes())
    assert Race(tmp_path).file == tmp_path / "benchmark.json"


NO_RESULT = "is not a result file of gradrace run"
UNUSABLE = {
    "empty": ("", "is not JSON, or cut off"),
    "a list": ("[1]", NO_RESULT),
    "pytest-benchmark's own": ('{"benchmarks": [], "machine_info": {}}', NO_RESULT),
    "a model": (
        '{"format": "gradrace model"}',
        f"{NO_RESULT} (a model; see gradrace predict)",
    ),
}
CHANGES = {
    "older": ('"schema": 4', '"schema": 3', "has an older schema, 3; this version reads 4"),
    "newer": ('"schema": 4', '"schema": 5', "has a newer schema, 5; this version reads 4"),
    "unknown": (
        '"schema": 4',
        '"schema": "x"',
        "has an older schema, 'x'; this version reads 4",
    ),
    "without": (
        '"fingerprints": {',
        '"x": {',
        "is damaged: Object missing required field `fingerprints` - at `$.gradrace`",
    ),
    "cut off": ('"gradrace"', "", "is not JSON, or cut off"),
    "edited": (
        '"iterations": ',
        '"iterations": -',
        "is damaged: Expected `int` >= 1 - at `$.benchmarks[0].stats.iterations`",
    ),
}


def refusal(path: Path, text: str) -> str:
    path.write_text(text, "utf-8")
    with pytest.raises(InputValueError) as caught:
        Race(path)
    return str(caught.value)


@pytest.mark.parametrize("name", UNUSABLE)
def test_what_is_no_result_file(tmp_path: Path, name: str) -> None:
    text, message = UNUSABLE[name]
    assert refusal(tmp_path / "r.json", text) == f"{tmp_path / 'r.json'}: {message}"


@pytest.mark.parametrize("name", CHANGES)
def test_a_result_file_that_cannot_be_used(path: Path, tmp_path: Path, name: str) -> None:
    before, after, message = CHANGES[name]
    text = path.read_text("utf-8")
    assert before in text
    changed = text.replace(before, after, 1) if after else text[: text.index(before)]
    assert refusal(tmp_path / "r.json", changed) == f"{tmp_path / 'r.json'}: {message}"


def test_a_file_of_an_earlier_version_gives_the_same_figures() -> None:
    """The file holds the findings of the version that wrote it; they are drawn again."""
    path = Path(__file__).with_name("before.json")
    before = json.loads(path.read_text("utf-8"))["gradrace"]["cases"]
    after = msgspec.to_builtins(Race(path).about.cases, str_keys=True)
    for case, now in zip(before, after, strict=True):
        del case["fastest"], case["aa"]  # which follow from the others
        for entry in case["arms"]:
            minima = entry["speed_up"] and entry["speed_up"].pop("minima")
            entry["speed_up_of_bests"] = minima
        assert now == case
