"""How does the fit move? The model and its path, epoch by epoch, at each rate; an animated GIF."""

import io
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from gradrace.plots.canvas import Axes, Figure, own_settings
from gradrace.plots.numbers import label
from gradrace.plots.path import draw_contours, reach_of
from gradrace.plots.sources import metadata, table_origin, values
from gradrace.plots.style import CURVES, INK, MUTED, legend, new_figure, tidy, title

FRAMES = 50
_SHOWN, _HELD = 120, 2_500
"""Milliseconds for which a frame is shown, and the last one"""
_DPI = 90

Move = Callable[[int], None]
"""Moves what is drawn to an epoch"""


class Run(NamedTuple):
    """What is known of the run at one rate."""

    lr: float
    color: str
    epoch: np.ndarray
    """(m,) recorded epochs"""
    theta: np.ndarray
    """(m, d + 1) w and b, in the units of the data"""


def save(history: pa.Table, samples: pa.Table, path: pa.Table | None, target: Path) -> None:
    """Write the film of a study: what `loss` and, if there is a path, `path` draw, and samples.

    These have a column for every feature and one for the target; their metadata `names` is JSON of
    the names, the target last.
    """
    from PIL import Image

    drawn, epochs, move = scene(history, samples, path)
    frames = []
    with own_settings():
        drawn.draw_without_rendering()
        drawn.set_layout_engine("none")  # or it would move in every frame
        width, height = (int(inches * _DPI) for inches in drawn.get_size_inches())
        for epoch in epochs:
            move(epoch)
            buffer = io.BytesIO()
            drawn.savefig(buffer, format="rgba", dpi=_DPI, facecolor="white")
            frames.append(
                Image.frombuffer("RGBA", (width, height), buffer.getvalue()).convert("RGB")
            )
    first, *others = frames
    shown = [_SHOWN] * len(others) + [_HELD]
    first.save(target, "GIF", save_all=True, append_images=others, duration=shown, loop=0)


@own_settings()
def scene(
    history: pa.Table, samples: pa.Table, path: pa.Table | None
) -> tuple[Figure, list[int], Move]:
    """Return the figure, the epochs that are shown, and what moves the figure to one of them."""
    runs = list(_runs(history, json.loads(metadata(samples)["names"])))
    drawn = new_figure(5.4 if path is None else 9.6, 4.4, table_origin(history))
    panels = drawn.subplots(1, 1 if path is None else 2, squeeze=False)[0]
    moves = [_draw_fit(panels[0], samples, runs)]
    if path is not None:
        moves.append(_draw_paths(panels[1], path, runs))
    legend(drawn, panels[0])
    last = max(int(run.epoch[-1]) for run in runs)
    epochs = np.unique(np.append(0, np.geomspace(1, max(last, 1), FRAMES)).astype(int)).tolist()

    def move(epoch: int) -> None:
        panels[0].set_title(f"the fit at epoch {epoch:,}", fontsize=10, color=INK, pad=4)
        for each in moves:
            each(epoch)

    return drawn, epochs, move


def _runs(history: pa.Table, names: list[str]) -> Iterator[Run]:
    rates = values(history, "lr")
    columns = [*(f"w[{name}]" for name in names[:-1]), "b"]
    theta = np.column_stack([values(history, name) for name in columns])
    epoch = values(history, "epoch")
    for number, lr in enumerate(dict.fromkeys(rates.tolist())):
        rows = rates == lr
        yield Run(lr, CURVES[number % len(CURVES)], epoch[rows], theta[rows])


def _at(run: Run, epoch: int) -> np.ndarray:
    """Return w and b at an epoch, or, if none was recorded, at the last one before."""
    found: np.ndarray = run.theta[np.searchsorted(run.epoch, epoch, side="right") - 1]
    return found


def _draw_fit(axes: Axes, samples: pa.Table, runs: list[Run]) -> Move:
    """Draw the line of each rate through the samples; of several features, ŷ against y."""
    *features, target = json.loads(metadata(samples)["names"])
    X = np.column_stack([values(samples, j) for j in range(len(features))])
    y = values(samples, len(features))
    low, high = float(y.min()), float(y.max())
    room = 0.15 * ((high - low) or 1.0)
    straight = len(features) == 1
    if straight:
        axes.scatter(X[:, 0], y, s=14, color=MUTED, alpha=0.6, lw=0)
        axes.set_xlabel(label(features[0]))
        axes.set_ylabel(label(target, 40))
    else:
        axes.plot([low, high], [low, high], color=INK, lw=1)
        axes.set_xlabel(f"actual {label(target, 40)}")
        axes.set_ylabel(f"predicted {label(target, 30)}")
    ends = [int(np.argmin(X[:, 0])), int(np.argmax(X[:, 0]))]
    x, rows, look = (X[ends, 0], X[ends], "-") if straight else (y, X, ".")
    lines = [
        axes.plot(x, np.zeros(len(x)), look, color=run.color, lw=2, ms=4, label=f"α = {run.lr!r}")[
            0
        ]
        for run in runs
    ]
    axes.set_ylim(low - room, high + room)
    title(axes, "the fit at epoch 0")
    tidy(axes)

    def move(epoch: int) -> None:
        for line, run in zip(lines, runs, strict=True):
            theta = _at(run, epoch)
            with np.errstate(over="ignore", invalid="ignore"):
                line.set_ydata(
                    _within(rows @ theta[:-1] + theta[-1], low - 50 * room, high + 50 * room)
                )

    return move


def _within(values: np.ndarray, low: float, high: float) -> np.ndarray:
    """Return values that matplotlib can draw; those far outside stay outside."""
    return np.asarray(np.clip(np.nan_to_num(values, nan=high), low, high))


def _draw_paths(axes: Axes, path: pa.Table, runs: list[Run]) -> Move:
    """Draw the path of every rate over the contours of the loss."""
    plane: dict[str, Any] = json.loads(path.schema.metadata[b"plane"])
    reach = reach_of(path, plane)
    draw_contours(axes, plane, reach)
    rates, epochs = values(path, "lr"), values(path, "epoch")
    points = np.column_stack([values(path, name) for name in ("x", "y")])
    with np.errstate(invalid="ignore"):
        near = (np.abs(points - plane["optimum"]) <= 50 * reach).all(axis=1)
    drawn = []
    for run in runs:
        rows = rates == run.lr
        away = np.append(np.flatnonzero(~near[rows]), rows.sum())[0]  # a run may diverge
        way = points[rows][:away]
        (line,) = axes.plot([], [], ".-", color=run.color, lw=0.8, ms=3)
        (head,) = axes.plot([], [], "o", color=run.color, ms=8, mec="white", zorder=5)
        drawn.append((line, head, epochs[rows], way))
    axes.set_xlabel(label(plane["labels"][0]))
    axes.set_ylabel(label(plane["labels"][1]))
    title(axes, "its path over the contours of the loss")

    def move(epoch: int) -> None:
        for line, head, known, way in drawn:
            done = int(np.searchsorted(known, epoch, side="right"))
            line.set_data(*way[:done].T)
            head.set_data(*way[done - 1 : done].T)  # none once it is away

    return move
