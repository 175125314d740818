"""How good gradrace itself is, measured: `python -m bench.studies.X`."""
