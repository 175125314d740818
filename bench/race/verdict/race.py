"""A race: what is asked for, what was found so far, and what it says."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from gradrace.bench.machine.progress import Progress
from gradrace.bench.parts import Part, Report, Result
from gradrace.bench.race.verdict import change, conclusions, race_parts, result
from gradrace.bench.race.verdict.result import RESULT, About, ResultFile

if TYPE_CHECKING:
    from gradrace.plots.canvas import Figure as Drawing

PREVIOUS = "benchmark.previous.json"
"""What an earlier result is called from then on"""


class Race(Result):
    """The result of a race, finished or not; `content` is that of its result file, `file`."""

    def __init__(
        self,
        file: str | Path,
        content: ResultFile | None = None,
        limits: Mapping[str, float] | None = None,
    ) -> None:
        """Read a result file, or the one in a folder, unless the content is given.

        `limits` maps a size, or "" for all, to the slowdown that is allowed, as a share.

        Raises:
            InputValueError: it is not a result file, is cut off or damaged, or has another schema;
                or the race has no such size, or no earlier versions to be compared with.
            OSError: it cannot be read.

        """
        path = Path(file)
        self.file = path / RESULT if path.is_dir() else path
        self.content = conclusions.concluded(result.decoded(path)) if content is None else content
        self.limits = limits or {}
        self.interrupted = False
        self.files: list[Path] = []
        """What was written, in order"""

    @property
    def about(self) -> About:
        """What gradrace adds to pytest-benchmark's file."""
        return self.content.gradrace

    @property
    def title(self) -> str:
        """What was asked."""
        return race_parts.question(self.about)

    def parts(self, *, detail: bool = False) -> Iterator[Part]:
        """Yield the answer, a table and the warnings; with `detail`, all that is known."""
        yield from race_parts.parts(self.content, self.file, self.limits, detail=detail)

    def _repr_html_(self) -> str:
        speed = (one for one in race_parts.pictures(self.content) if one.name == "speed")
        return Result.as_html([*self.parts(), *speed])

    def details(self) -> Report:
        """Return all that is known: intervals, limits, compile times, memory."""
        return Report(self.parts(detail=True))

    def plot(self) -> "Drawing":
        """Return a picture of the time per epoch against the number of samples."""
        from gradrace.plots import speed

        return speed.figure(self.content)

    @property
    def passed(self) -> bool:
        """Whether nothing is slower than `limits` allow."""
        return change.held(self.content, self.limits)[0]

    @property
    def faults(self) -> list[str]:
        """Why the exit status is 1: what disagrees, what crashed, sessions that failed.

        Earlier versions do not count: nobody can repair the past.
        """
        left_out = [
            f"{one.backend} on {one.case}: {one.reason}"
            for one in self.about.left_out
            if one.fault and not self._is_earlier(one.backend)
        ]
        broken = [
            f"session {session.number} failed: {session.failure}"
            for session in self.about.sessions
            if session.failure
        ]
        return left_out + broken + self.impossible

    @property
    def impossible(self) -> list[str]:
        """What was faster than the machine can be, and what shows it."""
        return [
            f"{entry.backend} on {case.name}: {entry.impossible}"
            for case in self.about.cases
            for entry in case.entries
            if entry.impossible and not self._is_earlier(entry.backend)
        ]

    def _is_earlier(self, backend: str) -> bool:
        facts = self.about.backends.get(backend)
        return facts is not None and bool(facts.version_of)

    def write(self) -> None:
        """Draw the conclusions and write the file."""
        timed = bool(self.about.contenders) or self.interrupted  # or there was nothing to time
        self.about.interrupted = timed and self.about.finished < self.about.settings.sessions
        conclusions.conclude(self.content)
        result.write(self.file, self.content)
        if self.file not in self.files:
            self.files.append(self.file)


class Counter:
    """Counts the steps of a race for the progress bar: the timed blocks, and what follows them.

    What precedes them is only named: how long it takes says nothing about the blocks.
    """

    def __init__(self, on_progress: Progress) -> None:
        self._tell, self._done, self._all = on_progress, 0, 0

    def __call__(self, doing: str, advance: int = 1) -> None:
        """Say what begins now; `advance` steps are done."""
        self._done += advance if self._all else 0
        self._tell(doing, self._done, max(self._all, self._done))

    def expect(self, blocks: int) -> None:
        """Say how many blocks there are, of all sessions together."""
        self._all = blocks
