"""A user's training function: how it is loaded, called, and trained as slots."""
