"""One training loop with replaceable steps: correct in other orders of addition, or wrong.

`Loop` is correct. A subclass overrides one step, so its name says the whole difference.
"""

import math

import numpy as np

from gradrace.backends.interface import Floats, Trajectory


class Loop:
    """Gradient descent whose sums are added by `add`."""

    def add(self, terms: Floats) -> float:
        return float(np.sum(terms))

    def samples(self, X: Floats, y: Floats) -> tuple[Floats, Floats]:
        return X, y

    def rate(self, lr: float) -> float:
        return lr

    def residuals(self, X: Floats, y: Floats, w: Floats, b: float) -> Floats:
        return np.array([self.add(row * w) + b for row in X]) - y

    def gradients(self, X: Floats, r: Floats) -> tuple[Floats, float]:
        n = len(r)
        grad_w = np.array([2 / n * self.add(r * column) for column in X.T])
        return grad_w, 2 / n * self.add(r)

    def loss(self, r: Floats) -> float:
        return self.add(r * r) / len(r)

    def step(self, X: Floats, y: Floats, w: Floats, b: float, lr: float) -> tuple[Floats, float]:
        grad_w, grad_b = self.gradients(X, self.residuals(X, y, w, b))
        return w - lr * grad_w, b - lr * grad_b

    def train(
        self,
        X: Floats,
        y: Floats,
        lr: float,
        epochs: int,
        w0: Floats | None = None,
        b0: float = 0.0,
    ) -> Trajectory:
        X, y = self.samples(X, y)
        w, b = np.zeros(X.shape[1]) if w0 is None else w0, b0
        path_w, path_b, path_loss = [], [], []
        with np.errstate(all="ignore"):
            for _ in range(epochs + 1):
                path_w.append(w)
                path_b.append(b)
                path_loss.append(self.loss(self.residuals(X, y, w, b)))
                w, b = self.step(X, y, w, b, self.rate(lr))
        path = Trajectory(
            np.arange(epochs + 1), np.array(path_w), np.array(path_b), np.array(path_loss)
        )
        return self.report(path)

    def report(self, path: Trajectory) -> Trajectory:
        return path


# --- correct: other orders of addition ----------------------------------------------------------


class Forward(Loop):
    def add(self, terms: Floats) -> float:
        total = 0.0
        for term in terms.tolist():
            total += term
        return total


class Reversed(Forward):
    def add(self, terms: Floats) -> float:
        return super().add(terms[::-1])


class Pairwise(Loop):
    def add(self, terms: Floats) -> float:
        if len(terms) == 1:
            return float(terms[0])
        half = len(terms) // 2
        return self.add(terms[:half]) + self.add(terms[half:])


class Fsum(Loop):
    def add(self, terms: Floats) -> float:
        try:
            return math.fsum(terms.tolist())
        except (OverflowError, ValueError):  # what fsum says where addition gives inf or nan
            return float(np.sum(terms))


class Blocked(Loop):
    def add(self, terms: Floats) -> float:
        return float(sum(float(np.sum(terms[i : i + 8])) for i in range(0, len(terms), 8)))


class Sorted(Forward):
    def add(self, terms: Floats) -> float:
        return super().add(terms[np.argsort(-np.abs(terms), kind="stable")])


class FourLanes(Forward):
    """As SIMD adds: four partial sums, then their sum."""

    def add(self, terms: Floats) -> float:
        lanes = [Forward.add(self, terms[i::4]) for i in range(4)]
        return (lanes[0] + lanes[2]) + (lanes[1] + lanes[3])


class NormalEquations(Loop):
    """Xᵀr as (XᵀX)w + (Xᵀ1)b − Xᵀy, the sums over the data made once per epoch."""

    def step(self, X: Floats, y: Floats, w: Floats, b: float, lr: float) -> tuple[Floats, float]:
        A, theta = np.column_stack([X, np.ones(len(y))]), np.append(w, b)
        theta = theta - lr * (2 / len(y) * (A.T @ A @ theta - A.T @ y))
        return theta[:-1], float(theta[-1])


class Kahan(Loop):
    """Sums with compensated rounding errors; where they overflow, inf − inf makes them nan."""

    def add(self, terms: Floats) -> float:
        total, lost = 0.0, 0.0
        for term in terms.tolist():
            corrected = term - lost
            larger = total + corrected
            total, lost = larger, (larger - total) - corrected
        return total


