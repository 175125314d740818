"""What a session does, and in what order."""

from collections import Counter
from itertools import groupby
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from gradrace.bench.race.plan import Contender, Plan, interleaved

contenders = st.lists(
    st.builds(
        Contender,
        case=st.sampled_from(["10x1", "20x2", "30x3"]),
        backend=st.sampled_from(["python", "numpy", "numba"]),
        duplicate=st.booleans(),
        repetitions=st.integers(1, 12),
    ),
    unique_by=lambda one: (one.case, one.backend, one.duplicate),
)


@given(contenders, st.text())
def test_every_contender_gets_its_repetitions(field: list[Contender], seed: str) -> None:
    blocks = list(interleaved(field, seed))
    assert Counter(block.contender for block in blocks) == {one: one.repetitions for one in field}
    assert len({(block.contender, block.repetition) for block in blocks}) == len(blocks)


@given(contenders, st.text())
def test_repetitions_follow_each_other_and_cases_stay_together(
    field: list[Contender], seed: str
) -> None:
    blocks = list(interleaved(field, seed))
    assert [b.repetition for b in blocks] == sorted(b.repetition for b in blocks)
    runs = [key for key, _ in groupby((b.repetition, b.contender.case) for b in blocks)]
    assert len(runs) == len(set(runs))


@given(contenders, st.text())
def test_slow_contenders_never_separate_a_pair(field: list[Contender], seed: str) -> None:
    for _, group in groupby(interleaved(field, seed), lambda b: (b.repetition, b.contender.case)):
        repetitions = [block.contender.repetitions for block in group]
        assert repetitions in (sorted(repetitions), sorted(repetitions, reverse=True))


def test_the_order_comes_from_the_seed() -> None:
    field = [Contender("10x1", backend) for backend in ("python", "numpy", "numba")]
    orders = [[b.contender.backend for b in interleaved(field, seed)] for seed in ("1", "1", "2")]
    assert orders[0] == orders[1] != orders[2]
    assert (
        len({tuple(orders[0][i : i + 3]) for i in range(0, 30, 3)}) > 2
    )  # a different one each time


@given(st.integers(1, 60), st.integers(1, 60))
def test_contenders_of_few_repetitions_meet_in_all_of_them(few: int, more: int) -> None:
    few, more = sorted((few, more))
    field = [Contender("10x1", "a", repetitions=few), Contender("10x1", "b", repetitions=more)]
    field.append(Contender("10x1", "c", repetitions=60))
    a, b = (
        {block.repetition for block in interleaved(field, "0") if block.contender.backend == name}
        for name in "ab"
    )
    assert len(a) == few
    assert a <= b


def test_few_repetitions_are_spread_over_the_session() -> None:
    field = [Contender("10x1", "numpy", repetitions=16), Contender("10x1", "python", repetitions=4)]
    seldom = [b.repetition for b in interleaved(field, "0") if b.contender.backend == "python"]
    assert seldom == [0, 4, 8, 12]


def test_a_plan_survives_its_file(tmp_path: Path) -> None:
    plan = Plan(
        (Contender("10x1@5", "numpy", True, 3, 7, 2), Contender("9x2@7", "mine.py")),
        "s",
        0.1,
        5.0,
        "/tmp",
    )
    plan.write(tmp_path / "plan.json")
    assert Plan.read(tmp_path / "plan.json") == plan


def test_a_contender_may_make_fewer_epochs_than_its_case() -> None:
    assert Contender("10x1@500", "python").job.epochs == 500
    assert Contender("10x1@500", "python", epochs=20).job.epochs == 20
