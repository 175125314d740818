"""What a race has found so far, and how far it is."""

from dataclasses import dataclass, field
from pathlib import Path

from gradrace.bench.machine.progress import Progress
from gradrace.bench.race import results
from gradrace.bench.race.schema import About, ResultFile
from gradrace.bench.race.settings import Settings

RESULT = results.RESULT
PREVIOUS = "benchmark.previous.json"
"""What an earlier result is called from then on"""


@dataclass
class Race:
    """What a run has found so far; it grows while `run` works."""

    settings: Settings
    content: ResultFile
    """The result file, see `findings/schema.py`."""
    interrupted: bool = False
    files: list[Path] = field(default_factory=list)
    """What was written, in order."""

    @property
    def about(self) -> About:
        """What gradrace adds to pytest-benchmark's file."""
        return self.content["gradrace"]

    @property
    def finished(self) -> int:
        """How many sessions were timed to their end."""
        return sum(not session["failure"] for session in self.about["sessions"])

    @property
    def faults(self) -> list[str]:
        """Why the exit status is 1: what disagrees, what crashed, sessions that failed.

        Earlier versions do not count: nobody can repair the past.
        """
        left_out = [
            f"{entry['backend']} on {entry['case']}: {entry['reason']}"
            for entry in self.about["left_out"]
            if entry["fault"] and not self._is_earlier(entry["backend"])
        ]
        broken = [
            f"session {session['number']} failed: {session['failure']}"
            for session in self.about["sessions"]
            if session["failure"]
        ]
        return left_out + broken + self.impossible

    @property
    def impossible(self) -> list[str]:
        """What was faster than the machine can be, and what shows it."""
        return [
            f"{row['backend']} on {case['name']}: {row['impossible']}"
            for case in self.about["cases"]
            for row in case["arms"]
            if row["impossible"] and not self._is_earlier(row["backend"])
        ]

    def _is_earlier(self, backend: str) -> bool:
        return "version_of" in self.about["backends"].get(backend, {})


class Steps:
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
