"""What is on the pages of a training run and of rates; tests/show has what all pages share."""

import json
import re
from pathlib import Path

import numpy as np
import pytest

from gradrace.bench.data.reader import read_table
from gradrace.bench.data.samples import Dataset, reference_line, synthetic
from gradrace.bench.learning.rates import Rates, study
from gradrace.bench.learning.rates_parts import rate_data
from gradrace.bench.learning.training import Fit, train
from gradrace.bench.show import html
from tests.show.test_page import Page

EVIL = "<script>alert(1)</script>"


def page_of(result: Fit | Rates) -> str:
    return html.page(result.title, result.parts(detail=True))


@pytest.fixture(scope="module")
def found() -> Rates:
    return study(synthetic(50, 3), [0.01, 0.1], epochs=200)


@pytest.fixture(scope="module")
def trained() -> Fit:
    return train(reference_line(), lr=0.01, epochs=300)


def test_the_answer_comes_first_and_points_tell_their_values(found: Rates, trained: Fit) -> None:
    for result, answer, texts in (
        (found, "Use α = ", (r"α = 0\.01, epoch 0: ", r"epoch 1: ")),
        (trained, "Not there yet", (r"actual ", r"predicted .*, residual ")),
    ):
        text = page_of(result)
        assert text.index("<h1>") < text.index(answer) < text.index("<h2>")
        told = re.findall("<title>([^<]+)</title>", text)
        for start in texts:
            assert any(re.match(start, title) for title in told), start


def test_a_command_repeats_the_run(tmp_path: Path, trained: Fit) -> None:
    assert "gradrace train --lr 0.01 --epochs 300 --backend numba" in page_of(trained)
    (tmp_path / "a b.csv").write_text("x,y\n1,2\n2,3\n3,5\n", "utf-8")
    page = page_of(study(read_table(tmp_path / "a b.csv"), ["auto"], epochs=30))
    assert "a b.csv&#39; --target y --features x --lr 0." in page


@pytest.mark.parametrize("standardize", [False, True])
def test_the_rate_to_play_with_is_that_of_the_study(standardize: bool) -> None:
    """The page computes L* + (u/2) Σ λᵢ (cᵢ (1 − αλᵢ)ᵏ)², to 6 digits what the runs have found."""
    plain = synthetic(50, 3)
    samples = Dataset("t", plain.features, "y", plain.X, 30 * plain.y + 7)
    found = study(samples, [0.01, 0.1], epochs=200, standardize=standardize)
    data = rate_data(found)
    (embedded,) = Page(page_of(found)).tools
    assert embedded == json.loads(json.dumps(data))
    values, errors = np.array(data["values"]), np.array(data["errors"])
    for run in found.runs:
        assert run.trajectory is not None
        epoch = run.trajectory.epoch[:, None]
        left = errors * (1 - run.lr * values) ** epoch
        loss = data["least"] + data["unit"] * 0.5 * (values * left**2).sum(axis=1)
        np.testing.assert_allclose(loss, found.original(run.trajectory).loss, rtol=1e-6)


def test_names_from_outside_are_text() -> None:
    line = reference_line()
    evil = Dataset(EVIL, (EVIL,), "</script>" + EVIL, line.X, line.y)
    for text in (page_of(train(evil, epochs=50)), page_of(study(evil, ["auto"], epochs=50))):
        assert EVIL not in text
        assert "&lt;script&gt;alert(1)" in text


def test_a_run_that_diverged_has_a_page() -> None:
    text = page_of(train(reference_line(), lr=0.1, epochs=300))
    assert "diverged: the loss overflows at epoch 186" in text
