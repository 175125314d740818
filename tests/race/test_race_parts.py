"""What a race says; the times are made up, so that the answer is known."""

import csv
import io
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from matplotlib.text import Text
from msgspec import UNSET
from msgspec.structs import replace

from gradrace.bench.machine.roofline import limit
from gradrace.bench.parts import (
    Answer,
    Caution,
    Column,
    Command,
    Figure,
    Part,
    Result,
    Table,
    Tool,
)
from gradrace.bench.race.growth import Scaling
from gradrace.bench.race.verdict import race_parts
from gradrace.bench.race.verdict.advice import advise
from gradrace.bench.race.verdict.comparison import compare
from gradrace.bench.race.verdict.conclusions import conclude
from gradrace.bench.race.verdict.race import Race
from gradrace.bench.race.verdict.ranking import trades
from gradrace.bench.race.verdict.result import EVERY, Compile, LeftOut, ResultFile
from gradrace.bench.race.verdict.sentences import sentences
from gradrace.bench.show.html import in_notebook, page
from gradrace.bench.show.markdown import csv_of, markdown
from gradrace.bench.show.plain import plain
from gradrace.bench.show.text import columns_of
from tests.runs import MACHINE, NUMBA, drop, known, write_run

BOTH_SIZES = {
    "100x1": {"python": 4e-5, "numpy": 8e-6, "numba": 1e-7},
    "1000x1": {"python": 4e-4, "numpy": 9e-6, "numba": 2e-6},
}


@pytest.fixture
def content(tmp_path: Path) -> ResultFile:
    return write_run(tmp_path / "run.json", BOTH_SIZES, roofline=MACHINE)


def concluded(content: ResultFile) -> str:
    """Return all sentences, after drawing the conclusions again."""
    conclude(content)
    return "\n".join(sentences(content))


def tables(parts: Iterator[Part]) -> list[Table]:
    return [part for part in parts if isinstance(part, Table)]


SMALL, LARGE = {"python": 1e-3, "numpy": 1e-5, "numba": 2e-5}, {"python": 1e-3, "numba": 2e-5}
TIE = {"python": 4e-5, "numpy": 1.01e-6, "numba": 1e-6}
LEAGUES = {"python": 4e-5, "numba": 1e-7, "numba-simd": 2e-8, "gram": 1e-9}

ANSWERS: dict[str, tuple[dict[str, dict[str, float]], dict[str, Any], str]] = {
    "one backend everywhere": (
        BOTH_SIZES,
        {},
        "numba is the fastest at both sizes: 200 times (1,000 × 1) to 400 times (100 × 1) as fast "
        "as python. All 3 backends agree with the exact trajectory.",
    ),
    "of two, the faster": (
        {"100x1": {"python": 4e-5, "numba": 1e-7}},
        {},
        "numba is the faster at 100 × 1, 400 times as fast as python. Both backends agree ",
    ),
    "different ones": (
        {"9x1": SMALL, "99x1": SMALL, "999x1": SMALL, "9999x1": {**LARGE, "numpy": 3e-5}},
        {},
        "numpy is the fastest at 3 of 4 sizes, numba at 9,999 × 1: ",
    ),
    "the baseline itself": (
        {"100x1": {"python": 1e-6, "numpy": 2e-6}},
        {},
        "python is the faster at 100 × 1. ",
    ),
    "a tie": (
        {"100x1": TIE},
        {"spread": 0.01},
        "numba and numpy are too close to call at 100 × 1, ",
    ),
    "a tie of three": (
        {"100x1": {"python": 1.01e-6, "numpy": 1.02e-6, "numba": 1e-6}},
        {"spread": 0.001},
        "numba, python and numpy are too close to call at 100 × 1",
    ),
    "a tie at one of two sizes": (
        {"100x1": BOTH_SIZES["100x1"], "1000x1": TIE},
        {"spread": 0.01},
        "numba is the fastest at 100 × 1; numba and numpy are too close to call at 1,000 × 1: ",
    ),
    "one session decides nothing": (
        BOTH_SIZES,
        {"sessions": 1},
        "numba had the shortest times at both sizes: 200 times (1,000 × 1) to 400 times (100 × 1) "
        "as fast as python. This is not certain, because too few sessions were timed. ",
    ),
    "one backend alone": (
        {"100x1": {"numba": 1e-7}},
        {},
        "Only numba was timed, so there is nothing to compare it with. "
        "numba agrees with the exact trajectory.",
    ),
    "two leagues": (
        {"100x1": LEAGUES, "1000x1": {**LEAGUES, "gram": 2e-9}},
        {},
        "gram is the fastest at both sizes: 20,000 times (1,000 × 1) to 40,000 times (100 × 1) as "
        "fast as python. It reads the samples only once per training run; of the backends that "
        "read them in every epoch, numba-simd is the fastest at both sizes.",
    ),
}


