"""What must hold for every picture: nothing cut off, nothing overlapping, one style."""

from collections.abc import Iterator
from itertools import combinations
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.text import Text
from matplotlib.transforms import Bbox, BboxBase


def curves(axes: Axes) -> dict[str, np.ndarray]:
    """The labeled lines of a plot: their x and y as rows."""
    lines = {str(line.get_label()): np.array(line.get_data()) for line in axes.get_lines()}
    return {label: data for label, data in lines.items() if not label.startswith("_")}


def assert_drawable(figure: Figure) -> None:
    """Every axis has finite limits, and every line something finite to show."""
    figure.draw_without_rendering()
    for axes in figure.axes:
        assert np.isfinite([*axes.get_xlim(), *axes.get_ylim()]).all()
        for line in axes.get_lines():
            data = np.array(line.get_data(), dtype=float)
            assert not data.size or np.isfinite(data).any()


def assert_clean(figure: Figure) -> None:
    """No text reaches beyond the picture or lies on another one; numbers have one style."""
    assert_drawable(figure)
    written = list(texts(figure))
    boxes = [box(text) for text in written]
    for text, place in zip(written, boxes, strict=True):
        assert inside(place, figure.bbox), f"{text.get_text()!r} is cut off"
    for (one, a), (other, b) in combinations(zip(written, boxes, strict=True), 2):
        assert not overlap(a, b), f"{one.get_text()!r} lies on {other.get_text()!r}"
    for axes in figure.axes:
        assert axes.bbox.width > 100
        assert axes.bbox.height > 20
    styles = {"10^" in text for axes in figure.axes for text in logarithmic_numbers(axes)}
    assert len(styles) <= 1, "powers of ten beside other numbers"


def texts(figure: Figure) -> Iterator[Text]:
    """Every text that can be seen."""
    found = [*figure.texts]
    for legend in figure.legends:
        found += legend.get_texts()
    for axes in figure.axes:
        if axes.axison:
            left = axes._left_title  # type: ignore[attr-defined]  # it has no public name
            found += [axes.title, left, axes.xaxis.label, axes.yaxis.label]
            found += [*axes.texts, *tick_labels(axes.xaxis), *tick_labels(axes.yaxis)]
    yield from (text for text in found if text.get_visible() and text.get_text())


def tick_labels(axis: Axis) -> list[Text]:
    """The numbers on an axis that lie within its limits."""
    low, high = sorted(axis.get_view_interval())
    ticks = [*axis.get_major_ticks(), *axis.get_minor_ticks()]
    return [tick.label1 for tick in ticks if low <= tick.get_loc() <= high]


def logarithmic_numbers(axes: Axes) -> list[str]:
    """The numbers on the logarithmic axes of a plot."""
    axis = [axes.xaxis] * (axes.get_xscale() == "log") + [axes.yaxis] * (axes.get_yscale() == "log")
    written = [text for one in axis for text in tick_labels(one) if text.get_visible()]
    return [text.get_text() for text in written if text.get_text()]


def box(text: Text) -> Bbox:
    """The pixels of a text."""
    return Text.get_window_extent(text)


def inside(place: BboxBase, frame: BboxBase) -> bool:
    """Whether a box lies in another one, up to a pixel."""
    low, high = np.array(place.min) - frame.min, np.array(frame.max) - place.max
    return bool((low > -1).all() and (high > -1).all())


def overlap(a: Bbox, b: Bbox) -> bool:
    """Whether two boxes overlap by more than a pixel."""
    width, height = np.minimum(a.max, b.max) - np.maximum(a.min, b.min)
    return bool(width > 2 and height > 2)


def footer(figure: Figure) -> str:
    """What the footer says, on one line; empty if there is none."""
    found = [text.get_text() for text in figure.texts if text.get_gid() == "footer"]
    return " · ".join(found).replace("\n", " · ")


def is_png(path: Path) -> bool:
    return path.read_bytes().startswith(b"\x89PNG") and path.stat().st_size > 5_000
