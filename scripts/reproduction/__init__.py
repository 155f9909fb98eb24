"""Reproduce the student report, from its data to one page, and measure what the same network reaches beyond it."""
