"""Labels lie neither on each other nor on a line."""

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.text import Annotation

from gradrace.plots.placing import Label, _apart, label_ends, label_marks
from gradrace.plots.style import new_figure
from tests.plots.looks import box, crosses, inside, overlap

heights = st.lists(st.floats(-50, 350), min_size=1, max_size=20).map(np.array)


@given(heights)
def test_labels_are_far_enough_apart_within_the_plot_and_in_order(wanted: np.ndarray) -> None:
    places = _apart(wanted, 11.0, 0.0, 300.0)
    assert places.min() >= -1e-9
    assert places.max() <= 300 + 1e-9
    assert (np.diff(np.sort(places)) >= 11 - 1e-9).all()
    assert (np.argsort(wanted, kind="stable") == np.argsort(places)).all()


@pytest.mark.parametrize(
    ("wanted", "places"),
    [
        ([10, 100], [10, 100]),  # far apart: where their lines end
        ([50, 50], [44.5, 55.5]),  # on top of each other: one goes down as far as the other up
        ([50, 50, 56], [41, 52, 63]),  # a block around the mean of where they belong
        ([295, 299], [289, 300]),  # at the edge
    ],
)
def test_labels_move_as_little_as_possible(wanted: list[float], places: list[float]) -> None:
    assert _apart(np.array(wanted), 11.0, 0.0, 300.0) == pytest.approx(places)


def test_a_label_that_moved_is_connected_with_its_end() -> None:
    figure = new_figure(6, 4)
    axes = figure.subplots()
    axes.set_ylim(0, 1)
    label_ends((axes, [Label("one", (1.0, 0.5), "red"), Label("two", (1.0, 0.5), "blue")]))
    figure.draw_without_rendering()
    one, two = axes.texts
    assert not overlap(box(one), box(two))
    assert isinstance(one, Annotation)
    assert one.arrow_patch is not None


def test_marks_get_labels_where_nothing_is() -> None:
    figure = new_figure(6, 4)
    axes = figure.subplots()
    for slope in (1, 2, 4):
        axes.plot([0, 10], [0, slope * 10])
    marks = [
        Label(f"{x},000", (float(x), float(slope * x))) for slope in (1, 2, 4) for x in (3, 5, 7)
    ]
    label_marks((axes, marks))
    figure.draw_without_rendering()
    assert len(axes.texts) == len(marks)
    assert not any(
        crosses(box(text), axes) or not inside(box(text), axes.bbox) for text in axes.texts
    )
    assert not any(overlap(box(a), box(b)) for a, b in combinations(axes.texts, 2))


def test_marks_that_touch_share_a_label() -> None:
    axes = new_figure(6, 4).subplots()
    axes.plot([0, 10], [0, 10])
    label_marks((axes, [Label("1", (5.0, 5.0)), Label("2", (5.05, 5.05)), Label("9", (9.0, 9.0))]))
    assert [text.get_text() for text in axes.texts] == ["1, 2", "9"]


def test_where_there_is_no_place_there_is_no_label() -> None:
    axes = new_figure(6, 4).subplots()
    for level in np.linspace(0, 10, 101):
        axes.plot([0, 10], [level, level])
    label_marks((axes, [Label("5", (5.0, 5.0))]))
    assert not axes.texts
