"""What a person passes and gradrace cannot use: one line that says what would be right."""

from pathlib import Path

import pytest

from tests.cli.conftest import MODEL, TABLE
from tests.conftest import Command

UNUSABLE: dict[str, tuple[list[str], str]] = {
    "missing file": (["train", "no.csv"], "no.csv: no such file"),
    "unknown column": (["train", "houses.csv", "--target", "rent"], "houses.csv: has no column"),
    "unknown feature": (["train", "houses.csv", "--features", "x"], "houses.csv: has no column"),
    "text": (["train", "text.csv"], "text.csv: column 'y', row 2: 'low' is not a number"),
    "decimal": (
        ["train", "houses.csv", "--decimal", "x"],
        "--decimal: must be . or a comma, got 'x'",
    ),
    "decimal, no file": (
        ["train", "--decimal", ","],
        "--decimal: needs a FILE",
    ),
    "missing value": (["train", "gap.csv"], "gap.csv: column 'y', row 1: a value is missing"),
    "no rows": (["train", "none.csv"], "none.csv: needs at least two rows, has 0"),
    "one row": (["train", "one.csv"], "one.csv: needs at least two rows, has 1"),
    "huge values": (["train", "huge.csv"], "huge.csv: no rate is stable"),
    "no table": (["train", "--target", "y"], "--target, --features and --exclude need a"),
    "rate": (["train", "--lr", "-1"], "lr: must be greater than 0, got -1.0"),
    "rate as text": (["train", "--lr", "abc"], "--lr: needs a number or auto, got 'abc'"),
    "rates": (["rates", "--lr", "0.1", "-2"], "lr: must be greater than 0, got -2.0"),
    "rates, text": (["rates", "--lr", "fast"], "--lr: needs a number or auto, got 'fast'"),
    "rates, too large": (["rates", "huge.csv"], "huge.csv: no rate is stable"),
    "rates, no table": (["rates", "--features", "x"], "--target, --features and --exclude need a"),
    "tol": (["train", "--tol", "2"], "tol: must be at least 0 and less than 1, got 2.0"),
    "target too large": (["train", "far.csv", "--standardize"], "far.csv: 'y' is so large that"),
    "no model": (["predict", "no.json", "houses.csv"], "no.json: no such file or folder"),
    "foreign model": (["predict", "text.csv", "houses.csv"], "text.csv: is not a model"),
    "no table to predict": (["predict", "model.json", "no.csv"], "no.csv: no such file"),
    "missing column": (["predict", "model.json", "text.csv"], "text.csv: has no column 'size'"),
    "predictions": (
        ["predict", "model.json", "houses.csv", "--out", "x.xls"],
        "x.xls: must end in",
    ),
    "predictions, folder": (
        ["predict", "model.json", "houses.csv", "--out", "/proc/no/x.csv"],
        "/proc/no: cannot write here",
    ),
    "rate nan": (["check", "--lr", "nan"], "lr: must be finite, got nan"),
    "epochs": (["train", "--epochs", "-1"], "epochs: must be at least 0, got -1"),
    "too many epochs": (["check", "--epochs", "100000000000000"], "out of memory: "),
    "backend": (["train", "--backend", "jax"], "backend jax: is not python, numpy,"),
    "backend file": (["check", "--backend", "no.py"], "backend no.py: no such file"),
    "run, sizes": (
        ["run", "--sizes", "1.5"],
        "--sizes: needs a whole number of at least 1, got '1.5'",
    ),
    "run, features": (
        ["run", "--features", "x"],
        "--features: needs a whole number of at least 1, got 'x'",
    ),
    "run, epochs": (
        ["run", "--epochs", "0"],
        "--epochs: needs a whole number of at least 1, got '0'",
    ),
    "run, sessions": (["run", "--sessions", "0"], "sessions: must be from 1 to 10,000, got 0"),
    "run, baseline": (
        ["run", "--baseline", "jax"],
        "baseline jax: is not in the race; the backends are python",
    ),
    "run, case": (
        ["run", "--case", "9x"],
        "case: needs SAMPLESxFEATURES, like 100x1 or 1e5x8@2000",
    ),
    "run, no epochs": (["run", "--case", "9x1@0"], "epochs: must be from 1 to "),
    "run, empty revision": (
        ["run", "--against", ""],
        "--against: needs a revision of git, such as",
    ),
    "run, case and sizes": (["run", "--case", "9x1", "--sizes", "9"], "--case: cannot be combined"),
    "run, no revision": (
        ["run", "--against", "no/such", "--backends", "numba"],
        "backend numba@no/such: no/such is not a revision of ",
    ),
    "run, limit alone": (["run", "--fail-above", "2%"], "--fail-above: needs an earlier version"),
    "run, limit": (["run", "--against", "x", "--fail-above", "2x"], "--fail-above: needs a share"),
    "advise, nothing": (
        ["advise", "--n", "9", "--d", "1", "--epochs", "9"],
        "results: holds no result of a race on this machine; --measure races your job",
    ),
    "advise, both": (
        ["advise", "x.json", "--n", "9", "--d", "1", "--epochs", "9", "--measure"],
        "--measure: takes no FILE",
    ),
    "run, twice": (["run", "--quick", "--full"], "--quick and --full: choose one"),
    "run, memory": (["run", "--sizes", "1e9", "--features", "1e4"], "these sizes need about "),
    "resume, nothing": (["run", "--resume", "no.json"], "no.json: No such file or directory"),
    "resume, sizes": (
        ["run", "--resume", "model.json", "--sizes", "9"],
        "--resume: takes all settings from the file; give no others",
    ),
    "resume, foreign": (["run", "--resume", "model.json"], "model.json: is not a result file of "),
    "resume, table": (["run", "--resume", "one.csv"], "one.csv: is not JSON, or cut off"),
    "compare, nothing": (["compare", "no.json", "x.json"], "no.json: No such file or directory"),
    "compare, format": (
        ["compare", "model.json", "model.json", "--format", "x"],
        "--format: must be text or md, got 'x'",
    ),
    "compare, limit": (
        ["compare", "model.json", "model.json", "--fail-above", "x"],
        "--fail-above: needs a share like 10% or 0.1, got 'x'",
    ),
    "compare, share": (
        ["compare", "model.json", "model.json", "--fail-above", "10"],
        "--fail-above: needs a share like 10% or 0.1, got '10'",
    ),
    "show, nothing": (["show", "no.json"], "no.json: No such file or directory"),
    "show, foreign": (["show", "model.json"], "model.json: is not a result file of "),
    "show, format": (
        ["show", "model.json", "--format", "x"],
        "--format: must be text, md, csv or junit, got 'x'",
    ),
    "plot, foreign": (
        ["plot", "model.json", "--out", "new"],
        "model.json: is not a result file of ",
    ),
    "advise, foreign": (
        ["advise", "one.csv", "--n", "9", "--d", "1", "--epochs", "9"],
        "one.csv: is not JSON, or cut off",
    ),
    "backend, run": (["run", "--backend", "no.py"], "backend no.py: no such file"),
    "no folder": (
        ["train", "--out", "houses.csv"],
        "houses.csv: cannot write here: it is a file, not a folder",
    ),
    "below a file": (["run", "--out", "one.csv/x"], "one.csv/x: cannot write here: Not a dir"),
    "no folder to write": (["train", "--out", "/proc/no"], "/proc/no: cannot write here: "),
    "no JSON folder": (["check", "--json", "/proc/no/x"], "/proc/no: cannot write here: "),
    "rate, new JSON": (["check", "--json", "new/v.json", "--lr", "nan"], "lr: must be finite, got"),
    "JSON is a device": (["check", "--json", "/dev/null"], "/dev/null: cannot write here: is not"),
    "an endless file": (["train", "/dev/zero"], "/dev/zero: is neither text nor a known kind of"),
    "wide": (["train", "wide.csv"], "wide.csv: has 2,001 features; the limit is 2,000; "),
    "JSON is a folder": (["check", "--epochs", "1", "--json", "."], ".: cannot write here: is a f"),
}


