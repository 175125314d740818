"""The harness: the proof, the study of learning rates, the race. README.md is a map of it."""
