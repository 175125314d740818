"""The page of a result: one file, complete without JavaScript, and nothing from outside runs."""

import json
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

from gradrace.bench.data.samples import reference_line, synthetic
from gradrace.bench.learning.rates import study
from gradrace.bench.learning.training import train
from gradrace.bench.parts import Answer, Column, Heading, Ratio, Result, Sentence, Table, Tool
from gradrace.bench.race.verdict.race import Race
from gradrace.bench.show.html import page
from gradrace.bench.show.pictures import save_shown
from tests.runs import MACHINE, write_run

TIMES = {
    f"{n}x1": {"python": 4e-7 * n, "numpy": 2e-8 * n, "numba": 5e-9 * n}
    for n in (100, 1_000, 10_000)
}
LARGEST = 1.5e6  # bytes


class Page(HTMLParser):
    """What a browser would load, and whether every element is closed."""

    EMPTY = ("meta", "link", "br", "img", "input", "hr")

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.ids: list[str] = []
        self.loaded: list[str] = []
        self.data: list[str] = []
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        self.loaded += [
            found[name] or "" for name in ("src", "href", "xlink:href") if name in found
        ]
        self.ids += [str(found["id"])] if "id" in found else []
        if tag not in self.EMPTY:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in self.EMPTY:
            self.open.pop()

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] == "script":
            self.data.append(data)

    @property
    def tools(self) -> list[dict[str, object]]:
        return [json.loads(text) for text in self.data if text.lstrip().startswith("{")]


def of_race(folder: Path) -> Result:
    write_run(folder / "benchmark.json", TIMES, roofline=MACHINE)
    return Race(folder)


@pytest.fixture(scope="module")
def race(tmp_path_factory: pytest.TempPathFactory) -> str:
    result = of_race(tmp_path_factory.mktemp("page"))
    return page("Which is the fastest?", result.parts(detail=True))


@pytest.fixture(scope="module", params=["race", "training", "rates"])
def text(request: pytest.FixtureRequest, race: str) -> str:
    """The page of each kind of result."""
    if request.param == "race":
        return race
    result: Result = (
        study(synthetic(50, 3), [0.01, 0.1], epochs=200)
        if request.param == "rates"
        else train(reference_line(), epochs=300)
    )
    return page("title", result.parts(detail=True))


def test_nothing_is_loaded(text: str) -> None:
    assert all(target.startswith("#") for target in Page(text).loaded)
    assert set(re.findall(r"https?://[^\s\"'<)]+", text)) <= {
        "http://www.w3.org/2000/svg",
        "http://www.w3.org/1999/xlink",
    }
    assert "@import" not in text
    assert "url(http" not in text


def test_small_and_without_repeated_ids(text: str) -> None:
    assert len(text.encode()) < LARGEST
    ids = Page(text).ids
    assert len(ids) == len(set(ids))


def test_the_answer_comes_first(race: str) -> None:
    answer = race.index("numba is the fastest at all 3 sizes")
    assert race.index("<h1>") < answer < race.index("<h2>")
    for words in ("<svg", "Set-up: what a call takes", "gradrace run --case 100x1@10000"):
        assert words in race


def test_points_of_every_picture_tell_their_values(race: str) -> None:
    told = re.findall("<title>([^<]+)</title>", race)
    for words in (
        r"numba, n = 1,000: [45]\.",  # speed
        r"numba: \d+",  # speed-up
        r"numba, runs: 100, ",  # break-even
        r"numba, d = 1, 16 kB: ",  # roofline
    ):
        assert any(re.match(words, title) for title in told), words


def test_intervals_are_drawn_to_one_scale() -> None:
    ratios = [Ratio(2.0, 1.0, 4.0), Ratio(0.5, 0.25, 1.0), None]
    columns = [Column("backend"), Column("speed-up", "speed_up", "interval")]
    found = page("title", [Table(columns, [(str(i), ratio) for i, ratio in enumerate(ratios)])])
    bars = re.findall(r'<line x1="([\d.]+)" x2="([\d.]+)".*?<circle cx="([\d.]+)"', found)
    assert bars == [("50.0", "98.0", "74.0"), ("2.0", "50.0", "26.0")]
    assert found.count('<line class="one" x1="50.0"') == 2


def test_a_heading_without_parts_is_not_shown() -> None:
    found = page("title", [Answer("a"), Heading("empty"), Heading("full"), Sentence("b")])
    assert "<h2>full</h2>" in found
    assert "empty" not in found.partition("<main>")[2].partition("</main>")[0]


def test_the_data_of_a_tool_end_no_script() -> None:
    data = {"name": "</script><script>alert(1)</script>&amp;"}
    found = page("title", [Tool("total", "words", data)])
    assert Page(found).tools == [data]


def test_pictures_and_page_are_saved_together(tmp_path: Path) -> None:
    result = of_race(tmp_path)
    saved = [path.name for path in save_shown("title", list(result.parts(detail=True)), tmp_path)]
    assert saved == ["speed.png", "speedup.png", "breakeven.png", "roofline.png", "report.html"]
    assert {path.name for path in tmp_path.iterdir()} == {*saved, "benchmark.json"}