class TestAnswer:
    @pytest.mark.parametrize("name", ANSWERS)
    def test_who_won(self, tmp_path: Path, name: str) -> None:
        times, options, words = ANSWERS[name]
        content = write_run(tmp_path / "run.json", times, **{"spread": 0.0, **options})
        assert sentences(content)[0].startswith(words)

    def test_nothing_was_timed(self, content: ResultFile) -> None:
        content.benchmarks = []
        assert concluded(content).startswith("Nothing was timed. ")

    def test_all_agree(self, content: ResultFile) -> None:
        content.gradrace.problems = 181
        assert concluded(content).endswith(
            "All 3 backends agree with the exact trajectory on 181 test problems."
        )

    @pytest.mark.parametrize(
        ("cases", "reason", "fault", "words"),
        [
            (
                [EVERY],
                "loss at epoch 0: got 405.9",
                True,
                "Only 2 of 3 backends agree with the exact trajectory.\n"
                "numpy is left out: loss at epoch 0: got 405.9.",
            ),
            (["1000x1"], "it exits", True, "\nnumpy is left out at 1,000 × 1: it exits."),
            (
                [*BOTH_SIZES],
                "too slow: 9 s",
                False,
                "All 3 backends agree with the exact trajectory.\n"
                "numpy was too slow to be timed at 100 × 1 and 1,000 × 1: 9 s at 1,000 × 1.",
            ),
        ],
    )
    def test_who_is_left_out(
        self, content: ResultFile, cases: list[str], reason: str, fault: bool, words: str
    ) -> None:
        content.gradrace.left_out = [LeftOut(case, "numpy", reason, fault) for case in cases]
        assert words in concluded(content)

    def test_an_unfinished_run_says_so(self, content: ResultFile) -> None:
        about = content.gradrace
        about.interrupted, about.settings = True, replace(about.settings, sessions=5)
        assert concluded(content).endswith("\nThis run is unfinished: it has 3 of 5 sessions.")
        about.problems, about.contenders = 9, []
        for name in ("python", "numpy"):
            about.backends[name].digits = None
        assert about.backends["numba"].digits is UNSET
        assert "Only 2 of 3 backends were checked before the interruption." in concluded(content)

    def test_what_is_impossible_is_not_ranked(self, content: ResultFile) -> None:
        for case in content.gradrace.cases:
            for entry in case.entries:
                if entry.backend == "numba":
                    entry.impossible = "90 times as fast as this machine can read"
        found = "\n".join(sentences(content))
        assert found.startswith("numpy is the fastest at both sizes: ")
        assert "\nnumba at 100 × 1 is impossibly fast, and not ranked: 90 times as fast" in found
        assert Race("", content).faults == Race("", content).impossible != []


class TestParts:
    def test_the_answer_comes_first_then_one_table(self, content: ResultFile) -> None:
        found = list(Race("run.json", content).parts())
        assert isinstance(found[0], Answer)
        (table,) = tables(iter(found))
        assert [column.title for column in table.columns] == ["backend", "100 × 1", "1,000 × 1"]
        assert not [part for part in found if isinstance(part, Figure | Tool | Command)]

    def test_details_have_every_figure_once(self, content: ResultFile) -> None:
        found = list(Race("run.json", content).parts(detail=True))
        all_figures, starts = tables(iter(found))
        assert (len(all_figures.rows), len(starts.rows)) == (6, 1)
        assert [part.name for part in found if isinstance(part, Figure)] == [
            "speed",
            "speedup",
            "breakeven",
            "roofline",
        ]
        assert [part for part in found if isinstance(part, Command)][-1].text == (
            "gradrace run --case 100x1@10000 1000x1@2500 --backends python numpy numba "
            "--sessions 3 --threads 1 --seed 0"
        )

    def test_of_many_warnings_the_first_ones(self, content: ResultFile) -> None:
        content.gradrace.warnings = [f"warning {i}" for i in range(5)]
        race = Race("run.json", content)
        shown = [str(part) for part in race.parts() if isinstance(part, Caution)]
        assert shown == ["warning 0", "warning 1", "warning 2"]
        assert str(list(race.parts())[-1]) == "2 more warnings with details=True."
        every = [part for part in race.parts(detail=True) if isinstance(part, Caution)]
        assert len(every) == 5
        assert "more warning" not in plain(race.parts(detail=True))

    def test_an_unfinished_run_says_how_to_complete_it(self, content: ResultFile) -> None:
        content.gradrace.interrupted = True
        race = Race("x.json", content)
        assert str(list(race.parts())[-1]) == "To time the rest: gradrace run resume='x.json'"

    def test_the_slider_has_what_the_table_has(self, content: ResultFile) -> None:
        (tool,) = (p for p in Race("", content).parts(detail=True) if isinstance(p, Tool))
        assert [job["size"] for job in tool.data["jobs"]] == ["100 × 1", "1,000 × 1"]
        assert [one["name"] for one in tool.data["jobs"][0]["backends"]] == [*BOTH_SIZES["100x1"]]


