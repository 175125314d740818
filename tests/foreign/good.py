"""A correct backend with the two functions that suffice, importing nothing of gradrace."""

import numpy as np


def prepare(X, y):
    return np.asarray(X), np.asarray(y)


def train(data, *, lr, epochs, w0=None, b0=0.0, every=1):
    X, y = data
    n, d = X.shape
    w, b = np.zeros(d) if w0 is None else np.array(w0), b0
    rows = []
    with np.errstate(all="ignore"):
        for k in range(epochs + 1):
            r = X @ w + b - y
            if k % every == 0 or k == epochs:
                rows.append((k, w.tolist(), b, float(np.mean(r * r))))
            w, b = w - lr * 2 / n * (X.T @ r), b - lr * 2 / n * float(r.sum())
    return tuple(list(column) for column in zip(*rows, strict=True))
