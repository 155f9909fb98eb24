"""A campaign read back from its studies."""
