"""How a command ends: its exit status."""

import sys
from typing import NoReturn

from gradrace.bench.machine import interrupts

DISAGREES = 1
UNUSABLE = 2
PIPE_CLOSED = 141  # what a shell reports for a program that wrote to a closed pipe


def disagrees() -> NoReturn:
    """End a command that has found a fault, and said so."""
    sys.exit(DISAGREES)


def interrupted(kept: str = "") -> NoReturn:
    """End an interrupted command, and say what is saved."""
    from gradrace.bench.show.terminal import end

    end(interrupts.status(), f"interrupted{kept}")
