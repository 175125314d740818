"""What can go wrong around a command: names, files, streams, settings, memory, installation."""

import errno
import json
import os
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import matplotlib
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from gradrace.backends.interface import InputValueError
from gradrace.bench.data import reader, sources, text
from gradrace.bench.data.files import (
    check_space,
    replacing,
    writable_folder,
    write_json,
    write_table,
)
from gradrace.bench.data.samples import Dataset
from gradrace.bench.learning.training import train
from gradrace.bench.parts import Column, Sentence, Table
from gradrace.bench.race.plan import Contender, Plan
from gradrace.bench.race.session import time_plan
from gradrace.bench.show.markdown import markdown
from gradrace.bench.show.terminal import show
from gradrace.bench.show.text import visible
from gradrace.plots import fit, loss, style
from tests.cli.conftest import MODEL
from tests.conftest import FOREIGN, ROOT, Command

full_disk = pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")


class TestNames:
    """Columns, backends and files may have any name; a terminal gets only visible characters."""

    STEERING: ClassVar = [
        "\x1b[31m",
        "\x9b2J",
        "\a",
        "\x7f",
        "\u202e",
        "\u2066",
        "\u200b",
        "\ufeff",
        "\ud800",
    ]

    @pytest.mark.parametrize("mark", STEERING)
    def test_what_steers_is_shown_as_a_question_mark(self, mark: str) -> None:
        assert visible(f"a{mark}b") == f"a?{mark[1:]}b"

    @pytest.mark.parametrize("text", ["α = 0.1", "価格", "größe", "n × d", "e\u0301", "😀"])
    def test_what_can_be_seen_stays(self, text: str) -> None:
        assert visible(text) == text

    @pytest.mark.parametrize("space", ["\n", "\r\n", "\t", "\u2028", "\x85", "\u3000"])
    def test_one_line(self, space: str) -> None:
        assert visible(f"a{space}b").split() == ["a", "b"]
        assert visible(space).strip(" ") == ""

    @pytest.mark.parametrize("mark", ["\x1b[31m", "\u202e", "\n"])
    def test_in_cells_captions_and_lines(
        self, capsys: pytest.CaptureFixture[str], mark: str
    ) -> None:
        rows = [(f"a{mark}b", 1), ("plain", 2)]
        show(Table([Column("head"), Column("n")], rows, f"x{mark}"), Sentence(f"line{mark}"))
        out = capsys.readouterr().out
        assert "\x1b" not in out
        assert "\u202e" not in out
        assert len({len(line) for line in out.splitlines() if line.endswith(("1", "2"))}) == 1
        assert f"a{visible(mark)}b" in out

    def test_nothing_is_markup_in_markdown(self) -> None:
        (line,) = markdown([Sentence("a|b\n<i>`[x]*\\")])
        assert line == r"a\|b \<i\>\`\[x\]\*\\"

    def test_end_to_end(self, gradrace: Command, tmp_path: Path) -> None:
        name = "ev\x1b[31mil\u202e.csv"
        (tmp_path / name).write_text("a\x1b[2J,c\u202ed,y\n1,2,3\n2,4,5\n3,7,8\n")
        done = gradrace("rates", name, "--epochs", "5", "--lr", "0.01", "--backend", "numpy")
        said = done.stdout + done.stderr
        assert done.returncode == 0, said
        assert "a?[2J" in said
        assert not {"\x1b", "\u202e"} & set(said)


