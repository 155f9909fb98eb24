"""Measure `coarsefine serve` with many readers while workers train, and with a study of 10,000 trials."""
