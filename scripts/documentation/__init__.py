"""The documentation site: its figures, its build, and the check of its links."""
