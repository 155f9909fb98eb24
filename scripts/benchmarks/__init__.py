"""Measure Coarsefine and its alternatives in one run: `scripts/bench`."""
