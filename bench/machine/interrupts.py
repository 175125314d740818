"""SIGTERM and SIGHUP end a command as Ctrl-C does: what is finished is saved.

Python turns Ctrl-C into a KeyboardInterrupt, and `heed` does the same with the other two. The exit
status of the command tells them apart.
"""

import signal
import sys
from types import FrameType
from typing import Any

_received: list[int] = []


def heed() -> None:
    """Raise KeyboardInterrupt on each of the signals, unless it is ignored, as under nohup."""
    for name in ("SIGINT", "SIGTERM", "SIGHUP"):
        number = getattr(signal, name, None)
        if number is not None and signal.getsignal(number) != signal.SIG_IGN:
            signal.signal(number, _interrupt)
    sys.unraisablehook = _report


def status() -> int:
    """Return what a shell reports for a program that the signal ended: 130 after Ctrl-C."""
    return 128 + (_received[0] if _received else signal.SIGINT)


def came() -> bool:
    """Return whether one of the signals came, even if its exception was lost.

    That happens where compiled code calls Python, because no exception passes through it. Later
    failures are consequences of it.
    """
    return bool(_received)


def _interrupt(number: int, _: FrameType | None) -> None:
    """Raise KeyboardInterrupt; after the first signal only on SIGINT.

    A terminal that closes sends SIGHUP twice, and once is enough.
    """
    repeated = bool(_received) and number != signal.SIGINT
    _received.append(number)
    if not repeated:
        raise KeyboardInterrupt


def _report(unraisable: Any) -> None:
    """Print nothing about an interrupt that was lost, because `came` reports it."""
    if not issubclass(unraisable.exc_type, KeyboardInterrupt):
        sys.__unraisablehook__(unraisable)
