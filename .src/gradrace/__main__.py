"""The command `gradrace`, which is also `python -m gradrace`."""

import os
import sys

from gradrace.bench.machine import interrupts


def main() -> None:
    """Run the command line; a signal while it is still being imported ends it quietly, too."""
    interrupts.heed()
    _open_closed_streams()
    try:
        from gradrace.bench.cli import main

        main.main()
    except (KeyboardInterrupt, SystemExit):
        if interrupts.came():
            sys.exit(interrupts.status())
        raise


def _open_closed_streams() -> None:
    """Lead standard streams that are closed into the void: no other file may take their place."""
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the least number that is free, this one
            setattr(sys, name, open(number, "w" if number else "r", closefd=False))  # noqa: SIM115 (open to the end)


if __name__ == "__main__":
    main()
