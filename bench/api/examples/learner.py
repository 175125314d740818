# %% [markdown]
# # What does `fit()` do?
#
# A learner's way through gradrace. Each part that begins with `# %%` is a cell: VS Code and Jupyter
# (with jupytext) open this file as a notebook. `python learner.py` runs it from top to bottom,
# prints what it finds, and saves the pictures in results/learner.
#
# The reference line is 100 points of y = 3x + 2 plus noise.

# %%
import builtins
from pathlib import Path
from typing import Any

import gradrace

FOLDER = Path("results", "learner")  # of what is saved


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


line = gradrace.reference_line()
model = gradrace.fit(line.X, line.y)
show(model)

# %% [markdown]
# The least squares know the answer in one step; descent takes 10,000 small ones. The summary shows
# its way there, and how many digits of w and b match.

# %%
show(model.summary())

# %%
show(model.plot(), "fit.png")

# %% [markdown]
# The loss falls quickly at first and slowly later. The contours show why: it is a narrow valley.

# %%
show(model.loss_plot(), "loss.png")

# %%
show(model.path_plot(), "path.png")

# %% [markdown]
# ## Which learning rate?
#
# `rates` predicts what each rate does from the curvature of the loss, then runs it, and checks the
# result against exact arithmetic.

# %%
study = gradrace.rates(line, lr=[0.001, 0.005, "auto", 0.1])
show(study)

# %% [markdown]
# ## A table of your own
#
# `fit` takes a table of pandas, Polars or pyarrow, a dictionary of columns, or the path of a file,
# and keeps the names of the columns. If the training was too short, it says what is left.

# %%
houses = {
    "size": [54.0, 61.0, 75.0, 88.0, 96.0, 120.0],
    "age": [30.0, 5.0, 41.0, 12.0, 60.0, 3.0],
    "price": [171.0, 215.0, 228.0, 291.0, 262.0, 402.0],
}
fitted = gradrace.fit(houses, target="price", standardize=True)
show(fitted)

# %%
show(fitted.predict({"age": [10.0], "size": [80.0]}))

# %% [markdown]
# Saved, and loaded again:

# %%
fitted.save(FOLDER / "houses")
again = gradrace.load(FOLDER / "houses")
show(again)
print(f"The model, its pictures and its page are in {FOLDER / 'houses'}.")
