"""The processes that run a campaign."""
