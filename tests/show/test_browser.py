"""The page in a real browser: Chromium, at three widths, in light and in dark, and printed."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from gradrace.bench.data.samples import synthetic
from gradrace.bench.learning.rates import study
from gradrace.bench.race.verdict.race import Race
from gradrace.bench.show.html import page
from tests.runs import MACHINE, write_run
from tests.show.test_page import TIMES

sync_api = pytest.importorskip("playwright.sync_api", reason="pip install playwright")
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="apt-get install chromium"),
]


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with sync_api.sync_playwright() as api:
        running = api.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield running
        running.close()


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pages")
    write_run(folder / "benchmark.json", TIMES, roofline=MACHINE)
    for name, result in (
        ("race", Race(folder)),
        ("rates", study(synthetic(50, 3), [0.01, 0.1], epochs=200)),
    ):
        (folder / f"{name}.html").write_text(page("title", result.parts(detail=True)), "utf-8")
    return folder


def opened(browser: Any, page: Path, **options: Any) -> tuple[Any, list[str]]:
    """Open a page; also return what the console says and what is asked for elsewhere."""
    said: list[str] = []
    tab = browser.new_context(**options).new_page()
    tab.on("console", lambda message: said.append(message.text))
    tab.on("pageerror", lambda error: said.append(str(error)))
    tab.on("request", lambda request: said.extend({request.url} - {page.as_uri()}))
    tab.goto(page.as_uri())
    return tab, said


@pytest.mark.parametrize("name", ["race", "rates"])
@pytest.mark.parametrize("width", [360, 800, 1400])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_silent_and_no_wider_than_the_window(
    browser: Any, pages: Path, name: str, width: int, scheme: str
) -> None:
    size = {"width": width, "height": 900}
    tab, said = opened(browser, pages / f"{name}.html", viewport=size, color_scheme=scheme)
    assert said == []
    shown, there = tab.evaluate(
        "[document.documentElement.clientWidth, document.documentElement.scrollWidth]"
    )
    assert there <= shown
    background = tab.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (background == "rgb(255, 255, 255)") == (scheme == "light")
    tab.context.close()


def test_a_table_is_sorted_by_its_heads(browser: Any, pages: Path) -> None:
    """By its times, whatever their unit."""
    tab, _ = opened(browser, pages / "race.html")
    table = tab.locator("table.sortable").first
    rows = "rows => rows.map(row => [...row.cells].slice(0, 2).map(cell => cell.textContent))"
    head = table.locator("th button", has_text="epoch").first
    head.click()
    up = table.locator("tbody tr").evaluate_all(rows)
    head.press("Enter")
    assert table.locator("tbody tr").evaluate_all(rows) == up[::-1]
    assert [" ".join(cells) for cells in up] == [
        "100 × 1 numba",
        "100 × 1 numpy",
        "1,000 × 1 numba",
        "1,000 × 1 numpy",
        "100 × 1 python",
        "10,000 × 1 numba",
        "10,000 × 1 numpy",
        "1,000 × 1 python",
        "10,000 × 1 python",
    ]
    assert head.locator("xpath=..").get_attribute("aria-sort") == "descending"


def test_the_slider_answers_for_ones_own_job(browser: Any, pages: Path) -> None:
    """Compiling pays off only with many epochs."""
    tab, _ = opened(browser, pages / "race.html")
    box = tab.locator("[data-tool=total]")
    first = "rows => rows[0].cells[0].textContent"
    epochs = box.get_by_label("Epochs per run")
    epochs.nth(0).fill("1")  # the field; the slider follows
    assert box.locator("tbody tr").evaluate_all(first) == "numpy"
    assert epochs.nth(1).input_value() == "0"
    epochs.nth(1).fill("1000")
    assert box.locator("tbody tr").evaluate_all(first) == "numba"
    assert epochs.nth(0).input_value() == "1000000"
    assert epochs.nth(1).get_attribute("aria-valuetext") == "1,000,000"
    times = box.locator("tbody tr").first.inner_text()
    box.get_by_label("Size").select_option("100 × 1")
    assert box.locator("tbody tr").first.inner_text() != times


def test_a_rate_can_be_played_with(browser: Any, pages: Path) -> None:
    tab, said = opened(browser, pages / "rates.html")
    box = tab.locator("[data-tool=rate]")
    assert "the loss after 200 epochs is" in box.inner_text()
    data = "JSON.parse(document.querySelector('[data-tool=rate] script').textContent)"
    epoch, loss = tab.evaluate(f"gradrace.losses({data}, 0.1).at(-1)")
    (run, *_) = study(synthetic(50, 3), [0.1], epochs=200).runs
    assert run.trajectory is not None
    assert (epoch, loss) == (200, pytest.approx(run.trajectory.loss[-1], rel=1e-6))
    box.locator("input[type=range]").fill("1000")
    assert "diverges: the limit is 2/λmax" in box.inner_text()
    assert said == []


def test_points_tell_their_values(browser: Any, pages: Path) -> None:
    tab, _ = opened(browser, pages / "race.html")
    assert tab.locator("svg title").first.text_content().startswith("python, n = 100: ")


def test_complete_without_javascript(browser: Any, pages: Path) -> None:
    tab, _ = opened(browser, pages / "race.html", java_script_enabled=False)
    assert "numba is the fastest" in tab.inner_text("main")
    assert tab.locator("svg").count() >= 3
    assert "This part needs JavaScript." in tab.inner_text("main")


def test_printed(browser: Any, pages: Path, tmp_path: Path) -> None:
    tab, _ = opened(browser, pages / "race.html")
    tab.pdf(path=str(tmp_path / "page.pdf"))
    assert (tmp_path / "page.pdf").read_bytes().startswith(b"%PDF")