class RunningMean(Loop):
    def add(self, terms: Floats) -> float:
        mean = 0.0
        for count, term in enumerate(terms.tolist(), 1):
            mean += (term - mean) / count
        return mean * len(terms)


class LongDouble(Loop):
    def add(self, terms: Floats) -> float:
        return float(np.sum(terms.astype(np.longdouble)))


class ScaledFirst(Loop):
    """The factor 2/n on every term instead of on the sum."""

    def gradients(self, X: Floats, r: Floats) -> tuple[Floats, float]:
        scaled = 2 * r / len(r)
        return np.array([self.add(scaled * column) for column in X.T]), self.add(scaled)


class RateFirst(Loop):
    """α(2/n) is one factor, multiplied with the residuals before they are summed."""

    def step(self, X: Floats, y: Floats, w: Floats, b: float, lr: float) -> tuple[Floats, float]:
        r = lr * (2 / len(y)) * self.residuals(X, y, w, b)
        return w - np.array([self.add(r * column) for column in X.T]), b - self.add(r)


class FactorLast(Loop):
    """2α/n as one factor on the sums."""

    def step(self, X: Floats, y: Floats, w: Floats, b: float, lr: float) -> tuple[Floats, float]:
        r, factor = self.residuals(X, y, w, b), lr * 2 / len(y)
        return w - factor * np.array([self.add(r * c) for c in X.T]), b - factor * self.add(r)


CORRECT = (
    Loop,
    Forward,
    Reversed,
    Pairwise,
    Fsum,
    Blocked,
    Sorted,
    FourLanes,
    NormalEquations,
    Kahan,
    RunningMean,
    LongDouble,
    ScaledFirst,
    RateFirst,
    FactorLast,
)


# --- wrong --------------------------------------------------------------------------------------


class GradientOffBy1e12(Loop):
    def gradients(self, X: Floats, r: Floats) -> tuple[Floats, float]:
        grad_w, grad_b = super().gradients(X, r)
        return grad_w * (1 + 1e-12), grad_b


class BiasGradientOffBy1e12(Loop):
    def gradients(self, X: Floats, r: Floats) -> tuple[Floats, float]:
        grad_w, grad_b = super().gradients(X, r)
        return grad_w, grad_b * (1 + 1e-12)


class Float32Sums(Loop):
    def add(self, terms: Floats) -> float:
        return float(np.sum(terms.astype(np.float32)))


class Float32Loss(Loop):
    def loss(self, r: Floats) -> float:
        return float(np.float32(super().loss(r)))


class Float32Samples(Loop):
    def samples(self, X: Floats, y: Floats) -> tuple[Floats, Floats]:
        return X.astype(np.float32).astype(np.float64), y


class Float32Rate(Loop):
    def rate(self, lr: float) -> float:
        return float(np.float32(lr))


class OneSampleDropped(Loop):
    def samples(self, X: Floats, y: Floats) -> tuple[Floats, Floats]:
        return X[:-1], y[:-1]


class SampleMissingInGradient(Loop):
    def gradients(self, X: Floats, r: Floats) -> tuple[Floats, float]:
        return super().gradients(X, np.append(r[:-1], 0.0))


class FactorTwoMissing(Loop):
    def rate(self, lr: float) -> float:
        return lr / 2


class FactorTwoMissingForBias(Loop):
    def gradients(self, X: Floats, r: Floats) -> tuple[Floats, float]:
        grad_w, grad_b = super().gradients(X, r)
        return grad_w, grad_b / 2


class WeightsUpdatedFirst(Loop):
    """w is updated before b's gradient is taken."""

    def step(self, X: Floats, y: Floats, w: Floats, b: float, lr: float) -> tuple[Floats, float]:
        w = w - lr * self.gradients(X, self.residuals(X, y, w, b))[0]
        return w, b - lr * self.gradients(X, self.residuals(X, y, w, b))[1]


class BiasNeverUpdated(Loop):
    def step(self, X: Floats, y: Floats, w: Floats, b: float, lr: float) -> tuple[Floats, float]:
        return super().step(X, y, w, b, lr)[0], b


class Ascent(Loop):
    def rate(self, lr: float) -> float:
        return -lr


class LossOverNMinusOne(Loop):
    def loss(self, r: Floats) -> float:
        return self.add(r * r) / (len(r) - 1)


class HalfLoss(Loop):
    def loss(self, r: Floats) -> float:
        return super().loss(r) / 2


