"""The processes that take a campaign to its end."""
