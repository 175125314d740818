"""Where machine code is kept, and when it is compiled again."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from gradrace import backends
from gradrace.backends.support import cache
from tests.conftest import copy_package

SPENT = 2 * 86_400  # seconds


class TestNeighbors:
    """Numba does not see that a function in another file has changed."""

    FOREIGN = """
from numba import njit
from gradrace.backends.numba_simd import prepare, sums_of_line
from gradrace.backends.interface import Trajectory, recorded_epochs

def train(data, *, lr, epochs, w0=None, b0=0.0, every=1):
    return Trajectory(recorded_epochs(0, 1), [[0.0]], [0.0], [loss(data[0][:, 0], data[1])])

@njit(cache=True)
def loss(x, y):
    return sums_of_line(x, y, 0.0, 0.0)[0] / len(y)
"""
    SCRIPT = """
import sys, numpy as np
from gradrace import backends
module = backends.load(sys.argv[1])
path = module.train(module.prepare(np.ones((40_000, 1)), np.ones(40_000)), lr=0.1, epochs=0)
print(float(path.loss[0]))
"""

    def test_a_change_in_another_file_arrives(self, tmp_path: Path) -> None:
        copy_package(tmp_path)
        (tmp_path / "mine.py").write_text(self.FOREIGN)
        assert self.loss(tmp_path, "mine.py") == 1.0
        neighbor = tmp_path / "backends" / "numba_simd.py"
        text = neighbor.read_text("utf-8")
        changed = text.replace("squares += r * r\n", "squares += 8.0 * r * r\n", 1)
        assert changed != text
        neighbor.write_text(changed, "utf-8")
        assert self.loss(tmp_path, "mine.py") == 8.0

    @pytest.mark.parametrize(
        ("name", "folders"),
        [("numba_simd.py", 2), ("support/threads.py", 2), ("__pycache__/at-0/gram.py", 1)],
    )
    @pytest.mark.usefixtures("environment")
    def test_each_state_of_the_sources_has_a_folder_of_its_own(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, folders: int
    ) -> None:
        copy_package(tmp_path)
        monkeypatch.setattr(cache, "HERE", tmp_path / "backends")
        monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path / "machine-code"))
        changed = tmp_path / "backends" / name
        changed.parent.mkdir(parents=True, exist_ok=True)
        for change in ("", "# another state"):
            with changed.open("a") as file:
                file.write(change)
            for _ in range(2):
                cache.use_folder()
        assert len(list((tmp_path / "machine-code").iterdir())) == folders

    def loss(self, folder: Path, spec: str) -> float:
        """The loss at zero, where every residual is −1, of the package in this folder."""
        environment = {
            **os.environ,
            "PYTHONPATH": str(folder / ".src"),
            "NUMBA_NUM_THREADS": "2",
            "NUMBA_CACHE_DIR": str(folder / "machine-code"),
        }
        done = subprocess.run(
            [sys.executable, "-c", self.SCRIPT, spec],
            cwd=folder,
            env=environment,
            capture_output=True,
            text=True,
            check=True,
        )
        return float(done.stdout)


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Numba could write nowhere, but into a temporary folder."""
    monkeypatch.setenv("NUMBA_CACHE_DIR", "")
    monkeypatch.setenv("XDG_CACHE_HOME", "/dev/null/caches")
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    monkeypatch.setattr("gradrace.backends.support.cache._IN_TREE", Path("/dev/null/__pycache__"))
    monkeypatch.setattr("numba.config.CACHE_DIR", "")


@pytest.mark.usefixtures("environment")
class TestFolder:
    @pytest.mark.parametrize("spec", ["numba", "gram", "/dev/null/mine.py", "some.module"])
    def test_a_temporary_one_is_made_once_where_there_is_no_other(
        self, tmp_path: Path, spec: str
    ) -> None:
        news = backends.ensure_cache(spec)
        folder = Path(os.environ["NUMBA_CACHE_DIR"]).parent
        assert folder.parent == tmp_path
        assert news.endswith(f"machine code; for now, it is in {folder}")
        assert backends.ensure_cache(spec) == ""

    @pytest.mark.parametrize("spec", ["python", "numpy"])
    def test_what_does_not_compile_needs_none(self, spec: str) -> None:
        assert backends.ensure_cache(spec) == ""
        assert os.environ["NUMBA_CACHE_DIR"] == ""

    def test_a_persons_own_is_the_parent_and_stays_it(
        self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path / "hers"))
        for _ in range(2):  # a child process inherits the folder
            assert cache.use_folder() == ""
            assert Path(os.environ["NUMBA_CACHE_DIR"]).parent == tmp_path / "hers"

    @pytest.mark.parametrize("unusable", ["/proc/nope", "/dev/null", "/dev/null/nope"])
    @pytest.mark.parametrize("other", [True, False])
    def test_a_persons_own_that_cannot_be_used_is_named_once(
        self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, unusable: str, other: bool
    ) -> None:
        monkeypatch.setenv("NUMBA_CACHE_DIR", unusable)
        if other:
            monkeypatch.setattr(cache, "_IN_TREE", tmp_path)
        with pytest.warns(UserWarning, match="NUMBA_CACHE_DIR") as found:
            backends.load("numba")
        (words,) = (str(warning.message) for warning in found)
        assert words.startswith(f"NUMBA_CACHE_DIR: {unusable} cannot be written to. Numba ")
        assert words.endswith(f" in {Path(os.environ['NUMBA_CACHE_DIR']).parent}")
        backends.load("numba")

    def test_an_inherited_one_of_other_sources_is_not_used(
        self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path / f"backends-{0:016x}"))
        cache.use_folder()
        (folder,) = tmp_path.iterdir()
        assert os.environ["NUMBA_CACHE_DIR"] == str(folder)
        assert folder.name != f"backends-{0:016x}"

    def test_without_a_place_beside_the_sources_it_is_the_users(
        self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "caches"))
        assert cache.use_folder() == ""
        assert Path(os.environ["NUMBA_CACHE_DIR"]).parent == tmp_path / "caches" / "gradrace"

    def test_old_ones_are_removed_and_nothing_else(
        self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path))
        recent, old, hers = (f"backends-{0:016x}", f"backends-{1:016x}", "backends-of-mine")
        for name in (recent, old, hers):
            (tmp_path / name).mkdir()
            (tmp_path / name / "some.nbc").touch()
        for name in (old, hers):
            os.utime(tmp_path / name, (0, time.time() - SPENT))
        cache.use_folder()
        own = Path(os.environ["NUMBA_CACHE_DIR"]).name
        assert {path.name for path in tmp_path.iterdir()} == {recent, hers, own}
