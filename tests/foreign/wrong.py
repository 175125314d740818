"""A backend that looks correct but is not: the loss is divided by n − 1."""

import good

prepare = good.prepare


def train(data, **job):
    epoch, w, b, loss = good.train(data, **job)
    n = len(data[1])
    return epoch, w, b, [value * n / (n - 1) for value in loss]
