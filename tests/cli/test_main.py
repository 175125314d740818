"""The commands: their help, and the version."""

import pytest

from gradrace import backends
from tests.conftest import Command

COMMANDS = (
    *("train", "rates", "predict", "run", "scale", "show", "compare", "plot", "advise"),
    *("check", "backends", "report"),
)


class TestHelp:
    def test_names_every_command(self, gradrace: Command) -> None:
        done = gradrace("--help")
        assert done.returncode == 0
        for name in COMMANDS:
            assert f"\n  {name} " in done.stdout
        assert "...\n" not in done.stdout.replace("[ARGS]...", "")  # no summary is cut off

    @pytest.mark.parametrize("name", COMMANDS)
    def test_of_every_command(self, gradrace: Command, name: str) -> None:
        done = gradrace(name, "--help")
        assert (done.returncode, done.stderr) == (0, "")
        assert "default: None" not in done.stdout

    def test_backends(self, gradrace: Command) -> None:
        done = gradrace("backends")
        assert done.returncode == 0
        lines = done.stdout.splitlines()[3:]
        rows = [line.split()[0] for line in lines if line.strip() and line[1] != " "]
        assert rows == list(backends.names())


def test_version(gradrace: Command) -> None:
    assert gradrace("--version").stdout.startswith("gradrace 0.")
