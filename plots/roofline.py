"""How close does a backend come to the machine's limit? Bytes per second against data size.

A pass reads every number once and uses it in two multiply-adds, whatever n and d are. So on
the usual axis of a roofline, operations per byte, all sizes would be one point. What differs is
where their data lie: in which cache, or in memory. The roof is the rate at which a core reads from
there, and the rate at which it multiplies and adds.
"""

from typing import TYPE_CHECKING

from gradrace.plots.canvas import Axes, Figure, own_settings
from gradrace.plots.numbers import si
from gradrace.plots.placing import Label, label_ends
from gradrace.plots.sources import race_origin
from gradrace.plots.style import (
    INK,
    MUTED,
    colors,
    labels,
    legend,
    log_axes,
    new_figure,
    note_at,
    tidy,
)
from gradrace.plots.svg import tell

if TYPE_CHECKING:
    from gradrace.bench.machine.roofline import Roofline
    from gradrace.bench.race.result import About, CaseFindings, Entry, ResultFile

_BYTES = {"float64": 8, "float32": 4}
_MARKS = "osD^vP*X"


def drawable(about: "About") -> bool:
    """Whether the part "gradrace" of a result file has a roof, and anything below it."""
    return bool(about.roofline) and any(_rows(case) for case in about.cases)


@own_settings()
def figure(race: "ResultFile") -> Figure:
    """Return the figure: each backend's best at each size as a point, the roofs as lines."""
    roofline, cases = race.gradrace.roofline, race.gradrace.cases
    assert roofline is not None
    hues = colors(race.gradrace)
    levels = sorted({case.d for case in cases if case.entries})
    names = list(dict.fromkeys(entry.backend for case in cases for entry in _rows(case)))
    drawn = new_figure(8.6, 4.6, race_origin(race))
    axes = drawn.subplots()
    _draw_roofs(axes, roofline, levels)
    for name in names:
        _draw_backend(axes, (name, labels(race.gradrace)[name]), cases, levels, hues[name])
    for d, mark in zip(levels, _MARKS, strict=False):
        axes.plot([], [], mark, ms=5, color=MUTED, label=f"d = {d:,}")
    axes.set_xlabel("size of X and y")
    axes.set_ylabel("size of X and y / time per epoch")
    log_axes(axes, lambda value: si(value, "B"), lambda value: si(value, "B/s"))
    tidy(axes)
    _name_caches(axes, roofline)
    legend(drawn, axes)
    label_ends((axes, _roof_ends(axes, roofline, levels)))
    return drawn


def _rows(case: "CaseFindings") -> "list[Entry]":
    """Return the backends that pass over the samples in every epoch; others have no such roof."""
    return [entry for entry in case.entries if not entry.passes_once]


def _draw_backend(
    axes: Axes, backend: tuple[str, str], cases: "list[CaseFindings]", levels: list[int], hue: str
) -> None:
    """Draw the best times of a backend as bytes per second, one line per number of features."""
    name, label = backend
    axes.plot([], [], "-", color=hue, lw=2, label=label.lstrip("_"))
    for d, mark in zip(levels, _MARKS, strict=False):
        points = [
            (size, size / entry.time.minimum)
            for case in cases
            for entry in _rows(case)
            for size in [_BYTES[entry.precision] * case.n * (case.d + 1)]
            if entry.backend == name and case.d == d
        ]
        if points:
            mine = f"_{label}, d = {d:,}"  # "_": not in the legend
            (line,) = axes.plot(
                *zip(*points, strict=True), mark + "-", ms=5, lw=0.8, color=hue, label=mine
            )
            texts = [f"{mine[1:]}, {si(size, 'B')}: {si(rate, 'B/s')}" for size, rate in points]
            tell(line, texts)


def _draw_roofs(axes: Axes, roofline: "Roofline", levels: list[int]) -> None:
    """Draw the rates of reads and of multiply-adds in bytes per second, per number of threads."""
    for count, rates in roofline.read.items():
        axes.plot(roofline.sizes, rates, color=INK, lw=1.4, label="_")
        low, high = _multiply_adds(roofline, count, levels)
        axes.axhspan(low, high, color=MUTED, alpha=0.25, lw=0.8)


def _multiply_adds(roofline: "Roofline", count: str, levels: list[int]) -> tuple[float, float]:
    """Return the multiply-add rate of `count` cores in bytes of X and y per second: least, most."""
    roofs = [roofline.fma[count] * 8 * (d + 1) / (2 * d + 1) for d in levels]
    return min(roofs), max(roofs)


def _roof_ends(axes: Axes, roofline: "Roofline", levels: list[int]) -> list[Label]:
    """Return the labels of the roofs, at the right edge; dotted, reads beyond the largest size."""
    left, right = axes.get_xlim()
    ends = []
    for count, rates in roofline.read.items():
        cores = "1 core" if count == "1" else f"{count} cores"
        last = (roofline.sizes[-1], rates[-1])
        axes.plot([last[0], right], [last[1]] * 2, ":", color=INK, lw=1, label="_")
        ends.append(Label(f"reads, {cores}", (right, last[1]), INK))
        _, high = _multiply_adds(roofline, count, levels)
        ends.append(Label(f"multiply-adds, {cores}", (right, high), MUTED))
    axes.set_xlim(left, right)
    return ends


def _name_caches(axes: Axes, roofline: "Roofline") -> None:
    """Mark the sizes of the caches."""
    top = axes.get_xaxis_transform()
    for name, size in roofline.caches.items():
        axes.axvline(size, color=MUTED, lw=0.7, ls=":")
        note_at(axes, f"{name.rstrip('d')} cache", (size, 1.0), (0, 3), xycoords=top, ha="center")
