"""How many epochs a call runs within a budget, and its time before the first epoch."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from gradrace.backends.interface import Floats, Samples
from gradrace.bench.machine.usage import Memory
from gradrace.bench.proof.returns import BackendError
from gradrace.bench.race import contestant
from gradrace.bench.race.cases import Case
from gradrace.bench.race.contestant import Contestant
from gradrace.bench.race.one_size import samples_of
from gradrace.bench.race.plan import Contender

BUDGET = 0.02


class Timed(Contestant):
    """A backend whose calls take exactly setup + (epochs + 1)·per_epoch seconds."""

    def __init__(self, setup: float, per_epoch: float, epochs: int) -> None:
        self.job = Case(100, 1, 0.1, epochs)
        self._memory = Memory()
        self.true_setup, self.per_epoch = setup, per_epoch
        self.made: list[int] = []

    def _call(self, epochs: int) -> float:
        self.made.append(epochs)
        wobble = self.true_setup * (0.01 if len(self.made) % 2 else -0.01)
        return self.true_setup + wobble + (epochs + 1) * self.per_epoch

    def chosen(self) -> int:
        return self._affordable(self._call(1), BUDGET)


@pytest.mark.parametrize(("per_epoch", "epochs"), [(1e-3, 19), (1e-4, 199), (1e-9, 1000), (0.5, 1)])
def test_a_call_fills_the_budget(per_epoch: float, epochs: int) -> None:
    racer = Timed(0.0, per_epoch, 1000)
    assert racer.chosen() == pytest.approx(epochs, abs=1)
    assert racer.setup == pytest.approx(0.0, abs=1e-12)


def test_no_call_is_much_longer_than_needed() -> None:
    racer = Timed(0.0, 0.5, 1000)
    racer.chosen()
    assert racer.made == [1, 2, 2]  # the second one, again since it might have compiled


def test_compiling_for_every_number_of_epochs_is_not_slowness() -> None:
    class Compiling(Timed):
        """Its first call with each number of epochs takes a second longer."""

        def _call(self, epochs: int) -> float:
            new = epochs not in self.made
            return super()._call(epochs) + float(new)

    racer = Compiling(0.0, 1e-4, 1000)
    racer._call(1)
    assert racer.chosen() == pytest.approx(199, abs=2)


def test_where_only_setting_up_takes_time_all_epochs_are_made() -> None:
    racer = Timed(0.1, 1e-7, 1000)
    assert racer.chosen() == 1000
    assert racer.setup == pytest.approx(0.1, rel=0.02)


@pytest.mark.parametrize("epochs", [19, 1000])
def test_epochs_that_the_setting_up_hides_are_resolved_by_longer_calls(epochs: int) -> None:
    """Calls vary by 1 %, a thousand times the time of all epochs of the case."""
    racer = Timed(0.25, 4e-6, epochs)
    assert racer.chosen() == epochs
    assert racer.setup == pytest.approx(0.25, rel=0.02)
    assert racer.memory is not None


def test_epochs_that_cannot_be_resolved_leave_all_to_the_setting_up() -> None:
    racer = Timed(0.25, 0.0, 19)
    assert racer.chosen() == 19
    assert racer.setup == pytest.approx(0.25, rel=0.02)
    assert max(racer.made) < 10**7


def test_a_call_that_sets_up_and_then_works_has_both_told_apart() -> None:
    racer = Timed(0.004, 1e-4, 1000)
    assert racer.chosen() == pytest.approx(159, abs=2)
    assert racer.setup == pytest.approx(0.004, rel=0.05)


def test_a_single_epoch_is_a_single_epoch() -> None:
    racer = Timed(0.0, 1e-3, 1)
    assert (racer.chosen(), racer.setup) == (1, 0.0)  # one call cannot distinguish the two


class OnAFakeClock:
    """A backend that takes 1 µs per sample and pass, and at first compiles for 3 s."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now, self.samples = 0.0, [0]
        module = SimpleNamespace(prepare=lambda X, y: (X, y), train=self.train)
        monkeypatch.setattr(contestant, "default_timer", lambda: self.now)
        monkeypatch.setattr("gradrace.backends.load", lambda _: module)

    def train(self, data: Samples, *, epochs: int, **_: Any) -> tuple[Floats, ...]:
        n = len(data[1])
        self.now += 3.0 * (self.samples == [0]) + 1e-6 * n * (epochs + 1)
        self.samples.append(n)
        return (np.zeros(1),) * 4

    def tried(self, longest: float, precision: str = "") -> Contestant:
        racer = Contestant.__new__(Contestant)
        racer._contender = Contender("1000000x1@10", "fake", precision=precision)
        racer.job = Case(1_000_000, 1, 0.1, 10)
        samples = samples_of(racer.job.n, 1)
        racer._make_ready("fake", samples, budget=0.02, longest=longest)
        return racer


def test_what_would_take_too_long_is_left_out_untried(monkeypatch: pytest.MonkeyPatch) -> None:
    fake = OnAFakeClock(monkeypatch)
    racer = fake.tried(longest=0.9)
    assert racer.too_slow == "too slow: a call of one epoch would take about 2 s"
    assert max(fake.samples) < 100_000


def test_compiling_is_measured_where_few_samples_foretell_the_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    racer = OnAFakeClock(monkeypatch).tried(longest=3.0)
    assert racer.too_slow == ""
    assert racer.compile == pytest.approx(3.0)
    assert racer.first == pytest.approx(5.0)


def test_the_precision_is_the_one_that_was_checked(monkeypatch: pytest.MonkeyPatch) -> None:
    fake = OnAFakeClock(monkeypatch)
    assert fake.tried(longest=3.0, precision="float64").too_slow == ""
    with pytest.raises(BackendError, match="it declares float64, but float32 when it was checked"):
        fake.tried(longest=3.0, precision="float32")