@pytest.mark.parametrize("name", UNUSABLE)
def test_what_cannot_be_used_is_one_line_and_status_2(
    gradrace: Command, tmp_path: Path, name: str
) -> None:
    (tmp_path / "houses.csv").write_text(TABLE)
    (tmp_path / "text.csv").write_text("x,y\n1,2\n3,low\n")
    (tmp_path / "gap.csv").write_text("x,y\n1,\n3,4\n")
    (tmp_path / "none.csv").write_text("x,y\n")
    (tmp_path / "one.csv").write_text("x,y\n1,2\n")
    (tmp_path / "huge.csv").write_text("x,y\n1e200,2\n-1e200,3\n")
    (tmp_path / "far.csv").write_text("x,y\n1,1e200\n2,3e200\n3,7e200\n")
    (tmp_path / "wide.csv").write_text("\n".join([",".join(["1.5"] * 2_002)] * 3))
    (tmp_path / "model.json").write_text(MODEL)
    before = everything(tmp_path)
    words, message = UNUSABLE[name]
    done = gradrace(*words)
    assert done.returncode == 2, done.stdout + done.stderr
    assert done.stderr.startswith(f"gradrace: {message}")
    assert done.stderr.count("\n") == 1
    assert done.stdout == ""
    assert everything(tmp_path) == before


@pytest.mark.parametrize(
    "words", [["bogus"], ["train", "--epochs", "abc"], ["check", "--timeout", "0"]]
)
def test_misspelled_arguments_are_status_2(gradrace: Command, words: list[str]) -> None:
    done = gradrace(*words)
    assert done.returncode == 2
    assert "Error: " in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("command", "status"), [("check --epochs 5", 1), ("rates --epochs 5", 1), ("run", 2)]
)
@pytest.mark.parametrize("statement", ["raise SystemExit(0)", "1 / 0"])
def test_a_package_that_cannot_be_imported_is_judged(
    gradrace: Command, tmp_path: Path, command: str, status: int, statement: str
) -> None:
    (tmp_path / "evil").mkdir()
    (tmp_path / "evil" / "__init__.py").write_text(statement)
    (tmp_path / "evil" / "mod.py").touch()
    done = gradrace(*command.split(), "--backend", "evil.mod")
    assert done.returncode == status, done.stdout + done.stderr
    assert "evil.mod" in done.stdout + done.stderr
    assert "cannot be imported: " in done.stdout + done.stderr
    assert "Traceback" not in done.stderr


def everything(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*")}
