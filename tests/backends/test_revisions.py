"""A backend as it was: its files come from git, and from nowhere else."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from gradrace import backends
from gradrace.backends.interface import InputValueError, Trajectory
from gradrace.backends.support import finding, revisions
from gradrace.bench.proof.isolation import run_isolated
from gradrace.bench.proof.problems import Problem
from gradrace.bench.race.settings import with_earlier
from tests.conftest import FOREIGN, ROOT, copy_package


def git(folder: Path, *words: str) -> str:
    who = ["-c", "user.name=a", "-c", "user.email=a@b", "-c", "init.defaultBranch=main"]
    command = ["git", "-C", str(folder), *who, *words]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def commit(folder: Path) -> None:
    git(folder, "add", ".")
    git(folder, "commit", "-q", "-m", "a commit")


BACKEND = """
import numpy as np
import helper
ANSWER = helper.ANSWER
def prepare(X, y): return X, y
def train(data, **job):
    import helper
    from package.inner import INNER
    return helper.ANSWER, INNER
"""


OLD_IMPORT = "import backends.interface; Trajectory = backends.interface.Trajectory"


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository with a backend, what it imports, and two versions: v1, and the work tree."""
    folder = tmp_path / "repo"
    (folder / "package").mkdir(parents=True)
    (folder / "mine.py").write_text(BACKEND)
    for version in ("old", "new"):
        (folder / "helper.py").write_text(f"ANSWER = {version!r}\n")
        (folder / "package" / "__init__.py").write_text("from . import inner\n")
        (folder / "package" / "inner.py").write_text(f"INNER = 'inner {version}'\n")
        if version == "old":
            git(folder, "init", "-q")
            commit(folder)
            git(folder, "tag", "v1")
    monkeypatch.chdir(folder)
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setattr(revisions, "_INHERITED", {})
    monkeypatch.setattr(revisions, "_FOUND", {})
    for name in ("helper", "package", "package.inner"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    return folder


@pytest.mark.parametrize(
    ("spec", "parts"),
    [
        ("numba", ("numba", "")),
        ("numba@main", ("numba", "main")),
        ("gram@HEAD~20", ("gram", "HEAD~20")),
        ("mine.py@v1.2", ("mine.py", "v1.2")),
        ("mine.py@origin/main", ("mine.py", "origin/main")),
        ("mine.py@{yesterday}", ("mine.py", "@{yesterday}")),
        ("numba@main@{1}", ("numba", "main@{1}")),
        ("me@work/mine.py", ("me@work/mine.py", "")),
        ("me@work/mine.py@v1", ("me@work/mine.py", "v1")),
        ("package.module@v1", ("package.module", "v1")),
        ("x@", ("x@", "")),
    ],
)
def test_a_name_and_a_revision(spec: str, parts: tuple[str, str]) -> None:
    assert revisions.split(spec) == parts


def test_a_file_whose_name_has_an_at_sign_is_that_file(repository: Path) -> None:
    (repository / "a.py@b.py").write_text("")
    assert revisions.split("a.py@b.py") == ("a.py@b.py", "")


@pytest.mark.usefixtures("repository")
def test_what_it_imports_is_as_old_as_itself() -> None:
    old, new = backends.load("mine.py@v1"), backends.load("mine.py")
    assert (vars(old)["ANSWER"], vars(new)["ANSWER"]) == ("old", "new")
    said: object = old.train(None, lr=1, epochs=1)  # imports when it is called
    assert said == ("old", "inner old")
    assert vars(old)["np"] is sys.modules["numpy"]


def test_the_work_tree_and_the_index_stay_as_they_are(repository: Path) -> None:
    git(repository, "add", "helper.py")
    (repository / "mine.py").write_text("broken")
    before = git(repository, "status", "--porcelain"), (repository / ".git/index").read_bytes()
    backends.load("mine.py@v1")
    assert (repository / ".git/index").read_bytes() == before[1]
    assert git(repository, "status", "--porcelain") == before[0]


def test_a_module_of_a_package(repository: Path) -> None:
    (repository / "package" / "back.py").write_text("from package.inner import INNER\n" + BACKEND)
    commit(repository)
    (repository / "package" / "inner.py").write_text("INNER = 'newest'\n")
    assert vars(backends.load("package.back@HEAD"))["INNER"] == "inner new"


@pytest.mark.parametrize(
    "statement",
    [
        *("from . import inner", "from .inner import INNER", "from package.inner import INNER"),
        *("import package.inner", "from package import inner", "import helper"),
    ],
)
def test_a_change_in_what_it_imports_is_a_change(repository: Path, statement: str) -> None:
    (repository / "package" / "back.py").write_text(statement)
    commit(repository)
    assert with_earlier(["package/back.py"], "HEAD") == []
    (repository / "package" / "inner.py").write_text("INNER = 'newest'\n")
    (repository / "helper.py").write_text("ANSWER = 'newest'\n")
    assert with_earlier(["package/back.py"], "HEAD") == ["package/back.py", "package/back.py@HEAD"]


def test_installed_packages_are_not_followed(
    repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A backend may be installed beside NumPy; its own package still counts."""
    (repository / "package" / "back.py").write_text("import helper, package.inner")
    file = repository / "package" / "back.py"
    assert repository / "helper.py" in finding.with_neighbors(file)
    monkeypatch.setattr(finding, "_INSTALLED", {repository.resolve()})
    names = {path.name for path in finding.with_neighbors(file)}
    assert names == {"back.py", "__init__.py", "inner.py"}


def test_dots_before_a_name_are_counted(repository: Path) -> None:
    sub = repository / "package" / "sub"
    sub.mkdir()
    (sub / "__init__.py").touch()
    (sub / "inner.py").touch()
    (sub / "back.py").write_text("from ..inner import INNER")
    assert finding.with_neighbors(sub / "back.py")[1:] == [repository / "package" / "inner.py"]


def test_a_relative_path_in_a_package_ends(
    repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(repository / "package")
    assert list(finding.roots(Path("inner.py"))) == [repository / "package", repository]


def test_a_file_in_a_package_gets_the_package_of_its_commit(repository: Path) -> None:
    text = "from package.inner import INNER\nimport near\nNEAR = near.NEAR\n" + BACKEND
    (repository / "package" / "back.py").write_text(text)
    (repository / "package" / "near.py").write_text("NEAR = 'near then'\n")
    commit(repository)
    (repository / "package" / "inner.py").write_text("INNER = 'newest'\n")
    (repository / "package" / "near.py").write_text("NEAR = 'near now'\n")
    old = vars(backends.load("package/back.py@HEAD"))
    assert (old["INNER"], old["NEAR"], old["ANSWER"]) == ("inner new", "near then", "new")


def test_a_deleted_file_is_found(repository: Path) -> None:
    (repository / "mine.py").unlink()
    assert vars(backends.load("mine.py@v1"))["ANSWER"] == "old"


def test_a_child_uses_the_commit_that_its_parent_found(repository: Path) -> None:
    """Even if the branch has moved in between."""
    (repository / "mine.py").write_text((FOREIGN / "good.py").read_text())
    commit(repository)
    first = backends.past("mine.py@main")
    (repository / "mine.py").write_text("raise SystemExit")
    commit(repository)
    problem = Problem("", np.array([[1.0], [2.0]]), np.array([1.0, 2.0]), lr=0.1, epochs=2)
    assert len(run_isolated("mine.py@main", [problem]).trajectories) == 1
    assert backends.past("mine.py@main") != first
    assert "GRADRACE_REVISIONS" not in os.environ  # what is started elsewhere looks for itself


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("mine.py@nope", r"backend mine\.py@nope: nope is not a revision of .*repo$"),
        ("other.py@v1", r"backend other\.py@v1: does not exist in commit [0-9a-f]{9}$"),
        ("/mine.py@v1", r"backend /mine\.py@v1: / is not in a git repository$"),
        ("no_such@v1", r"backend no_such@v1: no module no_such can be found$"),
        ("mine.py@--help", r"--help is not a revision of"),
    ],
)
@pytest.mark.usefixtures("repository")
def test_what_cannot_be_found(spec: str, message: str) -> None:
    with pytest.raises(InputValueError, match=message):
        backends.load(spec)


def test_a_shallow_clone_says_how_to_get_the_rest(repository: Path, tmp_path: Path) -> None:
    commit(repository)
    git(tmp_path, "clone", "-q", "--depth=1", f"file://{repository}", "shallow")
    with pytest.raises(InputValueError, match="shallow: git fetch --unshallow gets the rest"):
        backends.load(f"{tmp_path}/shallow/mine.py@HEAD~1")


@pytest.mark.parametrize("statement", ["from backends.interface import Trajectory", OLD_IMPORT])
def test_what_calls_the_package_backends_still_finds_it(
    repository: Path, monkeypatch: pytest.MonkeyPatch, statement: str
) -> None:
    """As it was called in earlier versions of gradrace."""
    monkeypatch.setattr(sys, "path", [p for p in sys.path if p != str(ROOT)])  # pytest's
    (repository / "mine.py").write_text(f"{statement}\n{BACKEND}")
    commit(repository)
    assert vars(backends.load("mine.py@HEAD"))["Trajectory"] is Trajectory


@pytest.mark.parametrize(
    ("package", "support"),
    [("gradrace.backends", "/support"), ("gradrace.backends", ""), ("backends", "")],
)
@pytest.mark.parametrize("spec", ["python", "backends/pure_python.py"])
def test_a_rung_takes_what_it_builds_on_from_its_commit(
    tmp_path: Path, package: str, support: str, spec: str
) -> None:
    """Also from commits in which all files lay in one folder, or the package was `backends`."""
    copy_package(tmp_path)
    copy = tmp_path / "backends"
    today = {file: file.read_text() for file in copy.rglob("*.py")}
    for file, text in today.items():
        then = text.replace("gradrace.backends.support", f"{package}{support.replace('/', '.')}")
        file.write_text(then.replace("gradrace.backends", package))
        if not support and file.parent != copy and file.stem != "__init__":
            file.rename(copy / file.name)
    git(tmp_path, "init", "-q")
    commit(tmp_path)
    for file, text in today.items():
        file.write_text(f"{text}\nMARK = 1\n" if file.name == "interface.py" else text)
    code = (
        "import sys; from gradrace import backends\n"
        f"old, new = (backends.load(s) for s in ('{spec}@HEAD', 'python'))\n"
        "a, b = (sys.modules[m.Trajectory.__module__] for m in (old, new))\n"
        "print(hasattr(a, 'MARK'), hasattr(b, 'MARK'), a.__file__ == b.__file__)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(tmp_path / ".src")},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.split() == ["False", "True", "False"]
