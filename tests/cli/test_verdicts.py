"""`gradrace check`: output, exit status, files."""

import json
from pathlib import Path

from gradrace import backends
from tests.cli.conftest import WRONG, one_line
from tests.conftest import FOREIGN, Command


def test_the_built_in_backends_agree(gradrace: Command, tmp_path: Path) -> None:
    done = gradrace("check", "--json", "verdicts.json")
    assert (done.returncode, done.stderr) == (0, "")
    assert one_line(done.stdout).startswith(
        f"All {len(backends.names())} backends agree with the exact trajectory on this data "
        "and on 463 small problems"
    )
    found = json.loads((tmp_path / "verdicts.json").read_text("utf-8"))
    assert (found["data"], found["n"], found["d"]) == ("reference line", 100, 1)
    assert (found["lr"], found["epochs"]) == (0.005, 10_000)
    assert found["yardstick"] == "exact sums, 50-digit iterates"
    verdicts = {verdict["backend"]: verdict for verdict in found["verdicts"]}
    assert list(verdicts) == list(backends.names())
    for verdict in verdicts.values():
        assert verdict["agrees"] is True
        assert verdict["w"]["multiple"] < 0.1
    assert verdicts["numba"]["bitwise"] is True


def test_a_table(gradrace: Command, table: str) -> None:
    words = ["--data", table, "--target", "age", "--features", "price,size"]
    done = gradrace("check", *words, "--backends", "numpy", "gram")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "houses.csv: n = 5, d = 2, α = " in done.stdout


def test_divergence_agrees_and_is_shown(gradrace: Command) -> None:
    done = gradrace("check", "--lr", "0.1", "--epochs", "500", "--backends", "python", "gram")
    assert done.returncode == 0
    rows = [line.split() for line in done.stdout.splitlines()]
    assert [row[-2:] for row in rows].count(["186", "374"]) == 2


def test_one_that_hangs_has_a_limit(gradrace: Command, tmp_path: Path) -> None:
    (tmp_path / "hanging.py").write_text(
        "import time\nprepare = train = lambda *_, **__: time.sleep(600)\n"
    )
    done = gradrace("check", "--epochs", "5", "--timeout", "1", "--backends", "hanging.py")
    assert done.returncode == 1
    assert "no result after 1 s" in one_line(done.stdout)


def test_a_wrong_one_and_a_right_one_of_a_package(gradrace: Command, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "fast.py").write_text((FOREIGN / "good.py").read_text())
    done = gradrace("check", "--epochs", "5", "--backends", WRONG, "mine.fast")
    assert (done.returncode, done.stderr) == (1, "")
    said = one_line(done.stdout)
    assert said.startswith("1 of 2 backends agrees with the exact trajectory on this data and on ")
    assert f"{WRONG}: loss at epoch 0: got 405.9" in said
    rows = [line.split()[:2] for line in done.stdout.splitlines() if "% @" in line or "NO" in line]
    assert rows == [["wrong.py", "NO"], ["mine.fast", "yes"]]
