"""The report of a campaign: one HTML file that opens offline, and its figures as images."""

from search.report.write import Written, write_report

__all__ = ["Written", "write_report"]
