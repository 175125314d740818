"""Measurements of how good gradrace itself is: `python -m gradrace.bench.studies.X`."""
