"""What only the built-in network can do after a search: export, final training and prediction."""
