# %% [markdown]
# # What does `fit()` do?
#
# A learner's way through gradrace. Each part that begins with `# %%` is a cell: VS Code and Jupyter
# (with jupytext) open this file as a notebook, and `python learner.py` runs it from top to bottom.
#
# The reference line is 100 points of y = 3x + 2 plus noise.

# %%
import tempfile
from pathlib import Path

import gradrace

line = gradrace.reference_line()
model = gradrace.fit(line.X, line.y)
model

# %% [markdown]
# The least squares know the answer in one step; descent takes 10,000 small ones. The summary shows
# its way there, and how many digits of w and b match.

# %%
model.summary()

# %%
model.plot()

# %% [markdown]
# The loss falls quickly at first and slowly later. The contours show why: it is a narrow valley.

# %%
model.loss_plot()

# %%
model.path_plot()

# %% [markdown]
# ## Which learning rate?
#
# `rates` predicts what each rate does from the curvature of the loss, then runs it, and checks the
# result against exact arithmetic.

# %%
study = gradrace.rates(line, lr=[0.001, 0.005, "auto", 0.1])
study

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
fitted

# %%
fitted.predict({"age": [10.0], "size": [80.0]})

# %% [markdown]
# Saved, and loaded again:

# %%
with tempfile.TemporaryDirectory() as name:
    fitted.save(Path(name, "model"))
    again = gradrace.load(Path(name, "model"))
again
