"""Measurements of Coarsefine and its peers, all in one run: `scripts/bench`."""
