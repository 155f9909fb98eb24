"""The report of a campaign: one HTML file that opens offline, and its figures as PNG files."""

from coarsefine.search.report.writer import WrittenReport, write_report

__all__ = ["WrittenReport", "write_report"]
