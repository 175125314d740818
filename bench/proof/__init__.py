"""The exact trajectory, the bound on rounding, and the verdict on a backend."""
