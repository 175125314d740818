"""Ways to be fast without doing the work, and functions that look like cheats but are not.

Every function is a `train` that is correct at first. It counts its calls with `calls`.
"""

import threading
import time
from itertools import count

import good
import numpy as np

WARM = 6  # calls
prepare = good.prepare
calls = {}
kept = {}


def _call(of):
    return next(calls.setdefault(of, count(1)))


def _arrays(result):
    epoch, w, b, loss = result
    return np.array(epoch), np.array(w), np.array(b), np.array(loss)


# --- not right ----------------------------------------------------------------------------------


def first_result_again(data, **job):
    if "first" not in kept:
        kept["first"] = _arrays(good.train(data, **job))
    return kept["first"]


def result_by_job(data, *, lr, epochs, **start):
    if epochs not in kept:
        kept[epochs] = _arrays(good.train(data, lr=lr, epochs=epochs, **start))
    return kept[epochs]


def result_by_identity(data, **job):
    if id(data) not in kept:
        kept[id(data)] = _arrays(good.train(data, **job))
    return kept[id(data)]


def result_by_rounded_rate(data, *, lr, epochs, **start):
    key = round(lr, 9), epochs
    if key not in kept:
        kept[key] = _arrays(good.train(data, lr=lr, epochs=epochs, **start))
    return kept[key]


def every_other_call(data, **job):
    if _call("every other") % 2 or "last" not in kept:
        kept["last"] = _arrays(good.train(data, **job))
    return kept["last"]


def fills_its_arrays_later(data, **job):
    epochs = job["epochs"]
    if _call("later") < WARM:
        return good.train(data, **job)
    result = (
        np.arange(epochs + 1), np.zeros((epochs + 1, data[0].shape[1])),
        np.zeros(epochs + 1), np.zeros(epochs + 1),
    )  # fmt: skip

    def fill():
        time.sleep(0.2)
        for target, values in zip(result, _arrays(good.train(data, **job)), strict=True):
            target[:] = values

    threading.Thread(target=fill, daemon=True).start()
    return result


def float32_once_warm(data, **job):
    X, y = data
    if _call("float32") >= WARM:
        X, y = X.astype(np.float32).astype(float), y.astype(np.float32).astype(float)
    return good.train((X, y), **job)


def fewer_samples_once_warm(data, **job):
    X, y = data
    if _call("fewer") >= WARM:
        X, y = X[:-1], y[:-1]
    return good.train((X, y), **job)


def stops_when_close(data, **job):
    epoch, w, b, loss = _arrays(good.train(data, **job))
    last = len(loss) - 3
    w[last:], b[last:], loss[last:] = w[last], b[last], loss[last]
    return epoch, w, b, loss


def every_other_epoch(data, **job):
    epoch, w, b, loss = _arrays(good.train(data, **job))
    odd = slice(1, -1, 2)
    for path in (w, b, loss):
        path[odd] = (path[:-2:2] + path[2::2])[: len(path[odd])] / 2
    return epoch, w, b, loss


def forgets_the_start(data, **job):
    return good.train(data, **{**job, "b0": 0.0})


def forgets_the_last_bits_of_the_rate(data, **job):
    return good.train(data, **{**job, "lr": float(np.float32(job["lr"]))})


def a_generator(data, **job):
    epoch, w, b, loss = good.train(data, **job)
    return epoch, (row for row in w), b, loss


# --- right --------------------------------------------------------------------------------------


class _Lazy:
    def __init__(self, compute):
        self.compute = compute

    def __array__(self, dtype=None, copy=None):
        return np.array(self.compute(), dtype)


def computes_when_asked(data, **job):
    later = {}

    def path():
        if not later:
            later["path"] = _arrays(good.train(data, **job))
        return later["path"]

    return tuple(_Lazy(lambda i=i: path()[i]) for i in range(4))


def caches_what_never_comes_again(data, *, lr, epochs, b0=0.0, **start):
    key = lr, epochs, b0
    if key not in kept:
        kept[key] = good.train(data, lr=lr, epochs=epochs, b0=b0, **start)
    return kept[key]


def keeps_float32_where_nothing_is_lost(data, **job):
    X, y = data
    small = X.astype(np.float32)
    if (small == X).all():
        X = small.astype(float)
    return good.train((X, y), **job)
