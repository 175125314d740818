"""How does the time grow? Against n, against d at the same n·d, and with the threads."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

from gradrace.plots.canvas import Axes, Figure, FuncFormatter, own_settings
from gradrace.plots.numbers import plain_seconds, seconds, si, three_digits
from gradrace.plots.placing import Label, label_ends, label_marks
from gradrace.plots.sources import race_origin
from gradrace.plots.style import (
    MUTED,
    colors,
    draw_limit,
    labels,
    legend,
    log_axes,
    new_figure,
    note_at,
    text_width,
    tidy,
    title,
)
from gradrace.plots.svg import tell

if TYPE_CHECKING:
    from gradrace.bench.race.result import About, CaseFindings, ResultFile


@own_settings()
def figure(races: "Sequence[ResultFile]") -> Figure:
    """Return the figure: two panels of times on one thread, and one of speed-ups by threads."""
    cases = races[0].gradrace.cases
    numbers = max(case.n * case.d for case in cases if case.d > 1)
    names = labels(races[0].gradrace)
    room = text_width({names[entry.backend] for case in cases for entry in case.entries})
    drawn = new_figure(11.0 + 2 * room, 4.2, race_origin(*races))
    along_n, along_d, by_threads = drawn.subplots(1, 3)
    hues = colors(races[0].gradrace)
    ends_n = _draw_times(along_n, hues, names, [case for case in cases if case.d == 1], "n")
    title(along_n, "d = 1")
    along_n.set_xlabel("samples n")
    along_n.set_ylabel("time per epoch, set-up included")
    level = [case for case in cases if case.n * case.d == numbers]
    ends_d = _draw_times(along_d, hues, names, level, "d")
    title(along_d, f"n · d = {numbers:,}")
    along_d.set_xlabel("features d")
    _draw_speed_ups(by_threads, [race.gradrace for race in races])
    legend(drawn, along_n)
    (last_n, early_n), (last_d, early_d) = _by_end(ends_n), _by_end(ends_d)
    label_ends((along_n, last_n), (along_d, last_d))
    label_marks((along_n, early_n), (along_d, early_d))
    return drawn


def _by_end(ends: list[Label]) -> tuple[list[Label], list[Label]]:
    """Separate the ends at the right edge from those where other lines go on."""
    edge = max((end.point[0] for end in ends), default=0.0)
    last = [end for end in ends if end.point[0] == edge]
    return last, [end for end in ends if end.point[0] != edge]


def _draw_times(
    axes: Axes,
    hues: dict[str, str],
    names: dict[str, str],
    cases: "list[CaseFindings]",
    along: Literal["n", "d"],
) -> list[Label]:
    """Draw the medians of every backend against n or d, and the limit of a pass.

    Returns the labels of the lines.
    """
    cases = sorted((case for case in cases if case.entries), key=lambda case: getattr(case, along))
    ends = []
    for name in dict.fromkeys(entry.backend for case in cases for entry in case.entries):
        points = [
            (getattr(case, along), entry.time.median)
            for case in cases
            for entry in case.entries
            if entry.backend == name
        ]
        (line,) = axes.plot(*zip(*points, strict=True), "o-", ms=4, lw=1.5, color=hues[name])
        texts = [f"{names[name]}, {along} = {k:,}: {seconds(time)}" for k, time in points]
        tell(line, texts)
        ends.append(Label(names[name], points[-1], hues[name]))
    draw_limit(axes, cases, along)
    log_axes(axes, si, plain_seconds)
    tidy(axes)
    return ends


def _draw_speed_ups(axes: Axes, abouts: "Sequence[About]") -> None:
    """Draw the speed-up over one thread against n, one line per thread count."""
    several, one = _shared_out(abouts[1:])
    for about in abouts[1:]:
        points = [
            (case.n, times[one] / times[several])
            for case in sorted(about.cases, key=lambda case: case.n)
            if case.d == 1
            if (times := {entry.backend: entry.time.median for entry in case.entries})
            if {several, one} <= set(times)
        ]
        if not points:
            continue
        threads = about.settings.threads
        (line,) = axes.plot(*zip(*points, strict=True), "o-", ms=4, color=colors(about)[several])
        tell(line, [f"n = {n:,}: {three_digits(ratio)} times as fast" for n, ratio in points])
        axes.axhline(threads, color=MUTED, lw=1.0, ls="--")
        ideal = f"{threads} threads, at best"
        note_at(axes, ideal, (points[0][0], threads), (0, -11), fontsize=9, ha="left")
        if len(abouts) > 2:  # which of several lines it is
            note_at(axes, f"{threads} threads", points[-1], (0, -11), fontsize=9, ha="right")
    axes.axhline(1, color=MUTED, lw=0.8)
    axes.set_xscale("log")
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: si(value)))
    axes.set_ylim(bottom=0)
    axes.set_xlabel("samples n")
    if several:
        title(axes, f"{several} relative to {one}")
        axes.set_ylabel("speed-up")
    tidy(axes)


def _shared_out(abouts: "Sequence[About]") -> tuple[str, str]:
    """Return the first backend that equals another on one thread, and that one; or empty texts."""
    for about in abouts:
        for name, facts in about.backends.items():
            if facts.on_one_thread:
                return name, facts.on_one_thread
    return "", ""
