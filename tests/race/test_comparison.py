"""Two runs side by side: changes are reported, and nothing else is."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from gradrace.backends.interface import InputValueError
from gradrace.bench.race.comparison import compare, drift_warning
from gradrace.bench.report import comparison
from tests.runs import write_run

OLD = {
    "100x1": {"python": 4e-5, "numpy": 8e-6, "numba": 1e-7},
    "1000x1": {"python": 4e-4, "numpy": 1e-5, "numba": 1e-6},
}


def changed(**times: float) -> dict[str, dict[str, float]]:
    return {**OLD, "100x1": {**OLD["100x1"], **times}}


@pytest.fixture
def pair(tmp_path: Path) -> Callable[..., tuple[Path, Path]]:
    """Write an old and a new run and return their paths."""

    def write(new: dict[str, dict[str, float]], **options: Any) -> tuple[Path, Path]:
        write_run(tmp_path / "old.json", OLD, sessions=5, seed=1)
        write_run(tmp_path / "new.json", new, **{"sessions": 5, "seed": 2, **options})
        return tmp_path / "old.json", tmp_path / "new.json"

    return write


Pair = Callable[..., tuple[Path, Path]]


def test_nothing_changed(pair: Pair) -> None:
    found = compare(*pair(OLD))
    assert {change.verdict for change in found.changes} == {"no difference shown"}
    assert (found.differences, found.comparable, found.regressions(0.0)) == ([], True, [])
    assert drift_warning(found) == ""


def test_what_became_faster_and_slower(pair: Pair) -> None:
    found = compare(*pair(changed(numpy=4e-6, numba=1.3e-7)))
    verdicts = {(c.case, c.backend): c.verdict for c in found.changes}
    assert verdicts.pop(("100x1", "numpy")) == "faster"
    assert verdicts.pop(("100x1", "numba")) == "slower"
    assert set(verdicts.values()) == {"no difference shown"}
    slower = next(c for c in found.changes if c.verdict == "slower")
    assert slower.speed_up.value == pytest.approx(1 / 1.3, rel=0.02)
    assert [c.backend for c in found.regressions(0.2)] == ["numba"]
    assert found.regressions(0.4) == []
    assert "numba" not in {c.backend for c in found.unseen(0.2) if c.case == "100x1"}


def test_what_cannot_be_ruled_out_is_told(pair: Pair) -> None:
    assert compare(*pair(OLD)).unseen(0.3) == []
    assert len(compare(*pair(OLD, spread=0.4)).unseen(0.1)) > 3
    assert len(compare(*pair(OLD, sessions=1)).unseen(0.1)) == 6


def test_what_is_gone_is_told(pair: Pair) -> None:
    assert compare(*pair({"100x1": OLD["100x1"]})).gone == [
        "python on 1000x1",
        "numpy on 1000x1",
        "numba on 1000x1",
    ]


def test_less_than_five_percent_is_not_shown(pair: Pair) -> None:
    found = compare(*pair(changed(numba=1.03e-7), spread=0.001))
    assert {change.verdict for change in found.changes} == {"no difference shown"}


def test_the_machine_may_have_changed(pair: Pair) -> None:
    slower = {case: {b: 1.2 * t for b, t in times.items()} for case, times in OLD.items()}
    assert "20 % or more slower" in drift_warning(compare(*pair(slower)))


def test_other_threads_make_times_incomparable(pair: Pair) -> None:
    found = compare(*pair(OLD, threads=2))
    assert not found.comparable
    assert "threads: 1 → 2" in found.differences


@pytest.mark.parametrize(
    ("change", "words", "comparable"),
    [
        (lambda c: c["machine_info"].update(node="elsewhere"), "host: ", True),
        (lambda c: c["machine_info"]["cpu"].update(brand_raw="x"), "processor: ", False),
        (lambda c: c["machine_info"]["caches"].update(L3=1), "caches: ", False),
        (lambda c: c["machine_info"]["cores"].update(usable=[0] * 9), "usable cores: ", False),
        (
            lambda c: [s["libraries"].update(numpy="3.0") for s in c["gradrace"]["sessions"]],
            "numpy: 2.0 → 3.0",
            True,
        ),
        (lambda c: c["gradrace"].update(interrupted=True), "new.json: partial, 5 of 5", True),
        (
            lambda c: c["gradrace"]["settings"]["cases"][0].update(epochs=77),
            "different epochs or learning rates: 100x1",
            True,
        ),
        (lambda c: c["benchmarks"].pop(2), "only in the old run: numba on 100x1", True),
    ],
)
def test_what_else_differs_is_said(
    pair: Pair, change: Callable[[Any], object], words: str, comparable: bool
) -> None:
    old, new = pair(OLD)
    content = json.loads(new.read_text("utf-8"))
    change(content)
    new.write_text(json.dumps(content), "utf-8")
    found = compare(old, new)
    assert [difference for difference in found.differences if words in difference]
    assert found.comparable == comparable


def test_nothing_in_common(pair: Pair) -> None:
    with pytest.raises(InputValueError, match="have no backend and size in common"):
        compare(*pair({"20x2": {"python": 1.0}}))


def test_markdown(pair: Pair) -> None:
    lines = comparison.comparison_markdown(compare(*pair(changed(numba=2e-7))))
    assert len(lines) == 2 + 6
    assert {line.count("|") for line in lines} == {8}
    assert lines[1] == "| --- | --- | --- | --- | --- | --- | --- |"
    assert "| slower |" in next(line for line in lines if "100 × 1 | numba" in line)


def test_a_set_up_is_not_compared_over_other_epochs(tmp_path: Path) -> None:
    """Its share of the time per epoch depends on the epochs of a call."""
    times = {"numpy": 8e-6, "gram": 1e-8}
    for name, epochs in (("old", 500), ("new", 5_000)):
        write_run(tmp_path / f"{name}.json", {f"100x1@{epochs}": times}, once=["gram"])
    found = compare(tmp_path / "old.json", tmp_path / "new.json")
    assert [change.backend for change in found.changes] == ["numpy"]
    assert "not compared, because the set-up counts: gram" in found.differences
