"""The command `gradrace`, which is also `python -m gradrace`."""

import sys

from gradrace.bench.machine import interrupts


def main() -> None:
    """Run the command line; a signal while it is still being imported ends it quietly, too."""
    interrupts.heed()
    try:
        from gradrace.bench.cli.main import main

        main()
    except (KeyboardInterrupt, SystemExit):
        if interrupts.came():
            sys.exit(interrupts.status())
        raise


if __name__ == "__main__":
    main()
