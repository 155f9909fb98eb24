"""Campaigns, studies, workers, and what people see of them."""
