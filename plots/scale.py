"""How does the time grow? Against n, against d at the same n·d, and with the threads."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

from gradrace.plots import style
from gradrace.plots.canvas import Axes, Figure, FuncFormatter, own_settings
from gradrace.plots.numbers import plain_seconds, seconds, si, three_digits
from gradrace.plots.sources import race_origin
from gradrace.plots.svg import tell

if TYPE_CHECKING:
    from gradrace.bench.race.verdict.result import About, CaseFindings, ResultFile

_MARKS = "osD^vP*X"
"""Of the speed-ups, by the number of threads"""


@own_settings()
def figure(races: "Sequence[ResultFile]") -> Figure:
    """Return the figure: two panels of times on one thread, and one of speed-ups by threads."""
    one = races[0].gradrace
    backends = style.looks(one)
    drawn = style.race_figure(11.0, 4.2, backends.values(), race_origin(*races))
    along_n, along_d, by_threads = drawn.subplots(1, 3)
    _draw_times(along_n, backends, [case for case in one.cases if case.d == 1], "n")
    style.title(along_n, "d = 1")
    along_n.set_xlabel("samples n")
    along_n.set_ylabel("time per epoch, set-up included")
    numbers = max(case.n * case.d for case in one.cases if case.d > 1)
    level = [case for case in one.cases if case.n * case.d == numbers]
    _draw_times(along_d, backends, level, "d")
    style.title(along_d, f"n · d = {numbers:,}")
    along_d.set_xlabel("features d")
    _draw_speed_ups(by_threads, [race.gradrace for race in races[1:]])
    style.legend(drawn, along_n, by_threads)
    return drawn


def _draw_times(
    axes: Axes,
    backends: dict[str, style.Look],
    cases: "list[CaseFindings]",
    along: Literal["n", "d"],
) -> None:
    """Draw the medians of every backend against n or d, and the limit of a pass."""
    cases = sorted(cases, key=lambda case: getattr(case, along))
    for name, look in backends.items():
        points = [
            (getattr(case, along), entry.time.median)
            for case in cases
            for entry in case.entries
            if entry.backend == name
        ]
        if points:
            (line,) = axes.plot(*zip(*points, strict=True), "o-", ms=4, lw=1.5, color=look.color)
            tell(line, [f"{look.label}, {along} = {k:,}: {seconds(time)}" for k, time in points])
    style.draw_limit(axes, cases, along)
    style.log_axes(axes, si, plain_seconds)
    style.tidy(axes)


def _draw_speed_ups(axes: Axes, abouts: "Sequence[About]") -> None:
    """Draw the speed-up over one thread against n, one line per thread count."""
    several, one = _shared_out(abouts)
    for about, mark in zip(abouts, _MARKS, strict=False):
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
        (line,) = axes.plot(
            *zip(*points, strict=True),
            mark + "-",
            ms=4,
            color=about.backends[several].color,
            label=f"speed-up with {threads} threads",
        )
        tell(line, [f"n = {n:,}: {three_digits(ratio)} times as fast" for n, ratio in points])
        axes.axhline(threads, color=style.MUTED, lw=1.2, ls=":")
    axes.plot([], [], ":", color=style.MUTED, lw=1.2, label="at best: as many as threads")
    axes.axhline(1, color=style.MUTED, lw=0.8)
    axes.set_xscale("log")
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: si(value)))
    axes.set_ylim(bottom=0)
    axes.set_xlabel("samples n")
    if several:
        style.title(axes, f"{several} relative to {one}")
        axes.set_ylabel("speed-up")
    style.tidy(axes)


def _shared_out(abouts: "Sequence[About]") -> tuple[str, str]:
    """Return the first backend that equals another on one thread, and that one; or empty texts."""
    for about in abouts:
        for name, facts in about.backends.items():
            if facts.on_one_thread:
                return name, facts.on_one_thread
    return "", ""
