"""Faults injected on purpose, and what is left after them: `scripts/chaos`."""
