"""The report reproduced from its data to one page, and what the same network and method give beyond it."""
