"""Measure how Coarsefine does with 100,000 trials, with more workers than cores, and with many campaigns in a file."""