class TestSummary:
    def cells(self, content: ResultFile) -> list[str]:
        (table,) = tables(race_parts.summary(content.gradrace))
        return columns_of(table)[1]

    def test_more_sizes_than_backends_are_rows(self, tmp_path: Path) -> None:
        content = write_run(tmp_path / "run.json", {f"{n}x1": SMALL for n in (10, 11, 12, 13)})
        (table,) = tables(race_parts.summary(content.gradrace))
        assert [column.title for column in table.columns] == ["n × d", "python", "numpy", "numba"]

    def test_two_long_names_that_look_alike_keep_their_times(self, tmp_path: Path) -> None:
        times = {f"{'x' * 30}{i}{'y' * 30}.py": time for i, time in enumerate((1e-3, 1e-6))}
        content = write_run(tmp_path / "run.json", {"10x1": times}, spread=0)
        assert self.cells(content) == ["1.00 ms     1×", "1.00 µs 1,000×"]

    def test_what_does_not_differ_from_the_baseline_is_marked(self, tmp_path: Path) -> None:
        times = {"python": 1e-6, "numpy": 1.001e-6, "numba": 1e-8}
        content = write_run(tmp_path / "run.json", {"10x1": times}, spread=0.001)
        assert [cell.count("~") for cell in self.cells(content)] == [0, 1, 0]
        *_, legend = race_parts.summary(content.gradrace)
        assert str(legend) == "~ no difference from python shown"

    def test_a_set_up_that_counts_has_a_row(self, tmp_path: Path) -> None:
        times = {"10x1": {"numpy": 1e-6, "gram": 1e-7}}
        content = write_run(tmp_path / "run.json", times, setups={"gram": 1e-3}, spread=0)
        assert self.cells(content)[-1].strip() == "1.00 ms"
        *_, legend = race_parts.summary(content.gradrace)
        assert str(legend).startswith("Set-up: what a call takes before its first epoch; ")

    def test_a_baseline_that_was_not_timed_is_not_named(self, content: ResultFile) -> None:
        first, *_ = race_parts.summary(content.gradrace)
        assert str(first) == "Time per epoch, and how many times as fast as python:"
        first, *_ = race_parts.summary(drop(content, "python").gradrace)
        assert str(first) == "Time per epoch:"


def words_of(result: Result) -> list[Part]:
    """Return all parts but the pictures, which take a second each."""
    return [part for part in result.parts(detail=True) if not isinstance(part, Figure)]


SHOWN: dict[str, Callable[[Race], str]] = {
    "terminal": lambda race: plain(words_of(race), 200),
    "Markdown": lambda race: "\n".join(markdown(words_of(race))),
    "CSV": lambda race: csv_of(race_parts.table(race.about)),
    "page": lambda race: page(race.title, words_of(race)),
    "notebook": lambda race: in_notebook(words_of(race)),
}


