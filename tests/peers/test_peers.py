"""The peers follow the exact trajectory, like any backend; scikit-learn reaches the same loss."""

import math
import re
import shutil
import sys
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import numpy as np
import pytest

from gradrace import backends
from gradrace.backends.interface import Backend, InputError, InputValueError, Trajectory
from gradrace.bench import peers
from gradrace.bench.data.samples import REFERENCE_LR, Dataset, synthetic
from gradrace.bench.learning.least_squares import least_squares
from gradrace.bench.machine.facts import THREADS
from gradrace.bench.peers import PEERS
from gradrace.bench.proof.agreement import check_backends, judge
from gradrace.bench.proof.oracle import exact_trajectory
from gradrace.bench.proof.problems import Problem
from gradrace.bench.studies import same_loss
from gradrace.bench.studies.same_loss import Row, race_to_loss
from tests.backends.test_registry import imported_after

needs_sklearn = pytest.mark.skipif(not find_spec("sklearn"), reason=same_loss.NO_SKLEARN)


@pytest.fixture(params=PEERS)
def name(request: pytest.FixtureRequest) -> str:
    """Every peer that can run here; the others are optional."""
    peer: str = request.param
    if reason := peers.missing(peer):
        pytest.skip(reason)
    return peer


@pytest.fixture
def peer(name: str) -> Backend:
    return backends.load(peers.path(name))


def assert_agrees(
    peer: Backend,
    data: Dataset,
    *,
    lr: float,
    epochs: int,
    every: int = 1,
    w0: list[float] | None = None,
    b0: float = 0.0,
) -> None:
    path = peer.train(peer.prepare(data.X, data.y), lr=lr, epochs=epochs, w0=w0, b0=b0, every=every)
    exact = exact_trajectory(data.X, data.y, lr=lr, epochs=epochs, w0=w0, b0=b0)
    numpy = backends.load("numpy")
    model = numpy.train(
        numpy.prepare(data.X, data.y), lr=lr, epochs=epochs, w0=w0, b0=b0, every=every
    )
    for field, values, right in zip(Trajectory._fields, path, model, strict=True):
        assert isinstance(values, np.ndarray), field
        assert (values.shape, values.dtype) == (right.shape, right.dtype), field
    np.testing.assert_array_equal(path.epoch, model.epoch)
    verdict = judge("", path, exact)
    assert verdict.agrees, verdict.reason


def test_reference_line(peer: Backend, line: Dataset) -> None:
    assert_agrees(peer, line, lr=REFERENCE_LR, epochs=2000)


@pytest.mark.parametrize("d", [1, 3, 10, 20])
@pytest.mark.parametrize("n", [1, 101, 4097])
def test_synthetic(peer: Backend, n: int, d: int) -> None:
    assert_agrees(peer, synthetic(n, d), lr=0.01, epochs=30)


@pytest.mark.parametrize("d", [1, 3])
def test_given_start(peer: Backend, d: int) -> None:
    w0 = [0.5, -3.0, 1e3][:d]
    assert_agrees(peer, synthetic(101, d), lr=0.1, epochs=40, w0=w0, b0=-7.0)


@pytest.mark.parametrize(
    ("epochs", "every"),
    [(0, 1), (0, 5), (1, 1), (20, 3), (21, 3), (20, 100), (4095, 64), (4096, 64), (9000, 5000)],
)
def test_thinned(peer: Backend, line: Dataset, epochs: int, every: int) -> None:
    assert_agrees(peer, line, lr=REFERENCE_LR, epochs=epochs, every=every)


def test_train_again(peer: Backend, line: Dataset) -> None:
    data, w0 = peer.prepare(line.X, line.y), np.array([1.0])
    first = peer.train(data, lr=REFERENCE_LR, epochs=50, w0=w0)
    kept = [values.copy() for values in first]
    second = peer.train(data, lr=REFERENCE_LR, epochs=50, w0=w0)
    for values, again, copy in zip(first, second, kept, strict=True):
        np.testing.assert_array_equal(values, again)
        np.testing.assert_array_equal(values, copy)
    assert w0 == [1.0]


@pytest.mark.parametrize("name", sorted(PEERS.keys() - {"c"}), indirect=True)
def test_diverging(peer: Backend, line: Dataset) -> None:
    assert_agrees(peer, line, lr=0.1, epochs=500)  # -ffast-math guarantees nothing for `c`


