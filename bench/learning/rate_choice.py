"""Which learning rate to take: what `--lr auto` takes and `gradrace rates` recommends."""

import math
from typing import Literal

import numpy as np

from backends.interface import InputValueError
from bench.learning.convergence import excess
from bench.learning.curvature import Hessian
from bench.learning.landscape import Landscape

Rate = float | Literal["auto"]

AS_GOOD = 1.25  # × the least excess: losses that close are told apart by what they cost
LAST_DIGITS = 2.0**-104  # ε², of the first loss: less changes no digit of w or b


def best_rate(known: Landscape, epochs: int) -> float:
    """Return the rate, to 3 digits, that is best for this many epochs from zero.

    Of all stable rates it considers those after which the predicted loss exceeds the least one by
    no more than 1.25 times what the best of them leaves, or by no more than rounding. Among these
    it takes the one that is the first to come within 1 % of the least loss. Ties, as where none
    does so in these epochs, go to the least loss in the end, then to the least ρ, then to
    the larger rate.

    Close to 2/λmax the last steps are short, but the steepest direction swings for long. So the
    first criterion keeps away from the limit in a short run, and the second in a long one.

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
    """Return stable rates of 3 digits from half the limit on; below it, all directions are slower.

    They lie closer together near the limit.
    """
    if not math.isfinite(H.largest):
        return []
    shares = np.append(np.linspace(0.5, 0.98, 200), 1 - np.geomspace(0.02, 1e-4, 100))
    rates = {_rounded_down(lr, 3) for lr in (*(H.limit * shares).tolist(), H.fastest)}
    return sorted(lr for lr in rates if 0 < lr < H.limit)


def _rounded_down(value: float, digits: int) -> float:
    mantissa, exponent = f"{value:.14e}".split("e")  # 0.49999999999999994 counts as 0.5
    shift = 10 ** (digits - 1)
    return float(f"{math.floor(float(mantissa) * shift + 1e-9) / shift}e{exponent}")
