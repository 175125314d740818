"""Everything a foreign backend can do instead of returning a trajectory, by name of a variable."""

import os
import signal
import sys
import threading
import time

import good
import numpy as np

HOW = os.environ["GRADRACE_TEST_HOW"]


def _work():
    while True:
        sum(range(1000))


def prepare(X, y):
    if HOW == "raises in prepare":
        raise KeyError("no such column")
    return X


def train(X, *, lr, epochs, w0=None, b0=0.0, every=1):
    rows, d = epochs + 1, X.shape[1]
    if HOW == "raises":
        raise ZeroDivisionError("on purpose,\nover two lines")
    if HOW == "exits":
        sys.exit(0)
    if HOW == "ends its process":
        os._exit(3)
    if HOW == "kills its process":
        os.kill(os.getpid(), signal.SIGKILL)
    if HOW == "leaves a thread":
        threading.Thread(target=time.sleep, args=(600,)).start()
        return good.train((X, np.zeros(len(X))), lr=lr, epochs=epochs, w0=w0, b0=b0, every=every)
    if HOW == "leaves a thread that works":
        threading.Thread(target=_work, daemon=True).start()
        return good.train((X, X[:, 0] * 0), lr=lr, epochs=epochs, w0=w0, b0=b0, every=every)
    if HOW == "hangs":
        time.sleep(600)
    assert HOW == "returns three"
    return np.arange(rows), np.zeros((rows, d)), np.zeros(rows)


if HOW == "raises the second time":
    prepare, calls = good.prepare, []

    def train(data, **job):
        calls.append(job)
        if len(calls) > 1:
            raise RuntimeError("not again")
        return good.train(data, **job)


if HOW == "raises the tenth time":
    prepare, calls = good.prepare, []

    def train(data, **job):
        calls.append(job)
        if len(calls) == 10:
            raise RuntimeError("not again")
        return good.train(data, **job)


if HOW == "changes its input":
    train = good.train

    def prepare(X, y):
        data = X.copy(), y.copy()
        y -= y.mean()
        return data
