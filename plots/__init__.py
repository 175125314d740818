"""The pictures: one module per question, each drawn from saved files alone.

Every module has `figure(...)`, which returns the drawn matplotlib figure, and `draw(..., target)`,
which writes it as a PNG.
"""
