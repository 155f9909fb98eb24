"""Coarsefine's own pruners, each in a file of its own. `pruning` says what a pruner is, and lists them."""
