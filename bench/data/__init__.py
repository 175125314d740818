"""Samples: made here, read from tables; and files, written so that none is ever half-written."""