@pytest.mark.parametrize("name", ["jax"], indirect=True)
def test_jax_compiles_once(peer: Any, line: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    traced = Mock(wraps=peer.lax.fori_loop)
    monkeypatch.setattr(peer.lax, "fori_loop", traced)
    data = peer.prepare(line.X, line.y)
    for epochs in (0, 1, 50, 5000):
        peer.train(data, lr=1 / (1000 + epochs), epochs=epochs, w0=[1], b0=epochs, every=3)
    assert traced.call_count == 1


def test_bad_input(peer: Backend, line: Dataset) -> None:
    with pytest.raises(InputError, match="lr: must be greater than 0"):
        peer.train(peer.prepare(line.X, line.y), lr=0.0, epochs=1)
    with pytest.raises(InputError, match="X: must be finite"):
        peer.prepare(line.X * np.inf, line.y)


def test_in_a_process_of_its_own(name: str, line: Dataset) -> None:
    exact = exact_trajectory(line.X, line.y, lr=REFERENCE_LR, epochs=50)
    (checked,) = check_backends(
        [peers.path(name)], Problem("", line.X, line.y, REFERENCE_LR, 50), exact=exact
    )
    assert checked.verdict.agrees, checked.verdict.reason


@pytest.mark.parametrize("name", PEERS)
def test_only_the_interface_is_imported(name: str) -> None:
    source = Path(peers.path(name)).read_text("utf-8")
    ours = re.findall(r"^\s*(?:from|import) ((?:gradrace|tests)\b\S*)", source, re.M)
    assert ours == ["gradrace.backends.interface"]


def test_subnormal_numbers_survive(line: Dataset) -> None:
    if reason := peers.missing("c"):
        pytest.skip(reason)
    c = backends.load(peers.path("c"))
    c.train(c.prepare(line.X, line.y), lr=REFERENCE_LR, epochs=1)
    least = np.array([np.finfo(np.float64).smallest_subnormal])
    assert (least * 3)[0] > 0  # crtfastmath.o would flush it to zero


def no_spec(name: str) -> None:
    """Find no module, whatever its `name`."""


def no_program(name: str) -> None:
    """Find no program, whatever its `name`."""


def test_all_available(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(peers, "find_spec", lambda _: "found")
    monkeypatch.setattr(shutil, "which", lambda _: "/usr/bin/found")
    files, reasons = peers.available()
    assert [Path(file).stem for file in files] == [
        "textbook_numpy",
        "c_loop",
        "jax_scan",
        "torch_loop",
        "dask_epochs",
    ]
    assert all(Path(file).is_absolute() and Path(file).is_file() for file in files)
    assert reasons == []


def test_only_ours_available(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(peers, "find_spec", lambda name: name if name == "numpy" else None)
    monkeypatch.setattr(shutil, "which", no_program)
    assert peers.available() == (
        [peers.path("textbook")],
        [
            "c: needs a C compiler: none of cc, gcc, clang found",
            "jax: is missing: pip install 'gradrace[jax]'",
            "torch: is missing: pip install 'gradrace[torch]'",
            "dask-epochs: is missing: pip install 'gradrace[dask]'",
        ],
    )


@pytest.mark.slow
def test_one_that_is_broken_is_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    broken = tmp_path / "jax_scan.py"
    broken.write_text("import a_library_that_was_built_for_another_machine\n")
    here = peers.path
    monkeypatch.setattr(peers, "path", lambda name: str(broken) if name == "jax" else here(name))
    monkeypatch.setattr(peers, "missing", lambda name: "" if name in ("textbook", "jax") else name)
    files, reasons = peers.raceable()
    assert files == [here("textbook")]
    assert reasons[:3] == ["c", "torch", "dask-epochs"]
    assert reasons[3].startswith("jax_scan: cannot be imported: ModuleNotFoundError: No module")


def test_any_compiler_will_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: name if name == "clang" else None)
    assert not peers.missing("c")


def test_availability_imports_no_package() -> None:
    code = "from gradrace.bench import peers; peers.available()"
    assert not imported_after(code) & {"jax", "torch", "sklearn", "numpy", "ctypes"}


def test_without_a_compiler(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", no_program)
    with pytest.raises(InputValueError, match="ImportError: needs a C compiler: none of cc") as e:
        backends.load(peers.path("c"))
    assert str(e.value).endswith(peers.missing("c").removeprefix("c: "))


def test_compiler_that_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda _: sys.executable)  # which has no option -march
    with pytest.raises(InputValueError, match=r"ImportError: .* failed: "):
        backends.load(peers.path("c"))


@pytest.fixture
def ours_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """Behave as without scikit-learn."""
    monkeypatch.setattr(same_loss, "find_spec", no_spec)


@pytest.mark.usefixtures("ours_only")
def test_same_loss_of_our_backends(line: Dataset) -> None:
    target = 1.001 * least_squares(line).loss
    exact = exact_trajectory(line.X, line.y, lr=REFERENCE_LR, epochs=2000)
    rows = race_to_loss(line.X, line.y, lr=REFERENCE_LR, backends=["numpy", "numba"], repeats=2)
    assert [row.name for row in rows] == ["numpy", "numba"]
    for row in rows:
        assert row.passes == np.argmax(exact.loss.near <= target)
        assert row.reached
        assert row.loss == pytest.approx(exact.loss.near[row.passes], rel=1e-12)
        assert 0 < row.best <= row.seconds


@pytest.mark.usefixtures("ours_only")
@pytest.mark.parametrize("lr", [1e-9, 0.1])
def test_same_loss_out_of_reach(line: Dataset, lr: float) -> None:
    (row,) = race_to_loss(line.X, line.y, lr=lr, backends=["numba"], repeats=1)
    assert (row.passes, row.reached) == (None, False)
    assert all(map(math.isnan, (row.seconds, row.best, row.loss)))


@pytest.mark.usefixtures("ours_only")
def test_same_loss_is_verified(line: Dataset, tmp_path: Path) -> None:
    lazy = tmp_path / "lazy.py"
    lazy.write_text(
        "import numpy as np\n"
        "from gradrace.backends.interface import Trajectory\n"
        "def prepare(X, y): return X, y\n"
        "def train(data, **job):\n"
        "    return Trajectory(np.arange(2), np.zeros((2, 1)), np.zeros(2), np.zeros(2))\n"
    )
    lazy_row, row = race_to_loss(
        line.X, line.y, lr=REFERENCE_LR, backends=[str(lazy), "numba"], repeats=1
    )
    assert (lazy_row.name, lazy_row.reached) == ("lazy", False)
    assert lazy_row.loss == pytest.approx(np.mean(line.y**2))
    assert math.isnan(lazy_row.seconds)
    assert row.reached


@needs_sklearn
@pytest.mark.parametrize("excess", [1e-2, 1e-3])
def test_same_loss_of_scikit_learn(excess: float) -> None:
    data = synthetic(501, 3)
    target = (1 + excess) * least_squares(data).loss
    rows = race_to_loss(data.X, data.y, lr=0.1, backends=["numba"], excess=excess, repeats=2)
    assert [row.name for row in rows] == ["numba", "LinearRegression", "SGDRegressor"]
    assert all(row.reached and row.loss <= target and row.seconds > 0 for row in rows)
    _, direct, sgd = rows
    assert direct.passes is None
    assert direct.loss == pytest.approx(least_squares(data).loss, rel=1e-9)
    assert sgd.passes is not None
    for fewer in range(1, sgd.passes if sgd.passes < 100 else 1):
        w, b = same_loss._fit_sgd(data.X, data.y, fewer)
        assert np.mean((data.X @ w + b - data.y) ** 2) > target


@needs_sklearn
def test_sgd_that_diverges() -> None:
    data = synthetic(51, 2)
    *_, sgd = race_to_loss(1e5 * data.X, data.y, lr=1e-12, backends=[], repeats=1)
    assert (sgd.name, sgd.passes, sgd.reached) == ("SGDRegressor", None, False)
    assert math.isnan(sgd.seconds)


@pytest.mark.parametrize("wrong", [{"excess": 0.0}, {"excess": math.nan}, {"repeats": 0}])
def test_same_loss_of_nothing(line: Dataset, wrong: dict[str, float]) -> None:
    race: Callable[..., list[Row]] = race_to_loss
    with pytest.raises(InputValueError, match=f"{next(iter(wrong))}.*: must be"):
        race(line.X, line.y, lr=REFERENCE_LR, backends=["numba"], **wrong)


@pytest.mark.usefixtures("ours_only")
def test_same_loss_prints(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for variable in THREADS:
        monkeypatch.setenv(variable, "1")  # and as it was afterwards
    rows = [
        Row("numba", 2e-3, 1e-3, 0.5, 1653, reached=True),
        Row("SGDRegressor", math.nan, math.nan, 0.75, None, reached=False),
    ]
    monkeypatch.setattr(same_loss, "race_to_loss", lambda *_, **__: rows)
    same_loss.main()
    out, err = capsys.readouterr()
    assert err == "scikit-learn: is missing: pip install 'gradrace[scikit-learn]'\n"
    assert out.count("to a loss of at most 1.001 times the least") == 2
    assert re.search(r"numba +2.00 ms +1.00 ms +1,653 +0.500000", out)
    assert re.search(r"SGDRegressor +not reached +– +– +0.750000", out)
