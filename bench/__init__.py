"""The harness: the exact oracle, the verdict on each backend, the race, and the command line."""
