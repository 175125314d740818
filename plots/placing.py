"""Place labels so that they cover neither each other nor a line."""

from collections.abc import Sequence
from itertools import product
from typing import Any, NamedTuple

import numpy as np

from gradrace.plots.canvas import Axes, Figure
from gradrace.plots.style import INK, note_at

_LINE_HEIGHT = 11.0  # points from label to label
_DIRECTIONS = [
    (x, y)
    for y in (1.0, -1.0, 0.5, -0.5, 0.0)
    for x in (-1.0, 1.0, 0.0, -0.5, 0.5)
    if max(abs(x), abs(y)) == 1
]
_DISTANCES = (5.0, 8.0, 12.0, 16.0, 20.0, 25.0)  # points from a mark to its label
_RADIUS = 4.0  # points of a mark
_VISIBLE = 3.0  # points that a label may be moved without a line to its end
_CLEAR = 1.5  # points around a label that stay free


class Label(NamedTuple):
    """A text, and the point that it names."""

    text: str
    point: tuple[float, float]
    color: str = INK


def label_ends(*plots: tuple[Axes, Sequence[Label]]) -> None:
    """Write the labels of lines at their right ends, moved apart where they would collide.

    Call it once for all plots of a figure, after their scales and limits are set. A label that is
    moved is connected to the end of its line.
    """
    _lay_out(plots[0][0])
    for axes, ends in plots:
        if ends:
            _label_ends(axes, ends)


def _label_ends(axes: Axes, ends: Sequence[Label]) -> None:
    scale = _points(axes)
    heights = np.array([axes.transData.transform(end.point)[1] for end in ends]) * scale
    box = axes.get_window_extent()
    low, high = box.y0 * scale, box.y1 * scale
    gap = min(_LINE_HEIGHT, (high - low) / len(ends))
    moves = _apart(heights, gap, low + gap / 2, high - gap / 2) - heights
    crowded = bool((np.abs(moves) > _VISIBLE).any())
    for end, move in zip(ends, moves, strict=True):
        note_at(
            axes,
            end.text,
            end.point,
            (16.0 if crowded else 7.0, move),
            va="center",
            fontsize=min(9.0, 0.85 * gap),
            color=end.color,
            arrowprops=_leader(end.color, (0.0, 0.5)) if crowded else None,
        )


def _leader(hue: str, side: tuple[float, float]) -> dict[str, Any]:
    """Return the style of a line from this side of a label's box to what it names."""
    look = {"arrowstyle": "-", "color": hue, "lw": 0.6, "shrinkA": 0, "shrinkB": 4}
    return {**look, "relpos": side}


def _apart(heights: np.ndarray, gap: float, low: float, high: float) -> np.ndarray:
    """Return heights between `low` and `high`, close to the given ones but `gap` apart.

    Labels that would collide form a block around the mean of where they belong; blocks that
    collide become one.
    """
    order = np.argsort(heights, kind="stable")
    # minus its rank × gap, no label may lie below the one before it: a monotone regression
    wanted = heights[order] - gap * np.arange(len(order))
    blocks: list[list[float]] = []
    for value in wanted:
        blocks.append([value])
        while len(blocks) > 1 and np.mean(blocks[-2]) > np.mean(blocks[-1]):
            last = blocks.pop()
            blocks[-1] += last
    level = np.concatenate([np.full(len(block), np.mean(block)) for block in blocks])
    level = np.clip(level, low, max(low, high - gap * (len(order) - 1)))
    places = np.empty(len(order))
    places[order] = level + gap * np.arange(len(order))
    return places


def label_marks(*plots: tuple[Axes, Sequence[Label]]) -> None:
    """Write a text beside each point, in order, where no line and no other text is.

    Call it last, once for all plots of a figure. Points that touch share a label, which lies closer
    to them than to any other point. If there is no such place, the text is left out.
    """
    _lay_out(plots[0][0])
    for axes, marks in plots:
        _label_marks(axes, marks)


def _label_marks(axes: Axes, marks: Sequence[Label]) -> None:
    scale = _points(axes)
    frame = axes.get_window_extent()
    inside = np.array([[frame.x0, frame.y0], [frame.x1, frame.y1]]) * scale
    lines = _drawn(axes) * scale
    places = [axes.transData.transform(mark.point) * scale for mark in marks]
    boxes = [np.array([place - _RADIUS, place + _RADIUS]) for place in places]
    for group in _touching(places):
        text = ", ".join(dict.fromkeys(marks[i].text for i in group))
        hue = marks[group[0]].color
        note = note_at(axes, text, marks[group[0]].point, va="center", ha="center", color=hue)
        extent = note.get_window_extent()
        size = np.array([extent.width, extent.height]) * scale
        note.remove()
        for distance, direction in product(_DISTANCES, _DIRECTIONS):
            offset = np.array(direction) * (distance + size / 2)
            corners = places[group[0]] + offset + np.outer([-0.5, 0.5], size)
            nearest = np.linalg.norm(np.array(places) - corners.mean(axis=0), axis=1).argmin()
            if nearest in group and _is_free(corners, lines, boxes, inside):
                boxes.append(corners)
                side = (0.5 - direction[0] / 2, 0.5 - direction[1] / 2)
                look = {"arrowprops": _leader(hue, side)} if distance > _DISTANCES[0] else {}
                at = marks[group[0]].point
                note_at(axes, text, at, tuple(offset), va="center", ha="center", color=hue, **look)
                break


def _touching(places: Sequence[np.ndarray]) -> list[list[int]]:
    """Group points, in order, that are close enough to touch."""
    groups: list[list[int]] = []
    for i, place in enumerate(places):
        for group in groups:
            if np.linalg.norm(place - places[group[-1]]) < 2 * _RADIUS:
                group.append(i)
                break
        else:
            groups.append([i])
    return groups


def _is_free(
    corners: np.ndarray, lines: np.ndarray, boxes: Sequence[np.ndarray], inside: np.ndarray
) -> bool:
    low, high = corners[0] - _CLEAR, corners[1] + _CLEAR
    if (low < inside[0]).any() or (high > inside[1]).any():
        return False
    if ((lines > low) & (lines < high)).all(axis=1).any():
        return False
    return not any(((low < box[1]) & (high > box[0])).all() for box in boxes)


def _drawn(axes: Axes) -> np.ndarray:
    """Return points on all lines of a plot, in pixels, too close for a text between them."""
    found = [np.empty((0, 2))]
    for line in axes.get_lines():
        corners = axes.transData.transform(np.column_stack(line.get_data()).astype(float))
        if not len(corners):  # an entry of the legend
            continue
        ends = np.arange(len(corners))
        length = np.abs(np.diff(corners, axis=0)).sum(axis=1)
        way = np.concatenate([[0.0], np.cumsum(length)])
        dense = np.interp(np.arange(0.0, way[-1] + 1, 2.0), way, ends)
        found.append(np.column_stack([np.interp(dense, ends, corners[:, i]) for i in (0, 1)]))
    return np.concatenate(found)


def _lay_out(axes: Axes) -> None:
    """Lay out the figure, because only then the pixels of a value are known."""
    _figure(axes).draw_without_rendering()


def _points(axes: Axes) -> float:
    """Return the size of a pixel in points."""
    return 72 / _figure(axes).dpi


def _figure(axes: Axes) -> Figure:
    figure = axes.get_figure(root=True)
    assert isinstance(figure, Figure)
    return figure
