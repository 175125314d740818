"""Right on a line, wrong for d > 1: the last weight is never learned."""

import good
import numpy as np

prepare = good.prepare


def train(data, **job):
    X, y = data
    if X.shape[1] > 1:
        X = np.column_stack([X[:, :-1], np.zeros(len(y))])
    return good.train((X, y), **job)