class AbsoluteLoss(Loop):
    def loss(self, r: Floats) -> float:
        return self.add(np.abs(r)) / len(r)


class LossAfterUpdate(Loop):
    def report(self, path: Trajectory) -> Trajectory:
        return path._replace(loss=np.append(path.loss[1:], path.loss[-1]))


class OneEpochTooFew(Loop):
    """The first row twice, so that the number of rows is right."""

    def report(self, path: Trajectory) -> Trajectory:
        late = [np.concatenate([rows[:1], rows[:-1]]) for rows in path[1:]]
        return Trajectory(path.epoch, *late)


class LastUpdateMissing(Loop):
    def report(self, path: Trajectory) -> Trajectory:
        return Trajectory(path.epoch, *(np.append(rows[:-1], rows[-2:-1], 0) for rows in path[1:]))


class SmoothedLoss(Loop):
    """The right w and b; the loss is an average of its neighbors."""

    def report(self, path: Trajectory) -> Trajectory:
        smooth = np.convolve(path.loss, [0.25, 0.5, 0.25], mode="same")
        smooth[[0, -1]] = path.loss[[0, -1]]
        return path._replace(loss=smooth)


class LossOfOneEpochLost(Loop):
    def report(self, path: Trajectory) -> Trajectory:
        loss = path.loss.copy()
        loss[len(loss) // 2] = np.nan
        return path._replace(loss=loss)


class WeightDecay(Loop):
    def gradients(self, X: Floats, r: Floats) -> tuple[Floats, float]:
        grad_w, grad_b = super().gradients(X, r)
        return grad_w + 1e-10, grad_b


class CenteredSamples(Loop):
    def samples(self, X: Floats, y: Floats) -> tuple[Floats, Floats]:
        return X - X.mean(axis=0), y


class StopsEarly(Loop):
    """Stops moving once the loss changes by less than one part in a million."""

    def report(self, path: Trajectory) -> Trajectory:
        still = int(np.argmax(np.abs(np.diff(path.loss)) < 1e-6 * path.loss[:-1]))
        rows = np.minimum(path.epoch, still)
        return Trajectory(path.epoch, path.w[rows], path.b[rows], path.loss[rows])


WRONG = (
    GradientOffBy1e12,
    BiasGradientOffBy1e12,
    Float32Sums,
    Float32Loss,
    Float32Samples,
    Float32Rate,
    OneSampleDropped,
    SampleMissingInGradient,
    FactorTwoMissing,
    FactorTwoMissingForBias,
    WeightsUpdatedFirst,
    BiasNeverUpdated,
    Ascent,
    LossOverNMinusOne,
    HalfLoss,
    AbsoluteLoss,
    LossAfterUpdate,
    OneEpochTooFew,
    LastUpdateMissing,
    SmoothedLoss,
    LossOfOneEpochLost,
    WeightDecay,
    CenteredSamples,
    StopsEarly,
)


# --- wrong only where the run diverges ----------------------------------------------------------


class Clipped(Loop):
    """Nothing ever overflows."""

    def report(self, path: Trajectory) -> Trajectory:
        return Trajectory(path.epoch, *(np.nan_to_num(rows, nan=1e308) for rows in path[1:]))


class InfForNan(Loop):
    def report(self, path: Trajectory) -> Trajectory:
        return path._replace(loss=np.where(np.isnan(path.loss), 1.0, path.loss))


class NegativeInf(Loop):
    def report(self, path: Trajectory) -> Trajectory:
        return path._replace(loss=np.where(np.isinf(path.loss), -np.inf, path.loss))


class StopsAtOverflow(Loop):
    """Repeats the last state whose loss is finite."""

    def report(self, path: Trajectory) -> Trajectory:
        rows = np.minimum(path.epoch, int(np.isinf(path.loss).argmax()) - 1)
        return Trajectory(path.epoch, path.w[rows], path.b[rows], path.loss[rows])


class WeightsStayFinite(Loop):
    def report(self, path: Trajectory) -> Trajectory:
        return path._replace(w=np.nan_to_num(path.w, nan=0.0))


class OverflowsTooEarly(Loop):
    def report(self, path: Trajectory) -> Trajectory:
        return path._replace(loss=np.where(path.loss > 1e200, np.inf, path.loss))


WRONG_WHEN_DIVERGING = (
    Clipped,
    InfForNan,
    NegativeInf,
    StopsAtOverflow,
    WeightsStayFinite,
    OverflowsTooEarly,
)
