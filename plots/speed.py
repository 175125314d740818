"""How fast is each backend? Time per epoch, one panel per size, the speed-up beside each point."""

import json
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from plots.style import GRID, INK, color, foreign, new_figure, save, seconds, short, tidy


def draw(source: Path, target: Path) -> None:
    """Draw `benchmark.json`, a pytest-benchmark file with gradrace's `extra_info`, as a PNG."""
    save(figure(source), target)


def figure(source: Path) -> Figure:
    """Return the figure; the median round divided by its epochs, on a logarithmic axis."""
    benchmarks: list[dict[str, Any]] = json.loads(source.read_text(encoding="utf-8"))["benchmarks"]
    sizes = list(dict.fromkeys((b["extra_info"]["n"], b["extra_info"]["d"]) for b in benchmarks))
    rows = {size: [b for b in benchmarks if _size(b) == size] for size in sizes}
    others = foreign([b["extra_info"]["backend"] for b in benchmarks])
    drawn = new_figure(8.0, 0.9 + 0.34 * len(benchmarks) + 0.35 * len(sizes))
    panels = drawn.subplots(
        len(sizes), 1, sharex=True, squeeze=False,
        gridspec_kw={"height_ratios": [len(rows[size]) + 0.4 for size in sizes]},
    )[:, 0]  # fmt: skip
    for axes, size in zip(panels, sizes, strict=True):
        _draw_panel(axes, rows[size], others)
        axes.set_title(f"n = {size[0]:,}, d = {size[1]:,}", fontsize=10, loc="left", color=INK)
    times = [time_per_epoch(b) for b in benchmarks]
    panels[-1].set_xlim(min(times) / 2, max(times) * 20)  # room for the labels
    panels[-1].xaxis.set_major_locator(LogLocator(numticks=12))
    panels[-1].xaxis.set_major_formatter(FuncFormatter(lambda value, _: _power(value)))
    panels[-1].xaxis.set_minor_formatter(NullFormatter())
    panels[-1].set_xlabel("time per epoch (logarithmic)")
    return drawn


def time_per_epoch(benchmark: dict[str, Any]) -> float:
    """Return the median round divided by its number of epochs, in seconds."""
    return float(benchmark["stats"]["median"]) / int(benchmark["extra_info"]["epochs"])


def _size(benchmark: dict[str, Any]) -> tuple[int, int]:
    return benchmark["extra_info"]["n"], benchmark["extra_info"]["d"]


def _draw_panel(axes: Axes, benchmarks: list[dict[str, Any]], others: list[str]) -> None:
    names = [b["extra_info"]["backend"] for b in benchmarks]
    base = {name: time_per_epoch(b) for name, b in zip(names, benchmarks, strict=True)}.get(
        "python"
    )
    for y, (name, benchmark) in enumerate(zip(names, benchmarks, strict=True)):
        time = time_per_epoch(benchmark)
        hue = color(name, others)
        axes.plot([time], [y], "o", ms=9, color=hue)
        label = seconds(time)
        if base is not None and name != "python":
            label += f"   {base / time:,.3g} × as fast as python"
        axes.annotate(
            label, (time, y), xytext=(10, 0), textcoords="offset points", va="center",
            fontsize=9, color=INK,
        )  # fmt: skip
    axes.set_yticks(range(len(names)), [short(name) for name in names])
    axes.set_ylim(len(names) - 0.4, -0.6)
    axes.set_xscale("log")
    tidy(axes)
    axes.grid(visible=True, axis="both", color=GRID, linewidth=0.6)


def _power(value: float) -> str:
    return seconds(value).replace(".00", "").replace(".0", "")
