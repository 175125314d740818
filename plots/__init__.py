"""The pictures: one module per question, each with `figure(...)`, which draws what it is given."""
