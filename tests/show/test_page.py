"""The page of a result: one file, complete without JavaScript, and nothing from outside runs."""

import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gradrace.backends.interface import InputValueError
from gradrace.bench.data.reader import read_table
from gradrace.bench.data.samples import Dataset, reference_line, synthetic
from gradrace.bench.learning.rates import Study, study
from gradrace.bench.learning.training import train
from gradrace.bench.report.learning_page import rate_data, rates_page, training_page
from gradrace.bench.report.pages import saved_page
from gradrace.bench.report.race_page import race_page
from tests.machine.test_roofline import MACHINE
from tests.runs import write_run

TIMES = {
    f"{n}x1": {"python": 4e-7 * n, "numpy": 2e-8 * n, "numba": 5e-9 * n}
    for n in (100, 1_000, 10_000)
}
EVIL = "<script>alert(1)</script>"
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


@pytest.fixture(scope="module")
def race(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("page") / "benchmark.json"
    return race_page(write_run(path, TIMES, roofline=MACHINE), path)


@pytest.fixture(scope="module")
def found() -> Study:
    return study(synthetic(50, 3), [0.01, 0.1], epochs=200)


@pytest.fixture(scope="module", params=["race", "training", "rates"])
def page(request: pytest.FixtureRequest, race: str, found: Study) -> str:
    if request.param == "race":
        return race
    if request.param == "rates":
        return rates_page(found)
    return training_page(train(reference_line(), epochs=300), auto=True)


def test_nothing_is_loaded(page: str) -> None:
    assert all(target.startswith("#") for target in Page(page).loaded)
    assert set(re.findall(r"https?://[^\s\"'<)]+", page)) <= {
        "http://www.w3.org/2000/svg",
        "http://www.w3.org/1999/xlink",
    }
    assert "@import" not in page
    assert "url(http" not in page


def test_small_and_without_repeated_ids(page: str) -> None:
    assert len(page.encode()) < LARGEST
    ids = Page(page).ids
    assert len(ids) == len(set(ids))


def test_the_answer_comes_first(race: str) -> None:
    answer = race.index("numba is the fastest at all 3 sizes")
    assert race.index("<h1>") < answer < race.index("<h2>")
    for text in ("<svg", "Set-up: what a call takes", "gradrace run --case 100x1@10000"):
        assert text in race


def test_points_of_every_picture_tell_their_values(race: str, found: Study) -> None:
    told = re.findall("<title>([^<]+)</title>", race)
    for text in (
        r"numba, n = 1,000: [45]\.",  # speed
        r"numba: \d+",  # speed-up
        r"numba, [\d.]+ × numpy; 95 % interval",  # fastest
        r"numba, 100 runs: ",  # break-even
        r"numba, d = 1, 16 kB: ",  # roofline
    ):
        assert any(re.match(text, title) for title in told), text
    told = re.findall("<title>([^<]+)</title>", rates_page(found))
    for text in (r"α = 0\.01, epoch 0: ", r"epoch 1: "):
        assert any(re.match(text, title) for title in told), text
    told = re.findall("<title>([^<]+)</title>", training_page(train(reference_line()), auto=True))
    for text in (
        r"actual ",
        r"predicted .*, residual ",
        r"w\[x\]: 100 % of the least-squares value",
    ):
        assert any(re.match(text, title) for title in told), text


def test_intervals_are_drawn_to_one_scale(race: str) -> None:
    bars = re.findall(r'<circle cx="([\d.]+)"', race)
    assert len(bars) == 2 * len(TIMES)  # not the baseline
    assert min(map(float, bars)) >= 2
    assert max(map(float, bars)) <= 98
    assert "times as fast as python" in race


def test_a_command_repeats_the_run(tmp_path: Path) -> None:
    page = training_page(train(reference_line(), lr=0.01, epochs=30), auto=False)
    assert "gradrace train --lr 0.01 --epochs 30 --backend numba" in page
    (tmp_path / "a b.csv").write_text("x,y\n1,2\n2,3\n3,5\n", "utf-8")
    data = read_table(tmp_path / "a b.csv")
    page = rates_page(study(data, [0.01], epochs=30))
    assert "a b.csv&#39; --target y --features x --lr 0.01 --epochs 30" in page


class TestOfWhatIsSaved:
    def test_a_race(self, tmp_path: Path) -> None:
        write_run(tmp_path / "benchmark.json", TIMES)
        assert saved_page(tmp_path) == saved_page(tmp_path / "benchmark.json")
        assert "numba is the fastest" in saved_page(tmp_path)

    def test_a_study_of_sizes_whatever_the_order_of_its_files(self, tmp_path: Path) -> None:
        times = {"1000x1": TIMES["1000x1"], "10000x1": TIMES["10000x1"], "1000x10": {"numba": 1e-5}}
        for threads in (1, 2, 16):
            write_run(tmp_path / f"scale-{threads}.json", times, threads=threads)
        found = re.findall(r"<h2>Threads: (\d+)</h2>", saved_page(tmp_path))
        assert found == ["1", "2", "16"]

    def test_a_study_of_rates(self, tmp_path: Path) -> None:
        folder = tmp_path / "rates"
        folder.mkdir()
        (folder / "rates.json").write_text("{}", "utf-8")
        (folder / "report.html").write_text("the page", "utf-8")
        assert saved_page(folder) == "the page"
        with pytest.raises(InputValueError, match="is not the result of a race; give its folder"):
            saved_page(folder / "rates.json")
        with pytest.raises(InputValueError, match=f"there is one in {folder}"):
            saved_page(tmp_path)

    def test_nothing(self, tmp_path: Path) -> None:
        with pytest.raises(InputValueError, match="no such file or folder"):
            saved_page(tmp_path / "nope")
        with pytest.raises(InputValueError, match=r"has no benchmark\.json"):
            saved_page(tmp_path)


def test_the_slider_has_what_the_table_has(race: str) -> None:
    (data,) = Page(race).tools
    jobs: Any = data["jobs"]
    assert [job["size"] for job in jobs] == ["100 × 1", "1,000 × 1", "10,000 × 1"]
    assert [entry["name"] for entry in jobs[0]["backends"]] == ["python", "numpy", "numba"]


@pytest.mark.parametrize("standardize", [False, True])
def test_the_rate_to_play_with_is_that_of_the_study(standardize: bool) -> None:
    """The page computes L* + (u/2) Σ λᵢ (cᵢ (1 − αλᵢ)ᵏ)², to 6 digits what the runs have found."""
    plain = synthetic(50, 3)
    samples = Dataset("t", plain.features, "y", plain.X, 30 * plain.y + 7)
    found = study(samples, [0.01, 0.1], epochs=200, standardize=standardize)
    data = rate_data(found)
    (embedded,) = Page(rates_page(found)).tools
    assert embedded == json.loads(json.dumps(data))
    values, errors = np.array(data["values"]), np.array(data["errors"])
    for run in found.runs:
        assert run.trajectory is not None
        epoch = run.trajectory.epoch[:, None]
        left = errors * (1 - run.lr * values) ** epoch
        loss = data["least"] + data["unit"] * 0.5 * (values * left**2).sum(axis=1)
        np.testing.assert_allclose(loss, found.original(run.trajectory).loss, rtol=1e-6)


def test_names_from_outside_are_text(tmp_path: Path) -> None:
    line = reference_line()
    evil = Dataset(EVIL, (EVIL,), "</script>" + EVIL, line.X, line.y)
    for text in (
        training_page(train(evil, epochs=50), auto=False),
        rates_page(study(evil, [0.01], epochs=50)),
    ):
        assert EVIL not in text
        assert "&lt;script&gt;alert(1)" in text
    path = tmp_path / "b.json"
    name = "x</script><b>.py"
    content = write_run(path, {"100x1": {name: 1e-6, "numba": 1e-7}})
    assert "<b>" not in race_page(content, path)


def test_a_run_that_diverged_has_a_page() -> None:
    text = training_page(train(reference_line(), lr=0.1, epochs=300), auto=False)
    assert "diverged: the loss overflows at epoch 186" in text
