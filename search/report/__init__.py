"""The report of a campaign: one HTML file that opens offline, and its figures as images."""

from coarsefine.search.report.writer import Written, write_report

__all__ = ["Written", "write_report"]
