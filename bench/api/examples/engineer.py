# %% [markdown]
# # Which backend should I use, and can I trust it?
#
# An engineer's way through gradrace. Each part that begins with `# %%` is a cell: VS Code and
# Jupyter (with jupytext) open this file as a notebook. `python engineer.py` runs it, prints what it
# finds, and saves the race with its pictures in results/engineer.
#
# Here is a backend of our own: a file with `prepare` and `train`.

# %%
import builtins
from pathlib import Path
from typing import Any

import gradrace

FOLDER = Path("results", "engineer")  # of what is saved


def show(result: Any, picture: str = "") -> None:
    """Show a result: in a notebook as it is; in a script as text, or as a picture in a file."""
    if hasattr(builtins, "display"):
        builtins.display(result)
    elif picture:
        FOLDER.mkdir(parents=True, exist_ok=True)
        result.savefig(FOLDER / picture)
        print(f"Saved {FOLDER / picture}.\n")
    else:
        print(result, end="\n\n")


FOLDER.mkdir(parents=True, exist_ok=True)
mine = FOLDER / "mine.py"
mine.write_text(
    """
import numpy as np

def prepare(X, y):
    return np.column_stack([X, np.ones(len(y))]), np.array(y)

def train(data, *, lr, epochs, w0=None, b0=0.0, every=1):
    A, y = data
    theta = np.append(np.zeros(A.shape[1] - 1) if w0 is None else w0, b0)
    rows = []
    with np.errstate(all="ignore"):
        for k in range(epochs + 1):
            r = A @ theta - y
            if k % every == 0 or k == epochs:
                rows.append((k, theta[:-1], theta[-1], r @ r / len(y)))
            theta = theta - lr * (2 / len(y) * (A.T @ r))
    epoch, w, b, loss = zip(*rows)
    return np.array(epoch), np.array(w), np.array(b), np.array(loss)
""",
    encoding="utf-8",
)

# %% [markdown]
# ## Is it right?
#
# `check` tries it on our own samples and on small problems that expose mistakes. There is no
# tolerance to choose: the bound is the largest error that rounding can cause.

# %%
verdicts = gradrace.check(gradrace.reference_line(), backends=["numpy", str(mine)], epochs=200)
show(verdicts)

# %% [markdown]
# ## Is it fast?
#
# All backends take turns in fresh processes, and the result says what is certain.

# %%
race = gradrace.race(
    ["numpy", "numba-simd", str(mine)],
    folder=FOLDER,
    cases=["1000x3@200"],
    sessions=2,
)
show(race)

# %%
show(race.details())

# %%
show(race.plot(), "speed.png")

# %% [markdown]
# ## What would a job of my own size take?

# %%
advice = gradrace.advise(race.file, n=2_000, d=3, epochs=5_000)
show(advice)
