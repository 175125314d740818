"""Everything a foreign backend can do instead of returning a trajectory, by name of a variable."""

import os
import signal
import sys
import threading
import time

import good
import numpy as np

HOW = os.environ["GRADRACE_TEST_HOW"]


if HOW.startswith("declares"):

    def longest_chain(n, d):
        return "few" if HOW == "declares a chain in words" else 0


def _work():
    while True:
        sum(range(1000))


def prepare(X, y):
    if HOW == "raises in prepare":
        raise KeyError("no such column")
    return X


def train(X, *, lr, epochs, w0=None, b0=0.0, every=1):
    rows, d = epochs + 1, X.shape[1]
    epoch, w, b, loss = np.arange(rows), np.zeros((rows, d)), np.zeros(rows), np.zeros(rows)
    if HOW == "raises":
        raise ZeroDivisionError("on purpose,\nover two lines")
    if HOW == "exits":
        sys.exit(0)
    if HOW == "ends its process":
        os._exit(3)
    if HOW == "kills its process":
        os.kill(os.getpid(), signal.SIGKILL)
    if HOW == "sends itself a real-time signal":
        os.kill(os.getpid(), 40)
    if HOW == "raises unprintable text":
        raise ValueError("\udcff")
    if HOW.startswith("declares"):
        return good.train((X, X[:, 0] * 0), lr=lr, epochs=epochs, w0=w0, b0=b0, every=every)
    if HOW == "leaves a thread":
        threading.Thread(target=time.sleep, args=(600,)).start()
        return good.train((X, np.zeros(len(X))), lr=lr, epochs=epochs, w0=w0, b0=b0, every=every)
    if HOW == "leaves a thread that works":
        threading.Thread(target=_work, daemon=True).start()
        return good.train((X, X[:, 0] * 0), lr=lr, epochs=epochs, w0=w0, b0=b0, every=every)
    if HOW == "hangs":
        time.sleep(600)
    if HOW == "hangs and ignores signals":
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        while True:
            pass
    if HOW == "starts a child that hangs":
        os.system(f"echo $$ > {os.environ.get('GRADRACE_TEST_PID', os.devnull)}; exec sleep 600")
    if HOW == "recurses":
        return train(X, lr=lr, epochs=epochs)
    return {
        "returns nothing": None,
        "returns a number": 3.0,
        "returns three": (epoch, w, b),
        "returns text": (epoch, w, b, ["low"] * rows),
        "returns objects": (epoch, w, b, [None] * rows),
        "returns integers": (epoch, w, b, [0] * rows),
        "returns float32": (epoch, w.astype(np.float32), b, loss),
        "returns one row less": (epoch[1:], w[1:], b[1:], loss[1:]),
        "returns one row more": tuple(np.append(a, a[-1:], 0) for a in (epoch, w, b, loss)),
        "returns flat weights": (epoch, w[:, 0], b, loss),
        "returns ragged weights": (epoch, [[0.0]] * (rows - 1) + [[0.0, 1.0]], b, loss),
        "returns other epochs": (epoch + 1, w, b, loss),
        "returns text for epochs": (["0"] * rows, w, b, loss),
    }[HOW]


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


if HOW == "takes no start":
    prepare = good.prepare

    def train(data, *, lr, epochs):
        return good.train(data, lr=lr, epochs=epochs)


if HOW == "ignores the start":
    prepare = good.prepare

    def train(data, *, lr, epochs, w0=None, b0=0.0, every=1):
        return good.train(data, lr=lr, epochs=epochs, every=every)


if HOW == "ignores every":
    prepare = good.prepare

    def train(data, *, lr, epochs, w0=None, b0=0.0, every=1):
        return good.train(data, lr=lr, epochs=epochs, w0=w0, b0=b0)


if HOW == "changes its input":
    train = good.train

    def prepare(X, y):
        data = X.copy(), y.copy()
        y -= y.mean()
        return data


if HOW == "ends while it is imported":
    print("a last word")
    sys.stdout.flush()
    os._exit(1)


if HOW == "has a wrong piece":
    prepare, train = good.prepare, good.train

    def predict(X, w, b):
        return X @ w - b


if HOW == "has a piece that raises":
    prepare, train = good.prepare, good.train

    def gradients(X, y, w, b):
        raise NotImplementedError("later")
