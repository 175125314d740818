"""Ctrl-C, SIGTERM and SIGHUP: what is finished is saved."""

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from gradrace.bench.proof.isolation import Isolated, Outcome
from tests.cli.conftest import listing
from tests.conftest import Command, process


@pytest.mark.slow
class TestInterrupt:
    """Ctrl-C and its kin end any command within about a second and keep what is finished."""

    HEEDING = (  # what a shell starts with & ignores Ctrl-C, and so do its children
        "import signal; signal.signal(signal.SIGINT, signal.default_int_handler); "
        "from gradrace.__main__ import main; main()"
    )

    def interrupt(
        self, folder: Path, words: list[str], ready: Path, number: signal.Signals
    ) -> tuple[int, str, str]:
        """Start a command, send it a signal once the file `ready` exists, and wait for the end.

        None of them would end by itself within the time limit.
        """
        process = subprocess.Popen(
            [sys.executable, "-c", self.HEEDING, *words],
            cwd=folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        while not ready.exists():
            assert process.poll() is None, process.communicate()
            time.sleep(0.02)
        process.send_signal(number)
        out, err = process.communicate(timeout=600)
        return process.returncode, out, err

    @pytest.mark.parametrize(
        ("module", "number"),
        [("pure_python", signal.SIGINT), ("numba_jit", signal.SIGTERM)],
    )
    def test_train_keeps_the_model(
        self, tmp_path: Path, module: str, number: signal.Signals
    ) -> None:
        started = tmp_path / "started"
        (tmp_path / "wrapped.py").write_text(
            f"import pathlib\nfrom gradrace.backends import {module} as real\n"
            "prepare = real.prepare\n"
            "def train(data, **job):\n"
            f"    if job['epochs'] > 10: pathlib.Path({str(started)!r}).touch()\n"
            "    return real.train(data, **job)\n"
        )
        words = ["train", "--epochs", "2000000000", "--backend", "wrapped.py"]
        status, out, err = self.interrupt(tmp_path, words, started, number)
        assert status == 128 + number, err
        assert "Saved in results/train: history.parquet, model.json" in out
        model = json.loads((tmp_path / "results/train/model.json").read_text("utf-8"))
        assert model["training"]["interrupted"] is True
        assert 0 < model["training"]["epochs"] < 2_000_000_000

    def test_an_interrupt_that_compiled_code_swallows_is_none_the_less_one(
        self, tmp_path: Path
    ) -> None:
        """No exception passes through a callback; what fails afterwards is a consequence."""
        (tmp_path / "swallows.py").write_text(
            "import ctypes, os\nfrom gradrace.backends.pure_python import prepare\n"
            "@ctypes.CFUNCTYPE(None)\n"
            "def callback(): os.kill(os.getpid(), 1); [None for _ in range(9)]\n"
            "def train(*_, **__): callback(); raise RuntimeError('no compiled object yet')\n"
        )
        done = process(tmp_path, "train", "--backend", "swallows.py")
        assert (done.returncode, done.stderr) == (128 + 1, "gradrace: interrupted\n")

    @pytest.mark.parametrize(
        ("command", "name", "key"),
        [("check", "v.json", "verdicts"), ("rates", "rates.json", "runs")],
    )
    def test_what_was_verified_is_kept(
        self,
        gradrace: Command,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
        command: str,
        name: str,
        key: str,
    ) -> None:
        outcomes: list[Outcome] = []

        def outcome(running: Isolated) -> Outcome:
            if outcomes:
                raise KeyboardInterrupt
            outcomes.append(right(running))
            return outcomes[0]

        right = Isolated.outcome
        monkeypatch.setattr(Isolated, "outcome", outcome)
        words = [command, "--epochs", "50", "--backend", "numpy", "numba"]
        words += ["--json", name] if command == "check" else ["--lr", "0.01", "--out", "."]
        done = gradrace(*words)
        assert (done.returncode, done.stderr.count("\n")) == (130, 1)
        found = json.loads((tmp_path / name).read_text("utf-8"))
        assert {entry["backend"] for entry in found[key]} == {"numpy"}
        assert f"Saved in .: {name}" in done.stdout

    def test_run_keeps_what_was_checked(self, tmp_path: Path) -> None:
        errors = tmp_path / "results" / "agreement.parquet"
        words = ["run", "--backends", "numpy"]
        status, out, err = self.interrupt(tmp_path, words, errors, signal.SIGINT)
        assert status == 130, err
        assert "Saved in results: agreement.parquet" in out
        assert "interrupted; nothing was timed" in err
        assert not [name for name in listing(tmp_path) if name.endswith(".tmp")]

    def test_run_keeps_the_finished_sessions(self, tmp_path: Path) -> None:
        words = ["run", "--case", "30x1@50", "--backends", "numpy", "--sessions", "1000"]
        result = tmp_path / "results/benchmark.json"
        status, out, err = self.interrupt(tmp_path, words, result, signal.SIGTERM)
        assert status == 143, err
        assert "30 × 1" in out
        assert "finished sessions are saved" in err
        assert "To time the rest: gradrace run --resume results/benchmark.json" in out
        saved = json.loads((tmp_path / "results/benchmark.json").read_text("utf-8"))
        assert saved["gradrace"]["interrupted"] is True
        assert not [name for name in listing(tmp_path) if name.endswith(".tmp")]

    @pytest.mark.parametrize(("number", "ignored"), [("SIGHUP", "SIGHUP"), ("SIGTERM", "SIGHUP")])
    def test_a_signal_that_is_ignored_stays_so(self, number: str, ignored: str) -> None:
        """As nohup has it; and of two signals one after the other, the first counts."""
        code = (
            f"import os, signal; signal.signal(signal.{ignored}, signal.SIG_IGN)\n"
            "from gradrace.bench.machine import interrupts\ninterrupts.heed()\n"
            f"try: os.kill(os.getpid(), signal.{number})\n"
            "except KeyboardInterrupt: os.kill(os.getpid(), signal.SIGTERM)\n"
            "print(interrupts.came(), interrupts.status())"
        )
        done = subprocess.run(
            [sys.executable, "-c", code],
            capture_output=True,
            text=True,
            check=False,
        )
        expected = "False 130\n" if number == ignored else "True 143\n"
        assert (done.stdout, done.stderr) == (expected, "")
