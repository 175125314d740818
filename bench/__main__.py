"""`python -m bench` is the command `gradrace`."""

import os
import sys

from bench.machine import interrupts


def main() -> None:
    """Run the command line; a signal while it is still being imported ends it quietly, too."""
    interrupts.heed()
    _open_closed_streams()
    try:
        from bench.cli import main

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


def _leave_current_folder() -> None:
    """Take the current folder off the path, where `python -m` put it first: it shadows libraries.

    Our own packages may stand there, so those that are not imported yet are imported now.
    """
    try:
        here = os.getcwd()
    except FileNotFoundError:  # somebody has deleted it, so it was not put there
        return
    if not sys.flags.safe_path and sys.path[0] == here:
        sys.path[0] = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
        import backends  # noqa: F401 (found while our folder is on the path)
        import plots  # noqa: F401 (found while our folder is on the path)

        del sys.path[0]


if __name__ == "__main__":
    _leave_current_folder()
    main()
