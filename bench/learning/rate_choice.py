"""Choose the learning rate that `--lr auto` uses and `gradrace rates` recommends."""

import math
from typing import Literal

import numpy as np

from gradrace.backends.interface import InputValueError
from gradrace.bench.learning.convergence import excess
from gradrace.bench.learning.curvature import Hessian
from gradrace.bench.learning.landscape import Landscape

Rate = float | Literal["auto"]

AS_GOOD = 1.25  # × the least excess: among rates this good, the number of epochs decides
LAST_DIGITS = 2.0**-104  # ε², of the first loss: a smaller excess changes no digit of w or b


def best_rate(known: Landscape, epochs: int) -> float:
    """Return the rate, to 4 digits, that is best for this many epochs from zero.

    The excess is how far the predicted loss is above the least one at the end. Of all stable rates,
    it considers those whose excess is at most 1.25 times the smallest one, or no more than rounding
    errors. Among these, it takes the one that is the first to come within 1 % of the least loss.
    Ties, as when none does so in these epochs, are decided by the smallest excess, then the
    smallest ρ, then the larger rate.

    Close to 2/λmax, descent makes the quickest progress along the flattest direction, but swings
    for a long time along the steepest one. The first criterion keeps the rate away from this limit
    in a short run, and the second in a long one.

    Raises:
        InputValueError: no rate is stable.

    """
    H, along = known.hessian, known.directions
    rates = candidates(H)
    if not rates:
        raise InputValueError(
            f"{known.data.name}: no rate is stable, the values are too large; "
            "--standardize scales them"
        )
    least = LAST_DIGITS * known.first_loss
    rounding = math.log(least) if least else -math.inf
    left = {lr: max(excess(along, lr)(epochs), rounding) for lr in rates}
    bound = min(left.values()) + math.log(AS_GOOD)

    def cost(lr: float) -> tuple[float, float, float, float]:
        needed = known.epochs_needed(lr)
        arrival = math.inf if needed is None or needed > epochs else needed
        return arrival, left[lr], H.contraction(lr), -lr

    return min((lr for lr in rates if left[lr] <= bound), key=cost)


def chosen_rate(lr: Rate, known: Landscape, epochs: int) -> float:
    """Return lr itself, or the best rate if it is "auto".

    Raises:
        InputValueError: no rate is stable.

    """
    return best_rate(known, epochs) if lr == "auto" else float(lr)


def candidates(H: Hessian) -> list[float]:
    """Return stable rates of 4 digits, at least half the limit; below, every direction is slower.

    They are closer together near the limit.
    """
    if not math.isfinite(H.largest):
        return []
    shares = np.append(np.linspace(0.5, 0.98, 200), 1 - np.geomspace(0.02, 1e-4, 100))
    rates = {_rounded_down(lr) for lr in (*(H.limit * shares).tolist(), H.fastest)}
    return sorted(lr for lr in rates if 0 < lr < H.limit)


def _rounded_down(value: float) -> float:
    """Return 4 digits of the value: with fewer, w and b lose digits if the best is near 2/λmax."""
    mantissa, exponent = f"{value:.14e}".split("e")  # 0.49999999999999994 counts as 0.5
    return float(f"{math.floor(float(mantissa) * 1000 + 1e-9) / 1000}e{exponent}")
