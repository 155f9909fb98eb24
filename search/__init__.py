"""Staged hyperparameter search: campaigns, their storage and training, and the pages and reports that show them."""
