"""The whole command line: `main` runs it."""

import io
import sys

from gradrace.bench.cli import learning, races, results, verdicts  # noqa: F401 (register their commands)
from gradrace.bench.cli.command import UNUSABLE, app
from gradrace.bench.report.terminal import end

__all__ = ["app", "main"]


def main() -> None:
    """Run the command line."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # a terminal without α still shows the rest
    try:
        app()
    except OSError as error:  # not even the help can be written
        end(f"standard output: {error.strerror}", UNUSABLE)
