"""`python -m bench` is the command `gradrace`."""

import os
import sys


def main() -> None:
    """Run the command line; Ctrl-C while it is still being imported ends it quietly, too."""
    try:
        from bench import cli
    except KeyboardInterrupt:
        sys.exit(130)
    cli.main()


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
        import backends  # noqa: F401
        import plots  # noqa: F401

        del sys.path[0]


if __name__ == "__main__":
    _leave_current_folder()
    main()
