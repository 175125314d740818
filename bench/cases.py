"""The problems that are raced: the reference line and two larger synthetic ones."""

from dataclasses import dataclass

from bench.data import REFERENCE_EPOCHS, REFERENCE_LR, Dataset, reference_line, synthetic


@dataclass(frozen=True)
class Case:
    """One training job; epochs are few enough that plain Python takes about a second."""

    n: int
    d: int
    lr: float
    epochs: int

    @property
    def name(self) -> str:
        """The case as test parameter and in result files: 100x1."""
        return f"{self.n}x{self.d}"

    def samples(self) -> Dataset:
        """Return the reference line for 100 × 1, synthetic data otherwise."""
        if self == REFERENCE:
            return reference_line()
        return synthetic(self.n, self.d)


REFERENCE = Case(100, 1, REFERENCE_LR, REFERENCE_EPOCHS)
CASES = {
    case.name: case for case in (REFERENCE, Case(10_000, 10, 0.1, 50), Case(100_000, 10, 0.1, 8))
}
