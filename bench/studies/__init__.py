"""Measurements of how good gradrace itself is: `python -m bench.studies.X`."""
