"""Rates, checks and races from Python take what the commands take, and show themselves."""

import shutil
from pathlib import Path

import pandas as pd
import pytest

import gradrace
from gradrace.bench.race.verdict.advice import Advice
from gradrace.bench.show import notebook
from gradrace.plots.canvas import Figure
from tests.backends.test_revisions import git
from tests.conftest import FOREIGN
from tests.runs import write_run

HOUSES = pd.DataFrame(
    {"size": [1.0, 2.0, 3.0, 4.0, 5.0], "age": [3.0, 1, 4, 2, 5], "price": [5.1, 8, 11, 14, 17]}
)


def test_rates_of_a_table(tmp_path: Path) -> None:
    found = gradrace.rates(HOUSES, lr=["auto", 0.001], target="price", epochs=200)
    assert found.data.features == ("size", "age")
    assert len(found.runs) == 2
    assert "standardize=True" in str(found)  # not --standardize
    assert isinstance(found.path_plot(), Figure)
    assert isinstance(found.loss_plot(), Figure)
    written = found.save(tmp_path / "new")
    assert {path.name for path in written} >= {"rates.json", "path.png", "report.html"}
    page = found._repr_html_()
    assert "<table" in page
    assert "<img alt='The path of descent" in page


def test_a_single_rate_and_a_target_beside_the_samples() -> None:
    found = gradrace.rates(HOUSES[["size"]], HOUSES["price"], lr=0.01, epochs=50)
    assert found.rates == sorted([0.01, found.recommended])
    assert found.data.target == "price"


def test_check_of_a_table() -> None:
    found = gradrace.check(HOUSES, backends="numpy", target="price", epochs=20)
    assert found.agree
    assert str(found).startswith("The backend agrees with the exact trajectory")
    assert "<table" in found._repr_html_()


def test_a_verdict_counts_as_true_if_all_agree() -> None:
    good, wrong = (str(FOREIGN / name) for name in ("good.py", "bad.py"))
    assert gradrace.check(HOUSES, backends=good, epochs=20)
    assert not gradrace.check(HOUSES, backends=[good, wrong], epochs=20)


def test_advice_and_comparison_show_themselves(tmp_path: Path) -> None:
    times = {"100x1": {"python": 4e-5, "numpy": 8e-6, "numba": 1e-7}}
    write_run(tmp_path / "old.json", times)
    write_run(tmp_path / "new.json", {"100x1": {**times["100x1"], "numba": 2e-7}})
    advice = gradrace.advise(str(tmp_path / "old.json"), n=100, d=1, epochs=1_000)
    assert isinstance(advice, Advice)
    assert advice.best.backend == "numba"
    assert str(advice).startswith(
        "Use numpy: one run of 1,000 epochs on 100 × 1"
    )  # in a new process
    found = gradrace.compare(str(tmp_path / "old.json"), tmp_path / "new.json")
    assert [change.backend for change in found.changes] == ["python", "numpy", "numba"]
    assert "slower" in str(found)
    assert "<table" in found._repr_html_()


def test_a_saved_race_shows_itself(tmp_path: Path) -> None:
    write_run(tmp_path / "run.json", {"100x1": {"python": 4e-5, "numba": 1e-7}})
    found = gradrace.Race(str(tmp_path / "run.json"))
    assert repr(found).startswith("numba is the faster at 100 × 1")
    assert "Set-up: what a call takes" not in str(found)
    assert "Set-up: what a call takes" in " ".join(str(found.details()).split())
    assert "<img alt='Time per epoch" in found._repr_html_()


def test_nothing_has_changed_is_said(tmp_path: Path) -> None:
    file = shutil.copy(FOREIGN / "good.py", tmp_path)
    git(tmp_path, "init", "-q")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "-q", "-m", "one")
    found = gradrace.race(str(file), against="HEAD", folder=tmp_path / "out")
    assert str(found).startswith("No backend has changed since HEAD, so nothing was raced.")
    assert gradrace.Race(found.file).passed


class TestProgress:
    """In a notebook only, and only for what takes long."""

    class Screen:
        def __init__(self) -> None:
            self.shown: list[str] = []

        def display(self, page: object, display_id: bool) -> "TestProgress.Screen":
            assert display_id
            self.update(page)
            return self

        def update(self, page: object) -> None:
            self.shown.append(str(page))

    @pytest.fixture
    def screen(self, monkeypatch: pytest.MonkeyPatch) -> Screen:
        screen = self.Screen()
        fake = type("display", (), {"HTML": str, "display": screen.display})
        monkeypatch.setitem(__import__("sys").modules, "IPython.display", fake)
        monkeypatch.setattr(notebook, "is_notebook", lambda: True)
        return screen

    def test_nothing_of_what_is_quick(self, screen: Screen) -> None:
        with notebook.progress() as on_progress:
            on_progress("training", 1, 2)
        assert screen.shown == []

    def test_a_bar_that_disappears(self, screen: Screen, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(notebook, "_QUICK", -1.0)
        with notebook.progress() as on_progress:
            on_progress("<b>", 1, 2)
            on_progress("b", 2, 2)
        first, _, last = screen.shown
        assert first == "<progress value='1' max='2'></progress> &lt;b&gt;"
        assert last == ""

    def test_none_outside_a_notebook(self) -> None:
        assert not notebook.is_notebook()