class TestTemporaryNames:
    def test_a_link_that_waits_is_not_followed(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("secrets.token_hex", lambda _: "foretold")
        victim = tmp_path / "victim"
        victim.write_text("mine")
        (tmp_path / ".foretold.tmp").symlink_to(victim)
        with pytest.raises(FileExistsError):
            write_json(tmp_path / "x.json", {})
        assert victim.read_text() == "mine"

    def test_no_two_are_alike(self, tmp_path: Path) -> None:
        with replacing(tmp_path / "x") as one, replacing(tmp_path / "x") as other:
            assert one != other

    @pytest.mark.parametrize(("mask", "expected"), [(0o022, 0o644), (0o077, 0o600), (0, 0o666)])
    def test_permissions_are_those_of_a_new_file(
        self, tmp_path: Path, mask: int, expected: int
    ) -> None:
        before = os.umask(mask)
        try:
            write_json(tmp_path / "x.json", {})
        finally:
            os.umask(before)
        assert stat.S_IMODE((tmp_path / "x.json").stat().st_mode) == expected


class TestFullDisk:
    WRITERS: ClassVar[dict[str, Callable[[Path], None]]] = {
        "JSON": lambda path: write_json(path, ["x" * 100_000]),
        "Parquet": lambda path: write_table(pa.table({"x": [str(i) for i in range(50_000)]}), path),
        "a picture": lambda path: _picture(path),
    }

    @pytest.mark.parametrize("kind", WRITERS)
    def test_the_error_names_the_file_and_nothing_is_left(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
    ) -> None:
        monkeypatch.setattr(Path, "touch", lambda path, **_: path.symlink_to("/dev/full"))
        with pytest.raises(OSError, match="No space left on device") as caught:
            self.WRITERS[kind](tmp_path / "x")
        assert (caught.value.errno, caught.value.filename) == (errno.ENOSPC, str(tmp_path / "x"))
        assert list(tmp_path.iterdir()) == []

    def test_check_space(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        check_space(tmp_path)
        assert list(tmp_path.iterdir()) == []
        monkeypatch.setattr("tempfile.TemporaryFile", lambda **_: open("/dev/full", "wb"))  # noqa: SIM115
        with pytest.raises(OSError, match="No space left on device") as caught:
            check_space(tmp_path)
        assert caught.value.filename == str(tmp_path)

    @pytest.mark.parametrize("words", [["--help"], ["backends"]])
    @full_disk
    def test_standard_output_names_itself(self, words: list[str]) -> None:
        done = shell(f"exec {PYTHON} -m gradrace {' '.join(words)} >/dev/full", ROOT)
        assert (done.returncode, done.stderr) == (
            2,
            "gradrace: standard output: No space left on device\n",
        )


def _picture(path: Path) -> None:
    from gradrace.plots.style import new_figure
    from gradrace.plots.style import save as save_picture

    with replacing(path) as temporary:
        save_picture(new_figure(9, 9), temporary)


def test_json_holds_a_name_that_is_no_utf8(tmp_path: Path) -> None:
    write_json(tmp_path / "x.json", {"backend": "\udcff.py"})
    assert json.loads((tmp_path / "x.json").read_text("utf-8")) == {"backend": "\udcff.py"}


class TestFolders:
    def test_one_that_can_be_created_is_not_yet(self, tmp_path: Path) -> None:
        writable_folder(tmp_path / "a/b/c")
        assert list(tmp_path.iterdir()) == []
        write_json(tmp_path / "a/b/c/x.json", {})
        assert (tmp_path / "a/b/c/x.json").exists()

    @pytest.mark.parametrize("place", ["file", "file/below", "file/a/b", "link", "/proc/no/where"])
    def test_one_that_cannot_is_refused(self, tmp_path: Path, place: str) -> None:
        (tmp_path / "file").touch()
        (tmp_path / "link").symlink_to("file")
        with pytest.raises(InputValueError, match="cannot write here: "):
            writable_folder(tmp_path / place)


PYTHON = sys.executable


def shell(
    command: str, folder: Path, environment: dict[str, str] | None = None
) -> "subprocess.CompletedProcess[str]":
    """Run a command line in a folder; return its exit status and output."""
    return subprocess.run(
        ["sh", "-c", command],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
        env={**os.environ, **(environment or {})},
    )


class TestStreams:
    @pytest.mark.parametrize("source", ["yes 1,2", "yes ''", "yes | tr -d '\\n'"])
    def test_an_endless_pipe_is_refused_at_the_limit(
        self, monkeypatch: pytest.MonkeyPatch, source: str
    ) -> None:
        monkeypatch.setattr(sources, "MOST_BYTES", 2**20)
        with subprocess.Popen(["sh", "-c", source], stdout=subprocess.PIPE) as process:
            monkeypatch.setattr("sys.stdin", process)
            process.buffer = process.stdout  # type: ignore[attr-defined]
            with pytest.raises(InputValueError, match=r"is longer than 1 MiB"):
                reader.open_table(Path("-"))
            process.kill()

    def test_an_endless_line(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(text, "MOST_OF_LINE", 2**20)
        (tmp_path / "t.csv").write_text("1," * 2**20)
        with pytest.raises(InputValueError, match="a line is longer than 1 MiB"):
            reader.open_table(tmp_path / "t.csv")

    @pytest.mark.parametrize("path", ["/dev/zero", "/dev/urandom"])
    def test_what_is_no_text_is_refused_at_once(self, path: str) -> None:
        with pytest.raises(InputValueError, match="is neither text nor a known kind"):
            reader.open_table(Path(path))

    def test_a_pipe_of_ordinary_size(self, tmp_path: Path) -> None:
        os.mkfifo(tmp_path / "pipe")
        (tmp_path / "rows").write_text("".join(f"{i},{2 * i}\n" for i in range(30_000)))
        with subprocess.Popen(["sh", "-c", "cat rows > pipe"], cwd=tmp_path):
            assert reader.read_table(tmp_path / "pipe").X.shape == (30_000, 1)


class TestSettings:
    """Pictures do not depend on the user's settings of matplotlib, and leave them unchanged."""

    HERS: ClassVar = (
        "text.usetex: True\nfont.family: serif\nsavefig.bbox: tight\npath.sketch: 1, 2, 3\n"
    )

    @pytest.fixture(scope="class")
    @staticmethod
    def saved(tmp_path_factory: pytest.TempPathFactory, line: Dataset) -> Path:
        folder = tmp_path_factory.mktemp("saved")
        train(line, lr=0.005, epochs=20).save(folder)
        return folder

    def test_of_one_who_has_matplotlib_already(self, saved: Path, tmp_path: Path) -> None:
        hers: Any = {"text.usetex": True, "font.family": ["serif"], "savefig.bbox": "tight"}
        with matplotlib.rc_context(hers):
            before = dict(matplotlib.rcParams)
            history, points = (
                pq.ParquetFile(saved / f"{name}.parquet").read() for name in ("history", "fit")
            )
            style.save(loss.figure([history]), tmp_path / "loss.png")
            style.save(fit.figure(points), tmp_path / "fit.png")
            assert dict(matplotlib.rcParams) == before
        for name in ("loss.png", "fit.png"):
            assert (tmp_path / name).read_bytes() == (saved / name).read_bytes()

    @pytest.mark.parametrize(("settings", "backend"), [(HERS, "module://of.another.environment")])
    def test_in_the_current_folder(
        self, saved: Path, tmp_path: Path, settings: str, backend: str
    ) -> None:
        (tmp_path / "matplotlibrc").write_bytes(settings.encode("latin-1"))
        code = "from pathlib import Path; from gradrace.plots import loss, style; "
        code += "from pyarrow.parquet import ParquetFile; "
        code += f"table = ParquetFile({str(saved / 'history.parquet')!r}).read(); "
        code += "style.save(loss.figure([table]), Path('loss.png'))"
        done = shell(f'exec {PYTHON} -P -c "{code}"', tmp_path, {"MPLBACKEND": backend})
        assert (done.returncode, done.stderr) == (0, "")
        assert (tmp_path / "loss.png").read_bytes() == (saved / "loss.png").read_bytes()

    def test_what_is_no_backend_ends_in_a_line(self, tmp_path: Path) -> None:
        done = shell(
            f"exec {PYTHON} -m gradrace train --epochs 5", tmp_path, {"MPLBACKEND": "nonsense"}
        )
        (line,) = done.stderr.strip().splitlines()
        assert done.returncode == 2
        assert "matplotlib cannot be imported: Key backend: 'nonsense'" in line


SCRIPT = str(Path(sys.executable).with_name("gradrace"))
POISON = (
    "scipy",
    "pandas",
    "numba",
    "numpy",
    "matplotlib",
    "pyarrow",
    "psutil",
    "pytest",
    "argparse",
    "rich",
    "ctypes",
    "random",
    "conftest",
    "sitecustomize",
)


@pytest.fixture
def poisoned(tmp_path: Path, table: str) -> Path:
    """A project whose own files are called as libraries."""
    (tmp_path / "mine").mkdir()
    for name in POISON:
        (tmp_path / f"{name}.py").write_text("raise SystemExit(7)\n")
    (tmp_path / "neighbor.py").write_text((FOREIGN / "good.py").read_text())
    for name in ("mine/fast", "single"):
        (tmp_path / f"{name}.py").write_text("from neighbor import prepare, train\n")
    (tmp_path / "model.json").write_text(MODEL)
    assert (tmp_path / table).exists()
    return tmp_path


@pytest.mark.parametrize(
    "words",
    [
        "check --epochs 5 --backends numba single.py",
        "train --epochs 5 --backend mine.fast",
        "predict model.json houses.csv",
    ],
)
def test_the_current_folder_shadows_nothing(words: str, poisoned: Path) -> None:
    done = subprocess.run(
        [SCRIPT, *words.split()], cwd=poisoned, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_nor_does_it_in_a_session(poisoned: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(poisoned)
    plan = Plan(tuple(Contender("20x1@50", name) for name in ("numba", "mine.fast")), "0")
    session = time_plan(plan, threads=1, cache=poisoned / "cache", timeout=600)
    assert (session.failure, len(session.results.benchmarks)) == ("", 2)


@pytest.mark.slow
@pytest.mark.parametrize("words", [["train", "--epochs", "50"], ["backends"]])
def test_a_reader_that_has_enough_costs_nothing(tmp_path: Path, words: list[str]) -> None:
    """The status is that of a closed pipe; what was found is saved."""
    with subprocess.Popen(
        [sys.executable, "-m", "gradrace", *words],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        assert process.stderr.read() == ""
    assert process.returncode == 141
    assert (tmp_path / "results/train/model.json").exists() == (words[0] == "train")
