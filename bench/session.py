"""A timing session: the suite `test_speed.py` under pytest-benchmark, in a process of its own."""

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from signal import SIGINT
from typing import Any

from bench.isolation import kill_family

_HERE = Path(__file__).resolve().parent
_PYTEST = (
    f"import os, sys; sys.path.insert(0, {str(_HERE.parent)!r}); import backends, bench, pytest; "
    "sys.path.pop(0); sys.path.append(os.getcwd()); sys.exit(pytest.main(sys.argv[1:]))"
)
# One thread per backend: several compete with whatever else runs here, and small problems lose.
_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS")
_GRACE = 3.0  # seconds that the child has at most to save what it timed after Ctrl-C


@dataclass(frozen=True)
class Session:
    """What one session timed and found."""

    results: dict[str, Any]
    """pytest-benchmark's JSON; `benchmarks` is empty if nothing was timed."""
    verdicts: list[dict[str, Any]]
    """`{"case": …, "verdict": …}` of every arm that was judged, in order."""
    failure: str
    """Why the session broke off, empty if it did not."""
    interrupted: bool


def time_backends(
    specs: Sequence[str], cases: Sequence[str], on_arm: Callable[[str, int], None]
) -> Session:
    """Verify and time every backend on every case (names from `cases.CASES`).

    `on_arm` gets what is being timed and how many arms are behind it. Ctrl-C ends the session
    within a second and keeps the arms that are finished.
    """
    with tempfile.TemporaryDirectory(prefix="gradrace-") as name:
        folder = Path(name)
        log, timings, output = folder / "log.jsonl", folder / "timings.json", folder / "output.txt"
        log.touch()
        interrupted = False
        with output.open("wb") as stream:
            child = _start(specs, cases, timings, log, stream)
            try:
                while child.poll() is None:
                    time.sleep(0.05)
                    verdicts = _read(log)
                    if verdicts:
                        arm = f"{verdicts[-1]['verdict']['backend']} on {verdicts[-1]['case']}"
                        on_arm(f"timing {arm}", len(verdicts) - 1)
            except KeyboardInterrupt:
                interrupted = True
                child.send_signal(SIGINT)
                with suppress(subprocess.TimeoutExpired):
                    child.wait(_GRACE)
            finally:
                kill_family(child)
        verdicts = _read(log)
        results: dict[str, Any] = {"benchmarks": []}
        with suppress(OSError, json.JSONDecodeError):  # missing, or cut off by a kill
            results = json.loads(timings.read_text("utf-8"))
        last = output.read_text("utf-8", errors="replace").split("\n")[-4:]
    failure = ""
    expected = sum(entry["verdict"]["agrees"] for entry in verdicts)
    complete = len(verdicts) == len(specs) * len(cases) and len(results["benchmarks"]) == expected
    if not (interrupted or (complete and child.returncode in (0, 1))):
        failure = f"timing ended with status {child.returncode}: {' '.join(last).strip()}"
    return Session(results, verdicts, failure, interrupted)


def _start(
    specs: Sequence[str], cases: Sequence[str], timings: Path, log: Path, stream: Any
) -> "subprocess.Popen[bytes]":
    """Start pytest on the suite, out of reach of the user's own pytest settings."""
    command = [
        sys.executable, "-P", "-c", _PYTEST, str(_HERE / "test_speed.py"),
        "-c", os.devnull, "--rootdir", str(_HERE), "-p", "no:cacheprovider",
        "-p", "pytest_benchmark.plugin", "--benchmark-only", "--benchmark-disable-gc",
        "--benchmark-json", str(timings), "--verdicts", str(log), "-q", "--tb=short",
        *(f"--backend={spec}" for spec in specs), *(f"--case={case}" for case in cases),
    ]  # fmt: skip
    foreign = ("PYTEST_ADDOPTS", "PYTEST_PLUGINS")
    environment = {key: value for key, value in os.environ.items() if key not in foreign}
    environment |= {name: os.environ.get(name, "1") for name in _THREADS}
    environment["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
    return subprocess.Popen(
        command,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=stream,
        stderr=stream,
        start_new_session=True,  # Ctrl-C reaches the parent, which passes it on once
    )


def _read(log: Path) -> list[dict[str, Any]]:
    """Return the finished lines of the log; the child may be writing the next one."""
    lines = log.read_text("utf-8").split("\n")[:-1]
    return [json.loads(line) for line in lines]