@pytest.mark.parametrize("where", SHOWN)
def test_a_new_column_is_shown_everywhere(
    content: ResultFile, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    column = (Column("shoe size", "shoe_size"), lambda known: f"size {known.case.n}{known.backend}")
    monkeypatch.setattr(race_parts, "FIGURES", [*race_parts.FIGURES, column])
    text = SHOWN[where](Race("run.json", content))
    assert ("shoe_size" if where == "CSV" else "shoe size") in text
    assert all(text.count(f"size {n}numpy") == 1 for n in (100, 1000))


class TestCsv:
    def rows(self, content: ResultFile) -> list[dict[str, str]]:
        return list(csv.DictReader(io.StringIO(csv_of(race_parts.table(content.gradrace)))))

    def test_a_row_per_size_and_backend_with_every_figure(self, content: ResultFile) -> None:
        rows = self.rows(content)
        assert [(row["n"], row["d"], row["backend"]) for row in rows] == [
            (str(n), "1", backend) for n in (100, 1_000) for backend in BOTH_SIZES["100x1"]
        ]
        python, _, numba = rows[:3]
        assert float(numba["median_seconds_per_epoch"]) == pytest.approx(1e-7, rel=0.02)
        assert float(numba["speed_up_low"]) < 400 < float(numba["speed_up_high"])
        assert float(numba["compile_seconds"]) == NUMBA.cold
        assert (python["verdict"], python["speed_up"]) == ("baseline", "")
        empty = [name for name, cell in numba.items() if not cell]
        assert empty == ["setup_seconds", "prepare_seconds", "not_timed_because"]

    def test_what_was_not_timed_says_why(self, content: ResultFile) -> None:
        reason = 'too slow: 9 s, "or so"'
        content.gradrace.left_out = [LeftOut("100x1", "python", reason, fault=False)]
        first = self.rows(drop(content, "python", "100x1"))[0]
        assert (first["backend"], first["not_timed_because"]) == ("python", reason)
        assert (first["verdict"], first["median_seconds_per_epoch"]) == ("not timed", "")


class TestFloat32:
    """It is marked wherever its time stands beside others; a sentence says why."""

    MARK = "half.py (float32)"

    @pytest.fixture
    def path(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
        monkeypatch.chdir(tmp_path)
        (tmp_path / "half.py").touch()
        return tmp_path / "run.json"

    @pytest.fixture
    def content(self, path: Path) -> ResultFile:
        times = {
            f"{n}x1": {
                "python": 4e-7 * n,
                "numba": 5e-9 * n,
                "gram": 2e-6,
                "half.py": (3e-9 - n * 5e-14) * n,
            }
            for n in (100, 1_000, 10_000)
        }
        return write_run(
            path,
            times,
            spread=1e-4,
            float32=["half.py"],
            roofline=MACHINE,
            compiled=[Compile("half.py", load=0.1, cold=1, cached=0.1)],
        )

    def test_the_answer_says_what_it_keeps_and_what_that_buys(self, content: ResultFile) -> None:
        assert sentences(content)[1] == (
            "half.py computes in float32. It keeps 4.9 digits in w and b, and 6.3 in the loss on "
            "the reference line. It is 1.67 times (100 × 1) to 2 times (10,000 × 1) as fast as "
            "numba."
        )

    def test_it_is_compared_with_its_own_kind(self, content: ResultFile) -> None:
        (trade,) = trades(content)
        assert {gain.rival for gain in trade.gains} == {"numba"}  # gram reads the samples once
        content.gradrace.backends["half.py"].passes_once = True
        conclude(content)
        (trade,) = trades(content)
        assert {gain.rival for gain in trade.gains} == {"gram"}

    def test_a_wrong_one_is_not_praised(self, content: ResultFile) -> None:
        content.gradrace.left_out = [LeftOut(EVERY, "half.py", "is wrong", fault=True)]
        assert trades(content) == []

    def test_a_winner_is_marked(self, path: Path) -> None:
        content = write_run(path, {"100x1": {"numba": 1e-7, "half.py": 5e-8}}, float32=["half.py"])
        assert sentences(content)[0].startswith(f"{self.MARK} is the faster at 100 × 1")

    def test_every_table_and_picture(self, content: ResultFile, path: Path) -> None:
        race = Race(path, content)
        found = [*race.parts(), *race.parts(detail=True), *words_of(Scaling([race]))]
        found += [*compare(path, path).parts(), *advise(race, n=200, d=1, epochs=10**9).parts()]
        texts = [
            " ".join(map(str, [*(column.title for column in part.columns), *part.rows]))
            for part in found
            if isinstance(part, Table)
        ]
        texts += [
            " ".join(
                [text.get_text() for text in figure.findobj(Text)]
                + [str(line.get_label()) for axes in figure.axes for line in axes.lines]
            )
            for part in found
            if isinstance(part, Figure) and part.name != "agreement"
            for figure in [part.draw()]
        ]
        assert len(texts) == 8 + 4
        for text in texts:
            assert self.MARK in text
        assert MARKED_CSV in csv_of(race_parts.table(race.about))

    def test_its_limit_is_to_read_half_the_bytes(self, content: ResultFile) -> None:
        for case in content.gradrace.cases:
            for entry, size in zip(case.entries, (8, 8, 8, 4), strict=True):
                job = (case.n, case.d, entry.epochs, 1)
                least = limit(MACHINE, *job, once=entry.passes_once, number=size)
                assert known(entry.limit).seconds == known(least).seconds


MARKED_CSV = "100,1,half.py,float32,"


def test_a_question(content: ResultFile) -> None:
    assert Race("", content).title == (
        "Which of python, numpy and numba is the fastest on 100 × 1 and 1,000 × 1?"
    )
