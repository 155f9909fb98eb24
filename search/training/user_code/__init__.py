"""A user's own training function: loading it, and running it slot by slot."""
