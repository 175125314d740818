"""Samples, generated or read from tables, and files that are never left half-written."""
