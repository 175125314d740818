"""The peers follow the exact trajectory, like any backend, and say what they need to run."""

import re
import shutil
import sys
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import numpy as np
import pytest

from gradrace import backends
from gradrace.backends.interface import Backend, InputError, InputValueError, recorded_epochs
from gradrace.bench import peers
from gradrace.bench.data.samples import REFERENCE_LR, Dataset, synthetic
from gradrace.bench.peers import PEERS
from gradrace.bench.proof import exercise
from gradrace.bench.proof.agreement import fault_on
from gradrace.bench.proof.isolation import outcome_here
from gradrace.bench.proof.problems import Problem
from tests.backends.test_registry import imported_after


def loaded(name: str) -> Any:
    """A peer; the test is skipped where it cannot run."""
    if reason := peers.missing(name):
        pytest.skip(reason)
    return backends.load(peers.path(name))


@pytest.fixture(params=PEERS)
def peer(request: pytest.FixtureRequest) -> Backend:
    found: Backend = loaded(request.param)
    return found


def fault(peer: Backend, *problems: Problem) -> str:
    outcome = outcome_here(peer, problems)
    return fault_on(problems, outcome) or outcome.failure


@pytest.fixture
def _no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exercise, "_SETTLING", 0.0)
    monkeypatch.setattr(exercise, "_busy_cores", lambda: 0.0)


@pytest.mark.usefixtures("_no_waiting")
def test_they_agree(peer: Backend, line: Dataset) -> None:
    """From any start, at sizes around blocks; 4,096 epochs and more are several programs of JAX."""
    sizes = [synthetic(n, d) for n in (1, 101, 4_097) for d in (1, 3, 20)]
    start: dict[str, Any] = {"w0": np.array([0.5, -3.0, 1e3]), "b0": -7.0, "every": 3}
    given = synthetic(101, 3)
    thinned = [(0, 5), (1, 1), (21, 3), (20, 100), (4_096, 64), (9_000, 5_000)]
    assert not fault(
        peer,
        *(Problem(f"{data.name}", data.X, data.y, 0.01, 30) for data in sizes),
        Problem("given", given.X, given.y, 0.1, 40, **start),
        *(
            Problem(f"{epochs}, {every}", line.X, line.y, REFERENCE_LR, epochs, every=every)
            for epochs, every in thinned
        ),
    )


@pytest.mark.usefixtures("_no_waiting")
@pytest.mark.parametrize("name", sorted(PEERS.keys() - {"c"}))
def test_a_run_that_diverges(name: str, line: Dataset) -> None:
    """-ffast-math guarantees nothing for `c`."""
    assert not fault(loaded(name), Problem("", line.X, line.y, 0.1, 500))


def test_a_trajectory_is_float64_and_stays(peer: Backend, line: Dataset) -> None:
    data, w0 = peer.prepare(line.X, line.y), np.array([1.0])
    first = peer.train(data, lr=REFERENCE_LR, epochs=50, w0=w0, every=7)
    kept = [values.copy() for values in first]
    second = peer.train(data, lr=REFERENCE_LR, epochs=50, w0=w0, every=7)
    for values, again, copy in zip(first, second, kept, strict=True):
        np.testing.assert_array_equal(values, again, strict=True)
        np.testing.assert_array_equal(values, copy)
    np.testing.assert_array_equal(first.epoch, recorded_epochs(50, 7), strict=True)
    assert {values.dtype for values in first[1:]} == {np.dtype("f8")}
    assert w0 == [1.0]


def test_jax_compiles_once(line: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    jax = loaded("jax")
    traced = Mock(wraps=jax.lax.fori_loop)
    monkeypatch.setattr(jax.lax, "fori_loop", traced)
    data = jax.prepare(line.X, line.y)
    for epochs in (0, 1, 50, 5000):
        jax.train(data, lr=1 / (1000 + epochs), epochs=epochs, w0=[1], b0=epochs, every=3)
    assert traced.call_count == 1


def test_bad_input(peer: Backend, line: Dataset) -> None:
    with pytest.raises(InputError, match="lr: must be greater than 0"):
        peer.train(peer.prepare(line.X, line.y), lr=0.0, epochs=1)
    with pytest.raises(InputError, match="X: must be finite"):
        peer.prepare(line.X * np.inf, line.y)


@pytest.mark.parametrize("name", PEERS)
def test_only_the_interface_is_imported(name: str) -> None:
    source = Path(peers.path(name)).read_text("utf-8")
    ours = re.findall(r"^\s*(?:from|import) ((?:gradrace|tests)\b\S*)", source, re.M)
    assert ours == ["gradrace.backends.interface"]


def test_subnormal_numbers_survive(line: Dataset) -> None:
    c = loaded("c")
    c.train(c.prepare(line.X, line.y), lr=REFERENCE_LR, epochs=1)
    least = np.array([np.finfo(np.float64).smallest_subnormal])
    assert (least * 3)[0] > 0  # crtfastmath.o would flush it to zero


def test_all_available(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(peers, "find_spec", lambda _: "found")
    monkeypatch.setattr(shutil, "which", lambda _: "/usr/bin/found")
    files, reasons = peers.available()
    assert [Path(file).stem for file in files] == [peer.module for peer in PEERS.values()]
    assert all(Path(file).is_absolute() and Path(file).is_file() for file in files)
    assert reasons == []


def test_only_ours_available(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(peers, "find_spec", lambda name: name if name == "numpy" else None)
    monkeypatch.setattr(shutil, "which", lambda _: None)
    assert peers.available() == (
        [peers.path("textbook")],
        [
            "c: needs a C compiler: none of cc, gcc, clang found",
            "jax: is missing: pip install 'gradrace[jax]'",
            "torch: is missing: pip install 'gradrace[torch]'",
            "dask-epochs: is missing: pip install 'gradrace[dask]'",
        ],
    )
    with pytest.raises(InputValueError, match="ImportError: needs a C compiler: none of cc, gcc,"):
        backends.load(peers.path("c"))


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


def test_a_compiler_that_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda _: sys.executable)  # which has no option -march
    with pytest.raises(InputValueError, match=r"ImportError: .* failed: "):
        backends.load(peers.path("c"))


def test_availability_imports_no_package() -> None:
    code = "from gradrace.bench import peers; peers.available()"
    assert not imported_after(code) & {"jax", "torch", "sklearn", "numpy", "ctypes"}
