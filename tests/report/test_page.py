"""The page of a result: one file, complete without JavaScript, and nothing from outside runs."""

import json
import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

from bench.data.samples import Dataset, reference_line, synthetic
from bench.learning.rates import Study, study
from bench.learning.training import train
from bench.report.learning_page import rate_data, rates_page, training_page
from bench.report.race_page import race_page
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
    answer = race.index("numba is the fastest")
    assert race.index("<h1>") < answer < race.index("<h2>")
    for text in ("<svg", "Set-up: what a call takes", "gradrace run --case 100x1@10000"):
        assert text in race


def test_points_tell_their_values(race: str) -> None:
    assert "<title>numba, n = 1,000: 5.0" in race or "<title>numba, n = 1,000: 4.9" in race


def test_the_slider_has_what_the_table_has(race: str) -> None:
    (data,) = (tool for tool in Page(race).tools if "backends" in tool)
    names = [entry["name"] for entry in data["backends"]]  # type: ignore[attr-defined]
    assert names == ["python", "numpy", "numba"]
    assert data["job"] == "10,000 × 1"


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
