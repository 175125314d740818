"""How close does a backend come to the machine's limit? Bytes per second against data size.

A pass reads every number once and uses it in two multiply-adds, whatever n and d are. So on
the usual axis of a roofline, operations per byte, all sizes would be one point. What differs is
where their data lie: in which cache, or in memory. The roof is the rate at which a core reads from
there, and the rate at which it multiplies and adds.
"""

from typing import TYPE_CHECKING

import numpy as np

from gradrace.plots import style
from gradrace.plots.canvas import Axes, Figure, own_settings
from gradrace.plots.numbers import si
from gradrace.plots.sources import race_origin
from gradrace.plots.svg import tell

if TYPE_CHECKING:
    from gradrace.bench.machine.roofline import Roofline
    from gradrace.bench.race.verdict.result import About, CaseFindings, Entry, ResultFile

_BYTES = {"float64": 8, "float32": 4}
_MARKS = "osD^vP*X"
_STROKES = ("-", "--", "-.", ":")
"""Of the roofs, by the number of threads"""


def drawable(about: "About") -> bool:
    """Whether a race has a roof, and anything below it."""
    return bool(about.roofline) and any(_below_roof(case) for case in about.cases)


@own_settings()
def figure(race: "ResultFile") -> Figure:
    """Return the figure: each backend's best at each size as a point, the roofs as lines."""
    roofline, cases = race.gradrace.roofline, race.gradrace.cases
    assert roofline is not None
    levels = sorted({case.d for case in cases if case.entries})
    shown = {entry.backend for case in cases for entry in _below_roof(case)}
    known = style.looks(race.gradrace)
    backends = {name: known[name] for name in reversed(known) if name in shown}  # fastest on top
    drawn = style.race_figure(8.0, 4.6, backends.values(), race_origin(race))
    axes = drawn.subplots()
    _draw_roofs(axes, roofline, levels)
    for name, look in backends.items():
        _draw_backend(axes, name, look, cases, levels)
    for d, mark in zip(levels, _MARKS, strict=False):
        axes.plot([], [], mark, ms=5, color=style.MUTED, label=f"d = {d:,}")
    axes.set_xlabel("size of X and y")
    axes.set_ylabel("size of X and y / time per epoch")
    style.log_axes(axes, lambda value: si(value, "B"), lambda value: si(value, "B/s"))
    style.tidy(axes)
    _extend_reads(axes, roofline)
    _name_caches(axes, roofline)
    style.legend(drawn, axes)
    return drawn


def _below_roof(case: "CaseFindings") -> "list[Entry]":
    """Return the backends that pass over the samples in every epoch; others have no such roof."""
    return [entry for entry in case.entries if not entry.passes_once]


def _draw_backend(
    axes: Axes, name: str, look: style.Look, cases: "list[CaseFindings]", levels: list[int]
) -> None:
    """Draw the best times of a backend as bytes per second, one line per number of features."""
    for d, mark in zip(levels, _MARKS, strict=False):
        times = [
            (_BYTES[entry.precision] * case.n * (d + 1), entry.time.minimum)
            for case in cases
            for entry in _below_roof(case)
            if entry.backend == name and case.d == d
        ]
        if times:
            size, least = np.array(times).T
            (line,) = axes.plot(size, size / least, mark + "-", ms=5, lw=0.8, color=look.color)
            pairs = zip(size, size / least, strict=True)
            words = f"{look.label}, d = {d:,}"
            tell(line, [f"{words}, {si(read, 'B')}: {si(rate, 'B/s')}" for read, rate in pairs])


def _draw_roofs(axes: Axes, roofline: "Roofline", levels: list[int]) -> None:
    """Draw the rates of reads and multiply-adds in bytes per second, per number of threads."""
    for (count, rates), stroke in zip(roofline.read.items(), _STROKES, strict=False):
        cores = "1 core" if count == "1" else f"{count} cores"
        axes.plot(roofline.sizes, rates, stroke, color=style.INK, lw=1.4, label=f"reads, {cores}")
        multiplied = [roofline.fma[count] * 8 * (d + 1) / (2 * d + 1) for d in levels]
        low, high = min(multiplied), max(multiplied)
        axes.axhspan(low, high, color=style.MUTED, alpha=0.25, lw=0)
        axes.axhline(high, ls=stroke, color=style.MUTED, lw=1, label=f"multiply-adds, {cores}")


def _extend_reads(axes: Axes, roofline: "Roofline") -> None:
    """Draw the rates of reads, dotted, beyond the largest size that was measured."""
    left, right = axes.get_xlim()
    for rates in roofline.read.values():
        axes.plot([roofline.sizes[-1], right], [rates[-1]] * 2, ":", color=style.INK, lw=1)
    axes.set_xlim(left, right)


def _name_caches(axes: Axes, roofline: "Roofline") -> None:
    """Mark the sizes of the caches."""
    for name, size in roofline.caches.items():
        axes.axvline(size, color=style.MUTED, lw=0.7, ls=":")
        place = axes.get_xaxis_transform()
        name = f"{name.rstrip('d')} cache"
        axes.text(size, 1.01, name, transform=place, ha="center", fontsize=8, color=style.MUTED)
