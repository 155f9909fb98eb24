"""Coarsefine's own samplers, each in a file of its own. `sampling` says what a sampler is, and lists them."""
