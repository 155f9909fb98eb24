"""Inject faults, and check what remains: `scripts/chaos`."""
